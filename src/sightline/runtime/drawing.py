"""Found objects drawn on a picture: boxes in the colours of their classes, labels, masks translucent, keypoints.

Line widths and letters follow the picture's size, so that they can be read at any. Knows neither files nor models.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightline.runtime.masks import pixels_of
from sightline.types import Annotation

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

Colour = tuple[int, int, int]
Pixels = NDArray[np.uint8]
# told apart by most eyes, the colour-blind too, and on light and dark ground (after Okabe and Ito 2008)
FIRST: tuple[Colour, ...] = (
    (230, 159, 0),
    (0, 140, 210),
    (0, 158, 115),
    (204, 70, 150),
    (213, 94, 0),
    (240, 228, 66),
    (86, 180, 233),
    (140, 90, 220),
)
MASK = 0.4  # how much of a mask's colour covers the picture
LEAST = 96  # pixels of the longer side below which a picture is drawn enlarged


def colour_of(number: int) -> Colour:
    """The colour of a class by its place in the list of classes; classes after the eighth take hues between."""
    if number < len(FIRST):
        return FIRST[number]
    hue = (number * 0.618034) % 1  # the golden ratio spreads any number of hues
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, 0.9)
    return round(255 * red), round(255 * green), round(255 * blue)


def drawn(pixels: Pixels, objects: Sequence[Annotation], classes: Sequence[str], scores: bool = True) -> Pixels:
    """The picture uint8 (h, w, 3) with its objects, the surest on top; a tiny picture comes back larger."""
    from PIL import Image, ImageDraw

    scale = max(1, -(-LEAST * 3 // max(pixels.shape[:2]))) if max(pixels.shape[:2]) < LEAST else 1
    colours = {name: colour_of(number) for number, name in enumerate(classes)}
    ordered = sorted(objects, key=lambda one: one.score if one.score is not None else 1.0)
    image = Image.fromarray(_masked(pixels, ordered, colours))
    if scale > 1:
        image = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(image)
    line = max(1, round(max(image.size) / 320))
    font = _font(max(11, round(max(image.size) / 55)))
    for one in ordered:
        _one(pen, one, colours.get(one.label, FIRST[0]), scale, line)
    sheet = _Sheet(pen, font, image.size, [])
    for one in reversed(ordered):  # the best find room for their labels first
        if one.box is not None:
            corners = one.box[0] * scale, one.box[1] * scale, one.box[3] * scale
            _label(sheet, _words(one, scores=scores), corners, colours.get(one.label, FIRST[0]))
    return np.asarray(image)


def captioned(pixels: Pixels, text: str) -> Pixels:
    """The picture with a line of text in its upper left corner: the answer about a whole picture."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(pixels)
    sheet = _Sheet(ImageDraw.Draw(image), _font(max(11, round(max(image.size) / 40))), image.size, [])
    _label(sheet, text, (0, 0, 0), (24, 26, 30))
    return np.asarray(image)


def _masked(pixels: Pixels, objects: Sequence[Annotation], colours: dict[str, Colour]) -> Pixels:
    shown = pixels.copy()
    for one in objects:
        if one.mask is None or one.mask.size != pixels.shape[:2]:
            continue
        where = pixels_of(one.mask)
        tint = np.array(colours.get(one.label, FIRST[0]), np.float32)
        shown[where] = np.rint(shown[where] * (1 - MASK) + tint * MASK).astype(np.uint8)
    return shown


def _one(pen: ImageDraw.ImageDraw, one: Annotation, colour: Colour, scale: int, line: int) -> None:
    ring = one.polygon
    if ring and one.mask is None:
        pen.line([(x * scale, y * scale) for x, y in (*ring, ring[0])], fill=colour, width=line)
    if one.box is not None:
        x0, y0, x1, y1 = (value * scale for value in one.box)
        pen.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=colour, width=line)
    seen = one.visibility
    for place, (x, y) in enumerate(one.keypoints or ()):
        if seen is None or seen[place] > 1:
            radius = 1.5 * line
            pen.ellipse(
                (x * scale - radius, y * scale - radius, x * scale + radius, y * scale + radius), fill=colour, outline=(0, 0, 0)
            )


class _Sheet(NamedTuple):
    pen: ImageDraw.ImageDraw
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont
    size: tuple[int, int]
    taken: list[tuple[float, float, float, float]]  # where labels stand


def _words(one: Annotation, *, scores: bool) -> str:
    text = one.label if one.track is None else f"{one.label} #{one.track},"
    return f"{text} {one.score:.0%}" if scores and one.score is not None else text


def _label(sheet: _Sheet, text: str, corners: tuple[float, float, float], colour: Colour) -> None:
    """The label above the box (left, top, bottom), else inside or below it; left out where others of better objects stand."""
    pen, font, size, taken = sheet
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    pad = max(1, round((bottom - top) / 6))
    width, height = right - left + 2 * pad, bottom - top + 2 * pad
    x0, y0, y1 = corners
    x = min(max(0.0, x0), max(0.0, size[0] - width))
    for y in (y0 - height, y0, y1, y1 - height):
        place = (x, y, x + width, y + height)
        if y < 0 or y + height > size[1] or any(_meet(place, other) for other in taken):
            continue
        taken.append(place)
        pen.rectangle(place, fill=colour)
        pen.text((x + pad - left, y + pad - top), text, font=font, fill=_on(colour))
        return


def _meet(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _on(colour: Colour) -> Colour:
    """Black or white, whichever can be read on the colour."""
    light = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    return (0, 0, 0) if light > 120 else (255, 255, 255)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)
