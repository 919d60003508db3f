"""Regularisation inside a network: dropout before the head, and stochastic depth, put into blocks that are there already.

Changes what a network does while it learns, never its weights' names: what it answers afterwards is the same. Knows no data.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sightline.errors import UsageError
from sightline.learn.network import Trainable
from sightline.learn.plan import Plan

PLACES = ("drop_path", "drop_path1", "drop_path2")  # how timm's blocks and ours call the place at the end of their branch


class DropPath(nn.Module):
    """A residual branch (n, ...) left out for each picture with probability `rate`, in training only (arXiv 1603.09382).

    What stays is scaled by 1 / (1 - rate), so that answers later need no change.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.rate:
            return x
        keep = torch.empty((len(x), *[1] * (x.ndim - 1)), dtype=x.dtype, device=x.device).bernoulli_(1 - self.rate)
        return x * (keep / (1 - self.rate))


def regularise(model: Trainable, plan: Plan) -> None:
    """Set the head's dropout and the blocks' drop rates as the plan says; what it leaves open stays as it was built.

    The rate rises linearly from 0 at the first block to `plan.drop_path` at the last (arXiv 1603.09382, section 4). Raises
    UsageError for a network without residual branches.
    """
    if plan.dropout >= 0:
        if not isinstance(getattr(model, "dropout", None), nn.Dropout):
            raise UsageError("dropout stands before a classifier's head, and this network has none", hint="leave it out")
        model.dropout.p = plan.dropout  # type: ignore[union-attr]
    if not plan.drop_path:
        return
    blocks = [places for module in model.backbone.modules() if (places := _places(module))]
    if not blocks:
        raise UsageError(
            f"drop_path leaves out residual branches, and {type(_inner(model)).__name__} has none that could be",
            hint="leave it out, use --plan dropout=0.2 instead, or a residual network: --backbone resnet18",
        )
    for index, places in enumerate(blocks):
        rate = plan.drop_path * index / max(1, len(blocks) - 1)
        for module, name in places:
            setattr(module, name, rate if name == "p" else DropPath(rate))  # p: torchvision's own


def _places(module: nn.Module) -> list[tuple[nn.Module, str]]:
    """Where a block can leave out a branch: (module, attribute)."""
    if type(module).__name__ == "StochasticDepth":
        return [(module, "p")]
    if not getattr(module, "has_skip", True):  # a block of MobileNet or EfficientNet that nothing leads around
        return []
    return [(module, name) for name in PLACES if hasattr(module, name) and _free(getattr(module, name))]


def _free(there: object) -> bool:
    return there is None or isinstance(there, nn.Identity | DropPath) or type(there).__name__ == "DropPath"


def _inner(model: Trainable) -> nn.Module:
    """The network inside the wrapper of the zoo, whose name says something."""
    inner = getattr(model.backbone, "network", model.backbone)
    return inner if isinstance(inner, nn.Module) else model.backbone
