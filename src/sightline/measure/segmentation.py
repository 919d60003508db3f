"""How well a segmenter paints: intersection over union of each class, their mean, and the share of pixels that are right.

Of each picture a table of truth against answer in pixels; all scores are sums of these. Crowds and difficult objects are
neither asked for nor wrong. Knows no models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.measure.bootstrap import resampled_sums, score
from sightline.runtime.masks import filled, pixels_of
from sightline.types import Annotation, Record, Score

IGNORED = -1  # in a field of truth: not counted
BACKGROUND = "background"

Table = NDArray[np.int64]  # (1 + classes, 1 + classes): pixels by truth (rows) and answer; 0 is the background


class ClassPixels(Record):
    """How well one class is painted."""

    iou: Score | None  # None: in no picture of the test, and never answered
    recall: float  # share of its pixels that are found
    precision: float  # share of the pixels given to it that are its own
    support: int  # pixels
    pictures: int  # that show it


@dataclass(frozen=True, slots=True)
class SegmentationScores:
    """overall: "miou" (the mean over the classes and the background, as PASCAL VOC counts), "pixels" (share that is right)."""

    overall: dict[str, Score]
    classes: dict[str, ClassPixels]  # with the background, last
    tables: tuple[Table, ...]

    @property
    def n(self) -> int:
        return len(self.tables)


def truth_field(truth: Sequence[Annotation], size: tuple[int, int], classes: Sequence[str]) -> NDArray[np.int16]:
    """What each pixel of a picture of `size` (width, height) shows, int16 (h, w): 0 the background, then 1 + class; small
    objects over large ones. An object that says only a box is not counted, nor is what lies in it.
    """
    height, width = size[1], size[0]
    numbers = {name: number for number, name in enumerate(classes, start=1)}
    field = np.zeros((height, width), np.int16)
    painted: list[tuple[int, int, NDArray[np.bool_]]] = []
    for one in truth:
        rings = one.rings or ((one.polygon,) if one.polygon else ())
        if one.mask is not None and tuple(one.mask.size) == (height, width):
            mask = pixels_of(one.mask)
        elif rings:
            mask = np.asarray(filled(rings, (height, width)), bool)
        elif one.box is not None:
            x0, y0, x1, y1 = (round(value) for value in one.box)
            field[max(y0, 0) : y1, max(x0, 0) : x1] = IGNORED
            continue
        else:
            continue
        number = IGNORED if one.ignored else numbers.get(one.label, IGNORED)
        painted.append((int(mask.sum()), number, mask))
    for _, number, mask in sorted(painted, key=lambda entry: -entry[0]):
        field[mask] = number
    return field


def table_of(truth: NDArray[np.int16], found: NDArray[np.integer], classes: int) -> Table:
    """Pixels by truth and answer."""
    kept = truth != IGNORED
    pairs = truth[kept].astype(np.int64) * (classes + 1) + found[kept]
    return np.bincount(pairs, minlength=(classes + 1) ** 2).reshape(classes + 1, classes + 1)


def segmentation_scores(tables: Sequence[Table], classes: Sequence[str], seed: int = 0) -> SegmentationScores:
    """All scores with 95 % intervals by bootstrap over pictures: each class's sums are drawn again, which is exact."""
    count = len(classes) + 1
    every = np.stack(tables).astype(np.float64)
    hit = np.diagonal(every, axis1=1, axis2=2)
    shown, given = every.sum(2), every.sum(1)
    total = max(float(every.sum()), 1.0)
    draws = resampled_sums(np.concatenate([hit, shown + given - hit, shown], axis=1) / total, seed)
    hits, either, asked = draws[:, :count], draws[:, count : 2 * count], draws[:, 2 * count :]
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(either > 0, hits / either, np.nan)
        sums = hit.sum(0), (shown + given - hit).sum(0)
        value = np.where(sums[1] > 0, sums[0] / sums[1], np.nan)
        mean = np.asarray([row[np.isfinite(row)].mean() if np.isfinite(row).any() else np.nan for row in each])
        right = hits.sum(1) / np.maximum(asked.sum(1), 1e-12)
    n = len(tables)
    known = value[np.isfinite(value)]
    overall = {
        "miou": score(float(known.mean()) if len(known) else 0.0, mean, n),
        "pixels": score(float(hit.sum() / total), right, n),
    }
    named: dict[str, ClassPixels] = {}
    for number in (*range(1, count), 0):
        own, its = float(shown[:, number].sum()), float(given[:, number].sum())
        found = float(hit[:, number].sum())
        named[classes[number - 1] if number else BACKGROUND] = ClassPixels(
            iou=score(float(value[number]), each[:, number], n) if np.isfinite(value[number]) else None,
            recall=found / own if own else 0.0,
            precision=found / its if its else 0.0,
            support=int(own),
            pictures=int((shown[:, number] > 0).sum()),
        )
    return SegmentationScores(overall, named, tuple(tables))


def advice(scores: SegmentationScores) -> tuple[str, ...]:
    """What to do next, in plain sentences."""
    weak = [(one.iou.value, name) for name, one in scores.classes.items() if one.iou and name != BACKGROUND and one.support]
    if not weak:
        return ("No picture of the test shows any of the classes.",)
    worst, name = min(weak)
    said = [f"Weakest class: {name}, IoU {100 * worst:.0f} of 100."] if worst < 0.7 else []
    one = scores.classes[name]
    if worst < 0.7 and one.recall < one.precision - 0.15:
        said.append(f"Much of {name} is missed: show the training more pictures of it.")
    elif worst < 0.7 and one.precision < one.recall - 0.15:
        said.append(
            f"{name} is given to much that is something else: check its outlines, add pictures of what it is mixed up with."
        )
    if scores.n < 50:
        said.append(f"Only {scores.n} pictures were tested: the numbers may move much with others.")
    return tuple(said)
