"""One annotation of a COCO document, in and out: its box, outline or mask, keypoints with their visibility, crowd or not.

As in the data format page of cocodataset.org. A mask of run lengths may be a list of numbers or their compressed text; polygons
are lists x, y, x, y, ..., one for each part. Keypoints that are not labelled are 0, 0, 0.
"""

from __future__ import annotations

from typing import Any

from sightline.data.formats.documents import number, numbers, word
from sightline.data.formats.geometry import DECIMALS, Point, area, bounds, pairs
from sightline.data.formats.marks import Marks
from sightline.runtime.masks import compressed, mask_area
from sightline.types import Annotation, Box, Dataset, Mask, Skeleton

MOST_POINTS = 10_000


# --- reading


def add_thing(marks: Marks, entry: dict[str, Any], label: str, skeleton: Skeleton | None) -> None:
    """Add what an entry of `annotations` says; what of it makes no sense is told by `marks`."""
    if "bbox" not in entry and not entry.get("segmentation") and not entry.get("keypoints"):
        marks.refuse("box_missing", "an annotation without box, polygon or keypoints")
        return
    points, visibility = _keypoints(marks, entry.get("keypoints"), named=skeleton is not None)
    rings, mask = _segmentation(marks, entry)
    sides = numbers(entry.get("bbox"))
    box: Box | None = None
    if sides is not None and len(sides) == 4:
        x, y, width, height = sides
        if width > 0 or height > 0 or not points:
            box = (x, y, x + width, y + height)
    elif "bbox" in entry and entry["bbox"] is not None:
        marks.refuse("box_wrong", f"a box that is not four numbers: {str(entry['bbox'])[:80]}")
    if box is not None or rings or mask is not None or points:
        marks.add(
            label,
            box=box,
            rings=rings or None,
            mask=mask,
            keypoints=points,
            visibility=visibility,
            traits=("crowd",) if entry.get("iscrowd") in (1, True) else (),
        )


def skeleton_of(category: dict[str, Any]) -> Skeleton | None:
    """The keypoints that a category names; None for none, or for mere numbers."""
    given = category.get("keypoints")
    names = [word(name) for name in given[:MOST_POINTS]] if isinstance(given, list) else []
    links = category.get("skeleton")
    joined = [pair for link in (links[:MOST_POINTS] if isinstance(links, list) else ()) if (pair := _link(link, len(names)))]
    if not names or (names == [str(place) for place in range(1, len(names) + 1)] and not joined):
        return None
    return Skeleton(points=tuple(names), links=tuple(joined))


def _link(given: object, points: int) -> tuple[int, int] | None:
    ends = numbers(given, 2)
    if ends is None or len(ends) != 2 or not all(1 <= end <= points and end == int(end) for end in ends):
        return None
    return int(ends[0]) - 1, int(ends[1]) - 1


def _keypoints(marks: Marks, value: object, *, named: bool) -> tuple[list[Point] | None, list[int] | None]:
    """x, y, visibility, ...: the points and how each is seen. Without names the unlabelled ones at the end are filling."""
    if not value:
        return None, None
    flat = numbers(value, 3 * MOST_POINTS)
    if not flat or len(flat) % 3:
        marks.refuse("place_wrong", "keypoints that are not x, y, visibility, ...")
        return None, None
    seen = [2 if how >= 2 else 1 if how > 0 else 0 for how in flat[2::3]]
    while not named and seen and seen[-1] == 0:
        seen.pop()
    points = list(zip(flat[::3], flat[1::3], strict=True))[: len(seen)]
    return (points, seen) if any(seen) else (None, None)


def _segmentation(marks: Marks, entry: dict[str, Any]) -> tuple[list[list[Point]], Mask | None]:
    """The parts of the outline, or the mask."""
    given = entry.get("segmentation")
    if isinstance(given, dict):
        return [], _mask(marks, given)
    if not isinstance(given, list) or not given:
        return [], None
    parts = given if isinstance(given[0], list) else [given]
    rings = [pairs(flat) for part in parts if (flat := numbers(part)) and len(flat) >= 6 and len(flat) % 2 == 0]
    if len(rings) < len(parts):
        marks.refuse("polygon_wrong", "a part of a polygon is not three points or more")
    return rings, None


def _mask(marks: Marks, given: dict[str, Any]) -> Mask | None:
    size, counts = numbers(given.get("size"), 2), given.get("counts")
    if size is None or len(size) != 2 or not all(1 <= side <= 1e6 and side == int(side) for side in size):
        marks.refuse("mask_wrong", f"a mask whose size is {str(given.get('size'))[:60]}")
        return None
    if isinstance(counts, list):
        runs = [number(run) for run in counts]
        plain = [int(run) for run in runs if run is not None and run == int(run) and 0 <= run <= 1e12]
        if len(plain) < len(counts):
            marks.refuse("mask_wrong", "a mask whose run lengths are not whole numbers")
            return None
        counts = compressed(plain)
    if not isinstance(counts, str):
        marks.refuse("mask_wrong", "a mask without run lengths")
        return None
    return Mask(size=(int(size[0]), int(size[1])), counts=counts)


# --- writing


def points_of(dataset: Dataset) -> dict[str, int]:
    """Class -> how many keypoints its things have, for those that have any."""
    found = {name: len(skeleton.points) for name, skeleton in dataset.skeletons.items()}
    for item in dataset.items:
        for one in item.truth:
            if one.keypoints:
                found[one.label] = max(found.get(one.label, 0), len(one.keypoints))
    return found


def keypoint_names(skeleton: Skeleton | None, points: int) -> dict[str, Any]:
    """What a category says about its keypoints; numbers where they have no names."""
    if not points:
        return {}
    names = [*(skeleton.points if skeleton else ()), *(str(place) for place in range(1, points + 1))]
    if skeleton is None:
        return {"keypoints": names, "skeleton": []}
    return {"keypoints": names[: max(points, len(skeleton.points))], "skeleton": [[a + 1, b + 1] for a, b in skeleton.links]}


def thing(one: Annotation, points: int) -> dict[str, Any]:
    """An entry of `annotations` but for its ids; `points`: how many keypoints things of its class have."""
    shown = [point for point, seen in zip(one.keypoints or (), _seen(one), strict=True) if seen]
    box = one.box or (bounds(shown) if shown else (0.0,) * 4)
    x0, y0, x1, y1 = (round(value, DECIMALS) for value in box)
    entry: dict[str, Any] = {
        "bbox": [x0, y0, round(x1 - x0, DECIMALS), round(y1 - y0, DECIMALS)],
        "area": round(_area(one, (x1 - x0) * (y1 - y0)), DECIMALS),
        "segmentation": _shape(one),
        "iscrowd": int("crowd" in one.traits),
    }
    if points:
        rows = [
            (round(x, DECIMALS), round(y, DECIMALS), seen) for (x, y), seen in zip(one.keypoints or (), _seen(one), strict=True)
        ]
        flat = [value for row in rows for value in row]
        entry |= {"keypoints": flat + [0] * (3 * points - len(flat)), "num_keypoints": len(shown)}
    return entry


def _seen(one: Annotation) -> tuple[int, ...]:
    return one.visibility or (2,) * len(one.keypoints or ())


def _shape(one: Annotation) -> Any:
    if one.mask is not None and one.rings is None:
        return {"size": list(one.mask.size), "counts": one.mask.counts}
    rings = one.rings or ((one.polygon,) if one.polygon else ())
    return [[round(value, DECIMALS) for point in ring for value in point] for ring in rings]


def _area(one: Annotation, box: float) -> float:
    if one.mask is not None:
        return float(mask_area(one.mask))
    return area(one.polygon) if one.polygon else box
