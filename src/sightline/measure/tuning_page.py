"""A page about a search for better values: what was gained, trials over time, what mattered, all trials. Values in, HTML."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from sightline.measure import plots
from sightline.measure.leaderboard import minutes
from sightline.measure.markup import bullets, cell, figure, interval, percent, table, words
from sightline.measure.report import Section, page
from sightline.measure.report_data import ReportData
from sightline.measure.trials import Choice, Setting, Tuning, TuningTrial

SHOWN = 8  # drawings of single values


def tuning_page(tuning: Tuning, title: str, created: str) -> str:
    """The whole page as text."""
    sections: list[Section] = [
        ("short", "In short", lambda _: _short(tuning)),
        ("time", "Trial by trial", lambda _: _time(tuning)),
        ("values", "Which values mattered", lambda _: _values(tuning)),
        ("all", "All trials", lambda _: _table(tuning)),
    ]
    return page(ReportData(title=title, created=created), sections)


def verdict(tuning: Tuning) -> str:
    """What the search has gained, in one sentence."""
    best, gain = tuning.best, tuning.gain
    if best is None or tuning.default is None:
        return "Not one trial fitted the budget: this is the default."
    if best.trial == tuning.default.trial:
        return f"None of {len(tuning.trials)} trials was better than the default: the default is kept."
    if gain is None:
        return f"Trial {best.trial} of {len(tuning.trials)} is the best."
    points = f"{100 * gain.value:+.1f} points, interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f}"
    if gain.low > 0:
        return f"Better than the default by {points}."
    return f"Not distinguishable from the default on these pictures ({points})."


def shown(value: Setting) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def different(best: Choice, default: Choice) -> list[str]:
    """The values in which the best differs, as "lr 0.01 -> 0.004"."""
    pairs = [(name, default.values.get(name), value) for name, value in best.values.items()]
    return [f"{name} {shown(old)} -> {shown(new)}" for name, old, new in pairs if old is not None and old != new]


def _short(tuning: Tuning) -> str:
    said = [tuning.about]
    html = f'<div class="hero"><p class="big">{words(verdict(tuning))}</p>'
    if tuning.best and tuning.default:
        if tuning.best.trial != tuning.default.trial:
            said.insert(0, "What is different: " + ", ".join(different(tuning.best, tuning.default)) + ".")
        kind = "test" if tuning.scored_on == "test" else "validation"
        heads = [("", ""), (f"{tuning.pictures:,} {kind} pictures", "num"), ("95 %", "num"), ("when it was chosen", "num")]
        rows = [
            [name, percent(one.score.value), interval(one.score), percent(one.validation)]
            for name, one in (("the best trial", tuning.best), ("the default", tuning.default))
        ]
        return html + bullets(said) + "</div>" + table(heads, rows, caption="Best and default")
    return html + bullets(said) + "</div>"


def _range(scores: Sequence[float]) -> tuple[float, float]:
    """From the lowest to the highest in percent, with some room."""
    low, high = min(scores), max(scores)
    room = max(1.0, 0.08 * (high - low))
    return max(0.0, low - room), min(100.0, high + room)


def _time(tuning: Tuning) -> str:
    """Scores of complete trials and the best so far over the minutes spent."""
    spent, dots, best = 0.0, [], []
    for trial in tuning.trials:
        spent += trial.seconds / 60
        if trial.score is not None:
            dots.append((spent, 100 * trial.score))
        if trial.best_so_far is not None:
            best.append((spent, 100 * trial.best_so_far))
    if not dots:
        return ""
    name = "share right in %" if tuning.measure == "top1" else "average precision in %"
    frame = plots.Frame("trials over time", "minutes", name, (0, spent or 1), _range([y for _, y in dots]))
    stairs = [point for old, new in pairwise(best) for point in (old, (new[0], old[1]))] + best[-1:]
    drawing = plots.lines(
        frame,
        [plots.Line("best so far", stairs), plots.Line("trial", dots, "dots"), plots.Line("default", dots[:1], "dots")]
        if tuning.trials[0].score is not None
        else [plots.Line("best so far", stairs), plots.Line("trial", dots, "dots")],
        plots.ticks(0, spent or 1),
    )
    count = {state: sum(one.state == state for one in tuning.trials) for state in ("pruned", "failed")}
    return figure(
        drawing,
        f"A dot is a complete trial's score on the {tuning.chosen_on:,} validation pictures. "
        f"{count['pruned']} trials were stopped early, {count['failed']} failed; they have no dot.",
    )


def _values(tuning: Tuning) -> str:
    done = [trial for trial in tuning.trials if trial.score is not None]
    if len(done) < 3:
        return ""
    names = sorted(done[0].values, key=lambda name: -tuning.importance.get(name, 0.0))
    html = ""
    if tuning.importance:
        rows = [[words(name), percent(share), plots.bar(share, share, share)] for name, share in tuning.importance.items()]
        html += table([("value", ""), ("importance", "num"), ("", "")], rows, caption="Importance")
        html += '<p class="note">How much of what separates the better trials from the others each value explains; '
        html += "with few trials a rough guess.</p>"
    return html + "".join(_one(name, done, tuning) for name in names[:SHOWN])


def _one(name: str, done: Sequence[TuningTrial], tuning: Tuning) -> str:
    """One value against the score: a drawing of numbers, a table of choices."""
    values = [trial.values[name] for trial in done]
    numbers = [float(value) for value in values if not isinstance(value, str)]
    if len(numbers) == len(values) and len(set(numbers)) > 4:
        low, high = min(numbers), max(numbers)
        log = low > 0 and high / low >= 8
        scores = [100 * (trial.score or 0.0) for trial in done]
        axis = "share right in %" if tuning.measure == "top1" else "average precision in %"
        frame = plots.Frame(f"score by {name}", name, axis, (low, high), _range(scores), log_x=log)
        rows = [plots.Line("trial", list(zip(numbers, scores, strict=True)), "dots")]
        if tuning.best:
            rows.append(plots.Line("best", [(float(tuning.best.values[name]), 100 * tuning.best.validation)], "dots"))
        plain = plots.round_steps(low, high) if log else plots.ticks(low, high)
        return figure(plots.lines(frame, rows, plain), f"Each complete trial by its {name}.", name)
    rows_of = []
    for value in sorted(set(values), key=lambda one: (isinstance(one, str), one if isinstance(one, str) else float(one))):
        scores = [trial.score or 0.0 for trial in done if trial.values[name] == value]
        rows_of.append(
            [words(shown(value)), str(len(scores)), *(cell(percent(one), one) for one in (max(scores), median(scores)))]
        )
    heads = [(name, ""), ("trials", "num"), ("best", "num"), ("median", "num")]
    return f"<h3>{words(name)}</h3>" + table(heads, rows_of, caption=f"Complete trials by {name}")


def _table(tuning: Tuning) -> str:
    if not tuning.trials:
        return ""
    names = list(tuning.trials[0].values)
    heads = [("trial", "num"), ("score", "num"), ("time", "num"), *((name, "num") for name in names), ("", "")]
    rows = [
        [
            cell(str(one.number), one.number),
            "-" if one.score is None else cell(percent(one.score), one.score),
            cell(words(minutes(one.seconds)), one.seconds),
            *(words(shown(one.values.get(name, "-"))) for name in names),
            f"<small>{words(_ending(one, tuning))}</small>",
        ]
        for one in tuning.trials
    ]
    return table(heads, rows, caption="All trials, in the order of time")


def _ending(one: TuningTrial, tuning: Tuning) -> str:
    told = []
    if one.number == 0:
        told.append("the default")
    if tuning.best and one.number == tuning.best.trial:
        told.append("the best")
    if one.state == "pruned":
        told.append(f"stopped after {one.epochs} epochs: {one.why}")
    if one.state == "failed":
        told.append(f"failed: {one.why}")
    return "; ".join(told)
