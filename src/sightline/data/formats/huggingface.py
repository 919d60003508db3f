"""Hugging Face's image folder: pictures with a metadata.jsonl or metadata.csv beside them that names each in `file_name`.

`label` is a word (or `labels` a list of words), `objects` holds boxes as x, y, width, height. Parquet is in parquet.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from sightline.data.formats.fields import Entry, listing, split_of, told
from sightline.data.formats.folders import split_folders
from sightline.data.formats.format import Export, Format
from sightline.data.formats.lines import lines, parsed
from sightline.data.listing import Listing, in_split, joined, left_out
from sightline.data.pictures import Tree
from sightline.data.place import Place
from sightline.data.tables import COLUMNS, Files, header_of, read_table
from sightline.errors import DatasetError
from sightline.types import Failure

_NAMES = ("metadata.jsonl", "metadata.csv")
_FILE = tuple(COLUMNS["file"])


def _recognised(place: Place) -> bool:
    return any(_names_files(place.tree.root / file) for file in _documents(place))


def _documents(place: Place) -> list[str]:
    """The metadata files at most two folders down; of two kinds in one folder the JSON lines, which can say more."""
    files = [file for file in place.documents(*_NAMES, depth=2) if file.rpartition("/")[2].lower() in _NAMES]
    rich = {file.rpartition("/")[0] for file in files if file.lower().endswith(".jsonl")}
    return [file for file in files if file.lower().endswith(".jsonl") or file.rpartition("/")[0] not in rich]


def _names_files(path: Path) -> bool:
    """Whether its first line has a `file_name` and, in a CSV, a label too."""
    try:
        if path.suffix.lower() == ".csv":
            header = header_of(path)
            return "file_name" in header.names and header.label is not None
        with path.open("rb") as stream:
            return b'"file_name"' in stream.readline(1 << 16)
    except (DatasetError, OSError):
        return False


def _read(place: Place) -> Listing:
    documents = _documents(place)
    if not documents:
        raise DatasetError(
            f"there is no metadata.jsonl and no metadata.csv in {place.tree.root.name}",
            hint="each line of metadata.jsonl names a picture: file_name, label",
        )
    parts = []
    for file in documents:
        folder = file.rpartition("/")[0]
        tree = place.tree
        for step in folder.split("/") if folder else ():
            tree = tree.below(step)
        path, split = place.tree.root / file, split_of(folder)
        if path.suffix.lower() == ".csv":
            part = read_table(path, tree, inside=True)
        else:
            failures: list[Failure] = []
            entries = list(_entries(path, tree, failures))
            part = listing("imagefolder", entries, failures)
        parts.append(in_split(part, split) if split else part)
    return joined(parts, "imagefolder")


def _entries(path: Path, tree: Tree, failures: list[Failure]) -> Iterator[Entry]:
    """One entry for every line that names a picture below the metadata's folder, each picture once; else a failure."""
    files = Files(tree, inside=True)  # file_name starts at the metadata's folder and never leaves it
    seen: set[str] = set()
    for number, text in lines(path):
        where = f"{path.name} line {number}"
        try:
            fields = parsed(text)
        except ValueError as error:
            failures.append(left_out(where, "row_broken", f"{where} is not JSON: {error}", "mend the line"))
            continue
        name = next((fields[key] for key in _FILE if key in fields), None) if isinstance(fields, dict) else None
        found = files.find(name) if isinstance(name, str) and name.isprintable() else None
        if found is None:
            shown = name if isinstance(name, str) else where
            failures.append(left_out(shown[:200], "picture_missing", f"{where}: there is no file {str(name)[:200]!r}"))
        elif found[0] in seen:
            failures.append(left_out(found[1], "row_repeated", f"{where} names it again"))
        else:
            seen.add(found[0])
            yield Entry(*found, fields)


def _write(work: Export) -> None:
    dataset = work.dataset
    folder_of = split_folders(dataset)
    rows: dict[str, list[str]] = {}
    for picture in work.pictures():
        try:
            folder = folder_of(picture.item)
        except DatasetError as error:
            work.fail(picture.item, error)
            work.written -= 1
            continue
        work.put(f"{folder}{picture.name}", picture.data)
        fields = told(picture.item, several=dataset.task == "multilabel", placed=dataset.task == "detection")
        row = {"file_name": picture.name} | fields
        rows.setdefault(folder, []).append(json.dumps(row, ensure_ascii=False))
    for folder, texts in rows.items():
        work.put(f"{folder}metadata.jsonl", "\n".join(texts) + "\n")


FORMAT = Format(
    "Hugging Face image folder",
    _recognised,
    _read,
    _write,
    frozenset({"labels", "several", "boxes", "splits", "groups", "facts", "unlabelled"}),
    files=("metadata.jsonl",),
)
