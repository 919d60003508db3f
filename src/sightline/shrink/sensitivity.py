"""Which few layers cost an 8-bit model most: those that a second try may leave in float ("mixed precision").

Knows neither labels nor scores: it compares answers with the float model's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.progress import track
from sightline.shrink.graph import WEIGHTED, read
from sightline.shrink.plan import planned
from sightline.shrink.qdq import Ground, built, prepared
from sightline.shrink.ranges import Method, limits, observe
from sightline.shrink.stem import byte_stem

PICTURES = 24  # enough to rank blocks by
SHARE = 0.5  # of the whole error that the layers named shall explain
MOST = 0.2  # of the blocks that may be named


def sensitive(onnx: bytes, images: NDArray[np.uint8], method: Method = "percentile") -> tuple[str, ...]:
    """Names of the nodes that are best kept in float, for `int8(..., keep=...)`; the most costly block first.

    Each block of layers (by the names of the nodes: all that belongs to one module two levels down) is left in float by itself,
    and the answers of 24 pictures are compared with the float model's: as many models as there are blocks. Named are the blocks
    whose absence takes most error away, until together half of it, and no more than a fifth of them. Raises what `int8` raises.
    """
    ground = prepared(onnx, images)
    ranges = limits(observe(ground.model, ground.observed, images), method)
    original, some = read(onnx), images[:: max(1, len(images) // PICTURES)][:PICTURES]
    truth = _answers(onnx, some)
    whole = _error(_answers(built(ground, ranges, original), some), truth)
    blocks = _blocks(ground)
    gains: dict[str, float] = {}
    for name, members in track(blocks.items(), "Comparing layers", len(blocks)):
        kept = _without(ground, members)
        if kept is not None:
            known = {tensor: ranges[tensor] for tensor in kept.observed if tensor in ranges}
            missing = [tensor for tensor in kept.observed if tensor not in ranges]
            known |= limits(observe(kept.model, missing, some), method) if missing else {}
            gains[name] = whole - _error(_answers(built(kept, known, original), some), truth)
    chosen, taken = [], 0.0
    for name in sorted(gains, key=lambda one: -gains[one])[: max(1, int(MOST * len(blocks)))]:
        if gains[name] <= 0 or taken >= SHARE * whole:
            break
        chosen.append(name)
        taken += gains[name]
    return tuple(node for name in chosen for node in blocks[name])


def _blocks(ground: Ground) -> dict[str, tuple[str, ...]]:
    """The 8-bit nodes of each block of the network, in the order of the graph; a block has weights."""
    inside = [node for node in ground.model.graph.node if node.name in ground.plan.inside]
    found: dict[str, list[Any]] = {}
    for node in inside:
        found.setdefault(_block(node.name), []).append(node)
    return {
        name: tuple(node.name for node in members)
        for name, members in found.items()
        if any(node.op_type in WEIGHTED for node in members)
    }


def _block(name: str) -> str:
    """ "/backbone/blocks/blocks.3/blocks.3.1/conv_pw/Conv" -> ".../blocks.3.1"; a name without folders is its own block."""
    parts = name.strip("/").split("/")
    return "/".join(parts[:-2]) if len(parts) > 3 else name


def _without(ground: Ground, members: tuple[str, ...]) -> Ground | None:
    """The ground with one block left in float; None when nothing else would be left."""
    if not set(ground.plan.inside) - set(members):
        return None
    plan = planned(ground.model, ground.wires, members)
    return replace(ground, plan=plan, stem=byte_stem(ground.model, ground.wires, plan))


def _answers(onnx: bytes, images: NDArray[np.uint8]) -> Mapping[str, NDArray[np.float32]]:
    from sightline.runtime.engines import open_session

    session = open_session(onnx)
    names = [output.name for output in session.get_outputs()]
    names = ["embedding"] if "embedding" in names else names  # the answer before softmax flattens it
    given = session.get_inputs()[0].name
    rows = [session.run(names, {given: image[None]}) for image in images]
    return {name: np.concatenate([row[place].reshape(1, -1) for row in rows]) for place, name in enumerate(names)}


def _error(answers: Mapping[str, NDArray[np.float32]], truth: Mapping[str, NDArray[np.float32]]) -> float:
    """Mean over the outputs of |answer - truth|^2 / |truth|^2."""
    return float(np.mean([((answers[name] - truth[name]) ** 2).sum() / ((truth[name] ** 2).sum() + 1e-12) for name in truth]))
