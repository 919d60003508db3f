from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from coloured import PLAN, scenes, small_yolo  # noqa: E402

from sightline import progress  # noqa: E402
from sightline.errors import DataError, ParityError, StoppedError, UsageError  # noqa: E402
from sightline.learn import loop, step  # noqa: E402
from sightline.learn.augment import Augment  # noqa: E402
from sightline.learn.checkpoint import digest  # noqa: E402
from sightline.learn.detect.data import found_in  # noqa: E402
from sightline.learn.detect.export import certify, detector_graph, found_by  # noqa: E402
from sightline.learn.detect.judging import Answer, judged  # noqa: E402
from sightline.learn.detect.network import FLOOR, MOST, Target  # noqa: E402
from sightline.learn.loop import train_network  # noqa: E402
from sightline.learn.optimise import depth_groups  # noqa: E402
from sightline.runtime.geometry import nms  # noqa: E402
from sightline.types import InputSpec  # noqa: E402

pytestmark = pytest.mark.deep
SPEC = InputSpec(size=64, fit="pad")
EASY = replace(PLAN, epochs=40, ema=0.9, mosaic=0.0, scales=0.0, augment=Augment(flip=True, degrees=0, scale=0.1, colour=0.1))


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    model, data = small_yolo(light=False), scenes(16, 6)
    trained = train_network(model, data, EASY, tmp_path_factory.mktemp("learnt"))
    return model, data, trained


def test_it_learns_where_things_are(learnt):
    model, data, trained = learnt
    assert trained.history[-1].train_loss < 0.7 * trained.history[0].train_loss
    assert max(epoch.val_accuracy for epoch in trained.history) > 0.5
    assert trained.history[0].train_accuracy is None
    found = found_in(model, data.images)
    assert judged(data.truth, found, 2)[1] > 0.6
    assert not model.training


def test_the_exported_file_finds_the_same(learnt):
    model, data, _ = learnt
    onnx = detector_graph(model, ("red", "blue"), SPEC)
    images = np.concatenate([data.images, data.val_images])
    exported, trained = found_by(onnx, images), found_in(model, images, batch=1)
    parity = certify(exported, trained)
    assert parity.agreement == 1.0
    assert parity.largest_shift < 0.1
    assert parity.largest_difference < 0.001
    for one in exported:
        assert one.boxes.dtype == np.float32
        assert one.labels.dtype == np.int64
        assert (one.scores >= FLOOR).all()
        assert (np.diff(one.scores) <= 0).all()
        assert len(one.scores) <= MOST
        assert (one.boxes >= 0).all()
        assert (one.boxes <= 64).all()
        again = nms(one.boxes, one.scores, one.labels, 0.6)  # the light runtime's suppression finds nothing left to do
        assert len(again) == len(one.boxes)


def test_the_file_says_what_it_is(learnt):
    import json

    import onnx

    model = onnx.load_model_from_string(detector_graph(learnt[0], ("rot", "blau"), SPEC))
    facts = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert facts["sightline.classes"] == ["rot", "blau"]
    assert facts["sightline.task"] == "detection"
    assert facts["sightline.input"]["size"] == 64
    assert [entry.name for entry in model.graph.output] == ["boxes", "scores", "labels"]


def test_a_certificate_is_refused_where_boxes_or_scores_differ():
    def answer(x=10.0, score=0.9, label=0):
        return Answer(np.asarray([[x, 10, 40, 40]], np.float32), np.asarray([score], np.float32), np.asarray([label], np.int64))

    assert certify([answer()], [answer(10.5, 0.905)]).largest_shift == pytest.approx(0.5)
    for other in (answer(11.5), answer(score=0.8), answer(label=1), answer(35.0)):
        with pytest.raises(ParityError, match="something else"):
            certify([answer()], [other])
    nothing = Answer(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    assert certify([answer(10.5, 0.02)], [answer(score=0.02)]).largest_shift == pytest.approx(0.5), "sure of nothing"
    assert certify([nothing], [answer(score=0.055)]).agreement == 1.0, "at the floor of comparison a hair decides"
    with pytest.raises(ParityError):
        certify([nothing], [answer()])


class Killed(BaseException):
    """Stands for a process that ends without a word."""


def test_killed_it_ends_with_identical_weights(tmp_path, monkeypatch):
    data, straight = scenes(), small_yolo()
    train_network(straight, data, PLAN, tmp_path / "straight")
    done = [0]

    def dying(*arguments):
        if done[0] == 5:
            raise Killed
        done[0] += 1
        return step.train_step(*arguments)

    monkeypatch.setattr(loop, "train_step", dying)
    with pytest.raises(Killed):
        train_network(small_yolo(), data, PLAN, tmp_path / "killed")
    monkeypatch.undo()
    torch.manual_seed(99)
    model = small_yolo()
    assert train_network(model, data, PLAN, tmp_path / "killed").resumed_from == 3
    assert digest(model.state_dict()) == digest(straight.state_dict())
    other = small_yolo()
    train_network(other, data, replace(PLAN, seed=1), tmp_path / "other")
    assert digest(other.state_dict()) != digest(straight.state_dict())


def test_stopped_inside_an_epoch_it_goes_on_and_other_boxes_are_refused(tmp_path):
    import threading

    data, stop = scenes(), threading.Event()
    with progress.listen(lambda event: stop.set() if event.done >= 2 else None), pytest.raises(StoppedError):
        train_network(small_yolo(), data, PLAN, tmp_path, stop=stop)
    moved = tuple(replace(one, boxes=one.boxes + 1) for one in data.truth)
    with pytest.raises(UsageError, match="pictures"):
        train_network(small_yolo(), replace(data, truth=moved), PLAN, tmp_path)
    assert train_network(small_yolo(), data, PLAN, tmp_path).resumed_from == 2


def test_a_loss_that_is_no_number_keeps_what_was_learnt(tmp_path, monkeypatch):
    data, model = scenes(), small_yolo()
    real, calls = model.loss, [0]

    def poisoned(pixels, targets):
        calls[0] += 1
        return {name: part * (float("nan") if calls[0] > 4 else 1) for name, part in real(pixels, targets).items()}

    monkeypatch.setattr(model, "loss", poisoned)
    with pytest.raises(DataError, match="the weights of epoch 1 are kept"):
        train_network(model, data, PLAN, tmp_path)
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())


def test_minutes_and_early_stopping_are_the_loop_s(tmp_path, monkeypatch):
    assert step.epoch_seconds(small_yolo(), scenes(), PLAN) > 0
    monkeypatch.setattr(loop, "epoch_seconds", lambda *_: 6.0)
    trained = train_network(small_yolo(), scenes(), replace(PLAN, epochs=1, longest=4), tmp_path / "a", minutes=0.25)
    assert trained.plan.epochs == 2
    monkeypatch.setattr(loop, "validate", lambda parts: (0.5, 0.3))
    trained = train_network(small_yolo(), scenes(), replace(PLAN, patience=1, epochs=5), tmp_path / "b")
    assert trained.stopped_early
    assert len(trained.history) == 2


def test_in_parts_without_objects_and_in_halves(tmp_path):
    data = scenes()
    bare = replace(data, truth=tuple(replace(one, boxes=one.boxes[:0], labels=one.labels[:0]) for one in data.truth))
    plan = replace(PLAN, epochs=1, accumulate=2, precision="bf16", sampling=0.5)
    for lesson in (data, bare):
        trained = train_network(small_yolo(), lesson, plan, tmp_path / lesson.identity()["pictures"])
        assert np.isfinite(trained.history[0].train_loss)


def test_five_thousand_objects_in_a_picture_cost_no_more_than_memory_for_some():
    model, rng = small_yolo().train(), np.random.default_rng(0)
    low = torch.from_numpy(rng.uniform(0, 60, (5000, 2)).astype(np.float32))
    crowd = Target(torch.cat([low, low + 4], 1), torch.from_numpy(rng.integers(0, 2, 5000)), torch.zeros(0, 4))
    losses = model.loss(
        torch.full((2, 64, 64, 3), 120.0), [crowd, Target(torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0, 4))]
    )
    assert all(torch.isfinite(part) for part in losses.values())


def test_the_body_s_blocks_come_before_all_that_is_new():
    groups = depth_groups(small_yolo())
    assert all(name.startswith("backbone.") for group in groups[:-1] for name in group)
    assert not any(name.startswith("backbone.") for name in groups[-1])
    assert sum(map(len, groups)) == len(list(small_yolo().named_parameters()))
