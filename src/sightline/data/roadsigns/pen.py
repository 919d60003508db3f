"""A small vector pen over Pillow: filled and stroked shapes in sign units (-1..1, y down), and the glyphs our signs need.

Edges are not smoothed here: faces are drawn several times too large and scaled down when they are put into a picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

Point = tuple[float, float]
Colour = tuple[int, int, int]


class Pen:
    """Draws on an RGBA picture of `side` x `side` pixels that shows the square -1..1."""

    def __init__(self, side: int) -> None:
        self.image = Image.new("RGBA", (side, side), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self.image)
        self._half = side / 2

    def _at(self, points: Sequence[Point]) -> list[Point]:
        return [((x + 1) * self._half, (y + 1) * self._half) for x, y in points]

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        self._draw.polygon(self._at(points), fill=(*colour, 255))

    def disc(self, centre: Point, radius: float, colour: Colour) -> None:
        self.ellipse(centre, radius, radius, colour)

    def ellipse(self, centre: Point, rx: float, ry: float, colour: Colour) -> None:
        (x, y), half = self._at([centre])[0], self._half
        self._draw.ellipse((x - rx * half, y - ry * half, x + rx * half, y + ry * half), fill=(*colour, 255))

    def stroke(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """A line with round ends and round joints."""
        at, pixels = self._at(points), width * self._half
        fill, radius = (*colour, 255), pixels / 2
        self._draw.line(at, fill=fill, width=max(1, round(pixels)))
        for x, y in at:
            self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)

    def rounded(self, points: Sequence[Point], radius: float, colour: Colour) -> None:
        """A convex polygon whose corners are rounded; `points` are the corners before rounding."""
        inner = inset(points, radius)
        self.polygon(inner, colour)
        self.stroke([*inner, inner[0]], 2 * radius, colour)

    def arrow(self, points: Sequence[Point], width: float, head: float, colour: Colour) -> None:
        """A shaft along `points` with a triangle of length `head` that ends at the last point."""
        (x0, y0), (x1, y1) = points[-2], points[-1]
        length = math.hypot(x1 - x0, y1 - y0)
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        neck = (x1 - ux * head, y1 - uy * head)
        self.butt([*points[:-1], (neck[0] + ux * 0.02, neck[1] + uy * 0.02)], width, colour)
        side = head * 0.95
        self.polygon([(x1, y1), (neck[0] - uy * side, neck[1] + ux * side), (neck[0] + uy * side, neck[1] - ux * side)], colour)

    def butt(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """A line with flat ends and round joints."""
        at, pixels = self._at(points), width * self._half
        self._draw.line(at, fill=(*colour, 255), width=max(1, round(pixels)))
        for x, y in at[1:-1]:
            self._draw.ellipse((x - pixels / 2, y - pixels / 2, x + pixels / 2, y + pixels / 2), fill=(*colour, 255))

    def text(self, text: str, centre: Point, height: float, weight: float, colour: Colour, *, width: float = 1.0) -> None:
        """Our own stroke glyphs, `height` tall around `centre`; `weight` is the stroke's width, `width` stretches sideways."""
        advance = (0.6 * height + 1.6 * weight) * width
        left = centre[0] - advance * (len(text) - 1) / 2 - 0.3 * height * width
        for index, letter in enumerate(text):
            for line in GLYPHS[letter]:
                self.stroke(
                    [(left + index * advance + x * height * width, centre[1] + (y - 0.5) * height) for x, y in line],
                    weight,
                    colour,
                )


def inset(points: Sequence[Point], distance: float) -> list[Point]:
    """The convex polygon `points` moved inward by `distance` on every side."""
    n = len(points)
    cx, cy = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    lines = []
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        length = math.hypot(x1 - x0, y1 - y0)
        a, b = (y1 - y0) / length, (x0 - x1) / length
        c = a * x0 + b * y0
        if a * cx + b * cy < c:  # the normal must point inward
            a, b, c = -a, -b, -c
        lines.append((a, b, c + distance))
    corners = []
    for (a0, b0, c0), (a1, b1, c1) in zip([lines[-1], *lines[:-1]], lines, strict=True):
        det = a0 * b1 - a1 * b0
        corners.append(((c0 * b1 - c1 * b0) / det, (a0 * c1 - a1 * c0) / det))
    return corners


def arc(centre: Point, rx: float, ry: float, start: float, end: float, *, steps: int = 18) -> list[Point]:
    """Points on an ellipse from `start` to `end` degrees; 0 is right, 90 is down."""
    angles = [math.radians(start + (end - start) * i / steps) for i in range(steps + 1)]
    return [(centre[0] + rx * math.cos(a), centre[1] + ry * math.sin(a)) for a in angles]


def regular(corners: int, radius: float = 1.0, turn: float = 0.0) -> list[Point]:
    """A regular polygon around 0; `turn` in degrees, 0 puts a corner to the right."""
    return arc((0, 0), radius, radius, turn, turn + 360, steps=corners)[:-1]


# strokes in a box 0.6 wide and 1 tall, y down; only what stands on the signs
GLYPHS: dict[str, list[list[Point]]] = {
    "0": [arc((0.3, 0.5), 0.28, 0.5, 0, 360, steps=36)],
    "1": [[(0.06, 0.22), (0.34, 0.0), (0.34, 1.0)]],
    "2": [[*arc((0.3, 0.28), 0.27, 0.28, 190, 395), (0.03, 1.0), (0.58, 1.0)]],
    "3": [[*arc((0.28, 0.25), 0.26, 0.25, 205, 440), *arc((0.28, 0.73), 0.29, 0.27, 280, 515)]],
    "4": [[(0.44, 1.0), (0.44, 0.0), (0.0, 0.7), (0.6, 0.7)]],
    "5": [[(0.53, 0.0), (0.1, 0.0), (0.06, 0.45), *arc((0.28, 0.68), 0.29, 0.32, 228, 510)]],
    "6": [[(0.46, 0.0), *arc((0.3, 0.69), 0.28, 0.31, 195, 195 + 360, steps=30)]],
    "7": [[(0.02, 0.0), (0.56, 0.0), (0.2, 1.0)]],
    "8": [arc((0.3, 0.24), 0.24, 0.24, 0, 360, steps=30), arc((0.3, 0.74), 0.29, 0.26, 0, 360, steps=30)],
    "9": [[(0.14, 1.0), *arc((0.3, 0.31), 0.28, 0.31, 15, 15 + 360, steps=30)]],
    "O": [arc((0.3, 0.5), 0.3, 0.5, 0, 360, steps=36)],
    "P": [[(0.04, 1.0), (0.04, 0.0), *arc((0.28, 0.27), 0.29, 0.27, 270, 450), (0.04, 0.54)]],
    "S": [[*arc((0.3, 0.25), 0.27, 0.25, 335, 90), *arc((0.3, 0.75), 0.28, 0.25, 270, 515)]],
    "T": [[(0.0, 0.0), (0.6, 0.0)], [(0.3, 0.0), (0.3, 1.0)]],
}
