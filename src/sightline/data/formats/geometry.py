"""From what a document says about places to places in pixels of the upright picture: turned, scaled, clipped, judged.

Knows no format; what is told about places that make no sense is in marks.py. A document may have been made before or after the
picture was turned by its EXIF orientation, or shrunk: the size it states for the picture tells which.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sightline.errors import DataError
from sightline.runtime.dimensions import Dimensions, dimensions
from sightline.runtime.masks import compressed, filled, pixels_of, runs_of, to_mask, uncompressed
from sightline.types import Box, Mask

Point = tuple[float, float]
_FAR = 1e7  # pixels
DECIMALS = 3  # of coordinates: a thousandth of a pixel, so that writing and reading again gives the same


class PlaceError(ValueError):
    """A place that makes no sense; `code` for the failure, the message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Canvas(NamedTuple):
    """The upright picture (width, height), and how the document's coordinates get onto it: turned as EXIF says, then scaled."""

    width: int
    height: int
    base: tuple[float, float]  # (width, height) that the document measures in, before it is turned
    turn: int = 1
    differs: bool = False  # the stated size fits neither the stored nor the upright picture, nor a scaled one

    @property
    def plain(self) -> bool:
        """Whether the document measures in pixels of the upright picture."""
        return self.turn == 1 and self.base == (self.width, self.height)

    def points(self, points: Sequence[Point]) -> list[Point]:
        """The same for many: most documents need no change at all."""
        if self.plain and points and max(map(abs, bounds(points))) <= _FAR:
            return list(points)
        return [self.point(x, y) for x, y in points]

    def point(self, x: float, y: float) -> Point:
        """Of the upright picture; may lie outside. PlaceError for numbers that no picture reaches."""
        if not (abs(x) <= _FAR and abs(y) <= _FAR):
            raise PlaceError("place_wrong", f"a place far from every picture: {x:g}, {y:g}")
        width, height = self.base
        if self.turn >= 5:
            x, y, width, height = y, x, height, width
        if self.turn in (2, 3, 6, 7):
            x = width - x
        if self.turn in (3, 4, 7, 8):
            y = height - y
        return x * self.width / width, y * self.height / height


def canvas_of(path: str, stated: tuple[float, float] | None = None) -> Canvas:
    """The canvas of a picture file for a document that states that size (None: nothing); NotFoundError, PictureError."""
    return fitted_canvas(dimensions(path), stated)


def fitted_canvas(found: Dimensions, stated: tuple[float, float] | None) -> Canvas:
    """The size as stored (and not as upright) means: measured before turning; one of the same shape: before scaling.

    What a half-turned or mirrored picture was measured in cannot be told from a size; labelling tools show it upright.
    """
    width, height = found.upright
    upright = (float(width), float(height))
    stored = (float(found.width), float(found.height))
    if stated is None or stated == upright or not (min(stated) >= 1 and max(stated) <= _FAR):
        return Canvas(width, height, upright)
    if stated == stored:
        return Canvas(width, height, stored, found.orientation)
    for size, turn in ((upright, 1), (stored, found.orientation)):
        if abs(stated[0] * size[1] - stated[1] * size[0]) <= max(*size, *stated):  # the same shape but for rounding
            return Canvas(width, height, stated, turn)
    return Canvas(width, height, upright, differs=True)


def box_on(canvas: Canvas, x0: float, y0: float, x1: float, y1: float) -> tuple[Box, float]:
    """A box clipped to the picture, and how many pixels it reached beyond it. Corners may come in any order.

    PlaceError when it has no area or nothing of it lies in the picture.
    """
    if x0 == x1 or y0 == y1:
        raise PlaceError("box_empty", f"a box without area: {x0:g}, {y0:g} to {x1:g}, {y1:g}")
    (ax, ay), (bx, by) = canvas.point(x0, y0), canvas.point(x1, y1)
    beyond = max(-min(ax, bx), -min(ay, by), max(ax, bx) - canvas.width, max(ay, by) - canvas.height, 0.0)
    left, right = clip(min(ax, bx), canvas.width), clip(max(ax, bx), canvas.width)
    top, bottom = clip(min(ay, by), canvas.height), clip(max(ay, by), canvas.height)
    if not (right > left and bottom > top):
        size = f"{canvas.width} x {canvas.height}"
        raise PlaceError("box_outside", f"a box outside the picture ({size}): {x0:g}, {y0:g} to {x1:g}, {y1:g}")
    return (left, top, right, bottom), beyond


def polygon_on(canvas: Canvas, points: Sequence[Point]) -> tuple[Point, ...]:
    """A polygon clipped to the picture; PlaceError for fewer than three points, no area, or none of it in the picture."""
    ring = canvas.points(points)
    if len(ring) >= 3:
        x0, y0, x1, y1 = bounds(ring)
        for axis, bound, sign, out in (
            (0, 0.0, 1.0, x0 < 0),
            (0, float(canvas.width), -1.0, x1 > canvas.width),
            (1, 0.0, 1.0, y0 < 0),
            (1, float(canvas.height), -1.0, y1 > canvas.height),
        ):
            ring = _cut(ring, axis, bound, sign) if out else ring
    rounded = tuple((round(x, DECIMALS), round(y, DECIMALS)) for x, y in ring)
    if len(rounded) < 3 or area(rounded) <= 0:
        raise PlaceError("polygon_empty", f"a polygon of {len(points)} points without area in the picture")
    return rounded


def _cut(ring: list[Point], axis: int, bound: float, sign: float) -> list[Point]:
    """The part of a ring on one side of a line (Sutherland and Hodgman, 1974)."""
    if not ring:
        return ring
    found: list[Point] = []
    for before, after in zip([ring[-1], *ring[:-1]], ring, strict=True):
        was, now = sign * (before[axis] - bound), sign * (after[axis] - bound)
        if (was < 0) != (now < 0):
            part = was / (was - now)
            x, y = before[0] + part * (after[0] - before[0]), before[1] + part * (after[1] - before[1])
            found.append((bound, y) if axis == 0 else (x, bound))
        if now >= 0:
            found.append(after)
    return found


def area(ring: Sequence[Point]) -> float:
    """Of a polygon, in square pixels."""
    pairs = zip(ring, [*ring[1:], *ring[:1]], strict=True)
    return abs(sum(ax * by - bx * ay for (ax, ay), (bx, by) in pairs)) / 2


def bounds(points: Sequence[Point]) -> Box:
    """The smallest box around points."""
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def turned(box: Box, degrees: float, about: Point) -> list[Point]:
    """The corners of a box that was turned clockwise about a point."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    x0, y0, x1, y1 = box
    from_there = [(x - about[0], y - about[1]) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
    return [(about[0] + cosine * x - sine * y, about[1] + sine * x + cosine * y) for x, y in from_there]


def pairs(values: Sequence[float]) -> list[Point]:
    """x, y, x, y, ... as points; PlaceError for an odd count."""
    if len(values) % 2:
        raise PlaceError("polygon_wrong", f"a polygon with {len(values)} numbers: x and y do not pair")
    return list(zip(values[::2], values[1::2], strict=True))


def clip(value: float, most: float) -> float:
    """A coordinate inside the picture, to a thousandth of a pixel."""
    return round(min(max(value, 0.0), float(most)), DECIMALS)


# --- masks


def mask_on(canvas: Canvas, mask: Mask) -> Mask:
    """A mask of the size that the document measures in, on the upright picture; PlaceError when it is broken or empty."""
    try:
        runs = uncompressed(mask.counts)
        if min(runs, default=-1) < 0 or sum(runs) != mask.size[0] * mask.size[1]:
            raise PlaceError("mask_wrong", f"a mask whose run lengths do not fill {mask.size[1]} x {mask.size[0]} pixels")
        if not any(runs[1::2]):
            raise PlaceError("mask_empty", "a mask without a pixel")
        if canvas.turn == 1 and mask.size == (canvas.height, canvas.width):
            return mask
        if mask.size != (round(canvas.base[1]), round(canvas.base[0])):
            size = f"{mask.size[1]} x {mask.size[0]}"
            raise PlaceError("mask_wrong", f"a mask of {size} pixels in a picture of {canvas.width} x {canvas.height}")
        pixels = pixels_of(mask)
    except DataError as error:
        raise PlaceError("mask_wrong", error.message) from error
    width, height = canvas.base if canvas.turn < 5 else canvas.base[::-1]
    xs = (np.arange(canvas.width) + 0.5) * width / canvas.width
    ys = (np.arange(canvas.height) + 0.5) * height / canvas.height
    columns = (width - xs if canvas.turn in (2, 3, 6, 7) else xs).astype(np.int64)
    rows = (height - ys if canvas.turn in (3, 4, 7, 8) else ys).astype(np.int64)
    there = pixels[np.ix_(rows, columns)] if canvas.turn < 5 else pixels[np.ix_(columns, rows)].T
    if not there.any():
        raise PlaceError("mask_empty", "a mask without a pixel in the picture")
    return to_mask(there)


def painted(canvas: Canvas, rings: Sequence[Sequence[Point]]) -> Mask | None:
    """The pixels inside outlines that lie on the picture; None where no pixel's centre does. Quick for small things."""
    around = bounds([point for ring in rings for point in ring])
    left, right = math.floor(around[0]), min(math.ceil(around[2]), canvas.width)
    strip = filled([[(x - left, y) for x, y in ring] for ring in rings], (canvas.height, max(right - left, 1)))
    if not strip.any():
        return None
    runs = runs_of(strip)
    runs[0] += left * canvas.height
    if rest := (canvas.width - left - strip.shape[1]) * canvas.height:
        runs = [*runs[:-1], runs[-1] + rest] if len(runs) % 2 else [*runs, rest]
    return Mask(size=(canvas.height, canvas.width), counts=compressed(runs))
