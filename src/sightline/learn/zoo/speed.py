"""The network of the speed recipe, for many small pictures (CIFAR-10): quick to train, after airbench (Jordan 2024, arXiv
2404.00498). Written from the paper.

Its first layer is not trained but computed from the pictures: principal components of patches of 2 x 2, at equal strength.
Knows nothing of training: the plan is SPEED in plan.py.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (64, 256, 256)
PATCH = 2  # pixels a side
FLOOR = 5e-4  # added to a component's strength: the faintest are noise


class SpeedNet(nn.Module):
    """Normalised (n, 3, s, s) to features (n, 256), for s from 16."""

    components: Tensor

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        count = 2 * 3 * PATCH**2
        self.register_buffer("components", torch.randn(count, 3, PATCH, PATCH))
        self.threshold = nn.Parameter(torch.zeros(count))
        self.groups = nn.ModuleList(_Group(*pair) for pair in zip((count, *widths[:-1]), widths, strict=True))
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.mirrored = False  # whether it answers for a picture and its mirror image together (paper, section 3.5)

    def forward(self, x: Tensor) -> Tensor:
        if self.training or not self.mirrored:
            return self._seen(x)
        return (self._seen(x) + self._seen(x.flip(3))) / 2

    def _seen(self, x: Tensor) -> Tensor:
        x = functional.gelu(functional.conv2d(x, self.components, self.threshold))
        for group in self.groups:
            x = group(x)
        return cast(Tensor, self.pool(x).flatten(1) / 9)  # so that the head begins with small answers

    @torch.no_grad()
    def whiten(self, x: Tensor) -> None:
        """Take the first layer from pictures, normalised (n, 3, s, s): patches' components, each and its opposite."""
        patches = x.unfold(2, PATCH, 1).unfold(3, PATCH, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 3 * PATCH**2)
        strength, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        found = (vectors / torch.sqrt(strength + FLOOR)).T.flip(0).reshape(-1, 3, PATCH, PATCH)
        self.components.copy_(torch.cat([found, -found]))


class _Group(nn.Module):
    """Two convolutions; the first halves the picture. They begin by passing on what comes in."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.norm1 = _Norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = _Norm(width)
        for conv in (self.conv1, self.conv2):
            nn.init.dirac_(conv.weight.data[: conv.in_channels])

    def forward(self, x: Tensor) -> Tensor:
        x = functional.gelu(self.norm1(functional.max_pool2d(self.conv1(x), 2)))
        return functional.gelu(self.norm2(self.conv2(x)))


class _Norm(nn.BatchNorm2d):
    """Batch norm that shifts but does not scale, with a short memory: a training is over in a thousand steps."""

    ones: Tensor

    def __init__(self, width: int) -> None:
        super().__init__(width, momentum=0.4, affine=False)
        self.register_buffer("ones", torch.ones(width))
        self.shift = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        mean, var = cast(Tensor, self.running_mean), cast(Tensor, self.running_var)
        return functional.batch_norm(x, mean, var, self.ones, self.shift, self.training, 0.4, self.eps)
