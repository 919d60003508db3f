"""Varied copies of a dataset's pictures, kept together with their originals; a part of the verb augment, no verb itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline import progress
from sightline.errors import SightlineError, UsageError
from sightline.files import write_bytes, write_text
from sightline.settings import settings
from sightline.types import Annotation, Dataset, Failure, Item

if TYPE_CHECKING:
    from sightline.learn.recipes import Changes
    from sightline.learn.variants import Variant

SIDE = 800  # pixels of a copy's longer side at most: more than networks see, and changing takes 35 ms
QUALITY = 95


def divided(dataset: Dataset) -> bool:
    """Whether train and validation are given, so that nobody will divide copies from originals later."""
    splits = {item.split for item in dataset.items}
    return None not in splits and "val" in splits


def format_for(dataset: Dataset, wished: str | None) -> str:
    """The format of the new dataset: the plainest that holds everything, and groups where the data are still to be divided.

    UsageError when the wished one would let copies and originals come to different sides.
    """
    from sightline.data.formats import FORMATS, format_named

    if wished is None:
        if dataset.task == "detection":
            return "coco"
        plain = all(len(item.labels) == 1 and item.facts is None and not item.group for item in dataset.items)
        return "folders" if plain and divided(dataset) and dataset.task != "multilabel" else "csv"
    if "groups" not in format_named(wished).holds and not divided(dataset):
        fitting = ", ".join(name for name in FORMATS if "groups" in format_named(name).holds)
        raise UsageError(
            f"{wished} cannot say which copies belong to which picture, and the data are not divided yet: copies would leak",
            hint=f"divide them first, or choose one of {fitting}",
        )
    return wished.lower()


def held(dataset: Dataset, format: str) -> Dataset:
    """Without groups where the format has no place for them and nobody needs them, because the data are divided."""
    from sightline.data.formats import format_named

    if "groups" in format_named(format).holds:
        return dataset
    return dataset.model_copy(update={"items": tuple(item.model_copy(update={"group": None}) for item in dataset.items)})


def with_copies(
    dataset: Dataset, changes: Changes, wished: list[int], workspace: Path, *, seed: int
) -> tuple[Dataset, tuple[Failure, ...]]:
    """The dataset with `wished` copies of each item, and the pictures that could not be varied (they stay as they are).

    A picture and its copies share a group. Copies lie in `workspace` as JPEG; those that are there are not made again.
    """
    taken = {item.name for item in dataset.items}
    items: list[Item] = []
    failures: list[Failure] = []
    made = _made(dataset, changes, wished, workspace, seed)
    with progress.task("Varying pictures", sum(wished)) as work:
        for place, item in enumerate(dataset.items):
            if not wished[place]:
                items.append(item)
                continue
            group = item.group or item.name
            items.append(item.model_copy(update={"group": group}))
            found = next(made)
            if isinstance(found, Failure):
                failures.append(found)
                continue
            for number, (file, truth) in enumerate(found, 1):
                work.advance()
                if item.truth and not truth:
                    continue  # nothing of what it showed is left in it
                name = _name(item.name, number, taken)
                sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
                update = {"uri": str(file), "name": name, "truth": truth, "group": group, "sha256": sha256}
                items.append(item.model_copy(update=update))
    if not divided(dataset):
        progress.note("no validation pictures are set apart yet: copies will stay with their originals, on either side")
    return dataset.model_copy(update={"items": tuple(items)}), tuple(failures)


Copies = list[tuple[Path, tuple[Annotation, ...]]]


def _made(dataset: Dataset, changes: Changes, wished: list[int], workspace: Path, seed: int) -> Iterator[Copies | Failure]:
    """The copies of each item that gets some, in order. Decoding runs ahead in threads; changes draw one after the other."""
    from sightline.learn.variants import opened, variant
    from sightline.runtime.model import failure, in_order

    places = [place for place, number in enumerate(wished) if number]

    def begin(place: int) -> Variant | Failure | None:
        if (workspace / f"{place}.json").exists():
            return None
        try:
            return opened(dataset.items[place], SIDE)
        except SightlineError as error:
            return failure(dataset.items[place].name, error)

    for place, picture in zip(places, in_order(begin, places, settings().threads), strict=True):
        files = [workspace / f"{place}-{number}.jpg" for number in range(1, wished[place] + 1)]
        if isinstance(picture, Failure):
            yield picture
            continue
        if picture is not None:
            truths = []
            for number, file in enumerate(files, 1):
                name = dataset.items[place].name
                copy = variant(
                    picture.pixels, picture.truth, changes, seed, number=number, name=name, skeletons=dataset.skeletons
                )
                write_bytes(file, _encoded(copy.pixels), sync=False)
                truths.append([one.model_dump(mode="json", exclude_none=True) for one in copy.truth])
            write_text(workspace / f"{place}.json", json.dumps(truths))
        kept = json.loads((workspace / f"{place}.json").read_text("utf-8"))
        yield [(file, tuple(map(Annotation.model_validate, truth))) for file, truth in zip(files, kept, strict=True)]


def _encoded(pixels: NDArray[np.uint8]) -> bytes:
    import simplejpeg

    content: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), QUALITY, "RGB", "444")
    return content


def _name(name: str, number: int, taken: set[str]) -> str:
    """`cat/1.jpg` -> `cat/1-copy2.jpg`, a name nobody has."""
    path = PurePosixPath(name)
    stem, more = f"{path.stem}-copy{number}", ""
    while (found := str(path.with_name(f"{stem}{more}.jpg"))) in taken:
        more += "+"
    taken.add(found)
    return found
