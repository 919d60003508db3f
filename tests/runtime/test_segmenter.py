from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from pictures import encoded
from sightline.errors import BundleError
from sightline.runtime.geometry import letterbox
from sightline.runtime.masks import pixels_of
from sightline.runtime.model import opened
from sightline.runtime.segmenter import Field, Segmenter, placed, told
from sightline.types import Card, InputSpec, Recipe

CLASSES = ("red", "blue")
SPEC = InputSpec(size=32, fit="pad")


def card(**more: object) -> Card:
    recipe = Recipe(size="tiny", way="segment", why="", backbone="colours", weights="none", seed=0)
    values = {"id": "x", "name": "colours", "task": "segmentation", "classes": CLASSES, "input": SPEC, "recipe": recipe}
    return Card(**{**values, **more})  # type: ignore[arg-type]


def graph(classes: int = 2, output: str = "classes") -> bytes:
    """Names each pixel by its colour: red where red is strong, blue where blue is, else background."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    weights = np.zeros((classes + 1, 3, 1, 1), np.float32)
    weights[1, :, 0, 0], weights[2 % (classes + 1), :, 0, 0] = (0.2, -0.2, -0.2), (-0.2, -0.2, 0.2)
    bias = np.zeros(classes + 1, np.float32)
    bias[0] = 12.0
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weights", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [output], axis=1),
    ]
    made = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 32, 32, 3])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, classes + 1, 32, 32])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {"sightline.classes": json.dumps(CLASSES)})
    onnx.checker.check_model(model)
    return model.SerializeToString()


def street() -> Image.Image:
    """128 x 64, grey, with a red and a small blue rectangle."""
    picture = Image.new("RGB", (128, 64), (120, 120, 120))
    picture.paste((230, 10, 10), (16, 16, 64, 48))
    picture.paste((10, 10, 230), (96, 20, 112, 36))
    return picture


@pytest.mark.deep
def test_it_paints_the_picture_in_its_own_size(tmp_path):
    segmenter = opened(card(), graph())
    assert isinstance(segmenter, Segmenter)
    file = tmp_path / "street.png"
    street().save(file)
    answer = segmenter.predict(file)
    assert answer.decision == tuple(label.label for label in answer.labels)
    red = next(label for label in answer.labels if label.label == "red")
    assert {label.label for label in answer.labels} == {"red", "blue"}
    assert red.mask is not None
    assert red.mask.size == (64, 128)
    assert red.box == pytest.approx((16, 16, 64, 48), abs=3)
    assert pixels_of(red.mask).sum() == pytest.approx(48 * 32, rel=0.1)
    assert red.polygon is not None
    assert 0.5 < (red.score or 0) <= 1


@pytest.mark.deep
def test_turned_pictures_are_painted_upright_and_bad_ones_fail_alone(tmp_path):
    segmenter = Segmenter(card(), graph(), threads=2)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter when shown
    good, bad = tmp_path / "turned.jpg", tmp_path / "bad.jpg"
    good.write_bytes(encoded(street(), exif=exif, quality=95))
    bad.write_bytes(b"no picture")
    first, second = segmenter.predict_many([good, bad])
    assert {label.mask.size for label in first.labels} == {(128, 64)}
    assert second.error.code.startswith("picture")


@pytest.mark.deep
def test_a_graph_that_is_none_is_refused():
    with pytest.raises(BundleError, match="no segmenter"):
        Segmenter(card(), graph(output="other"))
    with pytest.raises(BundleError, match="different classes"):
        Segmenter(card(classes=("red", "green")), graph())


def test_a_letterboxed_field_comes_back_where_it_was():
    probabilities = np.zeros((3, 32, 32), np.float32)
    probabilities[0] = 1
    probabilities[0, 12:20, :16], probabilities[2, 12:20, :16] = 0.1, 0.9
    field = placed(probabilities, letterbox((128, 64), SPEC))  # the inner part is 32 x 16, from row 8 on
    assert field.classes.shape == (64, 128)
    assert (field.classes[20:44, :60] == 2).all()
    assert (field.classes[:, 70:] == 0).all()
    assert field.scores[30, 20] == pytest.approx(0.9, abs=0.01)


def test_stray_pixels_and_doubtful_classes_are_not_told():
    classes = np.zeros((100, 100), np.uint8)
    classes[0, :3] = 1
    classes[50:, :] = 2
    assert told(Field(classes, np.full((100, 100), 0.9, np.float32)), card())[0].label == "blue"
    assert len(told(Field(classes, np.full((100, 100), 0.9, np.float32)), card())) == 1
    assert told(Field(classes, np.full((100, 100), 0.4, np.float32)), card()) == ()
    assert len(told(Field(classes, np.full((100, 100), 0.4, np.float32)), card(thresholds={"blue": 0.3}))) == 1
