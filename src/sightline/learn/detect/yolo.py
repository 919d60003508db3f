"""A one-stage detector of our own, without anchors: maps of any timm body, a path through them both ways, a decoupled head.

Written from papers: decoupled head without anchors (YOLOX, arXiv 2107.08430); path aggregation (PANet, arXiv 1803.01534) with
sums, as in arXiv 1911.09070; one tower for all maps with norms of their own (RTMDet, arXiv 2212.07784); sides as distributions
(GFL, arXiv 2006.04388); task-aligned assignment (assign.py); weights of the losses as in PP-YOLOE (arXiv 2203.16250).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from sightline.learn.detect.assign import assign
from sightline.learn.detect.bodies import Body
from sightline.learn.detect.losses import complete_iou, distribution_loss
from sightline.learn.detect.network import FLOOR, MOST, OVERLAP, DetectorNetwork, Found, Target
from sightline.learn.network import IMAGENET_MEAN, IMAGENET_STD

BINS = 16  # a side lies 0..15 strides from its place
CANDIDATES = 1000  # best places of a picture that suppression looks at
GAINS = {"class": 1.0, "box": 2.5, "sides": 0.5}
RARE = 0.01  # what a new head says of every class: most places show nothing (arXiv 1708.02002, section 4.1)


@dataclass(frozen=True, slots=True)
class Shape:
    """Channels of neck and head, blocks in each tower; `light`: 3 x 3 depthwise and 1 x 1 instead of 3 x 3.

    Learning in bfloat16, 96 plain channels cost as much as 128 light ones: 16 ms both ways on 52 x 52, batch 8, one core.
    Others take 5 x 5 kernels for light heads; oneDNN's gradients of them take 150 ms.
    """

    width: int
    depth: int
    light: bool
    smooth: bool = False  # SiLU, a little better and slower than ReLU


SHAPES = {"yolo-tiny": Shape(64, 2, True), "yolo-small": Shape(96, 2, False), "yolo-medium": Shape(160, 2, False, True)}


def _activation(shape: Shape) -> nn.Module:
    return nn.SiLU(inplace=True) if shape.smooth else nn.ReLU(inplace=True)


def _convolutions(shape: Shape, stride: int = 1) -> list[nn.Module]:
    """width -> width channels, spatial; no norm behind the last."""
    width = shape.width
    if not shape.light:
        return [nn.Conv2d(width, width, 3, stride, 1, bias=False)]
    depthwise = nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=False)
    return [depthwise, nn.BatchNorm2d(width), _activation(shape), nn.Conv2d(width, width, 1, bias=False)]


def _block(shape: Shape, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(*_convolutions(shape, stride), nn.BatchNorm2d(shape.width), _activation(shape))


class Neck(nn.Module):
    """Maps of a body, finest first, to as many of `width` channels that know of each other: coarse to fine and back."""

    def __init__(self, channels: Sequence[int], shape: Shape) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(each, shape.width, 1, bias=False), nn.BatchNorm2d(shape.width)) for each in channels
        )
        self.down = nn.ModuleList(_block(shape) for _ in channels[1:])
        self.stride = nn.ModuleList(_block(shape, 2) for _ in channels[1:])
        self.up = nn.ModuleList(_block(shape) for _ in channels[1:])

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        each = [lateral(found) for lateral, found in zip(self.lateral, maps, strict=True)]
        for place in range(len(each) - 2, -1, -1):
            coarse = functional.interpolate(each[place + 1], size=each[place].shape[-2:], mode="nearest")
            each[place] = self.down[place](each[place] + coarse)
        for place in range(1, len(each)):
            each[place] = self.up[place - 1](each[place] + self.stride[place - 1](each[place - 1]))
        return each


class Tower(nn.Module):
    """Blocks that all maps share, with norms of their own for each map."""

    def __init__(self, shape: Shape, maps: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Sequential(*_convolutions(shape)) for _ in range(shape.depth))
        self.norms = nn.ModuleList(nn.ModuleList(nn.BatchNorm2d(shape.width) for _ in range(shape.depth)) for _ in range(maps))
        self.activation = _activation(shape)

    def forward(self, x: Tensor, place: int) -> Tensor:
        for convolution, norm in zip(self.convolutions, cast(nn.ModuleList, self.norms[place]), strict=True):
            x = self.activation(norm(convolution(x)))
        return x


class Yolo(DetectorNetwork):
    """Body, neck and head; `mean` and `std` (0..1 scale) travel with the weights."""

    any_size = True
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        body: Body,
        classes: int,
        shape: Shape,
        *,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        self.backbone = body
        self.classes = classes
        self.strides = body.strides
        self.neck = Neck(body.channels, shape)
        self.class_tower, self.box_tower = Tower(shape, len(self.strides)), Tower(shape, len(self.strides))
        self.head = nn.Conv2d(shape.width, classes, 1)
        self.sides = nn.Conv2d(shape.width, 4 * BINS, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.constant_(cast(Tensor, self.head.bias), -math.log((1 - RARE) / RARE))
        nn.init.normal_(self.sides.weight, std=0.01)
        with torch.no_grad():  # a new head says boxes of about 4 strides: each map begins with objects of its own size
            cast(Tensor, self.sides.bias).copy_((-torch.arange(BINS) / 2.0).repeat(4))
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1))
        self.register_buffer("bins", torch.arange(BINS, dtype=torch.float32), persistent=False)

    def normalise(self, pixels: Tensor) -> Tensor:
        """(n, h, w, 3) uint8, or float in 0..255, to normalised (n, 3, h, w)."""
        x = pixels.permute(0, 3, 1, 2).float()
        return ((x - self.mean * 255) / (self.std * 255)).contiguous(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Normalised (n, 3, h, w) to logits of classes (n, a, c) and sides (n, a, 4, BINS), places (a, 2), strides (a,)."""
        logits, sides, points, strides = [], [], [], []
        for place, found in enumerate(self.neck(self.backbone(x))):
            stride, (height, width) = self.strides[place], found.shape[-2:]
            logits.append(self.head(self.class_tower(found, place)).permute(0, 2, 3, 1).flatten(1, 2))
            sides.append(self.sides(self.box_tower(found, place)).permute(0, 2, 3, 1).flatten(1, 2))
            ys, xs = ((torch.arange(side, device=x.device) + 0.5) * stride for side in (height, width))
            points.append(torch.stack([xs.repeat(height), ys.repeat_interleave(width)], 1))
            strides.append(torch.full((int(height) * int(width),), float(stride), device=x.device))
        spread = torch.cat(sides, 1).float()
        return torch.cat(logits, 1).float(), spread.view(*spread.shape[:2], 4, BINS), torch.cat(points), torch.cat(strides)

    def boxes(self, sides: Tensor, points: Tensor, strides: Tensor) -> Tensor:
        """The boxes (n, a, 4) in pixels that distributions of sides mean."""
        distances = (sides.softmax(-1) * cast(Tensor, self.bins)).sum(-1) * strides[:, None]
        return torch.cat([points - distances[..., :2], points + distances[..., 2:]], -1)

    def loss(self, pixels: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        logits, sides, points, strides = self.forward(self.normalise(pixels))
        with torch.autocast(pixels.device.type, enabled=False):
            boxes = self.boxes(sides, points, strides)
            given = assign(logits.detach().sigmoid(), boxes.detach(), points, min(self.strides), targets)
            total = given.scores.sum().clamp_min(1)
            wrong = functional.binary_cross_entropy_with_logits(logits, given.scores, reduction="none")
            parts = {"class": (wrong * given.counted[..., None]).sum() / total}
            weight, there = given.scores.sum(-1)[given.objects], given.boxes[given.objects]
            parts["box"] = ((1 - complete_iou(boxes[given.objects], there)) * weight).sum() / total
            at = points.expand(len(targets), -1, -1)[given.objects]
            far = torch.cat([at - there[:, :2], there[:, 2:] - at], 1)
            far = far / strides.expand(len(targets), -1)[given.objects][:, None]
            parts["sides"] = (distribution_loss(sides[given.objects], far) * weight).sum() / total
        return {name: part * GAINS[name] for name, part in parts.items()}

    def find(self, pixels: Tensor) -> list[Found]:
        logits, sides, points, strides = self.forward(self.normalise(pixels))
        with torch.autocast(pixels.device.type, enabled=False):
            boxes, scores = self.boxes(sides, points, strides), logits.sigmoid()
            size = float(max(pixels.shape[1:3]))
            return [Found(*best(*each, size)) for each in zip(boxes, scores, strict=True)]

    def exported(self) -> nn.Module:
        return _Graph(self)


class _Graph(nn.Module):
    def __init__(self, network: Yolo) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, sides, points, strides = self.network.forward(self.network.normalise(image))
        boxes = self.network.boxes(sides, points, strides)
        return best(boxes[0], logits[0].sigmoid(), float(image.shape[1]))


def best(boxes: Tensor, scores: Tensor, size: float) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes (a, 4) with scores (a, c) to the objects of one picture: each place says its likeliest class, a box of a class that
    overlaps a surer one goes.
    """
    from torchvision.ops import nms

    sure, labels = scores.max(1)
    sure, order = sure.topk(min(CANDIDATES, sure.shape[0]))
    some = torch.nonzero(sure > FLOOR).squeeze(1)
    sure, order = sure[some], order[some]
    boxes, labels = boxes[order].clamp(0, size), labels[order]
    apart = labels[:, None].to(boxes.dtype) * (size + 1)  # boxes of other classes never meet
    kept = nms(boxes + apart, sure, OVERLAP)[:MOST]
    return boxes[kept], sure[kept], labels[kept]
