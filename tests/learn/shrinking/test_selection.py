"""What goes first: what matters least for what it costs, in eights, until the budget is met."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")

from sightline.learn.shrinking.channels import Channels, Layer
from sightline.learn.shrinking.selection import chosen, smallest

FIRST, SECOND = np.arange(3, 27), np.arange(27, 59)  # 24 and 32 channels


def chain(cost: tuple[int, int, int] = (1, 1, 1), blocks: dict[str, tuple[str, ...]] | None = None) -> Channels:
    """Colours -> a (24) -> b (32) -> head (2)."""
    return Channels(
        {"a": Layer(cost[0]), "b": Layer(cost[1]), "head": Layer(cost[2])},
        {"a": FIRST, "b": SECOND, "head": np.array([59, 60])},
        {"a": np.arange(3), "b": FIRST, "head": SECOND},
        {},
        61,
        (FIRST, SECOND),
        blocks or {},
    )


def importance(**blocks: float) -> SimpleNamespace:
    """Channels matter the more the later they come."""
    return SimpleNamespace(channels=np.arange(61, dtype=float), blocks=blocks)


def test_counts():
    channels = chain()
    assert channels.multiply_adds() == 3 * 24 + 24 * 32 + 32 * 2
    assert smallest(channels) == 3 * 8 + 8 * 8 + 8 * 2
    kept = np.ones(61, bool)
    kept[FIRST[:8]] = False
    assert channels.multiply_adds(kept) == 3 * 16 + 16 * 32 + 64


@pytest.mark.parametrize("most", [900, 600, 400, 200, 104])
def test_the_budget_is_met_in_eights(most):
    channels = chain()
    choice = chosen(channels, importance(), most)
    assert choice.multiply_adds == channels.multiply_adds(choice.kept, choice.removed) <= most
    for numbers in (FIRST, SECOND):
        assert choice.kept[numbers].sum() % 8 == 0
        assert choice.kept[numbers].sum() >= 8
        assert not choice.kept[numbers[0]] or choice.kept[numbers].all(), "the least important goes first"


def test_nothing_goes_without_need():
    assert chosen(chain(), importance(), chain().multiply_adds()).kept.all()


def test_what_is_dear_goes_before_what_is_cheap():
    """The same importance for each channel: those of the layer on large maps cost more."""
    even = SimpleNamespace(channels=np.ones(61), blocks={})
    dear_first = chosen(chain((100, 1, 1)), even, round(0.8 * chain((100, 1, 1)).multiply_adds()))
    assert dear_first.kept[FIRST].sum() < 24
    assert dear_first.kept[SECOND].all()


def test_a_block_goes_as_a_whole_where_it_matters_least():
    channels = chain(blocks={"b": ("b",)})
    choice = chosen(channels, importance(b=0.001), 700)
    assert choice.removed == ("b",)
    assert choice.kept.all()
    assert choice.multiply_adds == 3 * 24 + 32 * 2
    assert chosen(channels, importance(b=1e9), 700).removed == ()


def test_a_block_takes_the_blocks_inside_with_it():
    channels = chain(blocks={"outer": ("a", "b"), "outer.inner": ("b",)})
    choice = chosen(channels, importance(**{"outer": 1.0, "outer.inner": 1e-6}), 70)
    assert choice.removed == ("outer",)
    assert choice.multiply_adds == 64


def test_a_group_of_odd_size_becomes_whole_eights():
    even, some = chain(), FIRST[:21]
    odd = Channels(even.layers, {**even.outs, "a": some}, {**even.ins, "b": some}, {}, 61, (some, SECOND), {})
    choice = chosen(odd, SimpleNamespace(channels=np.r_[np.zeros(27), np.ones(34)], blocks={}), odd.multiply_adds() - 1)
    assert choice.kept[some].sum() == 16
