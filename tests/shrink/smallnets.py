"""A small network as an ONNX file, as exports look: normalisation, convolutions with a residual, a head, novelty, metadata."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from pictures import drawn, pixels
from sightline.runtime.engines import open_session

SIZE, CLASSES = 32, ("red", "green", "blue")
WIDE = 32
BLOCKS = {"stem": "first", "depth": "middle", "point": "middle", "last": "end"}  # as modules lie in each other
MEAN, STD = np.array([0.485, 0.456, 0.406]) * 255, np.array([0.229, 0.224, 0.225]) * 255


def small_network(seed: int = 0, activation: str = "Relu", width: int = WIDE, opset: int = 17) -> bytes:
    """image uint8 (n, 32, 32, 3) -> probabilities (n, 3), embedding (n, width), novelty (n,); random weights."""
    rng = np.random.default_rng(seed)
    constants: dict[str, NDArray[Any]] = {
        "mean": MEAN.reshape(1, 3, 1, 1).astype(np.float32),
        "std": STD.reshape(1, 3, 1, 1).astype(np.float32),
        "low": np.array(0, np.float32),
        "high": np.array(6, np.float32),
        "head.weight": rng.normal(0, 1, (width, 3)).astype(np.float32),
        "head.bias": np.zeros(3, np.float32),
        "centre": rng.normal(0, 1, (1, width)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Transpose", ["image"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["first"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["pixels", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], ["normal"]),
    ]

    def conv(source: str, name: str, channels: int, side: int, act: str = "", **more: Any) -> str:
        fan = channels * side * side
        weight = rng.normal(0, (2 / fan) ** 0.5, (more.pop("out", width), channels, side, side))
        constants[f"{name}.weight"] = weight.astype(np.float32)
        constants[f"{name}.bias"] = rng.normal(0, 0.1, len(weight)).astype(np.float32)
        pads = [side // 2] * 4
        takes = [source, f"{name}.weight", f"{name}.bias"]
        nodes.append(
            helper.make_node("Conv", takes, [f"{name}.sum"], name=f"/net/{BLOCKS[name]}/{name}/Conv", pads=pads, **more)
        )
        if not act:
            return f"{name}.sum"
        limits = ["low", "high"] if act == "Clip" else []
        nodes.append(helper.make_node(act, [f"{name}.sum", *limits], [f"{name}.act"], name=f"/net/{BLOCKS[name]}/{name}/{act}"))
        return f"{name}.act"

    stem = conv("normal", "stem", 3, 3, activation, strides=[2, 2])
    deep = conv(stem, "depth", 1, 3, activation, group=width)
    point = conv(deep, "point", width, 1)
    nodes.append(helper.make_node("Add", [stem, point], ["joined"], name="/net/join/Add"))
    nodes.append(helper.make_node("MaxPool", ["joined"], ["pooled"], name="/net/pool", kernel_shape=[2, 2], strides=[2, 2]))
    last = conv("pooled", "last", width, 1, "Relu")
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["mean.map"]),
        helper.make_node("Flatten", ["mean.map"], ["embedding"]),
        helper.make_node("Gemm", ["embedding", "head.weight", "head.bias"], ["logits"], name="head"),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
        helper.make_node("Sub", ["embedding", "centre"], ["away"]),
        helper.make_node("Mul", ["away", "away"], ["squares"]),
        helper.make_node("ReduceMean", ["squares"], ["novelty"], axes=[1], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", SIZE, SIZE, 3])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 3]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", width]),
            helper.make_tensor_value_info("novelty", TensorProto.FLOAT, ["n"]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    helper.set_model_props(model, {"sightline.classes": json.dumps(CLASSES), "sightline.task": "multiclass"})
    content: bytes = model.SerializeToString()
    return content


def drawings(count: int = 24, size: int = SIZE) -> NDArray[np.uint8]:
    colours = [(200, 40, 40), (40, 170, 60), (40, 60, 200)]
    return np.stack([pixels(drawn(number, (size, size), colours[number % 3])) for number in range(count)])


def answers(onnx: bytes, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    session = open_session(onnx)
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(names, {"image": images}), strict=True))


def distance(onnx: bytes, other: bytes, images: NDArray[np.uint8], output: str = "embedding") -> float:
    """How far the answers lie apart, as a share of their length."""
    one, two = answers(onnx, images)[output], answers(other, images)[output]
    return float(np.linalg.norm(one - two) / np.linalg.norm(one))


def loaded(onnx: bytes) -> ModelProto:
    model = ModelProto()
    model.ParseFromString(onnx)
    return model


def operators(onnx: bytes) -> list[str]:
    return [node.op_type for node in loaded(onnx).graph.node]
