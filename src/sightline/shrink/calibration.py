"""Which pictures to calibrate on: few that are as different from each other as the whole collection allows.

Knows nothing of models: it chooses among rows of numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError


def diverse(embedding: NDArray[np.floating], count: int, seed: int = 0) -> NDArray[np.int64]:
    """Row numbers (min(count, n),) of embedding (n, d), each as far as possible from those before it; the first by `seed`.

    Farthest-first traversal (Gonzalez 1985, "Clustering to minimize the maximum intercluster distance") on rows of length 1:
    the greatest distance from any row to a chosen one is at most twice the least possible. O(n d count); outliers come early,
    which is wanted here: ranges must hold them.
    DataError for rows that are not finite, a table that is none or a count below 1.
    """
    rows = np.asarray(embedding, np.float32)
    if rows.ndim != 2 or not len(rows) or not np.isfinite(rows).all():
        raise DataError(f"calibration pictures are chosen by finite embeddings (n, d), got shape {rows.shape}")
    if count < 1:
        raise DataError(f"at least 1 calibration picture must be chosen, got {count}")
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    chosen = np.empty(min(count, len(rows)), np.int64)
    chosen[0] = np.random.default_rng(seed).integers(len(rows))
    nearest = np.full(len(rows), np.inf, np.float32)  # squared distance of each row to the chosen ones
    for place in range(1, len(chosen)):
        nearest = np.minimum(nearest, 2 - 2 * rows @ rows[chosen[place - 1]])
        nearest[chosen[:place]] = -np.inf
        chosen[place] = nearest.argmax()
    return chosen
