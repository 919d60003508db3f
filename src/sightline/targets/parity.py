"""Does the written file answer like the model? The same pictures go through both, one by one.

Knows graphs as functions from inputs to outputs; neither how a target is written nor where pictures come from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ParityError
from sightline.runtime import keypoints
from sightline.runtime.bundle import Bundle
from sightline.runtime.engines import open_session
from sightline.runtime.found import Found
from sightline.runtime.geometry import iou
from sightline.runtime.layouts import LAYOUTS
from sightline.targets.target import Engine
from sightline.types import Card, Parity

AGREEMENT = 0.98  # share of pictures with the same answer below which nothing is written
DRAWN = 16  # pictures that are drawn where none are given
SURE = 0.25  # objects below this score may come and go
SAME = 0.5  # overlap from which two boxes are one object
SLACK = 0.02  # how far below SURE an object of the other side may lie

Feed = Callable[[NDArray[np.uint8]], dict[str, NDArray[Any]]]
Pictures = NDArray[np.uint8]


def drawn(card: Card, count: int = DRAWN, seed: int = 0) -> Pictures:
    """Soft coloured clouds with some noise, uint8 (count, size, size, 3): of clips (count, frames, size, size, 3)."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    size, frames = card.input.size, card.input.frames or 1
    pictures = []
    for _ in range(count * frames):
        coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize((size, size), Image.Resampling.BICUBIC)
        noise = rng.normal(0, 8, (size, size, 3))
        pictures.append(np.clip(np.asarray(coarse) + noise, 0, 255).astype(np.uint8))
    found = np.stack(pictures)
    return found.reshape(count, frames, size, size, 3) if card.input.frames else found


def reference(bundle: Bundle) -> tuple[Feed, Engine]:
    """The model as `predict` runs it: how a prepared picture becomes the graph's inputs, and the graph."""
    session = open_session(bundle.onnx, provider="cpu")
    names = [output.name for output in session.get_outputs()]
    first = session.get_inputs()[0]
    given = keypoints.feed(session)
    layout = LAYOUTS.get(bundle.card.layout)

    def feed(image: Pictures) -> dict[str, NDArray[Any]]:
        if layout is None or not layout.float_input:
            return given(image[None])
        values: NDArray[Any] = layout.feed(image)
        return {first.name: values.astype(np.float16) if first.type == "tensor(float16)" else values}

    def run(values: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return dict(zip(names, session.run(names, dict(values)), strict=True))

    return feed, run


def compared(bundle: Bundle, engine: Engine, pictures: Pictures) -> Parity:
    """The certificate for a written file. Raises ParityError where it answers otherwise in too many pictures.

    The same answer: the same top label (several labels: the same decisions; objects: the same ones from the score 0.25 on;
    pixels: the same class in 98 % of them).
    """
    feed, ours = reference(bundle)
    same, differences, shifts = [], [0.0], [0.0]
    for picture in pictures:
        given = feed(picture)
        alike, difference, shift = _pair(bundle.card, ours(given), engine(given))
        same.append(alike)
        differences.append(difference)
        shifts.append(shift)
    parity = Parity(
        pictures=len(same),
        agreement=float(np.mean(same)) if same else 1.0,
        largest_difference=_largest(differences),
        largest_shift=_largest(shifts) if bundle.card.task == "detection" else None,
    )
    if not same or parity.agreement < AGREEMENT or not np.isfinite(parity.largest_difference):
        raise ParityError(
            f"the written file answers differently from the model: {parity.agreement:.1%} of {parity.pictures} pictures get "
            f"the same answer, scores differ by up to {parity.largest_difference:.3f}",
            hint="nothing was written; give pictures of your own with --data, without --half, or choose another target",
            detail=parity.model_dump(),
        )
    return parity


def _largest(values: list[float]) -> float:
    """The largest; NaN wherever there is one."""
    return float(np.max(values))


def _pair(card: Card, mine: Mapping[str, NDArray[Any]], its: Mapping[str, NDArray[Any]]) -> tuple[bool, float, float]:
    """(same answer, largest difference of a score, largest move of a box's side) for one picture."""
    if card.task == "detection":
        read = LAYOUTS[card.layout].read
        return _objects(read(mine, len(card.classes)), read(its, len(card.classes)))
    name = "classes" if card.task == "segmentation" else "probabilities"
    a, b = (np.asarray(one[name][0], np.float32) for one in (mine, its))
    if a.shape != b.shape:
        return False, float("nan"), 0.0
    difference = float(np.abs(a - b).max())
    if card.task == "segmentation":
        return bool((a.argmax(axis=0) == b.argmax(axis=0)).mean() >= AGREEMENT), difference, 0.0
    if card.task == "multilabel":
        thresholds = np.array([card.thresholds.get(label, 0.5) for label in card.classes], np.float32)
        return bool(((a >= thresholds) == (b >= thresholds)).all()), difference, 0.0
    best, other = int(a.argmax()), int(b.argmax())
    # a tie within the rounding of single precision is no disagreement
    return best == other or float(a[best] - a[other]) < 1e-6, difference, 0.0


def _objects(mine: Found, its: Found) -> tuple[bool, float, float]:
    alike, difference, shift = True, 0.0, 0.0
    for one, other in ((mine, its), (its, mine)):
        for row in np.flatnonzero(one.scores >= SURE):
            near = iou(one.boxes[row : row + 1], other.boxes)[0] * (other.labels == one.labels[row])
            best = int(near.argmax()) if len(near) else -1
            if best < 0 or near[best] < SAME:
                alike = alike and bool(one.scores[row] < SURE + SLACK)
                continue
            difference = max(difference, float(abs(one.scores[row] - other.scores[best])))
            shift = max(shift, float(np.abs(one.boxes[row] - other.boxes[best]).max()))
    return alike, difference, shift
