"""The report of a detector: how much it finds, each class, the kinds of error with pictures, what scores promise.

Written for people who know their pictures, not machine learning. Values in, one HTML page out; knows no files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sightline.measure import background, plots
from sightline.measure.detection import ClassDetection, DetectionScores
from sightline.measure.detection_curves import RECALLS
from sightline.measure.detection_errors import KINDS
from sightline.measure.detection_pictures import SIDE, Example, View
from sightline.measure.markup import bullets, cell, count, figure, interval, of_hundred, percent, picture, table, tail, words
from sightline.measure.report import Section, page
from sightline.measure.report_data import ReportData
from sightline.measure.results import BESIDE_UP_TO, HEAT_MAP_UP_TO, LONG_TABLE
from sightline.types import Score

LINES = 4  # classes whose curves are drawn

SCORE_WORDS: Mapping[str, tuple[str, str]] = {
    "map50": ("mAP@.5", "mean average precision where a box counts when it covers its object by half (IoU 0.5)"),
    "map": ("mAP@[.5:.95]", "the same averaged over ten demands on the box, from IoU 0.5 to 0.95, as COCO"),
    "map75": ("mAP@.75", "where boxes must lie well (IoU 0.75)"),
    "map_small": ("mAP, small objects", "of less than 32 × 32 pixels of the picture"),
    "map_medium": ("mAP, medium objects", "up to 96 × 96 pixels"),
    "map_large": ("mAP, large objects", "above 96 × 96 pixels"),
    "recall": ("found", "share of the objects that are found, at the thresholds"),
    "precision": ("right when given", "share of what is given that is an object of that class"),
    "f1": ("F1", "balance of the two"),
}
KIND_WORDS: Mapping[str, str] = {
    "wrong class": "it lies on an object of another class",
    "badly placed": "right class, but the box covers its object by less than half",
    "both": "near an object of another class, badly placed",
    "duplicate": "the object was given already",
    "background": "nothing is there, or the truth lacks a box",
    "missed": "an object that nothing given comes near",
}


@dataclass(frozen=True, slots=True)
class DetectionReport:
    """Everything the page shows. story: title, card, findings, failures, history; see report_data.ReportData.

    train_scores: the same scores on training pictures, where they were measured. baseline: mAP@.5 of a simple way, by name.
    """

    story: ReportData
    scores: DetectionScores
    advice: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    views: tuple[View, ...] = ()
    baselines: Mapping[str, Score] = field(default_factory=dict)


def detection_page(report: DetectionReport) -> str:
    """The whole page as text."""
    sections: list[Section] = [
        ("short", "In short", lambda _: _short(report)),
        ("classes", "Class by class", lambda _: _classes(report.scores)),
        ("views", "What it finds", lambda _: _views(report)),
        ("errors", "Kinds of error", lambda _: _errors(report)),
        ("confusions", "What it mixes up", lambda _: _confusions(report.scores)),
        ("trust", "Finding more against being right", lambda _: _curves(report.scores)),
        ("learning", "How it learned", background.learning),
        ("health", "Health of the data", background.health),
        ("scores", "All scores", lambda _: _all(report)),
        ("passport", "How the model was made", background.passport),
    ]
    return page(report.story, sections)


def _short(report: DetectionReport) -> str:
    scores = report.scores
    recall, precision, main = (scores.overall[name] for name in ("recall", "precision", "map50"))
    big = f"Finds <strong>{of_hundred(recall.value)}</strong> of 100 objects; of 100 it gives, "
    big += f"<strong>{of_hundred(precision.value)}</strong> are right"
    tested = words(report.story.tested_on or count(scores.n, "picture", "pictures"))
    sure = f"95 % sure: {interval(recall)} found, {interval(precision)} right. Measured on {tested} with "
    leaks = any(finding.kind == "leak" for finding in report.story.findings)  # then it would not be true
    sure += f"{count(scores.objects, 'object', 'objects')}{'' if leaks else ' that the training has not seen'}."
    rows = [("this model", main, "this"), *((name, one, "other") for name, one in report.baselines.items())]
    bars = "".join(
        f'<div class="versus"><span>{words(name)}</span><b>{of_hundred(one.value)}</b>'
        f"{plots.bar(one.value, one.low, one.high, kind=kind)}</div>"
        for name, one, kind in rows
    )
    note = "mAP@.5, of 100: how well boxes, classes and scores fit together, whatever the threshold. The thin line is the 95 % "
    html = (
        f'<div class="hero"><p class="big">{big}</p><p class="sure">{sure}</p>{bars}<p class="note">{note}interval.</p></div>'
    )
    said = list(report.advice)
    if scores.objects:
        said.append(f"Counting is off by {scores.count_error:.1f} objects a picture on average, all classes together.")
    bad = [finding for finding in report.story.findings if finding.severity in ("error", "warning")]
    if bad:
        said.append(f"The health check of the data has {count(len(bad), 'thing', 'things')} to say. See below.")
    return html + bullets(said)


def _classes(scores: DetectionScores) -> str:
    """A row for each class, weakest first."""
    rows = []
    for name, one in sorted(scores.classes.items(), key=lambda pair: _weight(pair[1])):
        half = one.average_precision_50
        if half is None:
            rows.append(
                (words(name, 60), cell("0", 0), "not in the test", "", "", "", cell(f"{one.threshold:.2f}", one.threshold), "")
            )
            continue
        grade = "good" if half.value >= 0.8 else "fair" if half.value >= 0.6 else "poor"
        bar = plots.bar(half.value, half.low, half.high, kind=grade)
        shown = f"{of_hundred(half.value)} ({interval(half)})"
        average = one.average_precision or 0.0
        off = f"{one.count_error:.1f}<br><small>{one.count_bias:+.1f}</small>"
        rows.append(
            (
                words(name, 60),
                cell(f"{one.support:,}", one.support),
                cell(f"{bar}<small>{shown}</small>", half.value),
                cell(of_hundred(average), average),
                cell(of_hundred(one.recall.value), one.recall.value),
                cell(of_hundred(one.precision.value) if one.precision.n else "none given", one.precision.value),
                cell(f"{one.threshold:.2f}", one.threshold),
                cell(off, one.count_error),
            )
        )
    heads = [("class", ""), ("objects", "num"), ("AP@.5, of 100", "wide"), ("AP@[.5:.95]", "num"), ("found, of 100", "num")]
    heads += [("right when given, of 100", "num"), ("from score", "num"), ("miscounted", "num")]
    note = (
        "Weakest class first. An object is given from the score in “from score”; found and right are counted there, with boxes "
        "that cover their object by half or more. “Miscounted” is how many objects a picture's count is off, below it whether "
        "too many (+) or too few (−) are counted."
    )
    kind = "sortable long" if len(rows) > LONG_TABLE else "sortable"
    return f'<p class="note">{note}</p>' + table(heads, rows, caption="Scores of each class", kind=kind)


def _weight(one: ClassDetection) -> float:
    return one.average_precision_50.value if one.average_precision_50 else 2.0


def _views(report: DetectionReport) -> str:
    if not report.views:
        return ""
    note = (
        "Blue: found. Green: there, but not found. Red: given, but wrong. First the pictures with most errors, then ordinary "
        "ones."
    )
    cards = [
        f"<li>{picture(one.picture, f'{one.name}: {one.caption}', SIDE)}<p>{words(one.caption)}</p>"
        f"<p class='name' title='{words(one.name)}'>{words(tail(one.name))}</p></li>"
        for one in report.views
    ]
    return f'<p class="note">{note}</p><ul class="gallery scenes">{"".join(cards)}</ul>'


def _errors(report: DetectionReport) -> str:
    """How often each kind occurs and what it costs, then the kinds with their pictures."""
    errors = report.scores.errors
    rows = [
        (
            words(name),
            f"<small>{words(KIND_WORDS[name])}</small>",
            cell(f"{errors[name].count:,}", errors[name].count),
            cell(f"{100 * errors[name].gain:.1f}", errors[name].gain),
        )
        for name in sorted(KINDS, key=lambda kind: -errors[kind].gain)
    ]
    heads = [("kind", ""), ("what it is", ""), ("times", "num"), ("mAP@.5 without it, points more", "num")]
    note = (
        "“Times” is counted among what is given; the last column is about all scores: how much better the model would be if "
        "this kind of error alone were mended (TIDE, Bolya et al. 2020)."
    )
    html = f'<p class="note">{note}</p>' + table(heads, rows, caption="Kinds of error")
    for name in KINDS:
        shown = [one for one in report.examples if one.kind == name]
        if not shown:
            continue
        cards = [
            f"<li>{picture(one.picture, f'{one.name}: {one.caption}', 320)}<p>{words(one.caption, 80)}</p>"
            f"<p class='name' title='{words(one.name)}'>{words(tail(one.name, 32))}</p></li>"
            for one in shown
        ]
        order = "the largest first" if name == "missed" else "the surest first"
        html += f"<h3>{words(name.capitalize())}</h3><p class='note'>{words(KIND_WORDS[name])}; {order}</p>"
        html += f'<ul class="gallery">{"".join(cards)}</ul>'
    return html


def _confusions(scores: DetectionScores) -> str:
    names = [*scores.classes, "nothing there"]
    if len(names) > HEAT_MAP_UP_TO:
        return ""
    columns = "Rows are the truth, columns what was given"
    drawing = plots.heat_map(scores.confusion, names, f"Confusion of classes. {columns}")
    said = (
        "Each row shows what became of one class's objects: on the diagonal found, in the last column missed, elsewhere called "
        "by another name. The last row: given where nothing of the kind is, badly placed and doubled ones among them."
    )
    html = figure(drawing, said)
    return f'<div class="pair">{html}</div>' if len(names) <= BESIDE_UP_TO else html


def _curves(scores: DetectionScores) -> str:
    """Precision over recall of the classes with most objects."""
    there = sorted((name for name, one in scores.curves.items() if one.asked), key=lambda name: -scores.curves[name].asked)
    if not there:
        return ""
    frame = plots.Frame("Precision over recall at IoU 0.5", "found, %", "right when given, %", (0, 1), (0, 1), percent=True)
    rows = [
        plots.Line(name if len(name) <= 12 else name[:11] + "…", list(zip(RECALLS, scores.curves[name].precision, strict=True)))
        for name in there[:LINES]
    ]
    more = f" The {LINES} classes with most objects." if len(there) > LINES else ""
    said = (
        "Each point is a score from which objects are given: further right more of them are found, further down more of what "
        f"is given is wrong. The area under a line is the class's AP@.5.{more}"
    )
    html = figure(plots.lines(frame, rows, [0, 0.25, 0.5, 0.75, 1]), said)
    cuts = [
        (words(name, 60), cell(f"{one.threshold:.2f}", one.threshold), percent(one.recall.value), percent(one.precision.value))
        for name, one in list(scores.classes.items())[:LONG_TABLE]
        if one.support
    ]
    heads = [("class", ""), ("given from score", "num"), ("found", "num"), ("right", "num")]
    note = '<p class="note">Other thresholds: sightline evaluate DATA --precision 0.95 chooses them for the share right.</p>'
    return f'<div class="pair">{html}<div>{table(heads, cuts, caption="Thresholds")}{note}</div></div>'


def _all(report: DetectionReport) -> str:
    """Every score with its interval."""
    heads = [("score", ""), ("value", "num"), ("95 % interval", "num")]
    rows = []
    for name, one in report.scores.overall.items():
        called, said = SCORE_WORDS.get(name, (name, ""))
        span = f"{percent(one.low)} to {percent(one.high)}"
        rows.append([f"{words(called)}<br><small>{words(said)}</small>", percent(one.value), span])
    note = "Intervals by resampling whole pictures. Averages are those of COCO's own evaluation; of each class and picture the "
    html = table(heads, rows, caption="All scores", kind="spaced")
    return html + f'<p class="note">{note}{report.scores.matches.most} surest objects count.</p>'
