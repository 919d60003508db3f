"""From matches to numbers: average precision, precision-recall curves, thresholds, and how far they would move by chance.

Arrays in, arrays out. Average precision is COCO's: the mean over 101 recalls of the best precision at that recall or beyond.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.measure.bootstrap import weights
from sightline.measure.detection_matching import Bools, Floats, Matches

RECALLS: Floats = np.linspace(0.0, 1.0, 101)
_WORK = 300_000_000  # found objects x overlaps x resamples: some 4 s
_LEAST = 100  # resamples
_SMALL, _MEDIUM = 32.0**2, 96.0**2


def average_precision(right: Bools, scores: Floats, asked: int) -> float | None:
    """Of one class: right (d,), scores (d,), true objects. None where there are none."""
    if not asked:
        return None
    hits = np.cumsum(right[np.argsort(-scores, kind="stable")])
    if not len(hits):
        return 0.0
    precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    spots = np.searchsorted(hits / asked, RECALLS)
    return float(np.append(precision, 0.0)[np.minimum(spots, len(hits))].mean())


def matched_map50(matches: Matches) -> float:
    """mAP@.5 of what was matched: the mean over the classes that have objects."""
    classes = int(max(matches.truths.labels.max(initial=-1), matches.given.labels.max(initial=-1))) + 1
    values = []
    for label, count in enumerate(matches.asked(classes)):
        rows = (matches.given.labels == label) & ~matches.ignored[0]
        one = average_precision(matches.right[0][rows], matches.given.scores[rows], int(count))
        values += [] if one is None else [one]
    return float(np.mean(values)) if values else 0.0


@dataclass(frozen=True, slots=True)
class Curve:
    """Precision at 101 recalls of one class at IoU 0.5, and what a score promises."""

    precision: Floats  # (101,)
    scores: Floats  # (d,) falling
    hits: Floats  # (d,) right ones so far
    asked: int

    def at(self, threshold: float) -> tuple[int, int]:
        """Objects given and right ones among them, from this score upwards."""
        given = int(np.searchsorted(-self.scores, -threshold, side="right"))
        return given, int(self.hits[given - 1]) if given else 0


def curve(matches: Matches, label: int, asked: int) -> Curve:
    """The precision-recall curve of a class; zeros where it has no true object."""
    rows = np.flatnonzero((matches.given.labels == label) & ~matches.ignored[0])
    rows = rows[np.argsort(-matches.given.scores[rows], kind="stable")]
    hits = np.cumsum(matches.right[0][rows]).astype(np.float64)
    precision = np.zeros(len(RECALLS))
    if asked and len(hits):
        best = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
        spots = np.searchsorted(hits / asked, RECALLS)
        precision = np.append(best, 0.0)[np.minimum(spots, len(hits))]
    return Curve(precision, matches.given.scores[rows], hits, asked)


def best_threshold(one: Curve) -> float | None:
    """The score from which F1 is best, halfway to the next one; None without a true or found object."""
    if not one.asked or not len(one.hits) or one.hits[-1] == 0:
        return None
    given = np.arange(1, len(one.hits) + 1)
    f1 = 2 * one.hits / (given + one.asked)
    return _halfway(one, int(np.where(_last_of_score(one), f1, -1.0).argmax()))


def threshold_for(one: Curve, wanted: float) -> float | None:
    """The lowest score from which the share right is at least `wanted`; None where no score gives it."""
    if not one.asked or not len(one.hits):
        return None
    enough = np.flatnonzero(_last_of_score(one) & (one.hits / np.arange(1, len(one.hits) + 1) >= wanted))
    return _halfway(one, int(enough[-1])) if len(enough) else None


def _last_of_score(one: Curve) -> Bools:
    """Rows after which a threshold can lie: equal scores stay together."""
    return np.append(one.scores[:-1] > one.scores[1:], True)


def _halfway(one: Curve, row: int) -> float:
    low = float(one.scores[row + 1]) if row + 1 < len(one.scores) else 0.0
    middle = round((float(one.scores[row]) + low) / 2, 4)
    return middle if low < middle <= one.scores[row] else float(one.scores[row])


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Values of resampled tests: rows are resamples, nan where a class was not drawn."""

    map: Floats  # (r,)
    map50: Floats  # (r,)
    map75: Floats  # (r,)
    sizes: dict[str, Floats]  # small, medium, large: (r,)
    classes50: Floats  # (r, classes)


def draws(matches: Matches, classes: int, seed: int) -> Draws:
    """Average precisions of resampled pictures (bootstrap): whole pictures are drawn, matches stay as they are.

    What a picture contributes does not depend on the others, so this is exact for all sizes together. Of one size, a found
    object counts where its true one counts, or by its own area: a little simpler than COCO's rule, so those intervals are
    centred on COCO's value. At least 100 resamples, 1,000 where the work allows.
    """
    given, truths = matches.given, matches.truths
    blocks = _blocks(matches.count, len(given.scores), seed)
    area, true_area = _area(given.boxes), _area(truths.boxes)
    shown = np.where(matches.partner >= 0, true_area[matches.partner] if len(true_area) else 0.0, area)
    everything = np.full((len(blocks), 10, classes), np.nan)
    sized = {name: np.full((len(blocks), classes), np.nan) for name in ("small", "medium", "large")}
    for label in range(classes):
        rows = np.flatnonzero(given.labels == label)
        rows = rows[np.argsort(-given.scores[rows], kind="stable")]
        asked = np.flatnonzero((truths.labels == label) & ~truths.ignored)
        if not len(asked):
            continue
        weight, wanted = blocks[:, given.pictures[rows]], blocks[:, truths.pictures[asked]]
        for level in range(10):
            keep = ~matches.ignored[level][rows]
            right = matches.right[level][rows][keep]
            everything[:, level, label] = resampled(right, weight[:, keep], wanted.sum(axis=1))
        for name, (low, high) in _SPANS.items():
            here, there = _between(shown[rows], low, high), _between(true_area[asked], low, high)
            if there.any():
                total = wanted[:, there].sum(axis=1)
                levels = [
                    resampled(matches.right[level][rows][keep], weight[:, keep], total)
                    for level in (0, 3, 6, 9)
                    for keep in [here & ~matches.ignored[level][rows]]
                ]
                sized[name][:, label] = np.mean(levels, axis=0)
    each = _mean(everything, axis=1)
    return Draws(
        map=_mean(each, axis=1),
        map50=_mean(everything[:, 0], axis=1),
        map75=_mean(everything[:, 5], axis=1),
        sizes={name: _mean(values, axis=1) for name, values in sized.items()},
        classes50=everything[:, 0],
    )


_SPANS = {"small": (0.0, _SMALL), "medium": (_SMALL, _MEDIUM), "large": (_MEDIUM, np.inf)}


def resampled(right: Bools, weight: NDArray[np.float32], asked: Floats) -> Floats:
    """Average precision of weighted rows: right (d,) by falling score, weight (r, d) of their pictures, asked (r,); 0: nan."""
    if not right.any():
        return np.where(asked > 0, 0.0, np.nan)
    hits, given = np.cumsum(weight * right, axis=1), np.cumsum(weight, axis=1)
    at = np.flatnonzero(right)  # recall moves at the right ones only, and precision is highest there
    hits, given = hits[:, at], given[:, at]
    precision = np.divide(hits, given, out=np.zeros_like(hits), where=given > 0)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recall = hits / np.maximum(asked, 1)[:, None]
    levels = np.floor(100 * recall + 1e-4) + 1  # how many of the 101 recalls are reached
    levels[:, 1:] -= levels[:, :-1].copy()
    return np.where(asked > 0, (best * levels).sum(axis=1) / 101, np.nan)


def _blocks(pictures: int, rows: int, seed: int) -> NDArray[np.float32]:
    """How often each picture was drawn: (resamples, pictures)."""
    wanted = int(np.clip(_WORK // max(1, 10 * rows), _LEAST, 1000))
    found: list[NDArray[np.float32]] = []
    count = 0
    for block in weights(pictures, seed):
        found.append(block[: wanted - count])
        count += len(found[-1])
        if count >= wanted:
            break
    return np.concatenate(found)


def _area(boxes: Floats) -> Floats:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))


def _between(values: Floats, low: float, high: float) -> Bools:
    return np.asarray((values >= low) & (values < high))


def _mean(values: Floats, axis: int) -> Floats:
    """The mean of what is a number; nan where nothing is."""
    there = np.isfinite(values)
    total = np.where(there, values, 0.0).sum(axis=axis)
    count = there.sum(axis=axis)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))
