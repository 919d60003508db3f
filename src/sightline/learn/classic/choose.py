"""Choosing a classifier's setting by cross-validation, and answers for every training picture by one that has not seen it.

Knows arrays only: from the out-of-fold answers come temperature and thresholds, without spending validation pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline import progress
from sightline.learn.classic.classifiers import CLASSIFIERS, Given, Setting
from sightline.learn.classic.scorers import Scorer
from sightline.learn.logistic import Floats
from sightline.learn.probe import STRENGTHS, Head, fit_head, fit_probe, fold_numbers
from sightline.learn.ways import loss_of, main_score
from sightline.measure.calibration import fit_temperature
from sightline.settings import settings
from sightline.types import Task

FOLDS = 3
SEARCHED = 3_000  # training pictures that settings are compared on


@dataclass(frozen=True, slots=True)
class Chosen:
    scorer: Scorer | Head
    setting: Setting
    held_out: tuple[Floats, NDArray[np.int64]]  # logits and truth of training pictures, each by a machine that has not seen it
    tried: dict[str, float]  # setting in words -> its score


def fit_classifier(name: str, given: Given, groups: Sequence[str | None], fixed: Setting | None = None) -> Chosen:
    """The classifier `name` with the setting that answers unseen training pictures best, or with the `fixed` one."""
    task: Task = "multilabel" if given.several else "multiclass"
    if name == "logistic":
        probe = fit_probe(
            given.features,
            given.truth,
            given.classes,
            task,
            groups=groups,
            seed=given.seed,
            threads=settings().threads,
            strengths=(fixed["C"],) if fixed else STRENGTHS,
        )
        losses = {f"C={strength:g}": round(-loss, 4) for strength, loss in probe.losses.items()}
        return Chosen(probe.head, {"C": probe.strength}, (probe.out_of_fold, given.truth), losses)
    fit, offered = CLASSIFIERS[name]
    offered = (fixed,) if fixed else offered
    some = np.sort(np.random.default_rng(given.seed).permutation(len(given.features))[:SEARCHED])
    part = given.part(some)
    folds = fold_numbers(part.hot(), [groups[place] for place in some], FOLDS, given.seed)
    best: tuple[tuple[float, float], Setting, Floats] | None = None
    tried: dict[str, float] = {}
    with one_thread(), progress.task(f"Choosing the {name}'s setting", len(offered) * (int(folds.max()) + 1) + 1) as work:
        for setting in offered:
            logits = np.zeros((len(some), given.classes), np.float32)
            for fold in range(int(folds.max()) + 1):
                inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
                logits[outside] = _widened(fit, part.part(inside), setting, part.features[outside])
                work.advance()
            score = main_score(part.truth, logits, task)
            tried[", ".join(f"{key}={value:g}" for key, value in setting.items())] = round(score, 4)
            heat = fit_temperature(logits, part.truth, task)
            worth = (round(score, 3), -loss_of(part.truth, (logits / heat).astype(np.float32), task))
            if best is None or worth > best[0]:
                best = worth, setting, logits
        assert best is not None  # every classifier offers settings
        scorer = fit(given, best[1])
        work.advance()
    return Chosen(scorer, best[1], (best[2], part.truth), tried)


def again(name: str, given: Given, setting: Setting) -> Scorer | Head:
    """The same classifier on other pictures: for the learning curve."""
    if name == "logistic":
        return fit_head(
            given.features, given.truth, given.classes, "multilabel" if given.several else "multiclass", setting["C"]
        )
    with one_thread():
        return CLASSIFIERS[name][0](given, setting)


def _widened(fit: Any, given: Given, setting: Setting, asked: Floats) -> Floats:
    return np.asarray(_whole(fit, given, setting).logits(asked), np.float32)


def _whole(fit: Any, given: Given, setting: Setting) -> Any:
    """Fit where perhaps not every class occurs: one picture of a class is not in every fold."""
    if given.several:
        return fit(given, setting)
    there = np.unique(given.truth)
    if len(there) == given.classes:
        return fit(given, setting)
    if len(there) == 1:
        return _Only(int(there[0]), given.classes)
    narrow = Given(given.features, np.searchsorted(there, given.truth), len(there), False, given.seed)
    return _Partly(fit(narrow, setting), there, given.classes)


@dataclass(frozen=True, slots=True)
class _Only:
    """The answer where only one class was seen."""

    place: int
    classes: int

    def logits(self, features: Floats) -> Floats:
        return np.tile(np.eye(self.classes, dtype=np.float32)[self.place], (len(features), 1))


@dataclass(frozen=True, slots=True)
class _Partly:
    """A machine that knows some of the classes; the others get less than its least score."""

    inner: Any
    there: NDArray[np.int64]
    classes: int

    def logits(self, features: Floats) -> Floats:
        known = self.inner.logits(features)
        every = np.repeat(known.min(axis=1, keepdims=True) - 1, self.classes, axis=1)
        every[:, self.there] = known
        return np.asarray(every)


def one_thread() -> Any:
    """Matrix products and OpenMP loops on one thread: the same sums in the same order, no threads that wait for each other."""
    import scipy.optimize  # noqa: F401 (brings its own BLAS, which must be there to be limited)
    import sklearn.cluster  # noqa: F401 (brings OpenMP)
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1)
