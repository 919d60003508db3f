"""Scenes: prepared pictures with their boxes, as a lesson for the loop. Knows no networks' architecture, no formats.

Boxes are float32 (k, 4), x0 y0 x1 y1, in pixels of the prepared (letterboxed) picture.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.learn import cache
from sightline.learn.balance import picture_weights
from sightline.learn.detect.augment import Shift, scene_batch
from sightline.learn.detect.judging import Answer, judged
from sightline.learn.detect.network import DetectorNetwork, Found
from sightline.learn.lesson import Piece
from sightline.learn.network import Trainable
from sightline.learn.plan import Plan
from sightline.learn.step import ON_DEVICE, Parts
from sightline.runtime.dimensions import dimensions
from sightline.runtime.fitting import GREY
from sightline.runtime.geometry import Letterbox, letterbox
from sightline.runtime.masks import filled, mask_box, pixels_of
from sightline.types import Annotation, Failure, InputSpec, Item

LEAST = 1.0  # pixels of the prepared picture: a box with a shorter side is not learnt from
BATCH = 16  # pictures that are answered together in validation


@dataclass(frozen=True, slots=True)
class Truth:
    """The objects of one prepared picture."""

    boxes: NDArray[np.float32]  # (k, 4)
    labels: NDArray[np.int64]  # (k,)
    ignored: NDArray[np.float32]  # (j, 4): crowds and difficult objects
    masks: NDArray[np.uint8] | None = None  # (k, s, ceil(s / 8)): np.packbits of (k, s, s)
    keypoints: NDArray[np.float32] | None = None  # (k, p, 3): x, y, visibility


@dataclass(frozen=True, slots=True)
class Scenes:
    """A lesson (learn/lesson.py) of pictures with objects."""

    images: NDArray[np.uint8]  # (n, s, s, 3), letterboxed
    truth: tuple[Truth, ...]
    val_images: NDArray[np.uint8]  # (m, s, s, 3)
    val_truth: tuple[Truth, ...]
    classes: int
    fill: tuple[float, float, float] = GREY
    swaps: tuple[int, ...] | None = None  # keypoints in the order that a mirrored object has them: left and right change places

    @property
    def pictures(self) -> int:
        return len(self.images)

    @property
    def val_pictures(self) -> int:
        return len(self.val_images)

    @property
    def measure(self) -> str:
        return "mAP@.5"

    def identity(self) -> dict[str, Any]:
        """All boxes, and a sample of the pictures."""
        total = hashlib.sha256()
        for one in (*self.truth, *self.val_truth):
            for part in (one.boxes, one.labels, one.ignored, one.masks, one.keypoints):
                total.update(b"-" if part is None else part.tobytes())
        for images in (self.images, self.val_images):
            total.update(repr(images.shape).encode())
            total.update(images[:: max(1, len(images) // 64)].tobytes())
        return {"pictures": total.hexdigest()[:16]}

    def held(self, model: Trainable, plan: Plan, device: torch.device) -> Tensor | None:  # noqa: ARG002
        """All pictures on the GPU, when they fit."""
        fits = device.type == "cuda" and self.images.nbytes <= ON_DEVICE
        return torch.from_numpy(np.array(self.images)).to(device) if fits else None

    def shares(self, plan: Plan) -> NDArray[np.float32] | None:
        """Pictures with rare classes more often; those without objects as the commonest."""
        if not plan.sampling:
            return None
        present = np.zeros((len(self.truth), self.classes), np.float32)
        for row, one in enumerate(self.truth):
            present[row, one.labels] = 1
        return picture_weights(present, plan.sampling)

    def batch(self, parts: Parts, rows: Tensor, step: int, steps: int, draws: torch.Generator) -> Piece:
        model, plan = cast(DetectorNetwork, parts.model), parts.plan
        how = Shift(
            plan.augment,
            side=plan.size if not model.any_size else _side(plan, draws),
            mosaic=plan.mosaic if step < steps * (1 - plan.closing) else 0.0,
        )

        def taken(some: Tensor) -> Tensor:
            if isinstance(parts.held, Tensor):
                return parts.held[some.to(parts.device)]
            return torch.from_numpy(np.array(self.images[some.numpy()])).to(parts.device)

        pixels, targets = scene_batch(rows, taken, self.truth, how, draws, fill=self.fill, swaps=self.swaps)

        def piece(some: slice) -> tuple[Tensor, float]:
            with torch.autocast(parts.device.type, torch.bfloat16, enabled=plan.precision == "bf16"):
                losses = model.loss(pixels[some], targets[some])
            return torch.stack([loss.float() for loss in losses.values()]).sum(), 0.0

        return piece

    def validate(self, parts: Parts) -> tuple[float, float]:
        """(1 - the mean score that is given to what is there, mAP@.5) of the averaged weights."""
        if not len(self.val_images):
            return float("nan"), float("nan")
        model = cast(DetectorNetwork, parts.average.model)
        found = found_in(model, self.val_images, bf16=parts.plan.precision == "bf16")
        return judged(self.val_truth, found, self.classes)

    def score(self, loss: float, right: float) -> list[float]:
        return [right, -loss]

    def validation_seconds(self, model: Trainable, plan: Plan, device: torch.device) -> float:
        sample = self.val_images[:BATCH]
        start = time.perf_counter()
        found_in(cast(DetectorNetwork, model).to(device), sample, bf16=plan.precision == "bf16")
        return (time.perf_counter() - start) * len(self.val_images) / len(sample)


def _side(plan: Plan, draws: torch.Generator) -> int:
    """This step's side: a multiple of 32, up to `plan.scales` smaller or larger than the input's."""
    low, high = (max(1, round(plan.size * (1 + way * plan.scales) / 32)) for way in (-1, 1))
    return plan.size if low >= high else 32 * int(torch.randint(low, high + 1, (1,), generator=draws))


@torch.inference_mode()
def found_in(model: DetectorNetwork, images: NDArray[np.uint8], *, bf16: bool = False, batch: int = BATCH) -> list[Answer]:
    """What a network finds in prepared pictures uint8 (n, s, s, 3); its mode comes back as it was."""
    device, was_training = next(model.parameters()).device, model.training
    model.eval()
    answers: list[Answer] = []
    for start in range(0, len(images), batch):
        pixels = torch.from_numpy(np.array(images[start : start + batch])).to(device).float()
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            found: list[Found] = model.find(pixels)
        answers += [_answer(one) for one in found]
    model.train(was_training)
    return answers


def _answer(found: Found) -> Answer:
    return Answer(found.boxes.float().cpu().numpy(), found.scores.float().cpu().numpy(), found.labels.cpu().numpy())


# --- from a dataset


@dataclass(frozen=True, slots=True)
class Gathered:
    """One side of a dataset, prepared: `items` are those that could be read."""

    images: NDArray[np.uint8]
    truth: tuple[Truth, ...]
    items: tuple[Item, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """What is asked of the truth beside boxes."""

    masks: bool = False
    points: int = 0  # keypoints of an object
    skip: frozenset[str] = field(default_factory=frozenset)


def gather(items: Sequence[Item], classes: Sequence[str], spec: InputSpec, kind: Kind | None = None) -> Gathered:
    """Prepare pictures (kept in the cache) and bring their objects into the prepared pixels."""
    prepared = cache.prepare_all(items, spec)
    kept = tuple(items[place] for place in prepared.kept)
    numbers = {name: number for number, name in enumerate(classes)}
    truth = tuple(
        truth_of(item.truth, letterbox(dimensions(item.uri).upright, spec), spec.size, numbers, kind) for item in kept
    )
    return Gathered(prepared.pictures, truth, kept, prepared.failures)


def truth_of(
    truth: Sequence[Annotation], box: Letterbox, size: int, numbers: dict[str, int], kind: Kind | None = None
) -> Truth:
    """A picture's annotations in pixels of the prepared one. What has no place, no known class or no area is left out."""
    kind = kind or Kind()
    boxes, labels, ignored, masks, keypoints = [], [], [], [], []
    for one in truth:
        around = box_of(one)
        if around is None:
            continue
        corners = np.clip(box.into(np.asarray([around], np.float32)), 0, size)[0]
        if min(corners[2] - corners[0], corners[3] - corners[1]) < LEAST:
            continue
        if one.ignored:
            ignored.append(corners)
            continue
        if one.label not in numbers:
            continue
        boxes.append(corners)
        labels.append(numbers[one.label])
        if kind.masks:
            masks.append(np.packbits(mask_in(one, around, box, size), axis=-1))
        if kind.points:
            keypoints.append(points_in(one, box, kind.points))
    return Truth(
        np.asarray(boxes, np.float32).reshape(-1, 4),
        np.asarray(labels, np.int64),
        np.asarray(ignored, np.float32).reshape(-1, 4),
        np.asarray(masks, np.uint8).reshape(-1, size, -(-size // 8)) if kind.masks else None,
        np.asarray(keypoints, np.float32).reshape(-1, kind.points, 3) if kind.points else None,
    )


def box_of(one: Annotation) -> tuple[float, float, float, float] | None:
    """An annotation's box, or the smallest one around its outline, mask or keypoints; None where it says no place."""
    if one.box is not None:
        return one.box
    if one.mask is not None:
        return mask_box(pixels_of(one.mask))
    seen = [
        at for at, shown in zip(one.keypoints or (), one.visibility or (2,) * len(one.keypoints or ()), strict=True) if shown
    ]
    points = [point for ring in rings_of(one) for point in ring] or seen
    if not points:
        return None
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def rings_of(one: Annotation) -> tuple[tuple[tuple[float, float], ...], ...]:
    return one.rings or ((one.polygon,) if one.polygon else ())


def mask_in(one: Annotation, around: tuple[float, float, float, float], box: Letterbox, size: int) -> NDArray[np.bool_]:
    """An object's pixels (size, size) in the prepared picture: of its outline, its mask, or of its whole box."""
    rings = [box.into(np.asarray(ring, np.float32)) for ring in rings_of(one)]
    if not rings and one.mask is not None:
        from PIL import Image

        canvas = np.zeros((size, size), bool)
        inner = (round(box.size[0] * box.scale[0]), round(box.size[1] * box.scale[1]))
        seen = Image.fromarray(pixels_of(one.mask).astype(np.uint8) * 255).resize(inner, Image.Resampling.BOX)
        x, y = box.offset
        canvas[y : y + inner[1], x : x + inner[0]] = np.asarray(seen) >= 128
        return canvas
    if not rings:
        x0, y0, x1, y1 = around
        rings = [box.into(np.asarray([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float32))]
    return np.asarray(filled([[(float(x), float(y)) for x, y in ring] for ring in rings], (size, size)), bool)


def points_in(one: Annotation, box: Letterbox, count: int) -> NDArray[np.float32]:
    """Keypoints (count, 3) of an object: x, y and visibility 0, 1, 2; those that are not said have 0."""
    found = np.zeros((count, 3), np.float32)
    points = np.asarray(one.keypoints or (), np.float32).reshape(-1, 2)[:count]
    if len(points):
        found[: len(points), :2] = box.into(points)
        found[: len(points), 2] = 2 if one.visibility is None else np.asarray(one.visibility[: len(points)])
        found[found[:, 2] == 0] = 0
    return found
