"""Varied copies of labelled pictures: pixels, boxes, outlines and points together, and which of the marks are still there.

Knows a recipe and one picture at a time; neither datasets nor where copies are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
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
from sightline.runtime.masks import pixels_of, to_mask
from sightline.runtime.pixels import decode, read_picture
from sightline.types import Annotation, Box, Item, Skeleton

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
    return Variant(pixels, tuple(_scaled(one, (width, height), size) for one in item.truth))


def _scaled(one: Annotation, size: tuple[int, int], new: tuple[int, int]) -> Annotation:
    """The annotation of a picture of that (width, height) on one of `new`."""
    if not one.placed or size == new:
        return one
    across, down = new[0] / size[0], new[1] / size[1]

    def all_of(points: tuple[Point, ...] | None) -> tuple[Point, ...] | None:
        return None if points is None else tuple((x * across, y * down) for x, y in points)

    box = None if one.box is None else (one.box[0] * across, one.box[1] * down, one.box[2] * across, one.box[3] * down)
    rings = None if one.rings is None else tuple(all_of(ring) for ring in one.rings)
    change: dict[str, object] = {"box": box, "polygon": all_of(one.polygon), "rings": rings, "keypoints": all_of(one.keypoints)}
    if one.mask is not None:
        rows = ((np.arange(new[1]) + 0.5) / down).astype(np.int64)
        columns = ((np.arange(new[0]) + 0.5) / across).astype(np.int64)
        change["mask"] = to_mask(pixels_of(one.mask)[np.ix_(rows, columns)])
    return one.model_copy(update=change)


def variant(
    pixels: NDArray[np.uint8],
    truth: Sequence[Annotation],
    changes: Changes,
    seed: int,
    *,
    number: int = 1,
    name: str = "",
    skeletons: Mapping[str, Skeleton] | None = None,
) -> Variant:
    """The `number`th copy of a picture uint8 (h, w, 3), marks in its pixels. The same seed, name and number give the same.

    A box is cut at the picture's edge and dropped when less than 30 % of it is left; so is an outline. Points that leave the
    picture are not labelled any more (visibility 0), so that the others keep their numbers; in a mirror left and right change
    places where `skeletons` names them. Mixing changes are left out.
    """
    marked = any(one.placed for one in truth)
    how = pipeline({name: amount for name, amount in changes.amounts.items() if name not in MIXING}, marked=marked)
    return _changed(pixels, truth, how, seed_of(seed, f"copy {name}", number), skeletons or {})


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


def _changed(
    pixels: NDArray[np.uint8], truth: Sequence[Annotation], how: Pipeline, seed: int, skeletons: Mapping[str, Skeleton]
) -> Variant:
    boxes = [one.box for one in truth if one.box is not None]
    masks = [pixels_of(one.mask) for one in truth if one.mask is not None]
    points = [point for one in truth for part in (*_rings(one), one.keypoints or ()) for point in part]
    probe = [(pixels.shape[1] / 2 + x, pixels.shape[0] / 2 + y) for x, y in ((0, 0), (1, 0), (0, 1))]
    found = varied(
        pixels,
        how,
        seed,
        boxes=np.array(boxes, np.float32),
        points=np.array([*points, *(probe if points else ())], np.float32),
        masks=np.stack(masks) if masks else None,
    )
    height, width = found.pixels.shape[:2]
    next_box, next_point, next_mask = iter(found.boxes.tolist()), iter(found.points.tolist()), iter(found.masks)
    mirror = bool(points) and _mirrored(found.points[-3:])
    kept: list[Annotation] = []
    for one in truth:
        box = tuple(next(next_box)) if one.box is not None else None
        mask = next(next_mask) > 0 if one.mask is not None else None
        rings = [[tuple(next(next_point)) for _ in ring] for ring in _rings(one)]
        keypoints = [tuple(next(next_point)) for _ in one.keypoints or ()]
        moved = _kept(one, _Place(box, rings, mask, keypoints), (width, height))
        if moved is not None:
            kept.append(_swapped(moved, skeletons.get(one.label)) if mirror else moved)
    return Variant(found.pixels, tuple(kept))


class _Place(NamedTuple):
    """Where a thing is after a change, not yet cut at the picture's edge."""

    box: Box | None
    rings: list[list[Point]]
    mask: NDArray[np.bool_] | None
    keypoints: list[Point]


def _rings(one: Annotation) -> tuple[tuple[Point, ...], ...]:
    return one.rings or ((one.polygon,) if one.polygon else ())


def _mirrored(probe: NDArray[np.float32]) -> bool:
    """Whether a corner (origin, one step right, one step down) turns the other way round now."""
    across, down = probe[1] - probe[0], probe[2] - probe[0]
    return bool(across[0] * down[1] - across[1] * down[0] < 0)


def _swapped(one: Annotation, skeleton: Skeleton | None) -> Annotation:
    """With the keypoints of left and right in each other's place."""
    if skeleton is None or one.keypoints is None or len(one.keypoints) != len(skeleton.points):
        return one
    order = skeleton.mirrored
    visibility = None if one.visibility is None else tuple(one.visibility[spot] for spot in order)
    return one.model_copy(update={"keypoints": tuple(one.keypoints[spot] for spot in order), "visibility": visibility})


def _kept(one: Annotation, place: _Place, size: tuple[int, int]) -> Annotation | None:
    """The annotation at its new place, cut at the picture's edge; None when too little of it is left."""
    width, height = size
    if not one.placed:
        return one
    change: dict[str, object] = {}
    # an outline tells more exactly than a box how far a turned thing reaches
    around = bounds([point for ring in place.rings for point in ring]) if place.rings else place.box
    if around is not None:
        clipped = _clipped(around, width, height)
        if _area(clipped) < LEFT * _area(around) or _area(clipped) <= 0:
            return None
        change["box"] = clipped if one.box is not None else None
    if place.rings:
        rings = _cut(place.rings, size)
        if not rings:
            return None
        several = len(rings) > 1
        change |= {"polygon": None if several else rings[0], "rings": rings if several else None}
    if place.mask is not None:
        if not place.mask.any():
            return None
        change["mask"] = to_mask(place.mask)
    if place.keypoints:
        placed = list(zip(place.keypoints, _seen(one), strict=True))
        shown = [bool(seen) and 0 <= x <= width and 0 <= y <= height for (x, y), seen in placed]
        if around is None and sum(shown) < LEFT * sum(map(bool, _seen(one))):
            return None
        points = zip(place.keypoints, shown, strict=True)
        found = [(_within(x, width), _within(y, height)) if there else (0.0, 0.0) for (x, y), there in points]
        visibility = tuple(seen if there else 0 for seen, there in zip(_seen(one), shown, strict=True))
        change["keypoints"] = tuple(found) if any(shown) else None
        change["visibility"] = visibility if any(shown) and set(visibility) != {2} else None
    return one.model_copy(update=change)


def _cut(rings: Sequence[Sequence[Point]], size: tuple[int, int]) -> tuple[tuple[Point, ...], ...]:
    """The parts of an outline that lie in the picture."""
    canvas = Canvas(*size, (float(size[0]), float(size[1])))
    found = []
    for ring in rings:
        with suppress(PlaceError):
            found.append(polygon_on(canvas, ring))
    return tuple(found)


def _seen(one: Annotation) -> tuple[int, ...]:
    return one.visibility or (2,) * len(one.keypoints or ())


def _clipped(box: Box, width: int, height: int) -> Box:
    x0, y0, x1, y1 = box
    return _within(x0, width), _within(y0, height), _within(x1, width), _within(y1, height)


def _within(value: float, most: int) -> float:
    return round(min(max(float(value), 0.0), float(most)), 3)


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])
