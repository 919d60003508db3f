"""Smaller files with the same arithmetic: weights stored in 16, 8 or 4 bits, or as a few values each, and computed in float32.

The weights become constants of ONNX operators that ONNX Runtime computes once at load (Cast, Mul, Gather), so answers take as
long as before. Knows nothing of activations: quantise.py makes these 8-bit too.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError
from sightline.shrink.graph import WEIGHTED, Wiring, load_onnx, read, simplified, wiring, write

SMALL = 256  # constants with fewer numbers stay as they are
BLOCK = 32  # weights that share one scale in 4 bits, at most
FINE = 32  # rows of fewer weights than this (depthwise convolutions, stems) are too few to share 16 levels: 8 bits
LITTLE = 0.02  # of all weights: a layer with fewer saves next to nothing in 4 bits
LARGEST_HALF = 60_000.0  # float16 ends at 65,504


def fp16(onnx: bytes) -> bytes:
    """The same model with its numbers stored as float16: half the file.

    The arithmetic stays float32: ONNX Runtime's CPU has no float16 convolutions and would cast around every node. Input and
    outputs keep their types. DataError where nothing is stored as float32.
    """
    model = simplified(onnx)
    wires = wiring(model)
    names = [one.name for one in _floats(model)]
    _something(names)
    prepend(model, [node for name in names for node in stored16(model, name, wires.constants[name])])
    return write(model, read(onnx))


def weights8(onnx: bytes) -> bytes:
    """The same model with 8-bit weights, one scale for each output channel: about a quarter of the file."""
    model = simplified(onnx)
    wires = wiring(model)
    prepend(
        model, [node for name, axis in _matrices(model, wires) for node in stored8(model, name, wires.constants[name], axis)]
    )
    return write(model, read(onnx))


def weights4(onnx: bytes) -> bytes:
    """The same model with 4-bit weights, a scale for every 32 at most: about an eighth of the file, and a loss to be measured.

    Layers with less than 2 % of all weights, and those with few weights for each channel (depthwise convolutions, stems), are
    stored in 8 bits: together they are small, and they lose most. The scale of a block is the one of eight tried that loses
    least (mean squared error).
    """
    model = simplified(onnx)
    wires = wiring(model)
    nodes, found = [], _matrices(model, wires)
    coarse = _coarse(found, wires)
    for name, axis in found:
        value = wires.constants[name]
        four = name in coarse and value.size % 2 == 0
        nodes += stored4(model, name, value) if four else stored8(model, name, value, axis)
    prepend(model, nodes)
    return write(model, read(onnx))


def clustered(onnx: bytes, levels: int = 32) -> bytes:
    """The same model with at most `levels` values in each layer's weights: for downloads (Han et al. 2016, "Deep Compression").

    The values are found by k-means, after every output channel was scaled to 1 (without that MobileNetV2 answers by chance),
    and each weight is stored as a byte that names one: the file has a quarter of its size. As the bytes are few different ones,
    a zip of it (`download_bytes`) is smaller again, 5 bits a weight at 32 levels. Small layers stay in 8 bits as in `weights4`.
    DataError for `levels` outside 2..256.
    """
    if not 2 <= levels <= 256:
        raise DataError(f"weights can be clustered into 2 to 256 values, got {levels}", hint="32 is a good start")
    model = simplified(onnx)
    wires = wiring(model)
    nodes, found = [], _matrices(model, wires)
    coarse = _coarse(found, wires)
    for name, axis in found:
        value = wires.constants[name]
        nodes += _shared(model, name, value, axis, levels) if name in coarse else stored8(model, name, value, axis)
    prepend(model, nodes)
    return write(model, read(onnx))


def download_bytes(onnx: bytes) -> int:
    """How many bytes the model has in a zip (deflate), as bundles are handed on."""
    return len(zlib.compress(onnx, 9))


def stored16(model: Any, name: str, value: NDArray[np.float32]) -> list[Any]:
    """Replace a constant by its float16 numbers; returns the nodes that bring it back, to stand in front of the graph."""
    onnx = load_onnx()
    if value.size < SMALL or not np.abs(value).max() < LARGEST_HALF:
        return []
    _replace(model, name, {f"{name}.16": value.astype(np.float16)})
    return [onnx.helper.make_node("Cast", [f"{name}.16"], [name], name=f"{name}.float", to=onnx.TensorProto.FLOAT)]


def stored8(model: Any, name: str, value: NDArray[np.float32], axis: int) -> list[Any]:
    """The same in 8 bits with a scale for each slice along `axis`."""
    onnx = load_onnx()
    numbers, scales = to_int8(value, axis)
    shape = [1] * value.ndim
    shape[axis] = -1
    _replace(model, name, {f"{name}.8": numbers, f"{name}.scale": scales.reshape(shape)})
    make, to = onnx.helper.make_node, onnx.TensorProto.FLOAT
    return [
        make("Cast", [f"{name}.8"], [f"{name}.steps"], name=f"{name}.float", to=to),
        make("Mul", [f"{name}.steps", f"{name}.scale"], [name], name=f"{name}.scaled"),
    ]


def stored4(model: Any, name: str, value: NDArray[np.float32]) -> list[Any]:
    """The same in 4 bits, two to a byte (first half of the numbers in the upper bits), a float16 scale for each block.

    Unpacked by arithmetic that every runtime has: ONNX's own INT4 needs opset 21.
    """
    onnx = load_onnx()
    length = value.size // value.shape[0] if value.ndim == 4 else value.shape[-1]
    block = max(size for size in range(1, BLOCK + 1) if length % size == 0)
    steps, scales = _to_int4(value.reshape(-1, block))
    bytes_ = (steps + 8).astype(np.uint8).reshape(2, -1)
    constants: dict[str, NDArray[Any]] = {
        f"{name}.4": bytes_[0] * 16 + bytes_[1],
        f"{name}.scale": scales.astype(np.float16),
        f"{name}.sixteenth": np.float32(1 / 16).reshape(1),
        f"{name}.sixteen": np.float32(16).reshape(1),
        f"{name}.middle": np.float32(8).reshape(1),
        f"{name}.blocks": np.array([-1, block], np.int64),
        f"{name}.shape": np.array(value.shape, np.int64),
    }
    _replace(model, name, constants)
    make, to = onnx.helper.make_node, onnx.TensorProto.FLOAT
    part = {
        key: f"{name}.{key}" for key in ("byte", "shifted", "high", "up", "low", "flat", "rows", "steps", "factor", "scaled")
    }
    recipe: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("Cast", [f"{name}.4"], part["byte"], {"to": to}),
        ("Mul", [part["byte"], f"{name}.sixteenth"], part["shifted"], {}),
        ("Floor", [part["shifted"]], part["high"], {}),
        ("Mul", [part["high"], f"{name}.sixteen"], part["up"], {}),
        ("Sub", [part["byte"], part["up"]], part["low"], {}),
        ("Concat", [part["high"], part["low"]], part["flat"], {"axis": 0}),
        ("Reshape", [part["flat"], f"{name}.blocks"], part["rows"], {}),
        ("Sub", [part["rows"], f"{name}.middle"], part["steps"], {}),
        ("Cast", [f"{name}.scale"], part["factor"], {"to": to}),
        ("Mul", [part["steps"], part["factor"]], part["scaled"], {}),
        ("Reshape", [part["scaled"], f"{name}.shape"], name, {}),
    ]
    return [make(kind, sources, [out], name=f"{out}.made", **extra) for kind, sources, out, extra in recipe]


def to_int8(value: NDArray[np.float32], axis: int, largest: int = 127) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Numbers int8 of the value's shape, and scales float32, one for each slice along `axis`; value = numbers * scale."""
    others = tuple(place for place in range(value.ndim) if place != axis)
    reach = np.abs(value).max(axis=others, keepdims=True).astype(np.float32)
    scales = np.where(reach > 0, reach / largest, 1).astype(np.float32)
    numbers = np.clip(np.rint(value / scales), -largest, largest).astype(np.int8)
    return numbers, scales.reshape(-1)


def _to_int4(rows: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Steps -8..7 (b, k) and scales (b, 1): of several scales for each row, the one with the smallest squared error."""
    peak = np.take_along_axis(rows, np.abs(rows).argmax(axis=1, keepdims=True), axis=1)
    least = np.full((len(rows), 1), np.inf, np.float32)
    steps, scales = np.zeros(rows.shape, np.int8), np.ones((len(rows), 1), np.float32)
    for reach in (8.0, 8.4, 8.9, 9.5, 10.2, 7.5, 7.0, 11.0):
        scale = (-peak / reach).astype(np.float16).astype(np.float32)  # the outermost weight becomes -8 or -7
        scale[scale == 0] = 1
        tried = np.clip(np.rint(rows / scale), -8, 7)
        error = ((tried * scale - rows) ** 2).sum(axis=1, keepdims=True)
        better = error < least
        least = np.where(better, error, least)
        steps, scales = np.where(better, tried, steps).astype(np.int8), np.where(better, scale, scales)
    return steps, scales


def _shared(model: Any, name: str, value: NDArray[np.float32], axis: int, levels: int) -> list[Any]:
    """Replace a constant by at most `levels` values, a byte for each weight that names one, and a scale for each channel."""
    onnx = load_onnx()
    others = tuple(place for place in range(value.ndim) if place != axis)
    reach = np.abs(value).max(axis=others, keepdims=True)
    scales = np.where(reach > 0, reach, 1).astype(np.float32)
    values, which = _k_means((value / scales).reshape(-1), levels)
    _replace(model, name, {f"{name}.values": values, f"{name}.which": which.reshape(value.shape), f"{name}.scale": scales})
    make = onnx.helper.make_node
    return [
        make("Cast", [f"{name}.which"], [f"{name}.number"], name=f"{name}.wide", to=onnx.TensorProto.INT32),
        make("Gather", [f"{name}.values", f"{name}.number"], [f"{name}.shares"], name=f"{name}.looked_up"),
        make("Mul", [f"{name}.shares", f"{name}.scale"], [name], name=f"{name}.scaled"),
    ]


def _k_means(numbers: NDArray[np.float32], levels: int, rounds: int = 25) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """k-means of single numbers, exact in each round: sorted numbers fall between the middles of neighbouring centres.

    Starts from evenly spaced centres, which serve the rare large weights better than quantiles (Han et al. 2016, section 3.2).
    """
    ordered = np.sort(numbers.astype(np.float64))
    totals = np.concatenate([[0.0], np.cumsum(ordered)])
    centres = np.unique(np.linspace(ordered[0], ordered[-1], levels))
    for _ in range(rounds):
        cuts = np.concatenate([[0], np.searchsorted(ordered, (centres[1:] + centres[:-1]) / 2), [len(ordered)]])
        counts = np.diff(cuts)
        means = np.diff(totals[cuts]) / np.maximum(counts, 1)
        moved = np.sort(np.where(counts > 0, means, centres))
        if np.array_equal(moved, centres):
            break
        centres = moved
    which = np.searchsorted((centres[1:] + centres[:-1]) / 2, numbers)
    return centres.astype(np.float32), which.astype(np.uint8)


def matrices(model: Any, wires: Wiring, nodes: Iterable[Any]) -> list[tuple[str, int]]:
    """The weights of `nodes` with the axis of their output channels; each constant once, small ones left out."""
    held = {one.name for one in model.graph.initializer}
    found: dict[str, int] = {}
    for node in nodes:
        if wires.weighted(node) and node.input[1] in held:
            value = wires.constants[node.input[1]]
            if value.dtype == np.float32 and value.ndim >= 2 and value.size >= SMALL:
                found.setdefault(node.input[1], output_axis(node, value))
    return list(found.items())


def output_axis(node: Any, weight: NDArray[Any]) -> int:
    """Along which axis of a node's weights its output channels lie."""
    if node.op_type == "Conv":
        return 0
    if node.op_type == "ConvTranspose":
        return 1
    if node.op_type == "Gemm" and any(one.name == "transB" and one.i for one in node.attribute):
        return 0
    return weight.ndim - 1


def _matrices(model: Any, wires: Wiring) -> list[tuple[str, int]]:
    found = matrices(model, wires, (node for node in model.graph.node if node.op_type in WEIGHTED))
    _something(found)
    return found


def _coarse(found: list[tuple[str, int]], wires: Wiring) -> set[str]:
    """Those weights that bear fewer levels: of large layers with many weights for each channel."""
    total = sum(wires.constants[name].size for name, _ in found)
    values = {name: (wires.constants[name], axis) for name, axis in found}
    return {
        name
        for name, (value, axis) in values.items()
        if value.size >= LITTLE * total and value.size // value.shape[axis] >= FINE
    }


def _floats(model: Any) -> list[Any]:
    """The float32 constants that are worth storing smaller; scales of 8-bit graphs are not."""
    onnx = load_onnx()
    scales = {name for node in model.graph.node if node.op_type.endswith("QuantizeLinear") for name in node.input[1:]}
    scales |= {name for node in model.graph.node if node.op_type == "DequantizeLinear" for name in node.input}
    return [
        one
        for one in model.graph.initializer
        if one.data_type == onnx.TensorProto.FLOAT and one.name not in scales and np.prod(one.dims) >= SMALL
    ]


def _something(found: object) -> None:
    if not found:
        raise DataError(
            "this model has no weights stored as float32: nothing would become smaller",
            hint="compress the model as it was trained, not one that is compressed already",
        )


def _replace(model: Any, name: str, constants: dict[str, NDArray[Any]]) -> None:
    onnx = load_onnx()
    held = model.graph.initializer
    place = next(place for place, one in enumerate(held) if one.name == name)
    del held[place]
    held.extend(onnx.numpy_helper.from_array(value, key) for key, value in constants.items())


def prepend(model: Any, nodes: list[Any]) -> None:
    """Put nodes that compute constants in front of the graph's own."""
    rest = [type(node).FromString(node.SerializeToString()) for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *rest])
