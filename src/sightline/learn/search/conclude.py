"""What a search says in the end: the best of each strategy on pictures that the search has not seen, and how they compare.

Trains nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from sightline.errors import DataError
from sightline.learn import ways
from sightline.learn.search.ground import Ground, Schedule
from sightline.learn.search.halving import answers_of
from sightline.measure import bootstrap
from sightline.measure.leaderboard import behind
from sightline.measure.searched import Found, Search, Tried
from sightline.measure.searched_page import TITLES
from sightline.types import Score


def concluded(ground: Ground, schedule: Schedule, tried: Sequence[Tried]) -> Search:
    """The record of a finished search; `best` has the highest score of the last rung, whichever strategy found it.

    A strategy none of whose candidates could be trained to the end is left out; DataError where that is true of all.
    """
    last = max(one.rung for one in tried)
    finals = {strategy: _best([one for one in tried if one.strategy == strategy]) for strategy in schedule.strategies}
    finals = {strategy: one for strategy, one in finals.items() if one.state == "finished"}
    if not finals:
        raise DataError(
            f"no candidate could be trained: {tried[-1].why}",
            hint="`sightline clean` finds damaged pictures; or give the rate with --plan lr=0.001",
        )
    found = tuple(_found(ground, one, tried) for one in finals.values())
    gap = None
    if len(finals) > 1:
        (truth, plain), (_, clever) = (answers_of(ground, one) for one in finals.values())
        gap = behind(truth, clever, plain, ground.material.task, ground.request.seed)
    return Search(
        strategy=schedule.strategies[-1],
        measure="map" if ground.material.task == "multilabel" else "top1",
        rungs=schedule.rungs[: last + 1],
        pictures=min(schedule.pictures, len(ground.material.train)),
        judges=len(ground.material.val),
        unseen=found[0].unseen.n,
        minutes=schedule.minutes,
        budget=ground.budget.text,
        tried=tuple(tried),
        found=found,
        gap=gap,
        best=_best(list(finals.values())).cell,
        conclusion=sentence(found, gap),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _best(tried: Sequence[Tried]) -> Tried:
    return max(tried, key=lambda one: (one.rung, one.score, -one.loss))


def _found(ground: Ground, one: Tried, tried: Sequence[Tried]) -> Found:
    mine = [other for other in tried if other.strategy == one.strategy]
    truth, given = answers_of(ground, one)
    return Found(
        strategy=one.strategy,
        cell=one.cell,
        score=one.score,
        unseen=_score(ground, truth, given),
        parameters=one.parameters,
        multiply_adds=one.multiply_adds,
        file_bytes=one.file_bytes,
        latency_ms=one.latency_ms,
        epochs=one.epochs,
        candidates=sum(other.rung == 0 for other in mine),
        trainings=len(mine),
        seconds=round(sum(other.seconds for other in mine), 1),
    )


def _score(ground: Ground, truth: np.ndarray, given: np.ndarray) -> Score:
    """Of the unseen pictures, with its interval."""
    if ground.material.task != "multilabel":
        return bootstrap.proportion(int((given.argmax(axis=1) == truth).sum()), len(truth), ground.request.seed)
    value = ways.main_score(truth, given, "multilabel")
    from sightline.measure.ranking import resampled_average_precision

    draws = np.nanmean(resampled_average_precision(truth.astype(bool), given, ground.request.seed, bootstrap.LEAST), axis=1)
    return bootstrap.score(value, draws, len(truth))


def sentence(found: Sequence[Found], gap: Score | None) -> str:
    """Who has found the better network, on the unseen pictures."""
    plain = found[0]
    if gap is None or len(found) < 2:
        said = f"{TITLES[plain.strategy]} found {plain.cell}: "
        return f"{said}{plain.unseen.value:.1%} of the unseen pictures after {plain.epochs} epochs"
    clever = found[1]
    said = f"{TITLES[clever.strategy]} {clever.unseen.value:.1%}, random search {plain.unseen.value:.1%} of {plain.unseen.n:,} "
    said += f"unseen pictures, after equal work: a difference of {100 * gap.value:.1f} points "
    said += f"(interval {100 * gap.low:.1f} to {100 * gap.high:.1f})"
    if plain.cell == clever.cell:
        return f"{said}; both found the same network"
    if gap.low > 0:
        return f"{said}: {TITLES[clever.strategy]} was better here"
    if gap.high < 0:
        return f"{said}: random search was better here"
    return f"{said}: not distinguishable"
