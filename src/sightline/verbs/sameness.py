"""How alike the answers of two models, or of one model on two providers, are, whatever their task. No verb itself.

Compared is what a person is told: the label, the labels, the objects and their places, the pixels. Knows no truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import UsageError
from sightline.runtime.geometry import iou
from sightline.runtime.model import Recogniser
from sightline.types import Failure, Prediction, Record

OVERLAP = 0.5  # IoU from which two boxes are the same object

Answers = Mapping[str, Any]  # picture -> Prediction, or of a segmenter the class of each pixel


class Same(Record):
    """How alike the answers to two times the same pictures are."""

    pictures: int
    agreement: float
    largest_difference: float | None


def answers(recogniser: Recogniser, files: Sequence[str], count: int) -> Answers:
    """What is said of each file that can be read, or of `count` made-up pictures where there are none."""
    from sightline.runtime.segmenter import Segmenter

    if isinstance(recogniser, Segmenter):
        segmenter = recogniser
        if files:
            told = zip(files, segmenter.field_files(files), strict=True)
            return {name: field.classes for name, field in told if not isinstance(field, Failure)}
        return {str(place): segmenter.field(one).classes for place, one in enumerate(made_up(count))}
    if files:
        return {one.picture: one for one in recogniser.predict_many(files) if isinstance(one, Prediction)}
    return {str(place): recogniser.predict(one) for place, one in enumerate(made_up(count))}


def same(first: Answers, other: Answers) -> Same:
    """Compare picture by picture; UsageError when the two do not answer the same question."""
    pictures = [name for name in first if name in other]
    if not pictures:
        raise UsageError("no picture could be answered by both", hint="give a folder of pictures that can be opened")
    alike = [_alike(first[name], other[name]) for name in pictures]
    apart = [_apart(first[name], other[name]) for name in pictures]
    known = [one for one in apart if one is not None]
    return Same(
        pictures=len(pictures),
        agreement=round(float(np.mean(alike)), 6),
        largest_difference=round(max(known), 6) if known else None,
    )


def _alike(first: Any, other: Any) -> float:
    """1 for the same answer, 0 for another one; of pixels the share that is the same."""
    if isinstance(first, np.ndarray) and isinstance(other, np.ndarray):
        return float((first == other).mean())
    if not isinstance(first, Prediction) or not isinstance(other, Prediction):
        raise UsageError("the two models do not answer the same question", hint="compare models of one task")
    if first.size is None:
        return float(sorted(first.decision) == sorted(other.decision))
    return float(len(first.labels) == len(other.labels) and _paired(first, other))


def _paired(first: Prediction, other: Prediction) -> bool:
    """Whether each object of `first` has one of its own in `other`: same class, IoU of 0.5 or more."""
    left = list(other.labels)
    for one in first.labels:
        near = [(_overlap(one.box, mate.box), place) for place, mate in enumerate(left) if mate.label == one.label]
        best = max(near, default=(0.0, -1))
        if best[0] < OVERLAP:
            return False
        del left[best[1]]
    return True


def _overlap(first: Any, other: Any) -> float:
    return float(iou(np.array([first], np.float32), np.array([other], np.float32))[0, 0])


def _apart(first: Any, other: Any) -> float | None:
    """The largest difference of any probability; None for objects, pixels and different classes."""
    if not isinstance(first, Prediction) or not isinstance(other, Prediction) or first.size is not None:
        return None
    scores, others = ({one.label: one.score or 0.0 for one in answer.labels} for answer in (first, other))
    return max(abs(scores[name] - others[name]) for name in scores) if scores.keys() == others.keys() else None


def made_up(count: int, side: int = 256) -> list[NDArray[np.uint8]]:
    """Pictures of nothing, uint8 (side, side, 3): smooth grounds with a few flat shapes; always the same ones."""
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(20)
    pictures = []
    for _ in range(count):
        cells = int(rng.integers(2, 12))
        coarse = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        pen = ImageDraw.Draw(picture)
        for _ in range(int(rng.integers(0, 6))):
            x, y = (int(value) for value in rng.integers(0, side * 3 // 4, 2))
            wide, tall = (int(value) for value in rng.integers(side // 16, side // 2, 2))
            colour = tuple(int(value) for value in rng.integers(0, 256, 3))
            (pen.ellipse if rng.random() < 0.5 else pen.rectangle)((x, y, x + wide, y + tall), fill=colour)
        pictures.append(np.asarray(picture))
    return pictures
