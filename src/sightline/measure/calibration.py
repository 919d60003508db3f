"""Making scores mean what they say: the temperature, the thresholds of several labels, and from when an answer is "unsure".

Knows logits and probabilities, not the network they come from.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError
from sightline.types import Record, Task

Floats = NDArray[np.float64]

BINS = 15
_LOG_RANGE = (math.log(0.05), math.log(20.0))
_GOLDEN = (math.sqrt(5) - 1) / 2
_EVIDENCE = 10  # answers below which a share right says nothing


class Bin(Record):
    """A group of answers of about the same confidence, and how many of them were right."""

    confidence: float
    accuracy: float
    n: int


def to_probabilities(logits: NDArray[np.floating], task: Task, temperature: float = 1.0) -> NDArray[np.float64]:
    """Softmax of logits (n, c) over the classes, or for several labels the sigmoid of each, after dividing by `temperature`."""
    scaled = np.asarray(logits, np.float64) / temperature
    if task == "multilabel":
        return np.asarray(np.exp(-np.logaddexp(0, -scaled)), np.float64)
    return np.asarray(np.exp(scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True)), np.float64)


def fit_temperature(logits: NDArray[np.floating], truth: NDArray[Any], task: Task) -> float:
    """The temperature T (0.05 to 20) that makes softmax(logits / T) most likely on pictures the training did not see.

    Guo et al. 2017, arXiv 1706.04599. logits (n, c); truth int (n,), or 0/1 (n, c) for several labels (one T for all). The
    answers' order does not change. A weak log-normal prior around 1, worth one picture, keeps T finite when every answer is
    right. Golden section on log T: the loss has one valley.
    """
    outputs: Floats = np.asarray(logits, np.float64)
    if len(outputs) == 0 or len(outputs) != len(truth):
        raise DataError(f"temperature needs as many truths as logits, got {len(truth)} and {len(logits)}")
    if not np.isfinite(outputs).all():
        raise DataError("the network's outputs are not finite numbers", hint="train again with a lower learning rate")

    def loss(log_t: float) -> float:
        return _negative_log_likelihood(outputs / math.exp(log_t), truth, task) + log_t**2 / 2

    low, high = _LOG_RANGE
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = loss(left), loss(right)
    while high - low > 1e-4:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = loss(right)
    return math.exp((low + high) / 2)


def _negative_log_likelihood(logits: Floats, truth: NDArray[Any], task: Task) -> float:
    """Summed over pictures; for several labels the mean over the classes of each."""
    if task == "multilabel":
        return float(np.logaddexp(0, np.where(truth.astype(bool), -logits, logits)).mean(axis=1).sum())
    chosen = logits[np.arange(len(logits)), truth.astype(np.int64)]
    return float((np.logaddexp.reduce(logits, axis=1) - chosen).sum())


def reliability_groups(confidence: NDArray[np.floating], bins: int = BINS) -> tuple[NDArray[np.int64], int]:
    """Group number of every answer, same shape as `confidence`: `bins` groups of equally many answers by rank, and how many."""
    flat = confidence.ravel()
    count = min(bins, len(flat))
    groups = np.empty(len(flat), np.int64)
    groups[np.argsort(flat, kind="stable")] = np.arange(len(flat)) * count // len(flat)
    return groups.reshape(confidence.shape), count


def reliability(truth: NDArray[Any], probabilities: NDArray[np.floating], task: Task, bins: int = BINS) -> tuple[Bin, ...]:
    """Confidence against share right, in groups of equally many answers (several labels: every label's score is an answer)."""
    probabilities = np.asarray(probabilities, np.float64)
    if task == "multilabel":
        confidence, right = probabilities, np.asarray(truth).astype(bool)
    else:
        confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    groups, count = reliability_groups(confidence, bins)
    flat, good, number = confidence.ravel(), right.ravel(), groups.ravel()
    sizes = np.bincount(number, minlength=count)
    sure, share = np.bincount(number, flat, count) / sizes, np.bincount(number, good, count) / sizes
    return tuple(Bin(confidence=float(sure[i]), accuracy=float(share[i]), n=int(sizes[i])) for i in range(count))


def choose_thresholds(probabilities: NDArray[np.floating], truth: NDArray[Any]) -> NDArray[np.float64]:
    """For every class the score from which its label is given, so that F1 is highest: probabilities and truth (n, c) -> (c,).

    The cut lies midway between the two scores it parts; of equally good cuts the one nearest 0.5 wins. A class without a
    picture, or on all pictures, keeps 0.5. Cuts stay within 0.05 to 0.95: few pictures must not force a label on or off.
    """
    scores: Floats = np.asarray(probabilities, np.float64)
    shown = np.asarray(truth).astype(bool)
    return np.array([_best_cut(scores[:, i], shown[:, i]) for i in range(shown.shape[1])])


def _best_cut(scores: Floats, truth: NDArray[np.bool_]) -> float:
    if truth.all() or not truth.any():
        return 0.5
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    given = np.arange(1, len(scores) + 1)
    f1 = 2 * np.cumsum(truth[order]) / (given + truth.sum())
    after = np.append(ranked[1:], 0.0)
    possible = ranked > after  # a cut cannot part equal scores
    cuts = np.clip((ranked + after) / 2, 0.05, 0.95)[possible]
    if len(cuts) == 0:
        return 0.5
    good = cuts[f1[possible] >= f1[possible].max() - 1e-12]
    return float(good[np.abs(good - 0.5).argmin()])


def choose_unsure(probabilities: NDArray[np.floating], truth: NDArray[Any]) -> float:
    """The top score below which an answer is flagged "unsure": taken together, answers below it are right less than half the
    time (two classes, where guessing is right half the time: less than two thirds).

    probabilities (n, c) after temperature; truth int (n,), or 0/1 (n, c), where an answer is right when its best label is
    among the true ones. The highest such score with at least 10 answers below it, up to 0.9. Where no such score exists, the
    share itself (what a calibrated score says), but never above the tenth lowest score: measured answers there were right.
    """
    probabilities, truth = np.asarray(probabilities, np.float64), np.asarray(truth)
    enough = 0.5 if probabilities.shape[1] > 2 else 2 / 3
    top, answers = probabilities.max(axis=1), probabilities.argmax(axis=1)
    right = truth[np.arange(len(truth)), answers].astype(bool) if truth.ndim == 2 else answers == truth
    order = np.argsort(top, kind="stable")
    scores = top[order]
    if len(scores) < _EVIDENCE:
        return enough
    share = np.cumsum(right[order]) / np.arange(1, len(scores) + 1)
    bad = np.flatnonzero(share < enough)
    bad = bad[bad >= _EVIDENCE - 1]
    if len(bad):
        last = int(bad[-1])
        above = scores[last + 1] if last + 1 < len(scores) else scores[last] + 1e-6
        return float(min((scores[last] + above) / 2, 0.9))
    return float(min(enough, scores[_EVIDENCE - 1]))
