"""Boxes in pixels: overlap, suppression, clipping, and the way from a picture to the square a detector sees and back.

Boxes are (x0, y0, x1, y1), float32 (n, 4); a pixel is one unit wide. Knows neither files nor models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import UsageError
from sightline.runtime.fitting import inner_size

if TYPE_CHECKING:
    from sightline.types import InputSpec

Boxes = NDArray[np.float32]


def areas(boxes: NDArray[Any]) -> NDArray[Any]:
    """Square pixels of each box (n,); 0 for one whose corners are swapped."""
    return np.asarray(np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0))


def intersections(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Square pixels that each of a (n, 4) shares with each of b (m, 4): (n, m)."""
    width = np.minimum(a[:, None, 2], b[None, :, 2]) - np.maximum(a[:, None, 0], b[None, :, 0])
    height = np.minimum(a[:, None, 3], b[None, :, 3]) - np.maximum(a[:, None, 1], b[None, :, 1])
    return np.asarray(np.maximum(width, 0) * np.maximum(height, 0))


def iou(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Intersection over union of each of a (n, 4) with each of b (m, 4): (n, m) in 0..1; 0 where both are empty."""
    shared = intersections(a, b)
    either = areas(a)[:, None] + areas(b)[None, :] - shared
    return np.asarray(np.divide(shared, either, out=np.zeros_like(shared), where=either > 0))


def within(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Intersection over the smaller of the two boxes, (n, m): 1 where one lies in the other."""
    shared = intersections(a, b)
    smaller = np.minimum(areas(a)[:, None], areas(b)[None, :])
    return np.asarray(np.divide(shared, smaller, out=np.zeros_like(shared), where=smaller > 0))


def nms(
    boxes: NDArray[Any],
    scores: NDArray[Any],
    labels: NDArray[Any] | None = None,
    threshold: float = 0.5,
    most: int | None = None,
) -> NDArray[np.intp]:
    """Greedy non-maximum suppression: the rows that stay, best first, at most `most` of them.

    A box goes when it overlaps a better one by more than `threshold` (IoU); with `labels` only one of its own class, as
    torchvision's batched_nms and ONNX's NonMaxSuppression. Of equal scores the earlier row is the better one.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while order.size and (most is None or len(kept) < most):
        best, order = order[0], order[1:]
        kept.append(int(best))
        over = iou(boxes[best : best + 1], boxes[order])[0] > threshold
        if labels is not None:
            over &= labels[order] == labels[best]
        order = order[~over]
    return np.asarray(kept, np.intp)


def clip(boxes: NDArray[Any], width: float, height: float) -> Boxes:
    """The parts of boxes inside a picture of width x height pixels; one wholly outside becomes empty, on the edge."""
    most = np.asarray([width, height, width, height], np.float32)
    return np.asarray(np.clip(boxes, 0, most), np.float32)


def from_centres(boxes: NDArray[Any]) -> Boxes:
    """(centre x, centre y, width, height) rows as corners."""
    half = boxes[:, 2:4] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How a picture of `size` (width, height) lies in the square that a model sees: scaled, then moved."""

    size: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[int, int]

    def into(self, boxes: NDArray[Any]) -> Boxes:
        """Boxes (n, 4), or points (n, 2), of the picture as pixels of the square."""
        scale, offset = self._both(boxes)
        return np.asarray(boxes * scale + offset, np.float32)

    def back(self, boxes: NDArray[Any]) -> Boxes:
        """Boxes (n, 4), or points (n, 2), of the square as pixels of the picture, clipped to it."""
        scale, offset = self._both(boxes)
        values = (boxes - offset) / scale
        most = np.tile(np.asarray(self.size, np.float32), values.shape[-1] // 2)
        return np.asarray(np.clip(values, 0, most), np.float32)

    def _both(self, values: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        repeat = values.shape[-1] // 2
        return np.tile(np.asarray(self.scale, np.float32), repeat), np.tile(np.asarray(self.offset, np.float32), repeat)


def letterbox(size: tuple[int, int], spec: InputSpec) -> Letterbox:
    """What `runtime/fitting.py` does to an upright picture of (width, height) for fit="pad" or "squash".

    UsageError for fit="crop": what is cut off cannot be found.
    """
    if spec.fit == "crop":
        raise UsageError(
            "a detector sees whole pictures, and this input cuts their sides off", hint="train it with `--fit pad`"
        )
    width, height = size
    inner = inner_size(width, height, spec.size) if spec.fit == "pad" else (spec.size, spec.size)
    offset = ((spec.size - inner[0]) // 2, (spec.size - inner[1]) // 2)
    return Letterbox(size, (inner[0] / width, inner[1] / height), offset)
