"""Fisher's linear discriminant as a change of features: directions in which classes are far apart and pictures of one are near.

Belhumeur, Hespanha and Kriegman 1997 ("fisherfaces", doi:10.1109/34.598228): principal components first, then discriminants.
Knows arrays only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightline.learn.classic.scorers import Turned
from sightline.learn.logistic import Floats

COMPONENTS = 300
SHRUNK = 0.1  # share of the within-class covariance that is replaced by its mean variance: there are few pictures


def discriminant(features: Floats, truth: NDArray[np.int64], classes: int) -> Turned:
    """The at most classes - 1 directions for features (n, d), truth (n,) class numbers."""
    from sklearn.utils.extmath import randomized_svd

    middle = features.mean(axis=0, dtype=np.float64).astype(np.float32)
    away = features - middle
    count = max(1, min(COMPONENTS, len(away) - 1, away.shape[1]))
    _, lengths, components = randomized_svd(away, count, n_iter=2, random_state=0)
    components = components[lengths > 1e-6 * lengths.max()] if lengths.max() > 0 else components[:1]
    x = (away @ components.T).astype(np.float64)
    means = np.stack([x[truth == label].mean(axis=0) if (truth == label).any() else x.mean(axis=0) for label in range(classes)])
    inside = x - means[truth]
    within = inside.T @ inside / len(x)
    spread = max(float(np.trace(within)) / len(within), 1e-12)
    within = (1 - SHRUNK) * within + SHRUNK * spread * np.eye(len(within))
    variances, axes = np.linalg.eigh(within)
    whiten = axes / np.sqrt(np.maximum(variances, 1e-12))
    weighed = (means - x.mean(axis=0)) * np.sqrt(np.bincount(truth, minlength=classes) / len(x))[:, None]
    _, _, directions = np.linalg.svd(weighed @ whiten, full_matrices=False)
    turn = whiten @ directions[: max(1, min(classes - 1, len(directions)))].T
    return Turned(middle, np.ascontiguousarray(components.T @ turn, np.float32))
