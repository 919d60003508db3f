"""Which nodes of a graph are computed in 8 bits: those with weights, and what lies between two of them.

What stays in float: what comes before the first weights (the normalisation) and after the last (softmax, boxes, novelty), the
last weighted node of every path (its small loss would go straight into the answer), and what ONNX Runtime has no 8-bit kernel
for. Knows neither ranges nor pictures.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sightline.errors import DataError, UsageError
from sightline.shrink.graph import Wiring

CARRIERS = frozenset({"MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze"})  # move numbers, change none
BETWEEN = CARRIERS | {"Add", "Mul", "Concat", "GlobalAveragePool", "AveragePool", "Sigmoid", "LeakyRelu"}
CLAMPS = frozenset({"Relu", "Clip"})  # vanish: the range of 8 bits that follows clamps alike
_CLAMPED = frozenset({"Conv", "Gemm", "MatMul", "Add", "Mul", "AveragePool", "GlobalAveragePool"})


@dataclass(frozen=True, slots=True)
class Plan:
    """Names of nodes: `inside` are computed in 8 bits, `clamps` vanish, `last` keep float arithmetic with 8-bit weights."""

    inside: frozenset[str]
    clamps: frozenset[str]
    last: frozenset[str]


def planned(model: Any, wires: Wiring, keep: Collection[str] = ()) -> Plan:
    """Choose the nodes; those named in `keep` stay in float.

    Raises DataError for a graph without weights between input and answer, UsageError for an unknown name in `keep`.
    """
    nodes = list(model.graph.node)
    unknown = sorted(set(keep) - {node.name for node in nodes})
    if unknown:
        raise UsageError(f"the graph has no node named {unknown[0]!r}", hint="give names as the graph itself has them")
    weighted = [node for node in nodes if wires.weighted(node)]
    last = {node.name for node in weighted} - _leading_to(weighted, wires)
    core = {node.name for node in weighted if _plain(node, wires) and node.name not in {*last, *keep}}
    if not core:
        raise DataError(
            "this model has no layers that 8 bits would make smaller: none whose weights are followed by others",
            hint="8 bits are for networks; classic models and heads alone stay as they are",
        )
    clamps = {node.name for node in nodes if node.op_type in CLAMPS and node.name not in keep and _foldable(node, wires)}
    between = {node.name for node in nodes if _can_lie_between(node, wires) and node.name not in keep}
    inside = core | _connected(nodes, wires, core, between, clamps)
    folded = {
        node.name for node in nodes if node.name in clamps and wires.maker[node.input[0]].name in inside
    }  # the others are float nodes like any
    return Plan(frozenset(inside), frozenset(folded), frozenset(last))


def _plain(node: Any, wires: Wiring) -> bool:
    """Whether ONNX Runtime has an 8-bit kernel for a weighted node as it is written."""
    values = {one.name: one for one in node.attribute}
    weight = wires.constants[node.input[1]]
    bias = wires.constants.get(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    if len(node.input) > 2 and node.input[2] and bias is None:
        return False
    if node.op_type == "Conv":
        return bool(weight.ndim == 4 and node.output[0] in wires.floats)
    if node.op_type == "Gemm":
        ordinary = all(values[name].f == 1 for name in ("alpha", "beta") if name in values)
        columns = weight.shape[0 if "transB" in values and values["transB"].i else 1]
        return ordinary and not ("transA" in values and values["transA"].i) and (bias is None or bias.size == columns)
    return node.op_type == "MatMul" and weight.ndim == 2 and node.output[0] in wires.floats


def _can_lie_between(node: Any, wires: Wiring) -> bool:
    if node.op_type not in BETWEEN or node.output[0] not in wires.floats:
        return False
    given = wires.given(node)
    if node.op_type in ("Add", "Mul"):
        return len(given) == 2
    if node.op_type == "Concat":
        return len(given) == len(node.input)
    return len(given) == 1 and len(node.output) == 1


def _foldable(node: Any, wires: Wiring) -> bool:
    """A Relu or Clip that is the only taker of what a node with a range of its own makes."""
    source = node.input[0]
    maker = wires.maker.get(source)
    limits = all(name in wires.constants for name in node.input[1:] if name)
    alone = len(wires.takers[source]) == 1 and source not in wires.outputs
    return maker is not None and maker.op_type in _CLAMPED and limits and alone


def _leading_to(weighted: list[Any], wires: Wiring) -> set[str]:
    """The names of all nodes from which a float path leads to some weighted node."""
    found: set[str] = set()
    open_ends = [name for node in weighted for name in wires.given(node)[:1]]
    while open_ends:
        maker = wires.maker.get(open_ends.pop())
        if maker is not None and maker.name not in found:
            found.add(maker.name)
            open_ends += wires.given(maker)
    return found


def _connected(nodes: list[Any], wires: Wiring, core: set[str], between: set[str], clamps: set[str]) -> set[str]:
    """Those of `between` that have 8-bit neighbours on both sides: elsewhere 8 bits would only cost time and accuracy."""

    def before(node: Any) -> list[str]:
        makers = [wires.maker[name] for name in wires.given(node) if name in wires.maker]
        skipped = [wires.maker.get(maker.input[0]) if maker.name in clamps else maker for maker in makers]
        return [maker.name for maker in skipped if maker is not None]

    def after(node: Any) -> list[str]:
        takers = [taker for name in node.output for taker in wires.takers.get(name, ())]
        through = [inner for taker in takers if taker.name in clamps for inner in wires.takers.get(taker.output[0], ())]
        return [taker.name for taker in (*takers, *through)]

    ends = {node.name: (before(node), after(node)) for node in nodes if node.name in between}
    held = set(ends)
    while True:
        inside = core | held
        alone = {name for name in held if not (inside & set(ends[name][0]) and inside & set(ends[name][1]))}
        if not alone:
            return held
        held -= alone
