"""How good answers are: scores of a whole test and of every class, each with a 95 % interval.

Arrays in, records out. Knows neither models nor pictures; calibration.py and novelty.py judge the other outputs of a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError
from sightline.measure import ranking
from sightline.measure.bootstrap import (
    Floats,
    Ints,
    proportion,
    resampled_counts,
    resampled_sums,
    resamples,
    score,
    unbiased_score,
)
from sightline.measure.calibration import reliability_groups
from sightline.types import Record, Score, Task

Probabilities = NDArray[np.floating]
_LEAST_PROBABILITY = 1e-7  # what float32 can tell from 0
_RANK_WORK = 300_000_000  # pictures x classes x resamples for mean average precision: about 3 s


class ClassScores(Record):
    """How one class fares. `support` counts the pictures that show it."""

    support: int
    precision: Score
    recall: Score
    f1: Score
    average_precision: float | None = None


@dataclass(frozen=True, slots=True)
class Scores:
    """The result of one test.

    `overall` by name, one-label tasks: top1, top5 (above five classes), macro_f1, balanced_accuracy, log_loss, ece; with two
    classes also auc, and with a positive class precision, recall and f1 of it. Several labels: map, micro_f1, macro_f1,
    subset_accuracy (every label right), log_loss, ece. `confusion` (classes, classes): rows truth, columns answers; None for
    several labels.
    """

    task: Task
    n: int
    overall: Mapping[str, Score]
    classes: Mapping[str, ClassScores]
    confusion: Ints | None = field(default=None, repr=False)
    positive: str | None = None

    def json(self) -> dict[str, Any]:
        """The part that goes into `--json` and the card: scores and classes as plain values."""
        return {
            "scores": {name: one.model_dump() for name, one in self.overall.items()},
            "classes": {name: one.model_dump() for name, one in self.classes.items()},
        }


def classification_scores(
    truth: NDArray[Any],
    probabilities: Probabilities,
    task: Task,
    classes: Sequence[str],
    seed: int = 0,
    *,
    positive: str | None = None,
    thresholds: Sequence[float] | None = None,
) -> Scores:
    """Score `probabilities` (n, c) against `truth`: int (n,), or 0/1 (n, c) for several labels.

    Args:
        task: binary and multiclass: one label each, rows of `probabilities` sum to 1; multilabel: any number of labels.
        classes: their c names, in column order.
        seed: of the bootstrap (1,000 resamples; fewer, at least 200, above 20,000 pictures).
        positive: the "yes" class of a binary task.
        thresholds: multilabel: the score from which a label is given, one a class; 0.5 where not told.
    Raises: DataError when the shapes or values do not belong together.
    """
    scores: Floats = np.asarray(probabilities, np.float64)
    truth = np.asarray(truth)
    _check(truth, scores, task, classes)
    if positive is not None and positive not in classes:
        raise DataError(
            f"the positive class {positive!r} is not one of the classes", hint="use one of: " + ", ".join(classes[:10])
        )
    if task == "multilabel":
        cuts = np.full(len(classes), 0.5) if thresholds is None else np.asarray(thresholds, np.float64)
        return _several_labels(truth.astype(bool), scores, classes, cuts, seed)
    return _one_label(truth.astype(np.int64), scores, task, classes, positive=positive, seed=seed)


def _check(truth: NDArray[Any], probabilities: Floats, task: Task, classes: Sequence[str]) -> None:
    shape = (len(truth), len(classes))
    if len(truth) == 0:
        raise DataError("there are no pictures to score", hint="give a dataset whose pictures have labels")
    if probabilities.shape != shape:
        raise DataError(f"probabilities must have the shape {shape} (pictures, classes), got {probabilities.shape}")
    if not np.isfinite(probabilities).all() or probabilities.min() < 0 or probabilities.max() > 1 + 1e-4:
        raise DataError(
            "probabilities must be numbers between 0 and 1", hint="the model may be damaged: run `sightline doctor`"
        )
    if task == "multilabel":
        if truth.shape != shape:
            raise DataError(f"the truth of several labels must have the shape {shape}, got {truth.shape}")
        return
    if truth.ndim != 1 or truth.min() < 0 or truth.max() >= len(classes):
        raise DataError(f"the truth must hold one class number from 0 to {len(classes) - 1} per picture")
    if np.abs(probabilities.sum(axis=1) - 1).max() > 1e-2:
        raise DataError("the probabilities of a picture must sum to 1")


def _one_label(
    truth: Ints, probabilities: Floats, task: Task, classes: Sequence[str], *, positive: str | None, seed: int
) -> Scores:
    n, c = probabilities.shape
    answers = probabilities.argmax(axis=1)
    confusion = np.bincount(truth * c + answers, minlength=c * c).reshape(c, c)
    overall = {"top1": proportion(int(confusion.trace()), n, seed)}
    if c > 5:
        five = np.argpartition(-probabilities, 5, axis=1)[:, :5]
        overall["top5"] = proportion(int((five == truth[:, None]).any(axis=1).sum()), n, seed)
    drawn = _resampled_confusion(confusion, seed)
    right, support, given = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    recalls, f1s = _class_rates(right, support, given)
    drawn_recalls, drawn_f1s = _class_rates(*drawn)
    overall["macro_f1"] = score(_mean(f1s), _means(drawn_f1s), n)
    overall["balanced_accuracy"] = score(_mean(recalls), _means(drawn_recalls), n)
    losses = -np.log(np.clip(probabilities[np.arange(n), truth], _LEAST_PROBABILITY, 1))
    overall |= _calibration(losses, probabilities.max(axis=1), answers == truth, n, seed)
    if c == 2:
        yes = classes.index(positive) if positive is not None else 1
        overall |= _area(truth == yes, probabilities[:, yes], seed)
    per_class = {
        name: ClassScores(
            support=int(support[i]),
            precision=_rate(int(right[i]), int(given[i]), seed),
            recall=_rate(int(right[i]), int(support[i]), seed),
            f1=score(_number(f1s[i]), drawn_f1s[:, i], n),
            average_precision=ranking.average_precision(truth == i, probabilities[:, i]) if support[i] else None,
        )
        for i, name in enumerate(classes)
    }
    if positive is not None:
        one = per_class[positive]
        overall |= {"precision": one.precision, "recall": one.recall, "f1": one.f1}
    return Scores(task, n, overall, per_class, confusion, positive)


def _several_labels(truth: NDArray[np.bool_], probabilities: Floats, classes: Sequence[str], cuts: Floats, seed: int) -> Scores:
    n, c = truth.shape
    given = probabilities >= cuts
    both = truth & given
    drawn = resampled_sums(np.hstack([both, truth, given]).astype(np.float32), seed).reshape(-1, 3, c).transpose(1, 0, 2)
    right, support, answers = both.sum(axis=0), truth.sum(axis=0), given.sum(axis=0)
    _, f1s = _class_rates(right, support, answers)
    _, drawn_f1s = _class_rates(*drawn)
    precisions = np.array([ranking.average_precision(truth[:, i], probabilities[:, i]) for i in range(c)])
    most = int(np.clip(_RANK_WORK // (n * c), 100, resamples(n)))
    overall = {}
    if support.any():
        drawn_precisions = ranking.resampled_average_precision(truth, probabilities, seed, most)
        overall["map"] = score(_mean(precisions), _means(drawn_precisions), n)
    overall["micro_f1"] = score(
        _number(2 * right.sum() / max(support.sum() + answers.sum(), 1)),
        2 * drawn[0].sum(axis=1) / np.maximum(drawn[1].sum(axis=1) + drawn[2].sum(axis=1), 1),
        n,
    )
    overall["macro_f1"] = score(_mean(f1s), _means(drawn_f1s), n)
    overall["subset_accuracy"] = proportion(int((given == truth).all(axis=1).sum()), n, seed)
    chance = np.clip(np.where(truth, probabilities, 1 - probabilities), _LEAST_PROBABILITY, 1)
    overall |= _calibration(-np.log(chance).mean(axis=1), probabilities, truth, n, seed)
    per_class = {
        name: ClassScores(
            support=int(support[i]),
            precision=_rate(int(right[i]), int(answers[i]), seed),
            recall=_rate(int(right[i]), int(support[i]), seed),
            f1=score(_number(f1s[i]), drawn_f1s[:, i], n),
            average_precision=float(precisions[i]) if support[i] else None,
        )
        for i, name in enumerate(classes)
    }
    return Scores("multilabel", n, overall, per_class)


def _calibration(losses: Floats, confidence: Floats, right: NDArray[np.bool_], n: int, seed: int) -> dict[str, Score]:
    """log_loss: mean of -log of the truth's probability (several labels: mean over all yes/no decisions).

    ece: 15 groups of equally many answers, sorted by confidence (several labels: all label scores pooled); the mean over
    answers of |share right - mean confidence| of their group (Guo et al. 2017, with equal mass: Nguyen and O'Connor 2015).
    """
    groups, count = reliability_groups(confidence)
    gap = right.astype(np.float64) - confidence
    cells = np.arange(n)[:, None] * count + groups.reshape(n, -1)
    parts = np.bincount(cells.ravel(), gap.ravel(), n * count).reshape(n, count)  # what each picture adds to each group
    drawn = resampled_sums(np.column_stack([losses, parts]), seed)
    error = np.abs(parts.sum(axis=0)).sum() / gap.size
    return {
        "log_loss": score(float(losses.mean()), drawn[:, 0] / n, n),
        "ece": unbiased_score(float(error), np.abs(drawn[:, 1:]).sum(axis=1) / gap.size, n),
    }


def _area(truth: NDArray[np.bool_], scores: Floats, seed: int) -> dict[str, Score]:
    if truth.all() or not truth.any():
        return {}
    return {"auc": score(ranking.roc_auc(truth, scores), ranking.resampled_roc_auc(truth, scores, seed), len(truth))}


def _resampled_confusion(confusion: Ints, seed: int) -> tuple[Floats, Floats, Floats]:
    """Diagonal, row sums and column sums of resampled confusion matrices: 3 x (resamples, c). Empty cells cost nothing."""
    c = len(confusion)
    rows, columns = np.nonzero(confusion)
    counts = resampled_counts(confusion[rows, columns], seed)
    diagonal = np.zeros((len(counts), c))
    diagonal[:, rows[rows == columns]] = counts[:, rows == columns]
    return diagonal, _sums_by(counts, rows, c), _sums_by(counts, columns, c)


def _sums_by(counts: Ints, group: Ints, groups: int) -> Floats:
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    sums = np.zeros((len(counts), groups))
    sums[:, group[order][starts]] = np.add.reduceat(counts[:, order], starts, axis=1)
    return sums


def _class_rates(right: NDArray[Any], support: NDArray[Any], given: NDArray[Any]) -> tuple[Floats, Floats]:
    """Recall and F1 of each class, the same shape as the counts; NaN where nothing is there to count."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return right / support, 2 * right / (support + given)


def _mean(values: Floats) -> float:
    """Over classes that occur in the truth or the answers (recall: in the truth), as scikit-learn does."""
    return float(np.nanmean(values)) if np.isfinite(values).any() else 0.0


def _means(values: Floats) -> Floats:
    counted = np.isfinite(values)
    return np.asarray(np.where(counted, values, 0).sum(axis=1) / np.maximum(counted.sum(axis=1), 1))


def _rate(right: int, of: int, seed: int) -> Score:
    """A share that is 0, with an interval of all that is possible, where there is nothing to count."""
    return proportion(right, of, seed) if of else Score(value=0.0, low=0.0, high=1.0, n=0)


def _number(value: float | np.floating) -> float:
    return float(value) if np.isfinite(value) else 0.0
