"""Intervals: cover the truth as often as they say, and never claim certainty from few pictures."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.measure import bootstrap


@pytest.mark.parametrize(("n", "share"), [(40, 0.9), (200, 0.85), (30, 0.5)])
def test_a_proportion_covers_the_truth_at_least_93_times_in_100(n: int, share: float):
    rng = np.random.default_rng(0)
    scores = [bootstrap.proportion(int(rng.binomial(n, share)), n, seed) for seed in range(600)]
    covered = np.mean([score.low <= share <= score.high for score in scores])
    assert 0.93 <= covered <= 1.0


def test_the_mean_of_resampled_sums_covers_the_truth():
    rng = np.random.default_rng(1)
    covered = 0
    for seed in range(120):
        losses = rng.exponential(0.5, 150)
        drawn = bootstrap.resampled_sums(losses[:, None], seed)[:, 0] / 150
        score = bootstrap.score(float(losses.mean()), drawn, 150)
        covered += score.low <= 0.5 <= score.high
    assert 0.88 <= covered / 120 <= 1.0  # 95 % less the bootstrap's known shortfall on skewed values, plus chance


@pytest.mark.parametrize("right", [0, 25])
def test_all_right_or_all_wrong_is_not_certainty(right: int):
    score = bootstrap.proportion(right, 25, 0)
    assert (score.low, score.high) == pytest.approx((0.867, 1.0) if right else (0.0, 0.133), abs=0.002)


def test_agreeing_resamples_get_wilsons_bound():
    score = bootstrap.score(1.0, np.ones(1000), 10)
    assert score.high == 1.0
    assert score.low == pytest.approx(0.722, abs=0.002)


def test_weights_draw_as_many_pictures_as_there_are():
    drawn = np.concatenate(list(bootstrap.weights(37, 0)))
    assert drawn.shape == (1000, 37)
    assert (drawn.sum(axis=1) == 37).all()


def test_large_tests_are_drawn_less_often_but_enough():
    assert bootstrap.resamples(10_000) == 1000
    assert bootstrap.resamples(50_000) == 400
    assert bootstrap.resamples(10_000_000) == 200


def test_the_same_seed_gives_the_same_interval():
    counts = np.array([5, 3, 90], np.int64)
    assert (bootstrap.resampled_counts(counts, 4) == bootstrap.resampled_counts(counts, 4)).all()
    assert bootstrap.resampled_counts(counts, 4).sum(axis=1).tolist() == [98] * 1000


def test_nothing_counted_says_everything_is_possible():
    score = bootstrap.proportion(0, 0, 0)
    assert (score.low, score.high, score.n) == (0.0, 1.0, 0)


def test_a_biased_score_keeps_its_value_inside_the_interval():
    draws = np.random.default_rng(0).normal(0.08, 0.01, 1000)  # pushed up from 0.05
    score = bootstrap.unbiased_score(0.05, draws, 300)
    assert score.low == pytest.approx(0.03, abs=0.004)
    assert score.high == pytest.approx(0.07, abs=0.004)
