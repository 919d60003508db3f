"""The numbers that ways are compared by; the ways themselves are gone in test_fit.py."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.learn import ways


def test_main_score_is_the_share_right_or_the_mean_average_precision():
    logits = np.array([[2, 1], [0, 1], [3, 0], [0, 5]], np.float32)
    assert ways.main_score(np.array([0, 1, 1, 1]), logits, "binary") == 0.75
    truth = np.array([[1, 0], [0, 0], [1, 0], [0, 0]])  # nobody shows the second label: it does not count
    assert ways.main_score(truth, logits, "multilabel") == 1.0
    assert ways.main_score(np.zeros((4, 2), np.int64), logits, "multilabel") == 0.0


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_loss_is_finite_and_lower_for_better_answers(task: str):
    truth = np.array([0, 1]) if task == "multiclass" else np.eye(2, dtype=np.int64)
    good, bad = np.array([[50, -50], [-50, 50]], np.float32), np.array([[-50, 50], [50, -50]], np.float32)
    assert 0 <= ways.loss_of(truth, good, task) < 1e-3 < 10 < ways.loss_of(truth, bad, task) < 20


@pytest.mark.parametrize(("name", "mirrored"), [("turn_left", False), ("Right", False), ("arrows", False), ("shirt", True)])
def test_names_that_forbid_mirroring(name: str, mirrored: bool):
    assert (ways.LEFT_RIGHT.search(name) is None) is mirrored
