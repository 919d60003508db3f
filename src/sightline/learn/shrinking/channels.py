"""The channels of a network, numbered, so that those which must stay or go together have one number; and taking some away.

Knows neither how they are found (tracing.py) nor which of them matter (pruning.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sightline.learn.shrinking.network import remove, resize_norm

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution or linear layer that was met. `cost`: multiply-adds for one channel out and one in (depthwise: for one);
    `places` where a channel that comes out has values.
    """

    cost: int
    depthwise: bool = False
    places: int = 1


@dataclass(frozen=True, slots=True)
class Channels:
    """Every channel has a number; channels with the same number stay or go together.

    `outs`, `ins`: the numbers of what comes out of and into each layer; `norms` of what a batch norm holds. `groups`: the
    numbers that may go, those that stand at the same places together. `blocks`: modules that add something to what comes in,
    and may go as a whole, with the layers inside.
    """

    layers: dict[str, Layer]
    outs: dict[str, Numbers]
    ins: dict[str, Numbers]
    norms: dict[str, Numbers]
    count: int
    groups: tuple[Numbers, ...]
    blocks: dict[str, tuple[str, ...]]

    def multiply_adds(self, kept: NDArray[np.bool_] | None = None, removed: Sequence[str] = ()) -> int:
        """Of one picture, with the channels `kept` (count,) alone and without the blocks `removed`."""
        gone = {layer for block in removed for layer in self.blocks[block]}
        return sum(self.cost(name, kept) for name in self.layers if name not in gone)

    def cost(self, name: str, kept: NDArray[np.bool_] | None = None) -> int:
        """Multiply-adds of a layer."""
        layer, outs, ins = self.layers[name], self.outs[name], self.ins[name]
        out = len(outs) if kept is None else int(kept[outs].sum())
        if layer.depthwise:
            return layer.cost * out
        return layer.cost * out * (len(ins) if kept is None else int(kept[ins].sum()))


@torch.no_grad()
def cut(network: nn.Module, channels: Channels, kept: NDArray[np.bool_], removed: Sequence[str] = ()) -> None:
    """Take the channels that are not `kept` (count,), and the blocks `removed`, out of the network, in place."""
    gone = tuple(f"{name}." for name in removed)
    for name in channels.layers:
        if name.startswith(gone):
            continue
        module = cast(nn.Conv2d | nn.Linear, network.get_submodule(name))
        outs, ins = (torch.from_numpy(kept[side[name]]) for side in (channels.outs, channels.ins))
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            if module.groups == module.in_channels == module.out_channels:
                module.groups = module.in_channels = module.out_channels = int(outs.sum())
                module.weight = nn.Parameter(module.weight[outs].clone())
        else:
            module.weight = nn.Parameter(module.weight[outs][:, ins].clone())
            wide, narrow = ("out_channels", "in_channels") if isinstance(module, nn.Conv2d) else ("out_features", "in_features")
            setattr(module, wide, int(outs.sum()))
            setattr(module, narrow, int(ins.sum()))
        if module.bias is not None:
            module.bias = nn.Parameter(module.bias[outs].clone())
    for name, numbers in channels.norms.items():
        if not name.startswith(gone):
            norm, stay = network.get_submodule(name), torch.from_numpy(kept[numbers])
            before = {key: value for key, value in norm.state_dict().items() if value.ndim}
            resize_norm(norm, int(stay.sum()))
            for key, value in norm.state_dict().items():
                if value.ndim:
                    value.copy_(before[key][stay])
    for name in removed:
        remove(network, name)
