"""train --search: a network of one's own, looked for within a budget; random search always stands beside.

A story without an own command. Everything of a search lies in the run's folder, a line for each training: a search that was
stopped or killed goes on with the same command.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline import progress
from sightline.errors import UsageError
from sightline.files import write_text
from sightline.measure.searched import Search, Strategy
from sightline.types import Dataset, Record
from sightline.verbs.material import Work
from sightline.verbs.trained import TrainResult, store

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sightline.data.survey import Survey
    from sightline.learn.finish import Trained
    from sightline.learn.fit import TrainRequest

PAGE, RECORD = "search.html", "search.json"
WINNER = 0.3  # of the minutes: what the winner is trained for at least, however long the search took
LIMITS = ("max_parameters", "max_size", "max_latency")
ALONE = ("compare", "effort", "keep", "folds", "tune")  # wishes that --search does not go with


class _Last(Record):
    """What was decided when the search had ended."""

    cell: str
    minutes: float


def wishes(search: str | None, trials: int | None, *limits: str | None) -> dict[str, Any]:
    """The options of a search by name; limits in the order of LIMITS."""
    return {"search": search, "trials": trials, **dict(zip(LIMITS, limits, strict=True))}


def made(work: Work, request: TrainRequest, bench: Mapping[str, Any], target: Path, *, goal: Path, again: bool) -> TrainResult:
    """Search, train the winner, store it as `target` with the search's page beside it. goal: told when training has ended."""
    search, trained = found(work.dataset, work.seen, request, bench, work.folder)
    write_text(goal, str(target.absolute()))
    result, _ = store(target, work.dataset, work.seen, trained, work.findings, replace=again)
    return told(result, search, target)


def allowed(request: TrainRequest, bench: Mapping[str, Any]) -> None:
    """Refuse what does not go together, and budgets that nobody can read, before any picture is read. UsageError."""
    from sightline.learn.search.cost import read_budget
    from sightline.learn.search.ground import check_trials

    if "search" not in bench:
        alone = next(
            (name for name in LIMITS if name in bench), "trials" if "trials" in bench and "tune" not in bench else None
        )
        if alone:
            option = alone.replace("_", "-")
            raise UsageError(f"--{option} belongs to a search, and there is none", hint=f"add --search tpe to --{option}")
        return
    other = next((name for name in ALONE if name in bench), None)
    if other:
        raise UsageError(f"--search and --{other} do not go together", hint=f"search first, then --{other} with its --backbone")
    if request.way not in ("auto", "scratch"):
        raise UsageError(
            f"--search makes networks from scratch, so it does not go with --way {request.way}", hint="leave out --way"
        )
    if request.backbone:
        raise UsageError("--search looks for the network, and --backbone names one", hint="leave out one of the two")
    read_budget(*(bench.get(name) for name in LIMITS))
    check_trials(bench.get("trials"))


def found(dataset: Dataset, seen: Survey, request: TrainRequest, bench: Mapping[str, Any], run: Path) -> tuple[Search, Trained]:
    """Search, then train the best for the rest of the minutes on all training pictures.

    Raises UsageError (a budget nothing fits), StoppedError, and what a training raises.
    """
    from sightline.learn.fit import fit
    from sightline.learn.search.conclude import concluded
    from sightline.learn.search.cost import read_budget
    from sightline.learn.search.ground import ground_of, schedule_of
    from sightline.learn.search.halving import searched

    strategy: Strategy = bench["search"]
    if request.minutes is None:
        from sightline.learn.search.ground import MINUTES

        progress.note(f"the search takes {MINUTES:g} minutes; --minutes changes that")
    folder = run / "search"
    ground = ground_of(dataset, seen, request, read_budget(*(bench.get(name) for name in LIMITS)), folder)
    schedule = schedule_of(ground, strategy, bench.get("trials"), request.minutes)
    search = concluded(ground, schedule, searched(ground, schedule))
    progress.note(search.conclusion)
    last = _last(folder, search)
    progress.note(f"training {last.cell} on all pictures for {last.minutes:.1f} minutes")
    trained = fit(dataset, replace(request, way="scratch", backbone=last.cell, minutes=last.minutes), run / "winner")
    why = f"{last.cell}, found by {len(search.tried)} short trainings"
    why += f" within {search.budget}" if search.budget else ""
    return search, replace(trained, recipe=trained.recipe.model_copy(update={"why": why, "minutes": request.minutes}))


def _last(folder: Path, search: Search) -> _Last:
    """Who won and how long it is trained: the same when a killed training goes on."""
    path = folder / "winner.json"
    if path.is_file():
        return _Last.model_validate_json(path.read_bytes())
    spent = sum(one.seconds for one in search.tried) / 60
    last = _Last(cell=search.best, minutes=round(max(WINNER * search.minutes, search.minutes - spent), 3))
    write_text(path, last.model_dump_json())
    return last


def told(result: TrainResult, search: Search, target: Path) -> TrainResult:
    """The search beside the model: search.html, search.json, and in the result."""
    from sightline.measure.searched_page import search_page

    search = search.model_copy(update={"page": str(target / PAGE)})
    write_text(target / PAGE, search_page(search, f"{target.name}: search for a network"))
    write_text(target / RECORD, search.model_dump_json(indent=1) + "\n")
    return result.model_copy(update={"search": search})


def table(search: Search) -> list[RenderableType]:
    """For people at a terminal: who found what, what it costs, what that says."""
    from rich.table import Table
    from rich.text import Text

    from sightline.measure.searched_page import TITLES, caveats

    rows = Table(box=None, pad_edge=False, header_style="bold")
    rows.add_column("search", no_wrap=True)
    for heading in ("right" if search.measure == "top1" else "average precision", "parameters", "file", "ms"):
        rows.add_column(heading, justify="right", no_wrap=True)
    rows.add_column("best network", overflow="fold")
    for one in search.found:
        rows.add_row(
            TITLES[one.strategy],
            f"{100 * one.unseen.value:.1f} % ({100 * one.unseen.low:.0f}-{100 * one.unseen.high:.0f})",
            f"{one.parameters:,}",
            f"{one.file_bytes / 1e6:.2f} MB",
            f"{one.latency_ms:.2f}",
            Text(one.cell, "bold green" if one.cell == search.best else ""),
        )
    said = search.conclusion
    lines: list[RenderableType] = [Text(said[:1].upper() + said[1:], "bold"), Text(), rows, Text()]
    lines += [Text(f"- {line}") for line in caveats(search)]
    lines.append(Text(f"search: {search.page}"))
    return lines
