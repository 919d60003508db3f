"""Calibration pictures: far from each other, every group met early, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.errors import DataError
from sightline.shrink.calibration import diverse


def groups(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """200 rows around 5 directions, most of them around the first."""
    rng = np.random.default_rng(seed)
    centres = np.eye(8)[:5] * 3
    which = rng.choice(5, 200, p=[0.9, 0.04, 0.03, 0.02, 0.01])
    which[:5] = range(5)
    return (centres[which] + rng.normal(0, 0.05, (200, 8))).astype(np.float32), which


def test_every_group_is_met_first() -> None:
    rows, which = groups()
    assert set(which[diverse(rows, 5)]) == set(range(5))


def test_each_row_once_and_all_when_few() -> None:
    rows, _ = groups()
    chosen = diverse(rows, 500)
    assert chosen.dtype == np.int64
    assert sorted(chosen) == list(range(200))
    assert len(diverse(np.ones((10, 3)), 4)) == 4  # all rows alike
    assert len(set(diverse(np.ones((10, 3)), 10).tolist())) == 10


def test_lengths_do_not_matter_and_seeds_do() -> None:
    rows, _ = groups()
    assert diverse(rows, 20, 3).tolist() == diverse(rows * np.linspace(1, 9, 200)[:, None], 20, 3).tolist()
    assert diverse(rows, 20, 3).tolist() == diverse(rows, 20, 3).tolist()
    assert diverse(rows, 20, 3).tolist() != diverse(rows, 20, 4).tolist()


def test_covers_within_twice_the_best() -> None:
    """Gonzalez' bound, against the best of many random choices."""
    rows, _ = groups(1)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def reach(chosen: np.ndarray) -> float:
        return float(np.linalg.norm(unit[:, None] - unit[chosen][None], axis=2).min(axis=1).max())

    rng = np.random.default_rng(0)
    best = min(reach(rng.choice(200, 12, replace=False)) for _ in range(200))
    assert reach(diverse(rows, 12)) <= 2 * best


@pytest.mark.parametrize("rows", [np.zeros((0, 4)), np.zeros(7), np.array([[1.0, np.nan]])])
def test_refuses_what_is_no_table(rows: np.ndarray) -> None:
    with pytest.raises(DataError):
        diverse(rows, 3)


def test_refuses_a_count_of_none() -> None:
    with pytest.raises(DataError, match="at least 1"):
        diverse(np.ones((3, 3)), 0)
