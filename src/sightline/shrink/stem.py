"""The first convolution fed with the picture's own bytes: the normalisation moves into its weights.

(pixel * a + b) convolved with w is (pixel - z) convolved with w * a, plus a constant; with one z for the three channels the
bytes are already the 8-bit numbers that the convolution wants. Only at the border, where the padding now stands for z instead
of each channel's mean, is the answer a little different. Knows nothing of ranges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.shrink.graph import Wiring
from sightline.shrink.plan import Plan

FARTHEST = 0.5  # how far, in normalised units, the padding may lie from a channel's mean
_CHANNELS_FIRST = [0, 3, 1, 2]


@dataclass(frozen=True, slots=True)
class Stem:
    """What replaces the nodes named in `gone` and the weights of the node named `conv`; weight (o, 3, h, w), bias (o,)."""

    conv: str
    gone: frozenset[str]
    zero: int  # the byte that means 0
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


def byte_stem(model: Any, wires: Wiring, plan: Plan) -> Stem | None:
    """The first convolution rewritten for bytes, or None where the graph normalises in another way than by a channel."""
    image = model.graph.input[0].name
    gone: list[str] = []
    slope, shift = np.ones((1, 3, 1, 1)), np.zeros((1, 3, 1, 1))
    first, tensor = False, image
    while len(wires.takers.get(tensor, ())) == 1 and tensor not in wires.outputs:
        node = wires.takers[tensor][0]
        if node.name in plan.inside:
            return _folded(node, wires, slope, shift, frozenset(gone)) if first and node.op_type == "Conv" else None
        if node.op_type == "Transpose" and list(node.attribute[0].ints) == _CHANNELS_FIRST and not first:
            first = True
        elif node.op_type in ("Add", "Sub", "Mul", "Div"):
            value = _by_channel(node, tensor, wires, first=first)
            if value is None:
                return None
            slope, shift = _then(node.op_type, slope, shift, value)
        elif node.op_type != "Cast":
            return None
        gone.append(node.name)
        tensor = node.output[0]
    return None


def _by_channel(node: Any, tensor: str, wires: Wiring, *, first: bool) -> NDArray[np.float64] | None:
    """The constant (1, 3 or 1, 1, 1) that a node of arithmetic combines the picture with."""
    if node.input[0] != tensor or node.input[1] not in wires.constants:
        return None
    value = np.asarray(wires.constants[node.input[1]], np.float64)
    if value.size == 1:
        return value.reshape(1, 1, 1, 1)
    shape = value.shape if first else (1, *(() if value.ndim == 1 else value.shape[:-1]), value.shape[-1])
    if value.size != 3 or (first and (value.ndim < 3 or shape[-3] != 3)) or (not first and shape[-1] != 3):
        return None
    return value.reshape(1, 3, 1, 1)


def _then(
    operation: str, slope: NDArray[np.float64], shift: NDArray[np.float64], value: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    match operation:
        case "Add":
            return slope, shift + value
        case "Sub":
            return slope, shift - value
        case "Mul":
            return slope * value, shift * value
        case _:
            return slope / value, shift / value


def _folded(
    conv: Any, wires: Wiring, slope: NDArray[np.float64], shift: NDArray[np.float64], gone: frozenset[str]
) -> Stem | None:
    weight = np.asarray(wires.constants[conv.input[1]], np.float64)
    if weight.shape[1] != 3 or not (slope > 0).all():
        return None
    zero = int(np.clip(np.round((-shift / slope).mean()), 0, 255))
    away = slope * zero + shift  # what a padded pixel means now, where 0 was meant
    if np.abs(away).max() > FARTHEST:
        return None
    bias = np.asarray(wires.constants[conv.input[2]], np.float64) if len(conv.input) > 2 else np.zeros(len(weight))
    moved = bias + (weight * away).sum(axis=(1, 2, 3))
    return Stem(conv.name, gone, zero, (weight * slope).astype(np.float32), moved.astype(np.float32))
