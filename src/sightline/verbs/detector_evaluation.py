"""evaluate of a detector: its scores on pictures with boxes that it has not seen, a report, and what people read first.

No verb itself: `evaluate` asks it. verbs/sighted.py looks at the pictures.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sightline.errors import DatasetError
from sightline.measure.report_data import ReportData
from sightline.runtime.detector import Detector
from sightline.types import Card, Dataset, Failure, Item
from sightline.verbs import sighted as seeing

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sightline.runtime.bundle import Bundle
    from sightline.verbs.evaluation import Evaluation


def evaluated(data: Path, bundle: Bundle, report: Path | None, *, seed: int = 0, precision: float | None = None) -> Evaluation:
    """Measure a detector on pictures with boxes that it has not seen."""
    from sightline.data.classes import whole_pictures
    from sightline.data.health import check as health
    from sightline.data.survey import survey
    from sightline.files import write_text
    from sightline.verbs import outcome, resolve
    from sightline.verbs.evaluation import WORTH_SAYING, Evaluation

    dataset = seeing.usable(resolve.dataset(data))
    tested = dataset.model_copy(update={"items": tested_items(dataset, bundle.card)})
    seen = survey(tested)
    leaks = outcome.seen_before(bundle, seen, tested.items)
    findings = (*leaks, *(one for one in health(whole_pictures(tested), seen) if one.kind in WORTH_SAYING))
    sought = seeing.seek(Detector(bundle.card, bundle.onnx), tested.items)
    scores = sought.scores(bundle.card.classes, thresholds=bundle.card.thresholds, precision=precision, seed=seed)
    advice = (*(finding.message for finding in leaks), *seeing.said(scores, bundle.card))
    failures: tuple[Failure, ...] = (*dataset.failures, *sought.failures)
    story = ReportData(
        title=f"{bundle.card.name} on {dataset.name}",
        card=bundle.card,
        tested_on=f"{len(sought.items)} pictures of {dataset.name}",
        diagnosis=advice,
        findings=findings,
        failures=failures,
    )
    folder = report or (bundle.path.parent / f"{bundle.path.stem}-evaluations" / f"{dataset.name}-{dataset.hash[:8]}")
    page = folder / "report.html"
    write_text(page, seeing.report_page(story, sought, scores, bundle.card))
    return Evaluation(
        scores=dict(scores.overall),
        classes=dict(scores.classes),
        report=str(page),
        model=str(bundle.path),
        pictures=len(sought.items),
        unknown_rate=0.0,
        errors=dict(scores.errors),
        count_error=scores.count_error,
        advice=advice,
        findings=findings,
        failures=failures,
    )


def tested_items(dataset: Dataset, card: Card) -> tuple[Item, ...]:
    """The pictures to test on: the data's own test part, else val, else all; DatasetError where they have no places."""
    from sightline.verbs import outcome

    if dataset.task != "detection":
        raise DatasetError(
            "a detector is measured on boxes, and these data have none",
            hint="give a folder with Pascal VOC, COCO or YOLO labels",
        )
    items = dataset.part("test") or dataset.part("val") or dataset.items
    outcome.check_labels(items, card)
    return items


def show_classes(result: Evaluation) -> list[RenderableType]:
    """A row for each class, weakest first, then the kinds of error."""
    from rich.table import Table
    from rich.text import Text

    from sightline.measure.detection import ClassDetection
    from sightline.verbs.wording import score_text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("class")
    for heading in ("objects", "AP@.5", "found", "right", "from score", "miscounted"):
        table.add_column(heading, justify="right")
    each = [(name, one) for name, one in result.classes.items() if isinstance(one, ClassDetection)]
    halves = {name: one.average_precision_50 for name, one in each}
    for name, one in sorted(each, key=lambda pair: half.value if (half := halves[pair[0]]) else 2.0)[:30]:
        half = halves[name]
        row = [score_text("map50", half) if half else "-"]
        row += [score_text("recall", one.recall), score_text("precision", one.precision)]
        table.add_row(
            Text(name), str(one.support), *row, f"{one.threshold:.2f}", f"{one.count_error:.1f} ({one.count_bias:+.1f})"
        )
    errors = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("error", "times", "mAP@.5 without it"):
        errors.add_column(heading, justify="left" if heading == "error" else "right")
    for name, fault in sorted(result.errors.items(), key=lambda pair: -pair[1].gain):
        errors.add_row(name, str(fault.count), f"+{100 * fault.gain:.1f}")
    return [table, Text(), errors]
