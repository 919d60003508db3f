"""Muon (Jordan 2024; convergence: arXiv 2502.16982): steps of kernels whose directions all have the same length.

Kernels must be followed by batch norm: their own length means nothing, so it is kept at what it should be after every step.
Everything else (head, biases, norms) is moved by SGD with Nesterov's momentum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim import Optimizer

KERNELS = 0.16  # a kernel's rate by the head's
MOMENTUM = 0.6  # of kernels
ROUNDS = 3  # of the iteration that makes directions equally long: more gains nothing
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of its polynomial, x -> a x + b x^3 + c x^5


class Muon(Optimizer):
    """Groups with `kernels` true hold kernels (out, in, h, w). Steps need gradients of the mean loss."""

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float, momentum: float) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": 0.0, "kernels": False})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    _moved(parameter, parameter.grad, self.state[parameter], group)


def _moved(parameter: Tensor, grad: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
    kernels = group["kernels"]
    momentum = MOMENTUM if kernels else group["momentum"]
    if group["weight_decay"] and not kernels:
        grad = grad.add(parameter, alpha=group["weight_decay"])
    if "momentum" not in state:
        state["momentum"] = torch.zeros_like(parameter)
    kept = state["momentum"].mul_(momentum).add_(grad)
    ahead = grad.add(kept, alpha=momentum)  # Nesterov
    if kernels:
        parameter.mul_(len(parameter) ** 0.5 / parameter.norm().clamp_min(1e-7))
        ahead = even(ahead.reshape(len(ahead), -1)).reshape(ahead.shape).to(parameter.dtype)
    parameter.add_(ahead, alpha=-group["lr"])


def even(matrix: Tensor) -> Tensor:
    """The nearest matrix, about, whose singular values are all 1: Newton-Schulz iteration in bfloat16, (m, n) to (m, n)."""
    x = matrix.bfloat16()
    x = x / (x.norm() + 1e-7)
    tall = len(x) > x.shape[1]
    x = x.T if tall else x
    a, b, c = COEFFICIENTS
    for _ in range(ROUNDS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return cast(Tensor, x.T if tall else x)
