"""Between which values each tensor of a graph moves, seen on calibration pictures: smallest and largest, percentiles, or the
range that loses least information.

Knows nothing of 8-bit numbers beyond how many of them there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sightline.progress import track
from sightline.settings import settings
from sightline.shrink.graph import picture_input

Method = Literal["minmax", "entropy", "percentile"]
METHODS: tuple[Method, ...] = ("minmax", "percentile", "entropy")
SAMPLES = 1 << 18  # values kept of each tensor: 1 MB, so that 200 tensors fit into 200 MB
PERCENT = 0.01  # of the values lie outside a percentile's range, half of them on either side
BINS, STEP = 2048, 16  # of the entropy search


@dataclass(frozen=True, slots=True)
class Seen:
    """One tensor on all pictures: its smallest and largest value, exact, and a sample of its values."""

    low: float
    high: float
    values: NDArray[np.float32]


def observe(model: Any, tensors: Sequence[str], images: NDArray[np.uint8]) -> dict[str, Seen]:
    """Run the pictures uint8 (n, size, size, 3) through the graph and look at `tensors`, all of them float32.

    One picture at a time: memory stays at one picture's activations and at most `SAMPLES` values for each tensor.
    """
    given, names = picture_input(model, images), list(tensors)
    if not names:
        return {}
    session = _session_showing(model, names)
    rng = np.random.default_rng(0)
    share = max(256, SAMPLES // max(1, len(images)))
    low, high = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    kept: list[list[NDArray[np.float32]]] = [[] for _ in names]
    for image in track(images, "Calibrating"):
        for place, value in enumerate(session.run(names, {given: image[None]})):
            low[place], high[place] = min(low[place], value.min()), max(high[place], value.max())
            step = max(1, value.size // share) | 1  # odd, so that no column of the maps is preferred
            kept[place].append(value.reshape(-1)[int(rng.integers(step)) :: step].copy())
    return {name: Seen(float(low[place]), float(high[place]), np.concatenate(kept[place])) for place, name in enumerate(names)}


def limits(seen: Mapping[str, Seen], method: Method) -> dict[str, tuple[float, float]]:
    """The range of each tensor that 8 bits shall cover; what lies outside is clamped.

    minmax: all that was seen. percentile: all but the outermost 0.01 %. entropy: the threshold whose quantised histogram is
    nearest to the whole one by Kullback-Leibler divergence (Migacz, "8-bit inference with TensorRT", GTC 2017).
    """
    rule = {"minmax": lambda one: (one.low, one.high), "percentile": _percentile, "entropy": _entropy}[method]
    return {name: rule(one) for name, one in seen.items()}


def _percentile(seen: Seen) -> tuple[float, float]:
    low, high = np.percentile(seen.values, (PERCENT / 2, 100 - PERCENT / 2))
    return float(low), float(high)


def _entropy(seen: Seen) -> tuple[float, float]:
    """Clamp at the same distance on both sides; a side that holds no values costs no levels."""
    reach = max(abs(seen.low), abs(seen.high))
    if reach == 0:
        return seen.low, seen.high
    levels = 128 if min(-seen.low, seen.high) > 0 else 256
    whole = np.histogram(np.abs(seen.values), bins=BINS, range=(0, reach))[0].astype(np.float64)
    whole[0] = whole[1]  # the zeros that a ReLU makes are exact in every range: they must not outweigh the rest
    best = min(range(levels, BINS + 1, STEP), key=lambda end: _divergence(whole, end, levels))
    threshold = reach * best / BINS
    return max(seen.low, -threshold), min(seen.high, threshold)


def _divergence(whole: NDArray[np.float64], end: int, levels: int) -> float:
    """KL(clamped || quantised) when the first `end` bins become `levels` levels and the rest is clamped into the last bin."""
    inside = whole[:end]
    clamped = inside.copy()
    clamped[-1] += whole[end:].sum()
    starts = np.arange(levels) * end // levels
    filled = (inside > 0).astype(np.float64)
    counts = np.add.reduceat(filled, starts)
    means = np.add.reduceat(inside, starts) / np.maximum(counts, 1)
    quantised = filled * np.repeat(means, np.diff([*starts, end]))
    if not quantised.any():
        return np.inf
    p, q = clamped / clamped.sum(), (quantised + 1e-9) / (quantised + 1e-9).sum()
    some = p > 0
    return float((p[some] * np.log(p[some] / q[some])).sum())


def _session_showing(model: Any, tensors: Sequence[str]) -> Any:
    """A session of the graph whose outputs are `tensors` too."""
    import onnxruntime as ort

    from sightline.shrink.graph import load_onnx

    onnx = load_onnx()
    shown = type(model).FromString(model.SerializeToString())
    there = {one.name for one in shown.graph.output}
    float32 = onnx.TensorProto.FLOAT
    shown.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, float32, None) for name in dict.fromkeys(tensors) if name not in there
    )
    options = ort.SessionOptions()
    options.intra_op_num_threads = settings().threads
    options.log_severity_level = 4
    return ort.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
