"""What one model answers on labelled pictures, kept so that another's answers can stand beside it: whole pictures or objects.

No verb itself: `compress` compares a model with smaller ones this way. Knows no reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sightline.errors import UsageError
from sightline.types import Card, Item, Score

if TYPE_CHECKING:
    from sightline.verbs.outcome import Answered
    from sightline.verbs.sighted import Sighted

TASKS = ("binary", "multiclass", "multilabel", "detection")
SAME = 0.5  # overlap from which two objects are the same one


@dataclass(frozen=True, slots=True)
class Examined:
    """Answers for pictures and what they are worth. by_class: recall, of objects AP@.5."""

    card: Card
    scores: dict[str, Score]
    by_class: dict[str, float]
    answers: Answered | Sighted


class Beside(NamedTuple):
    """Another model beside the one before it, on the same pictures."""

    drop: Score  # main score before minus after, paired
    agreement: float  # share of pictures with the same top label or decisions; objects: of those given before, given again
    largest_difference: float  # of any probability; objects: of the score of one that is given again


def check(card: Card) -> None:
    """UsageError for a model that answers neither pictures nor objects."""
    if card.task in TASKS and not card.input.frames and card.recipe.way != "classic":
        return
    what = "for clips" if card.input.frames else "a classic recogniser" if card.recipe.way == "classic" else f"for {card.task}"
    raise UsageError(
        f"the model {card.name} is {what}: networks that recognise whole pictures or find objects can be made smaller",
        hint="train a smaller one: `sightline train DATA --size tiny`",
    )


def examine(card: Card, onnx: bytes, items: Sequence[Item], seed: int = 0) -> Examined:
    """Let the exported file answer all pictures. DatasetError where none can be read."""
    if card.task == "detection":
        from sightline.runtime.detector import Detector
        from sightline.verbs import sighted

        found = sighted.seek(Detector(card, onnx), items)
        objects = found.scores(card.classes, thresholds=card.thresholds, seed=seed)
        precise = {name: one.average_precision_50 for name, one in objects.classes.items()}
        return Examined(card, dict(objects.overall), {name: one.value for name, one in precise.items() if one}, found)
    from sightline.runtime.model import Model
    from sightline.verbs import outcome

    answered = outcome.answer(Model(card, onnx), items)
    scores = outcome.scores_of(answered.truth, answered.probabilities, card, seed)
    return Examined(card, dict(scores.overall), {name: one.recall.value for name, one in scores.classes.items()}, answered)


def beside(before: Examined, after: Examined, seed: int = 0) -> Beside:
    """How the answers differ: both are of the same pictures in the same order."""
    from sightline.verbs.outcome import Answered
    from sightline.verbs.sighted import Sighted

    old, new = before.answers, after.answers
    if isinstance(old, Sighted) and isinstance(new, Sighted):
        return _objects(before.card, old, new, seed)
    if isinstance(old, Answered) and isinstance(new, Answered):
        return _pictures(before.card, old, new, seed)
    raise UsageError("a detector and a recogniser of whole pictures cannot be compared")


def _pictures(card: Card, old: Answered, new: Answered, seed: int) -> Beside:
    from sightline.measure.leaderboard import behind

    if card.task == "multilabel":
        cuts = np.array([card.thresholds.get(name, 0.5) for name in card.classes])
        same = ((old.probabilities >= cuts) == (new.probabilities >= cuts)).all(axis=1)
    else:
        same = old.probabilities.argmax(axis=1) == new.probabilities.argmax(axis=1)
    drop = behind(old.truth, old.probabilities, new.probabilities, card.task, seed)
    return Beside(drop, float(same.mean()), float(np.abs(old.probabilities - new.probabilities).max()))


def _objects(card: Card, old: Sighted, new: Sighted, seed: int) -> Beside:
    from sightline.runtime.geometry import iou
    from sightline.verbs.sighted import behind, packed

    cuts = np.array([card.thresholds.get(name, 0.5) for name in card.classes], np.float32)
    given, again, largest = 0, 0, 0.0
    for mine, its in zip(old.found, new.found, strict=True):
        sure = mine.scores >= cuts[mine.labels]
        overlap = iou(mine.boxes[sure], its.boxes) * (mine.labels[sure][:, None] == its.labels[None, :])
        given += int(sure.sum())
        if not overlap.size:
            continue
        best = overlap.argmax(axis=1)
        there = (overlap.max(axis=1) >= SAME) & (its.scores[best] >= cuts[its.labels[best]])
        again += int(there.sum())
        if there.any():
            largest = max(largest, float(np.abs(mine.scores[sure][there] - its.scores[best[there]]).max()))
    drop = behind(old.items, card.classes, packed(old), packed(new), seed)
    return Beside(drop, again / given if given else 1.0, largest)
