"""A tiny real model for tests of everything after training: it answers by the mean colour of the picture's middle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from pictures import COLOURS
from sightline.runtime.bundle import write_bundle
from sightline.types import Card, InputSpec, Recipe, Task, Unknown

CLASSES = ("red", "green", "blue")


def tiny_card(task: Task = "multiclass", **changes: object) -> Card:
    card = Card(
        id="",
        name="tiny",
        task=task,
        classes=CLASSES,
        input=InputSpec(size=32, fit="crop", crop=1.0),
        recipe=Recipe(size="tiny", way="probe", why="made by a test", backbone="mean colour", weights="none", seed=0),
        unknown=Unknown(threshold=3.0, false_alarm_rate=0.05, n=100),
        thresholds=dict.fromkeys(CLASSES, 0.5) if task == "multilabel" else {},
    )
    return card.model_copy(update=changes)


def tiny_onnx(card: Card) -> bytes:
    """uint8 (n, s, s, 3) -> probabilities from distances to three colours, embedding = mean colour, novelty = distance."""
    from onnx import TensorProto, helper, numpy_helper

    centres = np.array([COLOURS[name] for name in card.classes], np.float32) / 255  # (c, 3)
    constants = {
        "scale": np.array(255, np.float32),
        "axes": np.array([1, 2], np.int64),
        "weights": (20 * centres.T).astype(np.float32),
        "bias": (-10 * (centres**2).sum(1)).astype(np.float32),
        "row": np.array([1], np.int64),
        "last": np.array([2], np.int64),
        "centres": centres[None],
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["float", "scale"], ["unit"]),
        helper.make_node("ReduceMean", ["unit", "axes"], ["embedding"], keepdims=0),
        helper.make_node("Gemm", ["embedding", "weights", "bias"], ["logits"]),
        helper.make_node("Sigmoid" if card.task == "multilabel" else "Softmax", ["logits"], ["probabilities"]),
        helper.make_node("Unsqueeze", ["embedding", "row"], ["rows"]),
        helper.make_node("Sub", ["rows", "centres"], ["differences"]),
        helper.make_node("ReduceSumSquare", ["differences", "last"], ["distances"], keepdims=0),
        helper.make_node("ReduceMin", ["distances", "row"], ["nearest"], keepdims=0),
        helper.make_node("Mul", ["nearest", "scale"], ["novelty"]),
    ]
    size = card.input.size
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", size, size, 3])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", len(card.classes)]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 3]),
            helper.make_tensor_value_info("novelty", TensorProto.FLOAT, ["n"]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {"sightline.classes": json.dumps(card.classes), "sightline.task": card.task})
    return model.SerializeToString()


def tiny_bundle(path: Path, task: Task = "multiclass", **changes: object) -> Path:
    card = tiny_card(task, **changes)
    return write_bundle(path, card, {"model.onnx": tiny_onnx(card)})
