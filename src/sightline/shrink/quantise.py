"""int8: a network whose layers are computed in 8 bits, calibrated on pictures (static post-training quantisation).

Which nodes: plan.py; ranges: ranges.py; the graph: qdq.py. Knows no labels: what it costs is measured elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.shrink.graph import read
from sightline.shrink.qdq import built, prepared
from sightline.shrink.ranges import Method, limits, observe
from sightline.shrink.sensitivity import sensitive

__all__ = ["int8", "sensitive"]


def int8(onnx: bytes, images: NDArray[np.uint8], method: Method = "percentile", *, keep: Sequence[str] = ()) -> bytes:
    """The same model computed in 8 bits: about a quarter of the file, and faster where the processor multiplies bytes.

    onnx: a network's model.onnx. images: calibration pictures uint8 (n, size, size, 3), prepared as the model sees them, 16 at
    least, 64 to 256 of them as varied as those to come. method: how ranges are chosen (ranges.py). keep: names of nodes, as
    `sensitive` gives them, that stay in float (their weights as float16).

    Names and types of inputs and outputs, the free batch and the metadata stay. The normalisation in front goes into the first
    convolution where it can. Left in float: the last layer of every path (its weights stored in 8 bits), softmax, boxes,
    novelty, and operators without an 8-bit kernel (HardSwish, GELU, LayerNorm, attention).
    Follows Jacob et al. 2018 (arXiv 1712.05877) and Krishnamoorthi 2018 (arXiv 1806.08342).

    Raises DataError for too few pictures, pictures of another size, classic models, models in 8 bits already and models without
    layers between input and answer; UsageError for names that the graph does not have; BundleError for bytes that are no model.
    """
    ground = prepared(onnx, images, keep)
    seen = observe(ground.model, ground.observed, images)
    return built(ground, limits(seen, method), read(onnx))
