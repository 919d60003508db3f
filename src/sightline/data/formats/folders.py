"""Class folders: `cat/1.jpg`, or `train/cat/1.jpg` where the dataset has splits. One label a picture, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sightline.data.folders import has_classes, has_splits, read_classes
from sightline.data.formats.format import Export, Format
from sightline.data.formats.names import safe
from sightline.data.listing import SPLITS, Listing, in_split, joined, left_out
from sightline.data.pictures import is_picture
from sightline.data.place import Place
from sightline.errors import DatasetError
from sightline.progress import note
from sightline.types import Dataset, Item


def _recognised(place: Place) -> bool:
    return place.given is None and has_classes(place.tree)


def _read(place: Place) -> Listing:
    tree = place.tree
    if not has_splits(tree):
        return read_classes(tree)
    parts: list[Listing] = []
    for name, files in tree.children().items():
        split = SPLITS.get(name.lower())
        if split is not None:
            parts.append(in_split(read_classes(tree.below(name)), split))
        elif count := sum(map(is_picture, files)):
            failure = left_out(f"{tree.prefix}{name}/ ({count} pictures)", "stray", "is neither train, val nor test")
            parts.append(Listing((), (failure,)))
    return joined(parts, "folders")


def _write(work: Export) -> None:
    folders = folder_names(work.dataset.classes)
    split_folder = split_folders(work.dataset)
    for picture in work.pictures():
        try:
            above = split_folder(picture.item)
        except DatasetError as error:
            work.fail(picture.item, error)
            work.written -= 1
            continue
        work.put(f"{above}{folders[picture.item.labels[0]]}/{picture.name}", picture.data)


def folder_names(labels: Sequence[str]) -> dict[str, str]:
    """A folder for each label: its own name where every system takes it, else one made of it, which is said once."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for label in sorted(labels, key=lambda label: (safe(label) != label, label)):  # names that fit come first
        name, number = safe(label), 1
        while name.casefold() in taken:
            number += 1
            name = safe(f"{label}-{number}")
        taken.add(name.casefold())
        found[label] = name
    changed = [f"{label!r} as {name!r}" for label, name in found.items() if label != name]
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        note(f"labels that are no folder names are written otherwise: {', '.join(changed[:3])}{more}")
    return found


def split_folders(dataset: Dataset) -> Callable[[Item], str]:
    """What stands before a picture's path: `train/`, or nothing in a dataset without splits.

    The returned function raises DatasetError for a picture without a split where others have one.
    """
    if all(item.split is None for item in dataset.items):
        return lambda _: ""

    def folder(item: Item) -> str:
        if item.split is None:
            raise DatasetError(
                f"{item.name} is in no split, others are in train, val or test: folders have no place for it",
                hint="choose another format: csv",
            )
        return f"{item.split}/"

    return folder


FORMAT = Format("class folders", _recognised, _read, _write, frozenset({"labels", "splits"}))
