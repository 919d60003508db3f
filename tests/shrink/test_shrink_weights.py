"""Weights in fewer bits: how small the file gets, how near the answers stay, that ONNX Runtime runs the same operators."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx.checker
import pytest
from onnx import TensorProto, helper
from smallnets import answers, distance, drawings, loaded, operators, small_network

from sightline.errors import BundleError, DataError
from sightline.shrink.weights import clustered, download_bytes, fp16, to_int8, weights4, weights8

# coding: the largest share of the file, the largest distance of the embeddings
CODINGS = {fp16: (0.58, 0.002), weights8: (0.36, 0.02), weights4: (0.25, 0.2), clustered: (0.36, 0.15)}


@pytest.fixture(scope="module")
def network() -> bytes:
    return small_network(width=128)


@pytest.mark.parametrize("coding", CODINGS, ids=lambda one: one.__name__)
def test_smaller_and_near(coding, network: bytes) -> None:  # type: ignore[no-untyped-def]
    small = coding(network)
    share, far = CODINGS[coding]
    assert len(small) < share * len(network)
    assert distance(network, small, drawings()) < far
    before, after = loaded(network), loaded(small)
    onnx.checker.check_model(after, full_check=True)
    assert list(after.graph.input) == list(before.graph.input)
    assert list(after.graph.output) == list(before.graph.output)
    assert list(after.metadata_props) == list(before.metadata_props)
    assert answers(small, drawings(3))["novelty"].shape == (3,)


@pytest.mark.parametrize("coding", CODINGS, ids=lambda one: one.__name__)
def test_the_weights_are_brought_back_at_load(coding, network: bytes, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    import onnxruntime as ort

    ran = []
    for place, content in enumerate((network, coding(network))):
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.optimized_model_filepath = str(tmp_path / f"{place}.onnx")
        ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        ran.append(sorted(operators((tmp_path / f"{place}.onnx").read_bytes())))
    assert ran[0] == ran[1]


def test_few_values_pack_well(network: bytes) -> None:
    packed = [download_bytes(clustered(network, levels)) for levels in (4, 32, 256)]
    assert packed == sorted(packed)
    assert packed[1] < 0.85 * download_bytes(weights8(network))
    assert packed[1] < 0.25 * len(network)


def test_more_values_are_nearer(network: bytes) -> None:
    far = [distance(network, clustered(network, levels), drawings()) for levels in (4, 16, 256)]
    assert far == sorted(far, reverse=True)
    with pytest.raises(DataError, match="2 to 256"):
        clustered(network, 1)


def test_odd_shapes() -> None:
    """Weights of an odd number, of one channel, of a width that no block divides."""
    for width in (17, 37):
        network = small_network(width=width)
        assert distance(network, weights4(network), drawings()) < 0.25
        assert distance(network, weights8(network), drawings()) < 0.03


def test_int8_numbers() -> None:
    value = np.array([[1.0, -2.0, 0.5], [0, 0, 0], [1e-3, 2e-3, -1e-3]], np.float32)
    numbers, scales = to_int8(value, 0)
    assert numbers.dtype == np.int8
    assert numbers[0].tolist() == [64, -127, 32]
    assert np.abs(numbers * scales[:, None] - value).max() <= scales.max() / 2


def test_nothing_to_shrink_is_refused() -> None:
    graph = helper.make_graph(
        [helper.make_node("Cast", ["image"], ["y"], to=TensorProto.FLOAT)],
        "bare",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 8, 8, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8, 8, 3])],
    )
    bare = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    for coding in CODINGS:
        with pytest.raises(DataError, match="no weights"):
            coding(bare)
        with pytest.raises(BundleError):
            coding(b"\x00no model")
