"""Which part of which photograph is seen, and how: decided by numbers alone, so that teacher and student see exactly the same.

A patient teacher that answers for the very crop that the student sees, blends of two pictures included, after Beyer et al. 2022
(arXiv 2106.05237). A view is made for any size: the teacher may see it in more pixels.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from photographs import Photograph

SMALLEST = 0.2  # share of the area that a crop has at least
STRETCH = 4 / 3  # of its sides' ratio, either way
WHOLE = 0.25  # of the views are the whole picture on grey, as the product prepares pictures
BLENDED = 0.3  # of the views are blends with another crop
GREY = (124, 116, 104)


@dataclass(frozen=True, slots=True)
class View:
    """A part of picture `picture` in shares of its sides (left, top, right, bottom); where `whole`, the picture on grey.
    `other` is blended in with the weight `weight`.
    """

    picture: int
    box: tuple[float, float, float, float]
    whole: bool
    mirrored: bool
    other: View | None = None
    weight: float = 0.0


def view(number: int, count: int, set_: int) -> View:
    """The view of picture `number` of `count` in set `set_`."""
    draws = np.random.default_rng((set_, number))
    one = _single(draws, number)
    if draws.random() >= BLENDED:
        return one
    other = _single(draws, int(draws.integers(count)))
    return View(one.picture, one.box, one.whole, one.mirrored, other, float(draws.uniform(0.2, 0.5)))


def _single(draws: np.random.Generator, number: int) -> View:
    mirrored, whole = bool(draws.random() < 0.5), bool(draws.random() < WHOLE)
    if whole:  # between the full square and a smaller picture in its middle
        return View(number, (0.0, 0.0, 1.0, 1.0), True, mirrored)
    area, ratio = draws.uniform(SMALLEST, 1), np.exp(draws.uniform(-1, 1) * np.log(STRETCH))
    wide, high = min(1.0, float(np.sqrt(area * ratio))), min(1.0, float(np.sqrt(area / ratio)))
    left, top = float(draws.uniform(0, 1 - wide)), float(draws.uniform(0, 1 - high))
    return View(number, (left, top, left + wide, top + high), False, mirrored)


def render(photographs: Sequence[Photograph], seen: View, size: int) -> NDArray[np.uint8]:
    """(size, size, 3) of what is seen."""
    pixels = _one(photographs, seen, size)
    if seen.other is None:
        return pixels
    mixed = pixels.astype(np.float32) * (1 - seen.weight) + _one(photographs, seen.other, size).astype(np.float32) * seen.weight
    return np.round(mixed).astype(np.uint8)


def _one(photographs: Sequence[Photograph], seen: View, size: int) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(photographs[seen.picture].data)) as opened:
        picture = opened.convert("RGB")
    width, height = picture.size
    if seen.whole:
        scale = size / max(width, height)
        inner = picture.resize((max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BICUBIC)
        drawn = Image.new("RGB", (size, size), GREY)
        drawn.paste(inner, ((size - inner.width) // 2, (size - inner.height) // 2))
    else:
        left, top, right, bottom = seen.box
        square = _square(left * width, top * height, right * width, bottom * height, width, height)
        drawn = picture.resize((size, size), Image.Resampling.BICUBIC, square)
    pixels = np.asarray(drawn)
    return np.ascontiguousarray(pixels[:, ::-1] if seen.mirrored else pixels)


def _square(left: float, top: float, right: float, bottom: float, width: int, height: int) -> tuple[float, float, float, float]:
    """The box with sides of which none is more than STRETCH of the other, inside the picture."""
    wide, high = right - left, bottom - top
    wide, high = min(wide, STRETCH * high), min(high, STRETCH * wide)
    x, y = min(left, width - wide), min(top, height - high)
    return x, y, x + wide, y + high
