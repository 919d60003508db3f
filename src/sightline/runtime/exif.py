"""What an EXIF block says about people and places, in words; and the smallest block there is. Knows no picture files.

EXIF is a TIFF without pixels (CIPA DC-008, TIFF 6.0). At most four directories are read, none twice: no loops, no recursion.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

GPS = "GPS position"
SERIAL = "camera serial number"
LENS = "lens serial number"
OWNER = "owner's name"
COMPUTER = "computer name"
COPYRIGHT = "copyright notice"
KEYWORDS = "keywords"
IPTC = "IPTC"
TIME = "time taken"
MODEL = "camera model"
THUMBNAIL = "thumbnail"
COMMENT = "comment"
DESCRIPTION = "description"

_WORDS = {
    0x010E: DESCRIPTION,
    0x010F: MODEL,
    0x0110: MODEL,
    0x0132: TIME,
    0x013B: OWNER,
    0x013C: COMPUTER,
    0x02BC: "XMP",
    0x8298: COPYRIGHT,
    0x83BB: IPTC,
    0x8649: "Photoshop data",
    0x9C9B: DESCRIPTION,
    0x9C9C: COMMENT,
    0x9C9D: OWNER,
    0x9C9E: KEYWORDS,
    0x9C9F: DESCRIPTION,
    0xC62F: SERIAL,
}
_EXIF_WORDS = {
    0x9003: TIME,
    0x9004: TIME,
    0x927C: "maker note",
    0x9286: COMMENT,
    0xA420: "picture identifier",
    0xA430: OWNER,
    0xA431: SERIAL,
    0xA433: MODEL,
    0xA434: MODEL,
    0xA435: LENS,
    0xA436: DESCRIPTION,
    0xA437: OWNER,
    0xA438: OWNER,
    0xA43A: MODEL,
}
_GPS_WORDS = {0x0002: GPS, 0x0004: GPS, 0x0014: GPS, 0x0016: GPS, 0x001B: GPS, 0x001C: GPS, 0x001D: TIME}
_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_JPEG_IN_IFD1 = 0x0201
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_READ = 256  # bytes of a value that are looked at: whether it is blank


class _Entry(NamedTuple):
    tag: int
    value: bytes
    number: int  # the value as an offset


class _Layout(NamedTuple):
    """TIFF, or BigTIFF with 8-byte numbers."""

    order: str
    big: bool

    def number(self, data: bytes | memoryview, at: int) -> int:
        size = 8 if self.big else 4
        return int.from_bytes(data[at : at + size], "little" if self.order == "<" else "big")


def orientation_block(orientation: int) -> bytes:
    """A TIFF block with one tag, the orientation 1-8 (tag 274): what remains of EXIF when the rest is private. 26 bytes."""
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 274, 3, 1, orientation, 0, 0)


def private_words(block: bytes | memoryview, *, page: bool = False) -> list[str]:
    """What the EXIF block (with or without "Exif\\0\\0" before it) or TIFF file says, in words; [] when it makes no sense.

    page: it is a TIFF file, whose second directory is a page, not a thumbnail. Blank values do not count.
    """
    if bytes(block[:6]) == b"Exif\0\0":
        block = block[6:]
    layout = {
        b"II*\0": _Layout("<", False),
        b"MM\0*": _Layout(">", False),
        b"II+\0": _Layout("<", True),
        b"MM\0+": _Layout(">", True),
    }.get(bytes(block[:4]))
    if layout is None:
        return []
    start = layout.number(block, 8 if layout.big else 4)
    entries, after = _directory(block, start, layout)
    words = list(_named(entries, _WORDS))
    for entry in entries:
        if entry.tag in (_EXIF_IFD, _GPS_IFD):
            below, _ = _directory(block, entry.number, layout)
            words += _named(below, _GPS_WORDS if entry.tag == _GPS_IFD else _EXIF_WORDS)
    if after and not page and any(entry.tag == _JPEG_IN_IFD1 for entry in _directory(block, after, layout)[0]):
        words.append(THUMBNAIL)
    return list(dict.fromkeys(words))


def _named(entries: list[_Entry], words: dict[int, str]) -> Iterator[str]:
    for entry in entries:
        word = words.get(entry.tag)
        if word and entry.value.removeprefix(b"ASCII\0\0\0").strip(b"\0 "):
            yield word


def _directory(block: bytes | memoryview, at: int, layout: _Layout) -> tuple[list[_Entry], int]:
    """Entries of the directory at `at`, and where the next one is (0: nowhere); what lies beyond the end is left out."""
    counted, size, inline = (8, 20, 8) if layout.big else (2, 12, 4)
    if not 0 < at <= len(block) - counted:
        return [], 0
    little = "little" if layout.order == "<" else "big"
    count = int.from_bytes(block[at : at + counted], little)  # type: ignore[arg-type]
    first = at + counted
    end = first + size * count
    entries: list[_Entry] = []
    seen: set[int] = set()
    for place in range(first, min(end, len(block) - size + 1, first + size * 65_535), size):
        tag, kind = struct.unpack_from(layout.order + "HH", block, place)
        if tag in seen:  # a tag stands once: thousands of equal ones would send us to as many directories
            continue
        seen.add(tag)
        length = _SIZES.get(kind, 1) * layout.number(block, place + 4)
        slot = place + 4 + inline
        start = slot if length <= inline else layout.number(block, slot)
        entries.append(_Entry(tag, bytes(block[start : start + min(length, _READ)]), layout.number(block, slot)))
    return entries, layout.number(block, end) if end <= len(block) - inline else 0
