"""A graph made ready: what depends on shapes alone becomes constant, padding moves into convolutions, the batch stays free."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from smallnets import SIZE, answers, drawings, loaded, small_network

from sightline.shrink.graph import read, simplified, write


def padded_by_shape() -> bytes:
    """The small network behind a padding that it computes from the picture's own size: SIZE % 3 on the right and below."""
    model = loaded(small_network())
    names = ["one", "three", "nothing", "row"]
    values = [
        np.array([2], np.int64),
        np.array([3], np.int64),
        np.array([0, 0, 0, 0, 0, 0], np.int64),
        np.array(0.0, np.float32),
    ]
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in zip(names, values, strict=True))
    front = [
        helper.make_node("Shape", ["normal"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["side"], axis=0),
        helper.make_node("Mod", ["side", "three"], ["more"]),
        helper.make_node("Concat", ["nothing", "more", "more"], ["pads"], axis=0),
        helper.make_node("Pad", ["normal", "pads", "row"], ["padded"], mode="constant"),
    ]
    nodes = list(model.graph.node)
    for node in nodes:
        if node.name.endswith("/stem/Conv"):
            node.input[0] = "padded"
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:4], *front, *nodes[4:]])
    content: bytes = model.SerializeToString()
    return content


def test_padding_by_shape_moves_into_the_convolution() -> None:
    network = padded_by_shape()
    ready = simplified(network)
    kinds = {node.op_type for node in ready.graph.node}
    assert not kinds & {"Shape", "Gather", "Mod", "Pad"}
    again = write(ready, read(network))
    assert np.allclose(answers(network, drawings(3))["embedding"], answers(again, drawings(3))["embedding"], atol=1e-5)


def test_shapes_that_hold_the_batch_stay_computed() -> None:
    """A Reshape by the number of pictures must not become a constant."""
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["n"], axis=0),
        helper.make_node("Concat", ["n", "rest"], ["flat"], axis=0),
        helper.make_node("Reshape", ["x", "flat"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "flatten",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", SIZE * SIZE * 3])],
        [numpy_helper.from_array(np.array([0]), "first"), numpy_helper.from_array(np.array([-1]), "rest")],
    )
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    again = write(simplified(content), read(content))
    for count in (1, 4):
        assert answers(again, drawings(count))["y"].shape == (count, SIZE * SIZE * 3)


def test_every_node_has_a_name_of_its_own() -> None:
    names = [node.name for node in simplified(small_network()).graph.node]
    assert all(names)
    assert len(set(names)) == len(names)
