from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bundles import CLASSES, tiny_bundle
from pictures import COLOURS, class_folders, drawn, pixels

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from sightline.errors import DatasetError, UsageError  # noqa: E402
from sightline.learn.augment import NONE  # noqa: E402
from sightline.learn.loop import train_network  # noqa: E402
from sightline.learn.network import Classifier  # noqa: E402
from sightline.learn.plan import Plan  # noqa: E402
from sightline.learn.step import TrainingData, logits_of  # noqa: E402
from sightline.learn.teacher import called, check, distilled  # noqa: E402
from sightline.runtime.bundle import read_bundle  # noqa: E402
from sightline.types import InputSpec  # noqa: E402

pytestmark = pytest.mark.deep
SPEC = InputSpec(size=32)


def plain(colour: str, size: int = 32):
    return np.full((1, size, size, 3), COLOURS[colour], np.uint8)


def network(classes: int = 3):
    torch.manual_seed(0)
    return Classifier(nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()), 8, classes)


def test_answers_come_in_the_order_of_the_student(tmp_path):
    teacher = called(tiny_bundle(tmp_path / "t"), ("blue", "red"), "binary", SPEC)
    given = teacher(torch.from_numpy(np.concatenate([plain("red"), plain("blue")])).float())
    assert given.shape == (2, 2)
    assert given.argmax(1).tolist() == [1, 0]


def test_pictures_are_resized_and_rounded_for_the_teacher(tmp_path):
    teacher = called(tiny_bundle(tmp_path / "t"), CLASSES, "multiclass", SPEC)
    small = torch.from_numpy(plain("green", 16)).float()
    whole = teacher(torch.from_numpy(plain("green", 32)).float())
    assert torch.allclose(teacher(small + 0.3), whole, atol=1e-5)
    assert torch.isfinite(teacher(small * 9 - 300)).all(), "what augmentation pushed out of 0..255 is cut off"


def test_logits_of_several_labels_are_of_each_label(tmp_path):
    path = tiny_bundle(tmp_path / "t", "multilabel")
    teacher = called(path, CLASSES, "multilabel", SPEC)
    given = teacher(torch.from_numpy(plain("red")).float()).sigmoid().numpy()
    assert np.allclose(given, teacher.model.answer(plain("red")).probabilities, atol=1e-5)


def test_a_teacher_must_know_the_classes(tmp_path):
    path = tiny_bundle(tmp_path / "t")
    with pytest.raises(DatasetError, match="does not know the class violet") as caught:
        check(path, ("red", "violet"), "multiclass")
    assert "red, green, blue" in caught.value.hint
    with pytest.raises(UsageError, match="one class a picture"):
        check(path, CLASSES, "multilabel")
    with pytest.raises(UsageError, match="prepared with nothing"):
        check(path, CLASSES, "multiclass", ("grey",))


@pytest.mark.parametrize("multilabel", [False, True])
def test_the_loss_is_a_divergence(multilabel):
    torch.manual_seed(1)
    taught, logits = torch.randn(5, 4), torch.randn(5, 4)
    assert float(distilled(taught, taught, 2.0, multilabel)) == pytest.approx(0, abs=1e-6)
    assert float(distilled(logits, taught, 2.0, multilabel)) > 0.05
    p, q = (taught / 3).softmax(1), (logits / 3).softmax(1)
    if not multilabel:
        by_hand = 9 * (p * (p / q).log()).sum(1).mean()
        assert float(distilled(logits, taught, 3.0, False)) == pytest.approx(float(by_hand), rel=1e-4)


def test_a_student_without_labels_learns_from_its_teacher(tmp_path):
    """All labels say red: what it knows of green and blue afterwards, it has from the teacher."""
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(3), 8)
    images = np.concatenate([plain(CLASSES[place]) for place in truth]).astype(int) + rng.integers(-20, 20, (24, 1, 1, 3))
    images = images.clip(0, 255).astype(np.uint8)
    teacher = called(tiny_bundle(tmp_path / "t"), CLASSES, "multiclass", SPEC)
    data = TrainingData(images, np.zeros(24, np.int64), images, truth, teacher=teacher)
    plan = Plan(size=32, epochs=25, batch=12, lr=0.05, threads=1, ema=0.5, precision="float32", distill=1.0, augment=NONE)
    model = network()
    train_network(model, data, plan, tmp_path / "taught")
    assert (logits_of(model, images).argmax(1) == truth).mean() == 1
    with pytest.raises(UsageError, match="teacher"):
        train_network(network(), replace(data, teacher=None), plan, tmp_path / "taught")


def test_train_with_a_teacher(tmp_path):
    """From the verb: the teacher is in the card, by its id; other classes are refused."""
    from sightline.verbs.train import train

    photos = class_folders(tmp_path / "photos", 8)
    teacher = tiny_bundle(tmp_path / "t")
    wishes = {"way": "scratch", "size": "tiny", "input_size": 32, "plan": "epochs=1", "teacher": str(teacher)}
    result = train(photos, out=tmp_path / "model", **wishes)
    values = read_bundle(result.model).card.recipe.values
    assert values["teacher"].endswith(read_bundle(teacher).card.id)
    assert values["distill"] == 0.7
    with pytest.raises(UsageError, match="--teacher does not go with --way probe"):
        train(photos, out=tmp_path / "other", way="probe", teacher=str(teacher))
    more = class_folders(tmp_path / "more", 8, ("red", "yellow"))
    with pytest.raises(DatasetError, match="does not know the class yellow"):
        train(more, out=tmp_path / "other", **wishes)


def test_a_share_without_a_teacher_is_refused(tmp_path):
    from sightline.verbs.train import train

    with pytest.raises(UsageError, match="there is no teacher"):
        train(class_folders(tmp_path / "p", 8), out=tmp_path / "m", way="scratch", size="tiny", plan="distill=0.5")


def test_drawn_pictures_are_told_apart_by_the_tiny_teacher(tmp_path):
    teacher = called(tiny_bundle(tmp_path / "t"), CLASSES, "multiclass", SPEC)
    given = teacher(torch.from_numpy(pixels(drawn(3, (32, 32)))[None].copy()).float())
    assert float(given.exp().sum()) == pytest.approx(1, abs=1e-4)
