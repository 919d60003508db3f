"""What a row of named fields says about a picture: JSON lines, Parquet and WebDataset share these names, in and out.

`label` (a word, a number of `classes`, or a list of them), `objects` {bbox: [[x, y, w, h]], category: [...]}, `group` and where
the picture comes from. Knows no files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sightline.data.listing import SPLITS, Row
from sightline.data.tables import COLUMNS, FACTS
from sightline.types import Annotation, Facts, Item, Split

NAMES = 10_000  # labels or objects of one picture
OBJECTS = ("objects", "object", "annotations")
_BOXES, _CATEGORIES = ("bbox", "bboxes", "box", "boxes"), ("category", "categories", "label", "labels", "category_id")


class Said(NamedTuple):
    """`several`: the row has room for more than one label; `placed`: it has room for boxes; `problems`: what was passed over."""

    labels: tuple[str, ...]
    marks: tuple[Annotation, ...] = ()
    split: Split | None = None
    group: str | None = None
    facts: Facts | None = None
    several: bool = False
    placed: bool = False
    problems: tuple[str, ...] = ()

    def row(self, uri: str, name: str, split: Split | None) -> Row:
        return Row(uri, name, self.labels, self.split or split, self.group, self.marks, self.facts)


def said(fields: Mapping[str, Any], classes: Sequence[str] = (), categories: Sequence[str] = (), origin: str = "") -> Said:
    """What the fields of one picture say. ValueError, in plain words, when a label cannot be understood.

    Args:
        fields: Names and plain JSON values; names are matched by the synonyms of tables, without regard to case.
        classes: What the numbers 0, 1, ... mean as labels; without it a number is its own name.
        categories: The same for the objects.
        origin: Of the annotations with a place.
    """
    plain = {str(name).lower(): value for name, value in fields.items()}
    label = _first(plain, COLUMNS["label"])
    objects = _first(plain, OBJECTS)
    group = _first(plain, COLUMNS["group"])
    split = _first(plain, COLUMNS["split"])
    known = {fact: str(value) for fact, words in FACTS.items() if (value := _first(plain, words)) not in (None, "")}
    marks, problems = _marks(objects, categories or classes, origin)
    return Said(
        labels=_labels(label, classes),
        marks=marks,
        split=SPLITS.get(split.lower()) if isinstance(split, str) else None,
        group=str(group) if group not in (None, "") else None,
        facts=Facts(**known) if known else None,
        several=isinstance(label, list),
        placed=isinstance(objects, dict | list),
        problems=problems,
    )


def told(item: Item, *, several: bool, placed: bool) -> dict[str, Any]:
    """The other way: the fields of an item, without empty ones. Labels are words; boxes are x, y, width, height in pixels."""
    names = tuple(dict.fromkeys(item.labels))
    fields: dict[str, Any] = {}
    if placed:
        boxed = [mark for mark in item.truth if mark.box is not None]
        fields["objects"] = {
            "bbox": [_as_xywh(mark) for mark in boxed],
            "category": [mark.label for mark in boxed],
        }
    elif several:
        fields["labels"] = list(names)
    elif names:
        fields["label"] = names[0]
    if item.group is not None:
        fields["group"] = item.group
    return fields | (item.facts.model_dump(exclude_defaults=True) if item.facts else {})


def name_of(value: object, classes: Sequence[str]) -> str:
    """A label from a word or a number of `classes`. ValueError for anything else, or a number outside."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{str(value)[:40]!r} is no label")
    if isinstance(value, str):
        return value.strip()
    if not classes:
        return str(value)
    if not 0 <= value < len(classes):
        raise ValueError(f"class {value} is not one of the {len(classes)} named ones")
    return classes[value]


def _labels(value: object, classes: Sequence[str]) -> tuple[str, ...]:
    if value is None or value == -1:  # -1: how Hugging Face data sets say "not known"
        return ()
    values = value if isinstance(value, list) else [value]
    if len(values) > NAMES:
        raise ValueError(f"{len(values):,} labels for one picture")
    return tuple(name for name in dict.fromkeys(name_of(one, classes) for one in values) if name)


def _marks(objects: object, classes: Sequence[str], origin: str) -> tuple[tuple[Annotation, ...], tuple[str, ...]]:
    if isinstance(objects, dict):
        plain = {str(name).lower(): value for name, value in objects.items()}
        boxes, names = _first(plain, _BOXES), _first(plain, _CATEGORIES)
    elif isinstance(objects, list) and all(isinstance(one, dict) for one in objects):
        boxes = [_first(one, _BOXES) for one in objects]
        names = [_first(one, _CATEGORIES) for one in objects]
    else:
        return (), ()
    if not isinstance(boxes, list) or not isinstance(names, list) or len(boxes) != len(names):
        return (), ("its objects do not have one box and one category each",) if boxes or names else ()
    marks: list[Annotation] = []
    problems: list[str] = []
    for box, name in zip(boxes[:NAMES], names, strict=False):
        try:
            marks.append(Annotation(label=name_of(name, classes), box=_as_corners(box), origin=origin))
        except ValueError as error:  # pydantic's errors are ValueErrors too
            problems.append(str(error).splitlines()[0])
    return tuple(marks), tuple(problems)


def _as_corners(box: object) -> tuple[float, float, float, float]:
    if not isinstance(box, list) or len(box) != 4 or any(isinstance(n, bool) or not isinstance(n, int | float) for n in box):
        raise ValueError(f"a box is x, y, width, height, got {str(box)[:60]}")
    x, y, width, height = (float(number) for number in box)
    if not all(map(math.isfinite, (x, y, width, height))) or width <= 0 or height <= 0:
        raise ValueError(f"the box {str(box)[:60]} has no area")
    return x, y, x + width, y + height


def _as_xywh(mark: Annotation) -> list[float]:
    if mark.box is None:
        return []
    x0, y0, x1, y1 = mark.box
    return [round(number, 4) for number in (x0, y0, x1 - x0, y1 - y0)]


def _first(fields: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The value of the first of `names` that is there and not empty."""
    return next((fields[name] for name in names if fields.get(name) is not None), None)
