"""train --tune: the search, its best trial finished as the model, beside the default on the same pictures, and a page about it.

A story without an own command. Knows not how values are chosen (learn/tuning.py).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline import progress
from sightline.errors import UsageError
from sightline.files import write_text
from sightline.measure.trials import Choice, Tuning, TuningTrial
from sightline.types import Dataset, Score, Split
from sightline.verbs.material import Work
from sightline.verbs.trained import TrainResult, card_of, store

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sightline.learn.finish import Trained
    from sightline.learn.fit import TrainRequest
    from sightline.learn.tuning import Searched
    from sightline.verbs.outcome import Answered

PAGE, RECORD = "tuning.html", "tuning.json"


def allowed(request: TrainRequest, bench: dict[str, Any]) -> None:
    """Refuse what does not go together, before any picture is read. UsageError."""
    if "tune" not in bench:
        return
    others = [f"--{name}" for name in ("compare", "effort", "folds", "search") if name in bench]
    if others:
        raise UsageError(
            f"--tune and {others[0]} do not go together",
            hint="compare first, then tune the one to take, such as --way probe --tune",
        )
    from sightline.learn import tuning

    tuning.check(request, bench.get("trials"))


def tuned(work: Work, request: TrainRequest, target: Path, *, trials: int | None, goal: Path, again: bool) -> TrainResult:
    """Search, finish the best, score it beside the default, write model and page. Run again after a stop, it goes on.

    goal: the file that says where the model goes, from the moment that it is written.
    """
    from sightline.learn import fit as fitting
    from sightline.learn.tuning import MINUTES, search

    minutes = request.minutes
    if minutes is None and trials is None:
        minutes = MINUTES
        progress.note(f"tuning for {minutes:g} minutes; --minutes or --trials change that")
    place = work.folder / "tuning"
    found = search(work.dataset, request, place, minutes=minutes, trials=trials)
    best, scored_on = found.best, _scored_on(work.dataset)
    if best is None:
        why = "no trial was complete" if found.trials else f"{minutes:g} minutes are too few for one trial"
        progress.note(f"{why}: the default is trained")
        left = replace(request, way=found.way, minutes=found.minutes_left)  # type: ignore[arg-type]
        trained, base = fitting.fit(work.dataset, left, work.folder / "default"), None
        about = f"Nothing was tuned: {why}. Give --minutes more, or a smaller network."
    else:
        progress.note(f"trial {best.number} of {len(found.trials)} is the best: {best.score:.1%} on the validation pictures")
        trained = fitting.fit(work.dataset, replace(found.request(best), compare=request.compare), found.place(best))
        base = _default(work, found, best)
        about = _about(found, work.dataset, scored_on)
    trained = replace(trained, recipe=trained.recipe.model_copy(update={"why": _why(trained, found)}))
    write_text(goal, str(target.absolute()))
    result, answered = store(target, work.dataset, work.seen, trained, work.findings, replace=again, about=about)
    tuning = _record(work, found, result, answered, minutes=minutes, about=about, base=base)
    tuning = tuning.model_copy(update={"page": str(target / PAGE)})
    created = datetime.now(UTC).isoformat(timespec="seconds")
    _write(target, tuning, created)
    return result.model_copy(update={"tuning": tuning})


def _write(target: Path, tuning: Tuning, created: str) -> None:
    from sightline.measure.tuning_page import tuning_page

    title = f"{target.name}: {len(tuning.trials)} trials"
    write_text(target / PAGE, tuning_page(tuning, title, created))
    write_text(target / RECORD, tuning.model_dump_json(indent=1) + "\n")


def _scored_on(dataset: Dataset) -> Split:
    return "test" if dataset.part("test") else "val"


def _why(trained: Trained, found: Searched) -> str:
    best = found.best
    if best is None:
        return trained.recipe.why
    first = " (the default)" if best.number == 0 else ""
    chosen = f"the best of {len(found.trials)} on the validation pictures"
    return f"{trained.recipe.why}; values of trial {best.number}{first}, {chosen}"


def _about(found: Searched, dataset: Dataset, scored_on: Split) -> str:
    count, pictures = len(found.trials), len(dataset.part("val"))
    chosen = f"Chosen among {count} trials on {pictures:,} validation pictures"
    if scored_on == "test":
        return f"{chosen}; the scores are of the test pictures, which took no part in the choice."
    return (
        f"{chosen}, which the scores are measured on, too: they flatter the best of {count}. A test/ folder, which no choice "
        "looks at, gives the plain number."
    )


def _default(work: Work, found: Searched, best: TuningTrial) -> tuple[TuningTrial, Answered | None, str] | None:
    """The default's answers for the pictures that are scored, by its finished file; None where the default failed."""
    from sightline.learn import fit as fitting
    from sightline.runtime.model import Model
    from sightline.verbs import outcome
    from sightline.verbs.wording import main_score

    default = found.trials[0]
    if default.score is None:
        return None
    if default.number == best.number:
        return default, None, ""
    trained = fitting.fit(work.dataset, replace(found.request(default), compare=False), found.place(default))
    card = card_of("default", work.dataset, trained)
    answered = outcome.answer(Model(card, trained.onnx), work.dataset.part(_scored_on(work.dataset)))
    scores = outcome.scores_of(answered.truth, answered.probabilities, card, trained.recipe.seed).overall
    return default, answered, scores[main_score(scores)].model_dump_json()


def _record(
    work: Work,
    found: Searched,
    result: TrainResult,
    answered: Answered,
    *,
    minutes: float | None,
    about: str,
    base: tuple[TuningTrial, Answered | None, str] | None,
) -> Tuning:
    from sightline.measure.leaderboard import behind
    from sightline.verbs.wording import main_score

    measure, best = main_score(result.scores), found.best
    default: Choice | None = None
    gain: Score | None = None
    if base is not None:
        trial, answers, score = base
        own = Score.model_validate_json(score) if answers else result.scores[measure]
        default = Choice(trial=trial.number, values=trial.values, validation=trial.score or 0.0, score=own)
        if answers is not None:
            there = {item.uri: row for row, item in enumerate(answers.items)}
            mine = np.array([row for row, item in enumerate(answered.items) if item.uri in there], np.intp)
            its = np.array([there[answered.items[row].uri] for row in mine], np.intp)
            gain = behind(answered.truth[mine], answered.probabilities[mine], answers.probabilities[its], work.dataset.task)
    return Tuning(
        way=found.way,
        measure=measure,
        scored_on=result.scored_on,
        pictures=len(answered.items),
        chosen_on=len(work.dataset.part("val")),
        minutes=minutes,
        epochs=found.epochs,
        trials=found.trials,
        best=Choice(trial=best.number, values=best.values, validation=best.score or 0.0, score=result.scores[measure])
        if best
        else None,
        default=default,
        gain=gain,
        importance=found.importance,
        about=about,
    )


def lines(tuning: Tuning) -> list[RenderableType]:
    """For people at a terminal: what was gained, by what, and what the numbers are about."""
    from rich.text import Text

    from sightline.measure.tuning_page import different, verdict

    states = {state: sum(one.state == state for one in tuning.trials) for state in ("complete", "pruned", "failed")}
    stopped = f", {states['pruned']} stopped early" if states["pruned"] else ""
    failed = f", {states['failed']} failed" if states["failed"] else ""
    shown = [Text(f"Tuning, {len(tuning.trials)} trials{stopped}{failed}. {verdict(tuning)}", style="bold")]
    if tuning.best and tuning.default and tuning.best.trial != tuning.default.trial:
        shown.append(Text("different: " + ", ".join(different(tuning.best, tuning.default))))
    if tuning.importance:
        first = list(tuning.importance.items())[:4]
        shown.append(Text("what mattered: " + ", ".join(f"{name} {share:.0%}" for name, share in first)))
    shown.append(Text(tuning.about))
    shown.append(Text(f"all trials: {tuning.page}", style="dim"))
    return [*shown]
