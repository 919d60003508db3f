from __future__ import annotations

import itertools

import numpy as np
import pytest

from sightline.runtime.found import Found, nothing
from sightline.runtime.tracking import Tracker, assigned, hungarian


def seen(*objects: tuple[float, float, float], label: int = 0, side: float = 40) -> Found:
    """Squares by centre x, centre y and score."""
    rows = np.array(objects, np.float32).reshape(-1, 3)
    half = side / 2
    boxes = np.stack([rows[:, 0] - half, rows[:, 1] - half, rows[:, 0] + half, rows[:, 1] + half], axis=1)
    return Found(boxes, rows[:, 2], np.full(len(rows), label, np.int64), size=(640, 480))


def test_hungarian_is_the_least_cost():
    rng = np.random.default_rng(0)
    for shape in ((4, 4), (3, 5), (5, 3), (1, 1), (1, 4), (0, 3)):
        for _ in range(10):
            cost = rng.normal(size=shape)
            pairs = hungarian(cost)
            assert len(pairs) == min(shape)
            assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
            small, large = (cost, shape) if shape[0] <= shape[1] else (cost.T, shape[::-1])
            best = min(
                sum(small[row, column] for row, column in enumerate(columns))
                for columns in itertools.permutations(range(large[1]), large[0])
            )
            assert sum(cost[row, column] for row, column in pairs) == pytest.approx(best)


def test_assigned_keeps_to_what_is_allowed():
    gain = np.array([[0.9, 0.8, 0.0], [0.85, 0.1, 0.0], [0.0, 0.0, 0.25]])
    rows, columns = assigned(gain, 0.2)
    assert dict(zip(rows.tolist(), columns.tolist(), strict=True)) == {0: 1, 1: 0, 2: 2}
    rows, columns = assigned(gain, 0.3)
    assert dict(zip(rows.tolist(), columns.tolist(), strict=True)) == {0: 1, 1: 0}


def test_two_that_cross_keep_their_numbers():
    tracker = Tracker()
    last = None
    for frame in range(40):
        # towards each other, 14 pixels apart in height: where they pass, each overlaps the other's box more than half
        numbers = tracker.follow(seen((100 + 10 * frame, 200, 0.9), (500 - 10 * frame, 214, 0.9)))
        if frame == 0:
            first = numbers.tolist()
        last = numbers.tolist()
    assert sorted(first) == [1, 2]
    assert last == first


def test_one_that_hides_comes_back_as_itself():
    tracker = Tracker(frames=30)
    for frame in range(40):
        hidden = 15 <= frame < 27
        numbers = tracker.follow(nothing((640, 480)) if hidden else seen((60 + 8 * frame, 100, 0.8)))
        if not hidden:
            assert numbers.tolist() == [1]


def test_one_that_stays_away_too_long_is_another():
    tracker = Tracker(frames=5)
    tracker.follow(seen((100, 100, 0.9)))
    for _ in range(8):
        tracker.follow(nothing())
    assert tracker.follow(seen((100, 100, 0.9))).tolist() == [0]  # begun again, not yet sure
    assert tracker.follow(seen((100, 100, 0.9))).tolist() == [2]


def test_half_hidden_it_keeps_its_number_by_an_unsure_box():
    tracker = Tracker(sure=0.5)
    for frame in range(10):
        score = 0.2 if 4 <= frame < 7 else 0.9
        assert tracker.follow(seen((100 + 5 * frame, 100, score))).tolist() == [1]


def test_an_unsure_box_begins_nothing_and_a_flash_is_no_track():
    tracker = Tracker(sure=0.5)
    tracker.follow(seen((300, 300, 0.9)))
    for _ in range(5):
        assert tracker.follow(seen((300, 300, 0.9), (100, 100, 0.3))).tolist() == [1, 0]
    assert tracker.follow(seen((300, 300, 0.9), (500, 100, 0.9))).tolist() == [1, 0]
    assert tracker.follow(seen((300, 300, 0.9))).tolist() == [1]
    assert tracker.count == 1


def test_classes_do_not_mix():
    tracker = Tracker()
    tracker.follow(seen((100, 100, 0.9), label=0))
    assert tracker.follow(seen((100, 100, 0.9), label=1)).tolist() == [0]


def test_hundreds_at_once():
    rng = np.random.default_rng(1)
    places = rng.uniform(0, 3000, (200, 2))
    speed = rng.uniform(-3, 3, (200, 2))
    tracker = Tracker()
    numbers = []
    for frame in range(15):
        now = places + frame * speed
        numbers.append(tracker.follow(seen(*[(x, y, 0.9) for x, y in now], side=60)))
    kept = (numbers[0] == numbers[-1]).mean()
    assert kept > 0.9
    assert tracker.count < 240


def test_each_class_has_its_own_score_to_begin_with():
    tracker = Tracker(sure=[0.9, 0.3])
    first = Found(
        np.array([[0, 0, 40, 40], [100, 100, 140, 140]], np.float32), np.array([0.5, 0.4], np.float32), np.array([0, 1])
    )
    assert tracker.follow(first).tolist() == [0, 1]
    assert tracker.follow(first).tolist() == [0, 1]
