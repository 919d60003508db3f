"""A tiny real detector for tests: of each class's colour it finds the one region, in any layout that the runtime reads.

The score of a region is how much of its box has the colour. Colours of `pictures.COLOURS`, within 40 of 255 in each channel.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from pictures import COLOURS
from sightline.runtime.bundle import write_bundle
from sightline.types import Card, InputSpec, Recipe

CLASSES = ("red", "green", "blue")


def finder_card(**changes: object) -> Card:
    card = Card(
        id="",
        name="finder",
        task="detection",
        classes=CLASSES,
        input=InputSpec(size=96, fit="pad"),
        recipe=Recipe(size="tiny", way="detect", why="made by a test", backbone="colours", weights="none", seed=0),
        thresholds=dict.fromkeys(CLASSES, 0.5),
    )
    return card.model_copy(update=changes)


def finder_onnx(card: Card, *, masks: bool = False, metadata: dict[str, str] | None = None, static: bool = True) -> bytes:
    """uint8 (1, s, s, 3) -> boxes, scores, labels (and masks that fill their boxes); or as `card.layout` does it."""
    from onnx import TensorProto, helper, numpy_helper

    size, count = card.input.size, len(card.classes)
    ours = card.layout == "sightline"
    colours = np.array([COLOURS[name] for name in card.classes], np.float32).reshape(count, 1, 1, 3)
    place = np.arange(size, dtype=np.float32)
    values: dict[str, np.ndarray] = {
        "colours": colours,
        "near": np.array(40, np.float32),
        "last": np.array([3], np.int64),
        "rows_axis": np.array([1], np.int64),
        "columns_axis": np.array([2], np.int64),
        "along": np.array([1], np.int64),
        "both": np.array([1, 2], np.int64),
        "low": place[None],
        "high": place[None] + 1,
        "far": np.array(size, np.float32),
        "zero": np.array(0, np.float32),
        "one": np.array(1, np.float32),
        "floor": np.array(0.01, np.float32),
        "half": np.array(2, np.float32),
        "full": np.array(255, np.float32),
        "count": np.array([count], np.int64),
        "classes": np.arange(count, dtype=np.int64),
    }
    nodes = []

    def node(kind: str, inputs: list[str], output: str, **options: object) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], **options))
        return output

    if ours:
        node("Cast", ["image"], "pixels", to=TensorProto.FLOAT)
    else:
        node("Transpose", ["images"], "unit", perm=[0, 2, 3, 1])
        node("Mul", ["unit", "full"], "pixels")
    node("Sub", ["pixels", "colours"], "off")  # (count, s, s, 3)
    node("Abs", ["off"], "away")
    node("ReduceMax", ["away", "last"], "worst", keepdims=0)  # (count, s, s)
    node("LessOrEqual", ["worst", "near"], "inside")
    node("Cast", ["inside"], "there", to=TensorProto.FLOAT)
    for axis, over in (("x", "rows_axis"), ("y", "columns_axis")):
        node("ReduceMax", ["there", over], f"{axis}_any", keepdims=0)  # (count, s)
        node("Greater", [f"{axis}_any", "zero"], f"{axis}_is")
        node("Where", [f"{axis}_is", "low", "far"], f"{axis}_lows")
        node("Where", [f"{axis}_is", "high", "zero"], f"{axis}_highs")
        node("ReduceMin", [f"{axis}_lows", "along"], f"{axis}0", keepdims=1)  # (count, 1)
        node("ReduceMax", [f"{axis}_highs", "along"], f"{axis}1", keepdims=1)
        node("Sub", [f"{axis}1", f"{axis}0"], f"{axis}_side")
    node("Mul", ["x_side", "y_side"], "area")
    node("ReduceSum", ["there", "both"], "pixels_there", keepdims=0)
    node("Reshape", ["pixels_there", "flat"], "filled")
    values["flat"] = np.array([count, 1], np.int64)
    node("Max", ["area", "one"], "safe")
    node("Div", ["filled", "safe"], "score")  # (count, 1); an empty one has 0
    if ours:
        node("Reshape", ["score", "count"], "all_scores")
        node("Concat", ["x0", "y0", "x1", "y1"], "all_boxes", axis=1)
        nodes.append(helper.make_node("TopK", ["all_scores", "count"], ["sorted", "order"], axis=0))
        node("Greater", ["sorted", "floor"], "good")
        node("Compress", ["sorted", "good"], "scores", axis=0)
        node("Compress", ["order", "good"], "labels", axis=0)
        node("Gather", ["all_boxes", "labels"], "boxes", axis=0)
        outputs = [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["k", 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["k"]),
            helper.make_tensor_value_info("labels", TensorProto.INT64, ["k"]),
        ]
        if masks:
            values["grid"] = np.ones((1, 28, 28), np.float32)
            values["tall"] = np.array([-1, 1, 1], np.int64)
            node("Reshape", ["scores", "tall"], "tall_scores")
            node("Sign", ["tall_scores"], "ones")
            node("Mul", ["ones", "grid"], "masks")
            outputs.append(helper.make_tensor_value_info("masks", TensorProto.FLOAT, ["k", 28, 28]))
        given = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, size, size, 3])
    else:
        outputs = [_foreign(card, node, values, helper, TensorProto)]
        sides = [1, 3, size, size] if static else ["n", 3, "h", "w"]
        given = helper.make_tensor_value_info("images", TensorProto.FLOAT, sides)
    used = {name for one in nodes for name in one.input}
    constants = [numpy_helper.from_array(value, name) for name, value in values.items() if name in used]
    graph = helper.make_graph(nodes, "finder", [given], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    own = {"sightline.classes": json.dumps(card.classes), "sightline.task": card.task} if ours else {}
    helper.set_model_props(model, {**own, **(metadata or {})})
    return model.SerializeToString()


def _foreign(card: Card, node, values, helper, TensorProto):
    """One row for each class: (1, n, 5 + c), (1, 4 + c, n) or (1, n, 6), as YOLO files answer."""
    count = len(card.classes)
    for axis in "xy":
        node("Add", [f"{axis}0", f"{axis}1"], f"{axis}_sum")
        node("Div", [f"{axis}_sum", "half"], f"{axis}_centre")
    values["eye"] = np.eye(count, dtype=np.float32)
    values["ones_column"] = np.ones((count, 1), np.float32)
    values["numbers"] = np.arange(count, dtype=np.float32)[:, None]
    values["batch"] = np.array([0], np.int64)
    node("Mul", ["score", "eye"], "by_class")
    centres = ["x_centre", "y_centre", "x_side", "y_side"]
    parts = {
        "yolov5": [*centres, "score", "eye"],
        "yolov8": [*centres, "by_class"],
        "yolov10": ["x0", "y0", "x1", "y1", "score", "numbers"],
    }[card.layout]
    node("Concat", parts, "rows", axis=1)
    shape: list[object] = [1, count, 6]
    if card.layout == "yolov8":
        node("Transpose", ["rows"], "columns", perm=[1, 0])
        node("Unsqueeze", ["columns", "batch"], "output0")
        shape = [1, 4 + count, count]
    else:
        node("Unsqueeze", ["rows", "batch"], "output0")
        if card.layout == "yolov5":
            shape = [1, count, 5 + count]
    return helper.make_tensor_value_info("output0", TensorProto.FLOAT, shape)


def finder_bundle(path: Path, *, masks: bool = False, **changes: object) -> Path:
    card = finder_card(**changes)
    return write_bundle(path, card, {"model.onnx": finder_onnx(card, masks=masks)})


def scene(places: dict[str, tuple[int, int, int, int]], size: tuple[int, int] = (160, 120)) -> Image.Image:
    """Rectangles (x0, y0, x1, y1; the far corner is outside) of the classes' colours on a grey picture of (width, height)."""
    picture = Image.new("RGB", size, (128, 128, 128))
    pen = ImageDraw.Draw(picture)
    for name, (x0, y0, x1, y1) in places.items():
        pen.rectangle((x0, y0, x1 - 1, y1 - 1), fill=COLOURS[name])
    return picture
