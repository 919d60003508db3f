"""Reading JSON, XML, CSV and text that came from anywhere: bounded, without entities, every fault one DatasetError.

Knows no format: what the values mean is the format's business. `number` and its kin judge single values.
"""

from __future__ import annotations

import csv
import json
import math
import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element
from xml.parsers import expat

from sightline.errors import DatasetError

MOST_TEXT = 4 << 30  # bytes of one document; COCO's largest has 0.5 GB
_MOST_XML_DEPTH = 32
_MOST_XML_ELEMENTS = 300_000  # below one child of the root: a picture with that many objects is not one
_MOST_XML_TEXT = 1 << 20


def number(value: object) -> float | None:
    """A finite number, also one written as text; None for anything else (also for true and NaN)."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or (isinstance(value, str) and len(value) > 64):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def numbers(values: object, most: int = 1_000_000) -> list[float] | None:
    """A list of finite numbers; None when it is no list, too long, or one of them is none."""
    if not isinstance(values, list | tuple) or len(values) > most:
        return None
    if {*map(type, values)} <= {int, float}:  # nearly always; a polygon has hundreds
        try:
            plain = [*map(float, values)]
        except OverflowError:
            return None
        return plain if all(map(math.isfinite, plain)) else None
    found = [number(value) for value in values]
    return None if any(value is None for value in found) else [value for value in found if value is not None]


def word(value: object, most: int = 1000) -> str:
    """A label or name without blanks around it; "" for anything that is none. Numbers are taken as they are written."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    try:
        text = (value if isinstance(value, str) else f"{value}").strip()[:most]
        text.encode()
    except (ValueError, UnicodeEncodeError):  # an integer of 5,000 digits, half a surrogate pair
        return ""
    return text


def records(value: object) -> list[dict[str, Any]]:
    """The objects of a JSON list; anything else in it is passed over."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def head_of(path: Path, size: int = 4096) -> str:
    """The beginning of a text file, for recognising it: never an error."""
    try:
        with path.open("rb") as stream:
            data = stream.read(size)
    except OSError:
        return ""
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    return data.decode("utf-16" if wide else "utf-8-sig", errors="ignore")


def contains(path: Path, words: bytes) -> bool:
    """Whether these bytes stand somewhere in the file, however large: never an error."""
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            return whole.find(words) >= 0
    except (OSError, ValueError):  # an empty file has no map
        return False


def text_of(path: Path, most: int = MOST_TEXT) -> str:
    """The whole text of a file in UTF-8, or UTF-16 with its mark."""
    try:
        size = path.stat().st_size
        if size > most:
            raise DatasetError(f"{path.name} has {size:,} bytes; no more than {most:,} are read", hint="split it")
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"not able to read {path}: {error.strerror}", hint="check the path and its permissions") from error
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path.name} is not UTF-8 text (byte {error.start})", hint="save it in UTF-8") from error


def json_of(path: Path) -> Any:
    try:
        return json.loads(text_of(path))
    except (ValueError, RecursionError, MemoryError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else str(error) or "it is too large"
        raise DatasetError(f"{path.name} is not readable JSON: {reason}", hint="export it again, or check its end") from error


def csv_rows(path: Path, needed: Sequence[str]) -> Iterator[dict[str, str]]:
    """The rows of a CSV with a header line, streamed. DatasetError when one of the `needed` columns is missing."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            names = [name.strip() for name in next(reader, [])]
            missing = [name for name in needed if name not in names]
            if missing:
                raise DatasetError(
                    f"{path.name} has no column {missing[0]!r}", hint=f"its columns must be: {', '.join(needed)}"
                )
            for cells in reader:
                if cells:
                    yield dict(zip(names, cells, strict=False))
    except (csv.Error, UnicodeDecodeError) as error:
        raise DatasetError(f"{path.name} is not a readable CSV: {error}", hint="save it as CSV in UTF-8") from error
    except OSError as error:
        raise DatasetError(f"not able to read {path}: {error.strerror}", hint="check the path and its permissions") from error


def xml_children(path: Path, most: int = MOST_TEXT) -> Iterator[Element]:
    """The children of the root one after another, each with all that is in it; the document is never whole in memory.

    A document type or an entity is refused: with them XML can read files and fill the memory.
    """
    done: list[Element] = []
    parser = _parser(done)
    try:
        if path.stat().st_size > most:
            raise DatasetError(f"{path.name} has more than {most:,} bytes", hint="split it")
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 16):
                parser.Parse(chunk, False)
                yield from done
                done.clear()
            parser.Parse(b"", True)
        yield from done
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise DatasetError(f"{path.name} is not readable XML: {error}", hint="export it again, or check its end") from error
    except OSError as error:
        raise DatasetError(f"not able to read {path}: {error.strerror}", hint="check the path and its permissions") from error


def _parser(done: list[Element]) -> expat.XMLParserType:
    """An expat parser that appends every finished child of the root to `done`."""
    stack: list[Element] = []
    count = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count = 0 if len(stack) < 2 else count + 1
        if len(stack) >= _MOST_XML_DEPTH or count > _MOST_XML_ELEMENTS:
            raise DatasetError(
                "an XML file is nested too deep or has too many elements for one picture", hint="export it again"
            )
        element = Element(tag, attributes)
        if len(stack) >= 2:
            stack[-1].append(element)
        stack.append(element)

    def end(_: str) -> None:
        element = stack.pop()
        if len(stack) == 1:
            done.append(element)

    def text(data: str) -> None:
        element = stack[-1]
        if len(stack) >= 2 and not len(element) and len(element.text or "") < _MOST_XML_TEXT:
            element.text = (element.text or "") + data

    def refuse(*_: object) -> None:
        raise DatasetError("an XML file with a document type or entities is not read", hint="take its DOCTYPE line out")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    return parser


def for_xml(text: str) -> str:
    """Text without the characters that XML cannot hold at all; they become blanks. Escaping is another matter."""
    return "".join(sign if sign in "\t\n" or (sign >= " " and sign not in "\x7f\ufffe\uffff") else " " for sign in text)
