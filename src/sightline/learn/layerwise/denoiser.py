"""A learned denoiser as a piece of ONNX: made from an autoencoder, kept in its bundle, set in front of another model's graph.

uint8 in, uint8 out, any side that is a multiple of 8: what stands behind it sees a picture like any other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import UsageError
from sightline.learn.layerwise.names import FILE, HALVED
from sightline.runtime.bundle import read_bundle
from sightline.runtime.engines import open_session
from sightline.runtime.model import in_order
from sightline.settings import settings

if TYPE_CHECKING:
    from sightline.learn.layerwise.autoencoder import Autoencoder

OPSET = 17


@dataclass(frozen=True, slots=True)
class Denoiser:
    graph: bytes  # ONNX: `image` uint8 (n, h, w, 3) -> `denoised`, the same shape
    model: str  # id of the model it comes from

    @property
    def key(self) -> str:
        return hashlib.sha256(self.graph).hexdigest()[:12]

    def front(self, embedding: bytes) -> bytes:
        """An embedding graph that sees its pictures denoised."""
        import onnx
        from onnx import compose

        behind = compose.add_prefix(onnx.load_model_from_string(embedding), "net.")
        whole = compose.merge_models(
            onnx.load_model_from_string(self.graph), behind, io_map=[("denoised", "net.image")], outputs=["net.embedding"]
        )
        for node in whole.graph.node:
            node.output[:] = ["embedding" if name == "net.embedding" else name for name in node.output]
            node.input[:] = ["embedding" if name == "net.embedding" else name for name in node.input]
        whole.graph.output[0].name = "embedding"
        content: bytes = whole.SerializeToString()
        return content

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Pictures uint8 (n, h, w, 3) without noise."""
        session = open_session(self.graph)
        high, wide = images.shape[1:3]
        edge = ((0, -high % HALVED), (0, -wide % HALVED), (0, 0))  # stored training pictures may be of any size

        def one(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
            found: NDArray[np.uint8] = session.run(None, {"image": np.pad(image, edge, mode="edge")[None]})[0]
            return found[:, :high, :wide]

        parts = in_order(one, images, settings().threads)
        return np.concatenate([np.zeros((0, *images.shape[1:]), np.uint8), *parts])


def read(model: str) -> Denoiser:
    """The denoiser of an autoencoder's bundle. Raises UsageError for another bundle, ModelNotFoundError, BundleError."""
    bundle = read_bundle(model)
    if FILE not in bundle.files:
        raise UsageError(
            f"the model {model} holds no denoiser: it was made by --way {bundle.card.recipe.way}",
            hint="make one with `sightline train photos/ --way autoencoder`",
        )
    return Denoiser(bundle.files[FILE], bundle.card.id)


def check_side(size: int) -> None:
    """UsageError for pictures that a denoiser cannot take."""
    if size % HALVED:
        raise UsageError(f"a denoiser takes sides that are multiples of {HALVED}, and this network sees {size} px")


def exported(network: Autoencoder, size: int) -> bytes:
    """The trained autoencoder as ONNX; parity with torch is what tests/learn/layerwise hold."""
    import tempfile
    import warnings
    from pathlib import Path

    import torch

    class Mender(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: torch.Tensor) -> Any:
            mended = self.network(image.permute(0, 3, 1, 2).float() / 255)
            return torch.round(mended.clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1)

    sides = {0: "n", 1: "h", 2: "w"}
    with torch.inference_mode(), warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / FILE
        warnings.simplefilter("ignore")  # the exporter is called deprecated; why it is used all the same: graph.py
        torch.onnx.export(
            Mender().eval(),
            (torch.zeros(1, size, size, 3, dtype=torch.uint8),),
            file,
            input_names=["image"],
            output_names=["denoised"],
            dynamic_axes={"image": sides, "denoised": sides},
            opset_version=OPSET,
            dynamo=False,
        )
        return file.read_bytes()
