"""Large pictures in overlapping tiles: objects too small in the whole picture are seen, one across a seam is told once.

As slicing aided inference (Akyon et al. 2022, arXiv 2202.06934): tiles and the whole picture are looked at, answers merged.
Knows pixels and boxes only, not models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sightline.errors import UsageError
from sightline.runtime import pixels
from sightline.runtime.dimensions import dimensions
from sightline.runtime.found import Found, together
from sightline.runtime.geometry import areas, iou, within
from sightline.types import Card

Pixels = NDArray[np.uint8]
Tile = tuple[int, int, int, int]  # x0, y0, x1, y1
SAME = 0.5  # IoU of two boxes of one class that are one object
PART = 0.6  # share of the smaller one that lies in the other, when a seam cut one of them
LEAST, MOST = 32, 100_000  # pixels of a tile's side
EDGE = 2.0  # pixels from a seam within which a box counts as cut


@dataclass(frozen=True, slots=True)
class Tiles:
    """`side`: pixels of a tile. `least`: pictures up to this longest side are looked at whole. `overlap`: share of the side."""

    side: int
    least: int
    overlap: float = 0.25

    def pixels(self, picture: bytes | Pixels) -> Pixels | None:
        """The upright pixels of a picture that is to be cut; None for one that is small enough."""
        if isinstance(picture, np.ndarray):
            return picture if max(picture.shape[:2]) > self.least else None
        size = dimensions(picture).upright
        return pixels.decode(picture) if max(size) > self.least else None


def read_tiles(text: str, card: Card) -> Tiles | None:
    """What `--tiles` says: "off", pixels of a tile's side, or "auto"; UsageError.

    auto: pictures at least three times as large as those that the model learnt from are cut into tiles of that size. Where that
    size is not known none are.
    """
    word = text.strip().lower()
    if word == "off":
        return None
    if word == "auto":
        known = card.dataset.get("picture_side", 0 if card.layout == "sightline" else card.input.size)
        side = int(known) if isinstance(known, int | float) else 0
        return Tiles(side, 3 * side) if side >= LEAST else None
    if not word.isdecimal() or not LEAST <= int(word[:9]) <= MOST:
        raise UsageError(f"--tiles is auto, off, or {LEAST} to {MOST} pixels, got {text!r}", hint="for example --tiles 640")
    return Tiles(int(word), int(word))


def cut(width: int, height: int, side: int, overlap: float = 0.25) -> list[Tile]:
    """Tiles of at most `side` pixels a side that cover the picture, evenly spread, overlapping by at least that share."""
    return [
        (x, y, min(x + side, width), min(y + side, height))
        for y in _starts(height, side, overlap)
        for x in _starts(width, side, overlap)
    ]


def _starts(length: int, side: int, overlap: float) -> list[int]:
    if length <= side:
        return [0]
    step = max(1, int(side * (1 - overlap)))
    count = -(-(length - side) // step) + 1
    return [round(place * (length - side) / (count - 1)) for place in range(count)]


def find_in_tiles(find: Callable[[Pixels], Found], picture: Pixels, tiles: Tiles) -> Found:
    """What `find` sees in the whole picture uint8 (h, w, 3) and in its tiles, each object once."""
    height, width = picture.shape[:2]
    whole = find(picture)
    parts, cuts, origins = [whole], [np.zeros(len(whole), bool)], [np.zeros(len(whole), np.int64)]
    for number, tile in enumerate(cut(width, height, tiles.side, tiles.overlap), 1):
        x0, y0, x1, y1 = tile
        found = find(np.ascontiguousarray(picture[y0:y1, x0:x1]))
        cuts.append(_at_seams(found.boxes, tile, (width, height)))
        origins.append(np.full(len(found), number))
        points = found.keypoints
        if points is not None:
            points = points + np.array([x0, y0, 0], np.float32)
        parts.append(replace(found, boxes=found.boxes + np.array([x0, y0, x0, y0], np.float32), keypoints=points))
    order = np.argsort(-np.concatenate([part.scores for part in parts]), kind="stable")
    everything = together(parts, (width, height))
    return merged(everything, np.concatenate(origins)[order], np.concatenate(cuts)[order])


def _at_seams(boxes: NDArray[np.float32], tile: Tile, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which boxes (in pixels of the tile) end where the tile does and the picture does not."""
    x0, y0, x1, y1 = tile
    edges = (
        (boxes[:, 0] <= EDGE) & (x0 > 0),
        (boxes[:, 1] <= EDGE) & (y0 > 0),
        (boxes[:, 2] >= x1 - x0 - EDGE) & (x1 < size[0]),
        (boxes[:, 3] >= y1 - y0 - EDGE) & (y1 < size[1]),
    )
    return np.asarray(np.any(edges, axis=0))


def merged(found: Found, origins: NDArray[np.int64], cut_off: NDArray[np.bool_]) -> Found:
    """Objects told several times, once: `origins` (k,) names each one's tile (0: the whole picture), `cut_off` those at seams.

    Of two boxes of one class from different tiles that are the same (IoU) the uncut, then the better one stays. Where a seam
    cut one and most of it lies in the other it goes; where seams cut both, one box around both stays, with the better's mask.
    """
    rank = np.lexsort((-found.scores, cut_off))  # whole objects first, then the best
    boxes, labels = found.boxes.copy(), found.labels
    cut_off = cut_off.copy()
    alive = np.ones(len(found), bool)
    grown = True
    while grown:  # a box that grew may meet further parts: an object across three tiles
        grown = False
        for one in rank:
            if not alive[one]:
                continue
            others = np.flatnonzero(alive & (labels == labels[one]) & (origins != origins[one]))
            others = others[cut_off[others] | ~cut_off[one]]
            if not others.size:
                continue
            here = boxes[one : one + 1]
            same = iou(here, boxes[others])[0] > SAME
            part = (within(here, boxes[others])[0] > PART) & cut_off[others]
            # two parts of one object: both cut, and what they share is most of the overlap of their tiles
            part |= cut_off[others] & cut_off[one] & _continued(boxes[one], boxes[others])
            for other in others[same | part]:
                alive[other] = False
                if cut_off[one] and cut_off[other]:
                    wider = np.concatenate(
                        [np.minimum(boxes[one][:2], boxes[other][:2]), np.maximum(boxes[one][2:], boxes[other][2:])]
                    )
                    grown |= bool(areas(wider[None])[0] > areas(boxes[one][None])[0] * 1.01)
                    boxes[one] = wider
    rows = np.flatnonzero(alive)
    kept = replace(found, boxes=boxes).rows(rows)
    return kept.rows(np.argsort(-kept.scores, kind="stable"))


def _continued(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether each other box goes on where `box` ends: they overlap, and along one axis they span nearly the same."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    shared = np.maximum(high - low, 0)
    span = np.maximum(box[2:], others[:, 2:]) - np.minimum(box[:2], others[:, :2])
    alike = shared / np.maximum(span, 1e-6) > 0.7
    return np.asarray((shared > 0).all(axis=1) & alike.any(axis=1))
