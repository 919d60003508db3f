"""The exported model: an embedding graph with head, temperature and novelty attached; and the proof that it answers alike.

Knows ONNX, not torch: the head of a probe and of a trained network go on in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError, ParityError
from sightline.learn.classic.scorers import Scorer
from sightline.learn.probe import Head
from sightline.measure.novelty import Novelty
from sightline.runtime import keypoints
from sightline.runtime.engines import open_session
from sightline.runtime.model import in_order
from sightline.settings import settings
from sightline.shrink.graph import load_onnx
from sightline.types import InputSpec, Parity, Task

AGREEMENT = 0.99  # share of pictures that must get the same top label
DIFFERENCE = 0.02  # largest difference of any probability
LARGEST = 2_000_000_000  # bytes of one ONNX file (protobuf's limit is 2^31)


def attach(
    embedding_graph: bytes,
    head: Head | Scorer,
    novelty: Novelty,
    *,
    temperature: float,
    classes: tuple[str, ...],
    task: Task,
    spec: InputSpec,
) -> bytes:
    """model.onnx: `image` uint8 (n, size, size, 3) -> `probabilities` (n, classes), `embedding` (n, d), `novelty` (n,).

    The temperature is folded into the head; probabilities are a softmax, or a sigmoid for several labels. Metadata:
    sightline.classes, sightline.task, sightline.input as JSON. Raises ParityError for a graph that ONNX finds invalid.
    """
    onnx = load_onnx()
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_model_from_string(embedding_graph)
    graph = model.graph
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    node = helper.make_node
    constants, nodes = _head(head, temperature, node)
    if any(one.domain == "ai.onnx.ml" for one in nodes):
        model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    constants |= {
        "novelty.projection": novelty.projection.astype(np.float32),  # (d, k)
        "novelty.offset": novelty.offset.astype(np.float32),
        "novelty.centres": novelty.centres.astype(np.float32),  # (m, k)
        "novelty.one": np.array([1], np.int64),
        "novelty.two": np.array([2], np.int64),
    }
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    graph.node.extend(
        [
            *nodes,
            node("Sigmoid", ["logits"], ["probabilities"], name="answer")
            if task == "multilabel"
            else node("Softmax", ["logits"], ["probabilities"], name="answer", axis=1),
            node("Gemm", ["embedding", "novelty.projection", "novelty.offset"], ["novelty.moved"], name="novelty.move"),
            node("Unsqueeze", ["novelty.moved", "novelty.one"], ["novelty.row"], name="novelty.row"),  # (n, 1, k)
            node("Sub", ["novelty.row", "novelty.centres"], ["novelty.away"], name="novelty.away"),  # (n, m, k)
            node("Mul", ["novelty.away", "novelty.away"], ["novelty.squares"], name="novelty.square"),
            node("ReduceSum", ["novelty.squares", "novelty.two"], ["novelty.distances"], name="novelty.sum", keepdims=0),
            _smallest(opset)("novelty.distances", "novelty", node),
        ]
    )
    d = head.weight.shape[1] if isinstance(head, Head) else head.width
    del graph.output[:]
    for name, shape in (("probabilities", ["n", len(classes)]), ("embedding", ["n", d]), ("novelty", ["n"])):
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    graph.name = "sightline"
    facts = {"classes": list(classes), "task": task, "input": spec.model_dump()}
    kept = {entry.key: entry.value for entry in model.metadata_props if entry.key == keypoints.METADATA}
    del model.metadata_props[:]
    said = {f"sightline.{name}": json.dumps(value, ensure_ascii=False) for name, value in facts.items()}
    helper.set_model_props(model, said | kept)
    model.producer_name, model.doc_string = "sightline", ""
    content: bytes = model.SerializeToString()
    if len(content) > LARGEST:
        raise DataError(
            f"the model would have {len(content) / 1e9:.1f} GB, more than one ONNX file can", hint="choose a smaller size"
        )
    try:
        onnx.checker.check_model(content, full_check=True)
    except Exception as error:
        raise ParityError(
            f"the exported model is not valid ONNX: {str(error)[:300]}", hint="report this; nothing was written"
        ) from error
    return content


def _head(head: Head | Scorer, temperature: float, node: Callable[..., Any]) -> tuple[dict[str, NDArray[Any]], list[Any]]:
    """Constants and nodes from `embedding` to `logits`, after temperature."""
    if isinstance(head, Head):
        constants: dict[str, NDArray[Any]] = {
            "head.weight": np.ascontiguousarray((head.weight / temperature).T, np.float32),  # (d, classes)
            "head.bias": (head.bias / temperature).astype(np.float32),
        }
        return constants, [node("Gemm", ["embedding", "head.weight", "head.bias"], ["logits"], name="head")]
    piece = head.piece()
    constants = {name: np.asarray(value) for name, value in piece.constants.items()}
    constants["head.coolness"] = np.array(1 / temperature, np.float32)
    nodes = [
        node(kind, sources, names, name=f"head.{place}", domain=domain or None, **attributes)
        for place, (kind, sources, names, attributes, domain) in enumerate(piece.nodes)
    ]
    return constants, [*nodes, node("Mul", ["scores", "head.coolness"], ["logits"], name="head")]


def _smallest(opset: int) -> Callable[..., Any]:
    """ReduceMin over the centres; from opset 18 the axis is an input, before it an attribute."""

    def old(source: str, target: str, node: Callable[..., Any]) -> Any:
        return node("ReduceMin", [source], [target], name="novelty.min", keepdims=0, axes=[1])

    def new(source: str, target: str, node: Callable[..., Any]) -> Any:
        return node("ReduceMin", [source, "novelty.one"], [target], name="novelty.min", keepdims=0)

    return new if opset >= 18 else old


def answers(model: bytes, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """What an exported file says about prepared pictures uint8 (n, size, size, 3), by output; one by one on all cores."""
    session = open_session(model)
    names = [output.name for output in session.get_outputs()]
    given = keypoints.feed(session)
    rows = list(in_order(lambda image: session.run(names, given(image[None])), images, settings().threads))
    return {name: np.concatenate([row[place] for row in rows]) for place, name in enumerate(names)}


def certify(exported: NDArray[np.float32], trained: NDArray[np.float32], task: Task, thresholds: NDArray[np.float32]) -> Parity:
    """Compare probabilities (n, classes) of the exported file and of the trained model on the same real pictures.

    `thresholds` (classes,): from when a label is given (several labels). Raises ParityError: then nothing may be written.
    """
    if len(exported) == 0 or exported.shape != trained.shape:
        raise ParityError(f"parity needs the same pictures on both sides, got {exported.shape} and {trained.shape}")
    if task == "multilabel":
        same = ((exported >= thresholds) == (trained >= thresholds)).all(axis=1)
    else:
        same = exported.argmax(axis=1) == trained.argmax(axis=1)
    difference = float(np.abs(exported - trained).max())
    parity = Parity(pictures=len(exported), agreement=float(same.mean()), largest_difference=difference)
    if parity.agreement < AGREEMENT or not difference <= DIFFERENCE:  # "not <=" refuses NaN too
        raise ParityError(
            f"the exported model answers differently from the trained one: {parity.agreement:.1%} of {parity.pictures} "
            f"pictures get the same label, probabilities differ by up to {difference:.3f}",
            hint="nothing was written; report this with the name of the network",
            detail=parity.model_dump(),
        )
    return parity
