"""The silhouettes that stand on the signs: walkers, a digger, a deer, a car, zebra stripes. Sign units, drawn with the pen."""

from __future__ import annotations

from sightline.data.roadsigns.pen import Colour, Pen, Point


def walker(pen: Pen, centre: Point, height: float, colour: Colour, *, facing: int = 1, stride: float = 1.0) -> None:
    """A walking person, `height` tall around `centre`; `facing` 1 is to the right."""
    cx, cy = centre

    def at(x: float, y: float) -> Point:  # body units: feet at 1, top of the head at 0
        return cx + facing * x * height, cy + (y - 0.5) * height

    thick = 0.095 * height
    pen.disc(at(0.03, 0.09), 0.095 * height, colour)
    pen.stroke([at(0.0, 0.27), at(-0.02, 0.55)], thick * 1.75, colour)
    pen.stroke([at(0.02, 0.56), at(0.12 * stride, 0.76), at(0.2 * stride, 0.97)], thick, colour)
    pen.stroke([at(-0.04, 0.56), at(-0.08 * stride, 0.77), at(-0.23 * stride, 0.95)], thick, colour)
    pen.stroke([at(0.05, 0.27), at(0.15, 0.44), at(0.25, 0.5)], thick * 0.75, colour)
    pen.stroke([at(-0.06, 0.27), at(-0.17, 0.43), at(-0.17, 0.56)], thick * 0.75, colour)


def children(pen: Pen, colour: Colour, variant: int) -> None:
    way = 1 if variant % 2 else -1
    walker(pen, (0.2 * way, 0.26), 0.78, colour, facing=way, stride=1.1)
    walker(pen, (-0.25 * way, 0.36), 0.58, colour, facing=way, stride=1.3)
    pen.stroke([(0.05 * way, 0.22), (-0.12 * way, 0.34)], 0.06, colour)  # hand in hand


def digger(pen: Pen, colour: Colour, variant: int) -> None:
    """A worker who bends over a shovel, and the heap."""
    way = 1 if variant % 2 else -1
    pen.polygon([(0.08 * way, 0.64), (0.3 * way, 0.36), (0.4 * way, 0.4), (0.56 * way, 0.64)], colour)
    pen.disc((-0.04 * way, -0.16), 0.095, colour)
    pen.stroke([(-0.13 * way, -0.02), (-0.28 * way, 0.24)], 0.17, colour)
    pen.stroke([(-0.28 * way, 0.26), (-0.15 * way, 0.42), (-0.17 * way, 0.62)], 0.09, colour)
    pen.stroke([(-0.29 * way, 0.26), (-0.37 * way, 0.44), (-0.44 * way, 0.62)], 0.09, colour)
    pen.stroke([(-0.1 * way, 0.0), (0.06 * way, 0.16), (0.0, 0.24)], 0.07, colour)
    pen.stroke([(-0.2 * way, 0.1), (0.26 * way, 0.38)], 0.045, colour)


def deer(pen: Pen, colour: Colour, variant: int) -> None:
    """A leaping deer with antlers."""
    way = 1 if variant % 2 else -1

    def at(*points: Point) -> list[Point]:
        return [(x * way * 0.86 - 0.02 * way, 0.62 + (y - 0.62) * 0.86) for x, y in points]

    pen.polygon(at((-0.36, 0.34), (-0.28, 0.18), (0.02, 0.14), (0.18, 0.02), (0.27, 0.1), (0.24, 0.28), (0.02, 0.36)), colour)
    pen.stroke(at((-0.28, 0.27), (0.14, 0.2)), 0.19, colour)
    pen.stroke(at((0.17, 0.16), (0.26, -0.08)), 0.13, colour)
    pen.stroke(at((0.25, -0.1), (0.39, -0.04)), 0.1, colour)
    pen.stroke(at((0.22, -0.14), (0.1, -0.26), (0.13, -0.4)), 0.04, colour)
    pen.stroke(at((0.1, -0.26), (0.0, -0.3)), 0.04, colour)
    pen.stroke(at((0.26, -0.14), (0.3, -0.28), (0.24, -0.38)), 0.035, colour)
    pen.stroke(at((0.19, 0.26), (0.38, 0.32), (0.5, 0.22)), 0.055, colour)
    pen.stroke(at((0.15, 0.28), (0.32, 0.42), (0.36, 0.54)), 0.055, colour)
    pen.stroke(at((-0.32, 0.3), (-0.38, 0.46), (-0.54, 0.6)), 0.065, colour)
    pen.stroke(at((-0.26, 0.32), (-0.24, 0.48), (-0.38, 0.62)), 0.06, colour)
    pen.stroke(at((-0.37, 0.22), (-0.44, 0.18)), 0.06, colour)


def car(pen: Pen, centre: Point, half: float, colour: Colour, window: Colour) -> None:
    """A car seen from behind, `half` is half its width."""
    cx, cy = centre

    def at(*points: Point) -> list[Point]:
        return [(cx + x * half, cy + y * half) for x, y in points]

    pen.polygon(at((-0.66, -0.75), (0.66, -0.75), (0.92, -0.02), (-0.92, -0.02)), colour)
    pen.polygon(at((-0.5, -0.58), (0.5, -0.58), (0.64, -0.1), (-0.64, -0.1)), window)
    pen.polygon(at((-1.0, -0.05), (1.0, -0.05), (1.0, 0.58), (-1.0, 0.58)), colour)
    for side in (-1, 1):
        pen.polygon(at((side * 0.56, 0.5), (side * 0.92, 0.5), (side * 0.92, 0.86), (side * 0.56, 0.86)), colour)
        pen.disc((cx + side * 0.68 * half, cy + 0.24 * half), 0.12 * half, window)


def zebra(pen: Pen, colour: Colour) -> None:
    """Five stripes at the foot of the pedestrian's triangle."""
    for x in (-0.58, -0.29, 0.0, 0.29, 0.58):
        pen.polygon([(x * 0.86 - 0.06, 0.52), (x * 0.86 + 0.06, 0.52), (x + 0.08, 0.68), (x - 0.08, 0.68)], colour)
