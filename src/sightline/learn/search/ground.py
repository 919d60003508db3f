"""What a search stands on: pictures to learn from, pictures to judge by, the space; and the schedule that fits the time.

The validation pictures take no part: judges are cut from the training pictures, so that the winner's validation score is as
honest as that of any other training.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sightline import progress
from sightline.data.splits import split
from sightline.data.survey import Survey
from sightline.errors import UsageError
from sightline.files import write_text
from sightline.learn.fit import TrainRequest, material_of, prepared_for
from sightline.learn.search import cost
from sightline.learn.search.space import Cell, Space, drawn, resolutions_for, space
from sightline.learn.ways import Material, Prepared
from sightline.measure.searched import Strategy
from sightline.types import Dataset, Item, Record, Task

MINUTES = 20.0  # where nobody says how long
SHARE = 0.6  # of the minutes: for the search; the rest trains the winner
TRIALS = (16, 12, 8, 4)  # candidates of a strategy: the most that the time allows
EPOCHS = (4, 3, 2)  # of the first rung; times as many as it takes for STEPS where there are few pictures
STEPS = 60  # of the shortest training: after 12 steps on road signs every network was at chance
RUNGS = 3
PICTURES = 5_000  # that candidates learn from at most
JUDGES, JUDGES_SHARE = 3_000, 0.2  # pictures set apart at most; part of the training pictures
UNSEEN = 3_000  # validation pictures that the best ones answer at most
BATCH = 64  # of the recipe from scratch
COSTLY = 3  # times the typical multiply-adds: a candidate with more is not drawn
LEAST_TRIALS, MOST_TRIALS = 2, 1_000


class Schedule(Record):
    """How a search goes: decided once, kept in its folder, the same when it goes on."""

    strategies: tuple[Strategy, ...]
    rungs: tuple[tuple[int, int], ...]  # candidates of each strategy, epochs
    pictures: int
    threads: int
    minutes: float
    ceiling: int  # multiply-adds
    epoch_seconds: float  # of a typical candidate, as measured


@dataclass(frozen=True, slots=True)
class Ground:
    material: Material  # train: to learn from; val: the judges
    unseen: tuple[Item, ...]  # validation pictures
    request: TrainRequest
    where: Space
    budget: cost.Budget
    use: cost.Use
    folder: Path

    def count(self, cell: Cell) -> cost.Count:
        return cost.count(cell, len(self.use.classes))

    def measure(self, cell: Cell) -> cost.Measurement:
        return cost.measure(cell, self.use)

    def fits(self, cell: Cell, ceiling: int | None = None) -> bool:
        return cost.fits(cell, replace(self.budget, multiply_adds=ceiling), self.count, self.measure)


def ground_of(dataset: Dataset, seen: Survey, request: TrainRequest, budget: cost.Budget, folder: Path) -> Ground:
    """Cut the judges, choose the resolutions. Raises UsageError for a budget nothing fits, DatasetError as `fit` does."""
    whole = material_of(dataset, request.seed)
    pool = dataset.model_copy(update={"items": tuple(item.model_copy(update={"split": None}) for item in whole.train)})
    there = seen.aligned(pool)
    parted = split(pool, there, seed=request.seed, val=min(JUDGES_SHARE, JUDGES / len(pool.items)))
    material = replace(whole, train=parted.part("train"), val=parted.part("val"))
    side = int(np.median(np.minimum(there.widths, there.heights)))
    where = space((request.input_size,) if request.input_size else resolutions_for(side))
    use = cost.Use(dataset.classes, dataset.task)
    unseen = thinned(whole.val, UNSEEN, request.seed, dataset.task)
    ground = Ground(material, unseen, request, where, budget, use, folder)
    cost.check(budget, where, ground.count, ground.measure)
    return ground


def thinned(items: Sequence[Item], most: int, seed: int, task: Task) -> tuple[Item, ...]:
    """At most so many of the pictures, of each class alike where each picture has one; in their order."""
    if len(items) <= most:
        return tuple(items)
    mixed = [int(place) for place in np.random.default_rng([seed, 5]).permutation(len(items))]
    if task != "multilabel":
        nth: dict[tuple[str, ...], int] = defaultdict(int)
        ranks = {}
        for place in mixed:
            ranks[place] = nth[items[place].labels]
            nth[items[place].labels] += 1
        mixed.sort(key=lambda place: ranks[place])
    return tuple(items[place] for place in sorted(mixed[:most]))


def learners(ground: Ground, pictures: int) -> Material:
    """What candidates learn from and are judged by."""
    material = ground.material
    return replace(material, train=thinned(material.train, pictures, material.seed, material.task))


def prepared(ground: Ground, material: Material, cell: Cell) -> Prepared:
    """A candidate's network with its data and plan."""
    request = replace(
        ground.request,
        way="scratch",
        backbone=cell.text,
        input_size=cell.resolution,
        minutes=None,
        compare=False,
        teacher=None,  # it teaches the winner
        log=None,
    )
    return prepared_for(material, None, request, None)


def rungs_of(trials: int, epochs: int) -> tuple[tuple[int, int], ...]:
    """Successive halving (Jamieson and Talwalkar 2016, arXiv 1502.07943): half the candidates, twice the epochs, to 2 or
    RUNGS times.
    """
    found = [(trials, epochs)]
    while found[-1][0] > 2 and len(found) < RUNGS:
        count, each = found[-1]
        found.append(((count + 1) // 2, each * 2))
    return tuple(found)


def schedule_of(ground: Ground, strategy: Strategy, trials: int | None, minutes: float | None) -> Schedule:
    """What fits into the minutes, from measured steps of a typical candidate; or what was decided when this search began."""
    path = ground.folder / "schedule.json"
    if path.is_file():
        return Schedule.model_validate_json(path.read_bytes())
    minutes = minutes or MINUTES
    strategies: tuple[Strategy, ...] = ("random",) if strategy == "random" else ("random", strategy)
    most = min(PICTURES, len(ground.material.train))
    cell = _typical(ground)
    with progress.task("Measuring a training step"):
        seconds, threads = _epoch(ground, cell, most)
    allowed = SHARE * minutes * 60 / len(strategies)
    asked = (trials,) if trials else TRIALS
    rungs, pictures = afforded(asked, most, len(ground.material.classes), second=seconds / most, allowed=allowed)
    schedule = Schedule(
        strategies=strategies,
        rungs=rungs,
        pictures=pictures,
        threads=threads,
        minutes=minutes,
        ceiling=COSTLY * ground.count(cell).multiply_adds,
        epoch_seconds=round(seconds * pictures / most, 3),
    )
    needed = _seconds(rungs, pictures, seconds / most)
    if needed > 1.2 * allowed:
        progress.note(
            f"the search will take about {len(strategies) * needed / 60:.0f} minutes, more than its share of "
            f"{minutes:g}: give --minutes more, or fewer --trials"
        )
    write_text(path, schedule.model_dump_json(indent=1) + "\n")
    return schedule


def afforded(
    trials: Sequence[int], most: int, classes: int, *, second: float, allowed: float
) -> tuple[tuple[tuple[int, int], ...], int]:
    """(rungs, pictures): the most candidates, then the most epochs, then the most pictures that cost at most `allowed` seconds.

    second: of one picture in one epoch. What costs least is given where nothing is cheap enough.
    """
    floor = min(most, max(500, 20 * classes))
    amounts = sorted({max(floor, most // part) for part in (1, 2, 4)}, reverse=True)
    choices = [
        (rungs_of(count, epochs * -(-STEPS * BATCH // (2 * amount))), amount)
        for count in trials
        for epochs in EPOCHS
        for amount in amounts
    ]
    for rungs, amount in choices:
        if _seconds(rungs, amount, second) <= allowed:
            return rungs, amount
    return min(choices, key=lambda one: _seconds(one[0], one[1], second))


def _seconds(rungs: Sequence[tuple[int, int]], pictures: int, second: float) -> float:
    return sum(count * epochs for count, epochs in rungs) * pictures * second


def _typical(ground: Ground) -> Cell:
    """Of a few random candidates within the budget the one with the median multiply-adds."""
    draws = np.random.default_rng([ground.request.seed, 7])
    found: list[Cell] = []
    for _ in range(200):
        cell = drawn(ground.where, draws)
        if ground.fits(cell):
            found.append(cell)
        if len(found) == 9:
            break
    if not found:
        from sightline.learn.search.space import smallest

        return smallest(ground.where)
    found.sort(key=lambda cell: ground.count(cell).multiply_adds)
    return found[len(found) // 2]


def _epoch(ground: Ground, cell: Cell, pictures: int) -> tuple[float, int]:
    """(seconds of an epoch, threads) for a candidate, measured."""
    from sightline.learn.reproduce import training_device
    from sightline.learn.step import decided, epoch_seconds

    ready = prepared(ground, learners(ground, pictures), cell)
    plan = decided(ready.network, ready.data, ready.plan, training_device())
    return epoch_seconds(ready.network, ready.data, plan), plan.threads


def check_trials(trials: int | None) -> None:
    """UsageError for a number of candidates that makes no sense."""
    if trials is not None and not LEAST_TRIALS <= trials <= MOST_TRIALS:
        raise UsageError(f"--trials must be from {LEAST_TRIALS} to {MOST_TRIALS}, got {trials}", hint="16 is usual")
