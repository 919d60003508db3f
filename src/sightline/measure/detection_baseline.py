"""The yardstick beside a detector: what one gets by answering the same boxes for every picture, without looking."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.measure.bootstrap import score
from sightline.measure.detection_curves import draws, matched_map50
from sightline.measure.detection_matching import matched, place_of
from sightline.types import Annotation, Score

NAME = "the usual places, without looking"


@dataclass(frozen=True, slots=True, eq=False)
class Guess:
    """The same answer for every picture, in its pixels; fulfils detection_matching.Places."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]


def usual_places(
    known: Sequence[tuple[Sequence[Annotation], tuple[int, int]]],
    truth: Sequence[Sequence[Annotation]],
    sizes: Sequence[tuple[int, int]],
    classes: Sequence[str],
    seed: int = 0,
) -> Score | None:
    """mAP@.5 of each class's median box, as sure as its share of the pictures; None where nothing can be said.

    known: the truth about training pictures and their (width, height); truth, sizes: of the tested ones.
    """
    places: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for objects, (width, height) in known:
        for one in objects:
            box = place_of(one)
            if box is not None and width and height and not one.ignored:
                places[one.label].append(np.array(box) / (width, height, width, height))
    named = [(label, np.median(places[name], axis=0), len(places[name])) for label, name in enumerate(classes) if places[name]]
    if not named or not truth:
        return None
    boxes = np.array([box for _, box, _ in named])
    labels = np.array([label for label, _, _ in named], np.int64)
    shares = np.array([count for _, _, count in named], np.float32)
    found = [
        Guess((boxes * (width, height, width, height)).astype(np.float32), shares / shares.sum(), labels)
        for width, height in sizes
    ]
    matches = matched(truth, found, classes)
    if not matches.asked(len(classes)).any():
        return None
    return score(matched_map50(matches), draws(matches, len(classes), seed).map50, matches.count)
