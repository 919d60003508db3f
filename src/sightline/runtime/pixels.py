"""Every picture of the product comes through here: bytes to upright RGB pixels, and to the square a model sees.

Each failure is one typed PictureError with its reason. Knows nothing about models, processes or the network.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.errors import NotFoundError, PictureError, PictureTooLargeError, UsageError
from sightline.runtime.fitting import place, reduction
from sightline.runtime.headers import missing_bytes, sniff
from sightline.runtime.jpeg import decode_jpeg, largest_reduction
from sightline.runtime.limits import Limits, standard_limits
from sightline.runtime.raster import load

if TYPE_CHECKING:
    from sightline.types import InputSpec

__all__ = ["Limits", "decode", "decode_sized", "fit", "prepare", "prepare_sized", "read_picture", "sniff", "standard_limits"]


_READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def decode(data: bytes, *, shorter: int | None = None, limits: Limits | None = None) -> NDArray[np.uint8]:
    """Upright RGB, uint8 (h, w, 3), of a JPEG, PNG, TIFF, BMP, GIF (first frame), WEBP, HEIC or AVIF.

    With `shorter` a JPEG may be decoded at 1/2, 1/4 or 1/8, as long as its shorter side keeps that many pixels.
    Raises PictureFormatError, PictureTooLargeError, or PictureError (damaged, cut off).
    """
    return decode_sized(data, shorter=shorter, limits=limits)[0]


def decode_sized(
    data: bytes, *, shorter: int | None = None, limits: Limits | None = None
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """As `decode`, and the upright (width, height) of the picture before any reduction."""
    limits = limits or standard_limits()
    kind = _admit(data, limits)
    factor = 1

    def reduce(width: int, height: int) -> int:
        nonlocal factor
        factor = largest_reduction(min(width, height), shorter) if shorter else 1
        return factor

    with _typed(data, kind):
        if kind == "jpeg" and (decoded := decode_jpeg(data, limits, reduce, "RGB")):
            pixels, extent = decoded
        else:
            picture, extent = load(data, kind, limits, reduce)
            pixels = np.array(picture)
        return pixels, (round(extent[0] * factor), round(extent[1] * factor))


def prepare(data: bytes, spec: InputSpec, limits: Limits | None = None) -> NDArray[np.uint8]:
    """What a model sees of a picture: uint8 (size, size, 3). Only the kept part is resized, a large JPEG decoded reduced.

    Equal to `fit(decode(data), spec)` wherever no reduced decode took place; errors as `decode`.
    """
    return prepare_sized(data, spec, limits)[0]


def prepare_sized(data: bytes, spec: InputSpec, limits: Limits | None = None) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """As `prepare`, and the upright (width, height) of the picture, in whose pixels places are told."""
    from PIL import Image

    limits = limits or standard_limits()
    kind = _admit(data, limits)
    factor = 1

    def reduce(width: int, height: int) -> int:
        nonlocal factor
        factor = reduction(width, height, spec)
        return factor

    with _typed(data, kind):
        if kind == "jpeg" and (decoded := decode_jpeg(data, limits, reduce, "RGBX")):
            pixels, extent = decoded
            height, width, channels = pixels.shape
            mode = "L" if channels == 1 else "RGBX"
            picture = Image.frombuffer(mode, (width, height), pixels, "raw", mode, 0, 1)  # shares the memory
        else:
            picture, extent = load(data, kind, limits, reduce)
        return place(picture, spec, extent), (round(extent[0] * factor), round(extent[1] * factor))


def fit(pixels: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.uint8]:
    """The same as `prepare` for pixels that are decoded already: uint8 (h, w, 3) to uint8 (size, size, 3)."""
    from PIL import Image

    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
        raise UsageError(
            f"a picture as an array must be uint8 (height, width, 3) in RGB order, got {pixels.dtype} {pixels.shape}",
            hint="convert it, or pass the file's bytes",
        )
    return place(Image.fromarray(pixels), spec)


def read_picture(path: str | PathLike[str], limits: Limits | None = None) -> bytes:
    """The bytes of a picture file. NotFoundError when it is not there; PictureError for a folder or no permission."""
    limits = limits or standard_limits()
    file = os.fspath(path)
    try:
        # called for every picture of a large folder, and half the system calls that pathlib makes
        opened = os.open(file, _READING)
        try:
            about = os.fstat(opened)
            if stat.S_ISDIR(about.st_mode):
                raise PictureError(f"{file} is a folder, not a picture", hint="give a picture file")
            if not stat.S_ISREG(about.st_mode):  # a pipe or a device would block or never end
                raise PictureError(f"{file} is no ordinary file", hint="give a picture file")
            limits.check_bytes(about.st_size)
            parts = []
            while part := os.read(opened, about.st_size + 1):
                parts.append(part)
            return parts[0] if len(parts) == 1 else b"".join(parts)
        finally:
            os.close(opened)
    except FileNotFoundError as error:
        raise NotFoundError(f"no such picture: {file}", hint="check the path") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PictureError(f"cannot read {file}: {reason}", hint="check the path and its permissions") from error


def _admit(data: bytes, limits: Limits) -> str:
    limits.check_bytes(len(data))
    return sniff(data)


@contextmanager
def _typed(data: bytes, kind: str) -> Iterator[None]:
    """Turn whatever a decoder raises into one PictureError: libraries raise a dozen classes for a damaged file."""
    try:
        yield
    except PictureError:
        raise
    except MemoryError as error:
        raise PictureTooLargeError(f"not enough memory to decode this {kind.upper()}", hint="make it smaller") from error
    except Exception as error:
        raise _damaged(data, kind, str(error).strip() or type(error).__name__) from error


# words in the messages of Pillow, libwebp, libheif, struct that mean: the file ends before the picture does
_ENDS_EARLY = ("truncated", "unpack", "not enough image data", "insufficient", "size too small", "premature", "eof")


def _damaged(data: bytes, kind: str, reason: str) -> PictureError:
    missing = missing_bytes(data, kind)
    detail: dict[str, object] = {"format": kind, "reason": reason, "missing_bytes": missing}
    if missing or any(word in reason.lower() for word in _ENDS_EARLY):
        lost = f": {missing:,} of {missing + len(data):,} bytes are missing" if missing else f" after {len(data):,} bytes"
        return PictureError(f"the {kind.upper()} is cut off{lost}", hint="copy or download it again", detail=detail)
    if reason == "not identified by this driver":  # Pillow's words for a header without size or mode
        reason = "its header makes no sense"
    hint = "open it in an image program and save it again, or leave it out"
    return PictureError(f"the {kind.upper()} is damaged: {reason}", hint=hint, detail=detail)
