"""Things of a street that are no signs though they look like some: clocks, wheels, mirrors, lights, plates, logos, tents.

Drawn with the same pen, in the same sizes and colours as the signs, so that neither a circle nor a red rim tells a sign. Shapes
that a worn sign could look like (a white bar in a red disc, a red triangle with a light middle) are kept out.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image

from sightline.data.roadsigns.ground import LOUD
from sightline.data.roadsigns.pen import GLYPHS, Colour, Pen, Point, regular

_DARK: Colour = (34, 34, 38)
_PALE: Colour = (238, 236, 228)
_DIGITS = tuple(letter for letter in GLYPHS if letter.isdigit())
_COOL = ((30, 120, 60), (230, 110, 20), (120, 60, 140), (20, 120, 130), (150, 90, 50))  # colours that no sign here has


def thing(rng: np.random.Generator, side: int) -> Image.Image:
    """One distractor seen from the front: RGBA, `side` x `side` pixels, transparent around it."""
    pen = Pen(side)
    THINGS[int(rng.integers(len(THINGS)))](pen, rng)
    return pen.image


def _tone(rng: np.random.Generator, colours: tuple[Colour, ...] = LOUD) -> Colour:
    r, g, b = (int(np.clip(channel + rng.integers(-20, 21), 0, 255)) for channel in colours[int(rng.integers(len(colours)))])
    return r, g, b


def _round(angle: float, radius: float) -> Point:
    return radius * math.sin(angle), -radius * math.cos(angle)


def clock(pen: Pen, rng: np.random.Generator) -> None:
    pen.disc((0, 0), 1.0, _tone(rng, (_DARK, (198, 24, 32), (18, 78, 170), (150, 120, 60))))
    pen.disc((0, 0), float(rng.uniform(0.78, 0.92)), _PALE)
    for hour in range(12):
        pen.stroke([_round(hour * math.pi / 6, 0.62), _round(hour * math.pi / 6, 0.72)], 0.06, _DARK)
    for length, weight in ((0.42, 0.09), (0.62, 0.06)):
        pen.stroke([(0, 0), _round(float(rng.uniform(0, 2 * math.pi)), length)], weight, _DARK)


def wheel(pen: Pen, rng: np.random.Generator) -> None:
    pen.disc((0, 0), 1.0, _DARK)
    grey = int(rng.integers(120, 210))
    pen.disc((0, 0), 0.68, (grey, grey, grey + 6))
    for spoke in range(spokes := int(rng.integers(4, 9))):
        pen.stroke([(0, 0), _round(2 * math.pi * spoke / spokes, 0.6)], 0.1, (70, 70, 74))
    pen.disc((0, 0), 0.16, _DARK)


def mirror(pen: Pen, rng: np.random.Generator) -> None:
    """A convex mirror at a corner: an orange rim, sky above, street below."""
    pen.disc((0, 0), 1.0, (225, 100, 20))
    pen.disc((0, 0), 0.86, (175, 195, 215))
    height = float(rng.uniform(-0.1, 0.3))
    ring = [
        _round(angle, 0.86) for angle in np.linspace(math.acos(-height / 0.86), 2 * math.pi - math.acos(-height / 0.86), 24)
    ]
    pen.polygon(ring, (96, 98, 100))
    pen.polygon([(-0.2, height - 0.3), (0.3, height - 0.3), (0.3, height + 0.05), (-0.2, height + 0.05)], (120, 90, 70))


def lights(pen: Pen, rng: np.random.Generator) -> None:
    pen.rounded([(-0.38, -1.0), (0.38, -1.0), (0.38, 1.0), (-0.38, 1.0)], 0.1, _DARK)
    on = int(rng.integers(3))
    for place, (lit, dark) in enumerate(
        (((235, 40, 30), (80, 20, 18)), ((250, 190, 30), (90, 70, 20)), ((40, 200, 90), (16, 70, 36)))
    ):
        pen.disc((0, -0.62 + 0.62 * place), 0.25, lit if place == on else dark)


def ball(pen: Pen, rng: np.random.Generator) -> None:
    """A ball or a balloon: one colour and a shine."""
    tone = _tone(rng)
    pen.disc((0, 0), 1.0, tone)
    pen.ellipse((-0.3, -0.35), 0.2, 0.14, (min(255, tone[0] + 60), min(255, tone[1] + 60), min(255, tone[2] + 60)))


def logo(pen: Pen, rng: np.random.Generator) -> None:
    """A shop's round sign: a star, a wave or rings."""
    pen.disc((0, 0), 1.0, _tone(rng))
    kind = int(rng.integers(3))
    if kind == 0:
        points = int(rng.integers(4, 7))
        star = [_round(math.pi * tip / points, 0.72 if tip % 2 == 0 else 0.3) for tip in range(2 * points)]
        pen.polygon(star, _PALE)
    elif kind == 1:
        for lift in (-0.3, 0.1):
            wave = [(x, lift + 0.16 * math.sin(5 * x)) for x in np.linspace(-0.66, 0.66, 16).tolist()]
            pen.stroke(wave, 0.13, _PALE)
    else:
        pen.disc((0, 0), 0.7, _tone(rng, _COOL))
        pen.disc((0, 0), 0.4, _PALE)
        pen.disc((0, 0), 0.16, _DARK)


def plate(pen: Pen, rng: np.random.Generator) -> None:
    """A house number or a name: a square or wide plate of one colour with figures."""
    tall = float(rng.uniform(0.5, 0.95))
    tone = _tone(rng, ((18, 78, 170), (30, 120, 60), (238, 236, 228), (40, 40, 44)))
    pen.rounded([(-0.95, -tall), (0.95, -tall), (0.95, tall), (-0.95, tall)], 0.08, tone)
    ink = _DARK if sum(tone) > 400 else _PALE
    text = "".join(str(rng.choice(_DIGITS)) for _ in range(int(rng.integers(1, 4))))
    pen.text(text, (0, 0), min(tall, 0.72), 0.12, ink, width=0.72)


def board(pen: Pen, rng: np.random.Generator) -> None:
    """A poster: lines of writing and a picture."""
    pen.polygon([(-0.9, -1.0), (0.9, -1.0), (0.9, 1.0), (-0.9, 1.0)], _tone(rng))
    pen.polygon([(-0.75, -0.85), (0.75, -0.85), (0.75, -0.1), (-0.75, -0.1)], _tone(rng, _COOL))
    for line in range(3):
        pen.butt([(-0.7, 0.15 + 0.27 * line), (float(rng.uniform(0.1, 0.7)), 0.15 + 0.27 * line)], 0.12, _PALE)


def tent(pen: Pen, rng: np.random.Generator) -> None:
    """A tent, a gable or a fir: a triangle with a door or in steps."""
    if rng.random() < 0.5:
        pen.polygon([(0, -0.9), (1, 0.85), (-1, 0.85)], _tone(rng, _COOL))
        pen.polygon([(0, -0.2), (0.3, 0.85), (-0.3, 0.85)], _DARK)
        return
    green = _tone(rng, ((26, 80, 40), (40, 100, 60)))
    for top, low, wide in ((-1.0, -0.2, 0.5), (-0.5, 0.35, 0.75), (0.0, 0.85, 1.0)):
        pen.polygon([(0, top), (wide, low), (-wide, low)], green)


def pennant(pen: Pen, rng: np.random.Generator) -> None:
    """A flag that hangs with its point down, in stripes."""
    one, other = _tone(rng, _COOL), _tone(rng, _COOL)
    pen.polygon([(-1, -0.8), (1, -0.8), (0, 0.95)], one)
    pen.polygon([(-0.71, -0.3), (0.71, -0.3), (0.43, 0.2), (-0.43, 0.2)], other)


def kite(pen: Pen, rng: np.random.Generator) -> None:
    pen.polygon(regular(4), _tone(rng, _COOL))
    pen.stroke([(0, -0.9), (0, 0.9)], 0.05, _PALE)
    pen.stroke([(-0.9, 0), (0.9, 0)], 0.05, _PALE)


def hydrant(pen: Pen, rng: np.random.Generator) -> None:
    red = _tone(rng, ((198, 24, 32), (230, 110, 20)))
    pen.rounded([(-0.3, -0.6), (0.3, -0.6), (0.34, 0.95), (-0.34, 0.95)], 0.08, red)
    pen.disc((0, -0.6), 0.32, red)
    pen.stroke([(-0.5, -0.1), (0.5, -0.1)], 0.22, red)
    pen.disc((0, -0.1), 0.16, _PALE)


THINGS: tuple[Callable[[Pen, np.random.Generator], None], ...] = (
    *(clock, wheel, mirror, lights, ball, logo, plate, board, tent, pennant, kite, hydrant),
)
