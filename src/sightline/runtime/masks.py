"""Masks: which pixels of a picture belong to an object. Run lengths as COCO writes them, polygons filled, outlines traced.

A mask is bool (height, width). Run lengths go down the columns, background first; the compressed text is COCO's own (six bits
a character, from the third run on the difference to the run before the last). Knows no formats and no models.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError
from sightline.types import Box, Mask

Pixels = NDArray[np.bool_]
Point = tuple[float, float]
MOST_PIXELS = 1 << 28


# --- run lengths


def runs_of(mask: NDArray[Any]) -> list[int]:
    """Lengths of the runs down the columns of a mask (h, w), background first: COCO's uncompressed counts."""
    flat = np.asarray(mask, bool).ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return [0, *runs] if flat.size and flat[0] else list(runs)


def from_runs(runs: Iterable[int], size: tuple[int, int]) -> Pixels:
    """The mask (h, w) of uncompressed counts; DataError when they do not add up to the picture."""
    height, width = size
    counts = np.asarray(list(runs), np.int64)
    if height < 1 or width < 1 or height * width > MOST_PIXELS or (counts < 0).any() or counts.sum() != height * width:
        raise DataError(
            f"a mask's run lengths add up to {int(counts.sum())} pixels, the picture has {width} x {height}",
            hint="export the masks again",
        )
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape((height, width), order="F")


def compressed(runs: Sequence[int]) -> str:
    """Counts as COCO's text."""
    text: list[str] = []
    for place, run in enumerate(runs):
        value = run - runs[place - 2] if place > 2 else run
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != (-1 if bits & 0x10 else 0)
            text.append(chr((bits | 0x20 if more else bits) + 48))
    return "".join(text)


def uncompressed(text: str) -> list[int]:
    """The counts of COCO's text; DataError for one that is none."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise DataError(f"a mask's compressed counts hold {character!r}, which is none of their signs", hint=_AGAIN)
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise DataError("a mask's compressed counts end in the middle of a number", hint=_AGAIN)
    return runs


_AGAIN = "export the masks again"


def to_mask(pixels: NDArray[Any]) -> Mask:
    """The record of a mask (h, w)."""
    height, width = pixels.shape
    return Mask(size=(height, width), counts=compressed(runs_of(pixels)))


def pixels_of(mask: Mask) -> Pixels:
    """The mask (h, w) of a record; DataError when it makes no sense."""
    return from_runs(uncompressed(mask.counts), mask.size)


def mask_area(mask: Mask) -> int:
    """Pixels that belong to the object, without drawing it."""
    return sum(uncompressed(mask.counts)[1::2])


def mask_box(pixels: NDArray[Any]) -> Box | None:
    """The smallest box around a mask (h, w); None for an empty one."""
    columns, rows = np.flatnonzero(pixels.any(axis=0)), np.flatnonzero(pixels.any(axis=1))
    if not columns.size:
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


# --- polygons


def filled(rings: Iterable[Sequence[Point]], size: tuple[int, int]) -> Pixels:
    """The mask (h, w) of polygons, all their parts together: a pixel belongs when its centre lies inside (even-odd rule)."""
    height, width = size
    mask = np.zeros((height, width), bool)
    for ring in rings:
        if len(ring) >= 3:
            mask |= _one_filled(np.asarray(ring, np.float64), height, width)
    return mask


def _one_filled(ring: NDArray[np.float64], height: int, width: int) -> Pixels:
    ahead = np.roll(ring, -1, axis=0)
    upper, lower = np.where((ring[:, 1] <= ahead[:, 1])[:, None], [ring, ahead], [ahead, ring])
    # rows whose centre y + 1/2 lies in upper.y <= centre < lower.y
    first = np.clip(np.ceil(upper[:, 1] - 0.5), 0, height).astype(np.int64)
    last = np.clip(np.ceil(lower[:, 1] - 0.5), 0, height).astype(np.int64)
    counts = last - first
    edge = np.repeat(np.arange(len(ring)), counts)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    rows = np.arange(len(edge)) - starts + first[edge]
    rise = np.where(counts > 0, lower[:, 1] - upper[:, 1], 1.0)
    slope = (lower[:, 0] - upper[:, 0]) / rise
    across = upper[edge, 0] + (rows + 0.5 - upper[edge, 1]) * slope[edge]
    columns = np.clip(np.ceil(across - 0.5), 0, width).astype(np.int64)
    flips = np.zeros((height, width + 1), np.int32)
    np.add.at(flips, (rows, columns), 1)
    return np.asarray(np.cumsum(flips[:, :width], axis=1) % 2 == 1)


def outlines(pixels: NDArray[Any]) -> list[list[Point]]:
    """The outer outlines of a mask's parts along the pixels' edges, the largest first; holes are left out.

    `filled` of all of them gives the mask again, with its holes filled. Parts that touch at a corner only are two.
    """
    grid = np.pad(np.asarray(pixels, bool), 1)
    onward: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for (before, after), step, move in _SIDES:
        inside = grid[1:-1, 1:-1] & ~np.roll(grid, step, axis=(0, 1))[1:-1, 1:-1]
        for y, x in np.argwhere(inside).tolist():
            onward.setdefault((x + before, y + after), []).append(move)
    rings = []
    while onward:
        ring = _walk(onward)
        if _signed_area(ring) > 0:
            rings.append(ring)
    rings.sort(key=_signed_area, reverse=True)
    return [[(float(x), float(y)) for x, y in ring] for ring in rings]


# a side of a pixel that has no neighbour there: the corner it starts from, where its neighbour is, the way it goes (clockwise)
_SIDES = (
    ((0, 0), (1, 0), (1, 0)),  # above: left to right
    ((1, 0), (0, -1), (0, 1)),  # right: downwards
    ((1, 1), (-1, 0), (-1, 0)),  # below: right to left
    ((0, 1), (0, 1), (0, -1)),  # left: upwards
)


def _walk(onward: dict[tuple[int, int], list[tuple[int, int]]]) -> list[tuple[int, int]]:
    """Take one closed way out of the sides, corners only; where two ways cross it turns right, into its own pixel."""
    start = here = next(iter(onward))
    way = onward[here][0]
    corners: list[tuple[int, int]] = []
    last = (0, 0)
    while True:
        choices = onward[here]
        if len(choices) > 1:
            right = (-last[1], last[0])
            way = right if right in choices else choices[0]
        else:
            way = choices[0]
        choices.remove(way)
        if not choices:
            del onward[here]
        if way != last:
            corners.append(here)
        here, last = (here[0] + way[0], here[1] + way[1]), way
        if here == start:
            return corners


def _signed_area(ring: Sequence[tuple[float, float]]) -> float:
    points = np.asarray(ring, np.float64)
    ahead = np.roll(points, -1, axis=0)
    return float((points[:, 0] * ahead[:, 1] - ahead[:, 0] * points[:, 1]).sum()) / 2


def outline(pixels: NDArray[Any], tolerance: float = 0.75) -> tuple[Point, ...] | None:
    """The outline of a mask's largest part, simplified to `tolerance` pixels (Douglas and Peucker 1973); None when empty."""
    around = mask_box(pixels)
    if around is None:
        return None
    left, top, right, bottom = map(int, around)  # an object is often a small part of a large picture
    ring = np.asarray(outlines(pixels[top:bottom, left:right])[0], np.float64) + np.array([left, top])
    far = int(np.argmax(((ring - ring[0]) ** 2).sum(axis=1)))
    halves = [ring[: far + 1], np.concatenate([ring[far:], ring[:1]])]
    kept = [point for half in halves for point in _simpler(half, tolerance)[:-1]]
    if len(kept) < 3:
        kept = ring.tolist()
    return tuple((float(x), float(y)) for x, y in kept)


def _simpler(line: NDArray[np.float64], tolerance: float) -> list[list[float]]:
    keep = np.zeros(len(line), bool)
    keep[[0, -1]] = True
    waiting = [(0, len(line) - 1)]
    while waiting:
        first, last = waiting.pop()
        if last - first < 2:
            continue
        chord = line[last] - line[first]
        offsets = line[first + 1 : last] - line[first]
        length = float(np.hypot(*chord))
        away = np.abs(chord[0] * offsets[:, 1] - chord[1] * offsets[:, 0]) / length if length else np.hypot(*offsets.T)
        worst = int(np.argmax(away))
        if away[worst] > tolerance:
            middle = first + 1 + worst
            keep[middle] = True
            waiting += [(first, middle), (middle, last)]
    return line[keep].tolist()  # type: ignore[no-any-return]


# --- a model's masks


def pasted(probabilities: NDArray[np.float32], box: NDArray[Any], size: tuple[int, int], threshold: float = 0.5) -> Pixels:
    """The mask (h, w) of probabilities (m, m) that lie on a grid over `box`, bilinear between the cells' centres.

    `size` is (height, width). As Mask R-CNN (He et al. 2017, arXiv 1703.06870) pastes its masks.
    """
    height, width = size
    mask = np.zeros((height, width), bool)
    x0, y0, x1, y1 = (float(value) for value in box)
    left, top = max(0, int(np.floor(x0))), max(0, int(np.floor(y0)))
    right, bottom = min(width, int(np.ceil(x1))), min(height, int(np.ceil(y1)))
    if right <= left or bottom <= top:
        return mask
    columns = _weights(np.arange(left, right) + 0.5, x0, x1, probabilities.shape[1])
    rows = _weights(np.arange(top, bottom) + 0.5, y0, y1, probabilities.shape[0])
    mask[top:bottom, left:right] = rows @ probabilities @ columns.T >= threshold
    return mask


def _weights(centres: NDArray[Any], low: float, high: float, cells: int) -> NDArray[np.float32]:
    """How much each of `cells` cells between low and high counts at each pixel centre: (pixels, cells)."""
    places = np.clip((centres - low) / max(high - low, 1e-6) * cells - 0.5, 0, cells - 1)
    left = np.minimum(places.astype(np.int64), max(cells - 2, 0))
    share = places - left
    weights = np.zeros((len(centres), cells), np.float32)
    rows = np.arange(len(centres))
    weights[rows, left] = 1 - share
    weights[rows, np.minimum(left + 1, cells - 1)] += share
    return weights
