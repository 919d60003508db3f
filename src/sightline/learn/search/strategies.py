"""Which network to try next: at random, by a tree of Parzen estimators, by regularised evolution.

Each is a function of what was tried and of a random generator: nothing is remembered between two calls, so a search that was
killed goes on as if it had not been. Knows no training and no budget.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sightline.errors import missing_extra
from sightline.learn.search.space import Cell, Space, cell_of, drawn, genes_of, mutated
from sightline.measure.searched import Strategy


@dataclass(frozen=True, slots=True)
class Known:
    """A candidate that was trained, and its score: higher is better."""

    cell: Cell
    score: float


def propose(
    strategy: Strategy, where: Space, known: Sequence[Known], draws: np.random.Generator, *, trials: int, attempt: int = 0
) -> Cell:
    """The next candidate of a search of `trials` candidates in all. `known`: its own ones so far, in their order.

    attempt: how often it was refused (over the budget, tried before) already: evolution then changes more genes.
    """
    start = max(4, trials // 4)  # random ones, which the clever strategies begin with
    if strategy == "random" or len(known) < start:
        return drawn(where, draws)
    if strategy == "evolution":
        return _evolved(where, known, draws, population=start, attempt=attempt)
    return _by_tpe(where, known, draws, start)


def _evolved(where: Space, known: Sequence[Known], draws: np.random.Generator, population: int, attempt: int) -> Cell:
    """Regularised evolution (Real et al. 2018, arXiv 1802.01548): the population is the newest candidates, so that each dies of
    age; the best of a random sample of it is the parent, the child has one gene changed.
    """
    alive = list(known[-population:])
    size = max(2, population // 2)
    sample = [alive[int(place)] for place in draws.choice(len(alive), size=min(size, len(alive)), replace=False)]
    child = mutated(max(sample, key=lambda one: one.score).cell, where, draws)
    for _ in range(attempt // 4):
        child = mutated(child, where, draws)
    return child


def _by_tpe(where: Space, known: Sequence[Known], draws: np.random.Generator, start: int) -> Cell:
    """Tree-structured Parzen estimators (Bergstra et al. 2011, NeurIPS), Optuna's, all genes together."""
    optuna = _optuna()
    seed = int(draws.integers(2**31))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `multivariate` is called experimental
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=start, multivariate=True)
        distributions = {name: optuna.distributions.CategoricalDistribution(values) for name, values in where.items()}
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for one in known:
            study.add_trial(
                optuna.trial.create_trial(params=_all_genes(one.cell, where), distributions=distributions, value=one.score)
            )
        return cell_of(study.ask(distributions).params)


def _all_genes(cell: Cell, where: Space) -> dict[str, Any]:
    """The genes with values of the space only: an expansion that says nothing is its first."""
    return {name: value if value in where[name] else where[name][0] for name, value in genes_of(cell).items()}


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise missing_extra("deep", "--search tpe") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
