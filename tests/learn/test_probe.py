"""The head: folds that are fair, a regularisation that fits the data, one matrix that holds all of it."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.learn import probe
from sightline.learn.logistic import one_hot, softmax


def clouds(n: int, d: int = 30, classes: int = 3, apart: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, d)) * apart
    truth = np.arange(n) % classes
    return (centres[truth] + rng.normal(size=(n, d)) + 5).astype(np.float32), truth


def test_learns_and_answers_unseen_pictures():
    features, truth = clouds(240)
    found = probe.fit_probe(features, truth, 3, "multiclass", threads=2)
    unseen, right = clouds(300, seed=1)
    assert (found.head.logits(unseen).argmax(axis=1) == right).mean() > 0.9
    assert found.strength in probe.STRENGTHS
    assert not found.balanced


def test_out_of_fold_answers_are_as_good_as_on_unseen_pictures_and_worse_than_on_seen_ones():
    features, truth = clouds(120, d=200, apart=0.12)
    found = probe.fit_probe(features, truth, 3, "multiclass")
    unseen, right = clouds(1200, d=200, apart=0.12, seed=1)
    honest = (found.out_of_fold.argmax(axis=1) == truth).mean()
    seen = (found.head.logits(features).argmax(axis=1) == truth).mean()
    assert seen > honest + 0.05
    assert abs(honest - (found.head.logits(unseen).argmax(axis=1) == right).mean()) < 0.15


def test_more_noise_asks_for_more_caution():
    clear, truth = clouds(200, apart=3)
    noise = np.random.default_rng(0).normal(size=clear.shape).astype(np.float32)
    sure = probe.fit_probe(clear, truth, 3, "multiclass")
    unsure = probe.fit_probe(noise, truth, 3, "multiclass")
    assert unsure.strength < sure.strength


def test_several_labels():
    features, first = clouds(300, classes=2)
    second = (np.arange(300) // 2) % 2
    features[second == 1, :10] += 3
    truth = np.stack([first, second, np.zeros_like(first)], axis=1)
    found = probe.fit_probe(features, truth, 3, "multilabel")
    given = found.out_of_fold > 0
    assert (given[:, :2] == truth[:, :2]).mean() > 0.9
    assert not given[:, 2].any()


def test_same_seed_same_head():
    features, truth = clouds(90)
    one, two = (probe.fit_probe(features, truth, 3, "multiclass", seed=4, threads=threads) for threads in (1, 2))
    assert np.array_equal(one.head.weight, two.head.weight)
    assert np.array_equal(one.out_of_fold, two.out_of_fold)


def test_choosing_on_a_part_of_many_pictures(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(probe, "SEARCHED", 100)
    features, truth = clouds(400)
    found = probe.fit_probe(features, truth, 3, "multiclass")
    assert (np.abs(found.out_of_fold).sum(axis=1) > 0).all()
    assert (found.out_of_fold.argmax(axis=1) == truth).mean() > 0.9


def test_folds_keep_groups_together_and_deal_classes_evenly():
    truth = np.array([0] * 40 + [1] * 10 + [2] * 5)
    groups = [None] * 30 + ["burst"] * 10 + [f"pair{i // 2}" for i in range(10)] + [None] * 5
    folds = probe.fold_numbers(one_hot(truth, 3), groups, 5, seed=0)
    assert len(set(folds[30:40].tolist())) == 1
    assert all(folds[i] == folds[i + 1] for i in range(40, 50, 2))
    assert sorted(np.bincount(folds[50:], minlength=5)) == [1, 1, 1, 1, 1]
    assert sorted(np.bincount(folds[40:50], minlength=5)) == [2, 2, 2, 2, 2]


def test_folds_of_very_few_pictures():
    assert set(probe.fold_numbers(one_hot([0, 1], 2), (), 5, 0).tolist()) == {0, 1}


def test_rare_classes_count_more_only_when_very_rare():
    mild = one_hot([0] * 50 + [1] * 10, 2)
    strong = one_hot([0] * 500 + [1] * 5, 2)
    assert probe.picture_weights(mild, "binary") == (pytest.approx(np.ones(60)), False)
    weights, balanced = probe.picture_weights(strong, "binary")
    assert balanced
    assert weights[-1] / weights[0] == pytest.approx(10)
    assert weights.mean() == pytest.approx(1)


def test_features_that_never_vary_do_no_harm():
    features, truth = clouds(60)
    features[:, 3] = 7.0
    found = probe.fit_probe(features, truth, 3, "multiclass")
    assert np.isfinite(found.head.weight).all()
    answers = softmax(found.head.logits(features + np.eye(30, dtype=np.float32)[3] * 1e-4))
    assert np.abs(answers - softmax(found.head.logits(features))).max() < 0.2
