"""What a detector finds in one picture, as plain arrays before it becomes records. Knows neither pictures nor graphs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp] | NDArray[np.bool_] | slice


@dataclass(frozen=True, slots=True)
class Found:
    """Objects, best first; `size` (width, height) is of the picture whose pixels the boxes are in."""

    boxes: NDArray[np.float32]  # (k, 4): x0, y0, x1, y1
    scores: NDArray[np.float32]  # (k,)
    labels: NDArray[np.int64]  # (k,) index into card.classes
    masks: NDArray[np.float32] | None = None  # (k, m, m): probabilities on a grid over each box
    keypoints: NDArray[np.float32] | None = None  # (k, p, 3): x, y, score
    size: tuple[int, int] = (0, 0)

    def __len__(self) -> int:
        return len(self.scores)

    def rows(self, wanted: Rows) -> Found:
        """The objects of these rows, in their order."""
        return replace(
            self,
            boxes=self.boxes[wanted],
            scores=self.scores[wanted],
            labels=self.labels[wanted],
            masks=None if self.masks is None else self.masks[wanted],
            keypoints=None if self.keypoints is None else self.keypoints[wanted],
        )


def nothing(size: tuple[int, int] = (0, 0)) -> Found:
    """No object at all."""
    return Found(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), size=size)


def together(parts: list[Found], size: tuple[int, int]) -> Found:
    """All objects of several answers about one picture, best first."""
    if not parts:
        return nothing(size)

    def joined(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        return None if any(value is None for value in values) else np.concatenate(values)

    fields = {name: joined(name) for name in ("boxes", "scores", "labels", "masks", "keypoints")}
    whole = Found(**fields, size=size)
    return whole.rows(np.argsort(-whole.scores, kind="stable"))
