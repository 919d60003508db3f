"""evaluate: measure a model on labelled pictures it has not seen, and write a report that people can read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sightline.errors import DatasetError
from sightline.measure.scores import ClassScores
from sightline.types import Dataset, Finding, Item
from sightline.verbs.evaluation import WORTH_SAYING, Evaluation

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sightline.types import Card


def evaluate(
    data: Path,
    /,
    *,
    model: str | None = None,
    report: Path | None = None,
    seed: int = 0,
    precision: float | None = None,
) -> Evaluation:
    """Measure a model on labelled pictures it has not seen.

    Args:
        data: Labelled pictures: class folders, a folder with a CSV, a zip or tar, or the name or hash of a dataset in the
            workspace. Of given splits the test part is used.
        model: A model's folder, zip or name; by default the one trained last.
        report: Folder for report.html; by default next to the model, in evaluations/.
        seed: Of the bootstrap that makes the intervals.
        precision: For a detector: give each class from the score where this share is right, such as 0.95, and say which that is
            and how much is found there; by default the model's own thresholds.
    """
    from sightline.data.health import check
    from sightline.data.survey import survey
    from sightline.files import write_text
    from sightline.measure.learning import diagnose
    from sightline.measure.report_data import ReportData
    from sightline.runtime.bundle import read_bundle
    from sightline.runtime.model import Model
    from sightline.verbs import clip_training, detecting, outcome, resolve

    bundle = read_bundle(resolve.model(model))
    if bundle.card.task == "segmentation":
        from sightline.verbs.segmenting import evaluated as painted

        detecting.check({"precision": precision}, False)
        return painted(Path(data), bundle, report, seed=seed)
    finds = bundle.card.task == "detection"
    detecting.check({"precision": precision}, None if finds else False)
    if finds:
        from sightline.verbs.detector_evaluation import evaluated

        return evaluated(Path(data), bundle, report, seed=seed, precision=precision)
    recogniser = Model(bundle.card, bundle.onnx)
    clips = bool(recogniser.card.input.frames)
    dataset = clip_training.tested(data) if clips else resolve.dataset(data)
    tested = dataset.model_copy(update={"items": _tested(dataset, recogniser.card)})
    leaks: tuple[Finding, ...] = ()
    findings: tuple[Finding, ...] = ()
    if not clips:  # what is known of the looks of pictures says nothing about clips
        seen = survey(tested)
        leaks = outcome.seen_before(bundle, seen, tested.items)
        findings = (*leaks, *(one for one in check(tested, seen) if one.kind in WORTH_SAYING))
    answered = outcome.answer(recogniser, tested.items)
    scores = outcome.scores_of(answered.truth, answered.probabilities, recogniser.card, seed)
    train_counts = recogniser.card.dataset.get("train_pictures")
    advice = diagnose(None, scores.overall, None, scores.classes, pictures=train_counts)
    story = ReportData(
        title=f"{recogniser.card.name} on {dataset.name}",
        scores=scores,
        tested_on=f"{len(answered.items)} pictures of {dataset.name}",
        diagnosis=(*(finding.message for finding in leaks), *advice),
        findings=findings,
        failures=answered.failures,
    )
    folder = report or (bundle.path.parent / f"{bundle.path.stem}-evaluations" / f"{dataset.name}-{dataset.hash[:8]}")
    page = folder / "report.html"
    write_text(page, outcome.report_page(story, answered, recogniser.card))
    return Evaluation(
        scores=dict(scores.overall),
        classes=dict(scores.classes),
        report=str(page),
        model=str(bundle.path),
        pictures=len(answered.items),
        unknown_rate=outcome.unknown_rate(answered, recogniser.card),
        advice=story.diagnosis,
        findings=findings,
        failures=(*dataset.failures, *answered.failures),
    )


def _tested(dataset: Dataset, card: Card) -> tuple[Item, ...]:
    """The pictures to test on: the data's own test part, else val, else all; their labels must be the model's."""
    from sightline.verbs import outcome

    items = dataset.part("test") or dataset.part("val") or dataset.items
    outcome.check_labels(items, card)
    if card.task != "multilabel":
        items = tuple(item for item in items if len(item.labels) == 1)
    if not items:
        raise DatasetError("no picture has a label the model could be measured on", hint="put pictures into class folders")
    return items


def show(result: Evaluation) -> RenderableType:
    """The number that matters first, then each class, then what to look at."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from sightline.verbs.wording import headline, score_text

    if "map50" in result.scores or "miou" in result.scores:
        return _objects(result)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("class")
    for heading in ("pictures", "recall", "precision", "F1"):
        table.add_column(heading, justify="right")
    each = [(name, one) for name, one in result.classes.items() if isinstance(one, ClassScores)]
    weakest = sorted(each, key=lambda pair: pair[1].f1.value)
    for name, one in weakest[:30]:
        table.add_row(
            Text(name),
            str(one.support),
            score_text("recall", one.recall),
            score_text("precision", one.precision),
            f"{one.f1.value:.1%}",
        )
    rows: list[RenderableType] = [Text(headline(result.scores), style="bold"), Text()]
    others = [f"{name} {score_text(name, score)}" for name, score in result.scores.items() if name not in ("top1", "map")]
    rows += [
        Text("  ".join(others), style="dim"),
        Text(),
        Text(f"weakest classes first{_more(len(weakest), 30)}"),
        table,
        Text(),
    ]
    return Group(*rows, *_end(result))


def _end(result: Evaluation) -> list[RenderableType]:
    from rich.text import Text

    rows: list[RenderableType] = [Text(f"- {line}") for line in result.advice]
    if result.failures:
        rows.append(Text(f"{len(result.failures)} pictures could not be used, the first: {result.failures[0].picture}: "
                         f"{result.failures[0].error.message}", style="yellow"))  # fmt: skip
    return [*rows, Text(f"report  {result.report}")]


def _objects(result: Evaluation) -> RenderableType:
    """The same of a detector."""
    from rich.console import Group
    from rich.text import Text

    from sightline.verbs import detector_evaluation, segmenting
    from sightline.verbs.wording import headline, score_text

    rows = (segmenting if "miou" in result.scores else detector_evaluation).show_classes(result)

    others = [f"{name} {score_text(name, score)}" for name, score in result.scores.items() if name.startswith("map")]
    first = [Text(headline(result.scores, "pictures"), style="bold"), Text(), Text("  ".join(others), style="dim"), Text()]
    return Group(*first, *rows, Text(), *_end(result))


def _more(count: int, shown: int) -> str:
    return f" (the first {shown} of {count})" if count > shown else ""
