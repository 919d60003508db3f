"""One restricted Boltzmann machine and its learning by contrastive divergence. Knows rows of numbers, not pictures.

After Hinton, Osindero and Teh 2006, "A fast learning algorithm for deep belief nets", and Hinton 2010, "A practical guide to
training restricted Boltzmann machines"; persistent chains after Tieleman 2008.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional

from sightline.errors import UsageError


@dataclass(frozen=True, slots=True)
class Rbm:
    """Visible units: Gaussian of variance 1, or Bernoulli in 0..1; hidden units: Bernoulli."""

    weight: Tensor  # (v, h)
    visible: Tensor  # (v,) biases
    hidden: Tensor  # (h,) biases
    gaussian: bool

    def up(self, v: Tensor) -> Tensor:
        """Probabilities (n, h) of the hidden units for visible rows (n, v)."""
        return torch.sigmoid(v @ self.weight + self.hidden)

    def down(self, h: Tensor) -> Tensor:
        """Expected visible rows (n, v) for hidden rows (n, h)."""
        mean = h @ self.weight.T + self.visible
        return mean if self.gaussian else torch.sigmoid(mean)

    def sample(self, v: Tensor, draws: Generator) -> Tensor:
        """One step of Gibbs sampling, visible to visible (n, v)."""
        h = torch.bernoulli(self.up(v), generator=draws)
        mean = self.down(h)
        return mean + torch.randn(mean.shape, generator=draws) if self.gaussian else torch.bernoulli(mean, generator=draws)

    def free_energy(self, v: Tensor) -> Tensor:
        """(n,): minus the log of a row's probability, up to one constant for all rows."""
        mine = 0.5 * ((v - self.visible) ** 2).sum(1) if self.gaussian else -(v @ self.visible)
        return mine - functional.softplus(v @ self.weight + self.hidden).sum(1)


@dataclass(frozen=True, slots=True)
class RbmPlan:
    """How one machine learns. `persistent`: chains that go on (PCD) instead of beginning at the data in every step (CD)."""

    epochs: int = 20
    batch: int = 100
    lr: float = 0.05
    gibbs: int = 1
    persistent: bool = False
    momentum: float = 0.9  # half of it in the first tenth of all steps
    decay: float = 2e-4
    sparsity: float = 0.0  # wished mean activity of hidden units; 0: none wished

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "lr", "gibbs"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} of an RBM must be above 0, got {getattr(self, name)}")


class Learning:
    """A machine under way: weights, velocities and chains, moved by `step`. All chance comes from the given generator."""

    def __init__(self, rows: Tensor, hidden: int, plan: RbmPlan, draws: Generator, *, gaussian: bool, steps: int) -> None:
        """Begins with small weights and the visible biases that explain each unit's mean over `rows` (n, v) (guide, section 8).

        `steps` is how many there will be.
        """
        visible = rows.shape[1]
        mean = rows.mean(0)
        share = mean.clamp(0.01, 0.99)
        self.plan, self.steps = plan, steps
        spread = 0.01 if not gaussian else 1 / math.sqrt(visible) / 4
        self.rbm = Rbm(
            torch.randn(visible, hidden, generator=draws) * spread,
            mean.clone() if gaussian else torch.log(share / (1 - share)),
            torch.full((hidden,), math.log(plan.sparsity / (1 - plan.sparsity)) if plan.sparsity else 0.0),
            gaussian,
        )
        self.speed = tuple(torch.zeros_like(part) for part in (self.rbm.weight, self.rbm.visible, self.rbm.hidden))
        self.chain = rows[torch.randint(len(rows), (plan.batch,), generator=draws)].clone()

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a later run needs to go on; the tensors themselves, not copies."""
        parts = dict(zip(("weight", "visible", "hidden"), (self.rbm.weight, self.rbm.visible, self.rbm.hidden), strict=True))
        return {**parts, **{f"speed.{place}": part for place, part in enumerate(self.speed)}, "chain": self.chain}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in self.tensors().items():
            tensor.copy_(tensors[name])

    def step(self, v: Tensor, number: int, draws: Generator) -> float:
        """Move towards the rows `v` (n, v) and away from what the machine believes in; the mean square error of
        reconstruction."""
        plan, rbm = self.plan, self.rbm
        h = rbm.up(v)
        if plan.persistent:
            believed = self.chain
            for _ in range(plan.gibbs):
                believed = rbm.sample(believed, draws)
            self.chain.copy_(believed)
            seen = rbm.down(h)
        else:
            # guide, section 3: the data drive hidden states, the last reconstruction may be expectations
            seen = believed = rbm.down(torch.bernoulli(h, generator=draws))
            for _ in range(plan.gibbs - 1):
                believed = rbm.down(torch.bernoulli(rbm.up(believed), generator=draws))
        back = rbm.up(believed)
        gradients = (
            v.T @ h / len(v) - believed.T @ back / len(believed) - plan.decay * rbm.weight,
            v.mean(0) - believed.mean(0),
            h.mean(0) - back.mean(0) + (plan.sparsity - h.mean(0) if plan.sparsity else 0.0),
        )
        share = number / max(1, self.steps)
        momentum = plan.momentum * (0.5 if share < 0.1 else 1.0)
        rate = plan.lr * min(1.0, 2 * (1 - share))  # falls over the second half: the noise of sampling settles
        for part, speed, gradient in zip((rbm.weight, rbm.visible, rbm.hidden), self.speed, gradients, strict=True):
            speed.mul_(momentum).add_(gradient, alpha=rate)
            part.add_(speed)
        return float(((v - seen) ** 2).mean())


def log_likelihood(rbm: Rbm, rows: Tensor) -> float:
    """Mean log-probability of 0/1 rows (n, v), exact: the hidden states are summed over all visible ones. At most 20 units."""
    visible = len(rbm.visible)
    if rbm.gaussian or visible > 20:
        raise UsageError(f"the exact likelihood is for at most 20 Bernoulli units, got {visible}")
    numbers = torch.arange(2**visible)
    every = ((numbers[:, None] >> torch.arange(visible)) & 1).float()
    return float((-rbm.free_energy(rows)).mean() - torch.logsumexp(-rbm.free_energy(every), 0))
