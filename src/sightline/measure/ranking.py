"""Scores of an order: average precision and the area under the ROC curve, plain and for every bootstrap resample.

Average precision is the step-wise sum over recall (no interpolation), tied scores count as one step, as in scikit-learn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightline.measure.bootstrap import Floats, weights

Flags = NDArray[np.bool_]


def average_precision(truth: Flags, scores: NDArray[np.floating]) -> float:
    """Average precision of one class: truth (n,), scores (n,). NaN where the class has no picture."""
    positives = np.sort(scores[truth])
    if len(positives) == 0:
        return float("nan")
    above = len(scores) - np.searchsorted(np.sort(scores), positives, side="left")
    found = len(positives) - np.searchsorted(positives, positives, side="left")
    return float((found / above).mean())


def resampled_average_precision(truth: Flags, scores: NDArray[np.floating], seed: int, most: int) -> Floats:
    """Average precision of every class: truth (n, c), scores (n, c) -> (at most `most` resamples, c), NaN without positives."""
    ranks = [_ranked(truth[:, c], scores[:, c]) for c in range(truth.shape[1])]
    rows: list[Floats] = []
    for drawn in weights(len(truth), seed):
        some = drawn[: most - sum(map(len, rows))]
        if len(some) == 0:
            break
        rows.append(np.stack([_average_precision(some, *rank) for rank in ranks], axis=1))
    return np.concatenate(rows)


def roc_auc(truth: Flags, scores: NDArray[np.floating]) -> float:
    """Chance that a picture of the class scores above one without it, ties counting half: truth (n,), scores (n,)."""
    return float(_roc_auc(np.ones((1, len(truth)), np.float32), truth, scores)[0])


def resampled_roc_auc(truth: Flags, scores: NDArray[np.floating], seed: int) -> Floats:
    return np.concatenate([_roc_auc(drawn, truth, scores) for drawn in weights(len(truth), seed)])


def _ranked(truth: Flags, scores: NDArray[np.floating]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Order (n,) from the highest score, places of the positives in it (p,), and the last place of each positive's tie (p,)."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    positives = np.flatnonzero(truth[order])
    return order, positives, np.searchsorted(-ranked, -ranked[positives], side="right") - 1


def _average_precision(
    drawn: NDArray[np.float32], order: NDArray[np.intp], positives: NDArray[np.intp], ends: NDArray[np.intp]
) -> Floats:
    """Average precision for each row of weights `drawn` (b, n): (b,)."""
    if len(positives) == 0:
        return np.full(len(drawn), np.nan)
    ranked = drawn[:, order[: ends[-1] + 1]]  # what comes after the last positive does not count
    # float32 sums of whole numbers are exact up to 2^24 pictures
    starts = np.concatenate([[0], ends[:-1] + 1])
    fresh = starts <= ends  # members of one tie share one end
    above = np.add.reduceat(ranked, starts[fresh], axis=1)
    above = np.cumsum(above, axis=1)  # pictures at or above each step
    right = np.add.reduceat(ranked[:, positives], np.flatnonzero(fresh), axis=1)
    found = np.cumsum(right, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        steps = np.where(above > 0, found / above, 0.0) * right
        return np.asarray(steps.sum(axis=1) / found[:, -1], np.float64)


def _roc_auc(drawn: NDArray[np.float32], truth: Flags, scores: NDArray[np.floating]) -> Floats:
    _, place = np.unique(scores, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    ranked, yes = drawn[:, order].astype(np.float64), truth[order]
    positive = np.add.reduceat(ranked * yes, starts, axis=1)
    negative = np.add.reduceat(ranked * ~yes, starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2  # negatives with a lower score, ties half
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((positive * below).sum(axis=1) / pairs, np.float64)
