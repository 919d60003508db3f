"""A restricted Boltzmann machine: learns a tiny known distribution, by both kinds of contrastive divergence."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sightline.errors import UsageError
from sightline.learn.layerwise.rbm import Learning, Rbm, RbmPlan, log_likelihood
from sightline.learn.reproduce import generator


def bars_and_stripes(side: int = 3) -> torch.Tensor:
    """All pictures of side x side of whole rows or whole columns, each once: float 0/1 (n, side * side)."""
    every = [[(number >> place) & 1 for place in range(side)] for number in range(2**side)]
    rows = {tuple(np.repeat(one, side)) for one in every} | {tuple(np.tile(one, side)) for one in every}
    return torch.tensor(sorted(rows), dtype=torch.float32)


def taught(rows: torch.Tensor, plan: RbmPlan, hidden: int = 16, *, gaussian: bool = False) -> tuple[Learning, list[float]]:
    learning = Learning(rows, hidden, plan, generator(0, "start", 0), gaussian=gaussian, steps=plan.epochs)
    return learning, [learning.step(rows, number, generator(0, "step", number)) for number in range(plan.epochs)]


@pytest.mark.parametrize("persistent", [False, True])
def test_bars_and_stripes_become_likely(persistent: bool):
    rows = bars_and_stripes()
    plan = RbmPlan(epochs=1500, lr=0.05, decay=0, persistent=persistent, batch=len(rows))
    before = Learning(rows, 16, plan, generator(0, "start", 0), gaussian=False, steps=1)
    learning, errors = taught(rows, plan)
    assert len(rows) == 14
    assert log_likelihood(before.rbm, rows) < -5.5  # 9 coins: -9 log 2 = -6.2
    assert log_likelihood(learning.rbm, rows) > -4.5  # perfect: -log 14 = -2.6
    assert np.mean(errors[-20:]) < 0.5 * np.mean(errors[:20])


def test_the_likelihood_is_a_probability():
    draws = generator(1, "", 0)
    rbm = Rbm(torch.randn(4, 3, generator=draws), torch.randn(4, generator=draws), torch.randn(3, generator=draws), False)
    every = ((torch.arange(16)[:, None] >> torch.arange(4)) & 1).float()
    assert sum(np.exp(log_likelihood(rbm, one[None])) for one in every) == pytest.approx(1, abs=1e-5)


def test_free_energy_is_the_sum_over_hidden_states():
    draws = generator(2, "", 0)
    rbm = Rbm(torch.randn(4, 3, generator=draws), torch.randn(4, generator=draws), torch.randn(3, generator=draws), False)
    v = torch.tensor([[1.0, 0, 1, 1]])
    hidden = ((torch.arange(8)[:, None] >> torch.arange(3)) & 1).float()
    energy = -(v @ rbm.weight * hidden).sum(1) - (v @ rbm.visible) - hidden @ rbm.hidden
    assert float(rbm.free_energy(v)) == pytest.approx(-float(torch.logsumexp(-energy, 0)), abs=1e-5)


def test_gaussian_units_learn_directions():
    draws = generator(3, "rows", 0)
    rows = torch.randn(500, 2, generator=draws) @ torch.randn(2, 12, generator=draws) / 1.5
    _, errors = taught(rows, RbmPlan(epochs=300, lr=0.01), 24, gaussian=True)
    assert np.mean(errors[-10:]) < 0.7 * errors[0]


def test_hidden_units_become_as_rare_as_wished():
    rows = torch.bernoulli(torch.full((200, 20), 0.5), generator=generator(4, "rows", 0))
    learning, _ = taught(rows, RbmPlan(epochs=300, sparsity=0.1))
    assert float(learning.rbm.up(rows).mean()) == pytest.approx(0.1, abs=0.05)


def test_impossible_plans_are_refused():
    with pytest.raises(UsageError, match="lr of an RBM must be above 0"):
        RbmPlan(lr=0)
    with pytest.raises(UsageError, match="at most 20"):
        log_likelihood(Rbm(torch.zeros(21, 2), torch.zeros(21), torch.zeros(2), False), torch.zeros(1, 21))
