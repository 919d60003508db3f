"""Mean average precision as the field reports it: computed by faster-coco-eval, from the tables of detection_matching.

Knows COCO's shape of data, no pictures. Crowds and difficult objects are COCO's `iscrowd`; areas are those of boxes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sightline.errors import missing_extra
from sightline.measure.detection_matching import Floats, Given, Truths

SIZES = ("all", "small", "medium", "large")  # of an object: below 32 x 32 pixels, below 96 x 96, above


@dataclass(frozen=True, slots=True, eq=False)
class Standard:
    """COCO's numbers. Cells without a true object are -1."""

    precision: Floats  # (10 overlaps, 101 recalls, classes, 4 sizes): interpolated

    def mean(self, *, overlap: int | None = None, size: str = "all", label: int | None = None) -> float | None:
        """Average precision over overlaps, recalls and classes; None where there is no true object."""
        part = self.precision[:, :, :, SIZES.index(size)]
        part = part if overlap is None else part[overlap : overlap + 1]
        part = part if label is None else part[:, :, label : label + 1]
        return float(part[part > -1].mean()) if (part > -1).any() else None


def documents(truths: Truths, given: Given, classes: int, count: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Truth and results as COCO writes them, every number from 1."""
    sides = truths.boxes[:, 2:] - truths.boxes[:, :2]
    annotations = [
        {
            "id": row + 1,
            "image_id": int(truths.pictures[row]) + 1,
            "category_id": int(truths.labels[row]) + 1,
            "bbox": [*map(float, truths.boxes[row, :2]), *map(float, sides[row])],
            "area": float(sides[row].prod()),
            "iscrowd": int(truths.ignored[row]),
        }
        for row in range(len(truths.labels))
    ]
    spans = given.boxes[:, 2:] - given.boxes[:, :2]
    results = [
        {
            "image_id": int(given.pictures[row]) + 1,
            "category_id": int(given.labels[row]) + 1,
            "bbox": [*map(float, given.boxes[row, :2]), *map(float, spans[row])],
            "score": float(given.scores[row]),
        }
        for row in range(len(given.labels))
    ]
    images = [{"id": number + 1} for number in range(count)]
    categories = [{"id": number + 1, "name": str(number)} for number in range(classes)]
    return {"images": images, "categories": categories, "annotations": annotations, "info": {}}, results


def standard(truths: Truths, given: Given, classes: int, count: int, most: int) -> Standard:
    """COCO's evaluation of boxes. Raises MissingExtraError without faster-coco-eval."""
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ModuleNotFoundError as error:
        raise missing_extra("objects", "measuring a detector") from error
    truth, results = documents(truths, given, classes, count)
    known = COCO(truth)
    run = COCOeval_faster(known, known.loadRes(results), iouType="bbox", print_function=_silent)
    run.params.maxDets = [1, 10, most]
    run.evaluate()
    run.accumulate()
    return Standard(np.asarray(run.eval["precision"], np.float64)[..., -1])


def _silent(*_: object) -> None:
    """The library tells its steps; nobody asked."""
