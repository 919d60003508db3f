"""A graph computed in 8 bits, in QDQ form, which every runtime reads: activations uint8 with a zero point, weights int8 with a
scale for each output channel, biases int32.

Which nodes: plan.py; the ranges of their tensors are given. Knows nothing of pictures but their shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError
from sightline.shrink.graph import Wiring, drop_unused, load_onnx, picture_input, read, simplified, wiring, write
from sightline.shrink.plan import CARRIERS, Plan, planned
from sightline.shrink.stem import Stem, byte_stem
from sightline.shrink.weights import matrices, output_axis, prepend, stored8, stored16, to_int8

FEWEST = 16  # pictures to calibrate on
_BIAS = 2.0**30  # int32 biases stay below this, so that sums have room


@dataclass(frozen=True, slots=True)
class Ground:
    """A float graph made ready for 8 bits: simplified, understood, its normalisation folded where that goes."""

    model: Any
    wires: Wiring
    plan: Plan
    stem: Stem | None

    @property
    def observed(self) -> tuple[str, ...]:
        """The tensors whose ranges are needed."""
        return tuple(dict.fromkeys(_ranged(self)))


def prepared(onnx: bytes, images: NDArray[np.uint8], keep: Sequence[str] = ()) -> Ground:
    """Check what `int8` was given and choose the nodes; raises what `int8` raises."""
    original = read(onnx)
    if any(node.domain == "ai.onnx.ml" for node in original.graph.node):
        raise DataError(
            "this is a classic model: its trees and vectors have no 8-bit form",
            hint="8 bits are for networks; a classic model is small already",
        )
    if any("Quantize" in node.op_type or node.op_type.startswith("QLinear") for node in original.graph.node):
        raise DataError("this model is computed in 8 bits already", hint="compress the model that it was made from")
    if len(images) < FEWEST:
        raise DataError(
            f"8 bits need at least {FEWEST} pictures to calibrate on, got {len(images)}",
            hint="give more pictures, 64 to 256 of them, as varied as those the model will see",
        )
    picture_input(original, images)
    model = simplified(onnx)
    wires = wiring(model)
    plan = planned(model, wires, keep)
    return Ground(model, wires, plan, byte_stem(model, wires, plan))


def built(ground: Ground, ranges: Mapping[str, tuple[float, float]], original: Any) -> bytes:
    """The graph in 8 bits with these ranges of `ground.observed`."""
    writer = _Writer(ground, {name: _parameters(*ranges[name]) for name in ground.observed})
    model = type(ground.model).FromString(ground.model.SerializeToString())
    nodes = [type(node).FromString(node.SerializeToString()) for node in model.graph.node]
    for node in nodes:
        writer.add(node)
    del model.graph.node[:]
    model.graph.node.extend(writer.nodes)
    onnx = load_onnx()
    model.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in writer.constants.items())
    drop_unused(model)
    _store_the_rest(model, ground.plan)
    return write(model, original)


def _store_the_rest(model: Any, plan: Plan) -> None:
    """What stays in float is stored smaller: the last layers in 8 bits, other large constants in 16."""
    wires = wiring(model)
    last = matrices(model, wires, (node for node in model.graph.node if node.name in plan.last))
    other = matrices(model, wires, (node for node in model.graph.node if node.name not in plan.last))
    nodes = [node for name, axis in last for node in stored8(model, name, wires.constants[name], axis)]
    nodes += [node for name, _ in other for node in stored16(model, name, wires.constants[name])]
    prepend(model, nodes)


def _ranged(ground: Ground) -> list[str]:
    """The float tensors that get a scale of their own, in the order of the graph."""
    wires, plan = ground.wires, ground.plan
    names: list[str] = []
    for node in ground.model.graph.node:
        if node.name not in plan.inside:
            continue
        if not (ground.stem and node.name == ground.stem.conv):
            names += [name for name in wires.given(node) if not _made_inside(name, ground)]
        if node.op_type not in CARRIERS:
            names.append(_result(node, ground))
    return names


def _made_inside(name: str, ground: Ground) -> bool:
    maker = ground.wires.maker.get(name)
    return maker is not None and maker.name in (ground.plan.inside | ground.plan.clamps)


def _result(node: Any, ground: Ground) -> str:
    """The tensor that an 8-bit node makes: after the Relu or Clip that vanishes into it."""
    takers = ground.wires.takers.get(node.output[0], [])
    clamped = len(takers) == 1 and takers[0].name in ground.plan.clamps
    name: str = takers[0].output[0] if clamped else node.output[0]
    return name


def _parameters(low: float, high: float) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Scale and zero point of uint8 for values in low..high; zero itself is always one of the 256 values."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255 or 1.0
    return np.array(scale, np.float32), np.array(np.clip(round(-low / scale), 0, 255), np.uint8)


@dataclass(slots=True)
class _Writer:
    """Rewrites a graph node by node. A tensor made in 8 bits keeps its name behind its DequantizeLinear, so that whoever takes
    it finds it; one made in float gets a second name for its 8-bit takers. New names are short: they are bytes of the file."""

    ground: Ground
    parameters: Mapping[str, tuple[NDArray[np.float32], NDArray[np.uint8]]]
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    scales: dict[str, str] = field(default_factory=dict)  # tensor -> the name of its scale; its zero point is named alike
    entered: dict[str, str] = field(default_factory=dict)  # float tensor -> its name behind QuantizeLinear, DequantizeLinear
    count: int = 0

    def add(self, node: Any) -> None:
        plan, stem = self.ground.plan, self.ground.stem
        if node.name in plan.clamps or (stem and node.name in stem.gone):
            return
        if node.name not in plan.inside:
            self._shield(node)
            self.nodes.append(node)
            return
        given = self.ground.wires.given(node)
        for place, name in enumerate(node.input):
            if name in given:
                node.input[place] = self._pixels() if stem and node.name == stem.conv else self._entered(name)
        if self.ground.wires.weighted(node):
            self._weights(node)
        self._leave(node, given)

    def _shield(self, node: Any) -> None:
        """Keep the weights of a float node in float. ONNX Runtime rounds them at load, one scale for the whole layer, where a
        convolution or Gemm takes what DequantizeLinear makes (its `WeightBiasQuantization`). A Clip without effect between
        the two prevents it."""
        if node.op_type not in ("Conv", "ConvTranspose", "Gemm") or not _made_inside(node.input[0], self.ground):
            return
        self.constants |= {"least": np.array(-3e38, np.float32), "most": np.array(3e38, np.float32)}
        shielded = self._new("c")
        self.nodes.append(load_onnx().helper.make_node("Clip", [node.input[0], "least", "most"], [shielded], name=shielded))
        node.input[0] = shielded

    def _leave(self, node: Any, given: list[str]) -> None:
        """Quantise what the node makes, and bring it back under its old name."""
        result = _result(node, self.ground)
        if node.op_type in CARRIERS:
            scale = self.scales[given[0]]
            self.scales[result] = scale
        else:
            scale = self._scale(result)
        raw = self._new("r")
        node.output[0] = raw
        self.nodes.append(node)
        self._pair(raw, scale, result)

    def _entered(self, name: str) -> str:
        """The tensor as 8-bit nodes take it."""
        if _made_inside(name, self.ground):
            return name
        if name not in self.entered:
            self.entered[name] = self._new("e")
            self._pair(name, self._scale(name), self.entered[name])
        return self.entered[name]

    def _pixels(self) -> str:
        """The picture's own bytes, channels first, as the first convolution takes them."""
        stem = self.ground.stem
        if stem is None:
            raise ValueError("there is no stem")
        image = self.ground.model.graph.input[0].name
        make = load_onnx().helper.make_node
        self.constants |= {"pixel.s": np.array(1, np.float32), "pixel.z": np.array(stem.zero, np.uint8)}
        self.scales["pixel"] = "pixel"
        self.nodes.append(make("Transpose", [image], ["pixel.q"], name="pixel.q", perm=[0, 3, 1, 2]))
        self.nodes.append(make("DequantizeLinear", ["pixel.q", "pixel.s", "pixel.z"], ["pixel"], name="pixel"))
        self.entered["pixel"] = "pixel"
        return "pixel"

    def _weights(self, node: Any) -> None:
        stem, wires = self.ground.stem, self.ground.wires
        folded = stem if stem and node.name == stem.conv else None
        weight = folded.weight if folded else np.asarray(wires.constants[node.input[1]], np.float32)
        bias = folded.bias if folded else wires.constants[node.input[2]] if len(node.input) > 2 and node.input[2] else None
        axis = output_axis(node, weight)
        before = self.constants[f"{self.scales[self._source(node)]}.s"]
        numbers, scales = to_int8(weight, axis, _largest_weight())
        if bias is not None:
            flat = np.asarray(bias, np.float32).reshape(-1)
            least = np.abs(flat) / (before * np.float32(_BIAS))
            if (least > scales).any():  # a channel whose weights are far smaller than its bias
                scales = np.maximum(scales, least.astype(np.float32))
                shape = [1] * weight.ndim
                shape[axis] = -1
                numbers = np.rint(weight / scales.reshape(shape)).astype(np.int8)
            self._constant(node, 2, np.rint(flat / (before * scales)).astype(np.int32), before * scales, 0)
        self._constant(node, 1, numbers, scales, axis)

    def _source(self, node: Any) -> str:
        """The tensor whose scale a weighted node's input has."""
        taken: str = node.input[0]
        return next((name for name, inner in self.entered.items() if inner == taken), taken)

    def _constant(self, node: Any, place: int, numbers: NDArray[Any], scales: NDArray[np.float32], axis: int) -> None:
        name = self._new("w")
        zeros = f"zero.{numbers.dtype}.{len(scales)}"
        self.constants |= {f"{name}.q": numbers, f"{name}.s": scales.astype(np.float32)}
        self.constants.setdefault(zeros, np.zeros(len(scales), numbers.dtype))
        make = load_onnx().helper.make_node
        self.nodes.append(make("DequantizeLinear", [f"{name}.q", f"{name}.s", zeros], [name], name=name, axis=axis))
        if len(node.input) > place:
            node.input[place] = name
        else:
            node.input.append(name)

    def _scale(self, tensor: str) -> str:
        if tensor not in self.scales:
            name = self.scales[tensor] = self._new("t")
            self.constants[f"{name}.s"], self.constants[f"{name}.z"] = self.parameters[tensor]
        return self.scales[tensor]

    def _pair(self, source: str, scale: str, target: str) -> None:
        make, middle = load_onnx().helper.make_node, self._new("q")
        self.nodes.append(make("QuantizeLinear", [source, f"{scale}.s", f"{scale}.z"], [middle], name=middle))
        self.nodes.append(make("DequantizeLinear", [middle, f"{scale}.s", f"{scale}.z"], [target], name=f"{middle}.f"))

    def _new(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"


def _largest_weight() -> int:
    """127; on processors of the x86 family without VNNI 63, for there sums of two products of bytes overflow 16 bits."""
    file = Path("/proc/cpuinfo")
    if not file.exists():
        return 127
    flags = next((line for line in file.read_text().splitlines() if line.startswith("flags")), "")
    return 63 if "sse2" in flags.split() and "vnni" not in flags else 127
