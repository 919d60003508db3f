"""JPEG by libjpeg-turbo (simplejpeg), at 1/1, 1/2, 1/4 or 1/8 of its size; knows nothing about models or other formats.

Decoding at 1/8 computes an eighth of each side straight from the low frequencies of each 8 x 8 block, which is most of
what resizing would do anyway. Only powers of two: the odd scales are slower than a full decode and farther from it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sightline.errors import PictureError
from sightline.runtime.headers import jpeg_orientation
from sightline.runtime.limits import Limits

# A progressive file may ask for the whole picture to be decoded again and again; libjpeg-turbo's own tools stop here too
MAX_SCANS = 500

Reduction = Callable[[int, int], int]  # (width, height) -> 1, 2, 4 or 8: how much smaller the picture may be decoded
Extent = tuple[float, float]  # true (width, height) of a reduced picture: 1001 pixels at 1/8 are 125.125, 126 are stored


def largest_reduction(have: float, need: float) -> int:
    """The largest of 1, 2, 4, 8 by which `have` pixels can be divided and still be `need`."""
    for factor in (8, 4, 2):
        if have >= factor * need:
            return factor
    return 1


def check_scans(data: bytes) -> None:
    """Raise PictureError for a JPEG with absurdly many scans: each is a walk over the whole picture."""
    scans = data.count(b"\xff\xda")  # FF is always followed by 00 inside a scan, so this counts markers only
    if scans > MAX_SCANS:
        raise PictureError(
            f"the JPEG has {scans} scans; no more than {MAX_SCANS} are read", hint="save the picture again with another program"
        )


def decode_jpeg(data: bytes, limits: Limits, reduction: Reduction, layout: str) -> tuple[NDArray[np.uint8], Extent] | None:
    """Upright pixels (h, w, c) and their extent; None when Pillow has to judge (CMYK, or anything unusual).

    layout: "RGB" gives c = 3; "RGBX" gives c = 4, or c = 1 for a grey JPEG: what Pillow can use without a copy.
    """
    import simplejpeg

    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    limits.check_size(width, height)
    check_scans(data)
    if colours in ("CMYK", "YCCK"):
        return None
    factor = reduction(width, height)
    try:
        pixels = simplejpeg.decode_jpeg(
            data,
            "GRAY" if layout == "RGBX" and colours == "Gray" else layout,
            min_height=-(-height // factor) if factor > 1 else 0,
            min_width=-(-width // factor) if factor > 1 else 0,
        )
    except ValueError as error:  # strict: it refuses on libjpeg's warnings too, many of which are harmless
        if "premature end" not in str(error).lower():
            return None
        raise PictureError(  # Pillow would fill the rest with grey
            f"the JPEG is cut off: its pixels end too early, after {len(data):,} bytes",
            hint="copy or download it again",
            detail={"format": "jpeg", "reason": str(error)},
        ) from error
    orientation = jpeg_orientation(data)
    return upright(pixels, orientation), true_extent(width, height, factor, orientation)


def true_extent(width: int, height: int, factor: int, orientation: int) -> Extent:
    """The extent, after turning upright, of a picture of width x height stored pixels that was reduced by `factor`."""
    return (height / factor, width / factor) if orientation >= 5 else (width / factor, height / factor)


def upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn and mirror (h, w, c) as EXIF orientation 1-8 says; contiguous."""
    if orientation == 1:
        return pixels
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)  # (w, h, c)
    flip_rows = orientation in (3, 4, 7, 8)
    flip_columns = orientation in (2, 3, 6, 7)
    return np.ascontiguousarray(pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1])
