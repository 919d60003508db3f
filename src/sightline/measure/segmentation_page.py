"""The report of a segmenter: how much of each class is painted right, with pictures. Values in, one HTML page out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sightline.measure import background, plots
from sightline.measure.markup import bullets, cell, count, interval, of_hundred, picture, table, tail, words
from sightline.measure.report import Section, page
from sightline.measure.report_data import ReportData
from sightline.measure.segmentation import SegmentationScores

SIDE = 320  # pixels of a picture on the page


@dataclass(frozen=True, slots=True)
class Painted:
    """A picture as it was painted, beside the truth; a small JPEG."""

    picture: bytes
    name: str
    caption: str


def segmentation_page(story: ReportData, scores: SegmentationScores, views: Sequence[Painted]) -> str:
    """The whole page as text."""
    sections: list[Section] = [
        ("short", "In short", lambda _: _short(story, scores)),
        ("classes", "Class by class", lambda _: _classes(scores)),
        ("views", "What it paints", lambda _: _views(views)),
        ("learning", "How it learned", background.learning),
        ("health", "Health of the data", background.health),
        ("passport", "How the model was made", background.passport),
    ]
    return page(story, sections)


def _short(story: ReportData, scores: SegmentationScores) -> str:
    main, right = scores.overall["miou"], scores.overall["pixels"]
    big = f"Mean IoU <strong>{of_hundred(main.value)}</strong> of 100; of 100 pixels "
    big += f"<strong>{of_hundred(right.value)}</strong> are named right"
    tested = words(story.tested_on or count(scores.n, "picture", "pictures"))
    sure = f"95 % sure: {interval(main)} mean IoU, {interval(right)} of the pixels. Measured on {tested}, none of which the "
    note = "IoU: of the pixels that are a class or are given to it, those that are both. The mean is over all classes and the "
    return (
        f'<div class="hero"><p class="big">{big}</p><p class="sure">{sure}training has seen.</p>'
        f'<p class="note">{note}background.</p></div>' + bullets(story.diagnosis)
    )


def _classes(scores: SegmentationScores) -> str:
    rows = []
    for name, one in sorted(scores.classes.items(), key=lambda pair: pair[1].iou.value if pair[1].iou else 2.0):
        if one.iou is None:
            rows.append((words(name, 60), cell("0", 0), "not in the test", "", ""))
            continue
        grade = "good" if one.iou.value >= 0.8 else "fair" if one.iou.value >= 0.6 else "poor"
        bar = plots.bar(one.iou.value, one.iou.low, one.iou.high, kind=grade)
        shown = cell(f"{bar}<small>{of_hundred(one.iou.value)} ({interval(one.iou)})</small>", one.iou.value)
        found, given = cell(of_hundred(one.recall), one.recall), cell(of_hundred(one.precision), one.precision)
        rows.append((words(name, 60), cell(f"{one.pictures:,}", one.pictures), shown, found, given))
    heads = [("class", ""), ("pictures", "num"), ("IoU, of 100", "wide"), ("found, of 100", "num")]
    heads += [("right when given, of 100", "num")]
    note = "Weakest class first. Found and right when given are shares of pixels."
    return f'<p class="note">{note}</p>' + table(heads, rows, caption="Scores of each class", kind="sortable")


def _views(views: Sequence[Painted]) -> str:
    if not views:
        return ""
    cards = [
        f"<li>{picture(one.picture, f'{one.name}: {one.caption}', SIDE)}<p>{words(one.caption)}</p>"
        f"<p class='name' title='{words(one.name)}'>{words(tail(one.name))}</p></li>"
        for one in views
    ]
    note = "On the left the truth, on the right the answer. The pictures with most pixels wrong first."
    return f'<p class="note">{note}</p><ul class="gallery scenes">{"".join(cards)}</ul>'
