"""The networks of the search space as torch modules. Knows no training and no search: a genotype in, a backbone out."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from sightline.learn.search.space import Cell, Stage

REDUCTION = 4  # of squeeze-and-excitation


def build(cell: Cell) -> tuple[nn.Module, int]:
    """The backbone of a genotype: (module (n, 3, h, w) -> (n, width), width), first weights drawn by torch's generator.

    A stem of 3x3 (stride 2 from 48 px on), the stages, the maximum over the last maps as in network.small_resnet.
    """
    channels = cell.width
    layers: list[nn.Module] = [conv(3, channels, 3, 2 if cell.resolution >= 48 else 1)]
    for number, stage in enumerate(cell.stages):
        width = cell.width * 2**number
        for block in range(stage.depth):
            layers.append(_block(stage, channels, width, 2 if number and not block else 1))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten()), channels


def _block(stage: Stage, channels: int, width: int, stride: int) -> nn.Module:
    if stage.kind == "c":
        return nn.Sequential(conv(channels, width, stage.kernel, stride), *_attention(stage, width))
    if stage.kind == "r":
        return Residual(stage, channels, width, stride)
    if stage.kind == "i":
        return Inverted(stage, channels, width, stride)
    apart = conv(channels, channels, stage.kernel, stride, groups=channels)
    return nn.Sequential(apart, conv(channels, width, 1), *_attention(stage, width))


def conv(channels: int, width: int, kernel: int, stride: int = 1, *, groups: int = 1, active: bool = True) -> nn.Sequential:
    """Convolution, batch norm and, if `active`, ReLU."""
    layers: list[nn.Module] = [
        nn.Conv2d(channels, width, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(width),
    ]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if active else []))


def _attention(stage: Stage, width: int) -> list[nn.Module]:
    return [Attention(width)] if stage.attention else []


class Attention(nn.Module):
    """Squeeze-and-excitation (Hu et al. 2017, arXiv 1709.01507): channels weighed by what the whole map shows."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = max(4, width // REDUCTION)
        self.squeeze = nn.Conv2d(width, inner, 1)
        self.excite = nn.Conv2d(inner, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.excite(torch.relu(self.squeeze(mean))))


class Residual(nn.Module):
    """A basic residual block (He et al. 2015, arXiv 1512.03385); its last norm starts at zero, short cuts average first."""

    def __init__(self, stage: Stage, channels: int, width: int, stride: int) -> None:
        super().__init__()
        last = conv(width, width, stage.kernel, active=False)
        nn.init.zeros_(cast(nn.BatchNorm2d, last[1]).weight)
        self.body = nn.Sequential(conv(channels, width, stage.kernel, stride), last, *_attention(stage, width))
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels != width:
            pool: list[nn.Module] = [nn.AvgPool2d(stride, ceil_mode=True)] if stride > 1 else []
            self.shortcut = nn.Sequential(*pool, conv(channels, width, 1, active=False))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


class Inverted(nn.Module):
    """An inverted residual with linear bottleneck (Sandler et al. 2018, arXiv 1801.04381), attention on the wide maps."""

    def __init__(self, stage: Stage, channels: int, width: int, stride: int) -> None:
        super().__init__()
        inner = channels * stage.expansion
        widen = [conv(channels, inner, 1)] if stage.expansion > 1 else []
        apart = conv(inner, inner, stage.kernel, stride, groups=inner)
        self.body = nn.Sequential(*widen, apart, *_attention(stage, inner), conv(inner, width, 1, active=False))
        self.same = stride == 1 and channels == width

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        return cast(Tensor, x + y if self.same else y)
