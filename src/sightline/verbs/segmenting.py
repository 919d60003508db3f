"""train and evaluate where every pixel gets a class: the painted pictures measured, the bundle and the report written.

No verb itself. learn/detect/segment_way.py trains; what is the same for detectors is verbs/detecting.py's.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline import progress
from sightline.errors import DatasetError, SightlineError
from sightline.measure.report_data import ReportData
from sightline.measure.segmentation import IGNORED, SegmentationScores, advice, segmentation_scores, table_of, truth_field
from sightline.measure.segmentation_page import SIDE, Painted, segmentation_page
from sightline.runtime.segmenter import Segmenter
from sightline.types import Dataset, Failure, Item, Split

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sightline.learn.detect.way import TrainedDetector
    from sightline.learn.fit import TrainRequest
    from sightline.runtime.bundle import Bundle
    from sightline.verbs.evaluation import Evaluation
    from sightline.verbs.material import Work
    from sightline.verbs.trained import TrainResult

VIEWS = 12  # pictures of a report


@dataclass(frozen=True, slots=True)
class Tested:
    """Pictures that were painted, with how many pixels of what were given as what."""

    items: tuple[Item, ...]
    scores: SegmentationScores
    failures: tuple[Failure, ...]


def learn(dataset: Dataset, request: TrainRequest, run: Path) -> TrainedDetector:
    """Train one. Raises what learn.detect.segment_way.fit_segmenter raises."""
    from sightline.learn.detect.segment_way import fit_segmenter

    return fit_segmenter(dataset, request, run)


def paint(segmenter: Segmenter, items: Sequence[Item], seed: int = 0) -> Tested:
    """Paint every picture and compare it with its truth, pixel by pixel in its own size. DatasetError when none can be read."""
    classes = segmenter.card.classes
    kept: list[Item] = []
    tables: list[NDArray[np.int64]] = []
    failures: list[Failure] = []
    answers = segmenter.field_files([item.uri for item in items])
    for item, given in progress.track(zip(items, answers, strict=True), "Testing", len(items)):
        if isinstance(given, Failure):
            failures.append(given.model_copy(update={"picture": item.name}))
            continue
        truth = truth_field(item.truth, (given.classes.shape[1], given.classes.shape[0]), classes)
        kept.append(item)
        tables.append(table_of(truth, given.classes, len(classes)))
    if not kept:
        raise DatasetError(f"none of the {len(items)} pictures can be read", hint=failures[0].error.message if failures else "")
    return Tested(tuple(kept), segmentation_scores(tables, classes, seed), tuple(failures))


def store(target: Path, work: Work, trained: TrainedDetector, *, replace: bool) -> TrainResult:
    """Measure the exported file on unseen pictures, write bundle and report together, or neither."""
    from sightline.verbs import outcome
    from sightline.verbs.detecting import card_of
    from sightline.verbs.trained import result_of, write

    dataset = work.dataset
    scored_on: Split = "test" if dataset.part("test") else "val"
    card = card_of(target.name, dataset, trained).model_copy(update={"task": "segmentation", "limits": _LIMITS})
    segmenter = Segmenter(card, trained.onnx)
    done = paint(segmenter, dataset.part(scored_on), trained.recipe.seed)
    card = card.model_copy(update={"scores": dict(done.scores.overall)})
    said = advice(done.scores)
    story = ReportData(
        title=f"{target.name}, {trained.recipe.backbone}",
        card=card,
        tested_on=f"{len(done.items)} {'test' if scored_on == 'test' else 'validation'} pictures",
        history=trained.history,
        diagnosis=said,
        findings=work.findings,
        pairs=outcome.pairs(work.findings, dataset.items),
        failures=(*dataset.failures, *done.failures),
        created=card.created,
    )
    page = segmentation_page(story, done.scores, views(segmenter, done))
    write(target, card, trained, dataset=dataset, seen=work.seen, page=page, replace=replace)
    return result_of(target, card, dataset, scored_on=scored_on, findings=work.findings, advice=said)


_LIMITS = (
    "Tested only on pictures like those it was trained on: another place's light, camera or background can change the scores.",
    "It knows its classes and a background, nothing else; objects of one class that touch are painted as one.",
    "Not tested against people who try to deceive it.",
)


def evaluated(data: Path, bundle: Bundle, report: Path | None, *, seed: int = 0) -> Evaluation:
    """Measure a segmenter on pictures with outlines that it has not seen."""
    from sightline.data.health import check as health
    from sightline.data.survey import survey
    from sightline.files import write_text
    from sightline.verbs import outcome, resolve
    from sightline.verbs.detector_evaluation import tested_items
    from sightline.verbs.evaluation import WORTH_SAYING, Evaluation

    dataset = resolve.dataset(data)
    chosen = dataset.model_copy(update={"items": tested_items(dataset, bundle.card)})
    seen = survey(chosen)
    leaks = outcome.seen_before(bundle, seen, chosen.items)
    findings = (*leaks, *(one for one in health(chosen, seen) if one.kind in WORTH_SAYING))
    segmenter = Segmenter(bundle.card, bundle.onnx)
    done = paint(segmenter, chosen.items, seed)
    said = (*(finding.message for finding in leaks), *advice(done.scores))
    story = ReportData(
        title=f"{bundle.card.name} on {dataset.name}",
        card=bundle.card,
        tested_on=f"{len(done.items)} pictures of {dataset.name}",
        diagnosis=said,
        findings=findings,
        failures=(*dataset.failures, *done.failures),
    )
    folder = report or (bundle.path.parent / f"{bundle.path.stem}-evaluations" / f"{dataset.name}-{dataset.hash[:8]}")
    page = folder / "report.html"
    write_text(page, segmentation_page(story, done.scores, views(segmenter, done)))
    return Evaluation(
        scores=dict(done.scores.overall),
        classes=dict(done.scores.classes),
        report=str(page),
        model=str(bundle.path),
        pictures=len(done.items),
        unknown_rate=0.0,
        advice=said,
        findings=findings,
        failures=(*dataset.failures, *done.failures),
    )


def views(segmenter: Segmenter, done: Tested) -> tuple[Painted, ...]:
    """Truth and answer side by side, of the pictures with most pixels wrong first, then of ordinary ones."""
    wrong = [1 - float(np.trace(table)) / max(1, int(table.sum())) for table in done.scores.tables]
    order = np.argsort(wrong)[::-1]
    chosen = dict.fromkeys((*order[: VIEWS // 2].tolist(), *order[len(order) // 2 :][: VIEWS - VIEWS // 2].tolist()))
    found = []
    for row in chosen:
        drawing = _beside(segmenter, done.items[row])
        if drawing is not None:
            found.append(Painted(drawing, done.items[row].name, f"{100 * (1 - wrong[row]):.0f} of 100 pixels right"))
    return tuple(found)


def _beside(segmenter: Segmenter, item: Item) -> bytes | None:
    from PIL import Image

    from sightline.runtime.pixels import decode, read_picture

    try:
        pixels = decode(read_picture(Path(item.uri)))
        field = segmenter.field(pixels)
    except SightlineError:
        return None
    truth = truth_field(item.truth, (pixels.shape[1], pixels.shape[0]), segmenter.card.classes)
    both = np.concatenate([_coloured(pixels, truth), _coloured(pixels, field.classes)], axis=1)
    image = Image.fromarray(both)
    scale = 2 * SIDE / max(both.shape[:2])
    image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=80, optimize=True)
    return stream.getvalue()


def _coloured(pixels: NDArray[np.uint8], field: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Each class in its colour over the picture; what does not count in grey."""
    from sightline.runtime.drawing import colour_of

    mixed = pixels.astype(np.float32) * 0.5
    for number in np.unique(field):
        if number == 0:
            continue
        colour = (128, 128, 128) if number == IGNORED else colour_of(int(number) - 1)
        mixed[field == number] += np.asarray(colour, np.float32) * 0.5
    mixed[field == 0] = pixels[field == 0]
    return mixed.round().astype(np.uint8)


def show_classes(result: Evaluation) -> list[RenderableType]:
    """A row for each class, weakest first."""
    from rich.table import Table
    from rich.text import Text

    from sightline.measure.segmentation import ClassPixels
    from sightline.verbs.wording import score_text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("class")
    for heading in ("pictures", "IoU", "found", "right"):
        table.add_column(heading, justify="right")
    each = [(name, one) for name, one in result.classes.items() if isinstance(one, ClassPixels)]
    for name, one in sorted(each, key=lambda pair: pair[1].iou.value if pair[1].iou else 2.0)[:30]:
        iou = score_text("miou", one.iou) if one.iou else "-"
        table.add_row(Text(name), str(one.pictures), iou, f"{100 * one.recall:.1f} %", f"{100 * one.precision:.1f} %")
    return [table]
