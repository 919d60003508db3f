"""The same share of channels from every layer: the strongest of each group stay. For students that are narrower everywhere.

Strength is the mean of the absolute weights over all layers that hold a channel (Li et al. 2016, arXiv 1608.08710).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from sightline.learn.shrinking.channels import Channels, cut
from sightline.learn.shrinking.selection import UNIT
from sightline.learn.shrinking.tracing import traced


def narrowed(network: nn.Module, size: int, width: float) -> bool:
    """Keep the share `width` of each group's channels, rounded to eights, in place; False where nothing could go."""
    network.eval()
    channels = traced(network, size)
    kept, score = np.ones(channels.count, bool), strength(network, channels)
    for numbers in channels.groups:
        count = max(min(UNIT, len(numbers)), round(len(numbers) * width / UNIT) * UNIT)
        kept[numbers[np.argsort(-score[numbers], kind="stable")][count:]] = False
    cut(network, channels, kept)
    return not kept.all()


def strength(network: nn.Module, channels: Channels) -> NDArray[np.float64]:
    """(count,) mean absolute weight of each channel's number, where it comes out and where it goes in."""
    total, times = np.zeros(channels.count), np.zeros(channels.count)
    for name, layer in channels.layers.items():
        weight = network.get_submodule(name).weight
        if not isinstance(weight, Tensor):
            continue
        size = weight.detach().abs().double().flatten(2) if weight.ndim > 2 else weight.detach().abs().double()[:, :, None]
        sides = [(channels.outs[name], size.mean((1, 2)))]
        if not layer.depthwise:
            sides.append((channels.ins[name], size.mean((0, 2))))
        for numbers, found in sides:
            np.add.at(total, numbers, found.cpu().numpy())
            np.add.at(times, numbers, 1)
    return total / np.maximum(times, 1)
