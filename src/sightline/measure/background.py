"""Sections of a report about how the model came about: learning, health of the data, passport. ReportData in, HTML out.

"" where there is nothing to show. Knows no files.
"""

from __future__ import annotations

import numpy as np

from sightline.measure import plots
from sightline.measure.markup import bullets, facts, figure, percent, picture, tail, words
from sightline.measure.report_data import ReportData
from sightline.types import Finding, Parity

FINDINGS = 60


def learning(data: ReportData) -> str:
    """How the training went and what more pictures would bring."""
    parts = [_history(data, "loss"), _history(data, "score")]
    curve = data.curve
    if curve is not None and len(curve.points) > 1:
        first, last = curve.points[0][0], curve.points[-1][0]
        rows = [plots.Line("measured", curve.points, "dots")]
        shown = [score for _, score in curve.points]
        if curve.doubled is not None:
            shift = curve.points[-1][1] - curve.expected(last)
            along = np.geomspace(first, last, 24)
            rows.append(plots.Line("trend", [(x, curve.expected(x)) for x in along]))
            ahead = [(x, min(1.0, curve.expected(x) + shift)) for x in np.geomspace(last, 2 * last, 8)]
            rows.append(plots.Line("forecast", ahead, "dashed"))
            shown += [y for _, y in ahead] + [curve.expected(first)]
        frame = plots.Frame(
            "Learning curve: score against number of training pictures",
            "training pictures",
            "score, %",
            (first, 2 * last),
            _span(shown),
            percent=True,
            log_x=True,
        )
        counts = [count for count, _ in curve.points if count <= 2 * last]
        said = "Trained on parts of the pictures: where the curve still climbs, more pictures help."
        if curve.doubled is not None:
            said += f" With {2 * last:,} pictures their trend leads to about {100 * curve.doubled:.1f} %."
        parts.append(figure(plots.lines(frame, rows, (*_apart(counts), 2 * last)), said, "Would more pictures help?"))
    html = "".join(part for part in parts if part)
    return f'<div class="pair">{html}</div>' if html else ""


def _history(data: ReportData, kind: str) -> str:
    """Loss or score by epoch, training and new pictures as two lines."""
    rows: dict[str, list[tuple[float, float]]] = {}
    for number, epoch in enumerate(data.history, 1):
        at = epoch.get("epoch", epoch.get("number")) or number
        for name, value in epoch.items():
            wanted = name.endswith("loss" if kind == "loss" else ("accuracy", "score", "map", "map50", "miou", "top1", "f1"))
            if wanted and value is not None and np.isfinite(value):
                rows.setdefault("new pictures" if name.startswith("val") else "training", []).append((float(at), float(value)))
    values = [y for points in rows.values() for _, y in points]
    if not values or max(map(len, rows.values())) < 2:
        return ""
    across = [x for points in rows.values() for x, _ in points]
    loss = kind == "loss"
    frame = plots.Frame(
        "Loss by epoch" if loss else "Score by epoch",
        "epoch",
        "loss" if loss else "score, %",
        (min(across), max(across)),
        (0.0, max(values) * 1.05) if loss else _span(values),
        percent=not loss,
    )
    x_ticks = [x for x in plots.ticks(*frame.x) if x == int(x)]
    said = (
        "How wrong the model still was after each round through the training pictures; lower is better. Lines that part mean "
        "that it starts to learn by heart."
        if loss
        else "What it got right after each round. Training pictures are changed at random, which makes them harder."
    )
    drawing = plots.lines(frame, [plots.Line(name, points) for name, points in rows.items()], x_ticks)
    return figure(drawing, said, "What it got wrong in training" if loss else "What it got right in training")


def sights(data: ReportData) -> str:
    """What a model of hand-made features looks at, or what layers have learned without labels."""
    if not data.sights:
        return ""
    rows = [f"<li>{picture(one.picture, one.name, 320)}<p class='name'>{words(tail(one.name))}</p></li>" for one in data.sights]
    captions = dict.fromkeys(one.caption for one in data.sights)
    notes = "".join(f'<p class="note">{words(caption, 200)}</p>' for caption in captions)
    return f'{notes}<ul class="gallery">{"".join(rows)}</ul>'


def health(data: ReportData) -> str:
    """What is wrong with the data, worst first, and look-alikes between training and test with both pictures."""
    order = {"error": 0, "warning": 1, "info": 2}
    found = sorted(data.findings, key=lambda finding: (order[finding.severity], -finding.score))
    html = ""
    if found:
        html += f'<ul class="findings">{"".join(_finding(finding) for finding in found[:FINDINGS])}</ul>'
        if len(found) > FINDINGS:
            html += f'<p class="note">And {len(found) - FINDINGS:,} more.</p>'
    if data.pairs:
        rows = [
            f"<li><div>{picture(pair.left, pair.left_name)}{picture(pair.right, pair.right_name)}</div>"
            f"<p class='name'>{words(tail(pair.left_name))}<br>{words(tail(pair.right_name))}</p>"
            f"<p>{words(pair.note, 120)}</p></li>"
            for pair in data.pairs
        ]
        note = "Each pair shows a training picture beside a tested one that looks the same: such a test is too easy."
        html += f'<h3>Look-alikes between training and test</h3><p class="note">{note}</p>'
        html += f'<ul class="gallery twins">{"".join(rows)}</ul>'
    if data.failures:
        lines = [f"{failure.picture}: {failure.error.message}" for failure in data.failures[:20]]
        more = [f"and {len(data.failures) - 20:,} more"] if len(data.failures) > 20 else []
        html += f"<h3>Pictures that could not be used</h3>{bullets(lines + more)}"
    return html


def _finding(finding: Finding) -> str:
    names = ", ".join(finding.items[:5]) + (f" and {len(finding.items) - 5:,} more" if len(finding.items) > 5 else "")
    fix = f"<br>{words(finding.fix)}" if finding.fix else ""
    listed = f"<br><span class='name'>{words(names, 400)}</span>" if names else ""
    return f"<li class='{finding.severity}'><b>{finding.severity}</b> {words(finding.message)}{fix}{listed}</li>"


def passport(data: ReportData) -> str:
    """How the model came about, that its file answers as trained, and what nobody tested."""
    card, html = data.card, ""
    recipe = data.recipe or (card.recipe if card else None)
    parity = data.parity or (card.parity if card else None)
    if parity is not None:
        html += (
            f"<p>The model file answers like the trained model: on {parity.pictures:,} pictures {percent(parity.agreement)} "
            "of the answers are the same, and no score differs by more than "
            f"{parity.largest_difference:.2g}{_shift(parity)}.</p>"
        )
    if recipe is not None:
        html += f"<p>{words(recipe.why)}</p>"
        minutes = f"{recipe.minutes:g}" if recipe.minutes is not None else ""
        rows = [("way", recipe.way), ("network", recipe.backbone), ("starting weights", recipe.weights), ("size", recipe.size)]
        html += facts([*rows, ("seed", recipe.seed), ("minutes allowed", minutes)])
        if recipe.values:
            html += f"<details><summary>Every value of the recipe</summary>{facts(recipe.values.items())}</details>"
    if card is None:
        return html
    fit = {"crop": "centre crop", "squash": "both sides stretched", "pad": "whole picture on grey"}[card.input.fit]
    rows = [("model", card.name), ("id", card.id), ("task", card.task), ("classes", f"{len(card.classes):,}")]
    rows += [("sees", f"{card.input.size} × {card.input.size} pixels, {fit}"), ("licence", card.licence)]
    rows += [("made by", f"Sightline {card.sightline}" if card.sightline else ""), ("on", card.created)]
    html += f"<details><summary>The model</summary>{facts(rows)}</details>"
    if card.dataset:
        html += f"<details><summary>The training data</summary>{facts(card.dataset.items())}</details>"
    if card.limits:
        html += f"<h3>What it was not tested for</h3>{bullets(card.limits)}"
    return html


def _shift(parity: Parity) -> str:
    """What a detector's certificate says of its boxes."""
    return "" if parity.largest_shift is None else f", no side of a box by more than {parity.largest_shift:.2g} pixels"


def _span(values: list[float]) -> tuple[float, float]:
    """A range of scores with some air, within 0..1."""
    low, high = min(values), max(values)
    air = max(0.02, (high - low) * 0.15)
    return max(0.0, low - air), min(1.0, high + air)


def _apart(counts: list[int]) -> list[int]:
    """Those of the ascending counts whose numbers do not touch on a logarithmic axis."""
    shown: list[int] = []
    for count in reversed(counts):
        if not shown or count * 1.35 <= shown[-1]:
            shown.append(count)
    return shown[::-1]
