"""The honest "unknown": how unlike the training pictures an embedding is, in a form that fits into the exported graph.

Knows embeddings, not networks. Chosen by measurement: AUROC of known (validation) against foreign pictures, and in brackets
the share of foreign pictures caught at 5 % false alarms. MobileNetV2 features (1,280) of clothing photographs in 10 classes;
first all 3,068 training pictures, after the slash AUROC with only 8 of each class. Foreign: 300 pictures of blood cells, 500
CIFAR-10 photographs, 90 of noise.

| rule                                              | cells              | CIFAR-10           | noise              |
|---------------------------------------------------|--------------------|--------------------|--------------------|
| nearest class mean                                | .969 (.81)         | .964 (.77)         | .996 (1.0)         |
| the same, every feature standardised              | .991 (.97) / .981  | .989 (.94) / .975  | .994 (1.0) / .981  |
| PCA-whitened, 128 top directions, class means     | .975 (.90)         | .953 (.73)         | .989 (.99)         |
| PCA-whitened, 128 top directions, 32 k-means      | .982 (.95) / .933  | .966 (.80) / .877  | .990 (.99) / .942  |
| Mahalanobis, 128 directions of largest variance   | .980 (.92)         | .962 (.78)         | .991 (.99)         |
| Mahalanobis, 128 directions of smallest variance  | .999 (1.0) / .862  | .995 (.98) / .942  | .997 (1.0) / .981  |
| **Mahalanobis, 128 random mixtures (the rule)**   | .998 (1.0) / .989  | .994 (.99) / .986  | .999 (1.0) / .983  |
| Mahalanobis, all 1,280 directions: 6.5 MB         | .999 (1.0) / .988  | .997 (1.0) / .982  | 1.000 (1.0) / .989 |
| cosine to the 5 nearest training pictures: 16 MB  | 1.000 (1.0)        | 1.000 (1.0)        | 1.000 (1.0)        |

Foreign pictures differ where known ones hardly vary, so few top directions see nothing. A limit that no rule moved: classes of
clothing left out of the training are not told from the others (AUROC .54). "Unknown" means another kind of picture, not a new
class of the same kind. The same pictures cropped or squashed instead of letterboxed raise the false alarms to 11-16 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError
from sightline.types import Unknown

Floats = NDArray[np.float64]
Numbers = NDArray[np.float32]

DIRECTIONS = 128  # (1280, 128) float32: 0.7 MB of the model file
_STILL = 1e-3  # a feature that varies less than this part of the mean is dead: it tells float noise from float noise
_FLOOR = 1e-4  # added to every variance, as a part of their mean
_ENOUGH = 10_000  # pictures: a covariance of 1,280 features needs no more


@dataclass(frozen=True, slots=True)
class Novelty:
    """novelty(e) = min over m of |e @ projection + offset - centres[m]|^2; about 1 for training pictures.

    projection (d, k), offset (k,), centres (m, k), all float32.
    """

    projection: Numbers
    offset: Numbers
    centres: Numbers


def fit_novelty(embedding: NDArray[np.floating], labels: NDArray[Any] | None = None, *, seed: int = 0) -> Novelty:
    """Class-conditional Mahalanobis distance (Lee et al. 2018, arXiv 1807.03888), cut down by a random projection.

    embedding (n, d) of training pictures as the exported model sees them; labels int (n,), or None (several labels: one
    centre, which measured as well). Features are standardised, their covariance within classes is shrunk (Ledoit and Wolf
    2004) and whitened; at most 128 random mixtures of the whitened directions keep squared lengths to about 12 % (Johnson and
    Lindenstrauss 1984). Up to 10,000 pictures are used.
    Raises: DataError for fewer than 2 pictures or embeddings that are not finite.
    """
    values: Floats = np.asarray(embedding, np.float64)
    if values.ndim != 2 or len(values) < 2:
        raise DataError(f"novelty needs the embeddings of at least 2 pictures, got an array of shape {values.shape}")
    if not np.isfinite(values).all():
        raise DataError("the network's embeddings are not finite numbers", hint="train again with a lower learning rate")
    if len(values) > _ENOUGH:
        some = np.random.default_rng(seed).choice(len(values), _ENOUGH, replace=False)
        values, labels = values[some], None if labels is None else np.asarray(labels)[some]
    middle, spread = values.mean(axis=0), values.std(axis=0)
    alive = spread > _STILL * spread.mean()
    if not alive.any():
        raise DataError("the network answers alike for every picture", hint="train longer, or on more different pictures")
    scale = np.where(alive, 1 / (spread + 0.01 * spread.mean()), 0.0)
    scaled = ((values - middle) * scale)[:, alive]
    groups = np.zeros(len(scaled), np.int64) if labels is None else np.unique(np.asarray(labels), return_inverse=True)[1]
    if len(scaled) - (groups.max() + 1) < 2:  # hardly more pictures than classes: nothing varies within a class
        groups = np.zeros(len(scaled), np.int64)
    means = np.stack([scaled[groups == group].mean(axis=0) for group in range(groups.max() + 1)])
    whitening = _whitening(scaled - means[groups], seed)
    projection = np.zeros((values.shape[1], whitening.shape[1]))
    projection[alive] = scale[alive, None] * whitening
    centres, offset = means @ whitening, -middle @ projection
    return Novelty(
        np.ascontiguousarray(projection, np.float32), np.asarray(offset, np.float32), np.asarray(centres, np.float32)
    )


def _whitening(residuals: Floats, seed: int) -> Floats:
    """W (d, k) with |x @ W|^2 about x' S^-1 x / d for the shrunk covariance S of `residuals` (n, d)."""
    from scipy.linalg import solve_triangular

    covariance = shrunk_covariance(residuals)
    width = len(covariance)
    covariance[np.diag_indices(width)] += _FLOOR * np.trace(covariance) / width
    mixing = np.eye(width)
    if width > DIRECTIONS:
        mixing, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(width, DIRECTIONS)))
    root = np.linalg.cholesky(covariance)  # L'^-1 whitens as well as S^-1/2 does, without an eigendecomposition
    return np.asarray(solve_triangular(root, mixing, lower=True, trans="T") / np.sqrt(mixing.shape[1]))


def shrunk_covariance(residuals: Floats) -> Floats:
    """Ledoit and Wolf 2004: centred residuals (n, d) -> (d, d), drawn towards a multiple of the identity as far as n demands.

    The same numbers as scikit-learn's, without its second product of the size of the first.
    """
    n, width = residuals.shape
    covariance = residuals.T @ residuals / n
    mean, square = np.trace(covariance) / width, float((covariance**2).sum())
    distance = square - width * mean**2
    noise = (float(((residuals**2).sum(axis=1) ** 2).sum()) / n - square) / n
    shrinkage = min(max(noise / distance, 0.0), 1.0) if distance > 0 else 1.0
    covariance *= 1 - shrinkage
    covariance[np.diag_indices(width)] += shrinkage * mean
    return np.asarray(covariance)


def distances(parameters: Novelty, embedding: NDArray[np.floating]) -> Numbers:
    """The novelty of embeddings (n, d) -> (n,), as the exported graph computes it (the reference for its parity)."""
    moved = np.asarray(embedding, np.float32) @ parameters.projection + parameters.offset
    return _distances(moved, parameters.centres).astype(np.float32)


def _distances(moved: NDArray[np.floating], centres: NDArray[np.floating]) -> NDArray[np.floating]:
    nearest = np.full(len(moved), np.inf)
    for centre in centres:  # one at a time: (n, m, k) would be gigabytes for many classes
        nearest = np.minimum(nearest, ((moved - centre) ** 2).sum(axis=1))
    return nearest


def choose_unknown(novelty: NDArray[np.floating], rate: float = 0.05, *, seed: int = 0) -> Unknown:
    """The novelty above which a picture is flagged, for about `rate` false alarms; novelty (n,) of known, unseen pictures.

    The threshold is the (1 - rate) quantile of all n. Its rate is measured by cross-fitting: the n are cut into two random
    halves, a threshold is set on each and its false alarms are counted on the other; the rate is that of both counts
    together. Quantiles are taken from above (split-conformal: place ceil((n + 1)(1 - rate))), so few pictures mean fewer
    alarms, not more. n < 2 measures nothing: the threshold is twice the largest value and the rate 1 / (n + 1).
    Raises: DataError when there is no picture, or `rate` is not between 0 and 1.
    """
    values: Floats = np.asarray(novelty, np.float64)
    if len(values) == 0 or not np.isfinite(values).all():
        raise DataError("the unknown threshold needs the novelty of known pictures that the training did not see")
    if not 0 < rate < 1:
        raise DataError(f"the false alarm rate must be between 0 and 1, got {rate}")
    if len(values) < 2:
        return Unknown(threshold=float(values.max()) * 2, false_alarm_rate=1 / (len(values) + 1), n=len(values))
    mixed = np.random.default_rng(seed).permutation(values)
    first, second = mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :]
    alarms = int((second > _upper_quantile(first, rate)).sum() + (first > _upper_quantile(second, rate)).sum())
    return Unknown(threshold=_upper_quantile(values, rate), false_alarm_rate=alarms / len(values), n=len(values))


def _upper_quantile(values: Floats, rate: float) -> float:
    place = int(np.ceil((len(values) + 1) * (1 - rate)))
    return float(np.sort(values)[min(place, len(values)) - 1])
