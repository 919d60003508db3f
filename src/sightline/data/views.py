"""Comparing pictures by their grey miniatures: windows of them, described so that turns cost nothing, and precise alignment.

A window is a square part of a picture (sides stretched to 1 x 1): centre offset and size as fractions. A description holds the
8 x 8 lowest DCT-II terms of a window without the mean, at length 1: the product of two is the correlation of what they show. A
mirrored or turned picture's terms change sign or place only. Knows no files, no datasets.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from sightline.data.cells import Floats
from sightline.data.looks import GREYS, Miniatures

TERMS = 8  # a side
SAMPLES = 24  # a side of a window
INNER = 0.8  # size of the window of one picture that is looked for in the other
TURNS = 8  # bit 0: mirrored left to right; bit 1: top to bottom; bit 2: rows and columns swapped before
SIZES = (1.0, 0.96, 1.04)  # tried when a pair is aligned, times the window's own; the first one alone sorts out most
HOPELESS = 0.93  # correlation below which the other sizes are not tried: they bring a few hundredths
MOVES = np.linspace(-1 / 32, 1 / 32, 5, dtype=np.float32)  # offsets tried then, each way, of the side
CLOSE, SURE = 0.96, 0.9995  # correlations between which a finer search is worth its time, with these steps
FINER = (1 / 128, 1 / 256)
_FLAT = 2.0  # deviation of grey values (0..255) below which a window shows nothing


class Window(NamedTuple):
    x: float = 0.0
    y: float = 0.0
    size: float = INNER


def turned(pictures: Miniatures, turn: int) -> Miniatures:
    """Pictures (n, h, w, ...) mirrored or turned, one of TURNS ways; 0 is the identity."""
    if turn & 4:
        pictures = pictures.swapaxes(1, 2)
    return pictures[:, :: -1 if turn & 2 else 1, :: -1 if turn & 1 else 1]


def turned_window(window: Window, turn: int) -> Window:
    """Where a window of a picture lies when the picture is turned."""
    x, y = (window.y, window.x) if turn & 4 else (window.x, window.y)
    return Window(-x if turn & 1 else x, -y if turn & 2 else y, window.size)


def described(greys: Miniatures, window: Window) -> Floats:
    """Descriptions float32 (n, 64) of one window of grey miniatures (n, 16, 16); zeros where the window is flat."""
    across, down = (_transform(centre, window.size) for centre in (window.x, window.y))
    found = np.empty((len(greys), TERMS * TERMS), np.float32)
    for start in range(0, len(greys), 4096):
        terms = down @ greys[start : start + 4096].astype(np.float32) @ across.T
        found[start : start + 4096] = _unit(terms.reshape(-1, TERMS * TERMS))
    return found


def swapped(descriptions: Floats) -> Floats:
    """Descriptions (n, 64) of the windows with rows and columns swapped."""
    return np.ascontiguousarray(descriptions.reshape(-1, TERMS, TERMS).swapaxes(1, 2)).reshape(-1, TERMS * TERMS)


def turn_scores(first: Floats, second: Floats) -> Floats:
    """Correlations float32 (m, 4) of descriptions (m, 64) with those of the second windows in turns 0 to 3.

    Mirrored, terms that are odd in that direction change their sign. Turns 4 to 7 are the same of the `swapped` second windows.
    """
    return np.asarray((first * second) @ _signs(), np.float32)


@cache
def _signs() -> Floats:
    """The sign (64, 4) of each term in turns 0 to 3."""
    odd = np.arange(TERMS) % 2
    across, down = np.tile(odd, TERMS), np.repeat(odd, TERMS)
    return np.stack([(-1.0) ** (across * (turn & 1) + down * (turn >> 1)) for turn in range(4)], axis=1).astype(np.float32)


def sizes(descriptions: Floats) -> Floats:
    """What no turn changes (n, 64): sizes of the terms, with their mirror images at the diagonal."""
    return np.asarray(np.abs(np.abs(descriptions) @ _mirrored()), np.float32)


@cache
def _mirrored() -> Floats:
    """(64, 64): sums of the terms above the diagonal with their mirror images and the diagonal twice, then the differences."""
    rows, columns = np.triu_indices(TERMS)
    above, below = np.zeros((TERMS**2, len(rows)), np.float32), np.zeros((TERMS**2, len(rows)), np.float32)
    above[rows * TERMS + columns, np.arange(len(rows))] = 1
    below[columns * TERMS + rows, np.arange(len(rows))] = 1
    return np.concatenate([above + below, (above - below)[:, rows != columns]], axis=1)


def turnless(descriptions: Floats, usual: Floats) -> Floats:
    """How `sizes` differ from the usual ones (64,), at length 1 (n, 64): the large low terms are alike in all pictures."""
    found = sizes(descriptions) - usual
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6)
    found[~descriptions.any(axis=1)] = 0
    return found


class Aligned(NamedTuple):
    """For each pair (m,): how well the greys agree in the best of all nearby windows, and that window of the second picture.

    `score` is the correlation. `detail` is the correlation of the square roots of the terms: of two seas under two skies, equal
    but for the ships, the score is high for the horizon's sake, the detail is not.
    """

    score: Floats
    detail: Floats
    x: Floats
    y: Floats
    size: Floats


def sought(first: Miniatures, second: Miniatures, near: Window) -> Floats:
    """Scores, offsets, sizes (4, m): where the middle of `first` is in `second`, both (m, 16, 16), near the window `near`.

    Places between the tried ones are left to `aligned`; what scores below CLOSE here shows something else.
    """
    wanted, pixels = described(first, Window()), second.astype(np.float32)
    best = _nearby(wanted, pixels, near)
    for factor in SIZES[1:]:
        hopeful = np.flatnonzero(best[0] >= HOPELESS)
        found = _nearby(wanted[hopeful], pixels[hopeful], near._replace(size=near.size * factor))
        best[:, hopeful] = np.where(found[0] > best[0, hopeful], found, best[:, hopeful])
    return best


def aligned(first: Miniatures, second: Miniatures, best: Floats) -> Aligned:
    """Find the middle window of `first` in `second`, both (m, 16, 16), around the places `best` (4, m) that were `sought`."""
    wanted, pixels = described(first, Window()), second.astype(np.float32)
    loose = np.flatnonzero(best[0] < SURE)
    best = best.copy()
    best[:, loose] = _finer(wanted[loose], pixels[loose], best[:, loose])
    terms = _unit(_views(pixels, *best[1:]))
    return Aligned(best[0], (_rooted(wanted) * _rooted(terms)).sum(axis=1), *best[1:])


def _nearby(wanted: Floats, pixels: Floats, near: Window) -> Floats:
    """Scores, offsets and sizes (4, m): the best of the windows moved by MOVES each way."""
    across, down = (np.concatenate([_transform(centre + move, near.size) for move in MOVES]) for centre in (near.x, near.y))
    views = (down @ pixels @ across.T).reshape(-1, len(MOVES), TERMS, len(MOVES), TERMS).transpose(0, 1, 3, 2, 4)
    scores = (_unit(views.reshape(len(pixels), -1, TERMS * TERMS)) @ wanted[:, :, None])[:, :, 0]
    spot = scores.argmax(axis=1)
    below, beside = np.divmod(spot, len(MOVES))
    score = scores[np.arange(len(spot)), spot]
    return np.stack([score, near.x + MOVES[beside], near.y + MOVES[below], np.full(len(spot), near.size, np.float32)])


def _finer(wanted: Floats, pixels: Floats, best: Floats) -> Floats:
    """Scores, offsets and sizes (4, m) after a search around them, one coordinate after the other."""
    best = best.copy()
    for step in FINER:
        for move in np.eye(3, dtype=np.float32) * step:
            for sign in (-1, 1):
                place = best[1:] + sign * move[:, None]
                score = (_unit(_views(pixels, *place)) * wanted).sum(axis=1)
                better = score > best[0]
                best[0, better], best[1:, better] = score[better], place[:, better]
    return best


def _views(pixels: Floats, x: Floats, y: Floats, size: Floats) -> Floats:
    """Terms (m, 64) of a window of each of the grey miniatures (m, 16, 16), each at a place of its own."""
    across, down = (_basis() @ _weights(GREYS, centre, size, SAMPLES) for centre in (x, y))
    return np.asarray((down @ pixels @ across.transpose(0, 2, 1)).reshape(-1, TERMS * TERMS), np.float32)


def _rooted(terms: Floats) -> Floats:
    roots = np.sign(terms) * np.sqrt(np.abs(terms))
    return np.asarray(roots / np.maximum(np.linalg.norm(roots, axis=1, keepdims=True), 1e-6), np.float32)


def colour_agreement(first: Miniatures, second: Miniatures, found: Aligned) -> Floats:
    """Correlation (m,) of the colours of the INNER window of `first` (m, 8, 8, 3) with the window found in `second`."""
    side = first.shape[1]
    centred = [_standard(part, (1, 2, 3)) for part in (_sampled(first, 0, 0, INNER, side), _sampled(second, *found[2:], side))]
    return np.asarray((centred[0] * centred[1]).sum(axis=(1, 2, 3)), np.float32)


def _sampled(pictures: Miniatures, x: Floats | float, y: Floats | float, size: Floats | float, side: int) -> Floats:
    """6 x 6 colours of a window of each picture (m, side, side, 3), each at a place of its own."""
    places = np.zeros((3, len(pictures)), np.float32) + np.array([np.broadcast_to(v, len(pictures)) for v in (x, y, size)])
    across, down = (_weights(side, centre, places[2].astype(np.float32), 6) for centre in places[:2].astype(np.float32))
    return np.asarray(np.einsum("mpi,mijc,mqj->mpqc", down, pictures.astype(np.float32), across, optimize=True), np.float32)


def _weights(pixels: int, centres: Floats, sizes: Floats, count: int) -> Floats:
    """Linear interpolation as weights float32 (m, count, pixels): `count` samples over a window of a row of `pixels`."""
    steps = (np.arange(count, dtype=np.float32) + 0.5) / count - 0.5
    places = (0.5 + centres[:, None] + sizes[:, None] * steps) * pixels - 0.5
    far = np.abs(places.clip(0, pixels - 1)[:, :, None] - np.arange(pixels, dtype=np.float32))
    return np.asarray(np.maximum(0, 1 - far), np.float32)


def _transform(centre: float, size: float) -> Floats:
    """From a row of a grey miniature to the terms of a window of it, float32 (TERMS, GREYS): sampled, then transformed."""
    weights = _weights(GREYS, np.full(1, centre, np.float32), np.full(1, size, np.float32), SAMPLES)[0]
    return np.asarray(_basis() @ weights, np.float32)


@cache
def _basis() -> Floats:
    """The lowest terms of the orthonormal DCT-II, float32 (TERMS, SAMPLES)."""
    place, term = np.arange(SAMPLES), np.arange(TERMS)[:, None]
    basis = np.cos(np.pi * (2 * place + 1) * term / (2 * SAMPLES)) * np.sqrt(2 / SAMPLES)
    basis[0] /= np.sqrt(2)
    return np.asarray(basis, np.float32)


def _unit(terms: Floats) -> Floats:
    """Terms (..., 64) without the mean (the first) and at length 1; zeros where the window is flat."""
    terms[..., 0] = 0
    length = np.linalg.norm(terms, axis=-1, keepdims=True)
    return np.asarray(np.where(length > _FLAT * SAMPLES, terms / np.maximum(length, 1e-6), 0), np.float32)


def _standard(values: Floats, axes: tuple[int, ...]) -> Floats:
    """Values without their mean and at length 1 over the axes; nearly constant ones become zeros."""
    values = values - values.mean(axis=axes, keepdims=True)
    length = np.sqrt((values**2).sum(axis=axes, keepdims=True))
    count = float(np.prod([values.shape[axis] for axis in axes]))
    return np.asarray(np.where(length > _FLAT * np.sqrt(count), values / np.maximum(length, 1e-6), 0), np.float32)
