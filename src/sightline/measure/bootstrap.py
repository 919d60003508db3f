"""Bootstrap intervals (Efron and Tibshirani 1993): how much a score would move with another, equally large set of pictures.

Percentile intervals at 95 %. Knows numbers per picture, not what they stand for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sightline.types import Score

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RESAMPLES = 1_000
LEAST = 200  # resamples that still give a usable 95 % interval
_DRAWS = 20_000_000  # pictures drawn in all: keeps 1,000 resamples up to 20,000 pictures, and fewer above
_AT_ONCE = 4_000_000  # pictures drawn at a time: 16 MB
_Z = 1.959964


def resamples(n: int) -> int:
    """How often `n` pictures are drawn again: 1,000 times, less often (at least 200) above 20,000 pictures."""
    return int(min(RESAMPLES, max(LEAST, _DRAWS // max(n, 1))))


def weights(n: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """How often each picture was drawn: blocks (some, n) of whole numbers that sum to n; `resamples(n)` rows in all."""
    rng = np.random.default_rng([seed, 1])
    left, rows = resamples(n), max(1, _AT_ONCE // n)
    while left > 0:
        some = min(rows, left)
        drawn = rng.integers(0, n, (some, n)) + np.arange(some)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=some * n).reshape(some, n).astype(np.float32)
        left -= some


def resampled_sums(values: NDArray[np.floating], seed: int) -> Floats:
    """Sums of per-picture `values` (n, m) over every resample: (resamples, m)."""
    block = np.ascontiguousarray(values, np.float32)
    return np.concatenate([drawn @ block for drawn in weights(len(block), seed)]).astype(np.float64)


def resampled_counts(counts: Ints, seed: int) -> Ints:
    """Counts (cells,) drawn again as a multinomial, which is the same as drawing pictures: (resamples, cells)."""
    n = int(counts.sum())
    return np.random.default_rng([seed, 2]).multinomial(n, counts / n, size=resamples(n))


def score(value: float, draws: Floats, n: int) -> Score:
    """A Score from resampled values (resamples,). Where all resamples agree at 0 or 1 ("all right"), the bootstrap knows no
    doubt, so Wilson's bound for `n` pictures takes its place."""
    usable = draws[np.isfinite(draws)]
    if len(usable) == 0:
        return Score(value=value, low=value, high=value, n=n)
    low, high = (float(x) for x in np.percentile(usable, (2.5, 97.5)))
    if low == high and value in (0.0, 1.0):
        below, above = wilson(value, n)
        low, high = min(low, below), max(high, above)
    return Score(value=value, low=min(low, value), high=max(high, value), n=n)


def unbiased_score(value: float, draws: Floats, n: int) -> Score:
    """For a score that resampling pushes up, as calibration errors are: the interval is moved back by the mean push."""
    moved = draws - (float(draws.mean()) - value)
    return score(value, np.maximum(moved, 0.0), n)


def proportion(right: int, n: int, seed: int) -> Score:
    """A share of `n` pictures: the percentile interval, widened to Wilson's, which holds its 95 % for few pictures and near
    0 and 1, where the bootstrap promises too much."""
    if n == 0:
        return Score(value=math.nan, low=0.0, high=1.0, n=0)
    share = right / n
    draws = np.random.default_rng([seed, 3, right, n]).binomial(n, share, RESAMPLES) / n
    low, high = (float(x) for x in np.percentile(draws, (2.5, 97.5)))
    below, above = wilson(share, n)
    return Score(value=share, low=min(low, below), high=max(high, above), n=n)


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's score interval for a share of `n` (Wilson 1927), 95 %."""
    if n == 0:
        return 0.0, 1.0
    spread = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    middle, scale = share + _Z**2 / (2 * n), 1 + _Z**2 / n
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)
