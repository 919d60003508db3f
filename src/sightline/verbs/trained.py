"""What a training leaves: the exported file measured on unseen pictures, bundle and report written together, or neither.

No verb itself: `train` stores one model this way, a comparison each of its candidates. Knows not how they were trained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import Field

from sightline import __version__
from sightline.measure.searched import Search
from sightline.measure.standings import CrossValidation, Leaderboard
from sightline.measure.trials import Tuning
from sightline.types import Card, Dataset, Failure, Finding, Item, Record, Score, Split, Task, Way

if TYPE_CHECKING:
    from sightline.data.survey import Survey
    from sightline.learn.finish import Trained
    from sightline.measure.report_data import Sight
    from sightline.verbs.outcome import Answered


SIGHTS = 6  # pictures of a report that show what a classic recogniser looks at


class TrainResult(Record):
    """What a training made, and how good it is on pictures it has not seen."""

    model: str
    way: Way
    weights: str = Field(description="where the network's starting weights came from: a file, hub:NAME, none")
    seconds: float
    scores: dict[str, Score]
    dataset: str = Field(description="the first digits of the hash of what it was trained on, split included")
    scored_on: Split
    report: str
    task: Task
    classes: tuple[str, ...]
    backbone: str
    why: str
    baselines: dict[str, Score]
    false_unknown_rate: float | None = Field(default=None, description="share of known pictures flagged unknown by mistake")
    advice: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    failures: tuple[Failure, ...] = ()
    cross_validation: CrossValidation | None = Field(default=None, description="with --folds: what `scores` are then about")
    search: Search | None = Field(default=None, description="with --search: every training, the best of each strategy")
    tuning: Tuning | None = Field(default=None, description="with --tune: every trial, the best and the default")
    leaderboard: Leaderboard | None = Field(default=None, description="with --compare or --effort: every candidate")


@dataclass(frozen=True, slots=True)
class Validated:
    """Answers of a cross-validation: each picture by a model that has not seen it, and what that says."""

    answered: Answered
    summary: CrossValidation


def store(
    target: Path,
    dataset: Dataset,
    seen: Survey,
    trained: Trained,
    findings: tuple[Finding, ...],
    *,
    replace: bool,
    validated: Validated | None = None,
    about: str = "",
) -> tuple[TrainResult, Answered]:
    """Measure the exported file on unseen pictures, write bundle and report together, or neither; with the answers.

    With `validated` the scores and the report are about the cross-validation's answers. `about`: what the scores are about,
    in one sentence, for report and passport.
    """
    from sightline.measure.learning import diagnose, learning_curve
    from sightline.measure.report_data import ReportData
    from sightline.runtime.model import Model
    from sightline.verbs import outcome

    card = card_of(target.name, dataset, trained)
    scored_on: Split = "test" if dataset.part("test") else "val"
    tested_on = f"{'test' if scored_on == 'test' else 'validation'} pictures"
    about = validated.summary.about if validated else about
    if about:
        card = card.model_copy(update={"limits": (about, *card.limits)})
    if validated:
        answered = validated.answered
        tested_on = f"pictures, each by one of {len(validated.summary.folds)} models that has not seen it"
    else:
        answered = outcome.answer(Model(card, trained.onnx), dataset.part(scored_on))
    scores = outcome.scores_of(answered.truth, answered.probabilities, card, trained.recipe.seed)
    known_scores = outcome.scores_of(trained.train.truth, trained.train.probabilities, card, trained.recipe.seed).overall
    curve = learning_curve(trained.curve) if len(trained.curve) > 1 else None
    counts = card.dataset["train_pictures"]
    advice = tuple(diagnose(known_scores, scores.overall, curve, scores.classes, pictures=counts))
    card = card.model_copy(update={"scores": dict(scores.overall)})
    story = ReportData(
        title=f"{target.name}, {trained.recipe.size}",
        scores=scores,
        tested_on=f"{len(answered.items)} {tested_on}",
        train_scores=known_scores,
        history=trained.history,
        baselines=trained.baselines,
        curve=curve,
        diagnosis=(*((about,) if about else ()), *advice),
        findings=findings,
        pairs=outcome.pairs(findings, dataset.items),
        failures=answered.failures,
        sights=_sights(card, answered.items) + _learned(trained),
        created=card.created,
    )
    page = outcome.report_page(story, answered, card)
    write(target, card, trained, dataset=dataset, seen=seen, page=page, replace=replace)
    result = result_of(target, card, dataset, scored_on=scored_on, findings=findings, advice=advice)
    more = {
        "false_unknown_rate": card.unknown.false_alarm_rate if card.unknown else None,
        "cross_validation": validated.summary if validated else None,
    }
    return result.model_copy(update=more), answered


class Exported(Protocol):
    """What every way of training ends as."""

    @property
    def onnx(self) -> bytes: ...
    @property
    def weights(self) -> bytes | None: ...
    @property
    def parts(self) -> Mapping[str, bytes]: ...


def write(target: Path, card: Card, trained: Exported, *, dataset: Dataset, seen: Survey, page: str, replace: bool) -> None:
    """Bundle and report together, or neither; with the looks of the training pictures, by which leaks are known later."""
    from sightline.data.fingerprints import pack
    from sightline.runtime.bundle import FINGERPRINTS, ONNX, WEIGHTS, write_bundle

    known = seen.aligned(dataset.model_copy(update={"items": dataset.part("train")}))
    contents = {ONNX: trained.onnx, FINGERPRINTS: pack(known.hashes, known.miniatures), **trained.parts}
    if trained.weights is not None:
        contents[WEIGHTS] = trained.weights
    if target.is_dir() and not any(target.iterdir()):
        target.rmdir()  # an empty folder made by the user is as good as none
    write_bundle(target, card, contents, beside={"report.html": page.encode()}, replace=replace)


def result_of(
    target: Path,
    card: Card,
    dataset: Dataset,
    *,
    scored_on: Split,
    findings: tuple[Finding, ...],
    advice: tuple[str, ...],
) -> TrainResult:
    """What is told of a model that was written; whoever asked for it knows how long it took."""
    return TrainResult(
        model=str(target),
        way=card.recipe.way,
        weights=card.recipe.weights,
        seconds=0.0,
        scores=card.scores,
        dataset=dataset.hash[:12],
        scored_on=scored_on,
        report=str(target / "report.html"),
        task=card.task,
        classes=card.classes,
        backbone=card.recipe.backbone,
        why=card.recipe.why,
        baselines=card.baselines,
        advice=advice,
        findings=findings,
        failures=dataset.failures,
    )


def _sights(card: Card, items: Sequence[Item]) -> tuple[Sight, ...]:
    """What a classic recogniser looks at, drawn on a few of the pictures: of every class one first."""
    if card.recipe.way != "classic":
        return ()
    from sightline.errors import SightlineError
    from sightline.learn.classic.drawings import SIDE, draw
    from sightline.measure.report_data import Sight
    from sightline.measure.thumbnails import thumbnail
    from sightline.runtime.pixels import prepare, read_picture

    one_each = {item.labels[:1]: item for item in reversed(items)}
    shown = {item.uri: item for item in (*one_each.values(), *items)}
    found = []
    for item in list(shown.values())[:SIGHTS]:
        try:
            drawn, caption = draw(str(card.recipe.values["features"]), prepare(read_picture(Path(item.uri)), card.input))
        except SightlineError:
            continue
        found.append(Sight(picture=thumbnail(drawn, SIDE), name=item.name, caption=caption))
    return tuple(found)


def _learned(trained: Trained) -> tuple[Sight, ...]:
    """What layers have learned without labels."""
    from sightline.measure.report_data import Sight
    from sightline.measure.thumbnails import thumbnail

    return tuple(
        Sight(picture=thumbnail(one.pixels, len(one.pixels)), name=one.name, caption=one.caption) for one in trained.drawings
    )


_LIMITS = (
    "Tested only on pictures like those it was trained on: another place's light, camera or background can change the scores.",
    "'unknown' means another kind of picture, not a new class of the same kind.",
    "Not tested against people who try to deceive it.",
)


def card_of(name: str, dataset: Dataset, trained: Trained) -> Card:
    """The passport; hashes and scores are filled in when they are known."""
    parts: tuple[Split, ...] = ("train", "val", "test")
    counts = {part: len(dataset.part(part)) for part in parts}
    pictures = Counter(label for item in dataset.part("train") for label in item.labels)
    return Card(
        id="",
        name=name,
        task=dataset.task,
        classes=dataset.classes,
        positive=dataset.positive,
        input=trained.input,
        thresholds=trained.thresholds,
        temperature=trained.temperature,
        unsure_below=trained.unsure_below,
        unknown=trained.unknown,
        recipe=trained.recipe,
        dataset={"name": dataset.name, "hash": dataset.hash, "pictures": counts, "train_pictures": dict(pictures)},
        baselines=trained.baselines,
        parity=trained.parity,
        limits=_LIMITS,
        sightline=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
