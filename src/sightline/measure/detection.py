"""How good a detector is: average precision as the field reports it, and what people ask: found, right, counted, mistaken.

Annotations and arrays in, records out. Knows neither models nor files; detection_page.py shows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sightline.errors import DataError
from sightline.measure.bootstrap import proportion, resampled_sums, score
from sightline.measure.detection_coco import Standard, standard
from sightline.measure.detection_curves import Curve, Draws, best_threshold, curve, draws, threshold_for
from sightline.measure.detection_errors import RIGHT, Faults, confusion, counted, counting, faults, gains, kept
from sightline.measure.detection_matching import Bools, Floats, Matches, Places, matched
from sightline.types import Annotation, Record, Score

THRESHOLD = 0.25  # of a class that the test says nothing about


class ClassDetection(Record):
    """How one class fares at its threshold; `support` counts its objects. Average precision is about all scores."""

    support: int
    precision: Score
    recall: Score
    f1: Score
    average_precision: float | None = Field(default=None, description="mean over IoU 0.5 to 0.95, as COCO")
    average_precision_50: Score | None = Field(default=None, description="at IoU 0.5")
    threshold: float = Field(description="an object is given from this score")
    reached: bool = Field(default=True, description="whether a wanted precision is reached at the threshold")
    count_error: float = Field(description="mean absolute difference between counted and true objects of a picture")
    count_bias: float = Field(description="mean difference: above 0 it counts too many")


class Fault(Record):
    """How often one kind of error occurs at the thresholds, and how much mAP@.5 would gain without it."""

    count: int
    gain: float


@dataclass(frozen=True, slots=True, eq=False)
class DetectionScores:
    """The result of one test.

    `overall`: map50 (mAP@.5), map (mAP@[.5:.95]), map75, map_small, map_medium, map_large (where there are such objects);
    recall, precision and f1 at the thresholds. `errors` by kind; `confusion` (classes + 1, classes + 1).
    """

    n: int
    objects: int
    overall: Mapping[str, Score]
    classes: Mapping[str, ClassDetection]
    errors: Mapping[str, Fault]
    curves: Mapping[str, Curve] = field(repr=False)
    confusion: NDArray[np.int64] = field(repr=False)
    count_error: float
    matches: Matches = field(repr=False)
    faults: Faults = field(repr=False)
    shown: Bools = field(repr=False)  # (d,): given at the thresholds
    thresholds: Mapping[str, float]


def detection_scores(
    truth: Sequence[Sequence[Annotation]],
    found: Sequence[Places],
    classes: Sequence[str],
    *,
    thresholds: Mapping[str, float] | None = None,
    precision: float | None = None,
    seed: int = 0,
) -> DetectionScores:
    """Score what was `found` in pictures against their `truth`, both in pixels of the same pictures, in the same order.

    Average precisions come from faster-coco-eval (difficult objects as COCO's crowds, areas of boxes); their intervals
    from resampled pictures, centred on those values. Everything else is at the thresholds, at IoU 0.5.

    Args:
        thresholds: class -> score from which an object is given; by default chosen here, for the best F1 of each class.
        precision: choose them for this share of right ones among the given instead (0..1).
        seed: of the bootstrap.
    Raises: DataError when the two do not belong together or no true object has a place, MissingExtraError.
    """
    matches = matched(truth, found, classes)
    asked = matches.asked(len(classes))
    if not asked.sum():
        raise DataError("no picture has an object to find", hint="boxes, polygons or masks are needed")
    coco = standard(matches.truths, matches.given, len(classes), matches.count, matches.most)
    drawn = draws(matches, len(classes), seed)
    curves = {name: curve(matches, label, int(asked[label])) for label, name in enumerate(classes)}
    cuts, reached = _thresholds(curves, thresholds, precision)
    levels = np.array([cuts[name] for name in classes])
    shown, wrong = kept(matches, levels), faults(matches)
    counts = counting(matches, wrong, shown, len(classes))
    each = {}
    for label, name in enumerate(classes):
        half = coco.mean(overlap=0, label=label)
        half_score = None if half is None else _centred(half, drawn.classes50[:, label], matches.count)
        known = _class(curves[name], cuts[name], coco.mean(label=label), half_score, seed)
        error, bias = float(counts["error"][label]), float(counts["bias"][label])
        each[name] = ClassDetection(**known, reached=name in reached, count_error=error, count_bias=bias)
    times, gained = counted(matches, wrong, shown), gains(matches, wrong, len(classes))
    return DetectionScores(
        n=matches.count,
        objects=int(asked.sum()),
        overall={**_averages(coco, drawn, matches.count), **_operating(matches, wrong, shown, seed)},
        classes=each,
        errors={name: Fault(count=times[name], gain=gained[name]) for name in times},
        curves=curves,
        confusion=confusion(matches, wrong, shown, len(classes)),
        count_error=float(counts["error"].sum()),
        matches=matches,
        faults=wrong,
        shown=shown,
        thresholds=cuts,
    )


def _thresholds(
    curves: Mapping[str, Curve], given: Mapping[str, float] | None, precision: float | None
) -> tuple[dict[str, float], set[str]]:
    """A threshold for each class, and the classes for which it does what is wanted."""
    cuts: dict[str, float] = {}
    reached: set[str] = set()
    for name, one in curves.items():
        if given is not None and precision is None:
            cuts[name] = given.get(name, THRESHOLD)
            reached.add(name)
            continue
        best = best_threshold(one) if precision is None else threshold_for(one, precision)
        if best is not None:
            reached.add(name)
        elif precision is not None and len(one.scores) and one.asked:
            best = 1.0  # nothing is given rather than too much that is wrong
        cuts[name] = best if best is not None else THRESHOLD
    return cuts, reached


def _averages(coco: Standard, drawn: Draws, pictures: int) -> dict[str, Score]:
    """The scores that do not depend on a threshold; sizes without an object are left out."""
    wanted = {
        "map50": (coco.mean(overlap=0), drawn.map50),
        "map": (coco.mean(), drawn.map),
        "map75": (coco.mean(overlap=5), drawn.map75),
        **{f"map_{size}": (coco.mean(size=size), drawn.sizes[size]) for size in ("small", "medium", "large")},
    }
    return {name: _centred(value, some, pictures) for name, (value, some) in wanted.items() if value is not None}


def _centred(value: float, values: Floats, n: int) -> Score:
    """A score with its interval, the resampled values moved so that their mean is the value."""
    there = values[np.isfinite(values)]
    return score(value, np.clip(there - (there.mean() - value), 0.0, 1.0) if len(there) else there, n)


def _operating(matches: Matches, wrong: Faults, shown: Bools, seed: int) -> dict[str, Score]:
    """Found, right and F1 of all objects at the thresholds; whole pictures are resampled."""
    truths, given = matches.truths, matches.given
    counts = shown & ~matches.ignored[0]
    sums = np.zeros((matches.count, 3))
    np.add.at(sums[:, 0], given.pictures[counts & (wrong.kind == RIGHT)], 1)
    np.add.at(sums[:, 1], given.pictures[counts], 1)
    np.add.at(sums[:, 2], truths.pictures[~truths.ignored], 1)
    hits, named, there = resampled_sums(sums, seed).T
    hit, name, true = sums.sum(axis=0)
    return {
        "recall": score(hit / true, hits / np.maximum(there, 1), matches.count),
        "precision": score(hit / max(name, 1), hits / np.maximum(named, 1), matches.count),
        "f1": score(2 * hit / (name + true), 2 * hits / np.maximum(named + there, 1), matches.count),
    }


def _class(one: Curve, threshold: float, average: float | None, average_50: Score | None, seed: int) -> dict[str, Any]:
    given, right = one.at(threshold)
    total = given + one.asked
    f1 = 2 * right / total if total else 0.0
    found, good = proportion(right, one.asked, seed), proportion(right, given, seed)
    blank = Score(value=0.0, low=0.0, high=1.0, n=0)  # NaN is no JSON
    return {
        "support": one.asked,
        "precision": good if given else blank,
        "recall": found if one.asked else blank,
        "f1": Score(value=f1, low=_f1(good.low, found.low), high=_f1(good.high, found.high), n=total),
        "average_precision": average,
        "average_precision_50": average_50,
        "threshold": threshold,
    }


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def advice(scores: DetectionScores, train: Mapping[str, int] | None = None) -> tuple[str, ...]:
    """What the numbers mean and what to do next, in plain sentences; `train`: objects of each class it was trained on."""
    said: list[str] = []
    gains_ = sorted(((one.gain, name) for name, one in scores.errors.items()), reverse=True)
    if gains_ and gains_[0][0] >= 0.01:
        gain, name = gains_[0]
        said.append(f"What costs most: {_WORDS[name]} ({100 * gain:.0f} points of mAP@.5). {_HELP[name]}")
    sizes = [(name, scores.overall.get(f"map_{name}")) for name in ("small", "medium", "large")]
    there = [(one.value, name) for name, one in sizes if one is not None]
    if len(there) > 1 and max(there)[0] - min(there)[0] > 0.15:
        (low, poor), (high, good) = min(there), max(there)
        points = f"mAP {100 * low:.0f} % against {100 * high:.0f} %"
        text = f"{poor.capitalize()} objects are found much worse than {good} ones ({points})"
        said.append(text + (": a larger --input-size helps." if poor == "small" else "."))
    unreached = [(name, one) for name, one in scores.classes.items() if not one.reached and one.support]
    never = [name for name, one in unreached if one.threshold >= 1]
    if never:
        said.append(f"No score gives the wanted precision for {', '.join(never[:5])}: these are not given at all.")
    blind = [name for name, one in unreached if one.threshold < 1]
    if blind:
        said.append(f"Nothing right was found of {', '.join(blind[:5])}: train for longer, or look at their boxes.")
    silent = [name for name, one in scores.classes.items() if not one.support]
    if silent:
        said.append(f"The tested pictures show no {', '.join(silent[:5])}: nothing is known about how well it is found.")
    if train:
        rare = [name for name in scores.classes if 0 < train.get(name, 0) < 20]
        if rare:
            few = ", ".join(f"{name} ({train[name]})" for name in rare[:5])
            said.append(f"Few examples to learn from: {few}; 50 or more of each help.")
    if scores.n < 30:
        said.append(f"{scores.n} pictures are few: the intervals say how far the numbers could be off.")
    return tuple(said)


_WORDS = {
    "wrong class": "objects called by another class's name",
    "badly placed": "boxes that do not lie well on their object",
    "both": "boxes that neither lie well nor have the right name",
    "duplicate": "the same object given twice",
    "background": "objects seen where nothing is",
    "missed": "objects that are not found",
}
_HELP = {
    "wrong class": "Are the two classes drawn apart by all who labelled? More examples of both help.",
    "badly placed": "Look whether the true boxes are drawn tightly and alike.",
    "both": "More pictures help.",
    "duplicate": "Very long or overlapping boxes do this.",
    "background": "Look at them first: objects without a box in the truth look like this. Pictures without objects help.",
    "missed": "More examples of them, or a larger --input-size where they are small.",
}
