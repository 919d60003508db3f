"""The head on frozen features: standardise, choose the regularisation by cross-validation, fit, fold into one matrix.

Knows arrays only. Every training picture also gets an answer by a head that has not seen it: from those come the temperature,
the thresholds and the diagnosis, without spending the validation pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sightline import progress
from sightline.learn import balance
from sightline.learn.balance import POWER, Balance
from sightline.learn.logistic import (
    Floats,
    Problem,
    Solution,
    in_features,
    logits_of,
    losses_of,
    one_hot,
    problem,
    solve,
)
from sightline.types import Task

T = TypeVar("T")

STRENGTHS = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)  # C on standardised features, the most cautious head first
FOLDS = 5
SEARCHED = 8_000  # pictures that choosing C looks at; above, the choice does not move and time grows
IMBALANCE = 10.0  # the largest class over the smallest, from which pictures of small classes count more
ROUGH, FINE = 1e-5, 1e-7  # relative decrease of the loss at which a head is done: in cross-validation, in the end


@dataclass(frozen=True, slots=True)
class Head:
    """logits = features @ weight.T + bias. weight (classes, d), bias (classes,)."""

    weight: Floats
    bias: Floats

    def logits(self, features: Floats) -> Floats:
        return features @ self.weight.T + self.bias


@dataclass(frozen=True, slots=True)
class Probe:
    head: Head
    strength: float  # C, chosen
    out_of_fold: Floats  # (n, classes) logits of the training pictures, each by a head that has not seen it
    losses: dict[float, float]  # mean cross-validated loss of each C that was tried
    folds: int
    balanced: bool


def fit_probe(
    features: Floats,
    truth: NDArray[Any],
    classes: int,
    task: Task,
    *,
    groups: Sequence[str | None] = (),
    seed: int = 0,
    threads: int = 1,
    weigh: Balance = "auto",
    strengths: Sequence[float] = STRENGTHS,
) -> Probe:
    """Fit a linear head to features (n, d). truth: class numbers (n,), or 0/1 (n, classes) for several labels (one-vs-rest).

    Pictures of one group stay in one fold; `strengths` are tried in their order.
    Standardisation uses all n; folds share it, since it knows no labels.
    """
    targets = truth.astype(np.float32) if task == "multilabel" else one_hot(truth, classes)
    middle, spread = scaling(features)
    weights, balanced = picture_weights(targets, task, weigh)
    with one_blas_thread(), progress.task("Fitting the head") as work:
        given = problem((features - middle) / spread, targets, weights, softmax=task != "multilabel")
        folds = fold_numbers(targets, groups, FOLDS, seed)
        strength, losses, out_of_fold = _cross_validate(given, folds, seed, threads, work.advance, strengths=strengths)
        weight, bias = in_features(given, solve(given, np.arange(len(features)), strength, tolerance=FINE))
    weight /= spread
    return Probe(Head(weight, bias - weight @ middle), strength, out_of_fold, losses, int(folds.max()) + 1, balanced)


def fit_head(
    features: Floats, truth: NDArray[Any], classes: int, task: Task, strength: float, *, weigh: Balance = "auto"
) -> Head:
    """A head at a given C: for the learning curve."""
    targets = truth.astype(np.float32) if task == "multilabel" else one_hot(truth, classes)
    middle, spread = scaling(features)
    with one_blas_thread():
        weights, _ = picture_weights(targets, task, weigh)
        given = problem((features - middle) / spread, targets, weights, softmax=task != "multilabel")
        weight, bias = in_features(given, solve(given, np.arange(len(features)), strength, tolerance=ROUGH))
    weight /= spread
    return Head(weight, bias - weight @ middle)


def scaling(features: Floats) -> tuple[Floats, Floats]:
    """Mean and spread (d,) of every feature; one that hardly varies keeps a spread that does not blow it up."""
    middle, spread = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    floor = max(float(spread.mean()) * 1e-3, 1e-12)
    return middle.astype(np.float32), np.maximum(spread, floor).astype(np.float32)


def picture_weights(targets: Floats, task: Task, wish: Balance = "auto") -> tuple[Floats, bool]:
    """How much each picture counts (n,), mean 1, and whether they differ.

    By itself only where one class has more than IMBALANCE times another's pictures: then with the square root of the inverse
    frequency, half way to full balance, which would make answers far too ready to name a rare class. Drawing pictures more
    often and weighing them more is the same to a head that is fitted to all of them at once.
    """
    counts = targets.sum(axis=0)
    fair = task == "multilabel" or counts.max() <= IMBALANCE * max(counts.min(), 1)
    if wish == "none" or (wish in ("auto", "focal") and fair):  # a head on frozen features has no focal loss
        return np.ones(len(targets), np.float32), False
    return balance.picture_weights(targets, POWER.get(wish, 0.5)), True


def fold_numbers(targets: Floats, groups: Sequence[str | None], folds: int, seed: int) -> NDArray[np.intp]:
    """The fold (n,) of each picture: groups stay together, and every class is dealt out evenly, the rarest label first.

    After Sechidis et al. 2011 (doi:10.1007/978-3-642-23808-6_10), with whole groups instead of pictures.
    """
    n = len(targets)
    named = [group or f"\0{place}" for place, group in enumerate(groups or [None] * n)]
    _, member = np.unique(named, return_inverse=True)
    count = int(member.max()) + 1
    sums = np.zeros((count, targets.shape[1]))
    np.add.at(sums, member, targets)
    sizes = np.bincount(member)
    frequency = targets.sum(axis=0)
    rarest = np.where(sums > 0, frequency, np.inf).argmin(axis=1)
    folds = max(2, min(folds, count))
    held, total = np.zeros((folds, targets.shape[1])), np.zeros(folds)
    mixed = np.random.default_rng(seed).permutation(count)
    order = mixed[np.lexsort((-sizes[mixed], frequency[rarest[mixed]]))]
    fold = np.zeros(count, np.intp)
    for group in order:
        label = rarest[group]
        fold[group] = min(range(folds), key=lambda f: (held[f, label], total[f]))
        held[fold[group]] += sums[group]
        total[fold[group]] += sizes[group]
    return fold[member]


def _cross_validate(
    given: Problem,
    folds: NDArray[np.intp],
    seed: int,
    threads: int,
    advance: Callable[[], None],
    *,
    strengths: Sequence[float],
) -> tuple[float, dict[float, float], Floats]:
    """The C of the least cross-validated loss, what was tried, and the out-of-fold logits (n, classes) at it."""
    n = len(folds)
    some = np.arange(n) if n <= SEARCHED else np.sort(np.random.default_rng(seed).permutation(n)[:SEARCHED])
    count = int(folds.max()) + 1
    inside = [some[folds[some] != fold] for fold in range(count)]
    outside = [some[folds[some] == fold] for fold in range(count)]
    share = len(some) / n  # |W|^2 / (2 C) weighs against a sum: fewer pictures need a C that is larger to mean the same
    losses: dict[float, float] = {}
    answers: dict[float, Floats] = {}
    latest: list[Solution | None] = [None] * count

    with ThreadPoolExecutor(threads) as pool:

        def every_fold(strength: float, rows: Sequence[NDArray[np.intp]], tested: Sequence[NDArray[np.intp]]) -> Floats:
            def one(fold: int) -> Floats:
                latest[fold] = found = solve(given, rows[fold], strength, latest[fold], ROUGH)
                return logits_of(given, tested[fold], found)

            logits = np.zeros_like(given.targets)
            for fold, answered in enumerate(pool.map(one, range(count))):
                logits[tested[fold]] = answered
                advance()
            return logits

        for strength in strengths:
            answers = {strength: every_fold(strength / share, inside, outside), **answers}
            each = losses_of(answers[strength][some], given.targets[some], softmax=given.softmax)
            losses[strength] = float(np.average(each, weights=given.weights[some]))
            if losses[strength] > min(losses.values()):  # the curve has one valley
                break
        best = min(losses, key=lambda strength: losses[strength])
        if len(some) == n:
            return best, losses, answers[best]
        everyone = [np.flatnonzero(folds != fold) for fold in range(count)]
        latest[:] = [None] * count
        return best, losses, every_fold(best, everyone, [np.flatnonzero(folds == fold) for fold in range(count)])


def one_blas_thread() -> Any:
    """Matrix products on one thread each inside: folds run side by side instead, and BLAS threads wait for each other busily
    where other work shares the cores (measured: 50 times slower on a loaded machine).
    """
    import scipy.optimize  # noqa: F401 (brings its own BLAS, which must be there to be limited)
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1, user_api="blas")
