"""Private metadata of picture files: what there is, in words, and the same picture without it, pixel for pixel.

What is kept is on a list, everything else goes: a new kind of metadata is private until somebody says otherwise. Knows no
datasets and no network; reads the containers through `containers`, `exif` and `heif`.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

from sightline.errors import PictureError
from sightline.runtime.containers import Part, gif_parts, jpeg_parts, png_parts, riff_parts, webp_end
from sightline.runtime.exif import (
    COMMENT,
    COMPUTER,
    COPYRIGHT,
    DESCRIPTION,
    GPS,
    IPTC,
    KEYWORDS,
    LENS,
    OWNER,
    SERIAL,
    THUMBNAIL,
    TIME,
    orientation_block,
    private_words,
)
from sightline.runtime.headers import exif_orientation, jpeg_orientation, sniff
from sightline.runtime.limits import Limits

Bytes = bytes | memoryview
XMP = "XMP"
RAW = "EXIF"  # as text inside a PNG: not read
CREDENTIALS = "content credentials"
# of the words of `private` those that tell where a picture was taken or whose it is, or may as free or unread text
PERSONAL = frozenset(
    {GPS, OWNER, SERIAL, LENS, COMPUTER, COPYRIGHT, KEYWORDS, IPTC, COMMENT, DESCRIPTION, RAW, CREDENTIALS, "text"}
)
_UNKNOWN = "other data"
_EXIF_HEAD = b"Exif\0\0"

_JPEG_KEPT = {f"{marker:02X}" for marker in (*range(0xC0, 0xD0), *range(0xDA, 0xE0))} | {"D9", "scan"}
_PNG_KEPT = {
    "IHDR",
    "PLTE",
    "IDAT",
    "IEND",
    "tRNS",
    "gAMA",
    "cHRM",
    "sRGB",
    "iCCP",
    "sBIT",
    "pHYs",
    "bKGD",
    "hIST",
    "cICP",
    "mDCV",
    "cLLI",
    "acTL",
    "fcTL",
    "fdAT",
}
_WEBP_KEPT = {"ICCP", "ANIM", "ALPH", "VP8 ", "VP8L"}
_GIF_KEPT = {"header", "image", ";", "F9", "FFNETSCAPE2.0", "FFANIMEXTS1.0", "FFICCRGBG1012"}

_PNG_TEXT = {
    "author": OWNER,
    "artist": OWNER,
    "creation time": TIME,
    "comment": COMMENT,
    "description": DESCRIPTION,
    "title": DESCRIPTION,
    "copyright": COPYRIGHT,
    "software": "",
    "xml:com.adobe.xmp": XMP,
    "raw profile type exif": RAW,
    "raw profile type app1": RAW,
    "raw profile type iptc": IPTC,
    "raw profile type xmp": XMP,
}
_XMP_SIGNS = (
    (rb"GPSL(?:at|ong)itude", GPS),
    (rb"SerialNumber", SERIAL),
    (rb"OwnerName|dc:creator|photoshop:AuthorsPosition", OWNER),
    (rb"DateTimeOriginal|CreateDate|DateCreated", TIME),
    (rb"MotionPhoto|MicroVideo", "embedded video"),
)


def stripped(data: bytes, limits: Limits | None = None) -> tuple[bytes, str]:
    """The same picture without private metadata, and the suffix its format asks for (".jpg").

    JPEG, PNG, WEBP and GIF lose only parts of the file: pixels are not encoded again, the colour profile stays, EXIF keeps the
    orientation alone. BMP has no metadata and stays as it is. TIFF, HEIC and AVIF are decoded and written as 8-bit RGB PNG,
    upright, first page. A cut file stays as cut as it was. Raises PictureFormatError, PictureError (a file of a million parts),
    and for the formats that are decoded all that `pixels.decode` does.
    """
    kind = sniff(data)
    if kind in _STRIP:
        return _STRIP[kind](data), _SUFFIX[kind]
    if kind == "bmp":
        return data, ".bmp"
    from PIL import Image

    from sightline.runtime.pixels import decode

    stream = io.BytesIO()
    Image.fromarray(decode(data, limits=limits)).save(stream, "PNG", compress_level=4)
    return stream.getvalue(), ".png"


def private(data: bytes) -> tuple[str, ...]:
    """What private metadata the picture holds, in words people know, the most telling first; () for none, or no picture.

    Reads structure only, no pixels, and never raises: of a damaged file it says what could be read.
    """
    found: list[str] = []
    with suppress(PictureError, KeyError):
        found.extend(_SAID[sniff(data)](data))
    order = (GPS, OWNER, SERIAL, TIME)
    return tuple(
        sorted(dict.fromkeys(filter(None, found)), key=lambda word: order.index(word) if word in order else len(order))
    )


# --- JPEG


def _strip_jpeg(data: bytes) -> bytes:
    orientation = jpeg_orientation(data)  # as the decoder finds it
    first: list[Bytes] = [b"\xff\xd8"]
    rest: list[Bytes] = []
    for part in jpeg_parts(data):
        if part.name in _JPEG_KEPT or (part.name == "E2" and _starts(part, b"ICC_PROFILE\0")):
            rest.append(part.whole)
        elif part.name == "E0" and len(part.body) >= 14 and _starts(part, b"JFIF\0") and len(first) == 1:
            first.append(b"\xff\xe0\0\x10" + bytes(part.body[:12]) + b"\0\0")  # its thumbnail goes
        elif part.name == "EE" and len(part.body) >= 12 and _starts(part, b"Adobe"):
            rest.append(b"\xff\xee\0\x0e" + bytes(part.body[:12]))  # how colours are coded
    if orientation != 1:
        block = _EXIF_HEAD + orientation_block(orientation)
        first.append(b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block)
    return b"".join([*first, *rest])


def _starts(part: Part, head: bytes) -> bool:
    return bytes(part.body[: len(head)]) == head


def _said_jpeg(data: bytes) -> Iterator[str]:
    for part in jpeg_parts(data):
        if part.name == "DA":
            return
        yield from _said_segment(part)


def _said_segment(part: Part) -> Iterator[str]:
    head = bytes(part.body[:32])
    if part.name == "FE":
        yield COMMENT
    elif part.name == "E0":
        has_thumbnail = head[:5] == b"JFXX\0" or (head[:5] == b"JFIF\0" and any(head[12:14]))
        yield THUMBNAIL if has_thumbnail else ""
    elif part.name == "E1" and head.startswith(_EXIF_HEAD):
        yield from private_words(part.body)
    elif part.name == "E1" and head.startswith(b"http://ns.adobe.com/"):
        yield from _said_xmp(part.body)
    elif part.name == "E2":
        yield "further pictures" if head.startswith(b"MPF\0") else "" if head.startswith(b"ICC_PROFILE\0") else _UNKNOWN
    elif part.name == "EB" and head.startswith(b"JP"):
        yield CREDENTIALS
    elif part.name == "ED" and head.startswith(b"Photoshop 3.0\0"):
        yield IPTC if b"8BIM\x04\x04" in bytes(part.body) else "Photoshop data"
    elif part.name.startswith("E") and not head.startswith((b"Adobe", b"Ducky")):
        yield _UNKNOWN


def _said_xmp(packet: Bytes) -> Iterator[str]:
    yield XMP
    for sign, word in _XMP_SIGNS:
        if re.search(sign, packet):
            yield word


# --- PNG


def _strip_png(data: bytes) -> bytes:
    kept: list[Bytes] = [data[:8]]
    for part in png_parts(data):
        if part.name in _PNG_KEPT:
            kept.append(part.whole)
        elif part.name == "eXIf" and (block := _upright_only(part.body)):
            body = b"eXIf" + block
            kept += [len(block).to_bytes(4, "big"), body, zlib.crc32(body).to_bytes(4, "big")]
    return b"".join(kept)


def _said_png(data: bytes) -> Iterator[str]:
    for part in png_parts(data):
        if part.name == "eXIf":
            yield from private_words(part.body)
        elif part.name in ("tEXt", "zTXt", "iTXt"):
            keyword = bytes(part.body[:80]).split(b"\0")[0].decode("latin-1").lower()
            yield _PNG_TEXT.get(keyword, "text")
            if keyword == "xml:com.adobe.xmp":
                yield from _said_xmp(part.body)
        elif part.name == "tIME":
            yield "time of the last change"
        elif part.name == "caBX":
            yield CREDENTIALS


# --- WEBP


def _strip_webp(data: bytes) -> bytes:
    end = webp_end(data)
    parts = list(riff_parts(memoryview(data), 12, end))
    flags = bytes(next((part.body[:1] for part in parts if part.name == "VP8X"), b""))
    block = next((part.body for part in parts if part.name == "EXIF"), b"")
    exif = _upright_only(block) if flags and flags[0] & 0x08 else b""  # without the flag, decoders look at no EXIF
    kept: list[Bytes] = []
    for part in parts:
        if part.name == "VP8X":
            fixed = bytearray(part.whole)
            if len(fixed) > 8:
                fixed[8] = fixed[8] & ~0x0C | (0x08 if exif else 0)
            kept.append(bytes(fixed))
        elif part.name == "ANMF":
            kept.append(_frame(part))
        elif part.name in _WEBP_KEPT:
            kept.append(part.whole)
    if exif:
        kept += [b"EXIF", len(exif).to_bytes(4, "little"), exif]  # of even length
    content = b"".join(kept)
    lacks = max(0, int.from_bytes(data[4:8], "little") + 8 - len(data))  # a cut file must not pass for a whole one
    size = min(len(content) + 4 + lacks, 0xFFFFFFFE)
    return b"RIFF" + size.to_bytes(4, "little") + b"WEBP" + content


def _frame(part: Part) -> bytes:
    """An animation frame (ANMF: 16 bytes, then chunks) without what is no picture; cut ones stay cut."""
    inside = [inner.whole for inner in riff_parts(part.body, 16, len(part.body)) if inner.name in _WEBP_KEPT]
    body = b"".join([part.body[:16], *inside])
    lost = len(part.body) - len(body)
    length = int.from_bytes(part.whole[4:8], "little") - lost
    return b"ANMF" + length.to_bytes(4, "little") + body + bytes(part.whole[8 + len(part.body) :])


def _said_webp(data: bytes) -> Iterator[str]:
    for part in riff_parts(memoryview(data), 12, webp_end(data)):
        if part.name == "EXIF":
            yield from private_words(part.body)
        elif part.name == "XMP ":
            yield from _said_xmp(part.body)
        elif part.name not in _WEBP_KEPT and part.name not in ("VP8X", "ANMF"):
            yield _UNKNOWN


# --- GIF, TIFF, HEIC, AVIF


def _strip_gif(data: bytes) -> bytes:
    return b"".join(part.whole for part in gif_parts(data) if part.name in _GIF_KEPT)


def _said_gif(data: bytes) -> Iterator[str]:
    for part in gif_parts(data):
        if part.name == "FE":
            yield COMMENT
        elif part.name == "FFXMP DataXMP":
            yield from _said_xmp(part.body)
        elif part.name == "01":
            yield "text"
        elif part.name.startswith("FF") and part.name not in _GIF_KEPT:
            yield _UNKNOWN


def _said_tiff(data: bytes) -> Iterator[str]:
    yield from private_words(data, page=True)


def _said_heif(data: bytes) -> Iterator[str]:
    from sightline.runtime.heif import items

    for kind, content in items(data):
        if kind == "Exif":
            start = int.from_bytes(content[:4], "big") + 4  # the block says how far away its TIFF header is
            yield from private_words(memoryview(content)[start:])
        elif kind == "mime":
            yield from _said_xmp(content)
        else:
            yield THUMBNAIL if kind == "thmb" else _UNKNOWN


def _upright_only(block: Bytes) -> bytes:
    """The smallest EXIF block of the same orientation; empty when it is the usual one."""
    orientation = exif_orientation(bytes(block))
    return orientation_block(orientation) if orientation != 1 else b""


_STRIP: dict[str, Callable[[bytes], bytes]] = {
    "jpeg": _strip_jpeg,
    "png": _strip_png,
    "webp": _strip_webp,
    "gif": _strip_gif,
}
_SUFFIX = {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "gif": ".gif"}
_SAID: dict[str, Callable[[bytes], Iterator[str]]] = {
    "jpeg": _said_jpeg,
    "png": _said_png,
    "webp": _said_webp,
    "gif": _said_gif,
    "tiff": _said_tiff,
    "heic": _said_heif,
    "avif": _said_heif,
}
