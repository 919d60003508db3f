"""Learning curves recover a known law; verdicts are plain sentences that name numbers."""

from __future__ import annotations

import pytest

from sightline.errors import DataError
from sightline.measure.learning import LearningCurve, diagnose, learning_curve
from sightline.measure.scores import ClassScores
from sightline.types import Score


def score(value: float, margin: float = 0.03, n: int = 300) -> Score:
    return Score(value=value, low=max(0.0, value - margin), high=min(1.0, value + margin), n=n)


def of(recall: float, support: int = 100, margin: float = 0.05) -> ClassScores:
    one = score(recall, margin, support)
    return ClassScores(support=support, precision=one, recall=one, f1=one)


def test_a_known_law_is_found():
    points = [(n, 1 - 2.0 * n**-0.4) for n in (100, 200, 400)]
    curve = learning_curve(points)
    assert curve.decay == pytest.approx(0.4)
    assert curve.scale == pytest.approx(2.0)
    assert curve.doubled == pytest.approx(1 - 2.0 * 800**-0.4)
    assert curve.gain == pytest.approx(2.0 * 400**-0.4 - 2.0 * 800**-0.4)


def test_a_floor_is_seen_with_enough_points():
    curve = learning_curve([(n, 1 - 3.0 * n**-0.7 - 0.1) for n in (50, 100, 200, 400, 800)])
    assert curve.doubled == pytest.approx(1 - 3.0 * 1600**-0.7 - 0.1, abs=0.004)


@pytest.mark.parametrize("points", [[(100, 0.8), (200, 0.8), (400, 0.8)], [(100, 0.9), (400, 0.85)]])
def test_no_progress_promises_nothing(points):
    curve = learning_curve(points)
    assert curve.gain == 0
    assert curve.doubled == pytest.approx(points[-1][1])


def test_perfect_scores_stay_within_one():
    curve = learning_curve([(10, 0.99), (20, 1.0), (40, 1.0)])
    assert curve.doubled is not None
    assert curve.doubled <= 1


def test_one_point_gives_no_law():
    assert learning_curve([(100, 0.8)]).doubled is None
    assert learning_curve([(100, 0.8), (100, 0.7)]).doubled is None


@pytest.mark.parametrize("points", [[], [(0, 0.5)], [(10, 1.5)]])
def test_impossible_points_are_refused(points):
    with pytest.raises(DataError, match="learning curve"):
        learning_curve(points)


def test_overfitting_is_named_with_both_numbers():
    said = diagnose({"top1": score(0.99)}, {"top1": score(0.86)})
    assert len(said) == 1
    assert "99 %" in said[0]
    assert "86 %" in said[0]
    assert "overfits" in said[0]


def test_underfitting_is_named():
    assert "underfits" in diagnose({"top1": score(0.62)}, {"top1": score(0.6)})[0]


def test_a_good_fit_is_named():
    assert "good fit" in diagnose({"top1": score(0.96)}, {"top1": score(0.94)})[0]


def test_several_labels_are_judged_by_map():
    assert "overfits" in diagnose({"map": score(0.99)}, {"map": score(0.7), "micro_f1": score(0.6)})[0]


def test_the_curve_speaks():
    curve = LearningCurve(((500, 0.8), (1000, 0.85)), 1.0, 0.3, 0.0, 0.88)
    assert "2,000" in diagnose(None, {"top1": score(0.85)}, curve)[0]
    flat = LearningCurve(((500, 0.85), (1000, 0.85)), 0.0, 0.0, 0.15, 0.85)
    assert "hardly help" in diagnose(None, {"top1": score(0.85)}, flat)[0]


def test_the_weakest_class_is_named_with_its_pictures():
    classes = {"hat": of(0.61), "dress": of(0.95), "shoes": of(0.97), "absent": of(0.0, support=0)}
    said = diagnose(None, {"top1": score(0.86)}, None, classes, pictures={"hat": 40})
    assert len(said) == 1
    assert "hat" in said[0]
    assert "recall 0.61 from 40 training pictures" in said[0]
    assert "would help most" in said[0]


def test_equal_classes_are_not_blamed():
    assert diagnose(None, {"top1": score(0.9)}, None, {"a": of(0.9), "b": of(0.91)}) == []


def test_nothing_measured_says_nothing():
    assert diagnose(None, {}) == []
