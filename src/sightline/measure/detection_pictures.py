"""Small pictures for a detector's report: what was found beside what is there, on whole pictures and close up.

True boxes are green (on whole pictures only those not found), right ones blue, wrong ones red. Knows scores and pixels, not
where pictures lie: who asks brings them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.measure.detection import DetectionScores
from sightline.measure.detection_errors import KINDS, NOTHING, RIGHT, missed
from sightline.measure.detection_matching import Floats

SIDE, CLOSE = 640, 300  # pixels of a whole picture's longer side, of a close-up
EACH, WHOLE = 8, 8  # close-ups of each kind of error, whole pictures
_A_PICTURE = 2  # close-ups of one kind from one picture at most
_TRUE, _RIGHT, _WRONG = (46, 160, 67), (20, 120, 230), (225, 45, 35)

Pixels = NDArray[np.uint8]
Reader = Callable[[int], Pixels | None]  # the upright picture by its place in the test; None: cannot be read


@dataclass(frozen=True, slots=True)
class Example:
    """One error close up; `picture` is a JPEG."""

    kind: str
    picture: bytes
    name: str
    caption: str


@dataclass(frozen=True, slots=True)
class View:
    """A whole picture with its boxes."""

    picture: bytes
    name: str
    caption: str


def examples(scores: DetectionScores, names: Sequence[str], read: Reader, classes: Sequence[str]) -> tuple[Example, ...]:
    """Of each kind of error a few, the surest first; of missed objects the largest first. `names`: of the tested pictures."""
    made: list[Example] = []
    for number, kind in enumerate(KINDS):
        taken: Counter[int] = Counter()
        rows = _worst(scores, number)
        for row in rows:
            lost = kind == "missed"
            picture = int((scores.matches.truths if lost else scores.matches.given).pictures[row])
            if taken[picture] >= _A_PICTURE:
                continue
            pixels = read(picture)
            if pixels is None:
                continue
            taken[picture] += 1
            part, caption = _example(scores, kind, row, pixels, classes)
            made.append(Example(kind=kind, picture=part, name=names[picture], caption=caption))
            if taken.total() >= EACH:
                break
    return tuple(made)


def _worst(scores: DetectionScores, kind: int) -> list[int]:
    """Rows of found objects of this kind, the surest first; of true ones that were missed, the largest first."""
    if KINDS[kind] == "missed":
        lost = missed(scores.matches, scores.faults, scores.shown)
        boxes = scores.matches.truths.boxes[lost]
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        return [int(row) for row in lost[np.argsort(-area, kind="stable")]]
    rows = np.flatnonzero(scores.shown & (scores.faults.kind == kind))
    return [int(row) for row in rows[np.argsort(-scores.matches.given.scores[rows], kind="stable")]]


def _example(scores: DetectionScores, kind: str, row: int, pixels: Pixels, classes: Sequence[str]) -> tuple[bytes, str]:
    """One error close up and what it is."""
    given, truths = scores.matches.given, scores.matches.truths
    there = truths.boxes[truths.pictures == (truths if kind == "missed" else given).pictures[row]]
    if kind == "missed":
        box, caption = truths.boxes[row], f"{classes[truths.labels[row]]}, not found"
        focus, wrong, meant = box, np.zeros((0, 4)), box[None]
    else:
        box, target = given.boxes[row], int(scores.faults.target[row])
        caption = f"{classes[given.labels[row]]} {given.scores[row]:.0%}"
        named = kind in ("wrong class", "both") and target >= 0
        caption += f", is {classes[truths.labels[target]]}" if named else ""
        meant = truths.boxes[target][None] if target >= 0 else np.zeros((0, 4))
        focus = _around(box, truths.boxes[target]) if target >= 0 else box
        wrong = box[None]
    left, top, right, bottom = _window(focus, pixels.shape[1], pixels.shape[0])
    part = pixels[top:bottom, left:right]
    move = np.array([left, top, left, top])
    return _drawn(part, CLOSE, [(there - move, _TRUE, 1), (meant - move, _TRUE, 4), (wrong - move, _WRONG, 3)]), caption


def views(scores: DetectionScores, names: Sequence[str], read: Reader) -> tuple[View, ...]:
    """Whole pictures: those with most errors, then ordinary ones (with as many errors as most have)."""
    given, truths = scores.matches.given, scores.matches.truths
    lost = missed(scores.matches, scores.faults, scores.shown)
    wrong = scores.shown & (scores.faults.kind != RIGHT) & (scores.faults.kind != NOTHING)
    errors = np.bincount(given.pictures[wrong], minlength=scores.n) + np.bincount(truths.pictures[lost], minlength=scores.n)
    order = np.argsort(-errors, kind="stable")
    middle = len(order) // 2
    half = min(WHOLE // 2, len(order))
    ordinary = [place for place in order[max(0, middle - half // 2) :] if place not in order[:half]]
    made = []
    for picture in [*order[:half], *ordinary[: WHOLE - half]]:
        pixels = read(int(picture))
        if pixels is None:
            continue
        mine = given.pictures == picture
        good, bad = mine & scores.shown & (scores.faults.kind == RIGHT), mine & wrong
        there = (truths.pictures == picture) & ~truths.ignored
        count = int(there.sum())
        there[scores.faults.target[good]] = False  # found: the blue box says so
        boxes = [(truths.boxes[there], _TRUE, 3), (given.boxes[good], _RIGHT, 3), (given.boxes[bad], _WRONG, 3)]
        caption = f"{int(good.sum())} of {count} found, {int(bad.sum())} wrong"
        made.append(View(picture=_drawn(pixels, SIDE, boxes), name=names[picture], caption=caption))
    return tuple(made)


def _around(one: Floats, other: Floats) -> Floats:
    return np.concatenate([np.minimum(one[:2], other[:2]), np.maximum(one[2:], other[2:])])


def _window(box: Floats, width: int, height: int) -> tuple[int, int, int, int]:
    """The part of a picture around a box: square where it fits, twice its longer side, at least 48 pixels."""
    side = max(48.0, 2.0 * float(max(box[2] - box[0], box[3] - box[1])))
    across, down = min(side, width), min(side, height)
    left = float(np.clip((box[0] + box[2] - across) / 2, 0, width - across))
    top = float(np.clip((box[1] + box[3] - down) / 2, 0, height - down))
    return int(left), int(top), max(int(left) + 1, round(left + across)), max(int(top) + 1, round(top + down))


def _drawn(pixels: Pixels, side: int, groups: Sequence[tuple[Floats, tuple[int, int, int], int]]) -> bytes:
    """A JPEG of at most `side` pixels a side (a smaller picture grows) with boxes: (boxes, colour, width), the last on top."""
    import io

    from PIL import Image, ImageDraw

    scale = side / max(pixels.shape[:2])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    image = Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for boxes, colour, width in groups:
        for x0, y0, x1, y1 in (boxes * scale).tolist():
            if x1 < 0 or y1 < 0 or x0 > size[0] or y0 > size[1]:
                continue
            grow = 3 if colour == _TRUE and width > 1 else 0  # a true box is seen around the found one that lies on it
            pen.rectangle((x0 - grow, y0 - grow, max(x0, x1) + grow, max(y0, y1) + grow), outline=colour, width=width)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=80, optimize=True)
    return stream.getvalue()
