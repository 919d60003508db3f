"""Varied copies of labelled pictures: pixels, boxes, outlines and points together, and which of the marks are still there.

Knows a recipe and one picture at a time; neither datasets nor where copies are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightline.data.formats.geometry import Canvas, PlaceError, bounds, polygon_on
from sightline.errors import UsageError
from sightline.learn.recipes import MIXING, Changes
from sightline.learn.reproduce import seed_of
from sightline.learn.transforms import Pipeline, pipeline, varied
from sightline.runtime.dimensions import dimensions
from sightline.runtime.pixels import decode, read_picture
from sightline.types import Annotation, Box, Item

LEFT = 0.3  # share of a box that must be left in the picture for the thing to count as shown
Point = tuple[float, float]


class Variant(NamedTuple):
    """A changed copy and what it shows."""

    pixels: NDArray[np.uint8]  # (h, w, 3)
    truth: tuple[Annotation, ...]


def opened(item: Item, side: int) -> Variant:
    """A picture with its marks, made smaller where its longer side has more than `side` pixels. NotFoundError, PictureError."""
    from PIL import Image

    data = read_picture(item.uri)
    width, height = dimensions(data).upright
    scale = min(1.0, side / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    pixels = decode(data, shorter=min(size))
    if pixels.shape[1::-1] != size:
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    across, down = size[0] / width, size[1] / height
    return Variant(pixels, tuple(_scaled(one, across, down) for one in item.truth))


def _scaled(one: Annotation, across: float, down: float) -> Annotation:
    if not _placed(one) or across == down == 1:
        return one

    def all_of(points: tuple[Point, ...] | None) -> tuple[Point, ...] | None:
        return None if points is None else tuple((x * across, y * down) for x, y in points)

    box = None if one.box is None else (one.box[0] * across, one.box[1] * down, one.box[2] * across, one.box[3] * down)
    return one.model_copy(update={"box": box, "polygon": all_of(one.polygon), "keypoints": all_of(one.keypoints)})


def variant(
    pixels: NDArray[np.uint8], truth: Sequence[Annotation], changes: Changes, seed: int, *, number: int = 1, name: str = ""
) -> Variant:
    """The `number`th copy of a picture uint8 (h, w, 3), marks in its pixels. The same seed, name and number give the same.

    A box is cut at the picture's edge and dropped when less than 30 % of it is left; so is a polygon. Points that leave the
    picture are put on its edge, so that the others keep their numbers. Mixing changes are left out.
    """
    marked = any(_placed(one) for one in truth)
    how = pipeline({name: amount for name, amount in changes.amounts.items() if name not in MIXING}, marked=marked)
    return _changed(pixels, truth, how, seed_of(seed, f"copy {name}", number))


def mixed(variants: Sequence[NDArray[np.uint8]], changes: Changes, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Pictures (n, s, s, 3) as a training would mix them, and what share of each is in which: (n, n) float32, rows sum to 1."""
    import torch

    from sightline.learn.augment import NONE, augment

    if any(picture.shape != variants[0].shape for picture in variants):
        raise UsageError("only pictures of one size can be mixed")
    how = replace(NONE, mixup=changes.amounts.get("mixup", 0.0), cutmix=changes.amounts.get("cutmix", 0.0))
    stack = torch.from_numpy(np.stack(variants))
    draws = torch.Generator().manual_seed(seed_of(seed, "mix", 0))
    found, shares = augment(stack, torch.eye(len(variants)), how, stack.shape[1], draws)
    return found.round().clamp(0, 255).to(torch.uint8).numpy(), shares.numpy()


def _placed(one: Annotation) -> bool:
    return one.box is not None or one.polygon is not None or one.keypoints is not None


def _changed(pixels: NDArray[np.uint8], truth: Sequence[Annotation], how: Pipeline, seed: int) -> Variant:
    boxes = [one.box for one in truth if one.box is not None]
    points = [point for one in truth for point in (*(one.polygon or ()), *(one.keypoints or ()))]
    found = varied(pixels, how, seed, boxes=np.array(boxes, np.float32), points=np.array(points, np.float32))
    height, width = found.pixels.shape[:2]
    next_box = iter(found.boxes.tolist())
    next_point = iter(found.points.tolist())
    kept: list[Annotation] = []
    for one in truth:
        box = tuple(next(next_box)) if one.box is not None else None
        polygon = [tuple(next(next_point)) for _ in one.polygon or ()]
        keypoints = [tuple(next(next_point)) for _ in one.keypoints or ()]
        moved = _kept(one, box, polygon, keypoints, (width, height))
        if moved is not None:
            kept.append(moved)
    return Variant(found.pixels, tuple(kept))


def _kept(
    one: Annotation, box: Box | None, polygon: list[Point], keypoints: list[Point], size: tuple[int, int]
) -> Annotation | None:
    """The annotation at its new place, cut at the picture's edge; None when too little of it is left."""
    width, height = size
    if not _placed(one):
        return one
    change: dict[str, object] = {}
    around = bounds(polygon) if polygon else box  # an outline tells more exactly than a box how far a turned thing reaches
    if around is not None:
        clipped = _clipped(around, width, height)
        if _area(clipped) < LEFT * _area(around) or _area(clipped) <= 0:
            return None
        change["box"] = clipped if one.box is not None else None
    if polygon:
        try:
            change["polygon"] = polygon_on(Canvas(width, height, (float(width), float(height))), polygon)
        except PlaceError:
            return None
    if keypoints:
        inside = [(x, y) for x, y in keypoints if 0 <= x <= width and 0 <= y <= height]
        if around is None and len(inside) < LEFT * len(keypoints):
            return None
        change["keypoints"] = tuple((_within(x, width), _within(y, height)) for x, y in keypoints)
    return one.model_copy(update=change)


def _clipped(box: Box, width: int, height: int) -> Box:
    x0, y0, x1, y1 = box
    return _within(x0, width), _within(y0, height), _within(x1, width), _within(y1, height)


def _within(value: float, most: int) -> float:
    return round(min(max(float(value), 0.0), float(most)), 3)


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])
