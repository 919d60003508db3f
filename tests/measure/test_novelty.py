"""Novelty: foreign embeddings stand out, the form is the graph's, the false alarm rate is what was promised."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf
from sklearn.metrics import roc_auc_score

from sightline.errors import DataError
from sightline.measure import novelty


def world(n: int, d: int = 200, seed: int = 0):
    """Embeddings (n, d) that vary in 20 directions only, as those of one kind of picture do, and labels of 4 classes."""
    fixed, rng = np.random.default_rng(99), np.random.default_rng(seed)
    span, means = fixed.normal(size=(20, d)), fixed.normal(size=(4, 20)) * 2
    labels = rng.integers(0, 4, n)
    return np.maximum((means[labels] + rng.normal(size=(n, 20))) @ span + 0.5 * rng.normal(size=(n, d)) + 3, 0), labels


def foreign(n: int, d: int = 200):
    rng = np.random.default_rng(5)
    return np.maximum(rng.normal(size=(n, d)) * 4 + 3, 0)


def auroc(parameters: novelty.Novelty) -> float:
    scores = np.concatenate([novelty.distances(parameters, world(300, seed=1)[0]), novelty.distances(parameters, foreign(300))])
    return float(roc_auc_score(np.repeat([0, 1], 300), scores))


@pytest.mark.parametrize("n", [40, 1500])
@pytest.mark.parametrize("labelled", [True, False])
def test_foreign_embeddings_stand_out(n: int, labelled: bool):
    embedding, labels = world(n)
    assert auroc(novelty.fit_novelty(embedding, labels if labelled else None)) > (0.97 if n > 40 else 0.9)


def test_the_form_is_the_graphs():
    embedding, labels = world(100)
    parameters = novelty.fit_novelty(embedding, labels)
    assert parameters.projection.shape == (200, 128)
    assert parameters.offset.shape == (128,)
    assert parameters.centres.shape == (4, 128)
    assert {array.dtype for array in (parameters.projection, parameters.offset, parameters.centres)} == {np.dtype(np.float32)}
    e = embedding[:7].astype(np.float32)
    moved = e @ parameters.projection + parameters.offset
    by_hand = ((moved[:, None, :] - parameters.centres[None]) ** 2).sum(axis=2).min(axis=1)
    assert np.allclose(novelty.distances(parameters, e), by_hand, rtol=1e-5)


def test_known_pictures_are_near_one():
    embedding, labels = world(1500)
    assert 0.5 < np.median(novelty.distances(novelty.fit_novelty(embedding, labels), world(200, seed=2)[0])) < 2


def test_small_embeddings_keep_every_direction():
    embedding, labels = world(60, d=24)
    assert novelty.fit_novelty(embedding, labels).projection.shape == (24, 24)


def test_dead_features_are_ignored():
    embedding, labels = world(300)
    dead = np.column_stack([embedding, np.zeros((300, 150))])
    parameters = novelty.fit_novelty(dead, labels)
    assert (parameters.projection[200:] == 0).all()
    assert (novelty.distances(parameters, dead) > 0).all()


def test_a_large_common_offset_does_not_cost_precision():
    embedding, labels = world(400)
    shifted = novelty.fit_novelty(embedding + 1000, labels)
    plain = novelty.fit_novelty(embedding, labels)
    a, b = novelty.distances(shifted, embedding + 1000), novelty.distances(plain, embedding)
    assert np.allclose(a, b, rtol=0.02)


def test_shrinkage_is_ledoit_and_wolfs():
    rng = np.random.default_rng(0)
    for n in (15, 400):
        residuals = rng.normal(size=(n, 30)) * np.linspace(0.2, 3, 30)
        assert np.allclose(novelty.shrunk_covariance(residuals), ledoit_wolf(residuals, assume_centered=True)[0])
    assert (novelty.shrunk_covariance(np.zeros((5, 3))) == 0).all()


def test_one_picture_a_class_falls_back_to_one_centre():
    embedding, _ = world(5)
    parameters = novelty.fit_novelty(embedding, np.arange(5))
    assert parameters.centres.shape[0] == 1
    assert np.isfinite(novelty.distances(parameters, embedding)).all()


def test_many_pictures_are_sampled(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(novelty, "_ENOUGH", 300)
    assert auroc(novelty.fit_novelty(*world(1000))) > 0.97


@pytest.mark.parametrize(
    ("embedding", "said"),
    [(np.zeros((1, 4)), "at least 2"), (np.full((3, 4), np.nan), "finite"), (np.ones((5, 4)), "alike")],
)
def test_useless_embeddings_are_refused(embedding, said):
    with pytest.raises(DataError, match=said):
        novelty.fit_novelty(embedding)


def test_the_false_alarm_rate_is_measured_honestly():
    rng = np.random.default_rng(0)
    measured, later = [], []
    for seed in range(60):
        chosen = novelty.choose_unknown(rng.gamma(3, size=300), 0.05, seed=seed)
        measured.append(chosen.false_alarm_rate)
        later.append((rng.gamma(3, size=2000) > chosen.threshold).mean())
    assert np.mean(later) == pytest.approx(0.05, abs=0.008)
    assert np.mean(measured) == pytest.approx(np.mean(later), abs=0.008)


def test_few_pictures_mean_few_alarms():
    chosen = novelty.choose_unknown(np.array([1.0, 2.0, 3.0]))
    assert chosen.threshold == 3.0
    assert chosen.n == 3
    assert novelty.choose_unknown(np.array([2.0])).threshold == 4.0


@pytest.mark.parametrize("values", [np.zeros(0), np.array([1.0, np.nan])])
def test_no_measurement_without_pictures(values):
    with pytest.raises(DataError, match="unknown"):
        novelty.choose_unknown(values)


@pytest.mark.parametrize("rate", [0.0, 1.0, -3])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(DataError, match="between 0 and 1"):
        novelty.choose_unknown(np.ones(5), rate)
