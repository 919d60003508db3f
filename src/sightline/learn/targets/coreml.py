"""Target `coreml`: a Core ML package (.mlpackage), converted by coremltools from the torch network that the bundle keeps.

Core ML runs on Apple's systems only, so elsewhere the network that goes into the converter is compared, not the package.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import MissingExtraError, TargetError, missing_extra
from sightline.runtime.bundle import Bundle
from sightline.targets import parity
from sightline.targets.onnxfile import write_beside
from sightline.targets.readme import readme
from sightline.targets.target import Engine, Made, Wishes, lacks

if TYPE_CHECKING:
    from torch import nn

    from sightline.learn.network import Classifier

PACKAGE = "model.mlpackage"
CONVERTER, VERSION = "coremltools", "9.0"  # the version that this was tried with
# what the head and the novelty of the graph are computed with; learn/export.py names them
_NUMBERS = ("head.weight", "head.bias", "novelty.projection", "novelty.offset", "novelty.centres")
_MORE = """
In Swift: add `model.mlpackage` to the project; `let answer = try model(configuration: .init()).prediction(image: pixels)`.
The input is an image (RGB, {size} x {size}), one at a time; mean and deviation are inside. From iOS 16 and macOS 13 on."""


def write(bundle: Bundle, folder: Path, wishes: Wishes) -> Made:
    """Write model.mlpackage and what lies beside. `half`: weights and arithmetic in 16-bit floats, as Apple's chips like it.

    Raises MissingExtraError, TargetError, and what `rebuilt` raises for a model without weights of ours.
    """
    if importlib.util.find_spec("torch") is None:
        raise missing_extra("deep", "a Core ML package")
    if importlib.util.find_spec(CONVERTER) is None:
        raise MissingExtraError(
            f"Core ML packages are made by {CONVERTER}, which is not installed here",
            hint=f"pip install {CONVERTER}=={VERSION}, on Linux or macOS, best in an environment of its own",
        )
    from sightline.learn.shrinking.network import rebuilt

    answering = _answering(rebuilt(bundle.path).network, bundle)
    certificate = parity.compared(bundle, _engine(answering), parity.drawn(bundle.card))
    package = _converted(answering, bundle, half=wishes.half)
    package.save(str(folder / PACKAGE))
    write_beside(bundle, folder, readme(bundle, PACKAGE, "", _MORE.format(size=bundle.card.input.size)))
    note = (
        f"the network that was converted answers like the model: the same in {certificate.agreement:.1%} of "
        f"{certificate.pictures} drawn pictures, scores within {certificate.largest_difference:.2g}"
    )
    return Made(PACKAGE, why="Core ML runs on Apple's systems only", notes=(note,))


def _answering(network: Classifier, bundle: Bundle) -> nn.Module:
    """From pictures float32 (1, 3, size, size) in 0..255 to probabilities, embedding and novelty, as model.onnx has them."""
    import torch

    numbers = {name: torch.from_numpy(value) for name, value in _numbers(bundle).items()}
    several = bundle.card.task == "multilabel"

    class Answering(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
            embedding = network.embed((image - network.mean * 255) / (network.std * 255))
            logits = embedding @ numbers["head.weight"] + numbers["head.bias"]
            moved = embedding @ numbers["novelty.projection"] + numbers["novelty.offset"]
            away = moved.unsqueeze(1) - numbers["novelty.centres"]
            novelty = (away * away).sum(dim=2).min(dim=1).values
            return torch.sigmoid(logits) if several else torch.softmax(logits, dim=1), embedding, novelty

    return Answering().eval()


def _numbers(bundle: Bundle) -> dict[str, NDArray[np.float32]]:
    """The constants of the graph's head; TargetError for a graph that has none (8 bits, another head)."""
    import onnx

    graph = onnx.load_model_from_string(bundle.onnx).graph
    found = {
        one.name: np.array(onnx.numpy_helper.to_array(one), np.float32) for one in graph.initializer if one.name in _NUMBERS
    }
    if set(found) != set(_NUMBERS):
        raise TargetError(
            f"{bundle.card.name} is no plain network with a linear head, so no Core ML package can be made of it",
            hint="export the model that it was made from, or choose --to onnx",
        )
    return found


def _engine(module: nn.Module) -> Engine:
    import torch

    def run(values: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        pixels = torch.from_numpy(np.array(values["image"])).permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            answers = module(pixels)
        return {name: answer.numpy() for name, answer in zip(("probabilities", "embedding", "novelty"), answers, strict=True)}

    return run


def _converted(module: nn.Module, bundle: Bundle, *, half: bool) -> Any:
    import torch

    card = bundle.card
    shape = (1, 3, card.input.size, card.input.size)
    with _quiet():
        import coremltools as ct

        try:
            with torch.no_grad():
                traced = torch.jit.trace(module, torch.zeros(shape))  # type: ignore[no-untyped-call]
            package = ct.convert(
                traced,
                inputs=[ct.ImageType(name="image", shape=shape, color_layout=ct.colorlayout.RGB)],
                outputs=[ct.TensorType(name=name) for name in ("probabilities", "embedding", "novelty")],
                convert_to="mlprogram",
                minimum_deployment_target=ct.target.iOS16,
                compute_precision=ct.precision.FLOAT16 if half else ct.precision.FLOAT32,
                skip_model_load=True,
            )
        except NotImplementedError as error:  # "PyTorch convert function for op 'x' not implemented."
            raise lacks("Core ML", str(error).split("'")[1:2] or [str(error)[:80]], card.name) from error
        except Exception as error:  # its passes raise what they like
            raise TargetError(f"Core ML cannot take this model: {str(error)[:300]}", hint="choose --to onnx") from error
    package.short_description = f"{card.name}: {len(card.classes)} classes"
    package.license = card.licence
    package.user_defined_metadata.update(
        {
            "sightline.classes": json.dumps(card.classes, ensure_ascii=False),
            "sightline.task": card.task,
            "sightline.id": card.id,
        }
    )
    return package


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the converter's warnings of versions it has not seen and its bars; what it makes is compared instead."""
    logger = logging.getLogger(CONVERTER)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
