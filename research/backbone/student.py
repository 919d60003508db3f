"""The student: the teacher's own layers with the channels taken away that move its features least, until PARAMETERS are left.

How much a channel matters: the squared first-order change of the features when it becomes zero, in random directions of the
features, so that no labels are needed (Molchanov et al. 2019, arXiv 1906.10771, with the features in place of the loss).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from crops import render, view
from photographs import Photograph
from sightline.learn.shrinking.channels import Channels, cut
from sightline.learn.shrinking.importance import Importance
from sightline.learn.shrinking.network import narrow, remove
from sightline.learn.shrinking.selection import chosen
from sightline.learn.shrinking.tracing import traced

PARAMETERS = 1_240_000  # 2 bytes each as float16 and 1 as int8: with their scales they stay below 4 MB
TIME = 256  # positions that cost as much as a parameter: early layers have few parameters and take the time
SIZE = 128
BATCHES, BATCH = 48, 16


def pruned(teacher: nn.Module, photographs: Sequence[Photograph], parameters: int = PARAMETERS) -> tuple[nn.Module, list[str]]:
    """The student before its training, and the blocks that are gone; `teacher` is changed."""
    network = teacher.eval()
    channels = traced(network, SIZE)
    priced = replace(
        channels,
        layers={
            name: replace(one, cost=one.cost // one.places + one.cost // TIME, places=0)
            for name, one in channels.layers.items()
        },
    )
    importance = _importance(network, channels, photographs)
    low, high = 0, priced.multiply_adds()
    while high - low > 2000:  # the budget is of parameters alone, the price has time in it
        middle = (low + high) // 2
        choice = chosen(priced, importance, middle)
        if _parameters(channels, choice.kept, choice.removed) > parameters:
            high = middle
        else:
            low = middle
    choice = chosen(priced, importance, low)
    cut(network, channels, choice.kept, choice.removed)
    return network, list(choice.removed)


def _parameters(channels: Channels, kept: np.ndarray, removed: Sequence[str]) -> int:
    plain = {name: replace(one, cost=one.cost // one.places) for name, one in channels.layers.items()}
    return replace(channels, layers=plain).multiply_adds(kept, removed)


def _importance(network: nn.Module, channels: Channels, photographs: Sequence[Photograph]) -> Importance:
    draws, directions = np.random.default_rng(0), torch.Generator().manual_seed(0)
    network.requires_grad_(True)
    batches = []
    for _ in range(BATCHES):
        numbers = draws.integers(len(photographs), size=BATCH)
        views = [render(photographs, view(int(n), len(photographs), 1000), SIZE) for n in numbers]
        batches.append(normalised(torch.from_numpy(np.stack(views))))
    with torch.no_grad():
        features = torch.cat([network(batch) for batch in batches])
        spread = features.std(0).clamp_min(1e-3)
    total = np.zeros(channels.count)
    for batch in batches:
        network.zero_grad(set_to_none=True)
        answer = network(batch) / spread
        (answer * torch.randn(answer.shape, generator=directions)).sum().backward()
        total += gates(network, channels) ** 2
    blocks = {}
    with torch.inference_mode():
        for name in channels.blocks:
            parent, _, own = name.rpartition(".")
            block = network.get_submodule(name)
            remove(network, name)
            moved = sum(
                float((((network(batch) - features[n * BATCH :][:BATCH]) / spread) ** 2).sum())
                for n, batch in enumerate(batches[:8])
            )
            setattr(network.get_submodule(parent), own, block)
            blocks[name] = moved / 8
    return Importance(total / BATCHES, blocks)


def gates(network: nn.Module, channels: Channels) -> np.ndarray:
    """Gradient of what was differentiated by a gate on each channel, summed over the layers that it goes into."""
    found = np.zeros(channels.count)
    for name, layer in channels.layers.items():
        weight = network.get_submodule(name).weight
        if not layer.depthwise and weight.grad is not None:
            axes = [axis for axis in range(weight.ndim) if axis != 1]
            np.add.at(found, channels.ins[name], (weight.detach() * weight.grad).double().sum(axes).numpy())
    return found


def normalised(images: Tensor) -> Tensor:
    """uint8 (n, size, size, 3) -> (n, 3, size, size) in -1..1, channels last."""
    return ((images.permute(0, 3, 1, 2).float() - 127.5) / 127.5).contiguous(memory_format=torch.channels_last)


def built(state: dict[str, Tensor], removed: Sequence[str]) -> nn.Module:
    """The student with the weights `state`."""
    import timm

    network = timm.create_model("mobilenetv2_100", num_classes=0, pad_type="same")
    for name in removed:
        remove(network, name)
    narrow(network, state)
    network.load_state_dict(state)
    return network


def load(path: Path) -> tuple[nn.Module, dict]:
    """A student as `train.py` keeps it: float32 averaged weights and what is known of them."""
    kept = torch.load(path, weights_only=True)
    return built(kept["average"], kept["removed"]).eval(), kept
