"""Making regions of a picture unrecognisable, for good: what stays of a region are a few rounded averages. Knows no labels."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.errors import UsageError
from sightline.runtime.limits import Limits
from sightline.types import Box

# Averages along the longer side of a region, at strength 1. A mosaic of many cells can be undone by trying out letters or known
# faces; 4 x 4 cells, rounded to 16 levels, hold at most 192 bits about a region of any size, and a number plate is one row.
CELLS = 4
_LEVEL = 16


def blurred(pixels: NDArray[np.uint8], boxes: Sequence[Box], strength: float = 1.0) -> NDArray[np.uint8]:
    """A copy of `pixels` (h, w, 3) whose `boxes` (x0, y0, x1, y1) are beyond recognition and beyond restoring.

    Each region is averaged into at most 4 / strength cells a side, rounded, and smoothed up again; strength 0.5 to 4, larger is
    coarser. Boxes are widened to whole pixels and cut at the edges. Raises UsageError for a box that is empty or lies outside:
    a region that somebody wanted hidden must not stay by mistake.
    """
    if not 0.5 <= strength <= CELLS:
        raise UsageError(f"strength must lie between 0.5 and {CELLS}, got {strength}")
    height, width = pixels.shape[:2]
    result = pixels.copy()
    for x0, y0, x1, y1 in boxes:
        if not (all(map(math.isfinite, (x0, y0, x1, y1))) and max(x0, 0) < min(x1, width) and max(y0, 0) < min(y1, height)):
            raise UsageError(
                f"the box {x0:g}, {y0:g}, {x1:g}, {y1:g} hides nothing of a picture of {width} x {height}",
                hint="boxes are left, top, right, bottom in pixels of the upright picture",
            )
        rows, columns = slice(max(0, math.floor(y0)), math.ceil(y1)), slice(max(0, math.floor(x0)), math.ceil(x1))
        result[rows, columns] = _coarse(result[rows, columns], round(CELLS / strength))
    return result


def redact(data: bytes, boxes: Sequence[Box], strength: float = 1.0, limits: Limits | None = None) -> bytes:
    """A picture file with `boxes` (of the upright picture) blurred: a JPEG of quality 95 from a JPEG, a PNG from anything else.

    Upright, 8-bit RGB, without any metadata, thumbnail or colour profile. Errors as `blurred` and `pixels.decode`.
    """
    from PIL import Image

    from sightline.runtime.pixels import decode, sniff

    picture = Image.fromarray(blurred(decode(data, limits=limits), boxes, strength))
    stream = io.BytesIO()
    if sniff(data) == "jpeg":
        picture.save(stream, "JPEG", quality=95)
    else:
        picture.save(stream, "PNG", compress_level=4)
    return stream.getvalue()


def _coarse(region: NDArray[np.uint8], cells: int) -> NDArray[np.uint8]:
    """(h, w, 3) from at most `cells` averages along its longer side."""
    from PIL import Image

    height, width = region.shape[:2]
    longer = max(height, width)
    size = tuple(max(1, math.floor(cells * side / longer)) for side in (width, height))
    few = np.asarray(Image.fromarray(np.ascontiguousarray(region)).resize(size, Image.Resampling.BOX), np.uint8)
    rounded = np.minimum(few.astype(np.uint16) // _LEVEL * _LEVEL + _LEVEL // 2, 255).astype(np.uint8)
    return np.asarray(Image.fromarray(rounded).resize((width, height), Image.Resampling.BICUBIC), np.uint8)
