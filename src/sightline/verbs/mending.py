"""Where the mended version of a dataset goes: a new folder, or a new version in the workspace. Whole or not at all.

After a kill, running again completes: what is there already under the same key is not made again.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline import __version__, progress
from sightline.errors import DatasetError, SightlineError, StorageError, storage_errors
from sightline.files import sync_folder, write_text
from sightline.types import Dataset, ErrorInfo, Failure, Item, Made

if TYPE_CHECKING:
    from sightline.store.blobs import Blobs

MARK = ".sightline-clean.json"  # in a folder that clean (or another verb) made: from what, with which wishes


def holding(dataset: Dataset) -> str:
    """The name of the plainest format that holds everything of the dataset; "" for pictures without any label."""
    if dataset.task == "detection":
        return "coco"
    if not any(item.truth for item in dataset.items):
        return ""
    plain = all(len(item.labels) == 1 and not item.group and item.facts is None for item in dataset.items)
    return "folders" if plain and dataset.task != "multilabel" else "csv"


def mark_of(verb: str) -> str:
    """The mark's file name in a folder that this verb made."""
    return MARK.replace("clean", verb)


def refuse_if_taken(out: Path, verb: str = "clean") -> None:
    """StorageError when something else lies at `out`: said before anything is computed."""
    if out.exists() and not (out / mark_of(verb)).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise StorageError(f"{out} exists already", hint="choose another folder with --out")


def to_folder(dataset: Dataset, out: Path, format: str, key: str, *, verb: str = "clean") -> tuple[Failure, ...]:
    """Write `dataset` to the new folder `out`; returns the pictures that could not be copied.

    `key` names data and wishes: a folder of the same key is complete and left as it is, another one is a StorageError.
    """
    target = out.expanduser().absolute()
    if (done := already(target, key, verb)) is not None:
        return done
    refuse_if_taken(target, verb)
    waiting = target.parent / f".{target.name}.{verb}"
    for left in target.parent.glob(f".{glob.escape(waiting.name)}.*"):  # of a run that was killed
        shutil.rmtree(left, ignore_errors=True)
    failures = _exported(dataset, format, waiting)
    mark = {
        "key": key,
        "verb": verb,
        "sightline": __version__,
        "source": dataset.source,
        "failures": [failure.model_dump() for failure in failures],
    }
    write_text(waiting / mark_of(verb), json.dumps(mark, ensure_ascii=False, indent=1))
    with storage_errors(out):
        waiting.replace(target)  # over an empty folder, if there is one
        sync_folder(target.parent)
    return failures


def already(target: Path, key: str, verb: str = "clean") -> tuple[Failure, ...] | None:
    """What was left out of the folder when it was made before with the same wishes; None when there is none.

    StorageError when it was made with others.
    """
    if not (target / mark_of(verb)).is_file():
        return None
    made = _mark(target / mark_of(verb))
    if made.get("key") != key:
        raise StorageError(f"{target} was made from other data or with other wishes", hint="choose another folder with --out")
    progress.note(f"{target} is complete already")
    return tuple(Failure.model_validate(failure) for failure in made.get("failures", ()))


def _mark(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _exported(dataset: Dataset, format: str, folder: Path) -> tuple[Failure, ...]:
    from sightline.data.formats import export

    if format:
        return export(dataset, format, folder, replace=True)
    from sightline.data.formats.format import Export
    from sightline.data.formats.names import safe
    from sightline.files import new_folder

    with new_folder(folder, replace=True) as part:
        work = Export(dataset, part)
        for picture in work.pictures():
            folders = [safe(name) for name in picture.item.name.split("/")[:-1]]
            work.put("/".join([*folders, picture.name]), picture.data)
        if not work.written:
            first = f"; first: {work.failures[0].error.message}" if work.failures else ""
            raise DatasetError(f"none of the pictures could be copied{first}", hint="check that the files are still there")
    return tuple(work.failures)


# --- the workspace


def to_workspace(
    original: Dataset, dataset: Dataset, name: str, private: Collection[str], made: Made
) -> tuple[Dataset, tuple[Failure, ...]]:
    """Keep `dataset` as a version made from `original`, and point `name` at it.

    Pictures stay where they are; of those named in `private` (names of the original) a copy without metadata is kept. Returns
    the version and the pictures that could not be copied.
    """
    from sightline.verbs import resolve

    db = resolve.workspace("keeping versions of datasets")
    from sightline.store import datasets, names
    from sightline.store.blobs import blobs

    held = blobs()
    parent = datasets.add(db, original, made)
    wanted = {item.uri for item in original.items if item.name in private}
    failures: list[Failure] = []
    items: list[Item] = []
    for item in progress.track(dataset.items, "Taking out private metadata") if wanted else dataset.items:
        if item.uri not in wanted:
            items.append(item)
            continue
        try:
            items.append(_without_metadata(item, held))
        except SightlineError as error:
            info = ErrorInfo(code=error.code, message=error.message, hint=error.hint)
            failures.append(Failure(picture=item.name, error=info))
    held.settle()
    version = dataset.model_copy(update={"name": name, "items": tuple(items), "failures": ()})
    kept = datasets.add(db, version, made, parents=[parent])
    names.point(db, "dataset", name, kept, "clean")
    return version.model_copy(update={"hash": kept}), tuple(failures)


def _without_metadata(item: Item, held: Blobs) -> Item:
    from sightline.runtime.metadata import stripped
    from sightline.runtime.pixels import read_picture

    data, suffix = stripped(read_picture(item.uri))
    sha256 = held.put(data, sync=False)
    stem, own = os.path.splitext(item.name)  # noqa: PTH122 - a name, no path
    same = {".jpeg": ".jpg", ".jpe": ".jpg", ".jfif": ".jpg"}.get(own.lower(), own.lower()) == suffix
    return item.model_copy(update={"uri": held.placed(sha256), "sha256": sha256, "name": item.name if same else stem + suffix})
