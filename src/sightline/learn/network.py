"""The network every trained model is: normalisation, a backbone, one linear head; and our own small ResNets for training from
scratch.

Knows nothing of data, of training or of pretrained weights (backbones.py builds those networks).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import cast

import torch
from torch import Tensor, nn

from sightline.types import Size

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Trainable(nn.Module):
    """What the loop trains: a backbone, whose blocks may stay still or learn more slowly, and what stands on it."""

    backbone: nn.Module


class Classifier(Trainable):
    """Backbone + head; `mean` and `std` (0..1 scale) are buffers, so they travel with the weights and into the exported
    graph.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        width: int,
        classes: int,
        *,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        dropout: float = 0.0,
    ) -> None:
        """`backbone` maps (n, 3, h, w) to (n, width)."""
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, classes)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1))

    def normalise(self, images: Tensor) -> Tensor:
        """(n, h, w, 3) uint8, or float in 0..255, to normalised float32 (n, 3, h, w), which lies in memory as channels_last."""
        pixels = images.permute(0, 3, 1, 2).float()
        return (pixels - self.mean * 255) / (self.std * 255)

    def embed(self, x: Tensor) -> Tensor:
        """Normalised (n, 3, h, w) to features (n, width)."""
        return cast(Tensor, self.backbone(x))

    def forward(self, x: Tensor) -> Tensor:
        """Normalised (n, 3, h, w) to logits (n, classes)."""
        return cast(Tensor, self.head(self.dropout(self.embed(x))))


@dataclass(frozen=True, slots=True)
class Shape:
    """Channels and basic blocks of each stage; the stem and every stage after the first halve the picture."""

    widths: tuple[int, ...]
    blocks: tuple[int, ...]


# Parameters without a head: 0.6 M, 1.5 M, 2.8 M, 11.2 M. A stem of stride 4 is no bargain: on drawn
# road signs (64 px, 16 epochs) 79 % against 97 % for the same time.
SHAPES: dict[Size, Shape] = {
    "tiny": Shape((32, 64, 128), (1, 1, 2)),
    "small": Shape((48, 96, 192), (1, 2, 2)),
    "medium": Shape((64, 128, 256), (2, 2, 2)),
    "large": Shape((64, 128, 256, 512), (2, 2, 2, 2)),
}


def small_resnet(size: Size) -> tuple[nn.Module, int]:
    """A network of ours for 48-96 px, not pretrained: (backbone (n, 3, h, w) -> (n, width), width).

    Basic residual blocks after He et al. 2015 (arXiv 1512.03385). Down-sampling short cuts average before they project
    (ResNet-D, He et al. 2018, arXiv 1812.01187), and the last BatchNorm of a block starts at zero so that blocks start as
    identities (Goyal et al. 2017, arXiv 1706.02677). As in airbench (Jordan 2024, arXiv 2404.00498) the
    last maps are pooled by their maximum: what is looked for may be small and anywhere (measured on drawn road signs after 8
    epochs: 72 % with the maximum, 29 % with the mean).
    """
    shape = SHAPES[size]
    channels = shape.widths[0]
    layers: list[nn.Module] = [
        nn.Conv2d(3, channels, 3, 2, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    ]
    for stage, (width, blocks) in enumerate(zip(shape.widths, shape.blocks, strict=True)):
        for block in range(blocks):
            layers.append(BasicBlock(channels, width, 2 if stage and not block else 1))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten()), channels


class BasicBlock(nn.Module):
    """(n, channels, h, w) to (n, width, h / stride, w / stride)."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        nn.init.zeros_(self.bn2.weight)
        self.relu = nn.ReLU(inplace=True)
        self.drop_path: nn.Module = nn.Identity()  # stochastic depth, where a training asks for it (dropping.py)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels != width:
            pool: list[nn.Module] = [nn.AvgPool2d(stride, ceil_mode=True)] if stride > 1 else []
            self.shortcut = nn.Sequential(*pool, nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return cast(Tensor, self.relu(self.drop_path(y) + self.shortcut(x)))


def depth_groups(model: Trainable) -> list[list[str]]:
    """Names of the parameters from the stem to the head, a group for each block of the backbone: what layer-wise rates are
    made of. The last group is all that is no backbone.

    A block is a parameter's name up to its first number ("blocks.3", "layer1.0", "stages.2"): so timm, torchvision and our
    networks name theirs. Neighbours without a number are one block (the stem before the numbered ones, the tail behind them).
    """
    names = [name for name, _ in model.backbone.named_parameters()]
    blocks = [[f"backbone.{name}" for name in group] for _, group in groupby(names, _block)]
    return [*blocks, [name for name, _ in model.named_parameters() if not name.startswith("backbone.")]]


def _block(name: str) -> str:
    parts = name.split(".")
    number = next((index for index, part in enumerate(parts) if part.isdigit()), None)
    return "" if number is None else ".".join(parts[: number + 1])
