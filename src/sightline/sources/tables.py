"""Tables of paths or addresses: CSV, JSON lines, Parquet. Columns go by the synonyms of data.tables; labels may be missing.

A CSV of labelled files is read by data.readers, like everywhere; here come addresses, other kinds of table, and no labels.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sightline.data.formats.fields import Said, said
from sightline.data.listing import left_out
from sightline.data.tables import COLUMNS, header_of
from sightline.errors import DatasetError, missing_extra
from sightline.sources import About, Arrival, Options
from sightline.sources.addresses import joined
from sightline.sources.wanted import Wanted, name_of
from sightline.types import Annotation, Facts, Failure

_FILE = ("url", "image_url", "picture_url", "download_url", *COLUMNS["file"], "uri", "href")
_BUCKETS = ("s3://", "gs://", "gcs://", "az://", "abfs://", "memory://")
_MOST = 512 << 20  # bytes of a text table
Bring = Callable[[Sequence[Wanted]], Iterator[Arrival | Failure]]


def arrivals(source: str, options: Options) -> Iterator[Arrival | Failure]:
    """The pictures that a table names, with what it says about them."""
    path = Path(source).expanduser().absolute()
    if _of_readers(path):
        from sightline.sources.places import laid_out

        return laid_out(path, options)

    def bring(wanted: Sequence[Wanted]) -> Iterator[Arrival | Failure]:
        from sightline.sources.fetch import Access
        from sightline.sources.lists import fetched

        return fetched(wanted, options, Access(options.allow_private))

    return rows_of(path, options, bring)


def rows_of(path: Path, options: Options, bring: Bring, *, base: str = "") -> Iterator[Arrival | Failure]:
    """The pictures of the table `path`; `bring` fetches those that lie at web addresses.

    base: the address the table itself was fetched from; its rows then mean no files of this machine.

    Raises DatasetError when no column names files, or the table cannot be read.
    """
    wanted: list[Wanted] = []
    here: list[Wanted | Failure] = []
    several = placed = False
    for number, fields in _rows(path):
        plain = {_plain(name): value for name, value in fields.items()}
        cell = next((value for name in _FILE if (value := plain.get(name)) not in (None, "")), None)
        if not isinstance(cell, str):
            here.append(left_out(f"row {number}", "picture_missing", f"{path.name} row {number}: it names no file"))
            continue
        try:
            words = said(_words(plain))
        except ValueError as error:
            here.append(left_out(cell, "label_unknown", f"{path.name} row {number}: {error}"))
            continue
        several, placed = several or words.several or len(words.labels) > 1, placed or words.placed
        one = _wanted(cell.strip(), words)
        if base or cell.lower().startswith(("http://", "https://")):
            wanted.append(one._replace(url=joined(base, one.url)))
        else:
            here.append(one if (why := _refused(one.url, path, number)) is None else why)
    options.about(About(len(here) + len(wanted), several, placed))
    for found in here:
        yield found if isinstance(found, Failure) else _local(found, path)
    if wanted:
        yield from bring(wanted)


def _wanted(cell: str, words: Said) -> Wanted:
    """What a row says of the picture at `cell`; boxes and labels of the whole picture together are marks."""
    marks = [Annotation(label=label, box=box, origin="import:table") for label, box in words.boxes]
    marks += [Annotation(label=label, origin="import:table") for label in words.labels] if marks else []
    return Wanted(cell, "", words.labels, tuple(marks), words.split, words.group, words.facts)


def _refused(cell: str, path: Path, number: int) -> Failure | None:
    """Why a row's cell that is no web address leads to no picture."""
    if cell.lower().startswith(_BUCKETS):
        return None
    if "://" in cell:
        kind = cell.partition(":")[0][:20]
        return left_out(
            cell[:200], "address_refused", f"{path.name} row {number}: {kind} addresses are not followed from a table"
        )
    try:
        if _file(cell, path).is_file():
            return None
    except (OSError, ValueError, RuntimeError):
        pass
    return left_out(cell[:200], "picture_missing", f"{path.name} row {number}: there is no file {cell[:200]!r}")


def _file(cell: str, path: Path) -> Path:
    return (path.parent / Path(cell.replace("\\", "/")).expanduser()).absolute()


def _local(row: Wanted, path: Path) -> Arrival | Failure:
    """A file of this machine (relative to the table's folder), or an object in a bucket."""
    said = (row.labels, row.marks, row.split, row.group)
    if row.url.lower().startswith(_BUCKETS):
        from sightline.sources.bucket import one

        data = one(row.url)
        facts = row.facts or Facts(source=row.url)
        return data if isinstance(data, Failure) else Arrival(name_of(row.url), data, None, *said, facts, row.url)
    file = _file(row.url, path)
    name = row.url.replace("\\", "/").removeprefix("./")
    name = file.name if name.startswith(("/", "~")) or ".." in name.split("/") or ":" in name else name
    return Arrival(name, None, file, *said, row.facts, str(file))


def _of_readers(path: Path) -> bool:
    """A CSV with files and labels and no address in its file column; a Parquet file with the pictures in it."""
    if path.suffix.lower() == ".parquet":
        names = _columns(path)
        return not any(_plain(name) in _FILE and kind in ("string", "large_string") for name, kind in names.items())
    if path.suffix.lower() not in (".csv", ".tsv"):
        return False
    header = header_of(path)
    if header.file is None or header.label is None:
        return False
    plain = [_plain(name) for name in header.names]
    urls = any(name in plain for name in _FILE[:4])
    return not urls and not any(
        "://" in str(list(row.values())[header.file]) for _, row in zip(range(200), _csv(path), strict=False)
    )


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """(number as a person counts, fields) of every row."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        yield from enumerate(_parquet(path), 1)
    elif suffix in (".csv", ".tsv"):
        yield from enumerate(_csv(path), 2)
    else:
        yield from _lines(path)


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    header = header_of(path)
    if not any(_plain(name) in _FILE for name in header.names):
        columns = ", ".join(repr(name) for name in header.names) or "none"
        raise DatasetError(
            f"{path.name} has no column of files or addresses; columns found: {columns}", hint="call it file or url"
        )
    reader = csv.reader(io.StringIO(_text(path), newline=""), delimiter=header.delimiter)
    try:
        rows = (cells for cells in reader if any(cell.strip() for cell in cells))
        next(rows, None)
        for cells in rows:
            yield {name: cell.strip() for name, cell in zip(header.names, [*cells, *[""] * len(header.names)], strict=False)}
    except csv.Error as error:
        raise DatasetError(f"{path.name} is not a readable CSV: {error}", hint="save it as CSV in UTF-8") from error


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DatasetError(
                f"{path.name} line {number} is not JSON: {error}", hint="write one JSON object on each line"
            ) from error
        if not isinstance(row, dict):
            raise DatasetError(
                f"{path.name} line {number} is no JSON object", hint='write {"file": "a.jpg", "label": "cat"} on each line'
            )
        yield number, row


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    pyarrow = _pyarrow()
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(4096):
                yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise DatasetError(f"{path.name} is no Parquet file that can be read: {error}", hint="write it again") from error


def _columns(path: Path) -> dict[str, str]:
    pyarrow = _pyarrow()
    try:
        return {field.name: str(field.type) for field in pyarrow.parquet.read_schema(path)}
    except (pyarrow.ArrowException, OSError) as error:
        raise DatasetError(f"{path.name} is no Parquet file that can be read: {error}", hint="write it again") from error


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise missing_extra("data", "a Parquet table") from error
    return pyarrow


def _text(path: Path) -> str:
    if path.stat().st_size > _MOST:
        raise DatasetError(
            f"{path.name} has {path.stat().st_size / 1e6:.0f} MB of text", hint="cut it into parts, or use Parquet"
        )
    data = path.read_bytes()
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path.name} is not UTF-8 text (byte {error.start})", hint="save it in UTF-8") from error


def _plain(name: str) -> str:
    return str(name).strip().lower().replace(" ", "_").replace("-", "_")


def _words(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields as `said` takes them: a cell `cat|dog` is a list of labels."""
    label = next((name for name in COLUMNS["label"] if fields.get(name) not in (None, "")), None)
    value = fields.get(label) if label else None
    if isinstance(value, str) and "|" in value:
        return fields | {str(label): [part.strip() for part in value.split("|") if part.strip()]}
    return fields
