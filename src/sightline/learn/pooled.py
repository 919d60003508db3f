"""A pretrained network as a feature extractor: its pooled last features beside the averages of the stage before.

Knows torch modules only. Measured on clothing (MobileNetV2, 224 px, 5-fold): last features alone 86.3 %, with the stage before
86.9 %, log loss .413 and .394, at no cost in time.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn


class Pooled(nn.Module):
    """(n, 3, size, size) normalised -> (n, width) features of a timm network that was made without its classifier."""

    def __init__(self, network: nn.Module, size: int) -> None:
        super().__init__()
        self.network = network
        self.stage = _stage_before_last(network)
        with torch.inference_mode():
            try:
                self.width = int(self(torch.zeros(1, 3, size, size)).shape[1])
            except (TypeError, ValueError, AttributeError, RuntimeError, IndexError, AssertionError):
                self.stage = None  # a network whose stages are not maps: its last features alone
                self.width = int(self(torch.zeros(1, 3, size, size)).shape[1])

    def forward(self, x: Tensor) -> Tensor:
        network = cast(Any, self.network)
        if self.stage is None:
            return cast(Tensor, network(x))
        last, (before,) = network.forward_intermediates(x, indices=[self.stage], output_fmt="NCHW")
        return torch.cat([network.forward_head(last, pre_logits=True), before.mean((2, 3))], dim=1)


def _stage_before_last(network: nn.Module) -> int | None:
    """Its number among timm's feature stages; None where the network does not give them."""
    stages = getattr(network, "feature_info", None)
    if not hasattr(network, "forward_intermediates") or stages is None or len(stages) < 2:
        return None
    return len(stages) - 2
