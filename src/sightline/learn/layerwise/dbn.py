"""A deep belief network for pictures: restricted Boltzmann machines stacked, each looking at patches of what the one below
found, learned one after the other without labels; then one network, ready for backpropagation. Knows no labels.

A machine for whole pictures reached 19 % on drawn road signs (20 classes), 28 % without pre-training and with other units (one
run each): a sign may be anywhere. As in Lee et al. 2009 (convolutional deep belief networks) the same machine therefore looks
at every place, and the strongest answer of neighbours goes up. Lowest machine: Gaussian units on whitened patches (Krizhevsky
2009, Coates et al. 2011); above: Bernoulli units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn import functional

from sightline.learn.layerwise import unlabelled
from sightline.learn.layerwise.rbm import Learning, Rbm, RbmPlan
from sightline.learn.network import Classifier
from sightline.learn.reproduce import generator
from sightline.types import Size

SPARSE = 0.05  # wished mean activity of hidden units
LOWEST = RbmPlan(epochs=10, lr=0.005, sparsity=SPARSE)  # Gaussian units want a small rate (guide, section 13.2)
HIGHER = RbmPlan(epochs=5, lr=0.02, sparsity=SPARSE)
PATCHES, LOOKED = 20_000, 5_000  # patches that a machine learns from, out of so many pictures
SMOOTH = 0.05  # of the mean variance: added to every direction's variance before whitening


@dataclass(frozen=True, slots=True)
class Shape:
    """Hidden units of each machine and the side of the patches it sees; behind each but the last, sides are halved."""

    hidden: tuple[int, ...]
    patches: tuple[int, ...] = (5, 3, 3, 3)


SHAPES: dict[Size, Shape] = {
    "tiny": Shape((32, 64, 96, 128)),
    "small": Shape((48, 96, 128, 192)),
    "medium": Shape((64, 128, 192, 256)),
    "large": Shape((96, 192, 256, 384)),
}


@dataclass(frozen=True, slots=True)
class Machine:
    """A learned machine as a kernel: weight (hidden, channels, patch, patch) on what is below, bias (hidden,)."""

    weight: Tensor
    bias: Tensor
    rbm: Rbm
    mean: Tensor  # (d,) and `move` (d, d): rows reach the machine as (rows - mean) @ move
    move: Tensor
    errors: tuple[float, ...]  # of reconstruction, an epoch each


class _Stage:
    """A machine under way, as `unlabelled.learn` wants it."""

    def __init__(self, name: str, rows: Tensor, hidden: int, plan: RbmPlan, seed: int, *, gaussian: bool) -> None:
        self.name, self.data, self.rows = name, rows, len(rows)
        self.batch, self.epochs = min(plan.batch, len(rows)), plan.epochs
        steps = plan.epochs * max(1, self.rows // self.batch)
        self.learning = Learning(rows, hidden, plan, generator(seed, name, 0), gaussian=gaussian, steps=steps)

    def tensors(self) -> dict[str, Tensor]:
        return self.learning.tensors()

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        self.learning.restore(tensors)

    def step(self, rows: Tensor, number: int, draws: Generator) -> float:
        return self.learning.step(self.data[rows], number, draws)


def body(size: Size) -> tuple[nn.Sequential, int]:
    """The network that the machines become: (backbone (n, 3, h, w) -> (n, width), width).

    Each machine is a convolution; batch norm and rectification take the place of its logistic units (rectified hidden units:
    Nair and Hinton 2010).
    """
    layers: list[nn.Module] = []
    channels, shape = 3, SHAPES[size]
    for place, (hidden, side) in enumerate(zip(shape.hidden, shape.patches, strict=True)):
        layers += [nn.Conv2d(channels, hidden, side, padding=side // 2), nn.BatchNorm2d(hidden), nn.ReLU(inplace=True)]
        layers.append(nn.MaxPool2d(2) if place + 1 < len(shape.hidden) else nn.AdaptiveMaxPool2d(1))
        channels = hidden
    return nn.Sequential(*layers, nn.Flatten()), channels


def pretrain(network: Classifier, images: NDArray[np.uint8], run: Path, seed: int) -> tuple[Machine, ...]:
    """Learn the machines of a `body` from prepared pictures (n, s, s, 3) without labels, from the lowest up, and put them into
    the network's convolutions. Goes on in `run` where it was stopped. Raises DataError when a machine diverges.
    """
    some = torch.randperm(len(images), generator=generator(seed, "looked", 0))[:LOOKED].sort().values.numpy()
    convolutions = [module for module in network.backbone.modules() if isinstance(module, nn.Conv2d)]
    maps = network.normalise(torch.from_numpy(images[some])).contiguous()
    machines: list[Machine] = []
    for place, convolution in enumerate(convolutions):
        machine = _learned(maps, convolution, place, run / f"machine-{place + 1}", seed)
        with torch.no_grad():
            convolution.weight.copy_(machine.weight)
            if convolution.bias is not None:
                convolution.bias.copy_(machine.bias)
        machines.append(machine)
        if place + 1 < len(convolutions):
            maps = _above(maps, machine)
    return tuple(machines)


def _learned(maps: Tensor, convolution: nn.Conv2d, place: int, run: Path, seed: int) -> Machine:
    rows = patches(maps, convolution.kernel_size[0], PATCHES, generator(seed, "patches", place))
    move = torch.eye(rows.shape[1])
    mean = torch.zeros(rows.shape[1])
    if place == 0:
        mean, move = whitening(rows)
    stage = _Stage(
        f"Learning layer {place + 1} without labels",
        (rows - mean) @ move,
        convolution.out_channels,
        HIGHER if place else LOWEST,
        seed,
        gaussian=place == 0,
    )
    errors = unlabelled.learn(stage, run, seed)
    rbm = stage.learning.rbm
    weight = move @ rbm.weight  # the whitening goes into the kernel
    return Machine(weight.T.reshape(convolution.weight.shape), rbm.hidden - mean @ weight, rbm, mean, move, errors)


@torch.inference_mode()
def _above(maps: Tensor, machine: Machine) -> Tensor:
    """What the next machine sees: the strongest of 2 x 2 neighbouring probabilities."""
    pad = machine.weight.shape[-1] // 2
    parts = [
        functional.max_pool2d(torch.sigmoid(functional.conv2d(part, machine.weight, machine.bias, padding=pad)), 2)
        for part in torch.split(maps, 200)
    ]
    return torch.cat(parts).clone()


def patches(maps: Tensor, side: int, count: int, draws: Generator) -> Tensor:
    """`count` patches (count, channels * side * side) of maps (n, channels, h, w) at random places; zeros lie around them."""
    padded = functional.pad(maps, (side // 2,) * 4).permute(0, 2, 3, 1)  # (n, h, w, channels)
    who = torch.randint(len(maps), (count,), generator=draws)
    top = torch.randint(padded.shape[1] - side + 1, (count,), generator=draws)
    left = torch.randint(padded.shape[2] - side + 1, (count,), generator=draws)
    steps = torch.arange(side)
    rows, columns = top[:, None, None] + steps[:, None], left[:, None, None] + steps
    found = padded[who[:, None, None], rows, columns]  # (count, side, side, channels)
    return found.permute(0, 3, 1, 2).flatten(1).contiguous()


def whitening(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (d,) and ZCA matrix (d, d) of rows (n, d): (rows - mean) @ matrix has about unit variance in every direction."""
    mean = rows.mean(0)
    covariance = (rows - mean).T @ (rows - mean) / len(rows)
    variances, directions = torch.linalg.eigh(covariance)
    floor = SMOOTH * float(variances.mean()) + 1e-6
    return mean, directions @ torch.diag((variances.clamp_min(0) + floor).rsqrt()) @ directions.T
