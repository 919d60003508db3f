"""Vectors that are near each other, among many: each is looked for in a few cells of similar ones only. Knows no pictures.

20,000 vectors of 64 numbers take about 0.1 s of a core instead of 2 s for all pairs; of pairs with a product above 0.9 hardly
any is lost (docs/log.md).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Spots: TypeAlias = NDArray[np.int64]

PROBES = 3  # cells in which a vector's neighbours are looked for
MOST = 32  # neighbours of one vector in one cell that are given at most
_BLOCK = 1 << 22  # products at a time: 16 MB


def single() -> AbstractContextManager[object]:
    """Products on one core each: searches run side by side, and threads that wait for each other cost three times as much."""
    from threadpoolctl import threadpool_limits

    return cast("AbstractContextManager[object]", threadpool_limits(1, "blas"))


class Cells:
    """Vectors of length 1 in cells around some of them; neighbours are looked for in the nearest cells only."""

    def __init__(self, vectors: Floats) -> None:
        self.vectors = vectors
        count = max(1, round(len(vectors) ** 0.5 * 1.4))
        rng = np.random.default_rng(0)
        self.centres = vectors[np.sort(rng.choice(len(vectors), count, replace=False))]
        sample = vectors[np.sort(rng.choice(len(vectors), min(len(vectors), 40 * count), replace=False))]
        for _ in range(4 if count > PROBES else 0):  # k-means on the sphere
            cell = self._nearest(sample, 1)[:, 0]
            sums = np.zeros_like(self.centres)
            np.add.at(sums, cell, sample)
            length = np.linalg.norm(sums, axis=1, keepdims=True)
            self.centres = np.where(length > 1e-6, sums / np.maximum(length, 1e-6), self.centres)
        asked = self._nearest(vectors, min(count, PROBES))
        self._order = np.argsort(asked.ravel(), kind="stable") // asked.shape[1]
        self._starts = np.searchsorted(np.sort(asked.ravel()), np.arange(count + 1))

    def _nearest(self, vectors: Floats, count: int) -> Spots:
        found = np.empty((len(vectors), count), np.int64)
        size = max(1, _BLOCK // len(self.centres))
        for start in range(0, len(vectors), size):
            near = vectors[start : start + size] @ self.centres.T
            if count == 1:
                found[start : start + size, 0] = near.argmax(axis=1)
            else:
                found[start : start + size] = np.argpartition(near, -count, axis=1)[:, -count:]
        return found

    def near(self, base: Floats, threshold: float) -> tuple[Spots, Spots, Floats]:
        """Places (first, second) in the vectors and in `base` whose product is above `threshold`, and the product."""
        cell = self._nearest(base, 1)[:, 0]
        order = np.argsort(cell, kind="stable")
        starts = np.searchsorted(cell[order], np.arange(len(self.centres) + 1))
        found = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))]
        for number in np.flatnonzero(np.diff(starts)):
            members = order[starts[number] : starts[number + 1]]
            asking = self._order[self._starts[number] : self._starts[number + 1]]
            wanted = base[members].T
            size = max(1, _BLOCK // len(members))
            for start in range(0, len(asking), size):
                part = asking[start : start + size]
                products = self.vectors[part] @ wanted
                row, column = _few(products, threshold)
                if len(row):
                    found.append((part[row], members[column], products[row, column]))
        first, second, score = (np.concatenate(column) for column in zip(*found, strict=True))
        return first, second, score


def _few(products: Floats, threshold: float) -> tuple[Spots, Spots]:
    """Rows and columns of products from `threshold`, the MOST largest ones of each row."""
    row, column = np.divmod(np.flatnonzero(products >= threshold), products.shape[1])
    if len(row) <= MOST:
        return row, column
    crowded = np.flatnonzero(np.bincount(row, minlength=len(products)) > MOST)
    if len(crowded):
        quiet = ~np.isin(row, crowded)
        largest = np.argpartition(products[crowded], -MOST, axis=1)[:, -MOST:]
        row = np.concatenate([row[quiet], np.repeat(crowded, MOST)])
        column = np.concatenate([column[quiet], largest.ravel()])
    return row, column
