from __future__ import annotations

import itertools

import numpy as np
import pytest

from finders import finder_card, finder_onnx, scene
from pictures import encoded, pixels
from sightline.runtime.detector import Detector
from sightline.runtime.found import Found
from sightline.runtime.tiles import Tiles, cut, merged


@pytest.mark.parametrize("size", [(1000, 700), (320, 320), (321, 320), (100, 5000), (640, 20)])
def test_tiles_cover_the_picture_and_overlap(size: tuple[int, int]):
    tiles = cut(*size, 320, 0.25)
    seen = np.zeros(size[::-1], int)
    for x0, y0, x1, y1 in tiles:
        assert 0 <= x0 < x1 <= size[0]
        assert 0 <= y0 < y1 <= size[1]
        assert x1 - x0 == min(320, size[0])
        assert y1 - y0 == min(320, size[1])
        seen[y0:y1, x0:x1] += 1
    assert seen.min() == 1
    for axis, side in ((0, size[0]), (1, size[1])):
        starts = sorted({tile[axis] for tile in tiles})
        assert starts[-1] + min(320, side) == side
        assert all(b - a <= 240 for a, b in itertools.pairwise(starts))


def found(*boxes: tuple[float, ...], scores: tuple[float, ...] | None = None, labels: tuple[int, ...] | None = None) -> Found:
    count = len(boxes)
    return Found(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores or [0.9] * count, np.float32),
        np.array(labels or [0] * count, np.int64),
        size=(1000, 1000),
    )


def test_the_same_object_seen_by_two_tiles_is_one():
    answer = merged(found((10, 10, 50, 50), (11, 10, 50, 51), scores=(0.9, 0.8)), np.array([1, 2]), np.array([False, False]))
    assert answer.boxes.tolist() == [[10, 10, 50, 50]]


def test_one_of_another_class_and_two_neighbours_in_one_tile_stay():
    boxes = found((10, 10, 50, 50), (11, 10, 50, 51), (12, 10, 52, 50), labels=(0, 1, 0))
    assert len(merged(boxes, np.array([1, 2, 1]), np.zeros(3, bool))) == 3


def test_a_cut_part_gives_way_to_the_whole():
    boxes = found((200, 100, 320, 180), (260, 100, 400, 180), (200, 100, 400, 180), scores=(0.9, 0.8, 0.5))
    answer = merged(boxes, np.array([1, 2, 0]), np.array([True, True, False]))
    assert answer.boxes.tolist() == [[200, 100, 400, 180]]


def test_parts_on_both_sides_of_a_seam_become_one():
    boxes = found((200, 100, 320, 180), (240, 101, 400, 180), scores=(0.7, 0.8))
    answer = merged(boxes, np.array([1, 2]), np.array([True, True]))
    assert answer.boxes.tolist() == [[200, 100, 400, 180]]
    assert answer.scores.tolist() == pytest.approx([0.8])


def test_an_object_across_three_tiles_is_one():
    boxes = found((100, 0, 320, 60), (240, 0, 560, 60), (480, 0, 700, 60), scores=(0.7, 0.8, 0.9))
    answer = merged(boxes, np.array([1, 2, 3]), np.array([True, True, True]))
    assert answer.boxes.tolist() == [[100, 0, 700, 60]]


def test_a_small_object_upon_a_large_one_stays():
    boxes = found((0, 0, 300, 300), (100, 100, 150, 150))
    assert len(merged(boxes, np.array([0, 1]), np.array([False, False]))) == 2


def test_what_is_too_small_in_the_whole_picture_is_found_in_tiles():
    card = finder_card()
    detector = Detector(card, finder_onnx(card), threads=1)
    places = {"red": (700, 400, 708, 408), "blue": (180, 100, 420, 220)}
    picture = scene(places, (960, 720))
    whole = {one.label for one in detector.predict(pixels(picture)).labels}
    assert "red" not in whole
    tiled = detector.tiled(Tiles(side=192, least=384))
    for given in (pixels(picture), encoded(picture, "PNG")):
        answer = {one.label: one.box for one in tiled.predict(given).labels}
        assert len(tiled.predict(given).labels) == 2  # blue lies across seams
        for name, place in places.items():
            assert np.abs(np.array(answer[name]) - place).max() <= 2.1
    assert tiled.predict(pixels(scene({"red": (10, 10, 50, 50)}))).labels  # a small picture is looked at whole
