"""Corners and blobs of a picture, found by two formulas: what older recognisers hold on to, and what `--explain` draws.

numpy only. Knows no models.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float32]
SIGMAS = (1.6, 2.26, 3.2, 4.53, 6.4)  # pixels: half an octave apart


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in pixels, how far it reaches (radius) and how strong it is (1: the strongest of the picture)."""

    x: float
    y: float
    radius: float
    strength: float


def corners(image: NDArray[np.uint8], most: int = 40) -> tuple[Spot, ...]:
    """Harris and Stephens' corners ("A combined corner and edge detector", 1988; k = 0.05) of pixels (h, w, 3)."""
    grey = grey_of(image)
    down, across = np.gradient(_blurred(grey, 1.0))
    xx, yy, xy = (_blurred(np.asarray(product, np.float32), 1.5) for product in (across * across, down * down, across * down))
    answer = xx * yy - xy * xy - 0.05 * (xx + yy) ** 2
    top = _peaks(answer, answer > 0.01 * max(float(answer.max()), 1e-9), most, rim=2)
    highest = max((float(answer[y, x]) for y, x in top), default=1.0)
    return tuple(Spot(float(x), float(y), 3.0, float(answer[y, x]) / highest) for y, x in top)


def blobs(image: NDArray[np.uint8], most: int = 30) -> tuple[Spot, ...]:
    """Light and dark blobs (h, w, 3): peaks in place and scale of the difference of Gaussians (Lowe 2004); the radius is
    sqrt(2) sigma.
    """
    grey = grey_of(image)
    levels = [_blurred(grey, sigma) for sigma in (*SIGMAS, SIGMAS[-1] * 2**0.5)]
    stack = np.abs(np.stack([sharp - soft for sharp, soft in pairwise(levels)]))
    best = stack.argmax(axis=0)
    answer = stack.max(axis=0)
    top = _peaks(answer, answer > max(0.15 * float(answer.max()), 0.01), most, rim=2)
    highest = max((float(answer[y, x]) for y, x in top), default=1.0)
    return tuple(Spot(float(x), float(y), SIGMAS[int(best[y, x])] * 2**0.5, float(answer[y, x]) / highest) for y, x in top)


def grey_of(image: NDArray[np.uint8]) -> Grey:
    """Luminance in 0..1 with a square root, so that what is in shade is seen too."""
    return np.asarray(np.sqrt(image @ np.array([0.299, 0.587, 0.114]) / 255), np.float32)


def _blurred(values: Grey, sigma: float) -> Grey:
    reach = int(3 * sigma) + 1
    ramp = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (ramp / ramp.sum()).astype(np.float32)
    padded = np.pad(values, reach, mode="edge")
    rows = sum(weight * padded[place : place + len(values)] for place, weight in enumerate(kernel))
    width = values.shape[1]
    return np.asarray(
        sum(weight * np.asarray(rows)[:, place : place + width] for place, weight in enumerate(kernel)), np.float32
    )


def _peaks(answer: Grey, allowed: NDArray[np.bool_], most: int, rim: int) -> list[tuple[int, int]]:
    """Places (y, x) higher than all within 2 pixels, the highest first."""
    padded = np.pad(answer, 2, constant_values=-np.inf)
    h, w = answer.shape
    around = np.max([padded[dy : dy + h, dx : dx + w] for dy in range(5) for dx in range(5)], axis=0)
    good = allowed & (answer >= around)
    good[:rim] = good[-rim:] = False
    good[:, :rim] = good[:, -rim:] = False
    places = np.argwhere(good)
    order = np.argsort(-answer[good], kind="stable")[:most]
    return [(int(y), int(x)) for y, x in places[order]]
