"""How large a picture is and how it must be turned to stand upright, from its header: no pixel is decoded.

Agrees with `pixels.decode` for every format and orientation. Knows no annotations.
"""

from __future__ import annotations

import io
from os import PathLike
from typing import IO, NamedTuple

from sightline.errors import NotFoundError, PictureError
from sightline.runtime.headers import exif_orientation, jpeg_orientation, sniff, webp_size
from sightline.runtime.limits import standard_limits
from sightline.runtime.quiet import quiet_warnings

_HEAD = 1 << 16
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG markers that start a frame (ITU-T T.81 table B.1)


class Dimensions(NamedTuple):
    """Pixels as the file stores them, and the EXIF orientation (1-8) that turns them upright."""

    width: int
    height: int
    orientation: int = 1

    @property
    def upright(self) -> tuple[int, int]:
        """(width, height) of the upright picture: what `pixels.decode` gives, and what boxes are measured in."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def dimensions(picture: str | PathLike[str] | bytes) -> Dimensions:
    """Of a picture file or its bytes. NotFoundError when it is not there, PictureError when its header makes no sense."""
    if isinstance(picture, bytes):
        return _judged(io.BytesIO(picture), "the picture")
    try:
        with open(picture, "rb") as stream:  # noqa: PTH123 - called for every picture of a large dataset
            return _judged(stream, str(picture))
    except FileNotFoundError as error:
        raise NotFoundError(f"no such picture: {picture}", hint="check the path") from error
    except OSError as error:
        raise PictureError(f"cannot read {picture}: {error.strerror or error}", hint="check its permissions") from error


def _judged(stream: IO[bytes], what: str) -> Dimensions:
    try:
        found = _read(stream)
    except PictureError:
        raise
    except Exception as error:  # libraries raise a dozen classes for a damaged file
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise PictureError(f"cannot read {what}: {reason}", hint="open it in an image program and save it again") from error
    if found.width < 1 or found.height < 1:
        raise PictureError(f"the picture has no pixels: its header says {found.width} x {found.height}")
    return found


def _read(stream: IO[bytes]) -> Dimensions:
    head = stream.read(_HEAD)
    kind = sniff(head)
    if kind == "jpeg":
        found = _jpeg(head) or _jpeg(head + stream.read(standard_limits().max_bytes))
        if found is not None:
            return found
    if kind == "png" and head[12:16] == b"IHDR":
        width, height = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
        return Dimensions(width, height, _png_orientation(stream))
    stream.seek(0)
    return _by_pillow(stream.read(standard_limits().max_bytes), kind)


def _jpeg(data: bytes) -> Dimensions | None:
    """From the first frame header; None when it is not within `data`."""
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None  # bytes between segments: Pillow may judge
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _FRAMES:
            height, width = int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
            return Dimensions(width, height, jpeg_orientation(data)) if height else None
        if marker in (0xD9, 0xDA):
            return None
        at += 2 if marker == 0x01 or 0xD0 <= marker <= 0xD8 else 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return None


def _png_orientation(stream: IO[bytes], most: int = 100_000) -> int:
    """Of the eXIf chunk, which may stand before or after the pixels."""
    at = 8
    for _ in range(most):
        stream.seek(at)
        header = stream.read(8)
        if len(header) < 8 or header[4:] == b"IEND":
            break
        length = int.from_bytes(header[:4], "big")
        if header[4:] == b"eXIf":
            return exif_orientation(stream.read(min(length, _HEAD)))
        at += 12 + length
    return 1


def _by_pillow(data: bytes, kind: str) -> Dimensions:
    from sightline.runtime.raster import _open

    if kind == "webp" and (size := webp_size(data)):
        standard_limits().check_size(*size)  # its decoder allocates the canvas on opening
    with quiet_warnings(), _open(data, kind) as picture:
        width, height = picture.size
        if kind == "tiff":  # Pillow gives the upright size of a TIFF
            orientation = picture.tag_v2.get(274, 1)  # type: ignore[attr-defined]
            orientation = orientation if orientation in range(1, 9) else 1
            return Dimensions(*((height, width) if orientation >= 5 else (width, height)), orientation)
        exif = None if kind == "heic" else picture.info.get("exif")  # libheif has turned a HEIC already
        return Dimensions(width, height, exif_orientation(exif) if isinstance(exif, bytes) else 1)
