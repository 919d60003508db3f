"""Pictures for tests, drawn here: nothing is copied from anywhere."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

COLOURS = {"red": (200, 40, 40), "green": (40, 170, 60), "blue": (40, 60, 200), "yellow": (220, 200, 40)}


def drawn(seed: int = 0, size: tuple[int, int] = (96, 80), colour: tuple[int, int, int] = (200, 40, 40)) -> Image.Image:
    """A textured ground with one filled shape of `colour` somewhere on it; `size` is (width, height)."""
    rng = np.random.default_rng(seed)
    width, height = size
    coarse = rng.integers(60, 200, (6, 6, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    side = int(min(size) * rng.uniform(0.4, 0.6))
    x, y = int(rng.integers(0, width - side)), int(rng.integers(0, height - side))
    (pen.ellipse if seed % 2 else pen.rectangle)((x, y, x + side, y + side), fill=colour)
    return picture


def encoded(picture: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def pixels(picture: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(picture.convert("RGB"))


def class_folders(root: Path, per_class: int = 6, classes: tuple[str, ...] = ("red", "green", "blue"), seed: int = 0) -> Path:
    """A folder of class folders of small drawn JPEGs."""
    for number, name in enumerate(classes):
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(per_class):
            picture = drawn(seed + 1000 * number + index, colour=COLOURS.get(name, (128, 90, 30)))
            (folder / f"{name}-{index}.jpg").write_bytes(encoded(picture, quality=92))
    return root
