from __future__ import annotations

import numpy as np

from sightline.runtime.drawing import FIRST, captioned, colour_of, drawn
from sightline.runtime.masks import filled, to_mask
from sightline.types import Annotation

GREY = np.full((200, 300, 3), 128, np.uint8)


def box(label: str, x0: float, y0: float, x1: float, y1: float, **more: object) -> Annotation:
    return Annotation(label=label, score=0.9, box=(x0, y0, x1, y1), **more)


def test_a_box_in_its_classs_colour_where_it_is():
    shown = drawn(GREY, [box("b", 50, 60, 150, 120)], ("a", "b"))
    assert shown.shape == GREY.shape
    assert tuple(shown[90, 50]) == FIRST[1]
    assert tuple(shown[119, 100]) == FIRST[1]
    assert tuple(shown[90, 149]) == FIRST[1]
    assert (shown[65:115, 55:145] == 128).all()  # its inside stays as it is
    assert (GREY == 128).all()


def test_a_tiny_picture_comes_back_larger_so_that_words_can_be_read():
    shown = drawn(np.zeros((20, 30, 3), np.uint8), [box("a", 5, 5, 15, 15)], ("a",))
    assert shown.shape[0] >= 150
    assert shown.shape[1] * 20 == shown.shape[0] * 30


def test_masks_are_translucent_and_points_are_drawn():
    mask = filled([[(50, 50), (150, 50), (150, 150), (50, 150)]], (200, 300))
    one = box("a", 50, 50, 150, 150, mask=to_mask(mask), keypoints=((100.0, 100.0), (280.0, 20.0)), visibility=(2, 1))
    shown = drawn(GREY, [one], ("a",))
    assert (shown[70:90, 60:140] != 128).any(axis=2).all()
    assert tuple(shown[80, 100]) != FIRST[0]
    assert tuple(shown[100, 100]) == FIRST[0]
    assert (shown[15:25, 275:285] == 128).all()  # a hidden point is not drawn


def test_labels_do_not_cover_each_other():
    ones = [box("label", 50 + number, 60 + number, 150, 120) for number in range(8)]
    shown = drawn(GREY, ones, ("label",))
    assert (shown != 128).any()
    assert drawn(GREY, [], ("a",)).tolist() == GREY.tolist()


def test_boxes_at_the_edges_and_of_no_size_do_no_harm():
    ones = [box("a", 0, 0, 300, 200), box("a", 299, 199, 300, 200), box("a", 10, 10, 10.2, 10.2), box("a" * 500, 0, 0, 5, 5)]
    assert drawn(GREY, ones, ("a",)).shape == GREY.shape


def test_many_classes_have_many_colours():
    assert len({colour_of(number) for number in range(60)}) == 60
    assert captioned(GREY, "cat 93%")[:12, :12].mean() < 120
