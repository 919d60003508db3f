"""Who is really better: paired differences on the same pictures, the recommendation in one sentence, the leaderboard's page.

Knows answers and numbers, not how candidates were trained.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.measure import plots
from sightline.measure.bootstrap import LEAST, resampled_sums, score, wilson
from sightline.measure.markup import bullets, cell, figure, percent, table, words
from sightline.measure.ranking import average_precision, resampled_average_precision
from sightline.measure.report import Section, page
from sightline.measure.report_data import ReportData
from sightline.measure.standings import Leaderboard, Standing
from sightline.types import Score, Task

WORTH = 0.01  # a model at most this much behind the best may be recommended for its speed,
FASTER = 1.25  # when it is at least so many times faster
HOPELESS = 0.03  # stopped early: when the whole interval lies more than this behind the best
_MEASURES = {"top1": "share right", "map50": "mAP@.5"}
COARSE = 0.03  # an interval that reaches further than this: the pictures are too few to tell


def behind(truth: NDArray[np.int64], best: NDArray[np.float32], other: NDArray[np.float32], task: Task, seed: int = 0) -> Score:
    """The main score of `best` minus that of `other` with its 95 % interval, paired: both answer the same resampled pictures.

    truth (n,) or 0/1 (n, classes); probabilities (n, classes). Share right, or mean average precision for several labels.
    """
    n = len(truth)
    if task == "multilabel":
        yes = truth.astype(bool)
        sides = []
        for given in (best, other):
            shown = np.flatnonzero(yes.any(axis=0))
            value = float(np.mean([average_precision(yes[:, place], given[:, place]) for place in shown]))
            draws = resampled_average_precision(yes, given, seed, LEAST)
            counted = np.isfinite(draws)
            sides.append((value, np.where(counted, draws, 0).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)))
        (first, ones), (second, others) = sides
        return score(first - second, ones - others, n) if np.any(ones != others) else _same(n)
    differences = (best.argmax(axis=1) == truth).astype(np.float32) - (other.argmax(axis=1) == truth)
    mean = float(differences.mean())
    if not differences.any():  # the same pictures right: the bootstrap knows no doubt, Wilson's bound for n pictures does
        return _same(n)
    return score(mean, resampled_sums(differences[:, None], seed)[:, 0] / n, n)


def _same(n: int) -> Score:
    reach = wilson(0.0, n)[1]
    return Score(value=0.0, low=-reach, high=reach, n=n)


def hopeless(difference: Score) -> bool:
    """Whether a candidate is so clearly behind, already in its first look, that its time is better spent on others."""
    return difference.low > HOPELESS


def recommended(entries: Sequence[Standing], best: str) -> tuple[str, str]:
    """The name to take, and the sentence that says why. `entries` hold the differences to `best`.

    The best on the choosing pictures; or the fastest of those that cannot be told apart from it, are at most WORTH behind and
    at least FASTER times as fast.
    """
    finished = {one.name: one for one in entries if one.state == "finished" and one.behind is not None}
    top = finished[best]
    rivals = [one for name, one in finished.items() if name != best]
    same = [one for one in rivals if one.behind and one.behind.low <= 0]
    quick = [one for one in same if one.behind and one.behind.value <= WORTH and _times(top, one) >= FASTER]
    if quick:
        taken = min(quick, key=lambda one: one.latency_ms or 0.0)
        why = f"as good as the best, {best} ({_gap(taken)}), and {_times(top, taken):.1f}x faster"
        return taken.name, f"take {taken.name}: {why}"
    if not rivals:
        return best, f"take {best}: the only one that was finished"
    if same:
        names = ", ".join(f"{one.name} ({_gap(one)})" for one in same[:3])
        return best, f"take {best}: the best here, though not distinguishable from {names}"
    nearest = min(rivals, key=lambda one: one.behind.value if one.behind else 1.0)
    return best, f"take {best}: better than {nearest.name}, the next one ({_gap(nearest)})"


def caveats(board: Leaderboard) -> list[str]:
    """What the numbers do not say."""
    said = []
    wide = [one for one in board.entries if one.behind and one.name != board.best and one.behind.low <= 0 < one.behind.high]
    reach = max((one.behind.high for one in wide if one.behind), default=0.0)
    if reach > COARSE:
        said.append(
            f"{board.chosen_on:,} pictures are few for telling models apart: a difference of {100 * reach:.0f} points "
            "could go unnoticed here"
        )
    if board.scored_on == "val" and len(board.entries) > 1:
        said.append(
            "The choice was made on the pictures that the scores are measured on, which flatters the best one a little; "
            "a test/ folder that no choice looks at gives the plain number"
        )
    stopped = [one.name for one in board.entries if one.state == "stopped"]
    if stopped:
        said.append(
            f"Stopped after a first look, with less time than the others had: {', '.join(stopped)}; "
            "with more --minutes they may do better"
        )
    return said


def _times(slow: Standing, fast: Standing) -> float:
    return (slow.latency_ms or 0.0) / fast.latency_ms if fast.latency_ms else 0.0


def _gap(one: Standing) -> str:
    gap = one.behind
    if gap is None:
        return "difference not measured"
    return f"difference {100 * gap.value:.1f} points, interval {100 * gap.low:.1f} to {100 * gap.high:.1f}"


def verdict(one: Standing, best: str) -> str:
    """How a candidate stands to the best, in words."""
    if one.state == "failed":
        return f"failed: {one.why}"
    if one.name == best:
        return "the best"
    if one.behind is None:
        return ""
    said = "clearly behind" if one.behind.low > 0 else "not distinguishable"
    return f"{said}, {_gap(one)}" + ("; stopped early" if one.state == "stopped" else "")


# --- the page


def leaderboard_page(board: Leaderboard, title: str) -> str:
    """The whole page as text."""
    sections: list[Section] = [
        ("short", "In short", lambda _: _short(board)),
        ("speed", "Accuracy against speed", lambda _: _plot(board)),
        ("all", "All candidates", lambda _: _table(board)),
        ("made", "How they were made", lambda _: _made(board)),
    ]
    return page(ReportData(title=title, created=board.created), sections)


def _short(board: Leaderboard) -> str:
    taken = next(one for one in board.entries if one.name == board.recommended)
    html = f'<div class="hero"><p class="big">Take <strong>{words(taken.name)}</strong></p>'
    why = board.recommendation.partition(": ")[2]
    html += f'<p class="sure">{words(why[:1].upper() + why[1:])}.</p>{bullets(caveats(board))}</div>'
    return html


def _plot(board: Leaderboard) -> str:
    """Each candidate with its interval over its time for one picture; the frontier that nothing beats in both."""
    shown = [one for one in board.entries if one.score and one.latency_ms]
    if not shown:
        return ""
    times = [one.latency_ms or 1.0 for one in shown]
    low = min(one.score.low for one in shown if one.score)
    high = max(one.score.high for one in shown if one.score)
    room = max(0.02, 0.08 * (high - low))
    frame = plots.Frame(
        "accuracy against latency",
        "milliseconds for one picture",
        f"{_MEASURES.get(board.measure, 'average precision')} in %",
        (min(times) / 1.6, max(times) * 1.6),
        (max(0.0, low - room), min(1.0, high + room)),
        percent=True,
        log_x=True,
    )
    marks = [
        plots.Mark(one.latency_ms or 1.0, one.score.value, one.score.low, one.score.high, one.name, tone)
        for one in shown
        if one.score
        for tone in [0 if one.name == board.recommended else 1 if one.state == "finished" else 3]
    ]
    drawing = plots.marks(frame, marks)
    return figure(
        drawing,
        "Up and to the left is better. A dot is a candidate, its line the 95 % interval of its score; the dashed line joins "
        "those that no other beats in both. The time is the model's alone, one prepared picture at a time, measured here.",
    )


def _table(board: Leaderboard) -> str:
    name = "right" if board.measure == "top1" else _MEASURES.get(board.measure, "average precision")
    heads = [("candidate", ""), (name, "num"), ("95 %", "num"), ("beside the best", ""), ("ms", "num"), ("p95 ms", "num")]
    heads += [("parameters", "num"), ("file", "num"), ("training", "num")]
    rows = []
    for one in board.entries:
        score_cells = ["-", "-"]
        if one.score:
            span = f"{100 * one.score.low:.1f} to {100 * one.score.high:.1f}"
            score_cells = [cell(percent(one.score.value), one.score.value), words(span)]
        star = " (taken)" if one.name == board.recommended else ""
        rows.append(
            [
                words(one.name + star),
                *score_cells,
                f"<small>{words(verdict(one, board.best))}</small>",
                _cell(one.latency_ms, "{:.1f}"),
                _cell(one.latency_p95_ms, "{:.1f}"),
                _cell(one.parameters, "{:.2f} M", 1e6),
                _cell(one.file_bytes, "{:.1f} MB", 1e6),
                cell(words(minutes(one.train_seconds)), one.train_seconds),
            ]
        )
    kind = "test" if board.scored_on == "test" else "validation"
    note = f'<p class="note">Scores of the exported files on the same {board.pictures:,} {kind} pictures. '
    note += f"Differences to the best are paired, on {board.chosen_on:,} validation pictures.</p>"
    return note + table(heads, rows, caption="Leaderboard")


def _made(board: Leaderboard) -> str:
    heads = [("candidate", ""), ("way", ""), ("network", ""), ("weights", ""), ("input", "num"), ("why", "")]
    rows = [
        [
            words(one.name),
            words(one.way or "-"),
            words(one.backbone or "-"),
            words(one.weights or "-"),
            f"{one.input_size} px" if one.input_size else "-",
            f"<small>{words(one.why)}</small>",
        ]
        for one in board.entries
    ]
    return table(heads, rows, caption="How they were made")


def _cell(value: float | None, form: str, unit: float = 1.0) -> str:
    return "-" if value is None else cell(words(form.format(value / unit)), value)


def minutes(seconds: float) -> str:
    """ "12 s", "3.4 min"."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
