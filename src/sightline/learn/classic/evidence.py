"""How much each part of a picture speaks for an answer of a classic recogniser: the answer without the part, compared.

Knows a loaded model and prepared pixels. Needs no torch; draws nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.runtime import keypoints
from sightline.runtime.attention import attention_map
from sightline.runtime.model import Model

Floats = NDArray[np.float32]
GRID = 8  # cells a side whose covering is tried, and regions a side in which the points of regular grids are left out together
BATCH = 16


@dataclass(frozen=True, slots=True)
class Evidence:
    """`cells` (g, g) in 0..1: how much the answer rests on each; `points` (m,) in -1..1, or None where there are none: below 0
    speaks against the answer. Rows of `points` are those of `keypoints.describe`.
    """

    cells: Floats
    points: Floats | None


def evidence(model: Model, features: str, image: NDArray[np.uint8], label: str) -> Evidence:
    """What speaks for `label` on a prepared picture (size, size, 3): occlusion of cells, and keypoints left out."""
    kind = features.partition(":")[0]
    points = _points(model, kind, image, label) if kind in keypoints.LIBRARIES else None
    return Evidence(attention_map(model, image, label, GRID), points)


def _points(model: Model, kind: str, image: NDArray[np.uint8], label: str) -> Floats:
    """Fall of the label's log-odds without each point: found ones one by one, those on grids by region."""
    rows = keypoints.describe(kind, image[None])[0]
    found = keypoints.shapes(kind, image)[:, 2] > 0
    region = (np.clip(rows[:, 1:3], 0, 0.999) * GRID).astype(int) @ np.array([1, GRID])
    groups = [np.array([place]) for place in np.flatnonzero(found)]
    groups += [np.flatnonzero(~found & (region == number)) for number in np.unique(region[~found])]
    index = model.card.classes.index(label)

    def odds(given: Floats) -> NDArray[np.float64]:
        said = np.clip(model.answer_given({"keypoints": given}).probabilities[:, index].astype(np.float64), 1e-6, 1 - 1e-6)
        return np.asarray(np.log(said / (1 - said)))

    whole = float(odds(rows[None])[0])
    falls = np.zeros(len(rows))
    for start in range(0, len(groups), BATCH):
        some = groups[start : start + BATCH]
        given = np.repeat(rows[None], len(some), axis=0)
        for place, group in enumerate(some):
            given[place, group, 0] = 0
        for group, left in zip(some, odds(given), strict=True):
            falls[group] = whole - left
    for part in (found, ~found):  # a region of many points weighs more than one point: each kind has its own scale
        falls[part] /= max(float(np.abs(falls[part]).max(initial=0)), 1e-9)
    return falls.astype(np.float32)
