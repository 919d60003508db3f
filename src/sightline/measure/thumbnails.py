"""Small pictures for reports: at most 160 pixels a side, JPEG without any metadata, ready to stand inside a page."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray

SIDE = 160  # pixels: two for one at the size they are shown


def thumbnail(pixels: NDArray[np.uint8], side: int = SIDE) -> bytes:
    """JPEG of upright RGB `pixels` (h, w, 3), the whole picture, its longer side at most `side` pixels."""
    from PIL import Image

    return _encode(Image.fromarray(np.ascontiguousarray(pixels)), side)


def data_uri(picture: bytes, side: int = SIDE) -> str:
    """A data URI of a small JPEG or PNG, encoded anew so that no metadata (place, camera, text) travels along.

    Empty where the bytes are not such a picture: a report is not worth failing for one thumbnail.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(picture), formats=("JPEG", "PNG")) as opened:
            if opened.width * opened.height > 4_000_000:
                return ""
            clean = _encode(opened.convert("RGB"), side)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""
    return "data:image/jpeg;base64," + base64.b64encode(clean).decode()


def _encode(picture: object, side: int) -> bytes:
    from PIL import Image

    assert isinstance(picture, Image.Image)
    small = Image.frombytes("RGB", picture.size, picture.tobytes())  # pixels only: no info, no profile
    small.thumbnail((side, side), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=80, optimize=True)
    return stream.getvalue()
