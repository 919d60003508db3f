"""A rough place made of what an answer rests on."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.runtime.attention import rough_box


def test_the_largest_strong_part_gives_the_box():
    cells = np.zeros((7, 7), np.float32)
    cells[2:4, 1:4] = 0.8
    cells[6, 6] = 1.0  # stronger, but alone
    cells[5, 0] = 0.4  # too weak
    assert rough_box(cells, (140, 70)) == pytest.approx((20, 20, 80, 40))


def test_of_two_as_large_the_one_that_weighs_more():
    cells = np.zeros((4, 4), np.float32)
    cells[0, 0], cells[3, 3] = 0.7, 1.0
    assert rough_box(cells, (4, 4)) == (3, 3, 4, 4)


def test_corners_that_touch_are_two_parts():
    cells = np.zeros((4, 4), np.float32)
    cells[0, 0] = cells[0, 1] = cells[1, 2] = 1.0
    assert rough_box(cells, (4, 4)) == (0, 0, 2, 1)


def test_a_lower_share_takes_in_more():
    cells = np.array([[1.0, 0.4], [0.0, 0.0]], np.float32)
    assert rough_box(cells, (2, 2)) == (0, 0, 1, 1)
    assert rough_box(cells, (2, 2), share=0.3) == (0, 0, 2, 1)


def test_a_map_of_nothing_has_no_place():
    assert rough_box(np.zeros((7, 7), np.float32), (10, 10)) is None
