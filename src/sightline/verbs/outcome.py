"""What a model did on labelled pictures: its answers beside the truth, told by scores, leaks and a report.

No verb itself: the part of the stories of train and evaluate that is the same.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline import progress
from sightline.data.targets import targets
from sightline.errors import DatasetError, SightlineError
from sightline.measure.calibration import reliability
from sightline.measure.report import page
from sightline.measure.report_data import Mistake, Pair, ReportData
from sightline.measure.scores import Scores, classification_scores
from sightline.runtime.model import Model
from sightline.types import Card, Failure, Finding, Item

if TYPE_CHECKING:
    from sightline.data.survey import Survey
    from sightline.runtime.bundle import Bundle

MISTAKES = 24  # pictures shown in a report


@dataclass(frozen=True, slots=True)
class Answered:
    """A model's scores for labelled pictures: truth int64 (n,) or 0/1 (n, c), probabilities (n, c), novelty (n,)."""

    items: tuple[Item, ...]
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    novelty: NDArray[np.float32]
    failures: tuple[Failure, ...] = ()


def answer(model: Model, items: Sequence[Item]) -> Answered:
    """Run the model over every picture; those that cannot be read are listed in `failures`."""
    kept: list[Item] = []
    probabilities: list[NDArray[np.float32]] = []
    novelty: list[float] = []
    failures: list[Failure] = []
    answers = model.answer_files([item.uri for item in items])
    for item, given in progress.track(zip(items, answers, strict=True), "Testing", len(items)):
        if isinstance(given, Failure):
            failures.append(given.model_copy(update={"picture": item.name}))
            continue
        kept.append(item)
        probabilities.append(given.probabilities[0])
        novelty.append(float(given.novelty[0]))
    if not kept:
        raise DatasetError(f"none of the {len(items)} pictures can be read", hint=failures[0].error.message if failures else "")
    card = model.card
    truth = targets(kept, card.classes, card.task)
    return Answered(tuple(kept), truth, np.stack(probabilities), np.array(novelty, np.float32), tuple(failures))


def scores_of(truth: NDArray[np.int64], probabilities: NDArray[np.float32], card: Card, seed: int = 0) -> Scores:
    """The scores of answers, with the thresholds of the model's passport."""
    thresholds = [card.thresholds.get(name, 0.5) for name in card.classes] if card.task == "multilabel" else None
    return classification_scores(
        truth, probabilities, card.task, card.classes, seed, positive=card.positive, thresholds=thresholds
    )


def check_labels(items: Iterable[Item], card: Card) -> None:
    """Refuse pictures with labels that the model does not know: DatasetError names the first and the nearest."""
    foreign = sorted({label for item in items for label in item.labels} - set(card.classes))
    if foreign:
        near = difflib.get_close_matches(foreign[0], card.classes, 1)
        hint = f"did you mean {near[0]}?" if near else "the model knows: " + ", ".join(card.classes[:12])
        raise DatasetError(f"the model does not know the label {foreign[0]!r} ({len(foreign)} such labels)", hint=hint)


def unknown_rate(answered: Answered, card: Card) -> float:
    """Share of the pictures flagged as unlike the training set."""
    return float((answered.novelty > card.unknown.threshold).mean()) if card.unknown else 0.0


def seen_before(bundle: Bundle, seen: Survey, items: Sequence[Item]) -> tuple[Finding, ...]:
    """One finding for the pictures of a test that look like ones the model was trained on."""
    from sightline.data.fingerprints import shared, unpack
    from sightline.runtime.bundle import FINGERPRINTS

    known = unpack(bundle.files.get(FINGERPRINTS, b""))
    found = np.unique(shared(known, (seen.hashes, seen.miniatures))[:, 1])
    if not len(found):
        return ()
    names = tuple(items[int(row)].name for row in found)
    return (
        Finding(
            kind="leak",
            items=names,
            message=f"{len(names)} of these {len(items)} pictures look like pictures the model was trained on: {names[0]}"
            + (", ..." if len(names) > 1 else ""),
            fix="the scores are better than the truth: test on pictures the model has not seen",
            score=len(names) / len(items),
        ),
    )


def mistakes(answered: Answered, card: Card, most: int = MISTAKES) -> tuple[Mistake, ...]:
    """The most confident wrong answers, with small pictures."""
    classes, probabilities = np.array(card.classes), answered.probabilities
    cuts = np.array([card.thresholds.get(name, 0.5) for name in card.classes])
    best = probabilities.argmax(axis=1)
    if card.task == "multilabel":
        wrong = (probabilities >= cuts) != (answered.truth == 1)
        surprise = np.where(wrong, np.abs(probabilities - answered.truth), 0).max(axis=1)
    else:
        surprise = np.where(best != answered.truth, probabilities.max(axis=1), 0)
    found = []
    for row in np.argsort(-surprise, kind="stable")[:most]:
        if surprise[row] <= 0:
            break
        item = answered.items[row]
        small = _thumbnail(item)
        if card.task == "multilabel":
            answer = " | ".join(classes[probabilities[row] >= cuts]) or "none"
            truth, score = " | ".join(item.labels) or "none", float(surprise[row])
        else:
            answer, truth, score = str(classes[best[row]]), item.labels[0], float(surprise[row])
        if small is not None:
            found.append(Mistake(picture=small, name=item.name, truth=truth, answer=answer, score=score))
    return tuple(found)


def pairs(findings: Iterable[Finding], items: Sequence[Item], most: int = 12) -> tuple[Pair, ...]:
    """The leaks of a health check as pairs of small pictures, one of each side."""
    by_name = {item.name: item for item in items}
    found: list[Pair] = []
    for finding in findings:
        if finding.kind != "leak" or len(finding.items) != 2 or len(found) >= most:
            continue
        left, right = (by_name.get(name) for name in finding.items)
        small = [_thumbnail(item) if item else None for item in (left, right)]
        if left and right and small[0] and small[1]:
            note = f"{left.split}: {' | '.join(left.labels)}, {right.split}: {' | '.join(right.labels)}"
            found.append(Pair(left=small[0], left_name=left.name, right=small[1], right_name=right.name, note=note))
    return tuple(found)


def _thumbnail(item: Item) -> bytes | None:
    from sightline.measure.thumbnails import SIDE, thumbnail
    from sightline.runtime.clips import is_video, middle
    from sightline.runtime.pixels import decode, read_picture

    path = Path(item.uri)
    try:
        if is_video(path) or path.is_dir():
            return thumbnail(middle(path))
        return thumbnail(decode(read_picture(path), shorter=SIDE))
    except SightlineError:
        return None


def report_page(story: ReportData, answered: Answered, card: Card) -> str:
    """The report as one HTML page, completed with the mistakes and the reliability of the answers."""
    return page(
        replace(
            story,
            card=card,
            mistakes=mistakes(answered, card),
            reliability=reliability(answered.truth, answered.probabilities, card.task),
        )
    )
