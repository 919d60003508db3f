"""Dividing in columns: shares, classes, units and given parts, for any data."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.data.strata import TEST, TRAIN, VAL, divide, lots, together
from sightline.errors import UsageError


def _contents(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2**63, count).astype(np.uint64)


def _divided(sets: np.ndarray, labels: list[tuple[str, ...]], units: np.ndarray | None = None, **wishes: float) -> np.ndarray:
    content = _contents(len(sets))
    units = np.arange(len(sets)) if units is None else units
    none = np.zeros(len(sets), np.int8)
    return divide(units, sets, labels, none, lots(content, 0), val=wishes.get("val", 0.2), test=wishes.get("test", 0.0))


def test_every_class_gets_its_share():
    sets = np.repeat(np.arange(4), [1000, 100, 10, 3])
    parts = _divided(sets, [("a",), ("b",), ("c",), ("d",)], val=0.2, test=0.1)
    for code, count in enumerate([1000, 100, 10, 3]):
        found = np.bincount(parts[sets == code], minlength=4)
        assert found[VAL] == max(1, round(0.2 * count))
        assert found[TEST] == max(1, round(0.1 * count))
        assert found[TRAIN] >= 1


def test_pictures_with_several_labels_are_shared_out_label_by_label():
    rng = np.random.default_rng(1)
    labels = [tuple(sorted(rng.choice(list("abcdefgh"), rng.integers(0, 4), replace=False).tolist())) for _ in range(300)]
    sets = rng.integers(0, 300, 4000)
    parts = _divided(sets, labels, val=0.25)
    assert abs((parts == VAL).mean() - 0.25) < 0.01
    for label in "abcdefgh":
        carries = np.array([label in labels[code] for code in sets])
        assert abs((parts[carries] == VAL).mean() - 0.25) < 0.02


def test_the_order_of_the_rows_does_not_matter():
    content, sets = _contents(500), np.arange(500) % 7
    labels = [(f"{code}",) for code in range(7)]
    none, order = np.zeros(500, np.int8), np.random.default_rng(3).permutation(500)
    straight = divide(together(content, np.full(500, -1)), sets, labels, none, lots(content, 5), val=0.3, test=0.1)
    mixed_content = content[order]
    units = together(mixed_content, np.full(500, -1))
    mixed = divide(units, sets[order], labels, none, lots(mixed_content, 5), val=0.3, test=0.1)
    assert np.array_equal(straight[order], mixed)


def test_units_are_joined_through_copies_and_groups():
    content = np.array([1, 1, 2, 3, 4, 5], np.uint64)
    groups = np.array([-1, 0, 0, 1, 1, -1])
    units = together(content, groups)
    assert units[0] == units[1] == units[2]
    assert units[3] == units[4]
    assert len({units[0], units[3], units[5]}) == 3


def test_lots_depend_on_content_and_seed_only():
    content = _contents(1000)
    assert np.array_equal(lots(content, 1), lots(content, 1))
    assert len(np.unique(lots(content, 1))) == 1000
    assert not np.array_equal(np.argsort(lots(content, 1)), np.argsort(lots(content, 2)))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_data(data: st.DataObject):
    """No picture without a part, given ones kept, no unit torn unless the data tore it, small classes everywhere they fit."""
    count = data.draw(st.integers(1, 60))
    labels = [(), ("a",), ("b",), ("c",), ("a", "b")]
    sets = np.array(data.draw(st.lists(st.integers(0, 4), min_size=count, max_size=count)))
    units = np.array(data.draw(st.lists(st.integers(0, count), min_size=count, max_size=count)))
    allowed = data.draw(st.sampled_from([[0], [0, TRAIN], [0, TEST], [TRAIN, TEST], [0, TRAIN, VAL, TEST]]))
    told = np.array(data.draw(st.lists(st.sampled_from(allowed), min_size=count, max_size=count)), np.int8)
    val, test = data.draw(st.sampled_from([(0.15, 0.0), (0.3, 0.2), (0.0, 0.3), (0.0, 0.0)]))
    parts = divide(units, sets, labels, told, lots(_contents(count), 0), val=val, test=test)
    assert parts.min() > 0
    kept = (told == VAL) | (told == TEST) | ((told == TRAIN) & (VAL in told))
    assert np.array_equal(parts[kept], told[kept])
    if set(told.tolist()) == {0}:
        sides = defaultdict(set)
        for unit, part in zip(units.tolist(), parts.tolist(), strict=True):
            sides[unit].add(part)
        assert all(len(found) == 1 for found in sides.values())
        wanted = {TRAIN} | ({VAL} if val else set()) | ({TEST} if test else set())
        if all(code in (0, 1, 2, 3) for code in sets.tolist()) and len(set(units.tolist())) == count:
            for code in set(sets.tolist()):
                found = set(parts[sets == code].tolist())
                assert len(found) >= min(len(wanted), int((sets == code).sum()))


def test_impossible_shares():
    for val, test in ((-0.1, 0), (0.5, 0.5), (1.0, 0), (float("nan"), 0)):
        with pytest.raises(UsageError):
            _divided(np.zeros(3, np.int64), [("a",)], val=val, test=test)
