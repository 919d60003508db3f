"""One CSV with a row for each picture: `file,label[,split,group,licence,source]`; several labels in a cell: `cat|dog`.

Column names are matched by synonyms without regard to case; `,`, `;` and tab separate; UTF-8 or UTF-16.
"""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sightline.data.listing import SPLITS, Listing, Row, left_out, summary
from sightline.data.pictures import Tree, is_picture
from sightline.errors import DatasetError
from sightline.types import Facts, Failure, Split

# column -> accepted names, best first; compared after `lower()` with blanks and dashes as `_`
COLUMNS: dict[str, tuple[str, ...]] = {
    column: tuple(words.split())
    for column, words in {
        "file": "file filename file_name filepath file_path path image image_path image_file image_name picture picture_path"
        " photo img img_path image_id name uri",
        "label": "label labels class classes class_name category categories tag tags target label_name",
        "split": "split set subset partition",
        "group": "group groups group_id patient patient_id subject subject_id session scene",
    }.items()
}
# what is known about a picture besides its truth (types.Facts)
FACTS: dict[str, tuple[str, ...]] = {
    "source": ("source", "source_url"),
    "licence": ("licence", "license"),
    "author": ("author", "photographer"),
    "consent": ("consent",),
    "taken_at": ("taken_at",),
}
_HINT = "the first line must name the columns: file,label and, if wanted, split,group; several labels: cat|dog"


@dataclass(frozen=True, slots=True)
class Header:
    """Where the columns stand; None: not there."""

    names: tuple[str, ...]
    delimiter: str
    file: int | None
    label: int | None
    split: int | None
    group: int | None
    facts: tuple[tuple[str, int], ...] = ()


class Files:
    """Finds the file a cell means: the path from the table's folder, else the one file of that name (or stem) below it."""

    def __init__(self, tree: Tree, beside: Path | None = None, *, inside: bool = False) -> None:
        """`beside`: a second folder paths may start from; `inside`: never look outside the tree (foreign archives)."""
        self._tree, self._inside = tree, inside
        self._bases = (tree.root,) if beside is None or inside else (tree.root, beside)
        self._known = frozenset(tree.files)
        self._loose: dict[str, list[str]] | None = None

    def find(self, cell: str) -> tuple[str, str] | None:
        """(absolute path, name) of the picture, or None."""
        plain = cell.replace("\\", "/").removeprefix("./")
        for name in (cell, plain):
            if name in self._known:
                return f"{self._tree.root}/{name}", self._tree.prefix + name
        if not self._inside and ("/" in plain or len(self._bases) > 1):  # absolute, `../`, hidden or beside another folder
            for base in self._bases:
                path = base / plain
                with suppress(OSError):  # a name too long for this system
                    if path.is_file():
                        return str(path), plain
        near = self._by_name().get(plain.rpartition("/")[2] if self._inside else plain, [])
        return (f"{self._tree.root}/{near[0]}", self._tree.prefix + near[0]) if len(near) == 1 else None

    def _by_name(self) -> dict[str, list[str]]:
        if self._loose is None:
            self._loose = {}
            for file in self._tree.pictures():
                base = file.rpartition("/")[2]
                for key in {base, base.rpartition(".")[0]}:
                    self._loose.setdefault(key, []).append(file)
        return self._loose


def header_of(path: Path) -> Header:
    """The column names of a CSV and what they mean; DatasetError when it is not readable text."""
    first = next((line for line in _text(path, first_line=True).splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    try:
        names = tuple(cell.strip() for cell in next(csv.reader([first], delimiter=delimiter), []))
    except csv.Error as error:
        raise _unreadable(path, error) from error
    plain = [name.lower().replace(" ", "_").replace("-", "_") for name in names]
    spots = {column: next((plain.index(w) for w in words if w in plain), None) for column, words in COLUMNS.items()}
    facts = tuple((fact, plain.index(near[0])) for fact, words in FACTS.items() if (near := [w for w in words if w in plain]))
    return Header(names, delimiter, **spots, facts=facts)


def has_table(tree: Tree) -> Path | None:
    """The one CSV directly in the folder that names its pictures, or None.

    A CSV beside class folders may be about something else, so at least one of its first 50 files must be found.
    """
    tables = [tree.root / file for file in tree.here() if file.lower().endswith((".csv", ".tsv"))]
    fitting = [path for path in tables if _fits(path, tree)]
    if len(fitting) > 1:
        names = ", ".join(path.name for path in fitting)
        raise DatasetError(f"several tables name pictures of {tree.root}: {names}", hint="say which one with --labels")
    return fitting[0] if fitting else None


def _fits(path: Path, tree: Tree) -> bool:
    try:
        header = header_of(path)
        if header.file is None or header.label is None:
            return False
        files = Files(tree, inside=True)
        for _, (number, cells) in zip(range(50), _rows(path, header), strict=False):
            if number and header.file < len(cells) and files.find(cells[header.file].strip()):
                return True
    except DatasetError:
        return False
    return False


def read_table(path: Path, tree: Tree, *, inside: bool = False) -> Listing:
    """The rows of a CSV whose paths start at `tree.root` (or at the CSV's own folder).

    Left out, each with its reason: rows without a label, rows whose file is missing, repeated rows, contradicting rows.
    Raises DatasetError when columns are missing, a split is unknown, or more than half of the rows are of no use.
    """
    header = header_of(path)
    _need_columns(path, header)
    beside = None if path.parent == tree.root else path.parent
    files = Files(tree, beside, inside=inside)
    found: dict[str, tuple[int, Row]] = {}
    failures: list[Failure] = []
    count, several = 0, False
    unlabelled: list[tuple[int, Row]] = []
    contradicted: set[str] = set()
    for number, cells in _rows(path, header):
        count += 1
        cell = _cell(cells, header.file)
        place = files.find(cell) if cell else None
        if place is None:
            missing = f"there is no file {cell!r}" if cell else "the file column is empty"
            failures.append(left_out(cell or f"row {number}", "picture_missing", f"{path.name} row {number}: {missing}"))
            continue
        several = several or "|" in _cell(cells, header.label)
        split = _split(path, number, _cell(cells, header.split))
        row = Row(
            *place,
            _labels(_cell(cells, header.label)),
            split,
            _unguarded(_cell(cells, header.group)) or None,
            facts=_facts(cells, header),
        )
        before = found.get(row.uri)
        if before is None:
            found[row.uri] = (number, row)
        elif set(before[1].labels) == set(row.labels):
            failures.append(left_out(row.name, "row_repeated", f"{path.name} row {number} repeats row {before[0]}"))
        else:
            contradicted.add(row.uri)
            message = f"{path.name} rows {before[0]} and {number} give it different labels"
            failures.append(left_out(row.name, "label_conflict", message, "write cat|dog in one row when both are right"))
    kept = [(number, row) for uri, (number, row) in found.items() if uri not in contradicted]
    if not several:  # where a cell can hold several labels, none is an answer too: none of them
        unlabelled = [(number, row) for number, row in kept if not row.labels]
        kept = [(number, row) for number, row in kept if row.labels]
    failures += [left_out(row.name, "label_missing", f"{path.name} row {number} has no label") for number, row in unlabelled]
    _enough(path, count, failures)
    return Listing(tuple(row for _, row in kept), tuple(failures), several=several, kind="table")


def _need_columns(path: Path, header: Header) -> None:
    if header.names and is_picture(header.names[0]):
        raise DatasetError(f"{path.name} has no header line: it starts with {header.names[0]!r}", hint=_HINT)
    for column, spot in (("file", header.file), ("label", header.label)):
        if spot is not None:
            continue
        words = {w: name for name in header.names for w in (name.lower(),)}
        near = [words[w] for word in COLUMNS[column] for w in difflib.get_close_matches(word, words, 1, 0.75)]
        columns = ", ".join(repr(name) for name in header.names) or "none"
        raise DatasetError(
            f"{path.name} has no {column} column; columns found: {columns}",
            hint=f"rename the column {near[0]!r} to '{column}'" if near else _HINT,
            detail={"columns": list(header.names)},
        )


def _enough(path: Path, count: int, failures: list[Failure]) -> None:
    """Refuse a table most of whose rows are of no use: the paths or columns are wrong, not single rows."""
    if not count:
        raise DatasetError(f"{path.name} has no rows below its header", hint=_HINT)
    useless = [failure for failure in failures if failure.error.code != "row_repeated"]
    if 2 * len(useless) <= count:
        return
    missing = any(failure.error.code == "picture_missing" for failure in useless)
    raise DatasetError(
        f"{len(useless)} of the {count} rows of {path.name} cannot be used ({summary(useless)}); "
        f"first: {useless[0].error.message}",
        hint="paths are relative to the CSV's folder, or to the folder given with it"
        if missing
        else "fill in the label column",
        detail={"rows": count, "unusable": len(useless)},
    )


def _split(path: Path, number: int, word: str) -> Split | None:
    if not word:
        return None
    split = SPLITS.get(word.lower())
    if split is None:
        near = difflib.get_close_matches(word.lower(), SPLITS, 1)
        raise DatasetError(
            f"{path.name} row {number}: unknown split {word!r}",
            hint=f"did you mean {near[0]!r}?" if near else "a split is train, val or test, or empty",
        )
    return split


def _facts(cells: list[str], header: Header) -> Facts | None:
    known = {fact: _unguarded(text) for fact, spot in header.facts if (text := _cell(cells, spot))}
    return Facts(**known) if known else None


def _labels(cell: str) -> tuple[str, ...]:
    """`cat | dog` -> ("cat", "dog"); a quote that guards a formula in spreadsheets ('=, '+, '-, '@) is taken off."""
    found: dict[str, None] = {}
    for part in cell.split("|"):
        label = _unguarded(part.strip())
        if label:
            found[label] = None
    return tuple(found)


def _unguarded(text: str) -> str:
    return text[1:] if text[:1] == "'" and text[1:2] in ("=", "+", "-", "@") else text


def _cell(cells: list[str], spot: int | None) -> str:
    return cells[spot].strip() if spot is not None and spot < len(cells) else ""


def _rows(path: Path, header: Header) -> Iterator[tuple[int, list[str]]]:
    """(row number as a spreadsheet counts, cells) of every row that is not empty, without the header."""
    reader = csv.reader(io.StringIO(_text(path), newline=""), delimiter=header.delimiter)
    seen_header = False
    try:
        for number, cells in enumerate(reader, 1):
            if not any(cell.strip() for cell in cells):
                continue
            if seen_header:
                yield number, cells
            seen_header = True
    except csv.Error as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: csv.Error) -> DatasetError:
    return DatasetError(f"{path.name} is not a readable CSV: {error}", hint="save it as CSV in UTF-8")


def _text(path: Path, *, first_line: bool = False) -> str:
    """The table's text. Excel's "Unicode text" is UTF-16 with a mark; everything else must be UTF-8."""
    try:
        with path.open("rb") as stream:
            data = stream.read(1 << 16) if first_line else stream.read()
    except OSError as error:
        raise DatasetError(f"not able to read {path}: {error.strerror}", hint="check the path and its permissions") from error
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    if first_line and not wide:
        data = data.lstrip(b"\r\n").partition(b"\n")[0] if b"\n" in data else data
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig", errors="ignore" if wide and first_line else "strict")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path.name} is not UTF-8 text (byte {error.start})", hint="save it as CSV in UTF-8") from error
    if "\x00" in text:
        raise DatasetError(f"{path.name} is not a text table", hint="export the spreadsheet as CSV in UTF-8")
    return text
