"""How well a detector answers, in milliseconds after every epoch: mean average precision at an overlap of one half.

Early stopping goes by it; what is reported about a finished model is measured by `measure/detection.py`, as COCO does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sightline.runtime.geometry import iou, within


class Objects(Protocol):
    """The truth about one picture."""

    @property
    def boxes(self) -> NDArray[np.float32]: ...
    @property
    def labels(self) -> NDArray[np.int64]: ...
    @property
    def ignored(self) -> NDArray[np.float32]: ...


class Answer(NamedTuple):
    """What was found in one picture, best first."""

    boxes: NDArray[np.float32]  # (k, 4)
    scores: NDArray[np.float32]  # (k,)
    labels: NDArray[np.int64]  # (k,)


def judged(truth: Sequence[Objects], found: Sequence[Answer], classes: int, overlap: float = 0.5) -> tuple[float, float]:
    """(1 - the mean score of what was found of the objects that are there, mAP at `overlap`); the first is not a number where
    an answer is not.

    The area under the interpolated precision-recall curve, mean over the classes with objects (PASCAL VOC since 2010).
    """
    if not all(np.isfinite(one.scores).all() and np.isfinite(one.boxes).all() for one in found):
        return float("nan"), 0.0
    counts = np.zeros(classes, np.int64)
    scores: list[list[float]] = [[] for _ in range(classes)]
    hits: list[list[bool]] = [[] for _ in range(classes)]
    sure = 0.0
    for there, answer in zip(truth, found, strict=True):
        counts += np.bincount(there.labels, minlength=classes)
        for label in np.unique(answer.labels):
            mine, its = answer.labels == label, there.labels == label
            for score, hit in _matched(answer.boxes[mine], answer.scores[mine], there.boxes[its], there.ignored, overlap):
                scores[label].append(score)
                hits[label].append(hit)
                sure += score * hit
    present = np.flatnonzero(counts)
    if not len(present):
        return 1.0, 0.0
    each = [
        average_precision(np.asarray(scores[label]), np.asarray(hits[label], bool), int(counts[label])) for label in present
    ]
    return 1.0 - sure / float(counts.sum()), float(np.mean(each))


def _matched(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    there: NDArray[np.float32],
    ignored: NDArray[np.float32],
    overlap: float,
) -> list[tuple[float, bool]]:
    """(score, right) of the boxes of one class in one picture, best first; those in an ignored region are left out."""
    order = np.argsort(-scores, kind="stable")
    pairs = iou(boxes, there)
    free = np.ones(len(there), bool)
    crowd = np.zeros(len(boxes), bool)
    if len(ignored):
        crowd |= (within(boxes, ignored) >= overlap).any(axis=1)
    found: list[tuple[float, bool]] = []
    for row in order:
        near = np.where(free, pairs[row], 0.0) if len(there) else np.zeros(0)
        best = int(near.argmax()) if len(near) else -1
        hit = best >= 0 and near[best] >= overlap
        if hit:
            free[best] = False
        elif crowd[row]:
            continue
        found.append((float(scores[row]), bool(hit)))
    return found


def average_precision(scores: NDArray[np.float64], hits: NDArray[np.bool_], count: int) -> float:
    """The area under the precision-recall curve of answers with these scores, where `count` objects are there."""
    if not len(scores) or not count:
        return 0.0
    ordered = hits[np.argsort(-scores, kind="stable")]
    right = np.cumsum(ordered)
    precision = np.maximum.accumulate((right / np.arange(1, len(right) + 1))[::-1])[::-1]
    return float((precision * ordered).sum() / count)
