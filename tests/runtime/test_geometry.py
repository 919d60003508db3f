from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pictures import encoded
from sightline.errors import UsageError
from sightline.runtime.geometry import areas, clip, from_centres, iou, letterbox, nms, within
from sightline.runtime.pixels import decode, prepare_sized
from sightline.types import InputSpec


def random_boxes(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 80, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(1, 40, (count, 2))], axis=1).astype(np.float32)


def test_overlap_of_known_boxes():
    a = np.array([[0, 0, 10, 10]], np.float32)
    b = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [2, 2, 4, 4], [8, 8, 2, 2]], np.float32)
    assert iou(a, b)[0].tolist() == pytest.approx([1, 1 / 3, 0, 0.04, 0])
    assert within(a, b)[0].tolist() == pytest.approx([1, 0.5, 0, 1, 0])
    assert areas(b).tolist() == [100, 100, 100, 4, 0]


def test_nothing_overlaps_nothing():
    none = np.zeros((0, 4), np.float32)
    assert iou(none, random_boxes(3)).shape == (0, 3)
    assert nms(none, np.zeros(0, np.float32)).tolist() == []
    assert iou(np.zeros((2, 4)), np.zeros((2, 4))).tolist() == [[0, 0], [0, 0]]


def test_suppression_keeps_the_best_of_a_class():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [50, 50, 60, 60]], np.float32)
    scores = np.array([0.8, 0.9, 0.7, 0.1], np.float32)
    assert nms(boxes, scores, np.array([0, 0, 1, 0]), 0.5).tolist() == [1, 2, 3]
    assert nms(boxes, scores, None, 0.5).tolist() == [1, 3]
    assert nms(boxes, scores, None, 0.5, most=1).tolist() == [1]
    assert nms(boxes, scores, np.array([0, 0, 1, 0]), 0.95).tolist() == [1, 0, 2, 3]


def test_suppression_inside_the_graph_gives_the_same_answer():
    """ONNX's own NonMaxSuppression, as exported graphs hold it."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    boxes, rng = random_boxes(300, 3), np.random.default_rng(4)
    scores = rng.random(300).astype(np.float32)
    labels = rng.integers(0, 3, 300)
    by_class = np.zeros((1, 3, 300), np.float32)
    by_class[0, labels, np.arange(300)] = scores
    limits = {"most": np.array([300], np.int64), "iou": np.array([0.5], np.float32), "floor": np.array([1e-6], np.float32)}
    graph = helper.make_graph(
        [helper.make_node("NonMaxSuppression", ["boxes", "scores", *limits], ["kept"])],
        "nms",
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, 300, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 3, 300]),
        ],
        [helper.make_tensor_value_info("kept", TensorProto.INT64, ["k", 3])],
        [numpy_helper.from_array(value, name) for name, value in limits.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (kept,) = session.run(None, {"boxes": boxes[None], "scores": by_class})
    ours = nms(boxes, scores, labels, 0.5)
    assert sorted(kept[:, 2].tolist()) == sorted(ours.tolist())
    assert (np.diff(scores[ours]) <= 0).all()


def test_clipping_and_centres():
    boxes = clip(np.array([[-5, -5, 5, 5], [90, 90, 120, 130], [200, 0, 210, 5]], np.float32), 100, 100)
    assert boxes.tolist() == [[0, 0, 5, 5], [90, 90, 100, 100], [100, 0, 100, 5]]
    assert from_centres(np.array([[10, 20, 4, 6]])).tolist() == [[8, 17, 12, 23]]


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (33, 1001), (100, 100), (1, 1), (97, 64), (4000, 3000)])
@pytest.mark.parametrize("fit", ["pad", "squash"])
def test_there_and_back(size: tuple[int, int], fit: str):
    spec = InputSpec(size=320, fit=fit)
    box = letterbox(size, spec)
    boxes = np.array([[0, 0, size[0], size[1]], [size[0] / 4, 0, size[0] / 2, size[1] / 3]], np.float32)
    there = box.into(boxes)
    assert there.min() >= 0
    assert there.max() <= 320
    assert np.allclose(box.back(there), boxes, atol=max(size) * 1e-5)
    assert np.allclose(box.back(there[:, :2]), boxes[:, :2], atol=max(size) * 1e-5)


@pytest.mark.parametrize("size", [(640, 480), (901, 333), (50, 70), (2001, 1503)])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_it_says_what_preparing_a_picture_does(size: tuple[int, int], orientation: int):
    """A white rectangle is where the letterbox says it is, in JPEGs decoded smaller and turned by EXIF too."""
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    x0, y0, x1, y1 = size[0] // 5, size[1] // 4, size[0] * 3 // 5, size[1] * 2 // 3
    picture[y0:y1, x0:x1] = 255
    stored = Image.fromarray(picture)
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}[orientation]
    if turn is not None:
        stored = stored.transpose(turn)  # what a camera held that way stores; EXIF turns it back
    data = encoded(stored, quality=95, exif=exif.tobytes())
    assert decode(data).shape[:2] == (size[1], size[0])
    spec = InputSpec(size=160, fit="pad")
    image, upright = prepare_sized(data, spec)
    assert upright == size
    there = letterbox(upright, spec).into(np.array([[x0, y0, x1, y1]], np.float32))[0]
    bright = image.min(axis=2) > 127
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    seen = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    assert np.abs(there - seen).max() <= 1.5  # a turned JPEG decoded smaller has its part of a pixel on the other side


def test_a_png_says_its_size_too():
    stream = io.BytesIO()
    Image.new("RGB", (123, 45)).save(stream, "PNG")
    assert prepare_sized(stream.getvalue(), InputSpec(size=64, fit="pad"))[1] == (123, 45)


def test_cropped_input_is_refused():
    with pytest.raises(UsageError, match="cut"):
        letterbox((10, 10), InputSpec(size=32, fit="crop"))
