"""Sightline's own backbone, which lies in the package: features without a download and without torch.

`backbone.onnx` computes them in 8 bits, `backbone.safetensors` (float16) is what a network is trained on from; card.json says
how they were made and how good they are. Made by research/backbone/. Knows nothing of pictures and training.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.files import sha256_file

if TYPE_CHECKING:
    from torch import nn

NAME = "sightline_mobile"
SIZE = 128  # px a side that it was taught with most; 96 to 160 work as well
MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
ARCHITECTURE = "mobilenetv2_100"  # timm's, of which it has fewer channels
GRAPH, WEIGHTS, CARD = (Path(__file__).parent / name for name in ("backbone.onnx", "backbone.safetensors", "card.json"))


def key() -> str:
    """Hex that names it exactly: features computed by another version are others."""
    return sha256_file(GRAPH)[:24]


def card() -> dict[str, Any]:
    """Sources, licences, scores and limits."""
    content: dict[str, Any] = json.loads(CARD.read_text(encoding="utf-8"))
    return content


def graph(size: int) -> bytes:
    """ONNX in 8 bits: `image` uint8 (n, size, size, 3) -> `embedding` float32 (n, width)."""
    from sightline.shrink.graph import load_onnx

    onnx = load_onnx()
    model = onnx.load_model_from_string(GRAPH.read_bytes())
    del model.graph.value_info[:]  # shapes inside, of another size
    for side in model.graph.input[0].type.tensor_type.shape.dim[1:3]:
        side.dim_value = size
    content: bytes = model.SerializeToString()
    return content


def network() -> nn.Module:
    """The network, its weights still to be loaded or drawn: timm's, less channels and blocks that the weights file lacks."""
    import timm
    from safetensors import safe_open
    from safetensors.torch import load_file

    from sightline.learn.shrinking.network import narrow, remove

    made: nn.Module = timm.create_model(ARCHITECTURE, num_classes=0, pad_type="same")
    with safe_open(WEIGHTS, "pt") as file:
        removed = json.loads((file.metadata() or {}).get("removed", "[]"))
    for name in removed:
        remove(made, name)
    narrow(made, load_file(WEIGHTS))
    return made
