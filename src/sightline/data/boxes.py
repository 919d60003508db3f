"""What can be wrong with the boxes of a dataset, found from the boxes alone: doubled, of two classes, tiny, of unusual size.

Also what of it is mended without being asked, and whether two pictures say the same about the same places. Opens no picture.
Objects marked as a crowd or as difficult are left alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.runtime.geometry import iou
from sightline.types import Annotation, Dataset, Finding, Item

KINDS = {
    "doubled_box": "one object, two boxes",
    "box_conflict": "one place, two classes",
    "tiny_box": "a box too small to see",
    "odd_box": "a box of unusual size for its class",
}
ALIKE = 0.85  # overlap (IoU) from which two boxes are probably one
CERTAIN = 0.95
SEEN_AT = 640  # pixels of a picture's longer side when a detector sees it
SMALLEST = 3.0  # pixels of a box's shorter side, seen so
ENOUGH = 20  # boxes of a class that say what is usual
ODD = 6.0  # robust deviations of the logarithm of the size
_AGREES = 0.8  # overlap of two boxes of one thing in two versions of a picture
_AT_ONCE = 400  # boxes of a picture that are compared all with all


def remarks(dataset: Dataset, widths: NDArray[np.int32], heights: NDArray[np.int32]) -> Iterator[Finding]:
    """Findings of the kinds above. widths, heights: pixels of the upright pictures (n,), 0 where one cannot be read."""
    for item in dataset.items:
        for a, b, overlap in _close(item):
            yield _pair(item, item.truth[a], item.truth[b], overlap)
    for spot, item in enumerate(dataset.items):
        shrunk = min(1.0, SEEN_AT / max(int(widths[spot]), int(heights[spot]), 1))
        small = [one for one in _boxed(item) if _shorter(one) * shrunk < SMALLEST]
        if small:
            said = "a box" if len(small) == 1 else f"{len(small):,} boxes"
            yield Finding(
                kind="tiny_box",
                items=(item.name,),
                message=f"{item.name}: {said} under {SMALLEST:g} pixels with the picture at {SEEN_AT}: {_where(small[0])}",
                fix="draw it again, or leave it out with --drop tiny_box",
                score=0.7,
                severity="info",
            )
    yield from _odd(dataset, widths, heights)


def mended(item: Item, drop: Collection[str], width: int, height: int) -> tuple[Annotation, ...]:
    """The truth of a picture with one of two boxes that are certainly one; without tiny ones, where `drop` says so."""
    gone: set[int] = set()
    for a, b, overlap in _close(item):
        if overlap >= CERTAIN and item.truth[a].label == item.truth[b].label and not gone & {a, b}:
            gone.add(b if _says(item.truth[a]) >= _says(item.truth[b]) else a)
    shrunk = min(1.0, SEEN_AT / max(width, height, 1))
    if "tiny_box" in drop:
        boxed = ((spot, one) for spot, one in enumerate(item.truth) if one.box is not None and not one.ignored)
        gone |= {spot for spot, one in boxed if _shorter(one) * shrunk < SMALLEST}
    return tuple(one for spot, one in enumerate(item.truth) if spot not in gone) if gone else item.truth


def agree(one: Item, other: Item, size: tuple[int, int], other_size: tuple[int, int]) -> bool:
    """Whether two versions of a picture (width, height) have the same objects at the same places."""
    ours, theirs = list(_boxed(one)), list(_boxed(other))
    if sorted(mark.label for mark in one.truth) != sorted(mark.label for mark in other.truth) or len(ours) != len(theirs):
        return False
    if not ours:
        return True
    overlap = iou(_array(ours) / np.tile(size, 2), _array(theirs) / np.tile(other_size, 2))
    overlap[np.array([a.label for a in ours])[:, None] != np.array([b.label for b in theirs])[None]] = 0
    best = overlap.argmax(axis=1)
    return len(set(best.tolist())) == len(ours) and bool((overlap.max(axis=1) >= _AGREES).all())


def _boxed(item: Item) -> Iterator[Annotation]:
    return (one for one in item.truth if one.box is not None and not one.ignored)


def _array(marks: Sequence[Annotation]) -> NDArray[np.float64]:
    return np.array([mark.box for mark in marks], np.float64).reshape(-1, 4)


def _close(item: Item) -> Iterator[tuple[int, int, float]]:
    """(first, second, overlap) of boxes of one picture that overlap nearly wholly."""
    spots = [spot for spot, one in enumerate(item.truth) if one.box is not None and not one.ignored]
    boxes = _array([item.truth[spot] for spot in spots])
    if len(boxes) < 2:
        return
    order = np.argsort(boxes[:, 0], kind="stable")
    boxes = boxes[order]
    # of boxes that overlap by 85 % the left sides are at most 15 % of a width apart: only those are compared
    ends = np.searchsorted(boxes[:, 0], boxes[:, 0] + (1 - ALIKE) * (boxes[:, 2] - boxes[:, 0]) + 1e-6, side="right")
    whole = iou(boxes, boxes) if len(boxes) <= _AT_ONCE else None
    for here, end in enumerate(ends.tolist()):
        if end <= here + 1:
            continue
        overlap = whole[here, here + 1 : end] if whole is not None else iou(boxes[here : here + 1], boxes[here + 1 : end])[0]
        for away in np.flatnonzero(overlap >= ALIKE).tolist():
            pair = sorted((spots[order[here]], spots[order[here + 1 + away]]))
            yield pair[0], pair[1], float(overlap[away])


def _pair(item: Item, one: Annotation, other: Annotation, overlap: float) -> Finding:
    same = one.label == other.label
    what = f"two boxes of {one.label!r}" if same else f"{one.label!r} and {other.label!r}"
    sure = "keep one of them" + ("" if overlap >= CERTAIN else " if they are one object")
    return Finding(
        kind="doubled_box" if same else "box_conflict",
        items=(item.name,),
        message=f"{item.name}: {what} share {overlap:.0%} of their place: {_where(one)}",
        fix=sure if same else "decide which class it is; leave both where one thing wears or holds the other",
        score=round(overlap, 4),
        severity="warning",
    )


def _odd(dataset: Dataset, widths: NDArray[np.int32], heights: NDArray[np.int32]) -> Iterator[Finding]:
    sizes: Mapping[str, list[tuple[float, Item, Annotation]]] = defaultdict(list)
    for spot, item in enumerate(dataset.items):
        area = float(widths[spot]) * float(heights[spot])
        for one in _boxed(item) if area else ():
            x0, y0, x1, y1 = one.box or (0.0,) * 4
            sizes[one.label].append((0.5 * float(np.log(max((x1 - x0) * (y1 - y0), 1e-6) / area)), item, one))
    for label, found in sizes.items():
        if len(found) < ENOUGH:
            continue
        values = np.array([value for value, _, _ in found])
        usual = float(np.median(values))
        spread = 1.4826 * float(np.median(np.abs(values - usual))) + 0.1
        for value, item, one in found:
            if abs(value - usual) > ODD * spread:
                times = float(np.exp(abs(value - usual)))
                how = "larger" if value > usual else "smaller"
                yield Finding(
                    kind="odd_box",
                    items=(item.name,),
                    message=f"{item.name}: a box of {label!r} {times:.0f} times {how} than is usual: {_where(one)}",
                    fix="look whether it is drawn around the whole thing, and has the right class",
                    score=round(1 - 1 / times, 4),
                    severity="info",
                )


def _shorter(one: Annotation) -> float:
    x0, y0, x1, y1 = one.box or (0.0,) * 4
    return min(x1 - x0, y1 - y0)


def _says(one: Annotation) -> int:
    return sum(part is not None for part in (one.polygon, one.rings, one.mask, one.keypoints, one.text))


def _where(one: Annotation) -> str:
    return ", ".join(f"{value:g}" for value in one.box or ())
