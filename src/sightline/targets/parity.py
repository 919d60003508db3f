"""Does the written file answer like the model? The same pictures go through both, one by one.

Knows graphs as functions from inputs to outputs; neither how a target is written nor where pictures come from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

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
EDGE = 0.02  # share of the threshold for "unknown" within which rounding decides

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

    The same answer: the same top label and the same "unknown" (several labels: the same decisions; objects: the same ones
    from the score 0.25 on, or the best ones where none is so sure; pixels: the same class in 98 % of them).
    """
    feed, ours = reference(bundle)
    pairs = []
    for picture in pictures:
        given = feed(picture)
        mine, its = ours(given), engine(given)
        missing = [name for name in mine if name not in its]
        if missing:
            raise ParityError(
                f"the written file does not answer {', '.join(missing)}, only {', '.join(its) or 'nothing'}",
                hint="nothing was written; choose another target",
            )
        pairs.append(_pair(bundle.card, mine, its))
    finds = bundle.card.task == "detection"
    parity = Parity(
        pictures=len(pairs),
        agreement=float(np.mean([pair.same for pair in pairs])) if pairs else 1.0,
        largest_difference=_largest([pair.difference for pair in pairs]),
        largest_shift=_largest([pair.shift for pair in pairs]) if finds else None,
        objects=sum(pair.objects for pair in pairs) if finds else None,
    )
    if not pairs or parity.agreement < AGREEMENT or not np.isfinite(parity.largest_difference):
        raise ParityError(
            f"the written file answers differently from the model: {parity.agreement:.1%} of {parity.pictures} pictures get "
            f"the same answer, scores differ by up to {parity.largest_difference:.3f}",
            hint="nothing was written; give pictures of your own with --data, without --half, or choose another target",
            detail=parity.model_dump(),
        )
    return parity


class _Pair(NamedTuple):
    """One picture's two answers."""

    same: bool
    difference: float  # the largest of a score; NaN where the written file does not give a number
    shift: float = 0.0  # the largest move of a box's side, px
    objects: int = 0  # compared


_NO_NUMBER = _Pair(False, float("nan"), float("nan"))


def _largest(values: list[float]) -> float:
    """The largest; NaN wherever there is one."""
    return float(np.max([0.0, *values]))


def _pair(card: Card, mine: Mapping[str, NDArray[Any]], its: Mapping[str, NDArray[Any]]) -> _Pair:
    if card.task == "detection":
        read = LAYOUTS[card.layout].read
        return _objects(read(mine, len(card.classes)), read(its, len(card.classes)))
    name = "classes" if card.task == "segmentation" else "probabilities"
    a, b = (np.asarray(one[name][0], np.float32) for one in (mine, its))
    if a.shape != b.shape:
        return _NO_NUMBER
    difference = float(np.abs(a - b).max())
    if card.task == "segmentation":
        return _Pair(bool((a.argmax(axis=0) == b.argmax(axis=0)).mean() >= AGREEMENT), difference)
    known = _known_alike(card, mine, its)
    if known is None:
        return _NO_NUMBER
    if card.task == "multilabel":
        thresholds = np.array([card.thresholds.get(label, 0.5) for label in card.classes], np.float32)
        return _Pair(known and bool(((a >= thresholds) == (b >= thresholds)).all()), difference)
    best, other = int(a.argmax()), int(b.argmax())
    # a tie within the rounding of single precision is no disagreement
    return _Pair(known and (best == other or float(a[best] - a[other]) < 1e-6), difference)


def _known_alike(card: Card, mine: Mapping[str, NDArray[Any]], its: Mapping[str, NDArray[Any]]) -> bool | None:
    """Whether both call the picture unknown, or neither; at the very threshold either will do. None: not a number."""
    if card.unknown is None:
        return True
    a, b = (float(np.asarray(one["novelty"], np.float32).ravel()[0]) for one in (mine, its))
    if not np.isfinite(b):
        return None
    threshold = card.unknown.threshold
    return (a > threshold) == (b > threshold) or abs(a - threshold) <= EDGE * abs(threshold)


def _objects(mine: Found, its: Found) -> _Pair:
    """Each object of the one stands for one of the other, both ways; masks and keypoints are not looked at."""
    if not (np.isfinite(its.scores).all() and np.isfinite(its.boxes).all()):
        return _NO_NUMBER
    sure = SURE if (mine.scores >= SURE).any() or not len(mine) else 0.5 * float(mine.scores.max())
    alike, difference, shift, objects = True, 0.0, 0.0, 0
    for one, other in ((mine, its), (its, mine)):
        free = np.ones(len(other), bool)
        rows = np.flatnonzero(one.scores >= sure)
        objects += len(rows) if one is mine else 0
        for row in rows:
            near = iou(one.boxes[row : row + 1], other.boxes)[0] * (other.labels == one.labels[row]) * free
            best = int(near.argmax()) if len(near) else -1
            if best < 0 or near[best] < SAME:
                alike = alike and bool(one.scores[row] < sure * (1 + SLACK / SURE))
                continue
            free[best] = False
            difference = max(difference, float(abs(one.scores[row] - other.scores[best])))
            shift = max(shift, float(np.abs(one.boxes[row] - other.boxes[best]).max()))
    return _Pair(alike, difference, shift, objects)
