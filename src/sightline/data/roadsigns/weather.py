"""Light, weather, lens and camera: what happens to a picture after the signs stand in it.

Arrays are float32 (h, w, 3) in 0..255, sRGB; every function returns a new one. `unit` is 1/96 of the shorter side in pixels, so
that rain looks alike at any size.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Pixels = NDArray[np.float32]


def light(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """Exposure, contrast, colour temperature and a shade that falls across the picture."""
    h, w, _ = pixels.shape
    gain = rng.uniform(0.62, 1.25) * (1 + rng.normal(0, 0.05, 3))
    contrast, lift = rng.uniform(0.75, 1.15), rng.uniform(-8, 12)
    out = ((pixels - 128) * contrast + 128) * gain + lift
    if rng.random() < 0.4:
        angle, edge, depth = rng.uniform(0, 2 * np.pi), rng.uniform(-0.4, 0.4), rng.uniform(0.25, 0.6)
        y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
        side = (x * np.cos(angle) + y * np.sin(angle) - edge) * rng.choice((2.0, 8.0, 24.0))
        out = out * (1 - depth / (1 + np.exp(-side)))[..., None]
    return np.clip(out, 0, 255).astype(np.float32)


def rain(rng: np.random.Generator, pixels: Pixels, unit: float) -> Pixels:
    h, w, _ = pixels.shape
    drops = Image.new("L", (w, h), 0)
    pen = ImageDraw.Draw(drops)
    slant = rng.uniform(-0.5, 0.5)
    for _ in range(int(rng.integers(25, 90) * h * w / (96 * 96 * unit * unit))):
        x, y, long = rng.uniform(-0.1, 1.1) * w, rng.uniform(-0.1, 1.0) * h, rng.uniform(4, 14) * unit
        pen.line((x, y, x + slant * long, y + long), fill=int(rng.integers(60, 170)), width=max(1, round(unit * 0.8)))
    veil = np.asarray(drops.filter(ImageFilter.GaussianBlur(0.4 * unit)), np.float32)[..., None] / 255
    grey = pixels.mean(axis=2, keepdims=True)
    wet = (pixels * 0.72 + grey * 0.28) * 0.88
    return np.asarray(wet * (1 - veil * 0.7) + 225 * veil * 0.7, np.float32)


def fog(rng: np.random.Generator, pixels: Pixels, _unit: float) -> Pixels:
    h, w, _ = pixels.shape
    coarse = rng.uniform(0.6, 1.0, (4, 4)).astype(np.float32)
    cloud = np.asarray(Image.fromarray(coarse).resize((w, h), Image.Resampling.BICUBIC), np.float32)[..., None]
    thick = np.clip(cloud * rng.uniform(0.4, 0.82), 0, 0.8)
    tone = float(rng.uniform(165, 225))
    return np.asarray(pixels * (1 - thick) + tone * thick, np.float32)


def snow(rng: np.random.Generator, pixels: Pixels, unit: float) -> Pixels:
    h, w, _ = pixels.shape
    flakes = Image.new("L", (w, h), 0)
    pen = ImageDraw.Draw(flakes)
    for _ in range(int(rng.integers(30, 110) * h * w / (96 * 96 * unit * unit))):
        x, y, r = rng.uniform(0, 1) * w, rng.uniform(0, 1) * h, rng.uniform(0.4, 1.7) * unit
        pen.ellipse((x - r, y - r, x + r, y + r), fill=int(rng.integers(130, 255)))
    veil = np.asarray(flakes.filter(ImageFilter.GaussianBlur(0.35 * unit)), np.float32)[..., None] / 255
    pale = pixels * 0.8 + 42
    return np.asarray(pale * (1 - veil) + 248 * veil, np.float32)


def night(rng: np.random.Generator, pixels: Pixels, _unit: float) -> Pixels:
    """Dark, bluish or sodium yellow, with a head-lamp's cone around the middle."""
    h, w, _ = pixels.shape
    dark, cone = rng.uniform(0.2, 0.34), rng.uniform(0.15, 0.5)
    y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
    cx, cy = rng.uniform(-0.4, 0.4, 2)
    lamp = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) * rng.uniform(0.5, 1.5))[..., None]
    tint = np.asarray((0.86, 0.95, 1.15)) if rng.random() < 0.5 else np.asarray((1.12, 1.0, 0.72))
    return np.asarray(np.clip(pixels * (dark + cone * lamp) * tint + rng.uniform(0, 8), 0, 255), np.float32)


def glare(rng: np.random.Generator, pixels: Pixels, _unit: float) -> Pixels:
    """A low sun or a reflection: a bright disc with a wide halo that washes colours out."""
    h, w, _ = pixels.shape
    y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
    cx, cy = rng.uniform(-1, 1), rng.uniform(-1, 0.6)
    away = np.sqrt((x - cx) ** 2 + (y - cy) ** 2)
    halo = np.exp(-away * rng.uniform(1.4, 3.0)) * rng.uniform(0.6, 1.0) + np.exp(-((away / 0.18) ** 2)) * 0.6
    veil = np.clip(halo, 0, 0.93)[..., None]
    return np.asarray(pixels * (1 - veil) + np.asarray((255, 248, 228)) * veil, np.float32)


WEATHERS: dict[str, Callable[[np.random.Generator, Pixels, float], Pixels]] = {
    "rain": rain,
    "fog": fog,
    "snow": snow,
    "night": night,
    "glare": glare,
}


def lens(rng: np.random.Generator, picture: Image.Image, unit: float) -> tuple[Image.Image, str | None]:
    """Out of focus or moved, in about half of the pictures; also says which."""
    draw = rng.random()
    if draw < 0.28:
        return picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 1.7)) * unit)), "blur"
    if draw < 0.5:
        return _motion(picture, float(rng.uniform(2, 6.5)) * unit, float(rng.uniform(0, np.pi))), "motion"
    return picture, None


def _motion(picture: Image.Image, length: float, angle: float) -> Image.Image:
    """The mean of the picture moved along a line of `length` pixels."""
    steps = max(2, round(length))
    total = np.zeros((picture.height, picture.width, 3), np.float32)
    for step in np.linspace(-0.5, 0.5, steps) * length:
        shift = (1, 0, float(step * np.cos(angle)), 0, 1, float(step * np.sin(angle)))
        moved = picture.transform(picture.size, Image.Transform.AFFINE, shift, Image.Resampling.BILINEAR)
        total += np.asarray(moved, np.float32)
    if length > 1:  # the shifted copies leave black edges: give them the picture's own
        margin = int(np.ceil(length / 2))
        out = np.asarray(picture, np.float32).copy()
        out[margin:-margin, margin:-margin] = (total / steps)[margin:-margin, margin:-margin]
        return Image.fromarray(out.astype(np.uint8))
    return picture


def sensor(rng: np.random.Generator, picture: Image.Image, dark: bool) -> Image.Image:
    """Noise of the sensor, stronger in the dark."""
    pixels = np.asarray(picture, np.float32)
    noise = rng.standard_normal(pixels.shape, np.float32) * np.float32(rng.uniform(1, 9 if dark else 6))
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))
