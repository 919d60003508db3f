"""From what a document says about places to annotations in pixels of the upright picture: turned, scaled, clipped, judged.

Knows no format. A document may have been made before or after the picture was turned by its EXIF orientation, or shrunk: the
size it states for the picture tells which.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from sightline.data.listing import left_out
from sightline.errors import SightlineError
from sightline.runtime.dimensions import Dimensions, dimensions
from sightline.types import Annotation, Box, Failure

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


def box_on(canvas: Canvas, x0: float, y0: float, x1: float, y1: float) -> Box:
    """A box clipped to the picture; PlaceError when it is empty or nothing of it lies in the picture."""
    if not (x1 > x0 and y1 > y0):
        raise PlaceError("box_empty", f"a box without area: {x0:g}, {y0:g} to {x1:g}, {y1:g}")
    (ax, ay), (bx, by) = canvas.point(x0, y0), canvas.point(x1, y1)
    left, right = _clip(min(ax, bx), canvas.width), _clip(max(ax, bx), canvas.width)
    top, bottom = _clip(min(ay, by), canvas.height), _clip(max(ay, by), canvas.height)
    if not (right > left and bottom > top):
        size = f"{canvas.width} x {canvas.height}"
        raise PlaceError("box_outside", f"a box outside the picture ({size}): {x0:g}, {y0:g} to {x1:g}, {y1:g}")
    return left, top, right, bottom


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


def _clip(value: float, most: float) -> float:
    return round(min(max(value, 0.0), float(most)), DECIMALS)


class Marks:
    """The annotations of one picture as they are found; what cannot be used is counted, and told once."""

    def __init__(self, path: str, name: str, origin: str, stated: tuple[float, float] | None = None) -> None:
        self.found: list[Annotation] = []
        self.name = name
        self._path, self._origin, self._stated = path, origin, stated
        self._canvas: Canvas | None = None
        self._refused: list[tuple[str, str]] = []

    @property
    def canvas(self) -> Canvas:
        """Read from the picture's header when first needed; PlaceError when that cannot be read."""
        if self._canvas is None:
            try:
                self._canvas = canvas_of(self._path, self._stated)
            except SightlineError as error:
                raise PlaceError(error.code, error.message) from error
        return self._canvas

    def add(
        self,
        label: str,
        *,
        box: Sequence[float] | None = None,
        polygon: Sequence[Point] | None = None,
        keypoints: Sequence[Point] | None = None,
        text: str | None = None,
    ) -> None:
        """One thing; box is (x0, y0, x1, y1), all in the document's pixels. A polygon without a box gets the one around it.

        Where one of its places makes no sense the others are kept; where none is left the thing is left out.
        """
        if not label:
            self.refuse("label_missing", "an object without a class")
            return
        ring = place = points = None
        with self.judged():
            ring = polygon_on(self.canvas, polygon) if polygon is not None else None
        with self.judged():
            place = box_on(self.canvas, *box) if box is not None else None
        with self.judged():
            points = tuple(self._inside(*point) for point in keypoints) if keypoints else None
        place = place or (bounds(ring) if ring else None)
        if place is None and points is None and any(given is not None for given in (box, polygon, keypoints)):
            return
        mark = Annotation(label=label, box=place, polygon=ring, keypoints=points, text=text, origin=self._origin)
        if place is not None or points is not None or mark not in self.found:
            self.found.append(mark)

    @contextmanager
    def judged(self) -> Iterator[None]:
        """A place that makes no sense is counted; what else is known of the thing stays."""
        try:
            yield
        except PlaceError as error:
            self.refuse(error.code, str(error))

    def _inside(self, x: float, y: float) -> Point:
        px, py = self.canvas.point(x, y)
        return _clip(px, self.canvas.width), _clip(py, self.canvas.height)

    def refuse(self, code: str, message: str) -> None:
        """Count something that cannot be used, or not as it is."""
        self._refused.append((code, message))

    def failures(self) -> list[Failure]:
        """At most one for each kind, for the whole picture."""
        kinds: dict[str, list[str]] = {}
        for code, message in self._refused:
            kinds.setdefault(code, []).append(message)
        found = [
            left_out(self.name, code, messages[0] if len(messages) == 1 else f"{len(messages)} times; first: {messages[0]}")
            for code, messages in kinds.items()
        ]
        if self._canvas is not None and self._canvas.differs and self._stated is not None:
            size, said = f"{self._canvas.width} x {self._canvas.height}", f"{self._stated[0]:g} x {self._stated[1]:g}"
            found.append(left_out(self.name, "size_differs", f"the picture is {size}, its annotations say {said}"))
        return found
