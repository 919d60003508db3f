"""Ranges of tensors: exact ends, percentiles that leave the outermost values out, entropy that clamps long tails."""

from __future__ import annotations

import numpy as np
import pytest
from smallnets import drawings, small_network

from sightline.shrink.graph import simplified
from sightline.shrink.ranges import SAMPLES, Seen, limits, observe


def seen(values: np.ndarray) -> Seen:
    return Seen(float(values.min()), float(values.max()), values.astype(np.float32))


def test_smallest_and_largest_are_exact() -> None:
    model = simplified(small_network())
    found = observe(model, ["normal", "embedding"], drawings())
    whole = (drawings().astype(np.float64) - np.array([0.485, 0.456, 0.406]) * 255) / (np.array([0.229, 0.224, 0.225]) * 255)
    assert found["normal"].low == pytest.approx(whole.min(), rel=1e-5)
    assert found["normal"].high == pytest.approx(whole.max(), rel=1e-5)
    assert found["normal"].values.mean() == pytest.approx(whole.mean(), abs=0.05)
    assert len(found["normal"].values) <= 1.5 * SAMPLES
    assert limits(found, "minmax")["embedding"] == (found["embedding"].low, found["embedding"].high)


def test_an_outlier_stretches_only_minmax() -> None:
    values = np.concatenate([np.abs(np.random.default_rng(0).normal(0, 1, 200_000)), [500.0]])
    given = {"a": seen(values)}
    assert limits(given, "minmax")["a"][1] == 500
    assert 3 < limits(given, "percentile")["a"][1] < 6
    assert limits(given, "entropy")["a"][1] < 65


def test_entropy_keeps_what_fills_its_range() -> None:
    low, high = limits({"a": seen(np.random.default_rng(0).uniform(-1, 2, 100_000))}, "entropy")["a"]
    assert low == pytest.approx(-1, abs=0.01)
    assert high == pytest.approx(2, abs=0.1)


def test_nothing_but_zeros() -> None:
    for method in ("minmax", "percentile", "entropy"):
        assert limits({"a": seen(np.zeros(100))}, method)["a"] == (0, 0)
