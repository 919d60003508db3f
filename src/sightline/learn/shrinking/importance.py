"""How much a network's channels and blocks matter for its answers, measured on pictures changed as in training.

First-order Taylor importance (Molchanov et al. 2019, arXiv 1906.10771): the squared change of the loss when a channel becomes
zero, estimated from one gradient for all channels. A gate stands where a channel goes into a layer: its gradient is the sum of
weight times gradient over that layer's weights for it, whatever norm or activation came before. Blocks are few: each is left
out, and the loss measured. Knows not what will be taken away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sightline.learn.augment import augment
from sightline.learn.losses import loss_of
from sightline.learn.network import Classifier
from sightline.learn.plan import Plan
from sightline.learn.reproduce import generator
from sightline.learn.shrinking.channels import Channels
from sightline.learn.shrinking.network import remove
from sightline.learn.step import TrainingData

BATCHES, BATCH = 16, 32  # pictures that channels are judged on
BLOCK_BATCHES = 4  # and blocks, which are computed once each


@dataclass(frozen=True, slots=True)
class Importance:
    """Squared changes of the loss: of each channel's number, float64 (count,), and of each block by name."""

    channels: NDArray[np.float64]
    blocks: dict[str, float]


def measured(network: Classifier, channels: Channels, data: TrainingData, plan: Plan, round_: int = 0) -> Importance:
    """The network's channels and blocks on training pictures; its weights, mode and gradients come back as they were."""
    network.eval().requires_grad_(True)
    batches = _batches(network, data, plan, round_)
    try:
        total = np.zeros(channels.count)
        for x, truth in batches:
            network.zero_grad(set_to_none=True)
            _loss(network, x, truth, data, plan).backward()  # type: ignore[no-untyped-call]
            total += _gates(network, channels) ** 2
    finally:
        network.zero_grad(set_to_none=True)
    few = batches[:BLOCK_BATCHES]
    with torch.inference_mode():

        def losses() -> NDArray[np.float64]:
            return np.array([float(_loss(network, x, truth, data, plan)) for x, truth in few])

        usual = losses()
        blocks = {name: float(((_without(network, name, losses) - usual) ** 2).mean()) for name in channels.blocks}
    return Importance(total / len(batches), blocks)


def _batches(network: Classifier, data: TrainingData, plan: Plan, round_: int) -> list[tuple[Tensor, Tensor]]:
    """Normalised changed pictures (n, 3, size, size) and their soft targets (n, classes)."""
    draws = generator(plan.seed, "importance", round_)
    count = min(BATCHES, max(1, data.pictures // BATCH))
    order = torch.randperm(data.pictures, generator=draws)[: count * BATCH]
    targets = torch.from_numpy(np.array(data.targets))
    soft = targets.float() if data.multilabel else nn.functional.one_hot(targets, network.head.out_features).float()
    fill, found = torch.tensor(data.fill, dtype=torch.float32), []
    for rows in order.tensor_split(count):
        images = torch.from_numpy(data.images[np.sort(rows.numpy())])
        pixels, truth = augment(images, soft[rows.sort().values], plan.augment, plan.size, draws, fill=fill)
        found.append((network.normalise(pixels).contiguous(memory_format=torch.channels_last), truth))
    return found


def _loss(network: Classifier, x: Tensor, truth: Tensor, data: TrainingData, plan: Plan) -> Tensor:
    return loss_of(network(x), truth, data.multilabel, None, plan.label_smoothing)


def _gates(network: nn.Module, channels: Channels) -> NDArray[np.float64]:
    """Gradient of the loss by the gate of each channel's number, summed over all layers that it goes into."""
    found = np.zeros(channels.count)
    for name, layer in channels.layers.items():
        weight = network.get_submodule(name).weight
        if layer.depthwise or not isinstance(weight, Tensor) or weight.grad is None:
            continue
        axes = [axis for axis in range(weight.ndim) if axis != 1]
        each = (weight.detach() * weight.grad).double().sum(axes)
        np.add.at(found, channels.ins[name], each.numpy())
    return found


def _without(network: nn.Module, name: str, losses: Callable[[], NDArray[np.float64]]) -> NDArray[np.float64]:
    """`losses` of the network without a block, which is put back."""
    parent, _, own = name.rpartition(".")
    block = network.get_submodule(name)
    remove(network, name)
    try:
        return losses()
    finally:
        setattr(network.get_submodule(parent), own, block)
