"""Scenes of coloured rectangles on grey, as a lesson, and a small network for them: learnt in seconds."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from sightline.learn.augment import NONE, Augment
from sightline.learn.detect.data import Scenes, Truth
from sightline.learn.detect.yolo import Shape, Yolo
from sightline.learn.plan import Plan

COLOURS = ((210, 40, 40), (40, 60, 210))
PLAN = Plan(
    size=64, epochs=3, batch=4, lr=4e-3, threads=1, ema=0.8, balance=0.0, clip=10.0, precision="float32",
    mosaic=0.5, scales=0.3, augment=Augment(flip=True, degrees=4, scale=0.2, aspect=0.1, shift=0.05, colour=0.2),
)  # fmt: skip
STILL = NONE


class Small(nn.Module):
    """A body of three maps, as detect/bodies.py gives them."""

    channels = (16, 24, 32)
    strides = (8, 16, 32)

    def __init__(self) -> None:
        super().__init__()

        def half(before: int, after: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU())

        self.stem = nn.Sequential(half(3, 8), half(8, 12))
        self.stages = nn.ModuleList((half(12, 16), half(16, 24), half(24, 32)))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = self.stem(x)
        return [x := stage(x) for stage in self.stages]


def small_yolo(classes: int = 2, seed: int = 0, *, light: bool = True) -> Yolo:
    torch.manual_seed(seed)
    return Yolo(Small(), classes, Shape(24, 1, light))  # type: ignore[arg-type]


def scene(seed: int, size: int = 64, most: int = 3) -> tuple[np.ndarray, Truth]:
    """A picture and its objects: 1 to `most` rectangles of 14 to 26 px that do not touch."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(110, 140, (size, size, 3)).astype(np.uint8)
    boxes, labels = [], []
    for _ in range(int(rng.integers(1, most + 1))):
        width, height = (int(side) for side in rng.integers(14, 27, 2))
        x, y = int(rng.integers(0, size - width)), int(rng.integers(0, size - height))
        if any(x < b[2] + 2 and b[0] < x + width + 2 and y < b[3] + 2 and b[1] < y + height + 2 for b in boxes):
            continue
        label = int(rng.integers(2))
        picture[y : y + height, x : x + width] = COLOURS[label]
        boxes.append((x, y, x + width, y + height))
        labels.append(label)
    return picture, Truth(np.asarray(boxes, np.float32), np.asarray(labels, np.int64), np.zeros((0, 4), np.float32))


def scenes(train: int = 12, val: int = 4, size: int = 64) -> Scenes:
    made = [scene(seed, size) for seed in range(train + val)]
    images, truth = np.stack([one[0] for one in made]), tuple(one[1] for one in made)
    return Scenes(images[:train], truth[:train], images[train:], truth[train:], 2)
