"""augment: see what a recipe of changes does to pictures, or write a dataset with varied copies; --balance tops classes up."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from sightline import __version__, progress
from sightline.errors import DatasetError, UsageError
from sightline.settings import settings
from sightline.types import Dataset, Failure, Record
from sightline.verbs import resolve

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sightline.learn.recipes import Changes

MANY = 20  # copies of one picture from which it is said that they teach little new


class Augmented(Record):
    """What was made: a sheet to look at, a dataset with varied copies, or both."""

    dataset: str = Field(description="folder of the new dataset; the hash of the given one when only a sheet was made")
    count: int = Field(description="pictures in it")
    sheet: str = Field(default="", description="the contact sheet, when one was asked for")
    copies: int = 0
    classes: dict[str, int] = Field(default_factory=dict, description="pictures to train on by label, copies included")
    recipe: dict[str, float] = Field(default_factory=dict, description="every change and its amount")
    failures: tuple[Failure, ...] = ()


def augment(
    data: Path,
    /,
    *,
    show: Path | None = None,
    out: Path | None = None,
    recipe: str = "medium",
    copies: int = 0,
    balance: bool = False,
    most: int | None = None,
    format: str | None = None,
    pictures: int = 8,
    seed: int = 0,
) -> Augmented:
    """See what changes do to pictures, or write a dataset with varied copies beside the originals. Boxes follow.

    Args:
        data: Labelled pictures: a folder, a table, a zip or tar, or the name of a dataset.
        show: Write a sheet (PNG) of some pictures, each with six variants, here.
        out: Folder for the new dataset: every picture and the copies. Only pictures to train on are copied.
        recipe: none, light, medium, strong, or changes with amounts, such as flip,rotate:15,erase:0.2.
        copies: Copies of each picture.
        balance: Instead, so many copies that each class has as many pictures as the largest, or as --most says.
        most: For --balance: pictures that each class should have.
        format: How --out is written: csv, folders, coco, ...; by default what holds all there is and keeps copies together.
        pictures: For --show: how many pictures.
        seed: Of everything that is random; the same seed gives the same copies.
    """
    from sightline.learn.recipes import read_recipe

    changes = read_recipe(recipe)
    _check(changes, show=show, out=out, copies=copies, balance=balance, most=most, format=format, pictures=pictures)
    dataset = resolve.dataset(data)
    changes = _upright(changes, dataset.classes)
    result = Augmented(dataset=dataset.hash, count=len(dataset.items), recipe=changes.amounts)
    if show is not None:
        from sightline.verbs.augment_sheet import write_sheet

        failures = write_sheet(dataset, changes, show, pictures=pictures, seed=seed)
        result = result.model_copy(update={"sheet": str(show.absolute()), "failures": failures})
    if out is None:
        return result
    wished = _wished(dataset, copies=copies, balance=balance, most=most, seed=seed)
    return _written(result, dataset, changes, out, wished=wished, format=format, seed=seed)


def _check(
    changes: Changes,
    *,
    show: Path | None,
    out: Path | None,
    copies: int,
    balance: bool,
    most: int | None,
    format: str | None,
    pictures: int,
) -> None:
    """Wishes that cannot be met, or not together; said before anything is read."""
    from sightline.data.formats import format_named
    from sightline.learn.recipes import MIXING
    from sightline.verbs.mending import refuse_if_taken

    if show is None and out is None:
        raise UsageError(
            "nothing to make", hint="say --show sheet.png to look at the changes, or --out FOLDER for a new dataset"
        )
    if not 1 <= pictures <= 200:
        raise UsageError(f"--pictures must be from 1 to 200, got {pictures}")
    if show is not None and show.suffix.lower() != ".png":
        raise UsageError(f"--show writes a PNG, got {show.name}", hint=f"for example --show {show.stem or 'sheet'}.png")
    if out is None:
        if copies or balance or most is not None or format is not None:
            raise UsageError("--copies, --balance, --most and --format are for a new dataset", hint="add --out FOLDER")
        return
    if balance == (copies > 0):
        raise UsageError("a new dataset needs either --copies N or --balance", hint="for example --copies 2")
    if not 0 <= copies <= 1000:
        raise UsageError(f"--copies must be from 1 to 1000, got {copies}")
    if most is not None and (not balance or most < 1):
        raise UsageError(
            "--most says how many pictures a class should have with --balance", hint="for example --balance --most 500"
        )
    if not changes.amounts.keys() - set(MIXING):
        raise UsageError("this recipe changes no single picture: the copies would be equal", hint="try --recipe medium")
    if mixing := changes.amounts.keys() & set(MIXING):
        progress.note(f"{' and '.join(sorted(mixing))} left out: a file cannot have 0.7 of one label and 0.3 of another")
    if format is not None:
        format_named(format)
    refuse_if_taken(out, "augment")


def _upright(changes: Changes, classes: tuple[str, ...]) -> Changes:
    """Without mirroring where the classes' names speak of left and right, unless it was asked for by name."""
    from dataclasses import replace

    from sightline.learn.ways import LEFT_RIGHT

    sided = [name for name in classes if LEFT_RIGHT.search(name)]
    if "flip" not in changes.amounts or changes.sure or not sided:
        return changes
    progress.note(f"not mirrored, since left and right may mean something: {sided[0]} (say flip in the recipe to do it)")
    return replace(changes, amounts={name: amount for name, amount in changes.amounts.items() if name != "flip"})


def _wished(dataset: Dataset, *, copies: int, balance: bool, most: int | None, seed: int) -> list[int]:
    """How many copies of each item; none of pictures to validate or test on."""
    from sightline.learn.balance import copies as topping_up

    wished = [0] * len(dataset.items)
    places = [place for place, item in enumerate(dataset.items) if item.split in (None, "train")]
    if not places:
        raise DatasetError(
            "there is nothing to copy: all pictures are for validation or test", hint="give pictures to train on"
        )
    labels = [dataset.items[place].labels for place in places]
    numbers = topping_up(labels, most, seed=seed) if balance else [copies] * len(places)
    for place, number in zip(places, numbers, strict=True):
        wished[place] = number
    top = max(range(len(wished)), key=wished.__getitem__)
    if balance and wished[top] > MANY:
        label = ", ".join(dataset.items[top].labels)
        progress.note(f"{wished[top]} copies of one picture ({label}) teach little new: more pictures of it would")
    return wished


def _written(
    result: Augmented,
    dataset: Dataset,
    changes: Changes,
    out: Path,
    *,
    wished: list[int],
    format: str | None,
    seed: int,
) -> Augmented:
    """The new dataset in its folder, whole or not at all; what was varied before a stop is not varied again."""
    from sightline.verbs import copying, mending

    chosen = copying.format_for(dataset, format)
    wishes = [dataset.hash, dataset.source, changes.amounts, wished, chosen, seed, __version__]
    key = hashlib.sha256(json.dumps(wishes).encode()).hexdigest()
    failures: tuple[Failure, ...] = ()
    left_out = mending.already(out.expanduser().absolute(), key, "augment")
    if left_out is None:
        workspace = settings().cache / "augment" / key[:24]
        larger, failures = copying.with_copies(dataset, changes, wished, workspace, seed=seed)
        left_out = mending.to_folder(copying.held(larger, chosen), out, chosen, key, verb="augment")
        shutil.rmtree(workspace, ignore_errors=True)
    else:
        larger = resolve.dataset(out)
    gone = {failure.picture for failure in left_out}
    kept = [item for item in larger.items if item.name not in gone]
    counts = Counter(label for item in kept if item.split in (None, "train") for label in set(item.labels))
    update = {
        "dataset": str(out.expanduser().absolute()),
        "count": len(kept),
        "copies": len(larger.items) - len(dataset.items),
        "classes": {name: counts[name] for name in dataset.classes},
        "failures": (*result.failures, *failures, *left_out),
    }
    return result.model_copy(update=update)


def show(result: Augmented) -> RenderableType:
    """What was made and where."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    said = ", ".join(f"{name} {amount:g}" for name, amount in result.recipe.items()) or "no change"
    rows: list[RenderableType] = [Text(f"changes: {said}")]
    if result.sheet:
        rows.append(Text(f"sheet    {result.sheet}"))
    if result.classes:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("label")
        table.add_column("to train on", justify="right")
        for name, count in result.classes.items():
            table.add_row(Text(name), f"{count:,}")
        rows += [
            Text(),
            Text(f"{result.count:,} pictures, {result.copies:,} of them varied copies", style="bold"),
            table,
            Text(),
        ]
        rows.append(Text(f"dataset  {result.dataset}"))
    if result.failures:
        first = result.failures[0]
        rows.append(Text(f"{len(result.failures)} pictures left out, first: {first.picture}: {first.error.message}", "yellow"))
    if result.classes:
        rows.append(Text(f"next: sightline train {result.dataset}"))
    return Group(*rows)
