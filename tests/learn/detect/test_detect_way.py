from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from coloured import scene  # noqa: E402

from sightline.errors import DatasetError, UsageError  # noqa: E402
from sightline.learn.detect import names, way  # noqa: E402
from sightline.learn.detect.data import Kind, box_of, gather, truth_of  # noqa: E402
from sightline.learn.fit import TrainRequest  # noqa: E402
from sightline.runtime.geometry import letterbox  # noqa: E402
from sightline.runtime.masks import to_mask  # noqa: E402
from sightline.types import Annotation, Dataset, InputSpec, Item, Skeleton  # noqa: E402

pytestmark = pytest.mark.deep
SHORT = (("batch", "4"), ("epochs", "2"))
REQUEST = TrainRequest(way="detect", backbone="yolo-tiny:mobilenetv2_050", input_size=64, values=SHORT)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    items = []
    for seed in range(10):
        pixels, truth = scene(seed)
        Image.fromarray(pixels).crop((0, 0, 64, 64)).resize((128, 128)).save(folder / f"{seed}.png")
        marks = tuple(
            Annotation(label=("red", "blue")[label], box=tuple(float(v) * 2 for v in box))
            for box, label in zip(truth.boxes, truth.labels, strict=True)
        )
        split = "train" if seed < 7 else "val"
        items.append(Item(uri=str(folder / f"{seed}.png"), name=f"{seed}.png", truth=marks, split=split))
    return Dataset(name="scenes", task="detection", classes=("red", "blue"), items=tuple(items))


def test_from_boxes_to_a_detector_and_a_finished_run_answers_at_once(dataset, tmp_path, monkeypatch):
    from sightline.learn import loop

    trained = way.fit_detector(dataset, REQUEST, tmp_path)
    assert trained.recipe.way == "detect"
    assert trained.recipe.backbone == "yolo-tiny:mobilenetv2_050"
    assert trained.recipe.weights == "none"
    assert trained.input == InputSpec(size=64, fit="pad")
    assert trained.parity.pictures == 3
    assert [set(epoch) for epoch in trained.history] == [{"number", "train_loss", "val_map50", "seconds", "rate"}] * 2
    assert trained.weights[:8] != b""
    assert trained.thresholds == {}
    monkeypatch.setattr(loop, "train_step", lambda *_: pytest.fail("trained again"))
    assert way.fit_detector(dataset, REQUEST, tmp_path).history == trained.history


def test_what_a_detector_cannot_have_is_refused(dataset, tmp_path):
    for wish in (
        {"teacher": tmp_path},
        {"features": "hog"},
        {"fit": "crop"},
        {"balance": "focal"},
        {"values": (("compile", "on"),)},
        {"backbone": "yolo-smal"},
        {"backbone": "yolo-tiny:nothing"},
        {"input_size": 100},
        {"augment": "mixup"},
        {"values": (("mosaic", "2"),)},
    ):
        with pytest.raises(UsageError) as caught:
            way.fit_detector(dataset, replace(REQUEST, **wish), tmp_path / "run")
        assert caught.value.hint


def test_data_without_boxes_or_with_an_untaught_class_are_refused(dataset):
    bare = dataset.model_copy(update={"items": tuple(item.model_copy(update={"truth": ()}) for item in dataset.items)})
    with pytest.raises(DatasetError, match="no training picture has a box"):
        way.parts_of(bare)
    with pytest.raises(DatasetError, match="green"):
        way.parts_of(dataset.model_copy(update={"classes": ("red", "blue", "green")}))
    with pytest.raises(DatasetError, match="too few"):
        way.parts_of(dataset.model_copy(update={"items": dataset.items[:3] + dataset.items[7:]}))


def test_the_plan_is_what_classes_data_and_person_make_of_it(dataset):
    built, wish = way.build(dataset, REQUEST, 7)
    data, failures = way.scenes_of(dataset, *way.parts_of(dataset), built)
    assert not failures
    plan = way.planned(built.plan, REQUEST, data, dataset)
    assert (plan.epochs, plan.batch, plan.size) == (2, 4, 64)
    assert plan.mosaic == 0.5
    assert plan.augment.flip
    sided = dataset.model_copy(update={"classes": ("left", "right")})
    assert not way.planned(built.plan, REQUEST, data, sided).augment.flip
    assert way.planned(built.plan, replace(REQUEST, flip=True), data, sided).augment.flip
    other = way.planned(built.plan, replace(REQUEST, augment="rotate:5,colour:0.1", values=(("mosaic", "0.2"),)), data, dataset)
    assert (other.augment.degrees, other.augment.scale, other.mosaic, other.augment.flip) == (5, 0, 0.2, False)
    assert way.planned(built.plan, replace(REQUEST, balance="sampler"), data, dataset).sampling > 0
    assert wish.size == 64


def test_small_objects_get_a_larger_input(dataset):
    train = dataset.part("train")
    assert way.roomy(train, 96) == (96, "")
    assert way.roomy(train, 64) == (64, ""), "14 px and more"
    shrunk = [
        item.model_copy(update={"truth": tuple(one.model_copy(update={"box": (0.0, 0.0, 4.0, 40.0)}) for one in item.truth)})
        for item in train
    ]
    size, why = way.roomy(shrunk, 320)
    assert size == 384
    assert "small" in why
    assert way.roomy(shrunk, 64)[0] == 96
    assert way.roomy([], 64) == (64, "")


def test_keypoints_change_sides_in_a_mirror():
    assert way._swaps(("nose", "left_eye", "right_eye", "left_ear", "right_ear")) == (0, 2, 1, 4, 3)
    assert way._swaps(("top", "middle")) is None


# --- annotations in prepared pixels


SPEC = InputSpec(size=64, fit="pad")
BOX = letterbox((128, 64), SPEC)  # half the size, 16 px of ground above and below


def test_boxes_outlines_masks_and_points_come_into_the_prepared_picture():
    pixels = np.zeros((64, 128), bool)
    pixels[10:30, 20:60] = True
    truth = (
        Annotation(label="a", box=(20, 10, 60, 30)),
        Annotation(label="b", polygon=((20, 10), (60, 10), (60, 30), (20, 30))),
        Annotation(label="a", mask=to_mask(pixels)),
        Annotation(label="a", keypoints=((20, 10), (60, 30), (0, 0)), visibility=(2, 1, 0)),
        Annotation(label="a", box=(0, 0, 128, 64), traits=("crowd",)),
        Annotation(label="a"),
        Annotation(label="other", box=(1, 1, 50, 50)),
        Annotation(label="a", box=(5, 5, 5.5, 40)),
        Annotation(label="a", box=(100, 50, 300, 90)),
    )
    found = truth_of(truth, BOX, 64, {"a": 0, "b": 1}, Kind(masks=True, points=3))
    assert found.labels.tolist() == [0, 1, 0, 0, 0]
    assert np.allclose(found.boxes[:4], [[10, 21, 30, 31]] * 4)
    assert found.boxes[4].tolist() == [50, 41, 64, 61]
    assert found.ignored.tolist() == [[0, 16, 64, 48]]
    masks = np.unpackbits(found.masks, axis=-1, count=64)
    for row in range(4):
        assert masks[row, 21:31, 10:30].all()
        assert masks[row].sum() == 200
    assert found.keypoints[3].tolist() == [[10, 21, 2], [30, 31, 1], [0, 0, 0]]
    assert found.keypoints[0].sum() == 0


def test_an_annotation_without_a_place_has_no_box():
    assert box_of(Annotation(label="a")) is None
    assert box_of(Annotation(label="a", rings=(((1, 2), (3, 4), (5, 1)), ((7, 8), (9, 9), (8, 7))))) == (1, 1, 9, 9)


def test_an_unreadable_picture_is_left_out(dataset, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"nothing")
    items = (dataset.items[0], Item(uri=str(bad), name="bad"), dataset.items[1])
    found = gather(items, dataset.classes, SPEC)
    assert [item.name for item in found.items] == ["0.png", "1.png"]
    assert len(found.images) == len(found.truth) == 2
    assert [failure.picture for failure in found.failures]


# --- names


def test_names_and_sizes():
    assert names.named("yolo-small:resnet18")[1] == "resnet18"
    assert names.is_detector("yolo-tiny")
    assert not names.is_detector("resnet18")
    with pytest.raises(UsageError, match="no detector is called") as caught:
        names.named("yolo-smal")
    assert "yolo-small" in caught.value.hint
    entry = names.DETECTORS["yolo-small"]
    assert names.side(entry, None) == entry.size
    assert names.side(entry, 96) == 96
    with pytest.raises(UsageError) as caught:
        names.side(entry, 97)
    assert "96" in caught.value.hint
    assert all(name in names.DETECTORS for name in names.DIAL.values())


def test_a_network_without_maps_is_refused():
    wish = names.Wish(names.DETECTORS["yolo-tiny"], ("a", "b"), 64, "vit_tiny_patch16_224")
    with pytest.raises(UsageError, match="no maps"):
        names.build(wish)


def test_without_weights_a_plain_body_and_a_word_about_it():
    built = names.build(names.Wish(names.DETECTORS["yolo-tiny"], ("a", "b"), 64))
    assert built.weights == "none"
    assert "no weights" in built.why
    assert built.plan.frozen == 0


def test_skeletons_give_the_number_of_keypoints(dataset):
    named = dataset.model_copy(update={"skeletons": {"red": Skeleton(points=("left_top", "right_top"))}})
    with pytest.raises(DatasetError, match="keypoints"):
        way.build(dataset, replace(REQUEST, backbone="keypoint-rcnn"), 7)
    assert named.skeletons["red"].points == ("left_top", "right_top")
