"""What a classic recogniser looks at, drawn on the picture: edges (HOG), corners and blobs (SIFT, SURF), colours, patterns.

Prepared pictures in, pixels out. Needs no torch; knows no reports.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sightline.learn.classic.evidence import Evidence
from sightline.runtime import keypoints
from sightline.runtime.corners import blobs, corners

Pixels = NDArray[np.uint8]
SIDE = 384  # pixels a side of a drawing
CELL, ORIENTATIONS = 8, 9
INK, AGAINST, CORNER, BLOB = (255, 196, 0), (60, 150, 255), (80, 255, 230), (255, 120, 220)
FRAMED = 0.35  # cells above this share of the strongest are framed
CAPTIONS = {
    "hog": "edges: each star shows which way the edges of its cell run, the longer a ray the stronger",
    "windows": "edges, as windows of 16 to 48 pixels all over the picture see them: the longer a ray the stronger",
    "sift": "blobs and corners that were found (circles of their size, a line for their direction), and the grids that are "
    "described too (dots)",
    "surf": "blobs that were found (circles of their size, a line for their direction), and the grids that are described "
    "too (dots)",
    "colour": "the picture's most frequent colours, wide where frequent",
    "texture": "local binary patterns: each grey level is one pattern of a pixel and its neighbours",
}


def draw(features: str, image: Pixels, shown: Evidence | None = None) -> tuple[Pixels, str]:
    """A drawing (SIDE, SIDE, 3) of what `features` see on a prepared picture (size, size, 3), and what it shows in words.

    With `shown`, everything is coloured by how much it speaks for the answer.
    """
    kind, _, how = features.partition(":")
    if kind in keypoints.LIBRARIES:
        return _points(kind, image, shown), CAPTIONS[kind]
    drawn = {"hog": _stars, "colour": _palette, "texture": _patterns}[kind](image, shown)
    return drawn, CAPTIONS["windows" if how else kind]


def plain(image: Pixels) -> Pixels:
    """The picture itself (SIDE, SIDE, 3)."""
    return np.asarray(_ground(image, 1.0))


def warm(image: Pixels, cells: NDArray[np.float32]) -> Pixels:
    """The picture (SIDE, SIDE, 3), dark and grey where nothing speaks for the answer, bright and framed where much does."""
    heat = np.asarray(Image.fromarray(np.asarray(cells, np.float32)).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    heat = np.clip(heat, 0, 1)[..., None]
    ground = np.asarray(_ground(image, 1.0), np.float32)
    grey = ground.mean(axis=2, keepdims=True) * 0.45 + 12
    picture = Image.fromarray((grey * (1 - heat) + ground * heat).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    step = SIDE / len(cells)
    for row, column in np.argwhere(cells > FRAMED):
        box = (column * step + 1, row * step + 1, (column + 1) * step - 2, (row + 1) * step - 2)
        pen.rectangle(box, outline=tint(float(cells[row, column])), width=2)
    return np.asarray(picture)


def spots(image: Pixels) -> Pixels:
    """Corners (Harris) as crosses, blobs (difference of Gaussians) as circles of their size."""
    picture = _ground(image, 0.7)
    pen = ImageDraw.Draw(picture)
    scale = SIDE / len(image)
    for spot in blobs(image):
        x, y, reach = (spot.x + 0.5) * scale, (spot.y + 0.5) * scale, spot.radius * scale
        pen.ellipse((x - reach, y - reach, x + reach, y + reach), outline=BLOB, width=2)
    for spot in corners(image):
        x, y = (spot.x + 0.5) * scale, (spot.y + 0.5) * scale
        pen.line((x - 6, y, x + 6, y), fill=CORNER, width=3)
        pen.line((x, y - 6, x, y + 6), fill=CORNER, width=3)
    return np.asarray(picture)


def tint(value: float) -> tuple[int, int, int]:
    """-1..1 to a colour: blue speaks against, grey does not matter, amber to red speaks for."""
    stops = np.array([-1, -0.05, 0.05, 0.45, 1.0])
    tones = np.array([AGAINST, (120, 120, 120), (120, 120, 120), INK, (255, 60, 30)], float)
    r, g, b = (int(np.interp(value, stops, tones[:, channel])) for channel in range(3))
    return r, g, b


def _ground(image: Pixels, light: float = 0.55) -> Image.Image:
    return Image.fromarray((image * light).astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def _at(shown: Evidence | None, x: float, y: float) -> tuple[int, int, int]:
    """The colour of the place x, y (0..1)."""
    if shown is None:
        return INK
    side = len(shown.cells)
    return tint(float(shown.cells[min(int(y * side), side - 1), min(int(x * side), side - 1)]))


def _stars(image: Pixels, shown: Evidence | None) -> Pixels:
    """Rays along the edges of every cell (across its gradients)."""
    cells = cell_histograms(image)
    strongest = max(float(np.quantile(cells, 0.99)), 1e-6)
    picture = _ground(image)
    pen = ImageDraw.Draw(picture)
    scale = SIDE / len(image)
    for row, column, bin_ in np.argwhere(cells > 0.08 * strongest):
        length = min(float(cells[row, column, bin_]) / strongest, 1.0) * CELL * scale * 0.48
        angle = bin_ * math.pi / ORIENTATIONS + math.pi / 2
        x, y = (column + 0.5) * CELL * scale, (row + 0.5) * CELL * scale
        dx, dy = length * math.cos(angle), length * math.sin(angle)
        pen.line((x - dx, y - dy, x + dx, y + dy), fill=_at(shown, x / SIDE, y / SIDE), width=2)
    return np.asarray(picture)


def cell_histograms(image: Pixels) -> NDArray[np.float32]:
    """Gradient strength by orientation (rows, columns, 9) in cells of 8 pixels; number 0 is across vertical edges."""
    grey = np.sqrt(image @ np.array([0.299, 0.587, 0.114]) / 255)
    across, down = np.zeros_like(grey), np.zeros_like(grey)
    across[:, 1:-1], down[1:-1] = grey[:, 2:] - grey[:, :-2], grey[2:] - grey[:-2]
    number = np.rint(np.arctan2(down, across) * ORIENTATIONS / math.pi).astype(int) % ORIENTATIONS
    votes = np.eye(ORIENTATIONS)[number] * np.hypot(across, down)[..., None]
    rows, columns = len(grey) // CELL, grey.shape[1] // CELL
    whole = votes[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL, ORIENTATIONS)
    return np.asarray(whole.sum(axis=(1, 3)), np.float32)


def _points(kind: str, image: Pixels, shown: Evidence | None) -> Pixels:
    """Circles of the size of found keypoints with a line for their direction, dots on the grids; the strongest on top."""
    rows, shape = keypoints.describe(kind, image[None])[0], keypoints.shapes(kind, image)
    weight = np.zeros(len(rows)) if shown is None or shown.points is None else shown.points
    picture = _ground(image, 0.6)
    pen = ImageDraw.Draw(picture)
    for place in np.lexsort((np.abs(weight), shape[:, 2])):
        x, y = float(rows[place, 1]) * SIDE, float(rows[place, 2]) * SIDE
        colour = INK if shown is None else tint(float(weight[place]))
        if shape[place, 2] == 0:
            small = 1.5 if shown is None else 1 + 1.5 * abs(float(weight[place]))
            pen.ellipse((x - small, y - small, x + small, y + small), fill=(200, 200, 200) if shown is None else colour)
            continue
        radius, angle = max(float(shape[place, 0]) * SIDE, 3.0), float(shape[place, 1])
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=colour, width=2)
        pen.line((x, y, x + radius * math.cos(angle), y + radius * math.sin(angle)), fill=colour, width=2)
    return np.asarray(picture)


def _palette(image: Pixels, shown: Evidence | None) -> Pixels:
    """The picture above a band of its most frequent colours."""
    levels = (image.reshape(-1, 3) // 64).astype(int)
    number = levels @ np.array([16, 4, 1])
    picture = _ground(image, 1.0) if shown is None else Image.fromarray(warm(image, shown.cells))
    pen = ImageDraw.Draw(picture)
    at, top = 0.0, int(SIDE * 0.82)
    for one in np.argsort(-np.bincount(number, minlength=64), kind="stable")[:8]:
        mine = number == one
        if not mine.any():
            break
        wide = SIDE * float(mine.mean())
        colour = tuple(int(value) for value in image.reshape(-1, 3)[mine].mean(axis=0))
        pen.rectangle((at, top, at + wide, SIDE), fill=colour)
        at += wide
    pen.rectangle((at, top, SIDE, SIDE), fill=(128, 128, 128)) if at < SIDE else None
    return np.asarray(picture)


def _patterns(image: Pixels, shown: Evidence | None) -> Pixels:
    """The number of brighter neighbours of every pixel as a grey level."""
    grey = image.astype(np.int64) @ np.array([77, 150, 29])
    h, w = grey.shape
    middle = grey[1:-1, 1:-1]
    shifts = [(dy, dx) for dy in (0, 1, 2) for dx in (0, 1, 2) if (dy, dx) != (1, 1)]
    brighter = sum((grey[dy : h - 2 + dy, dx : w - 2 + dx] >= middle).astype(np.int64) for dy, dx in shifts)
    levels = Image.fromarray(np.asarray(brighter * 255 // 8, np.uint8)).resize((SIDE, SIDE), Image.Resampling.NEAREST)
    picture = np.asarray(levels.convert("RGB"))
    if shown is None:
        return picture
    coloured = np.array([[tint(float(value)) for value in row] for row in shown.cells], np.uint8)
    wash = np.asarray(Image.fromarray(coloured).resize((SIDE, SIDE), Image.Resampling.NEAREST), np.float32) / 255
    return np.asarray(picture * wash, np.uint8)
