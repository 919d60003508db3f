"""Datasets for tests without any files: pictures that only have a name, a label and a content."""

from __future__ import annotations

import hashlib

from sightline.data.manifest import manifest_hash
from sightline.types import Annotation, Dataset, Item, Split


def picture(
    name: str, label: str | None = "red", *, split: Split | None = None, content: str = "", group: str | None = None
) -> Item:
    """A made-up picture; its content is told by `content`, else by its name."""
    return Item(
        uri=f"/pictures/{name}",
        name=name,
        truth=() if label is None else (Annotation(label=label, origin="import:folders"),),
        split=split,
        group=group,
        sha256=hashlib.sha256((content or name).encode()).hexdigest(),
    )


def dataset(*items: Item, name: str = "signs") -> Dataset:
    """A dataset of these pictures, classes in order of their names."""
    classes = tuple(sorted({label for item in items for label in item.labels}))
    return Dataset(name=name, task="multiclass", classes=classes, items=items, hash=manifest_hash(items), source="/pictures")
