"""docs/textbook.md with its plots, written from the kept runs: what the textbook says, what was seen, whether it holds here.

Knows runs and claims; trains nothing.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from claims import charts
from claims.book import CLAIMS, CLEAR, ENOUGH, MOBILES, Claim, Judged, Result, judged, verdict
from claims.runs import SIZE, Book, Budget, Run, key
from sightline.files import write_text
from sightline.measure.searched import Search

COMMAND = "python bench/textbook.py CIFAR"


def results(claim: Claim, budget: Budget, book: Book) -> dict[str, Result]:
    """The claim's networks with all seeds of the budget, averaged; those that failed or are missing are left out."""
    found = {}
    for name in claim.networks:
        runs = [book.runs.get(key(name, seed, claim.plan, budget)) for seed in range(budget.seeds)]
        done = [run for run in runs if run is not None and not run.failed]
        if len(done) == len(runs):
            found[name] = _averaged(name, done)
    return found


def _averaged(name: str, runs: Sequence[Run]) -> Result:
    accuracies = [1 - run.val_error[-1] for run in runs]
    train = tuple(mean(values) for values in zip(*(run.train_error for run in runs), strict=True))
    return Result(
        name=name,
        parameters=runs[0].parameters,
        multiply_adds=runs[0].multiply_adds,
        accuracy=mean(accuracies),
        spread=max(accuracies) - min(accuracies),
        train_accuracy=1 - train[-1],
        train_error=train,
        val_error=tuple(mean(values) for values in zip(*(run.val_error for run in runs), strict=True)),
        seconds=mean(run.seconds for run in runs),
        seeds=len(runs),
        bytes=runs[0].bytes,
        bytes8=runs[0].bytes8,
        accuracy8=mean(run.accuracy8 for run in runs) - mean(run.accuracy_kept for run in runs),
    )


def write(path: Path, book: Book) -> None:
    """The page, and its plots in pictures/ beside it."""
    folder = path.parent / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    sections, rows = [], []
    for number, claim in enumerate(CLAIMS, 1):
        budget = book.budget(claim.name)
        found = results(claim, budget, book) if budget else {}
        outcome = judged(claim, found) if budget else ("not run yet", "")
        rows.append(f"| {number} | {claim.title} | {outcome[0]} |")
        sections.append(_section(number, claim, budget, found, outcome, book, folder))
    outcome, section = _search(len(CLAIMS) + 1, book.search)
    rows.append(f"| {len(CLAIMS) + 1} | Clever architecture search beats random search | {outcome} |")
    text = "\n".join([*_head(book), "| | claim | here |", "|---|---|---|", *rows, "", *sections, section])
    write_text(path, text)


def prose(said: str) -> str:
    return textwrap.fill(said, 158, break_long_words=False, break_on_hyphens=False)


def _head(book: Book) -> list[str]:
    machines = sorted({run.machine for run in book.runs.values() if run.machine})
    return [
        "# What the textbooks say, tried at small scale",
        "",
        prose(
            f"Well-known claims about networks, tried on CIFAR-10 at {SIZE} px with a small and equal budget: within a claim "
            "every network gets the same epochs of the same pictures, the same recipe, the same seeds, through the training "
            "that `sightline train` uses. A small budget can show that a claim holds; where one does not hold here, that is "
            "said, and it may hold after more training. `bench/textbook.py` writes this page from the runs it has kept."
        ),
        "",
        prose(
            "Accuracy is of the last epoch's averaged weights on pictures of the test part, which no training saw. Differences "
            f"below {100 * CLEAR:.1f} points are called none; when no network of a claim is right for {ENOUGH:.0%}, nothing is "
            "concluded. Seconds are those of all epochs, validation included."
            + (f" Machine: {'; '.join(machines)}." if machines else "")
        ),
        "",
    ]


def _section(
    number: int, claim: Claim, budget: Budget | None, found: dict[str, Result], outcome: Judged, book: Book, folder: Path
) -> str:
    lines = [
        f"## {number}. {claim.title}",
        prose(f"**The textbook**: {claim.says} ({claim.source}.)"),
        "",
        prose(f"**We say that it holds when** {claim.test}."),
        "",
        prose(f"**Here: {outcome[0]}.** {outcome[1]}".rstrip()),
        "",
    ]
    if budget is None:
        return "\n".join([*lines, f"`{COMMAND} --only {claim.name}`", ""])
    failed = [run for run in _runs(claim, budget, book) if run.failed]
    lines += [f"{run.network}, seed {run.seed}: {run.failed}." for run in failed] + ([""] if failed else [])
    if found:
        lines += [*_table(claim, found), "", *_plots(claim, found, folder), ""]
    wish = f"--epochs {budget.epochs} --pictures {budget.pictures} --val {budget.val} --seeds {budget.seeds}"
    counted = (
        f"{budget.epochs} epoch{'s' if budget.epochs > 1 else ''} of {budget.pictures:,} pictures, {budget.val:,} unseen ones"
    )
    seeds = f"{budget.seeds} seed{'s' if budget.seeds > 1 else ''}"
    lines += [f"Budget: {counted}, {seeds}; {_recipe(claim, book, budget)}.", "", f"`{COMMAND} --only {claim.name} {wish}`", ""]
    return "\n".join(lines)


def _runs(claim: Claim, budget: Budget, book: Book) -> list[Run]:
    keys = [key(name, seed, claim.plan, budget) for name in claim.networks for seed in range(budget.seeds)]
    return [book.runs[one] for one in keys if one in book.runs]


def _recipe(claim: Claim, book: Book, budget: Budget) -> str:
    plan = claim.plan
    used: dict[str, Any] = next((run.plan for run in _runs(claim, budget, book) if run.plan), {})
    how = f"{plan.optimiser}, rate {plan.lr:g}, weight decay {plan.weight_decay:g}, batch {plan.batch}, cosine"
    how += ", mirrored and shifted by 4 px"
    return how + (f", {used['precision']}, {used['threads']} thread{'s' if used['threads'] > 1 else ''}" if used else "")


def _table(claim: Claim, found: dict[str, Result]) -> list[str]:
    """Costs and outcome; bytes where a claim is about them."""
    sized = claim.name == "squeezenet"
    head = ["network", "parameters", "multiply-adds", "training error", "unseen pictures right", "seconds"]
    head += ["bytes", "bytes, 8-bit weights", "right with 8-bit weights"] if sized else []
    rows = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for one in found.values():
        spread = f" (seeds within {100 * one.spread:.1f})" if one.seeds > 1 else ""
        cells = [f"`{one.name}`", f"{one.parameters / 1e6:.2f} M", f"{one.multiply_adds / 1e6:,.0f} M"]
        cells += [f"{1 - one.train_accuracy:.1%}", f"{one.accuracy:.1%}{spread}", f"{one.seconds:,.0f}"]
        if sized:
            cells += [f"{one.bytes / 1e6:.2f} MB", f"{one.bytes8 / 1e6:.2f} MB", f"{100 * one.accuracy8:+.1f} points"]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _plots(claim: Claim, found: dict[str, Result], folder: Path) -> list[str]:
    """Curves of every claim, side by side for the two families of the first; points over cost where there are several costs."""
    curves, said = f"textbook-{claim.name}.svg", "error over epochs: dashed on training pictures, solid on unseen ones"
    groups: list[tuple[str, list[charts.Curve]]] = []
    families = ("plain", "resnet") if claim.name == "residual" else ("",)
    for family in families:
        rows = [one for one in found.values() if one.name.startswith(family)]
        drawn = [charts.Curve(one.name, one.train_error, ink, dashed=True) for ink, one in enumerate(rows)]
        drawn += [charts.Curve(one.name.replace("mobilenet_", ""), one.val_error, ink) for ink, one in enumerate(rows)]
        groups.append(({"plain": "plain", "resnet": "residual"}.get(family, claim.name), drawn))
    write_text(folder / curves, charts.panels(f"{claim.title}: {said}", groups, "error"))
    found_plots = [f"![{claim.title}: {said}](pictures/{curves})", "", f"{said[0].upper()}{said[1:]}."]
    if claim.name == "mobilenet" and len(found) == len(MOBILES):
        cost = f"textbook-{claim.name}-cost.svg"
        dots = [charts.Dot(name, one.multiply_adds, one.accuracy) for name, one in found.items()]
        drawing = charts.points("accuracy over cost", dots, "multiply-adds a picture", "unseen pictures right")
        write_text(folder / cost, drawing)
        found_plots += ["", f"![accuracy over multiply-adds](pictures/{cost})"]
    return found_plots


def _search(number: int, content: dict[str, Any]) -> tuple[str, str]:
    """The fifth claim, from what `sightline train --search` said: its --json result, or search.json beside the model."""
    lines = [
        f"## {number}. Clever architecture search beats random search",
        prose(
            "**The textbook**: a search that learns from what it has tried finds better networks than chance; critics found "
            "random search hard to beat (Li and Talwalkar 2019, arXiv 1902.07638; for settings Bergstra and Bengio 2012)."
        ),
        "",
        prose(
            "**We say that it holds when** the clever strategy's network is better on unseen pictures than random search's "
            "after as many trainings, and the 95 % interval of the paired difference lies above 0."
        ),
        "",
    ]
    command = (
        f"`sightline train CIFAR/train --search tpe --minutes 30 --json > found.json`, then `{COMMAND} --search found.json`"
    )
    if not content:
        return "not run yet", "\n".join([*lines, "**Here: not run yet.**", "", command, ""])
    search = Search.model_validate(content.get("search") or content)
    if search.gap is None:
        outcome: Judged = ("too short to tell", "Only one strategy was run.")
    else:
        gap = search.gap
        low, high = f"{100 * gap.low:+.1f}", f"{100 * gap.high:+.1f}"
        said = f"the network of {search.strategy} is {100 * gap.value:+.1f} points better ({low} to {high})"
        outcome = verdict({said: gap.low > 0})
    lines += [prose(f"**Here: {outcome[0]}.** {outcome[1]} {search.conclusion}"), ""]
    lines += [
        "| strategy | unseen pictures right (95 %) | parameters | multiply-adds | trainings | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for one in search.found:
        right = f"{one.unseen.value:.1%} ({one.unseen.low:.1%} to {one.unseen.high:.1%})"
        costs = f"{one.parameters / 1e6:.2f} M | {one.multiply_adds / 1e6:,.0f} M | {one.trainings} | {one.seconds:,.0f}"
        lines.append(f"| {one.strategy} | {right} | {costs} |")
    return outcome[0], "\n".join([*lines, "", command, ""])
