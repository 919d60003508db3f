"""Which found object is which true one: COCO's greedy matching at ten overlaps, as flat tables over all pictures.

Arrays and annotations in, arrays out; knows no pictures. Source: Lin et al., "Microsoft COCO: Common Objects in Context"
(ECCV 2014), as its own evaluation does it: in each picture and class, the surest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError
from sightline.runtime.geometry import areas, intersections, iou
from sightline.runtime.masks import mask_box, pixels_of
from sightline.types import Annotation, Box

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

OVERLAPS: Floats = np.linspace(0.5, 0.95, 10)  # COCO's ten IoU thresholds
MOST = 100  # objects of a class and picture that count, the surest first, as COCO does
MANY = 300  # the same where a picture holds more than 100 true ones of a class


class Places(Protocol):
    """What a detector finds in a picture: runtime.found.Found fulfils it."""

    @property
    def boxes(self) -> NDArray[np.float32]: ...  # (k, 4): pixels of the upright picture
    @property
    def scores(self) -> NDArray[np.float32]: ...  # (k,)
    @property
    def labels(self) -> NDArray[np.int64]: ...  # (k,): index into the classes


@dataclass(frozen=True, slots=True, eq=False)
class Truths:
    """Every true object of a test: rows in the order of the pictures."""

    pictures: Ints  # (g,)
    labels: Ints  # (g,)
    boxes: Floats  # (g, 4)
    ignored: Bools  # (g,): crowds and difficult ones: neither asked for nor wrong


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """Every found object that counts: by picture, then class, then the surest first."""

    pictures: Ints  # (d,)
    labels: Ints  # (d,)
    boxes: Floats  # (d, 4)
    scores: Floats  # (d,)


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """What is right. `ignored`: found ones that lie on an ignored true one. `partner`: row of the true one at IoU 0.5, -1."""

    truths: Truths
    given: Given
    right: Bools  # (10, d)
    ignored: Bools  # (10, d)
    partner: Ints  # (d,)
    count: int  # pictures
    most: int

    def asked(self, classes: int) -> Ints:
        """How many true objects of each class there are to find: (classes,)."""
        return np.bincount(self.truths.labels[~self.truths.ignored], minlength=classes)


def place_of(one: Annotation) -> Box | None:
    """The box of an annotation: its own, or the one around its outline, mask or keypoints; None when it says no place."""
    if one.box is not None:
        return one.box
    points = [point for ring in (one.rings or ()) for point in ring] or list(one.polygon or ())
    if not points and one.mask is not None:
        return mask_box(pixels_of(one.mask))
    if not points and one.keypoints:
        seen = one.visibility or (2,) * len(one.keypoints)
        points = [point for point, shown in zip(one.keypoints, seen, strict=False) if shown]
    if not points:
        return None
    across, down = zip(*points, strict=True)
    return (min(across), min(down), max(across), max(down))


def truths_of(truth: Sequence[Sequence[Annotation]], classes: Sequence[str]) -> Truths:
    """The true objects of pictures as one table. Objects without a place are left out; DataError for an unknown label."""
    number = {name: spot for spot, name in enumerate(classes)}
    rows: list[tuple[int, int, Box, bool]] = []
    for picture, objects in enumerate(truth):
        for one in objects:
            place = place_of(one)
            if place is None:
                continue
            if one.label not in number:
                raise DataError(f"the label {one.label!r} is none of the classes", hint="classes: " + ", ".join(classes[:12]))
            rows.append((picture, number[one.label], place, one.ignored))
    return Truths(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.float64).reshape(-1, 4),
        np.array([row[3] for row in rows], np.bool_),
    )


def given_of(found: Sequence[Places], classes: int, most: int = MOST) -> Given:
    """What was found as one table: of each picture and class the `most` surest. DataError for a class number out of range."""
    parts: list[tuple[Ints, Ints, Floats, Floats]] = []
    for picture, one in enumerate(found):
        labels = np.asarray(one.labels, np.int64)
        if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
            raise DataError(f"a class number {labels.max()} among {classes} classes", hint="was it trained on other classes?")
        scores = np.asarray(one.scores, np.float64)
        order = np.lexsort((-scores, labels))
        first = np.searchsorted(labels[order], labels[order])  # where this row's class begins
        order = order[np.arange(len(order)) - first < most]
        parts.append((np.full(len(order), picture), labels[order], np.asarray(one.boxes, np.float64)[order], scores[order]))
    if not parts:
        return Given(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0))
    pictures, labels, boxes, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Given(pictures.astype(np.int64), labels, boxes.reshape(-1, 4), scores)


def matched(truth: Sequence[Sequence[Annotation]], found: Sequence[Places], classes: Sequence[str]) -> Matches:
    """Every found object beside the truth. Both are about the same pictures, in the same order; else DataError."""
    if len(truth) != len(found):
        raise DataError(f"the truth is about {len(truth)} pictures, the answers about {len(found)}")
    truths = truths_of(truth, classes)
    cells = truths.pictures * max(1, len(classes)) + truths.labels
    crowded = int(np.unique(cells, return_counts=True)[1].max(initial=0))
    most = MOST if crowded <= MOST else MANY
    given = given_of(found, len(classes), most)
    count = len(given.scores)
    right, ignored = np.zeros((len(OVERLAPS), count), np.bool_), np.zeros((len(OVERLAPS), count), np.bool_)
    partner = np.full(count, -1, np.int64)
    theirs = given.pictures * max(1, len(classes)) + given.labels
    order = np.lexsort((truths.ignored, cells))  # by picture and class, the ignored ones last
    ordered = cells[order]
    for cell in np.intersect1d(cells, theirs):
        start, stop = np.searchsorted(theirs, (cell, cell + 1))
        low, high = np.searchsorted(ordered, (cell, cell + 1))
        rows = order[low:high]
        one = _cell(given.boxes[start:stop], truths.boxes[rows], truths.ignored[rows])
        right[:, start:stop], ignored[:, start:stop] = one[0], one[1]
        partner[start:stop] = np.where(one[2] >= 0, rows[one[2]], -1)
    return Matches(truths, given, right, ignored, partner, len(truth), most)


def _cell(found: Floats, truth: Floats, ignored: Bools) -> tuple[Bools, Bools, Ints]:
    """One picture and class: what is right (10, d), what is ignored (10, d), the true one's row at IoU 0.5 (d,)."""
    overlap = iou(found, truth)
    if ignored.any():  # of a crowd it counts how much of the found box lies in it, and it may be met often
        inside = intersections(found, truth[ignored]) / np.maximum(areas(found)[:, None], 1e-12)
        overlap[:, ignored] = inside
    least = np.minimum(OVERLAPS, 1 - 1e-10)[:, None]
    right = np.zeros((len(OVERLAPS), len(found)), np.bool_)
    aside = np.zeros_like(right)
    partner = np.full(len(found), -1, np.int64)
    free = np.ones((len(OVERLAPS), len(truth)), np.bool_)
    levels, asked = np.arange(len(OVERLAPS)), int((~ignored).sum())
    for row in np.flatnonzero((overlap >= OVERLAPS[0]).any(axis=1)):
        fits = np.where(free & (overlap[row] >= least), overlap[row], -1.0)
        if asked:
            best = _last_best(fits[:, :asked])
            hit = fits[levels, best] >= 0
            right[hit, row] = True
            free[levels[hit], best[hit]] = False
            if hit[0]:
                partner[row] = best[0]
        else:
            hit = np.zeros(len(OVERLAPS), np.bool_)
        if asked < len(truth):
            aside[:, row] = ~hit & (fits[:, asked:].max(axis=1) >= 0)
    return right, aside, partner


def _last_best(fits: Floats) -> Ints:
    """Column of the largest value in each row; of equal ones the last, as COCO's code."""
    return np.asarray(fits.shape[1] - 1 - fits[:, ::-1].argmax(axis=1))
