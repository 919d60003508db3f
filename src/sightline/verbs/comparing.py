"""train --compare: every candidate on the same split within one budget, hopeless ones stopped early, one leaderboard.

A story without an own command. Each candidate's model lies in the run's folder as soon as it is done, so a comparison that was
stopped goes on where it was. Networks are trained twice when several compete: a first look with a quarter of their share,
annealed to its end like any training, then, unless they are clearly behind, anew with what is left (successive halving, after
Jamieson and Talwalkar 2016, with one halving and a test in place of a fixed share of survivors).
"""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline import progress
from sightline.errors import DataError, DatasetError, MissingExtraError, UsageError
from sightline.files import new_folder, write_bytes, write_text
from sightline.measure.standings import Leaderboard, Standing
from sightline.types import Record, Score, Split
from sightline.verbs.material import Work
from sightline.verbs.trained import TrainResult, store

if TYPE_CHECKING:
    from sightline.learn.candidates import Contender
    from sightline.learn.fit import TrainRequest

PAGE, BOARD = "leaderboard.html", "leaderboard.json"
ROUNDS, ROUND_SECONDS = 60, 1.5  # of the latency measurement: pictures a model, and seconds a model at most
_DONE, _ASKED, _ANSWERS = "done.json", "asked.json", "answers.npz"


class Outcome(Record):
    """What became of one training of a candidate."""

    state: str  # finished, failed
    why: str = ""
    hint: str = ""
    seconds: float = 0.0
    minutes: float | None = None
    result: TrainResult | None = None


class _Asked(Record):
    minutes: float | None


@dataclass(frozen=True, slots=True)
class Tried:
    """A training that ended: where its files lie."""

    contender: Contender
    outcome: Outcome
    place: Path
    stopped: bool = False

    def held(self) -> bytes:
        """Its answers for the validation pictures, as they were kept."""
        return (self.place / _ANSWERS).read_bytes()

    def answers(self) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.float32]]:
        """Validation pictures by their uri, the truth (n,) or 0/1 (n, c), and probabilities (n, c)."""
        with np.load(io.BytesIO(self.held()), allow_pickle=False) as held:
            return tuple(held["uris"].tolist()), held["truth"], held["probabilities"]


def contenders(compare: str | None, effort: Any, base: Any, pictures: int) -> tuple[Contender, ...]:
    """The candidates by name or by effort; an effort's choice is said. Raises UsageError."""
    from sightline.learn import candidates as choice

    if compare:
        return choice.candidates(compare, base)
    named, why = choice.chosen(effort, pictures, gpu=_gpu())
    progress.note(f"candidates, {why}")
    return tuple(choice.Contender(name, choice.candidate(name, base)) for name in named)


@dataclass(frozen=True, slots=True)
class Decision:
    tried: tuple[Tried, ...]
    board: Leaderboard


def decided(work: Work, who: Sequence[Contender], minutes: float | None) -> Decision:
    """Train them all within the minutes, measure them, say which to take.

    Raises DatasetError when none could be trained, StoppedError.
    """
    from sightline.learn.candidates import MINUTES

    if minutes is None and not all(one.cheap for one in who):
        minutes = MINUTES
        progress.note(f"{minutes:g} minutes are shared among the candidates; --minutes changes that")
    tried = _trained(work, who, minutes)
    finished = [one for one in tried if one.outcome.result]
    if not finished:
        first = tried[0]
        raise DatasetError(
            f"none of the candidates could be trained; {first.contender.name}: {first.outcome.why}",
            hint=first.outcome.hint or "name others with --compare",
        )
    with progress.task("Measuring latency"):
        latency = latencies(work, finished)
    return Decision(tuple(tried), _board(work, tried, latency, minutes))


def _trained(work: Work, who: Sequence[Contender], minutes: float | None) -> list[Tried]:
    """Cheap ones first, then a first look at each network, then those that are not hopeless with the rest of the time."""
    from sightline.learn.candidates import first_look, rest
    from sightline.measure.leaderboard import hopeless

    done = [attempt(work, one, None, "whole") for one in who if one.cheap]
    networks = [one for one in who if not one.cheap]
    if not networks or minutes is None:
        return done
    spent = _minutes(done)
    # detectors learn at very different paces: an early look would say more about that than about the end
    look = None if work.objects else first_look(minutes, spent, len(networks), len(who))
    if look is None:
        return [*done, *(attempt(work, one, rest(minutes, spent, len(networks)), "whole") for one in networks)]
    looks = [attempt(work, one, look, "look") for one in networks]
    best = _best(work, [*done, *looks])
    alive: list[Tried] = []
    for one in looks:
        gap = _behind(work, best, one) if best and one.outcome.result and one is not best else None
        if one.outcome.state == "failed":
            done.append(one)
        elif gap is not None and best and hopeless(gap):
            why = (
                f"stopped after a first look of {look:.1f} minutes: {100 * gap.value:.1f} points behind {best.contender.name} "
                f"(interval {100 * gap.low:.1f} to {100 * gap.high:.1f})"
            )
            progress.note(f"{one.contender.name} {why}")
            done.append(replace(one, outcome=one.outcome.model_copy(update={"why": why}), stopped=True))
        else:
            alive.append(one)
    spent = _minutes([*done, *alive])
    share = rest(minutes, spent, len(alive))
    whole = []
    for one in alive:
        longer = 60 * share > one.outcome.seconds or (one.place.parent / "whole").exists()
        if not longer:
            progress.note(f"no time is left to train {one.contender.name} for longer than its first look")
        whole.append(attempt(work, one.contender, share, "whole") if longer else one)
    # a second training that failed does not take away what the first look has given
    return [*done, *(new if new.outcome.result else old for new, old in zip(whole, alive, strict=True))]


def _minutes(tried: Sequence[Tried]) -> float:
    return sum(one.outcome.seconds for one in tried) / 60


def attempt(work: Work, contender: Contender, minutes: float | None, rung: str) -> Tried:
    """One training of a candidate, or what it gave when it was done before. Its minutes stay what they were when it began."""
    place = work.folder / "candidates" / contender.folder / rung
    if (place / _DONE).is_file():
        return Tried(contender, Outcome.model_validate_json((place / _DONE).read_bytes()), place)
    if (place / _ASKED).is_file():
        minutes = _Asked.model_validate_json((place / _ASKED).read_bytes()).minutes
    write_text(place / _ASKED, _Asked(minutes=minutes).model_dump_json())
    told = "" if minutes is None else f", {minutes:.1f} minutes" + (" for a first look" if rung == "look" else "")
    progress.note(f"candidate {contender.name}{told}")
    begun = time.perf_counter()
    try:
        result, held = _made(work, replace(contender.request, minutes=minutes, compare=rung == "whole"), place)
    except (UsageError, DataError, MissingExtraError) as error:
        progress.note(f"candidate {contender.name} failed: {error.message}")
        seconds = time.perf_counter() - begun
        outcome = Outcome(state="failed", why=error.message, hint=error.hint, minutes=minutes, seconds=seconds)
        if not isinstance(error, DataError):  # weights or an extra that may be there when it goes on
            return Tried(contender, outcome, place)
    else:
        write_bytes(place / _ANSWERS, held)
        outcome = Outcome(state="finished", minutes=minutes, seconds=time.perf_counter() - begun, result=result)
    shutil.rmtree(place / "run", ignore_errors=True)
    write_text(place / _DONE, outcome.model_dump_json())
    return Tried(contender, outcome, place)


def _made(work: Work, request: TrainRequest, place: Path) -> tuple[TrainResult, bytes]:
    """Train and store one model; with its answers for the validation pictures."""
    model = place / work.name
    if work.objects:
        from sightline.verbs import detecting, sighted

        found = detecting.learn(work.dataset, request, place / "run")
        stored = detecting.store(model, work, found, replace=True, precision=work.precision)
        return stored.result, sighted.packed(stored.val)
    from sightline.learn.fit import fit

    trained = fit(work.dataset, request, place / "run")
    result, _ = store(model, work.dataset, work.seen, trained, work.findings, replace=True)
    held = io.BytesIO()
    uris = np.array([item.uri for item in trained.val.items])
    np.savez(held, uris=uris, truth=trained.val.truth, probabilities=trained.val.probabilities)
    return result, held.getvalue()


def _behind(work: Work, best: Tried, other: Tried) -> Score:
    """How far `other` is behind `best` on the validation pictures that both have answered."""
    from sightline.measure.leaderboard import behind

    if work.objects:
        from sightline.verbs import sighted

        return sighted.behind(work.dataset.part("val"), work.dataset.classes, best.held(), other.held())
    uris, truth, given = best.answers()
    others, _, theirs = other.answers()
    where = {uri: row for row, uri in enumerate(others)}
    both = [row for row, uri in enumerate(uris) if uri in where]
    mine = np.array(both, np.intp)
    its = np.array([where[uris[row]] for row in both], np.intp)
    return behind(truth[mine], given[mine], theirs[its], work.dataset.task)


def _best(work: Work, tried: Sequence[Tried]) -> Tried | None:
    """The highest main score on the validation pictures; of equals the first."""
    from sightline.learn.ways import main_score

    def score(one: Tried) -> float:
        if work.objects:
            from sightline.verbs import sighted

            return sighted.score(work.dataset.part("val"), work.dataset.classes, one.held())
        _, truth, given = one.answers()
        return main_score(truth, given, work.dataset.task)

    there = [one for one in tried if one.outcome.result and not one.stopped]
    return max(there, key=score) if there else None


def latencies(work: Work, tried: Sequence[Tried]) -> dict[str, tuple[float, float]]:
    """Median and p95 in ms of one prepared picture in the light runtime; models take turns, so other work hits all alike."""
    from sightline.runtime.bundle import ONNX, read_bundle
    from sightline.runtime.detector import Detector
    from sightline.runtime.model import Model
    from sightline.runtime.pixels import prepare, read_picture

    data = read_picture(Path(work.dataset.part("val")[0].uri))
    ready: list[tuple[str, Callable[[], object]]] = []
    for one in tried:
        bundle = read_bundle(one.place / work.name)
        image = prepare(data, bundle.card.input)
        answer: Callable[[], object]
        if work.objects:
            answer = partial(Detector(bundle.card, bundle.files[ONNX], threads=1).found, image)
        else:
            answer = partial(Model(bundle.card, bundle.files[ONNX], threads=1).answer, image[None])
        for _ in range(3):
            answer()
        ready.append((one.contender.name, answer))
    times: dict[str, list[float]] = {name: [] for name, _ in ready}
    until = time.perf_counter() + ROUND_SECONDS * len(ready)
    for number in range(ROUNDS):
        for name, answer in ready:
            begun = time.perf_counter()
            answer()
            times[name].append(1000 * (time.perf_counter() - begun))
        if number >= 4 and time.perf_counter() > until:
            break
    return {name: (float(np.median(ms)), float(np.percentile(ms, 95))) for name, ms in times.items()}


def _board(work: Work, tried: Sequence[Tried], latency: dict[str, tuple[float, float]], minutes: float | None) -> Leaderboard:
    """The leaderboard with its recommendation, best first."""
    from sightline.measure.leaderboard import recommended
    from sightline.verbs.wording import main_score

    best = _best(work, tried)
    if best is None or best.outcome.result is None:
        raise DatasetError("no candidate was finished")
    measure = main_score(best.outcome.result.scores)
    entries = [_standing(work, one, best, latency.get(one.contender.name), measure) for one in tried]
    entries.sort(key=lambda one: (one.state == "failed", one.behind.value if one.behind else 0.0, one.latency_ms or 0.0))
    name, why = recommended(entries, best.contender.name)
    scored_on: Split = best.outcome.result.scored_on
    return Leaderboard(
        measure=measure,
        scored_on=scored_on,
        pictures=len(work.dataset.part(scored_on)),
        chosen_on=len(work.dataset.part("val")),
        entries=tuple(entries),
        best=best.contender.name,
        recommended=name,
        recommendation=why,
        minutes=minutes,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _standing(work: Work, one: Tried, best: Tried, latency: tuple[float, float] | None, measure: str) -> Standing:
    from sightline.learn.candidates import parameters
    from sightline.runtime.bundle import CARD, ONNX, WEIGHTS, read_card

    result = one.outcome.result
    if result is None:
        return Standing(
            name=one.contender.name, state="failed", why=one.outcome.why, train_seconds=round(one.outcome.seconds, 1)
        )
    bundle = one.place / work.name
    median, slow = latency or (None, None)
    return Standing(
        name=one.contender.name,
        state="stopped" if one.stopped else "finished",
        why=one.outcome.why or result.why,
        way=result.way,
        backbone=result.backbone,
        weights=result.weights,
        score=result.scores[measure],
        behind=Score(value=0.0, low=0.0, high=0.0, n=len(work.dataset.part("val")))
        if one is best
        else _behind(work, best, one),
        input_size=read_card((bundle / CARD).read_bytes(), bundle).input.size,
        parameters=parameters(bundle / WEIGHTS, bundle / ONNX),
        file_bytes=(bundle / ONNX).stat().st_size,
        latency_ms=None if median is None else round(median, 3),
        latency_p95_ms=None if slow is None else round(slow, 3),
        train_seconds=round(one.outcome.seconds, 1),
    )


def kept(work: Work, decision: Decision, target: Path, *, keep: bool, again: bool) -> TrainResult:
    """The recommended model with the leaderboard as `target`; with `keep` the others in target/candidates/NAME."""
    from sightline.measure.leaderboard import leaderboard_page

    tried, board = decision.tried, decision.board
    taken = next(one for one in tried if one.contender.name == board.recommended)
    folders = {one.contender.name: one for one in tried if one.outcome.result}
    places = {
        name: str(target if name == board.recommended else target / "candidates" / one.contender.folder)
        for name, one in folders.items()
        if keep or name == board.recommended
    }
    entries = tuple(one.model_copy(update={"model": places.get(one.name, "")}) for one in board.entries)
    board = board.model_copy(update={"entries": entries, "page": str(target / PAGE)})
    if target.is_dir() and not any(target.iterdir()):
        target.rmdir()
    with new_folder(target, replace=again) as part:
        for file in sorted((taken.place / work.name).iterdir()):
            shutil.copyfile(file, part / file.name)
        (part / PAGE).write_text(leaderboard_page(board, f"{target.name}: {len(entries)} candidates"), encoding="utf-8")
        (part / BOARD).write_text(board.model_dump_json(indent=1) + "\n", encoding="utf-8")
        for name, one in folders.items():
            if keep and name != board.recommended:
                shutil.copytree(one.place / work.name, part / "candidates" / one.contender.folder)
    result = taken.outcome.result
    if result is None:
        raise DatasetError("no candidate was finished")
    changes = {"model": str(target), "report": str(target / "report.html"), "leaderboard": board}
    return result.model_copy(update=changes)


def _gpu() -> bool:
    try:
        from sightline.learn.reproduce import training_device
    except ImportError:
        return False
    return str(training_device()) != "cpu"
