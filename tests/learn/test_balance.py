"""Small classes: weights and draws are what they say, copies top classes up, and drawing them more often lets them be seen."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pictures import drawn, pixels
from sightline.learn import balance
from sightline.learn.balance import copies, picture_weights

TWO = np.eye(2)[[0] * 90 + [1] * 10]


def test_weights_by_the_power_of_the_frequency():
    assert np.allclose(picture_weights(TWO, 0), 1)
    full = picture_weights(TWO, 1.0)
    assert full[:90].sum() == pytest.approx(full[90:].sum(), rel=1e-5)
    half = picture_weights(TWO, 0.5)
    assert half[95] / half[0] == pytest.approx(3, rel=1e-5)
    assert full.mean() == pytest.approx(1, rel=1e-5)


def test_several_labels_count_as_their_rarest_and_none_is_a_class():
    targets = np.array([[1, 0]] * 6 + [[1, 1]] * 2 + [[0, 0]] * 4)
    weights = picture_weights(targets, 1.0)
    assert weights[6] / weights[0] == pytest.approx(8 / 2)
    assert weights[8] / weights[0] == pytest.approx(8 / 4)


@pytest.mark.deep
def test_an_epoch_draws_each_picture_its_share_of_times():
    torch = pytest.importorskip("torch")

    weights = picture_weights(TWO, 1.0)
    first = balance.drawn(weights, torch.Generator().manual_seed(1))
    assert torch.equal(first, balance.drawn(weights, torch.Generator().manual_seed(1)))
    assert not torch.equal(first, balance.drawn(weights, torch.Generator().manual_seed(2)))
    assert len(first) == 100
    times = np.bincount(first.numpy(), minlength=100)
    assert (times[90:] == 5).all()  # 100 draws, half of them for 10 pictures
    assert set(times[:90]) == {0, 1}
    assert abs(times[:90].sum() - 50) <= 1
    even = balance.drawn(np.ones(40, np.float32), torch.Generator().manual_seed(3))
    assert sorted(even.tolist()) == list(range(40))
    total = sum(np.bincount(balance.drawn(weights, torch.Generator().manual_seed(s)).numpy(), minlength=100) for s in range(60))
    assert np.abs(total[:90] / 60 - 50 / 90).max() < 0.3  # nobody is forgotten


def test_copies_top_every_class_up():
    labels = [("a",)] * 10 + [("b",)] * 4 + [("c",)]
    wished = copies(labels)
    counts = Counter()
    for own, number in zip(labels, wished, strict=True):
        counts[own[0]] += 1 + number
    assert counts == {"a": 10, "b": 10, "c": 10}
    assert sorted(wished[10:14]) == [1, 1, 2, 2]
    assert copies(labels) == wished
    assert sum(copies(labels, 6)) == 2 + 5
    assert copies(labels, 1) == [0] * 15
    assert copies([]) == []


def test_copies_of_pictures_with_several_labels():
    labels = [("a", "b")] * 6 + [("b",)] * 2 + [("c", "a")] * 1 + [("c",)]
    wished = copies(labels)
    assert wished[9] == 6  # c from 2 to 8 by its plainest picture, without more of a
    assert wished[8] == 0
    assert sum(wished[:8]) >= 1


@pytest.mark.deep
def test_drawing_rare_classes_more_often_lets_them_be_recognised(tmp_path):
    torch = pytest.importorskip("torch")
    from torch import nn

    from sightline.learn.augment import Augment
    from sightline.learn.loop import train_network
    from sightline.learn.network import Classifier
    from sightline.learn.plan import Plan, balanced
    from sightline.learn.step import TrainingData, logits_of

    colours = [(176, 96, 60), (150, 110, 70), (130, 124, 80)]  # near enough to be mistaken for each other

    def pictures(counts, first):
        images = [
            pixels(drawn(first + 1000 * number + index, (16, 16), colours[number]))
            for number, count in enumerate(counts)
            for index in range(count)
        ]
        return np.stack(images), np.repeat(np.arange(3), counts)

    data = TrainingData(*pictures((200, 10, 10), 0), *pictures((1, 1, 1), 50_000))
    data = replace(data, val_images=data.val_images[:0], val_targets=data.val_targets[:0])
    images, truth = pictures((60, 60, 60), 90_000)
    plan = Plan(size=16, epochs=12, batch=20, lr=0.01, threads=1, ema=0.8, precision="float32", augment=Augment(colour=0.0))

    def recall(how):
        torch.manual_seed(0)
        body = nn.Sequential(
            nn.Conv2d(3, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU()
        )
        model = Classifier(nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten()), 16, 3)
        train_network(model, data, balanced(plan, how), tmp_path / how)
        answers = logits_of(model, images).argmax(1)
        return float(np.mean([(answers[truth == number] == number).mean() for number in range(3)]))

    found = {how: recall(how) for how in ("none", "sampler", "sampler-full")}
    assert found["sampler-full"] > found["none"] + 0.1
    assert found["sampler"] > found["none"] + 0.05


def test_the_probes_weights_follow_the_wish():
    from sightline.learn.probe import picture_weights as probe_weights

    targets = TWO.astype(np.float32)
    assert np.allclose(probe_weights(targets, "multiclass", "none")[0], 1)
    assert not probe_weights(targets, "multiclass", "auto")[1]  # 9 to 1 is not yet much
    assert np.allclose(probe_weights(targets, "multiclass", "sampler-full")[0], picture_weights(TWO, 1.0))
    assert np.allclose(probe_weights(targets, "multiclass", "weights")[0], picture_weights(TWO, 0.5))
