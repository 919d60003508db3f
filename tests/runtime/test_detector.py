from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finders import finder_bundle, finder_card, finder_onnx, scene
from pictures import encoded, pixels
from sightline.errors import BundleError, PictureError, PictureFormatError, UsageError
from sightline.runtime.detector import Detector, Sought
from sightline.runtime.masks import pixels_of
from sightline.runtime.model import load
from sightline.types import Failure, Prediction

PLACES = {"red": (20, 30, 60, 70), "blue": (100, 10, 140, 90)}


@pytest.fixture(scope="module")
def detector() -> Detector:
    card = finder_card()
    return Detector(card, finder_onnx(card), threads=2)


def test_objects_in_pixels_of_the_picture(detector: Detector):
    answer = detector.predict(encoded(scene(PLACES), "PNG"), name="scene.png")
    assert answer.picture == "scene.png"
    assert set(answer.decision) == {"red", "blue"}
    for one in answer.labels:
        assert np.abs(np.array(one.box) - PLACES[one.label]).max() <= 1.7  # one pixel of the input
        assert one.score is not None
        assert one.score > 0.9


def test_the_same_from_path_bytes_and_pixels(detector: Detector, tmp_path: Path):
    picture = scene(PLACES)
    (tmp_path / "a.png").write_bytes(encoded(picture, "PNG"))
    answers = [
        detector.predict(tmp_path / "a.png"),
        detector.predict((tmp_path / "a.png").read_bytes()),
        detector.predict(pixels(picture)),
    ]
    assert answers[0].labels == answers[1].labels == answers[2].labels
    assert answers[0].picture == str(tmp_path / "a.png")


def test_a_turned_picture_is_answered_upright(detector: Detector):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = scene(PLACES).transpose(Image.Transpose.ROTATE_90)
    answer = detector.predict(encoded(stored, quality=95, subsampling=0, exif=exif.tobytes()))
    found = {one.label: one.box for one in answer.labels}
    for name, place in PLACES.items():
        assert np.abs(np.array(found[name]) - place).max() <= 3.4


def test_thresholds_decide_what_is_given(detector: Detector):
    picture = scene(PLACES)
    picture.paste((40, 170, 60), (75, 40, 78, 100))  # an L of green: a third of its box
    picture.paste((40, 170, 60), (75, 97, 95, 100))
    data = encoded(picture, "PNG")
    found = detector.find(data)
    assert len(found) == 3
    assert (np.diff(found.scores) <= 0).all()
    assert found.size == (160, 120)
    assert len(detector.predict(data).labels) == 2
    assert len(detector.at(0.05).predict(data).labels) == 3
    assert len(detector.at(1.0).predict(data).labels) == 2  # a score of 1 reaches it
    assert len(detector.at(0.05).predict(data, top=1).labels) == 1
    assert len(detector.predict(data).labels) == 2  # unchanged
    with pytest.raises(UsageError, match="0 to 1"):
        detector.at(1.2)


def test_nothing_there(detector: Detector):
    answer = detector.predict(pixels(scene({})))
    assert answer.labels == ()
    assert answer.decision == ()


def test_masks_become_run_lengths_and_outlines():
    card = finder_card()
    detector = Detector(card, finder_onnx(card, masks=True), threads=1)
    answer = detector.predict(pixels(scene(PLACES)))
    for one in answer.labels:
        assert one.mask is not None
        assert one.mask.size == (120, 160)
        x0, y0, x1, y1 = one.box
        assert abs(pixels_of(one.mask).sum() - (x1 - x0) * (y1 - y0)) <= 130
        assert one.polygon is not None


def test_many_files_and_bad_ones(detector: Detector, tmp_path: Path):
    for number in range(5):
        (tmp_path / f"{number}.png").write_bytes(encoded(scene(PLACES), "PNG"))
    (tmp_path / "2.png").write_bytes(b"no picture")
    (tmp_path / "3.mp4").write_bytes(b"")
    paths = [tmp_path / name for name in ("0.png", "1.png", "2.png", "3.png", "4.png", "missing.png", "3.mp4")]
    answers = list(detector.predict_many(paths))
    assert [isinstance(answer, Prediction) for answer in answers] == [True, True, False, True, True, False, False]
    sought = list(detector.find_files(paths))
    assert isinstance(sought[0], Sought)
    assert sought[0].picture == str(paths[0])
    assert isinstance(sought[2], Failure)
    assert sought[5].error.code == "not_found"
    with pytest.raises(PictureFormatError, match="video"):
        detector.find(tmp_path / "3.mp4")
    with pytest.raises(PictureError):
        detector.find(b"no picture")


@pytest.mark.parametrize("layout", ["yolov5", "yolov8", "yolov10"])
def test_other_makers_graphs_answer_the_same(layout: str, detector: Detector):
    card = finder_card(layout=layout)
    theirs = Detector(card, finder_onnx(card), threads=1).find(pixels(scene(PLACES)))
    ours = detector.find(pixels(scene(PLACES)))
    assert theirs.labels.tolist() == ours.labels.tolist()
    assert np.allclose(theirs.boxes, ours.boxes, atol=1e-3)
    assert np.allclose(theirs.scores, ours.scores, atol=1e-4)


def test_graphs_that_are_no_detectors_are_refused():
    card = finder_card()
    with pytest.raises(BundleError, match="not known"):
        Detector(finder_card(layout="yolov99"), finder_onnx(card))
    with pytest.raises(BundleError, match="lacks"):
        Detector(card, finder_onnx(finder_card(layout="yolov8")))
    with pytest.raises(BundleError, match="different classes"):
        Detector(finder_card(classes=("a", "b", "c")), finder_onnx(card))
    wrong = finder_card(layout="yolov5", classes=("red", "green", "blue", "white"))
    with pytest.raises(BundleError, match="1, 3, 8"):
        Detector(wrong, finder_onnx(finder_card(layout="yolov5"))).predict(pixels(scene(PLACES)))
    with pytest.raises(BundleError, match="not"):
        Detector(finder_card(layout="yolov8"), finder_onnx(finder_card(layout="yolov5"))).find(pixels(scene(PLACES)))


def test_load_opens_what_the_card_says(tmp_path: Path):
    loaded = load(finder_bundle(tmp_path / "finder"), threads=1)
    assert isinstance(loaded, Detector)
    assert len(loaded.predict(pixels(scene(PLACES))).labels) == 2
