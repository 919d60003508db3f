"""What stands behind the signs: streets, walls, leaves, blurred colour. All drawn from the given random generator.

Knows no signs, but does know their colours: blobs in sign red, blue and yellow keep a model from counting colours.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from sightline.data.roadsigns.pen import Colour

LOUD: tuple[Colour, ...] = ((200, 30, 40), (20, 80, 175), (245, 200, 30), (240, 240, 236), (30, 120, 60), (230, 110, 20))


def ground(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """A background of `width` x `height` pixels, RGB, slightly out of focus."""
    kind = rng.choice(4, p=(0.55, 0.15, 0.15, 0.15))
    picture = (_street, _wall, _leaves, _blotches)[kind](rng, width, height)
    scale = min(width, height) / 96
    if rng.random() < 0.6:  # things in sign colours, so that colour alone does not tell
        _loud(rng, picture)
    return picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.2, 1.2)) * scale))


def _between(rng: np.random.Generator, low: Colour, high: Colour) -> Colour:
    r, g, b = (int(rng.integers(min(a, z), max(a, z) + 1)) for a, z in zip(low, high, strict=True))
    return r, g, b


def _gradient(top: Colour, bottom: Colour, width: int, height: int) -> Image.Image:
    ramp = np.linspace(0, 1, height)[:, None, None]
    rows = np.asarray(top) * (1 - ramp) + np.asarray(bottom) * ramp  # (height, 1, 3)
    return Image.fromarray(np.broadcast_to(rows, (height, width, 3)).astype(np.uint8))


def _street(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    sky = _between(rng, (90, 130, 170), (215, 225, 245))
    if rng.random() < 0.35:  # overcast
        grey = int(rng.integers(130, 225))
        sky = (grey, grey, min(255, grey + 8))
    picture = _gradient(sky, _between(rng, (170, 180, 190), (240, 240, 240)), width, height)
    pen = ImageDraw.Draw(picture)
    horizon = height * float(rng.uniform(0.45, 0.85))
    for _ in range(int(rng.integers(0, 5))):
        _building(rng, pen, width, height, horizon)
    for _ in range(int(rng.integers(0, 6))):
        x, top = float(rng.uniform(0, width)), horizon - height * float(rng.uniform(0.1, 0.5))
        _tree(rng, pen, x, (top, horizon), width)
    verge = _between(rng, (60, 90, 40), (130, 140, 90))
    pen.rectangle((0, horizon, width, height), fill=verge)
    vanish, left, right = (float(v) for v in rng.uniform((0.2, -0.6, 0.6), (0.8, 0.4, 1.6)) * width)
    asphalt = int(rng.integers(60, 130))
    pen.polygon([(vanish, horizon), (right, height), (left, height)], fill=(asphalt, asphalt, asphalt + 4))
    middle = (left + right) / 2
    pen.line([(vanish, horizon), (middle, height)], fill=(215, 215, 205), width=max(1, width // 48))
    for _ in range(int(rng.integers(0, 3))):  # lamp posts and other poles
        x, thick = float(rng.uniform(0, width)), width * float(rng.uniform(0.008, 0.03))
        tone = int(rng.integers(50, 150))
        pen.rectangle((x, height * float(rng.uniform(-0.1, 0.3)), x + thick, height), fill=(tone, tone, tone))
    return picture


def _building(rng: np.random.Generator, pen: ImageDraw.ImageDraw, width: int, height: int, horizon: float) -> None:
    x, w = float(rng.uniform(-0.2, 0.9)) * width, float(rng.uniform(0.15, 0.5)) * width
    top = horizon - float(rng.uniform(0.15, 0.7)) * height
    plaster = int(rng.integers(80, 200))  # one grey with a warm tint: no purple houses
    wall = _between(rng, (plaster, plaster - 8, plaster - 30), (plaster + 35, plaster + 12, plaster + 2))
    pen.rectangle((x, top, x + w, horizon), fill=wall)
    pane = tuple(channel // 2 for channel in wall)
    step = width * float(rng.uniform(0.06, 0.12))
    for wx in np.arange(x + step / 3, x + w - step / 2, step):
        for wy in np.arange(top + step / 3, horizon - step / 2, step):
            pen.rectangle((wx, wy, wx + step / 2, wy + step * 0.6), fill=pane)


def _tree(rng: np.random.Generator, pen: ImageDraw.ImageDraw, x: float, span: tuple[float, float], width: int) -> None:
    top, foot = span
    green = _between(rng, (30, 60, 20), (110, 140, 70))
    pen.rectangle((x - width * 0.012, top, x + width * 0.012, foot), fill=(80, 62, 48))
    radius = width * float(rng.uniform(0.05, 0.13))
    for _ in range(6):
        cx, cy = x + float(rng.normal(0, radius * 0.7)), top + float(rng.normal(0, radius * 0.7))
        tone = tuple(int(np.clip(c + rng.integers(-18, 18), 0, 255)) for c in green)
        pen.ellipse((cx - radius, cy - radius, cx + radius, cy + radius), fill=tone)


def _wall(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    brick = _between(rng, (110, 60, 45), (200, 180, 160))
    mortar = _between(rng, (140, 135, 130), (200, 195, 190))
    picture = Image.new("RGB", (width, height), mortar)
    pen = ImageDraw.Draw(picture)
    rows = int(rng.integers(6, 14))
    tall, long = height / rows, height / rows * 2.3
    for row in range(rows):
        for x in np.arange(-long * (0.5 * (row % 2)), width, long):
            tone = tuple(int(np.clip(c + rng.integers(-14, 14), 0, 255)) for c in brick)
            pen.rectangle((x, row * tall, x + long - tall * 0.15, (row + 0.85) * tall), fill=tone)
    return picture


def _leaves(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    picture = Image.new("RGB", (width, height), _between(rng, (20, 45, 15), (60, 80, 40)))
    pen = ImageDraw.Draw(picture)
    count = 70
    places = rng.uniform(-0.05, 1.05, (count, 2)) * (width, height)
    sizes = rng.uniform(0.02, 0.09, (count, 2)) * width
    tones = np.clip(rng.normal((80, 115, 45), (30, 30, 20), (count, 3)), 0, 255).astype(int)
    for (x, y), (rx, ry), tone in zip(places.tolist(), sizes.tolist(), tones.tolist(), strict=True):
        pen.ellipse((x - rx, y - ry, x + rx, y + ry), fill=tuple(tone))
    return picture


def _blotches(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    cells = int(rng.integers(2, 9))
    grey = rng.normal(rng.uniform(70, 190), rng.uniform(15, 50), (cells, cells, 1))
    coarse = grey + rng.normal(0, 14, 3) + rng.normal(0, rng.uniform(4, 22), (cells, cells, 3))
    return Image.fromarray(np.clip(coarse, 0, 255).astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)


def _loud(rng: np.random.Generator, picture: Image.Image) -> None:
    """Advertisements, cars and parts of other signs: plain shapes in the colours of signs."""
    pen = ImageDraw.Draw(picture)
    width, height = picture.size
    for _ in range(int(rng.integers(1, 5))):
        x, y = float(rng.uniform(-0.1, 1.0)) * width, float(rng.uniform(-0.1, 1.0)) * height
        w, h = (float(v) * width for v in rng.uniform(0.06, 0.4, 2))
        tone = LOUD[int(rng.integers(len(LOUD)))]
        rim = LOUD[int(rng.integers(len(LOUD)))]
        thick = max(1, round(width * float(rng.uniform(0.0, 0.04))))
        form = int(rng.integers(3))
        if form == 0:
            pen.rectangle((x, y, x + w, y + h), fill=tone, outline=rim, width=thick)
        elif form == 1:
            pen.ellipse((x, y, x + w, y + w), fill=tone, outline=rim, width=thick)
        else:
            pen.polygon([(x, y + w), (x + w / 2, y), (x + w, y + w)], fill=tone, outline=rim, width=thick)
