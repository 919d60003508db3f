"""What a classic recogniser looks at, drawn on the picture: edges (HOG), corners and blobs (SIFT, SURF), colours, patterns.

Prepared pictures in, pixels out. Needs no torch; knows no reports.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sightline.runtime import keypoints

Pixels = NDArray[np.uint8]
SIDE = 320  # pixels a side of a drawing
CELL, ORIENTATIONS = 8, 9
INK = (255, 196, 0)
CAPTIONS = {
    "hog": "edges: each star shows which way the edges of its cell run, the longer a ray the stronger",
    "sift": "corners and blobs that were found (circles), and the regular grid that is described too (dots)",
    "surf": "blobs that were found (circles), and the regular grid that is described too (dots)",
    "colour": "the picture's most frequent colours, wide where frequent",
    "texture": "local binary patterns: each grey level is one pattern of a pixel and its neighbours",
}


def draw(features: str, image: Pixels) -> tuple[Pixels, str]:
    """A drawing (SIDE, SIDE, 3) of what `features` see on a prepared picture (size, size, 3), and what it shows in words."""
    kind = features.partition(":")[0]
    if kind in keypoints.LIBRARIES:
        return _points(kind, image), CAPTIONS[kind]
    return {"hog": _stars, "colour": _palette, "texture": _patterns}[kind](image), CAPTIONS[kind]


def _ground(image: Pixels, light: float = 0.55) -> Image.Image:
    return Image.fromarray((image * light).astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def _stars(image: Pixels) -> Pixels:
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
        pen.line((x - dx, y - dy, x + dx, y + dy), fill=INK, width=2)
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


def _points(kind: str, image: Pixels) -> Pixels:
    """Circles at found keypoints, dots on the grid."""
    rows = keypoints.describe(kind, image[None])[0]
    found = len(rows) - len(keypoints.places(len(image)))
    picture = _ground(image, 0.8)
    pen = ImageDraw.Draw(picture)
    for place, (_, x, y) in enumerate(rows[:, :3]):
        middle, radius = (float(x) * SIDE, float(y) * SIDE), 5.0 if place < found else 1.0
        box = (middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius)
        pen.ellipse(box, outline=INK if place < found else (255, 255, 255), width=2 if place < found else 1)
    return np.asarray(picture)


def _palette(image: Pixels) -> Pixels:
    """The picture above a band of its most frequent colours."""
    levels = (image.reshape(-1, 3) // 64).astype(int)
    number = levels @ np.array([16, 4, 1])
    picture = _ground(image, 1.0)
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


def _patterns(image: Pixels) -> Pixels:
    """The number of brighter neighbours of every pixel as a grey level."""
    grey = image.astype(np.int64) @ np.array([77, 150, 29])
    h, w = grey.shape
    middle = grey[1:-1, 1:-1]
    shifts = [(dy, dx) for dy in (0, 1, 2) for dx in (0, 1, 2) if (dy, dx) != (1, 1)]
    brighter = sum((grey[dy : h - 2 + dy, dx : w - 2 + dx] >= middle).astype(np.int64) for dy, dx in shifts)
    shown = np.asarray(brighter * 255 // 8, np.uint8)
    return np.asarray(Image.fromarray(shown).resize((SIDE, SIDE), Image.Resampling.NEAREST).convert("RGB"))
