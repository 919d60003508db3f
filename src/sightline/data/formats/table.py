"""One CSV with a row for each picture, `file,label,split,group,licence,source`, and the pictures in a folder beside it."""

from __future__ import annotations

import csv
import io

from sightline.data.formats.format import Export, Format
from sightline.data.listing import Listing
from sightline.data.place import Place
from sightline.data.tables import has_table, read_table
from sightline.errors import DatasetError
from sightline.types import Facts, Item

_COLUMNS = ("file", "label", "split", "group", "licence", "source")
_RARE = ("author", "consent", "taken_at")  # columns that are written only when a picture has them
_HINT = "give a folder with a CSV whose first line names the columns file,label"


def _recognised(place: Place) -> bool:
    return place.given is None and has_table(place.tree) is not None


def _read(place: Place) -> Listing:
    tables = [file for file in place.tree.here() if file.lower().endswith((".csv", ".tsv"))]
    name = place.given or (tables[0] if len(tables) == 1 else None)  # one that fits nothing: reading it says why
    path = place.tree.root / name if name else has_table(place.tree)
    if path is None:
        raise DatasetError(f"there is no table in {place.tree.root.name}", hint=_HINT)
    return read_table(path, place.tree, inside=place.inside)


def _write(work: Export) -> None:
    dataset = work.dataset
    rare = tuple(name for name in _RARE if any(item.facts and getattr(item.facts, name) for item in dataset.items))
    # a bar says that a cell can hold several labels; where no picture has two, it stands alone behind the first
    barred = dataset.task == "multilabel" and not any(len(item.labels) > 1 for item in dataset.items)
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow((*_COLUMNS, *rare))
    for picture in work.pictures():
        try:
            label = _label(picture.item, barred=barred, needed=dataset.task != "multilabel")
        except DatasetError as error:
            work.fail(picture.item, error)
            work.written -= 1
            continue
        file = f"pictures/{picture.name}"
        work.put(file, picture.data)
        facts = picture.item.facts or Facts()
        said = (picture.item.group or "", facts.licence, facts.source, *(getattr(facts, name) for name in rare))
        table.writerow((file, label, picture.item.split or "", *map(_guarded, said)))
    work.put("labels.csv", text.getvalue())


def _label(item: Item, *, barred: bool, needed: bool) -> str:
    """`cat|dog`; DatasetError for a label that a cell cannot hold."""
    if needed and not item.labels:
        raise DatasetError(f"{item.name} has no label", hint="choose another format: imagefolder")
    for label in item.labels:
        if "|" in label or label != label.strip():
            raise DatasetError(f"a CSV cell cannot hold the label {label!r}", hint="choose another format: imagefolder")
    return "|".join(map(_guarded, item.labels)) + ("|" if barred else "")


def _guarded(text: str) -> str:
    """Text that a spreadsheet would take for a formula gets a quote before it; reading takes it off."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") and text[:1] else text


FORMAT = Format(
    "CSV",
    _recognised,
    _read,
    _write,
    frozenset({"labels", "several", "splits", "groups", "facts", "unlabelled"}),
    files=(".csv", ".tsv", ".txt"),
)
