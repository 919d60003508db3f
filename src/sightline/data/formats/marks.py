"""The annotations of one picture as a document gives them, and the one rule for places that make no sense.

| place | what happens | told as |
|---|---|---|
| a box, outline or point partly outside the picture | cut at its edge | `box_clipped`, from one pixel on |
| a box wholly outside | refused | `box_outside` |
| a box or outline without area, a mask without a pixel | refused | `box_empty`, `polygon_empty`, `mask_empty` |
| corners of a box in the wrong order, negative sides | put in order | `box_swapped` |
| a number that is none, infinite or farther than any picture | refused | `box_wrong`, `polygon_wrong`, `place_wrong` |
| run lengths that do not fill the picture | refused | `mask_wrong` |
| a class that the document does not name; no class at all | refused | `class_unknown`, `label_missing` |

Where one of a thing's places is refused the others are kept; where none is left the thing is left out, never its picture. A
picture without things is background. There is no limit on their number that people reach (5,000 are nothing special).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from sightline.data.formats.geometry import (
    Canvas,
    PlaceError,
    Point,
    bounds,
    box_on,
    canvas_of,
    clip,
    mask_on,
    painted,
    polygon_on,
)
from sightline.data.listing import left_out
from sightline.errors import SightlineError
from sightline.runtime.masks import mask_box, pixels_of
from sightline.types import Annotation, Box, Failure, Mask, Trait

# what the rule above may say of a thing in a picture that itself is kept
_REFUSED = """box_outside box_empty box_wrong box_missing polygon_empty polygon_wrong place_wrong mask_wrong mask_empty
    class_unknown row_wrong shape picture_turned keypoint_wrong"""
REFUSED = frozenset(_REFUSED.split())
CHANGED = frozenset(("box_clipped", "box_swapped", "keypoint_clipped", "size_differs"))
_TOLD = 1.0  # pixels beyond the edge from which a cut is told: less is rounding


class Marks:
    """The annotations of one picture as they are found; what cannot be used is counted, and told once."""

    def __init__(self, path: str, name: str, origin: str, stated: tuple[float, float] | None = None) -> None:
        self.found: list[Annotation] = []
        self.name = name
        self._path, self._origin, self._stated = path, origin, stated
        self._canvas: Canvas | None = None
        self._refused: list[tuple[str, str]] = []
        self._plain: set[Annotation] = set()  # those without a place, each once

    @property
    def canvas(self) -> Canvas:
        """Read from the picture's header when first needed; PlaceError when that cannot be read."""
        if self._canvas is None:
            try:
                self._canvas = canvas_of(self._path, self._stated)
            except SightlineError as error:
                raise PlaceError(error.code, error.message) from error
        return self._canvas

    def add(
        self,
        label: str,
        *,
        box: Sequence[float] | None = None,
        polygon: Sequence[Point] | None = None,
        rings: Sequence[Sequence[Point]] | None = None,
        mask: Mask | None = None,
        keypoints: Sequence[Point] | None = None,
        visibility: Sequence[int] | None = None,
        traits: Iterable[Trait] = (),
        text: str | None = None,
    ) -> None:
        """One thing; box is (x0, y0, x1, y1), all in the document's pixels. A thing without a box gets the one around it.

        rings: an outline in several parts. visibility: of each keypoint 0, 1 or 2 as in COCO; those of 0 lie nowhere.
        """
        if not label:
            self.refuse("label_missing", "an object without a class")
            return
        outline = self._outline(rings if rings else [polygon] if polygon is not None else [])
        area = place = points = None
        with self.judged():
            area = mask_on(self.canvas, mask) if mask is not None else None
        with self.judged():
            place = self._box(box) if box is not None else None
        seen = tuple(visibility) if visibility is not None and set(visibility) != {2} else None
        with self.judged():
            points = self._points(keypoints, seen) if keypoints and (seen is None or any(seen)) else None
        if place is None and outline:
            place = bounds([point for ring in outline for point in ring])
        if place is None and area is not None:
            place = mask_box(pixels_of(area))
        given = (box, polygon, rings, mask, keypoints)
        if place is None and points is None and any(one is not None for one in given):
            return
        several = len(outline) > 1
        mark = Annotation(
            label=label,
            box=place,
            polygon=outline[0] if len(outline) == 1 else None,
            rings=tuple(outline) if several else None,
            mask=area if area is not None or not several else painted(self.canvas, outline),
            keypoints=points,
            visibility=seen if points is not None else None,
            traits=tuple(sorted(set(traits))),
            text=text,
            origin=self._origin,
        )
        if place is None and points is None:
            if mark in self._plain:
                return
            self._plain.add(mark)
        self.found.append(mark)

    def _box(self, box: Sequence[float]) -> Box:
        x0, y0, x1, y1 = box
        place, beyond = box_on(self.canvas, x0, y0, x1, y1)
        said = f"{x0:g}, {y0:g} to {x1:g}, {y1:g}"
        if x1 < x0 or y1 < y0:
            self.refuse("box_swapped", f"a box with its corners swapped, put in order: {said}")
        if beyond > _TOLD:
            self.refuse("box_clipped", f"a box that reaches {beyond:,.0f} pixels beyond the picture, cut at its edge: {said}")
        return place

    def _outline(self, parts: Sequence[Sequence[Point]]) -> list[tuple[Point, ...]]:
        """The parts of an outline that lie in the picture."""
        found = []
        for part in parts:
            with self.judged():
                found.append(polygon_on(self.canvas, part))
        return found

    def _points(self, keypoints: Sequence[Point], seen: tuple[int, ...] | None) -> tuple[Point, ...]:
        if seen is not None and (len(seen) != len(keypoints) or not {*seen} <= {0, 1, 2}):
            raise PlaceError("place_wrong", "keypoints whose visibility is not one of 0, 1, 2 for each")
        canvas = self.canvas
        found: list[Point] = []
        beyond = 0.0
        for place, point in enumerate(keypoints):
            if seen is not None and seen[place] == 0:
                found.append((0.0, 0.0))
                continue
            x, y = canvas.point(*point)
            beyond = max(beyond, -x, -y, x - canvas.width, y - canvas.height)
            found.append((clip(x, canvas.width), clip(y, canvas.height)))
        if beyond > _TOLD:
            self.refuse("keypoint_clipped", f"a keypoint {beyond:,.0f} pixels beyond the picture, put on its edge")
        return tuple(found)

    @contextmanager
    def judged(self) -> Iterator[None]:
        """A place that makes no sense is counted; what else is known of the thing stays."""
        try:
            yield
        except PlaceError as error:
            self.refuse(error.code, str(error))

    def refuse(self, code: str, message: str) -> None:
        """Count something that cannot be used, or not as it is."""
        self._refused.append((code, message))

    def failures(self) -> list[Failure]:
        """At most one for each kind, for the whole picture."""
        kinds: dict[str, list[str]] = {}
        for code, message in self._refused:
            kinds.setdefault(code, []).append(message)
        found = [
            left_out(self.name, code, messages[0] if len(messages) == 1 else f"{len(messages)} times; first: {messages[0]}")
            for code, messages in kinds.items()
        ]
        if self._canvas is not None and self._canvas.differs and self._stated is not None:
            size, said = f"{self._canvas.width} x {self._canvas.height}", f"{self._stated[0]:g} x {self._stated[1]:g}"
            found.append(left_out(self.name, "size_differs", f"the picture is {size}, its annotations say {said}"))
        return found
