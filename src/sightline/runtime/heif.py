"""Which metadata items a HEIC or AVIF file holds (ISO/IEC 14496-12 section 8.11). Knows no pixels and no meaning of items.

Every number of the file is checked against its length; a box is looked at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_MOST = 4096  # boxes or items of one file; telephones write about 60


class _Box(NamedTuple):
    kind: bytes
    start: int  # of its content
    end: int


class _Reader:
    """Big-endian numbers from a place on; beyond the end they are 0."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def take(self, size: int) -> int:
        number = int.from_bytes(self.data[self.at : self.at + size], "big")
        self.at += size
        return number


def items(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(type, content) of every item that holds no coded picture: "Exif", "mime" (XMP), ...; ("thmb", b"") for a thumbnail."""
    meta = next((box for box in _boxes(data, 0, len(data)) if box.kind == b"meta"), None)
    if meta is None:
        return
    inside = {box.kind: box for box in reversed(list(_boxes(data, meta.start + 4, meta.end)))}
    places = _places(data, inside[b"iloc"]) if b"iloc" in inside else {}
    base = inside[b"idat"].start if b"idat" in inside else 0
    for number, kind in _kinds(data, inside[b"iinf"]) if b"iinf" in inside else ():
        if kind in ("Exif", "mime", "uri "):
            in_idat, start, length = places.get(number, (False, 0, 0))
            start += base if in_idat else 0
            yield kind, data[start : start + length] if length else b""
    if b"iref" in inside and any(box.kind == b"thmb" for box in _boxes(data, inside[b"iref"].start + 4, inside[b"iref"].end)):
        yield "thmb", b""


def _boxes(data: bytes, at: int, end: int) -> Iterator[_Box]:
    end = min(end, len(data))
    for _ in range(_MOST):
        if at + 8 > end:
            return
        length, head = int.from_bytes(data[at : at + 4], "big"), 8
        if length == 1:
            length, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        if length == 0:
            length = end - at
        if length < head:
            return
        yield _Box(data[at + 4 : at + 8], at + head, min(at + length, end))
        at += length


def _kinds(data: bytes, box: _Box) -> Iterator[tuple[int, str]]:
    """(item number, item type) from the item information box, version 2 and later entries."""
    start = box.start + (6 if data[box.start : box.start + 1] == b"\0" else 8)  # version and flags, number of entries
    for entry in _boxes(data, start, box.end):
        version = data[entry.start] if entry.start < entry.end else 0
        if entry.kind != b"infe" or version < 2:
            continue
        reader = _Reader(data, entry.start + 4)
        number = reader.take(2 if version == 2 else 4)
        reader.take(2)  # protection
        yield number, data[reader.at : reader.at + 4].decode("latin-1")


def _places(data: bytes, box: _Box) -> dict[int, tuple[bool, int, int]]:
    """Item number -> (relative to idat, offset, length) of its first extent, from the item location box."""
    version = data[box.start] if box.start < box.end else 0
    reader = _Reader(data, box.start + 4)
    sizes = reader.take(2)
    offset_size, length_size, base_size = sizes >> 12 & 15, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version in (1, 2) else 0
    wide = 4 if version == 2 else 2
    found: dict[int, tuple[bool, int, int]] = {}
    for _ in range(min(reader.take(wide), _MOST)):
        if reader.at >= box.end:
            break
        number = reader.take(wide)
        method = reader.take(2) & 15 if version in (1, 2) else 0
        reader.take(2)  # data reference
        base = reader.take(base_size)
        extents = min(reader.take(2), _MOST)
        reader.take(index_size)
        offset, length = reader.take(offset_size), reader.take(length_size)
        reader.at += max(0, extents - 1) * (index_size + offset_size + length_size)
        found.setdefault(number, (method == 1, base + offset, length))
    return found
