"""How detectors' graphs take a picture and answer: our own way, and those of other makers' YOLO files.

A layout feeds prepared pixels uint8 (size, size, 3) and reads the outputs as objects in those pixels. Knows no files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightline.errors import BundleError
from sightline.runtime.found import Found
from sightline.runtime.geometry import from_centres, nms

Outputs = Mapping[str, NDArray[Any]]  # by name, in the graph's order
FLOOR = 0.01  # objects below this score are never told of
MOST = 300  # objects of one picture
_BEFORE = 3000  # boxes of a foreign graph that suppression looks at


class Layout(NamedTuple):
    """`feed`: what the graph takes. `read`: its outputs, the number of classes -> objects in pixels of the input, best first.
    `float_input`: the graph takes NCHW in 0..1, not bytes."""

    feed: Callable[[NDArray[np.uint8]], NDArray[Any]]
    read: Callable[[Outputs, int], Found]
    float_input: bool
    about: str


def _as_bytes(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image[None]


def _as_floats(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)[None] / np.float32(255)


def _ours(outputs: Outputs, _: int) -> Found:
    """`boxes` (k, 4), `scores` (k,) best first, `labels` (k,), after suppression; perhaps `masks` and `keypoints`."""
    masks, keypoints = outputs.get("masks"), outputs.get("keypoints")
    return Found(
        boxes=np.asarray(outputs["boxes"], np.float32).reshape(-1, 4),
        scores=np.asarray(outputs["scores"], np.float32).reshape(-1),
        labels=np.asarray(outputs["labels"], np.int64).reshape(-1),
        masks=None if masks is None else np.asarray(masks, np.float32),
        keypoints=None if keypoints is None else np.asarray(keypoints, np.float32),
    )


def _yolov5(outputs: Outputs, classes: int) -> Found:
    """(1, n, 5 + classes): centre x, y, width, height, objectness, a score for each class, before suppression."""
    rows = _table(outputs, classes + 5, last=True)
    return _suppressed(rows[:, :4], rows[:, 4:5] * rows[:, 5:], 0.45)


def _yolov8(outputs: Outputs, classes: int) -> Found:
    """(1, 4 + classes, n): centre x, y, width, height, a score for each class, before suppression; also v9, v11, v12."""
    rows = _table(outputs, classes + 4, last=False)
    return _suppressed(rows[:, :4], rows[:, 4:], 0.7)


def _yolov10(outputs: Outputs, classes: int) -> Found:
    """(1, n, 6): corners, score, class; nothing is suppressed. Also the others when they were exported with suppression."""
    rows = _table(outputs, 6, last=True)
    rows = rows[(rows[:, 4] >= FLOOR) & (rows[:, 5] >= 0) & (rows[:, 5] < classes)]
    rows = rows[np.argsort(-rows[:, 4], kind="stable")[:MOST]]
    return Found(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64))


def _table(outputs: Outputs, columns: int, *, last: bool) -> NDArray[np.float32]:
    """The first output as rows (n, columns), whose columns are the graph's last (or second) axis; BundleError."""
    name, values = next(iter(outputs.items()))
    side = -1 if last else 1
    if values.ndim != 3 or values.shape[0] != 1 or values.shape[side] != columns:
        wanted = f"(1, n, {columns})" if last else f"(1, {columns}, n)"
        raise BundleError(
            f"the output {name} of the graph is {tuple(values.shape)}, not {wanted}", hint="check --layout and --classes"
        )
    rows = np.asarray(values[0], np.float32)
    return rows if last else np.ascontiguousarray(rows.T)


def _suppressed(centres: NDArray[np.float32], scores: NDArray[np.float32], threshold: float) -> Found:
    """Each box with its best class, the overlapping ones of a class left out."""
    labels = scores.argmax(axis=1)
    best = scores[np.arange(len(scores)), labels]
    rows = np.flatnonzero(best >= FLOOR)
    rows = rows[np.argsort(-best[rows], kind="stable")[:_BEFORE]]
    boxes = from_centres(centres[rows])
    kept = nms(boxes, best[rows], labels[rows], threshold, MOST)
    rows = rows[kept]
    return Found(boxes[kept], best[rows], labels[rows].astype(np.int64))


LAYOUTS: dict[str, Layout] = {
    "sightline": Layout(_as_bytes, _ours, False, "made by `sightline train`"),
    "yolov5": Layout(_as_floats, _yolov5, True, "output (1, n, 5 + classes) with objectness: YOLOv5, v6, v7"),
    "yolov8": Layout(_as_floats, _yolov8, True, "output (1, 4 + classes, n): YOLOv8, v9, v11, v12"),
    "yolov10": Layout(_as_floats, _yolov10, True, "output (1, n, 6), nothing left to suppress: YOLOv10, exports with NMS"),
}
