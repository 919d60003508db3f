"""The faces of the road signs: twenty classes, each a function that draws with the pen. Our own shapes, after the Vienna
Convention on Road Signs and Signals (1968) in meaning only. Knows nothing of pictures, weather or files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from sightline.data.roadsigns import figures
from sightline.data.roadsigns.pen import Colour, Pen, Point, arc, regular


@dataclass(frozen=True, slots=True)
class Style:
    """What differs between two makes of the same sign: tones, rim, weight of the strokes, and which drawing of a figure."""

    red: Colour
    blue: Colour
    yellow: Colour
    white: Colour
    black: Colour
    ground: Colour  # of warning and prohibitory signs: white, in some countries yellow
    rim: float
    weight: float
    variant: int


def style(rng: np.random.Generator) -> Style:
    def tone(colour: Colour, spread: int) -> Colour:
        r, g, b = (int(np.clip(channel + rng.integers(-spread, spread + 1), 0, 255)) for channel in colour)
        return r, g, b

    white, yellow = tone((240, 240, 236), 12), tone((246, 196, 24), 22)
    return Style(
        red=tone((198, 24, 32), 24),
        blue=tone((18, 78, 170), 26),
        yellow=yellow,
        white=white,
        black=tone((24, 24, 26), 14),
        ground=yellow if rng.random() < 0.15 else white,
        rim=float(rng.uniform(0.85, 1.2)),
        weight=float(rng.uniform(0.85, 1.15)),
        variant=int(rng.integers(0, 4)),
    )


CIRCLE = regular(32)
OCTAGON = regular(8, 1.0, 22.5)
SQUARE: list[Point] = [(-0.95, -0.95), (0.95, -0.95), (0.95, 0.95), (-0.95, 0.95)]
WIDE: list[Point] = [(-1.0, -0.48), (1.0, -0.48), (1.0, 0.48), (-1.0, 0.48)]
DIAMOND = regular(4)
UP: list[Point] = [(0.0, -0.92), (1.0, 0.82), (-1.0, 0.82)]
DOWN: list[Point] = [(-1.0, -0.82), (1.0, -0.82), (0.0, 0.92)]


def stop(pen: Pen, s: Style) -> None:
    pen.polygon(OCTAGON, s.white)
    pen.polygon([(x * 0.93, y * 0.93) for x, y in OCTAGON], s.red)
    pen.text("STOP", (0, 0), 0.58, 0.105 * s.weight, s.white, width=0.78)


def give_way(pen: Pen, s: Style) -> None:
    pen.rounded(DOWN, 0.1, s.red)
    inner = 0.62 - 0.1 * (s.rim - 1)
    pen.rounded([(x * inner, -0.13 + (y + 0.13) * inner) for x, y in DOWN], 0.03, s.ground)


def no_entry(pen: Pen, s: Style) -> None:
    pen.disc((0, 0), 1.0, s.white)
    pen.disc((0, 0), 0.95, s.red)
    half = 0.16 * s.weight
    pen.rounded([(-0.72, -half), (0.72, -half), (0.72, half), (-0.72, half)], 0.04, s.white)


def _prohibition(pen: Pen, s: Style) -> None:
    pen.disc((0, 0), 1.0, s.red)
    pen.disc((0, 0), 1 - 0.22 * s.rim, s.ground)


def _limit(number: str) -> Callable[[Pen, Style], None]:
    def draw(pen: Pen, s: Style) -> None:
        _prohibition(pen, s)
        long = len(number) > 2
        pen.text(number, (0, 0), 0.68 if long else 0.82, 0.15 * s.weight, s.black, width=0.66 if long else 0.86)

    return draw


def no_overtaking(pen: Pen, s: Style) -> None:
    _prohibition(pen, s)
    figures.car(pen, (-0.33, 0.03), 0.31, s.red, s.ground)
    figures.car(pen, (0.33, 0.03), 0.31, s.black, s.ground)


def end_of_limits(pen: Pen, s: Style) -> None:
    pen.disc((0, 0), 1.0, s.black)
    pen.disc((0, 0), 0.94, s.white)
    for offset in (-0.24, -0.08, 0.08, 0.24):
        reach = (0.9**2 - offset**2) ** 0.5 * 0.7071
        across = offset * 0.7071
        pen.butt([(reach + across, -reach + across), (-reach + across, reach + across)], 0.075 * s.weight, s.black)


def priority_road(pen: Pen, s: Style) -> None:
    pen.rounded(DIAMOND, 0.09, s.black)
    pen.rounded([(x * 0.96, y * 0.96) for x, y in DIAMOND], 0.08, s.white)
    inner = 0.66 - 0.06 * (s.rim - 1)
    pen.rounded([(x * inner, y * inner) for x, y in DIAMOND], 0.05, s.yellow)


def _warning(figure: Callable[[Pen, Colour, int], None]) -> Callable[[Pen, Style], None]:
    def draw(pen: Pen, s: Style) -> None:
        pen.rounded(UP, 0.1, s.red)
        inner = 0.72 - 0.06 * (s.rim - 1)
        pen.rounded([(x * inner, 0.24 + (y - 0.24) * inner) for x, y in UP], 0.03, s.ground)
        figure(pen, s.black, s.variant)

    return draw


def _mandatory(pen: Pen, s: Style) -> None:
    pen.disc((0, 0), 1.0, s.white)
    pen.disc((0, 0), 0.95, s.blue)


def _arrow(points: list[Point], bent: list[Point] | None = None) -> Callable[[Pen, Style], None]:
    def draw(pen: Pen, s: Style) -> None:
        _mandatory(pen, s)
        pen.arrow(bent if bent and s.variant % 2 else points, 0.26 * s.weight, 0.44, s.white)

    return draw


def roundabout(pen: Pen, s: Style) -> None:
    _mandatory(pen, s)
    for turn in (0, 120, 240):  # anticlockwise, as where traffic keeps right
        bow = arc((0, 0), 0.54, 0.54, 330 + turn, 240 + turn, steps=14)
        pen.butt(bow, 0.17 * s.weight, s.white)
        (x0, y0), (x1, y1) = bow[-2], bow[-1]
        length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        x1, y1 = x1 - ux * 0.03, y1 - uy * 0.03
        tip = (x1 + ux * 0.32, y1 + uy * 0.32)
        pen.polygon([tip, (x1 - uy * 0.24, y1 + ux * 0.24), (x1 + uy * 0.24, y1 - ux * 0.24)], s.white)


def _panel(pen: Pen, s: Style, shape: list[Point]) -> None:
    pen.rounded(shape, 0.12, s.white)
    pen.rounded([(x - 0.05 * (1 if x > 0 else -1), y - 0.05 * (1 if y > 0 else -1)) for x, y in shape], 0.09, s.blue)


def parking(pen: Pen, s: Style) -> None:
    _panel(pen, s, SQUARE)
    pen.text("P", (0.08, 0), 1.1, 0.23 * s.weight, s.white)


def pedestrian_crossing(pen: Pen, s: Style) -> None:
    _panel(pen, s, SQUARE)
    pen.polygon([(0, -0.82), (0.84, 0.72), (-0.84, 0.72)], s.white)
    figures.zebra(pen, s.black)
    figures.walker(pen, (0.0, 0.08), 0.82, s.black, facing=1 if s.variant % 2 else -1)


def one_way(pen: Pen, s: Style) -> None:
    _panel(pen, s, WIDE)
    way = 1 if s.variant % 2 else -1
    pen.arrow([(-0.82 * way, 0), (0.84 * way, 0)], 0.24 * s.weight, 0.36, s.white)


@dataclass(frozen=True, slots=True)
class Face:
    """One class of sign: how it is drawn, its outline in sign units, and the number on it."""

    draw: Callable[[Pen, Style], None]
    outline: list[Point]
    text: str | None = None


FACES: dict[str, Face] = {
    "animals": Face(_warning(figures.deer), UP),
    "children": Face(_warning(figures.children), UP),
    "end-of-limits": Face(end_of_limits, CIRCLE),
    "give-way": Face(give_way, DOWN),
    "no-entry": Face(no_entry, CIRCLE),
    "no-overtaking": Face(no_overtaking, CIRCLE),
    "one-way": Face(one_way, WIDE),
    "parking": Face(parking, SQUARE, "P"),
    "pedestrian-crossing": Face(pedestrian_crossing, SQUARE),
    "priority-road": Face(priority_road, DIAMOND),
    "road-works": Face(_warning(figures.digger), UP),
    "roundabout": Face(roundabout, CIRCLE),
    "speed-limit-100": Face(_limit("100"), CIRCLE, "100"),
    "speed-limit-30": Face(_limit("30"), CIRCLE, "30"),
    "speed-limit-50": Face(_limit("50"), CIRCLE, "50"),
    "speed-limit-70": Face(_limit("70"), CIRCLE, "70"),
    "stop": Face(stop, OCTAGON, "STOP"),
    "straight-ahead": Face(_arrow([(0, 0.72), (0, -0.74)]), CIRCLE),
    "turn-left": Face(_arrow([(0.72, 0), (-0.74, 0)], [(0.34, 0.66), (0.34, -0.12), (-0.7, -0.12)]), CIRCLE),
    "turn-right": Face(_arrow([(-0.72, 0), (0.74, 0)], [(-0.34, 0.66), (-0.34, -0.12), (0.7, -0.12)]), CIRCLE),
}
CLASSES = tuple(FACES)


def face(label: str, look: Style, side: int = 320) -> Image.Image:
    """The sign `label` seen from the front: RGBA, `side` x `side` pixels, transparent around it."""
    pen = Pen(side)
    FACES[label].draw(pen, look)
    return pen.image
