"""Every other format through Pillow, and every colour mode to RGB. One plugin for each format; nothing is registered.

The plugin's class is called directly, not `Image.open`: no other plugin is imported or tried, HEIC support is not
installed into the user's Pillow, and the size is checked by our limits before any pixel is allocated.
"""

from __future__ import annotations

import importlib
import io
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np

from sightline.runtime.headers import exif_orientation, jpeg_orientation, webp_size
from sightline.runtime.jpeg import Extent, Reduction, check_scans, true_extent
from sightline.runtime.limits import Limits
from sightline.runtime.quiet import quiet_libtiff, quiet_warnings

if TYPE_CHECKING:
    from PIL import Image, ImageFile

_PLUGINS = {
    "jpeg": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "png": ("PIL.PngImagePlugin", "PngImageFile"),
    "tiff": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "bmp": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "gif": ("PIL.GifImagePlugin", "GifImageFile"),
    "webp": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "avif": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "heic": ("pillow_heif.as_plugin", "HeifImageFile"),
}
_UPRIGHT = ("tiff", "heic")  # Pillow and pillow-heif turn these while loading


def load(data: bytes, kind: str, limits: Limits, reduction: Reduction | None = None) -> tuple[Image.Image, Extent]:
    """The upright picture in mode RGB and its extent (only a JPEG is ever reduced); raises whatever Pillow raises."""
    if kind == "webp" and (size := webp_size(data)):
        limits.check_size(*size)  # its decoder allocates the canvas on opening
    with quiet_warnings(), quiet_libtiff() if kind == "tiff" else nullcontext():
        picture = _open(data, kind)
        limits.check_size(*picture.size)
        stored, factor = picture.size, 1
        if kind == "jpeg":
            check_scans(data)
            factor = reduction(*picture.size) if reduction else 1
            if factor > 1:
                picture.draft(picture.mode, (picture.width // factor, picture.height // factor))
        picture.load()
        limits.check_size(*picture.size)  # a HEIC may turn out larger than its header said
        if kind == "jpeg":
            orientation = jpeg_orientation(data)
        elif kind in _UPRIGHT:
            orientation = 1
        else:
            exif = picture.info.get("exif")
            orientation = exif_orientation(exif) if isinstance(exif, bytes) else 1
        extent = true_extent(*stored, factor, orientation) if factor > 1 else None
        upright = _turned(to_rgb(picture), orientation)
        return upright, extent or upright.size


def _open(data: bytes, kind: str) -> ImageFile.ImageFile:
    module, name = _PLUGINS[kind]
    opened: ImageFile.ImageFile = getattr(importlib.import_module(module), name)(io.BytesIO(data))
    return opened


def _turned(picture: Image.Image, orientation: int) -> Image.Image:
    if orientation == 1:
        return picture
    from PIL.Image import Transpose

    turn = (
        Transpose.FLIP_LEFT_RIGHT,
        Transpose.ROTATE_180,
        Transpose.FLIP_TOP_BOTTOM,
        Transpose.TRANSPOSE,
        Transpose.ROTATE_270,
        Transpose.TRANSVERSE,
        Transpose.ROTATE_90,
    )
    return picture.transpose(turn[orientation - 2])


def to_rgb(picture: Image.Image) -> Image.Image:
    """Any Pillow mode to RGB: transparency on white, 16 bits divided by 257, wider numbers by their range (see `_eight_bits`).

    Colour profiles are not applied, as in the data sets models are trained on.
    """
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    if picture.mode in ("F", "I") or picture.mode.startswith("I;16"):
        return _eight_bits(picture).convert("RGB")
    if picture.has_transparency_data:
        from PIL import Image

        rgba = picture if picture.mode == "RGBA" else picture.convert("RGBA")
        ground = Image.new("RGB", rgba.size, (255, 255, 255))
        ground.paste(rgba, mask=rgba.getchannel("A"))
        return ground
    return picture.convert("RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """One channel of wide numbers to L.

    I;16: v / 257, so 65535 is white. I and F: 0..1 (F only), 0..255 and 0..65535 are taken as such ranges by their
    largest value; anything else is stretched from its smallest to its largest finite value.
    """
    from PIL import Image

    values = np.asarray(picture)  # (h, w)
    if picture.mode.startswith("I;16"):
        return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))
    with np.errstate(invalid="ignore"):  # damaged files hold signalling NaNs
        numbers = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(numbers.min()), float(numbers.max())
    if low >= 0 and high <= 1 and picture.mode == "F":
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    elif low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    scaled = (numbers - low) * 255.0 / ((high - low) or 1.0)
    return Image.fromarray(np.rint(scaled).clip(0, 255).astype(np.uint8))
