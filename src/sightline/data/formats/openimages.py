"""Open Images CSV: boxes as parts of the picture's sides, labels of whole pictures with 1 for seen and 0 for not there.

As on the download page of Open Images V7: train-annotations-bbox.csv, ...-imagelabels.csv, class-descriptions.csv, and the list
of pictures with OriginalURL, License, Author. Group, Consent and TakenAt are columns of our own in that list.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from sightline.data.formats.documents import csv_rows, head_of, number, word
from sightline.data.formats.finder import Pictures, listing, split_in, split_of, split_word
from sightline.data.formats.format import Export, Format, Picture
from sightline.data.formats.geometry import DECIMALS
from sightline.data.formats.marks import Marks
from sightline.data.formats.voc import short
from sightline.data.listing import Listing, Row, left_out
from sightline.data.place import Place
from sightline.errors import DatasetError
from sightline.types import Facts, Failure, Split, Trait

ORIGIN = "import:openimages"
_BOX = ("XMin", "XMax", "YMin", "YMax")
_BOXES = ("ImageID", "LabelName", *_BOX)
_LABELS = ("ImageID", "LabelName", "Confidence")
_LIST = ("ImageID", "Subset", "OriginalURL", "License", "Author", "Consent", "TakenAt", "Group")
_FACTS = {"source": "OriginalURL", "licence": "License", "author": "Author", "consent": "Consent", "taken_at": "TakenAt"}
_TRAITS: dict[str, Trait] = {
    "IsOccluded": "occluded",
    "IsTruncated": "truncated",
    "IsGroupOf": "crowd",
    "IsDepiction": "depiction",
    "IsInside": "inside",
}
_DIGITS = 10


# --- reading


def recognised(place: Place) -> bool:
    """Whether there is a CSV of boxes or labels of pictures."""
    return any(kind in ("boxes", "labels") for kind in _tables(place).values())


def _tables(place: Place) -> dict[str, str]:
    """CSV -> "boxes", "labels" or "list", by its columns."""
    found: dict[str, str] = {}
    for file in place.documents(".csv", depth=2)[:200]:
        columns = {name.strip() for name in head_of(place.tree.root / file).partition("\n")[0].split(",")}
        if columns >= set(_BOXES):
            found[file] = "boxes"
        elif columns >= set(_LABELS):
            found[file] = "labels"
        elif columns >= {"ImageID", "OriginalURL"}:
            found[file] = "list"
    return found


def read(place: Place) -> Listing:
    """A row for every picture that a CSV is about and that is here. Raises DatasetError when there is no such CSV."""
    tables = _tables(place)
    if not any(kind != "list" for kind in tables.values()):
        raise DatasetError("there is no Open Images table", hint=f"a CSV with the columns {', '.join(_BOXES)}")
    reader = _Reader(place)
    for kind in ("list", "boxes", "labels"):
        for file in (file for file, found in tables.items() if found == kind):
            reader.table(file, kind)
    placed = any(kind == "boxes" for kind in tables.values())
    rows: list[Row] = []
    failures = reader.failures
    for picture, marks in reader.marks.items():
        facts, group = reader.about.get(picture, (None, None))
        rows.append(reader.pictures.row(picture, reader.splits[picture], tuple(marks.found), group, facts))
        failures += marks.failures()
    for split, count in reader.missing.items():
        failures.append(left_out(f"{split} ({count:,} rows)", "picture_missing", "their pictures are not in the folder"))
    return listing("openimages", rows, failures, placed=placed, several=reader.denied)


class _Reader:
    """What the tables say, picture by picture: rows of one picture need not stand together."""

    def __init__(self, place: Place) -> None:
        self.place, self.pictures = place, Pictures(place.tree)
        self.classes = _descriptions(place)
        self.marks: dict[str, Marks] = {}
        self.splits: dict[str, Split | None] = {}
        self.about: dict[str, tuple[Facts | None, str | None]] = {}
        self.failures: list[Failure] = []
        self.missing: dict[str, int] = {}
        self.denied = False  # some label is said not to be there: pictures can have several, or none
        folders = {picture.rpartition("/")[0] for picture in place.tree.pictures()}
        self._near: dict[Split | None, list[str]] = {None: ["images"]}
        for folder in sorted(folders):
            self._near.setdefault(split_word(folder.rpartition("/")[2]), []).append(folder)

    def table(self, file: str, kind: str) -> None:
        split = split_in(file)
        needed = {"boxes": _BOXES, "labels": _LABELS, "list": ("ImageID",)}[kind]
        try:
            for row in csv_rows(self.place.tree.root / file, needed):
                self._row(file, kind, row, split)
        except DatasetError as error:
            self.failures.append(left_out(file, "annotation_unreadable", error.message, error.hint))

    def _row(self, file: str, kind: str, row: dict[str, str], split: Split | None) -> None:
        said = split_word(row.get("Subset", "")) or split
        picture = self.pictures.find(row.get("ImageID", ""), self._near.get(said, ()))
        if picture is None:
            self.missing[file] = self.missing.get(file, 0) + 1
            return
        if picture not in self.marks:
            self.marks[picture] = Marks(f"{self.place.tree.root}/{picture}", self.place.tree.prefix + picture, ORIGIN)
            self.splits[picture] = said or split_of(picture)
        if kind == "list":
            facts = Facts(**{field: word(row.get(column, "")) for field, column in _FACTS.items()})
            self.about[picture] = (facts if facts != Facts() else None, word(row.get("Group", "")) or None)
            return
        label = self.classes.get(word(row["LabelName"]), word(row["LabelName"])) if row.get("LabelName") else ""
        if kind == "boxes":
            self._box(self.marks[picture], row, label)
        else:
            self._label(self.marks[picture], row, label)

    def _box(self, marks: Marks, row: dict[str, str], label: str) -> None:
        sides = [number(row.get(column, "")) for column in _BOX]
        known = [value for value in sides if value is not None]
        if len(known) < 4:
            marks.refuse("box_wrong", f"a box of {label!r} that is not four numbers")
            return
        left, right, top, bottom = known
        with marks.judged():
            width, height = marks.canvas.width, marks.canvas.height
            traits = tuple(trait for column, trait in _TRAITS.items() if number(row.get(column, "")) == 1)
            marks.add(label, box=(left * width, top * height, right * width, bottom * height), traits=traits)

    def _label(self, marks: Marks, row: dict[str, str], label: str) -> None:
        sure = number(row.get("Confidence", ""))
        if sure == 1:
            marks.add(label)
        elif sure == 0:
            self.denied = True
        else:
            marks.refuse(
                "label_unsure", f"{label!r} with confidence {row.get('Confidence', '')[:20]!r} is a machine's guess, no truth"
            )


def _descriptions(place: Place) -> dict[str, str]:
    """LabelName -> what people call it, from class-descriptions*.csv, which has no header."""
    found: dict[str, str] = {}
    for file in place.tree.files:
        if not file.lower().endswith(".csv") or "class-descriptions" not in file.lower():
            continue
        try:
            with (place.tree.root / file).open(encoding="utf-8-sig", newline="") as stream:
                for cells in csv.reader(stream):
                    if len(cells) >= 2 and cells[0] != "LabelName" and word(cells[1]):
                        found[word(cells[0])] = word(cells[1])
        except (OSError, UnicodeDecodeError, csv.Error):
            continue  # the names are a comfort: without them the codes are the classes
    return found


# --- writing


def write(export: Export) -> None:
    """SPLIT/ID.jpg and SPLIT-annotations-bbox.csv, SPLIT-...-imagelabels.csv, SPLIT-images.csv; images/ without a split."""
    boxes: dict[str, list[list[str]]] = {}
    labels: dict[str, list[list[str]]] = {}
    lists: dict[str, list[list[str]]] = {}
    placed = any(one.box is not None for item in export.dataset.items for one in item.truth)
    for picture in export.pictures():
        split = {"val": "validation"}.get(picture.item.split or "", picture.item.split or "")
        export.put(f"{split or 'images'}/{picture.name}", picture.data)
        lists.setdefault(split, []).append(_listed(picture, split))
        for one in picture.item.truth:
            if one.box is None:
                labels.setdefault(split, []).append([picture.stem, "verification", one.label, "1"])
                continue
            x0, y0, x1, y1 = (short(round(v, DECIMALS) / picture.size[i % 2], _DIGITS) for i, v in enumerate(one.box))
            row = [picture.stem, "manual", one.label, "1", x0, x1, y0, y1]
            row += [str(int(trait in one.traits)) for trait in _TRAITS.values()]
            boxes.setdefault(split, []).append(row)
    plain = ("ImageID", "Source", "LabelName", "Confidence")
    for split, listed in lists.items():
        start = f"{split}-" if split else ""
        if placed:
            export.put(f"{start}annotations-bbox.csv", _csv([(*plain, *_BOX, *_TRAITS), *boxes.get(split, [])]))
        if not placed or split in labels:
            export.put(f"{start}annotations-human-imagelabels.csv", _csv([plain, *labels.get(split, [])]))
        export.put(f"{start}images.csv", _csv([_LIST, *listed]))
    export.put("class-descriptions.csv", _csv([[name, name] for name in export.dataset.classes]))


def _listed(picture: Picture, split: str) -> list[str]:
    facts = picture.item.facts or Facts()
    about = {column: str(getattr(facts, field)) for field, column in _FACTS.items()}
    about |= {"ImageID": picture.stem, "Subset": split, "Group": picture.item.group or ""}
    return [about[column] for column in _LIST]


def _csv(rows: Iterable[Iterable[str]]) -> str:
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()


FORMAT = Format(
    title="Open Images CSV",
    recognised=recognised,
    read=read,
    write=write,
    holds=frozenset({"labels", "several", "boxes", "splits", "groups", "facts", "unlabelled"}),
    traits=frozenset(_TRAITS.values()),
)
