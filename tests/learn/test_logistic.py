"""The solver against scikit-learn, and its basis for few and many pictures."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.learn.logistic import in_features, logits_of, one_hot, problem, sigmoid, softmax, solve


def blobs(n: int, d: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)
    features = rng.normal(size=(n, d)) * rng.uniform(0.1, 3, d) + rng.normal(size=(classes, d))[truth]
    return ((features - features.mean(0)) / features.std(0)).astype(np.float32), truth


@pytest.mark.parametrize(("n", "d"), [(300, 20), (40, 90)])
@pytest.mark.parametrize("strength", [0.01, 1.0])
def test_softmax_equals_scikit_learn(n: int, d: int, strength: float):
    from sklearn.linear_model import LogisticRegression

    features, truth = blobs(n, d, 3)
    given = problem(features, one_hot(truth, 3), np.ones(n, np.float32), softmax=True)
    weight, bias = in_features(given, solve(given, np.arange(n), strength, tolerance=1e-9))
    expected = LogisticRegression(C=strength, max_iter=2000, tol=1e-8).fit(features, truth)
    ours, theirs = softmax(features @ weight.T + bias), expected.predict_proba(features)
    assert np.abs(ours - theirs).max() < 0.005


def test_one_vs_rest_with_weights_on_some_rows_equals_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    features, truth = blobs(200, 10, 2)
    targets = np.stack([truth, 1 - truth], axis=1).astype(np.float32)
    weights = np.random.default_rng(1).uniform(0.2, 3, 200).astype(np.float32)
    rows = np.arange(0, 200, 2)
    given = problem(features, targets, weights, softmax=False)
    found = solve(given, rows, 0.1, tolerance=1e-9)
    expected = LogisticRegression(C=0.1, max_iter=2000, tol=1e-8).fit(features[rows], truth[rows], sample_weight=weights[rows])
    ours = sigmoid(logits_of(given, np.arange(200), found))
    assert np.abs(ours[:, 0] - expected.predict_proba(features)[:, 1]).max() < 0.005
    assert np.abs(ours.sum(axis=1) - 1).max() < 0.005


def test_a_neighbours_solution_saves_steps():
    features, truth = blobs(300, 40, 4)
    given = problem(features, one_hot(truth, 4), np.ones(300, np.float32), softmax=True)
    rows = np.arange(300)
    first = solve(given, rows, 0.1)
    again = solve(given, rows, 0.1, start=first)
    assert again.steps < first.steps
    assert np.abs(logits_of(given, rows, first) - logits_of(given, rows, again)).max() < 0.05


def test_a_class_without_pictures_gets_the_least_probability():
    features, truth = blobs(60, 8, 2)
    given = problem(features, one_hot(truth, 3), np.ones(60, np.float32), softmax=True)
    answers = softmax(logits_of(given, np.arange(60), solve(given, np.arange(60), 0.1)))
    assert (answers[:, 2] < 0.05).all()


def test_large_logits_do_not_overflow():
    extreme = np.array([[1e4, -1e4, 0.0]], np.float32)
    assert softmax(extreme).tolist() == [[1.0, 0.0, 0.0]]
    assert sigmoid(extreme).tolist() == [[1.0, 0.0, 0.5]]
