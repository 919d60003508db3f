"""What every reader of a layout hands over: rows with labels, and what was left out and why. Knows no layout and no task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from sightline.types import Annotation, ErrorInfo, Facts, Failure, Skeleton, Split

SPLITS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


class Row(NamedTuple):
    """One picture: the absolute path of its file, the name people know, its labels in the given order.

    `marks` replace the labels where a source says more than names: boxes, polygons, keypoints.
    """

    uri: str
    name: str
    labels: tuple[str, ...]
    split: Split | None = None
    group: str | None = None
    marks: tuple[Annotation, ...] = ()
    facts: Facts | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """`several`: the source can say more than one label for a picture (so that no label means: none of them).

    `placed`: it says where things are, so the task is detection, also for a picture without any box. `classes`: those
    it declares, which then are classes of the dataset also when no picture here shows them. `skeletons`: keypoints by class.
    """

    rows: tuple[Row, ...]
    failures: tuple[Failure, ...] = ()
    several: bool = False
    kind: str = "folders"
    placed: bool = False
    classes: tuple[str, ...] = ()
    skeletons: Mapping[str, Skeleton] = field(default_factory=dict)


def left_out(picture: str, code: str, message: str, hint: str = "") -> Failure:
    """A picture or row that is left out; code: picture_missing, label_missing, label_conflict, row_repeated, ..."""
    return Failure(picture=picture, error=ErrorInfo(code=code, message=message, hint=hint))


def in_split(listing: Listing, split: Split) -> Listing:
    """The same listing with every row in `split`."""
    return replace(listing, rows=tuple(row._replace(split=split) for row in listing.rows))


def joined(parts: Iterable[Listing], kind: str) -> Listing:
    """Several listings as one. A group key of one part is the same group in the others."""
    found = list(parts)
    return Listing(
        rows=tuple(row for part in found for row in part.rows),
        failures=tuple(failure for part in found for failure in part.failures),
        several=any(part.several for part in found),
        kind=kind,
        placed=any(part.placed for part in found),
        classes=tuple({name: None for part in found for name in part.classes}),
        skeletons={name: one for part in reversed(found) for name, one in part.skeletons.items()},
    )


def summary(failures: Iterable[Failure]) -> str:
    """`3 label_missing, 1 stray`: for messages about many."""
    return ", ".join(f"{count} {code}" for code, count in Counter(failure.error.code for failure in failures).most_common())
