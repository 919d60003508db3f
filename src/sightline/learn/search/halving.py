"""The search itself: candidates of every strategy in turn, then the better half of each, trained longer, again and again.

Every training goes through the one loop and ends as a line of the journal: a search that was killed goes on after its last
line, and within the training that was under way. Random search gets exactly the trainings that the clever strategy gets.
"""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline import progress
from sightline.data.targets import targets
from sightline.errors import DataError
from sightline.files import write_bytes
from sightline.learn import ways
from sightline.learn.search import journal
from sightline.learn.search.ground import Ground, Schedule, learners, prepared
from sightline.learn.search.space import Cell, read, shrunk
from sightline.learn.search.strategies import Known, propose
from sightline.measure.searched import Strategy, Tried

REFUSED = {"random": 60, "tpe": 12, "evolution": 24}  # proposals over the budget, before one is made smaller until it fits
TRIES = 100
LATE = 1.3  # times its share of the minutes: no further rung is begun after that
_NUMBERS: dict[Strategy, int] = {"random": 1, "tpe": 2, "evolution": 3}


def searched(ground: Ground, schedule: Schedule) -> list[Tried]:
    """All trainings of the search, those of an earlier run included. Raises StoppedError with the state kept."""
    done = journal.read(ground.folder)
    total = len(schedule.strategies) * sum(count for count, _ in schedule.rungs)
    if done:
        progress.note(f"this search had done {len(done)} trainings: going on from there")
    with progress.task("Searching", total) as work:
        work.advance(len(done), best_so_far(done))
        for number in range(schedule.rungs[0][0]):
            for strategy in schedule.strategies:
                if not _find(done, strategy, 0, number):
                    cell = chosen(ground, schedule, strategy, number, done)
                    _add(ground, schedule, done, (strategy, number, 0), cell)
                    work.advance(1, best_so_far(done))
        for rung in range(1, len(schedule.rungs)):
            if rung > 1 and _late(schedule, rung, done):
                progress.note("the search's share of the time is used up: no further rung")
                break
            for strategy in schedule.strategies:
                for one in survivors(done, strategy, rung, schedule.rungs[rung][0]):
                    if not _find(done, strategy, rung, one.number):
                        _add(ground, schedule, done, (strategy, one.number, rung), read(one.cell))
                        work.advance(1, best_so_far(done))
    return done


def best_so_far(done: Sequence[Tried]) -> str:
    """ "best 61.2 %, cell:r32-..., 16 epochs"."""
    if not done:
        return ""
    best = max(done, key=lambda one: (one.rung, one.score, -one.loss))
    return f"best {best.score:.1%} after {best.epochs} epochs, {best.cell}"


def survivors(done: Sequence[Tried], strategy: Strategy, rung: int, count: int) -> list[Tried]:
    """The better ones of a strategy's rung before this one."""
    before = [one for one in done if one.strategy == strategy and one.rung == rung - 1]
    return sorted(before, key=lambda one: (-one.score, one.loss, one.number))[:count]


def chosen(ground: Ground, schedule: Schedule, strategy: Strategy, number: int, done: Sequence[Tried]) -> Cell:
    """The strategy's next candidate that is within the budget and new to it; the same one whenever it is asked."""
    mine = [one for one in done if one.strategy == strategy and one.rung == 0]
    known = [Known(read(one.cell), one.score) for one in mine]
    names = {one.cell for one in mine}
    trials = schedule.rungs[0][0]
    for attempt in range(TRIES):
        draws = np.random.default_rng([ground.request.seed, _NUMBERS[strategy], number, attempt])
        cell = propose(strategy, ground.where, known, draws, trials=trials, attempt=attempt)
        if attempt >= REFUSED[strategy]:
            while not ground.fits(cell, schedule.ceiling):
                smaller = shrunk(cell, ground.where, draws)
                if smaller == cell:
                    break
                cell = smaller
        if cell.text not in names and ground.fits(cell, schedule.ceiling):
            break
    return cell


def _find(done: Sequence[Tried], strategy: Strategy, rung: int, number: int) -> bool:
    return any((one.strategy, one.rung, one.number) == (strategy, rung, number) for one in done)


def _late(schedule: Schedule, rung: int, done: Sequence[Tried]) -> bool:
    """Whether this rung would go far beyond the search's share; from earlier rungs' times, so the same when asked again."""
    from sightline.learn.search.ground import SHARE

    before = [one for one in done if one.rung < rung]
    spent = sum(one.seconds for one in before)
    epoch = spent / max(1, sum(one.epochs for one in before))
    count, epochs = schedule.rungs[rung]
    return spent + len(schedule.strategies) * count * epochs * epoch > LATE * SHARE * 60 * schedule.minutes


def _add(ground: Ground, schedule: Schedule, done: list[Tried], place: tuple[Strategy, int, int], cell: Cell) -> None:
    """Train it, or take what the same training gave the other strategy; into the journal."""
    strategy, number, rung = place
    twin = next((one for one in done if one.cell == cell.text and one.rung == rung), None)
    if twin is None:
        epochs = schedule.rungs[rung][1]
        outcome = _trained(ground, schedule, cell, epochs, answers=rung > 0 or len(schedule.rungs) == 1)
        count, found = ground.count(cell), ground.measure(cell)
        twin = Tried(
            strategy=strategy,
            number=number,
            rung=rung,
            cell=cell.text,
            epochs=epochs,
            score=outcome.score,
            loss=outcome.loss,
            seconds=round(outcome.seconds, 2),
            parameters=count.parameters,
            multiply_adds=count.multiply_adds,
            file_bytes=found.file_bytes,
            latency_ms=next((one.latency_ms for one in done if one.cell == cell.text), found.latency_ms),
            state="failed" if outcome.why else "finished",
            why=outcome.why,
        )
    one = twin.model_copy(update={"strategy": strategy, "number": number})
    journal.append(ground.folder, one)
    done.append(one)


@dataclass(frozen=True, slots=True)
class _Outcome:
    score: float
    loss: float
    seconds: float
    why: str = ""


def _trained(ground: Ground, schedule: Schedule, cell: Cell, epochs: int, *, answers: bool) -> _Outcome:
    """One training through the loop, judged; with `answers` the unseen pictures are answered, and kept."""
    from sightline.learn.loop import train_network
    from sightline.learn.reproduce import reproducible, training_device
    from sightline.learn.step import logits_of

    begun = time.perf_counter()
    run = ground.folder / "training" / f"{cell.text.partition(':')[2]}-{epochs}"
    material = learners(ground, schedule.pictures)
    with progress.listen(lambda _: None):
        ready = prepared(ground, material, cell)
        plan = replace(ready.plan, epochs=epochs, threads=schedule.threads, patience=0)
        try:
            train_network(ready.network, ready.data, plan, run)
        except DataError as error:  # the loss is not a number: this network is no good, the others may be
            return _Outcome(0.0, 99.0, time.perf_counter() - begun, error.message)
        with reproducible(schedule.threads, training_device()):
            logits = logits_of(ready.network, ready.data.val_images)
            if answers:
                from sightline.learn import cache

                held = cache.prepare_all(ground.unseen, ready.spec)
                _keep(ground, cell, epochs, held.kept, logits_of(ready.network, held.pictures))
    shutil.rmtree(run, ignore_errors=True)
    truth = np.asarray(ready.data.val_targets).astype(np.int64)
    score, loss = ways.main_score(truth, logits, material.task), ways.loss_of(truth, logits, material.task)
    return _Outcome(score, loss, time.perf_counter() - begun)


def _place(folder: Path, cell: str, epochs: int) -> Path:
    return folder / "answers" / f"{cell.partition(':')[2]}-{epochs}.npz"


def _keep(ground: Ground, cell: Cell, epochs: int, kept: NDArray[np.int64], logits: NDArray[np.float32]) -> None:
    held = io.BytesIO()
    np.savez(held, kept=kept, logits=logits)
    write_bytes(_place(ground.folder, cell.text, epochs), held.getvalue())


def answers_of(ground: Ground, one: Tried) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Truth (n,) or 0/1 (n, classes) and probabilities (n, classes) on the unseen pictures."""
    from sightline.measure.calibration import to_probabilities

    with np.load(io.BytesIO(_place(ground.folder, one.cell, one.epochs).read_bytes()), allow_pickle=False) as held:
        kept, logits = held["kept"], held["logits"]
    truth = targets([ground.unseen[place] for place in kept], ground.material.classes, ground.material.task)
    return truth, to_probabilities(logits, ground.material.task).astype(np.float32)
