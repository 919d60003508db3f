"""int8: close answers, a quarter of the file, everything a caller relies on kept; what cannot be done is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx.checker
import pytest
from onnx import TensorProto, helper, numpy_helper
from smallnets import CLASSES, SIZE, answers, distance, drawings, loaded, operators, small_network

from sightline.errors import BundleError, DataError, UsageError
from sightline.shrink.quantise import int8
from sightline.shrink.ranges import METHODS


@pytest.fixture(scope="module")
def network() -> bytes:
    return small_network(activation="Clip")


def optimised(content: bytes, folder: Path) -> list[str]:
    """The operators that ONNX Runtime runs in the end."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return operators((folder / "optimised.onnx").read_bytes())


@pytest.mark.parametrize("method", METHODS)
def test_answers_stay_close(network: bytes, method: str) -> None:
    small = int8(network, drawings(), method)  # type: ignore[arg-type]
    unseen = drawings(40)[24:]
    assert distance(network, small, unseen) < (0.05 if method != "entropy" else 0.15)
    assert np.abs(answers(network, unseen)["probabilities"] - answers(small, unseen)["probabilities"]).max() < 0.15


def test_a_wide_network_has_a_quarter_of_its_size() -> None:
    network = small_network(width=128)
    assert len(int8(network, drawings())) < 0.4 * len(network)  # names and scales weigh more in a network this small


def test_what_a_caller_relies_on_is_kept(network: bytes) -> None:
    before, after = loaded(network), loaded(int8(network, drawings()))
    onnx.checker.check_model(after, full_check=True)
    assert list(after.graph.input) == list(before.graph.input)
    assert list(after.graph.output) == list(before.graph.output)
    facts = {entry.key: entry.value for entry in after.metadata_props}
    assert json.loads(facts["sightline.classes"]) == list(CLASSES)
    assert {entry.domain for entry in after.opset_import} == {""}
    for count in (1, 5):
        assert answers(after.SerializeToString(), drawings(count))["probabilities"].shape == (count, 3)


def test_layers_run_in_8_bits(network: bytes, tmp_path: Path) -> None:
    ran = optimised(int8(network, drawings()), tmp_path)
    assert ran.count("QLinearConv") == 4
    assert ran.count("QLinearAdd") == 1
    assert not {"Conv", "Clip", "Relu", "MaxPool"} & set(ran) - {"MaxPool"}
    assert ran.count("QuantizeLinear") == 0  # the picture's own bytes go in
    assert ran.count("DequantizeLinear") == 1  # in front of the head


def test_other_normalisations_stay_in_front(tmp_path: Path) -> None:
    """A mean of another kind than one number a channel cannot move into the weights; the network still gets 8 bits."""
    model = loaded(small_network())
    odd = np.random.default_rng(0).normal(100, 20, (1, 3, SIZE, SIZE)).astype(np.float32)
    for place, one in enumerate(model.graph.initializer):
        if one.name == "mean":
            del model.graph.initializer[place]
            break
    model.graph.initializer.append(numpy_helper.from_array(odd, "mean"))
    network = model.SerializeToString()
    small = int8(network, drawings())
    assert distance(network, small, drawings(30)[24:]) < 0.05
    ran = optimised(small, tmp_path)
    assert ran.count("QLinearConv") == 4
    assert "Sub" in ran
    assert "QuantizeLinear" in ran


def test_nodes_that_are_kept_stay_in_float(network: bytes, tmp_path: Path) -> None:
    small = int8(network, drawings(), keep=["/net/middle/depth/Conv", "/net/middle/depth/Clip"])
    ran = optimised(small, tmp_path)
    assert ran.count("QLinearConv") == 3
    assert sum(name in ("Conv", "FusedConv") for name in ran) == 1
    assert distance(network, small, drawings()) < 0.05


def test_operators_without_8_bits_stay_in_float(tmp_path: Path) -> None:
    network = small_network(activation="HardSwish")
    small = int8(network, drawings())
    assert distance(network, small, drawings()) < 0.05
    ran = optimised(small, tmp_path)
    assert ran.count("HardSigmoid") == 2  # ONNX Runtime takes HardSwish apart
    assert ran.count("QLinearConv") == 4


def test_a_channel_of_zeros_and_a_large_bias_do_no_harm(network: bytes) -> None:
    model = loaded(network)
    for one in model.graph.initializer:
        value = numpy_helper.to_array(one).copy()
        if one.name == "point.weight":
            value[0], value[1] = 0, 1e-12
        if one.name == "point.bias":
            value[1] = 2.0
        one.CopyFrom(numpy_helper.from_array(value, one.name))
    changed = model.SerializeToString()
    assert distance(changed, int8(changed, drawings()), drawings()) < 0.05


def test_silent_and_leaves_nothing(
    network: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    first, again = int8(network, drawings()), int8(network, drawings())
    assert first == again
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_too_few_pictures_are_refused(network: bytes) -> None:
    with pytest.raises(DataError, match="at least 16 pictures to calibrate on, got 7") as caught:
        int8(network, drawings(7))
    assert "64 to 256" in caught.value.hint


def test_pictures_of_another_size_are_refused(network: bytes) -> None:
    with pytest.raises(DataError, match=r"\(n, 32, 32, 3\), got uint8 \(16, 48, 48, 3\)"):
        int8(network, drawings(16, size=48))
    with pytest.raises(DataError, match="float32"):
        int8(network, drawings(16).astype(np.float32))  # type: ignore[arg-type]


def test_models_that_have_no_8_bits_are_refused(network: bytes) -> None:
    with pytest.raises(DataError, match="already"):
        int8(int8(network, drawings()), drawings())
    trees = helper.make_node("Normalizer", ["x"], ["y"], domain="ai.onnx.ml", norm="L2")
    graph = helper.make_graph(
        [helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT), trees],
        "classic",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    with pytest.raises(DataError, match="classic"):
        int8(helper.make_model(graph).SerializeToString(), drawings())
    with pytest.raises(BundleError):
        int8(b"no model", drawings())
    with pytest.raises(UsageError, match="no node named 'depht'"):
        int8(network, drawings(), keep=["depht"])


def test_a_head_alone_has_nothing_to_compute_in_8_bits() -> None:
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "head",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(np.zeros((SIZE * SIZE * 3, 3), np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(DataError, match="no layers"):
        int8(model.SerializeToString(), drawings())
