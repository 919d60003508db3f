"""What a row of named fields says about a picture: JSON lines, Parquet and WebDataset share these names, in and out.

`label` (a word, a number of `classes`, or a list of them), `objects` {bbox: [[x, y, w, h]], category: [...]}, `group` and where
the picture comes from. Knows no files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sightline.data.formats.documents import numbers, records, word
from sightline.data.formats.geometry import DECIMALS
from sightline.data.formats.marks import Marks
from sightline.data.listing import SPLITS, Listing, Row, left_out
from sightline.data.tables import COLUMNS, FACTS
from sightline.types import Annotation, Box, Facts, Failure, Item, Split

NAMES = 10_000  # labels or objects of one picture
OBJECTS = ("objects", "object", "annotations")
_BOXES, _CATEGORIES = ("bbox", "bboxes", "box", "boxes"), ("category", "categories", "label", "labels", "category_id")


class Said(NamedTuple):
    """`boxes`: labels with x0, y0, x1, y1 in pixels; `several`: there is room for more than one label, `placed`: for boxes.

    `problems`: what was passed over, in plain words.
    """

    labels: tuple[str, ...]
    boxes: tuple[tuple[str, Box], ...] = ()
    split: Split | None = None
    group: str | None = None
    facts: Facts | None = None
    several: bool = False
    placed: bool = False
    problems: tuple[str, ...] = ()


def said(fields: Mapping[str, Any], classes: Sequence[str] = (), categories: Sequence[str] = ()) -> Said:
    """What the fields of one picture say. ValueError, in plain words, when a label cannot be understood.

    Args:
        fields: Names and plain JSON values; names are matched by the synonyms of tables, without regard to case.
        classes: What the numbers 0, 1, ... mean as labels; without it a number is its own name.
        categories: The same for the objects.
    """
    plain = {str(name).lower(): value for name, value in fields.items()}
    label = _first(plain, COLUMNS["label"])
    objects = _first(plain, OBJECTS)
    split = _first(plain, COLUMNS["split"])
    known = {fact: text for fact, words in FACTS.items() if (text := word(_first(plain, words), 10_000))}
    boxes, problems = _boxes(objects, categories or classes)
    return Said(
        labels=_labels(label, classes),
        boxes=boxes,
        split=SPLITS.get(split.lower()) if isinstance(split, str) else None,
        group=word(_first(plain, COLUMNS["group"])) or None,
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
        fields["objects"] = {"bbox": [_as_xywh(mark) for mark in boxed], "category": [mark.label for mark in boxed]}
        names = tuple(dict.fromkeys(mark.label for mark in item.truth if mark.box is None))
    if several or (placed and names):
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
    if isinstance(value, str) or not classes:
        return word(value)
    if not 0 <= value < len(classes):
        raise ValueError(f"class {word(value, 20)} is not one of the {len(classes)} named ones")
    return classes[value]


def _labels(value: object, classes: Sequence[str]) -> tuple[str, ...]:
    if value is None or value == -1:  # -1: how Hugging Face data sets say "not known"
        return ()
    values = value if isinstance(value, list) else [value]
    if len(values) > NAMES:
        raise ValueError(f"{len(values):,} labels for one picture")
    return tuple(name for name in dict.fromkeys(name_of(one, classes) for one in values) if name)


def _boxes(objects: object, classes: Sequence[str]) -> tuple[tuple[tuple[str, Box], ...], tuple[str, ...]]:
    """(labels with their boxes, problems) of objects in columns {bbox: [...], category: [...]} or in a list of both."""
    if isinstance(objects, dict):
        plain = {str(name).lower(): value for name, value in objects.items()}
        boxes, names = _first(plain, _BOXES), _first(plain, _CATEGORIES)
    else:
        rows = records(objects)
        boxes, names = [_first(row, _BOXES) for row in rows], [_first(row, _CATEGORIES) for row in rows]
    if not isinstance(boxes, list) or not isinstance(names, list) or len(boxes) != len(names):
        return (), ("its objects do not have one box and one category each",) if boxes or names else ()
    found: list[tuple[str, Box]] = []
    problems = [f"{len(boxes):,} objects in one picture"] if len(boxes) > NAMES else []
    for box, name in zip(boxes[:NAMES], names, strict=False):
        values = numbers(box, 4)
        try:
            if values is None or len(values) != 4:
                raise ValueError(f"a box is x, y, width, height, got {str(box)[:60]}")
            x, y, width, height = values
            found.append((name_of(name, classes), (x, y, x + width, y + height)))
        except ValueError as error:
            problems.append(str(error))
    return tuple(found), tuple(problems)


def _as_xywh(mark: Annotation) -> list[float]:
    if mark.box is None:
        return []
    x0, y0, x1, y1 = mark.box
    return [round(value, DECIMALS) for value in (x0, y0, x1 - x0, y1 - y0)]


def _first(fields: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The value of the first of `names` that is there and not empty."""
    return next((fields[name] for name in names if fields.get(name) is not None), None)


class Entry(NamedTuple):
    """A picture and the fields that stand with it; `classes` and `categories` are what the numbers in them mean."""

    uri: str
    name: str
    fields: Mapping[str, Any]
    split: Split | None = None
    classes: Sequence[str] = ()
    categories: Sequence[str] = ()


def listing(kind: str, entries: Iterable[Entry], failures: Iterable[Failure] = ()) -> Listing:
    """The rows of all entries. One that cannot be understood is a failure; so is a box without sense, but its picture stays."""
    found = list(failures)
    understood: list[tuple[Entry, Said]] = []
    for entry in entries:
        try:
            understood.append((entry, said(entry.fields, entry.classes, entry.categories)))
        except ValueError as error:
            found.append(left_out(entry.name, "label_unknown", str(error), "mend the row, or leave it out"))
    placed = any(words.placed for _, words in understood)
    rows: list[Row] = []
    for entry, words in understood:
        marks = _marks(entry, words, kind, found) if placed else ()
        split = words.split or entry.split
        rows.append(Row(entry.uri, entry.name, words.labels, split, words.group, marks, words.facts))
    classes = tuple(dict.fromkeys(name for entry, _ in understood for name in entry.categories)) if placed else ()
    several = any(words.several for _, words in understood)
    return Listing(tuple(rows), tuple(found), several=several, kind=kind, placed=placed, classes=classes)


def _marks(entry: Entry, words: Said, kind: str, failures: list[Failure]) -> tuple[Annotation, ...]:
    """The boxes, clipped to the picture, and the labels of the whole picture beside them."""
    marks = Marks(entry.uri, entry.name, f"import:{kind}")
    for label, box in words.boxes:
        marks.add(label, box=box)
    for label in words.labels:
        marks.add(label)
    for problem in words.problems:
        marks.refuse("box_wrong", problem)
    failures += marks.failures()
    return tuple(marks.found)


def split_of(file: str) -> Split | None:
    """The split that a file's name or a folder above it tells: data/train-00000-of-00001.parquet, val/000001.tar."""
    for part in reversed(file.lower().split("/")):
        words = re.split(r"[^a-z]+", part)
        if found := next((SPLITS[word] for word in words if word in SPLITS), None):
            return found
    return None
