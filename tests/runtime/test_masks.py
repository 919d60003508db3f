from __future__ import annotations

import numpy as np
import pytest

from sightline.errors import DataError
from sightline.runtime.masks import (
    compressed,
    filled,
    from_runs,
    mask_area,
    mask_box,
    outline,
    outlines,
    pasted,
    pixels_of,
    runs_of,
    to_mask,
    uncompressed,
)
from sightline.types import Mask


def blobs(seed: int, size: tuple[int, int] = (37, 53)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.random((size[0] // 4 + 1, size[1] // 4 + 1)) < 0.4
    return np.kron(coarse, np.ones((4, 4), bool))[: size[0], : size[1]]


def test_run_lengths_go_down_the_columns_background_first():
    mask = np.array([[0, 1], [0, 1], [1, 0]], bool)
    assert runs_of(mask) == [2, 3, 1]
    assert runs_of(~mask) == [0, 2, 3, 1]


@pytest.mark.parametrize("seed", range(8))
def test_a_mask_survives_the_text(seed: int):
    mask = blobs(seed)
    record = to_mask(mask)
    assert record.size == (37, 53)
    assert np.array_equal(pixels_of(record), mask)
    assert mask_area(record) == mask.sum()


@pytest.mark.parametrize("mask", [np.zeros((5, 7), bool), np.ones((5, 7), bool), np.ones((1, 1), bool)])
def test_empty_and_full_masks(mask: np.ndarray):
    assert np.array_equal(pixels_of(to_mask(mask)), mask)


def test_the_text_is_cocos():
    coco = pytest.importorskip("pycocotools.mask")
    for seed in range(20):
        mask = blobs(seed, (101, 67))
        theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert to_mask(mask).counts == theirs["counts"].decode()
        assert np.array_equal(pixels_of(Mask(size=(101, 67), counts=theirs["counts"].decode())), mask)
        box = coco.toBbox(theirs)
        found = mask_box(mask)
        assert found is not None
        assert np.allclose([box[0], box[1], box[0] + box[2], box[1] + box[3]], found)


@pytest.mark.parametrize("counts", ["", "zzzzz", "54", "\x7f", "P"])
def test_broken_texts_are_refused(counts: str):
    with pytest.raises(DataError):
        pixels_of(Mask(size=(37, 53), counts=counts))


def test_counts_that_do_not_add_up_are_refused():
    with pytest.raises(DataError, match="add up to 5"):
        from_runs([2, 3], (2, 2))
    with pytest.raises(DataError):
        from_runs([6, -2], (2, 2))
    assert uncompressed(compressed([3, 100_000, 1, 7, 99_999])) == [3, 100_000, 1, 7, 99_999]


def test_a_polygon_fills_the_pixels_whose_centres_lie_inside():
    mask = filled([[(1, 1), (4, 1), (4, 3), (1, 3)]], (5, 6))
    assert mask.sum() == 6
    assert mask[1:3, 1:4].all()
    triangle = filled([[(0, 0), (10, 0), (0, 10)]], (10, 10))
    assert triangle.sum() == 45  # the pixels below the diagonal; those whose centre lies on it are out


def test_parts_are_one_mask_and_what_lies_outside_is_left_out():
    parts = [[(-5, -5), (2, -5), (2, 2), (-5, 2)], [(4, 4), (9, 4), (9, 9), (4, 9)]]
    mask = filled(parts, (6, 6))
    assert mask.sum() == 8
    assert filled([[(0, 0), (1, 1)]], (4, 4)).sum() == 0
    assert filled([[(10, 10), (20, 10), (20, 20)]], (4, 4)).sum() == 0


def test_filled_polygons_are_close_to_pillows():
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(3)
    for _ in range(10):
        ring = [(float(x), float(y)) for x, y in rng.uniform(5, 95, (7, 2))]
        image = Image.new("L", (400, 400))
        ImageDraw.Draw(image).polygon([(4 * x, 4 * y) for x, y in ring], fill=255)
        exact = np.asarray(image.resize((100, 100), Image.Resampling.BOX)) >= 128
        assert (filled([ring], (100, 100)) != exact).mean() < 0.02


@pytest.mark.parametrize("seed", range(6))
def test_outlines_filled_are_the_mask_again(seed: int):
    mask = blobs(seed)
    hull = filled(outlines(mask), mask.shape)
    assert hull[mask].all()  # holes are filled, nothing is lost
    border = np.pad(mask, 1)
    assert not hull[~mask].any() or _holes(border).sum() >= hull[~mask].sum()


def _holes(mask: np.ndarray) -> np.ndarray:
    """What the outside does not reach."""
    reached = np.zeros_like(mask)
    reached[0] = True
    while True:
        grown = reached.copy()
        for axis in (0, 1):
            for step in (1, -1):
                moved = np.roll(reached, step, axis)
                grown |= moved
        # the ground is connected over corners too, where two parts touch at a corner only
        for axis_steps in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            grown |= np.roll(reached, axis_steps, (0, 1))
        grown &= ~mask
        grown[0] = True
        if (grown == reached).all():
            return ~mask & ~reached
        reached = grown


def test_the_outline_of_the_largest_part_is_simple():
    mask = filled([[(10, 10), (60, 20), (50, 70), (15, 60)], [(80, 80), (85, 80), (85, 85), (80, 85)]], (100, 100))
    ring = outline(mask)
    assert ring is not None
    assert 4 <= len(ring) <= 40
    again = filled([ring], mask.shape)
    large = filled([[(10, 10), (60, 20), (50, 70), (15, 60)]], mask.shape)
    assert (again & large).sum() / (again | large).sum() > 0.95
    assert outline(np.zeros((4, 4), bool)) is None
    assert outline(np.ones((1, 1), bool)) is not None


def test_a_pasted_mask_lies_in_its_box():
    grid = np.zeros((28, 28), np.float32)
    grid[7:21, 7:21] = 1
    mask = pasted(grid, np.array([10.0, 20.0, 66.0, 76.0]), (100, 90))
    assert mask_box(mask) == (24.0, 34.0, 52.0, 62.0)
    outside = pasted(np.ones((28, 28), np.float32), np.array([-10.0, -10.0, 5.0, 5.0]), (100, 90))
    assert mask_box(outside) == (0.0, 0.0, 5.0, 5.0)
    assert not pasted(grid, np.array([200.0, 0.0, 210.0, 5.0]), (100, 90)).any()
