"""The networks with which He et al. 2015 showed what short cuts are for (arXiv 1512.03385, section 4.2): plain and residual
stacks of 6n + 2 layers for pictures of 32 px.

Knows no names (names.py) and no training. Both kinds differ in nothing but the short cuts, which have no weights (option A).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from sightline.errors import UsageError

WIDTHS = (16, 32, 64)  # channels of the three stages; each after the first halves the picture


class Pair(nn.Module):
    """Two 3 x 3 convolutions: (n, channels, h, w) to (n, width, h / stride, w / stride); `short`: what came in is added.

    The short cut of a shrinking pair takes every second position and fills the new channels with zeros.
    """

    def __init__(self, channels: int, width: int, stride: int, *, short: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.stride, self.short, self.more = stride, short, width - channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        if self.short:
            kept = x[:, :, :: self.stride, :: self.stride] if self.stride > 1 else x
            y = y + (functional.pad(kept, (0, 0, 0, 0, 0, self.more)) if self.more else kept)
        return functional.relu(y)


class Stack(nn.Module):
    """Normalised pictures (n, 3, h, w) to the mean of the last maps (n, 64). First weights after arXiv 1502.01852."""

    def __init__(self, depth: int, *, residual: bool) -> None:
        super().__init__()
        pairs, left = divmod(depth - 2, 6)
        if left or pairs < 1:
            raise UsageError(f"a stack has 6n + 2 layers, got {depth}", hint="such as 8, 14, 20, 32, 44, 56")
        self.conv = nn.Conv2d(3, WIDTHS[0], 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(WIDTHS[0])
        channels, blocks = WIDTHS[0], []
        for stage, width in enumerate(WIDTHS):
            for pair in range(pairs):
                blocks.append(Pair(channels, width, 2 if stage and not pair else 1, short=residual))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        y = self.blocks(functional.relu(self.bn(self.conv(x))))
        return torch.flatten(functional.adaptive_avg_pool2d(y, 1), 1)


def stack(name: str) -> Stack:
    """The stack of an architecture's name: plain20, resnet20."""
    kind = name.rstrip("0123456789")
    return Stack(int(name.removeprefix(kind)), residual=kind == "resnet")
