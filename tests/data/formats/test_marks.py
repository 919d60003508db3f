"""The one rule for places that make no sense: whatever a document says, what is kept lies in the picture, the rest is told."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pictures import drawn, encoded
from sightline.data.formats.geometry import Canvas, PlaceError, box_on, fitted_canvas, mask_on, painted, polygon_on
from sightline.data.formats.marks import CHANGED, REFUSED, Marks
from sightline.runtime.dimensions import Dimensions
from sightline.runtime.masks import filled, mask_area, pixels_of, to_mask
from sightline.types import Mask

SIZE = (60, 40)
number = st.one_of(st.floats(-200, 200), st.floats(-1e9, 1e9), st.integers(-80, 80).map(float))
point = st.tuples(number, number)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("photo") / "a.jpg"
    path.write_bytes(encoded(drawn(1, SIZE)))
    return str(path)


@settings(max_examples=150, deadline=None)
@given(
    box=st.none() | st.tuples(number, number, number, number),
    polygon=st.none() | st.lists(point, max_size=6),
    rings=st.none() | st.lists(st.lists(point, max_size=5), max_size=3),
    keypoints=st.none() | st.lists(point, max_size=4),
    label=st.sampled_from(["cat", ""]),
)
def test_what_is_kept_lies_in_the_picture(
    photo: str,
    box: tuple[float, ...] | None,
    polygon: list[tuple[float, float]] | None,
    rings: list[list[tuple[float, float]]] | None,
    keypoints: list[tuple[float, float]] | None,
    label: str,
) -> None:
    marks = Marks(photo, "a.jpg", "import:test")
    marks.add(label, box=box, polygon=polygon, rings=rings, keypoints=keypoints)
    told = {failure.error.code for failure in marks.failures()}
    assert told <= REFUSED | CHANGED | {"label_missing"}
    given_places = any(one is not None for one in (box, polygon, rings)) or bool(keypoints)
    if not marks.found:
        assert told or not given_places or not (keypoints or box or polygon or rings)
    for mark in marks.found:
        points = [*(mark.polygon or ()), *(mark.keypoints or ()), *(p for ring in mark.rings or () for p in ring)]
        assert all(0 <= x <= SIZE[0] and 0 <= y <= SIZE[1] for x, y in points)
        if mark.box is not None:
            x0, y0, x1, y1 = mark.box
            assert 0 <= x0 < x1 <= SIZE[0]
            assert 0 <= y0 < y1 <= SIZE[1]
        assert not (mark.rings and mark.polygon)
        if mark.mask is not None:
            assert mark.mask.size == SIZE[::-1]
            assert mask_area(mark.mask) > 0


RULE = [
    ((1, 2, 3, 4), (1, 2, 3, 4), None),
    ((3, 4, 1, 2), (1, 2, 3, 4), "box_swapped"),
    ((-0.5, 2, 60.9, 4), (0, 2, 60, 4), None),  # rounding
    ((-9, 2, 30, 4), (0, 2, 30, 4), "box_clipped"),
    ((70, 2, 90, 4), None, "box_outside"),
    ((5, 5, 5, 9), None, "box_empty"),
    ((math.nan, 1, 2, 3), None, "place_wrong"),
    ((math.inf, 1, 2, 3), None, "place_wrong"),
    ((0, 1, 1e12, 3), None, "place_wrong"),
]


@pytest.mark.parametrize(("box", "kept", "code"), RULE)
def test_the_rule_for_boxes(photo: str, box: tuple[float, ...], kept: tuple[float, ...] | None, code: str | None) -> None:
    marks = Marks(photo, "a.jpg", "import:test")
    marks.add("cat", box=box)
    assert [mark.box for mark in marks.found] == ([kept] if kept else [])
    assert [failure.error.code for failure in marks.failures()] == ([code] if code else [])


def test_one_bad_place_leaves_the_others(photo: str) -> None:
    marks = Marks(photo, "a.jpg", "import:test")
    marks.add("cat", box=(5, 5, 5, 9), polygon=[(1, 1), (9, 1), (9, 9)])
    marks.add("cat", box=(5, 5, 8, 9), keypoints=[(1, 1), (2, 2)], visibility=[2, 7])
    marks.add("cat", mask=Mask(size=(3, 3), counts="0"))
    marks.add("cat", keypoints=[(500, 9), (3, 3)], visibility=[1, 0])
    first, second, third = marks.found
    assert (first.box, first.polygon) == ((1, 1, 9, 9), ((1, 1), (9, 1), (9, 9)))
    assert (second.box, second.keypoints) == ((5, 5, 8, 9), None)
    assert (third.keypoints, third.visibility, third.box) == (((60, 9), (0, 0)), (1, 0), None)
    codes = {failure.error.code for failure in marks.failures()}
    assert codes == {"box_empty", "place_wrong", "mask_wrong", "keypoint_clipped"}


def test_a_label_that_is_said_again_and_again_stands_once(photo: str) -> None:
    marks = Marks(photo, "a.jpg", "import:test")
    for number_ in range(20_000):
        marks.add(f"class {number_ % 5_000}")
    assert len(marks.found) == 5_000


@settings(max_examples=60, deadline=None)
@given(rings=st.lists(st.lists(st.tuples(st.floats(0, 60), st.floats(0, 40)), min_size=3, max_size=6), min_size=1, max_size=3))
def test_painted_is_filled(rings: list[list[tuple[float, float]]]) -> None:
    canvas = Canvas(*SIZE, (60.0, 40.0))
    whole = filled(rings, SIZE[::-1])
    found = painted(canvas, rings)
    assert (found is None) == (not whole.any())
    assert found is None or (pixels_of(found) == whole).all()


@settings(max_examples=60, deadline=None)
@given(orientation=st.integers(1, 8), box=st.tuples(*[st.integers(0, 39)] * 4), scale=st.sampled_from([1, 2]))
def test_a_mask_goes_where_its_box_goes(orientation: int, box: tuple[int, int, int, int], scale: int) -> None:
    """A filled box as a mask of the stored pixels lands where the box itself does."""
    x0, y0, x1, y1 = min(box[0], box[2]), min(box[1], box[3]), max(box[0], box[2]) + 1, max(box[1], box[3]) + 1
    pixels = np.zeros((40 * scale, 60 * scale), bool)
    pixels[y0 * scale : y1 * scale, x0 * scale : x1 * scale] = True
    canvas = fitted_canvas(Dimensions(60, 40, orientation), (60.0 * scale, 40.0 * scale))
    place, beyond = box_on(canvas, x0 * scale, y0 * scale, x1 * scale, y1 * scale)
    left, top, right, bottom = (int(side) for side in place)
    found = pixels_of(mask_on(canvas, to_mask(pixels)))
    assert beyond == 0
    assert found[top:bottom, left:right].all()
    assert found.sum() == (right - left) * (bottom - top)


def test_what_is_no_mask_or_outline() -> None:
    canvas = Canvas(*SIZE, (60.0, 40.0))
    for mask in (Mask(size=(40, 60), counts=""), Mask(size=(40, 60), counts="~~"), Mask(size=(2, 2), counts="04")):
        with pytest.raises(PlaceError):
            mask_on(canvas, mask)
    with pytest.raises(PlaceError):
        polygon_on(canvas, [(1, 1), (2, 2)])
