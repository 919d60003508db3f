"""From a torch network to an ONNX graph that turns pictures into embeddings: uint8 (n, size, size, 3) in, float32 (n, d) out.

The only place where torch becomes ONNX. Knows neither classes nor heads: export.py adds those to the graph.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.files import write_bytes
from sightline.learn import own
from sightline.learn.backbones import Start, build
from sightline.settings import settings

if TYPE_CHECKING:
    from sightline.learn.network import Classifier

OPSET = 17
VERSION = "1"  # raise it when the same network gives another graph


def embedding_graph(network: Classifier, size: int) -> bytes:
    """The part of a network below its head as ONNX: input `image`, output `embedding`; normalisation is inside the graph."""
    import torch

    class Embedding(torch.nn.Module):
        def __init__(self, network: Classifier) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.network.embed(self.network.normalise(image))

    network = network.to(device="cpu").eval()
    # .eval() outside too: the exporter gives the wrapper's mode back to every module inside
    return exported(Embedding(network).eval(), torch.zeros(2, size, size, 3, dtype=torch.uint8), "image")


def exported(module: Any, example: Any, name: str, *, free: int = 1, facts: dict[str, str] | None = None) -> bytes:
    """A torch module as ONNX: input `name` like `example`, the first `free` sides of any length; output `embedding` (n, d).

    `facts` go into the graph's metadata.
    """
    import onnx
    import torch

    with torch.inference_mode(), warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "embedding.onnx"
        warnings.simplefilter("ignore")  # the exporter is called deprecated
        # dynamo=False: the TorchScript exporter takes 0.5-1 s where the new one takes 6-10 s, and the graphs answer alike.
        # When torch drops it, dynamo=True with `dynamic_shapes` is the same call.
        torch.onnx.export(
            module,
            (example,),
            file,
            input_names=[name],
            output_names=["embedding"],
            dynamic_axes={name: dict(enumerate(("n", "m")[:free])), "embedding": {0: "n"}},
            opset_version=OPSET,
            dynamo=False,
        )
        content = file.read_bytes()
    if facts:
        model = onnx.load_model_from_string(content)
        onnx.helper.set_model_props(model, facts)
        content = model.SerializeToString()
    return content


def backbone_graph(start: Start) -> tuple[bytes, str]:
    """The frozen backbone as ONNX, made once and kept in the cache, with the key that names it and its features. Our own lies
    in the package, in 8 bits.
    """
    if start.packaged:
        return own.graph(start.input.size), start.key
    key = f"{start.key}-{VERSION}"
    path = settings().cache / "backbones" / f"{key}.onnx"
    if not path.exists():
        write_bytes(path, embedding_graph(classifier(start, 1), start.input.size))
    return path.read_bytes(), key


def classifier(start: Start, classes: int, dropout: float = 0.0) -> Classifier:
    """The pretrained backbone with a fresh head, for training on or as the reference of a parity check."""
    from sightline.learn.network import Classifier

    backbone, width = build(start)
    return Classifier(backbone, width, classes, mean=start.input.mean, std=start.input.std, dropout=dropout)
