"""Temperature, thresholds and the unsure limit on answers whose right setting is known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from sightline.errors import DataError
from sightline.measure import calibration


def drawn(n: int, c: int, seed: int = 0):
    """Logits, and truths drawn from their own softmax: perfectly calibrated at temperature 1."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, c)) * 1.5
    chances = calibration.to_probabilities(logits, "multiclass")
    return logits, (chances.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=c - 1)


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_is_found(true: float):
    logits, truth = drawn(6000, 5)
    assert calibration.fit_temperature(logits * true, truth, "multiclass") == pytest.approx(true, rel=0.06)


def test_the_temperature_of_several_labels_is_found():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 6))
    truth = rng.random((4000, 6)) < calibration.to_probabilities(logits, "multilabel")
    assert calibration.fit_temperature(logits * 2.5, truth, "multilabel") == pytest.approx(2.5, rel=0.06)


def test_the_temperature_lowers_the_loss_as_far_as_a_search_does():
    from scipy.optimize import minimize_scalar

    logits, truth = drawn(300, 4, seed=3)
    logits = logits * 4

    def loss(log_t: float) -> float:
        return calibration._negative_log_likelihood(logits / np.exp(log_t), truth, "multiclass") + log_t**2 / 2

    best = minimize_scalar(loss, bounds=(-3, 3), method="bounded").x
    assert np.log(calibration.fit_temperature(logits, truth, "multiclass")) == pytest.approx(best, abs=1e-3)


def test_all_right_does_not_mean_certain():
    truth = np.arange(20) % 4
    temperature = calibration.fit_temperature(np.eye(4)[truth] * 3, truth, "multiclass")
    assert 0.05 < temperature < 1
    assert calibration.to_probabilities(np.eye(4)[truth] * 3, "multiclass", temperature).max() < 1


def test_odd_logits_are_refused():
    with pytest.raises(DataError, match="as many"):
        calibration.fit_temperature(np.zeros((2, 2)), np.zeros(3, int), "binary")
    with pytest.raises(DataError, match="finite"):
        calibration.fit_temperature(np.full((2, 2), np.inf), np.zeros(2, int), "binary")


def test_huge_logits_stay_numbers():
    wide = np.array([[1e4, -1e4], [0.0, 0.0]])
    assert calibration.to_probabilities(wide, "multiclass").tolist() == [[1.0, 0.0], [0.5, 0.5]]
    assert calibration.to_probabilities(wide, "multilabel").tolist() == [[1.0, 0.0], [0.5, 0.5]]


def test_reliability_groups_hold_equally_many_answers():
    logits, truth = drawn(1000, 4)
    bins = calibration.reliability(truth, calibration.to_probabilities(logits, "multiclass"), "multiclass")
    assert len(bins) == 15
    assert sum(group.n for group in bins) == 1000
    assert {group.n for group in bins} <= {66, 67}
    assert all(a.confidence <= b.confidence for a, b in pairwise(bins))
    assert max(abs(group.confidence - group.accuracy) for group in bins) < 0.2  # it is calibrated


def test_fewer_answers_than_groups():
    bins = calibration.reliability(np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]]), "binary")
    assert [group.accuracy for group in bins] == [0.0, 1.0]


def test_thresholds_give_the_best_f1():
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(0)
    truth = rng.random((400, 3)) < (0.1, 0.4, 0.7)
    scores = np.round(np.clip(rng.normal(0.35 + 0.25 * truth, 0.15), 0.06, 0.94), 2)
    cuts = calibration.choose_thresholds(scores, truth)
    for c in range(3):
        best = max(f1_score(truth[:, c], scores[:, c] >= cut) for cut in np.linspace(0.05, 0.95, 181))
        assert f1_score(truth[:, c], scores[:, c] >= cuts[c]) >= best - 1e-9


def test_thresholds_fall_back_to_one_half():
    truth = np.array([[0, 1, 1], [0, 1, 0]])
    cuts = calibration.choose_thresholds(np.array([[0.1, 0.9, 0.0001], [0.2, 0.8, 0.0]]), truth)
    assert cuts[:2].tolist() == [0.5, 0.5]
    assert cuts[2] == 0.05  # never so low that anything gets the label
    assert calibration.choose_thresholds(np.full((4, 1), 0.3), np.array([[1], [0], [0], [1]])).tolist() == [0.15]


def test_unsure_is_where_answers_are_mostly_wrong():
    rng = np.random.default_rng(0)
    top = rng.uniform(0.2, 1.0, 4000)
    probabilities = np.column_stack([top, *[(1 - top) / 4] * 4])
    truth = np.where(rng.random(4000) < (top > 0.6) * 0.9 + 0.1, 0, 1)
    limit = calibration.choose_unsure(probabilities, truth)
    best = probabilities.max(axis=1)
    below = probabilities.argmax(axis=1) == truth
    assert below[best < limit].mean() < 0.5
    assert 0.6 < limit <= 0.9


def test_unsure_does_not_flag_answers_that_proved_right():
    probabilities = np.tile([0.3, 0.25, 0.25, 0.2], (200, 1))  # a model too shy, always right
    assert calibration.choose_unsure(probabilities, np.zeros(200, int)) <= 0.3


def test_unsure_with_little_evidence_keeps_the_plain_share():
    assert calibration.choose_unsure(np.full((3, 3), 1 / 3), np.zeros(3, int)) == 0.5
    assert calibration.choose_unsure(np.full((3, 2), 0.5), np.zeros(3, int)) == pytest.approx(2 / 3)


def test_unsure_of_several_labels_looks_at_the_best_label():
    probabilities = np.tile([0.9, 0.2], (50, 1))
    assert calibration.choose_unsure(probabilities, np.tile([1, 0], (50, 1))) < 0.9
