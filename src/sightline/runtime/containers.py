"""The parts that picture files are made of: JPEG segments, PNG and WEBP chunks, GIF blocks, in the order of the file.

Never raises for a cut or lying file: a part ends where the file ends. Knows neither pixels nor what a part means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from sightline.errors import PictureError

# A 100 MB GIF of honest blocks has 400,000 of them; more is a file made to keep its reader busy
MOST_PARTS = 1_000_000

_MARKER = re.compile(rb"\xff[\x01-\xfe]")  # what libjpeg takes for the next marker: whatever stands before is skipped
_AFTER_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # within a scan FF00 is a byte of it, FFD0-FFD7 are restarts
_STANDALONE = {0x01, *range(0xD0, 0xD8)}
_GIF_BLOCK = re.compile(rb"[!,;]")


class Part(NamedTuple):
    """A named piece of a file: `whole` with its header, length and checksum, `body` without. Views, not copies."""

    name: str
    whole: memoryview
    body: memoryview


def jpeg_parts(data: bytes) -> Iterator[Part]:
    """Segments of a JPEG after its start (ITU-T T.81 annex B), named by the marker in hex ("E1"), entropy data as "scan".

    Ends at the end marker "D9": what stands behind it (further pictures, videos of telephones) is no part of the picture.
    """
    view, at, count = memoryview(data), 2, 0
    while found := _MARKER.search(data, at):
        count = _one_more(count)
        start = found.start()
        marker = data[start + 1]
        if marker in _STANDALONE or marker == 0xD8:
            at = start + 2
            continue
        if marker == 0xD9:
            yield Part("D9", view[start : start + 2], view[start + 2 : start + 2])
            return
        at = start + 2 + max(2, int.from_bytes(data[start + 2 : start + 4], "big"))
        yield Part(f"{marker:02X}", view[start:at], view[start + 4 : at])
        if marker == 0xDA:
            stop = _AFTER_SCAN.search(data, at)
            start, at = at, stop.start() if stop else len(data)
            yield Part("scan", view[start:at], view[start:at])


def png_parts(data: bytes) -> Iterator[Part]:
    """Chunks of a PNG after its signature (PNG specification, third edition, section 5.3), up to and with IEND."""
    view, at, count = memoryview(data), 8, 0
    while at + 8 <= len(data):
        count = _one_more(count)
        length = int.from_bytes(data[at : at + 4], "big")
        name = data[at + 4 : at + 8].decode("latin-1")
        yield Part(name, view[at : at + 12 + length], view[at + 8 : at + 8 + length])
        at += 12 + length
        if name == "IEND":
            return


def riff_parts(view: memoryview, start: int, end: int) -> Iterator[Part]:
    """Chunks between two places of a RIFF file (RFC 9649 section 2.3); of a WEBP: from 12 to 8 + its size, see `webp_end`."""
    at, count = start, 0
    while at + 8 <= min(end, len(view)):
        count = _one_more(count)
        length = int.from_bytes(view[at + 4 : at + 8], "little")
        after = min(at + 8 + length + length % 2, end)
        yield Part(bytes(view[at : at + 4]).decode("latin-1"), view[at:after], view[at + 8 : min(at + 8 + length, end)])
        at += 8 + length + length % 2


def webp_end(data: bytes) -> int:
    """Where a WEBP says that it ends."""
    return min(len(data), int.from_bytes(data[4:8], "little") + 8)


def gif_parts(data: bytes) -> Iterator[Part]:
    """Blocks of a GIF89a: "header", "image", extensions by their label ("F9" "FE" "01", "FF" + application), ";"."""
    view = memoryview(data)
    at = 13 + _colours(data, 10)
    yield Part("header", view[:at], view[13:at])
    count = 0
    while found := _GIF_BLOCK.search(data, at):
        start = found.start()
        if data[start] == 0x3B:
            yield Part(";", view[start : start + 1], view[start + 1 : start + 1])
            return
        if data[start] == 0x21:
            name = f"{data[start + 1]:02X}" if start + 1 < len(data) else ""
            body = start + 2
            if name == "FF":
                name += bytes(data[start + 3 : start + 14]).decode("latin-1")
        else:
            name = "image"
            body = start + 10 + _colours(data, start + 9) + 1  # descriptor, colours, code size
        at = body
        while at < len(data):
            count = _one_more(count)
            size = data[at]
            at += 1 + size
            if size == 0:
                break
        yield Part(name, view[start:at], view[body:at])


def _colours(data: bytes, at: int) -> int:
    """Bytes of the colour table that the flags at `at` announce."""
    flags = data[at] if at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _one_more(count: int) -> int:
    if count >= MOST_PARTS:
        raise PictureError(
            f"the file is made of more than {MOST_PARTS:,} parts", hint="save the picture again, or leave it out"
        )
    return count + 1
