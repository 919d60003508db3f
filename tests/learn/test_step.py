"""One step in several parts, with other losses, compiled: what stays the same and what is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from sightline.errors import UsageError  # noqa: E402
from sightline.learn import loop, step  # noqa: E402
from sightline.learn.augment import Augment  # noqa: E402
from sightline.learn.checkpoint import digest  # noqa: E402
from sightline.learn.loop import train_network  # noqa: E402
from sightline.learn.network import Classifier  # noqa: E402
from sightline.learn.plan import Plan  # noqa: E402
from sightline.learn.step import TrainingData, assemble, compiles, train_step  # noqa: E402

pytestmark = pytest.mark.deep
PLAN = Plan(size=12, epochs=3, batch=12, lr=0.01, precision="float32", threads=1, augment=Augment(mixup=0.2, cutmix=0.5))


def network(norm=False, classes=3):
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8) if norm else nn.GroupNorm(2, 8), nn.ReLU(), nn.Flatten()]
    return Classifier(nn.Sequential(*layers), 8 * 36, classes)


def material(multilabel=False):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [24, 8, 4])
    images = (rng.integers(0, 120, (36, 12, 12, 3)) + 60 * labels[:, None, None, None]).astype(np.uint8)
    targets = np.stack([labels == 0, labels > 0, labels == 2], 1).astype(np.float32) if multilabel else labels
    return TrainingData(images, targets, images[::3], targets[::3])


@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("loss", ["cross-entropy", "focal"])
@pytest.mark.parametrize("accumulate", [3, 5, 100])
def test_a_step_in_parts_is_the_step_of_the_whole_batch(multilabel, loss, accumulate):
    moved, said = [], []
    for parts_count in (1, accumulate):
        plan = replace(PLAN, optimiser="sgd", accumulate=parts_count, loss=loss)
        parts = assemble(network(), material(multilabel), plan, torch.device("cpu"))
        assert parts.held.weights is not None, "classes differ enough to be weighed"
        said.append(train_step(parts, torch.arange(12) * 3, 5, 100))
        moved.append(torch.cat([weights.detach().flatten() for weights in parts.model.parameters()]))
    assert torch.allclose(*moved, atol=1e-6)
    assert said[0] == pytest.approx(said[1], rel=1e-4)
    assert not torch.equal(moved[1], torch.cat([weights.flatten() for weights in network().parameters()]))


class Killed(BaseException):
    """Stands for a process that ends without a word."""


@pytest.mark.parametrize(
    "plan",
    [
        replace(PLAN, accumulate=3, optimiser="sgd", schedule="one-cycle", loss="focal"),
        replace(PLAN, accumulate=2, schedule="one-cycle"),
        replace(PLAN, schedule="step", dropout=0.5),
    ],
    ids=["sgd in parts", "adamw in parts", "dropout"],
)
def test_killed_it_ends_with_identical_weights_under_every_value(plan, tmp_path, monkeypatch):
    model = network(norm=True)
    train_network(model, material(), plan, tmp_path / "whole")
    done = [0]

    def dying(*arguments):
        if done[0] == 5:
            raise Killed
        done[0] += 1
        return step.train_step(*arguments)

    monkeypatch.setattr(loop, "train_step", dying)
    with pytest.raises(Killed):
        train_network(network(norm=True), material(), plan, tmp_path / "killed")
    monkeypatch.undo()
    other = network(norm=True)
    assert train_network(other, material(), plan, tmp_path / "killed").resumed_from == 3
    assert digest(other.state_dict()) == digest(model.state_dict())


def test_a_part_that_is_no_number_changes_no_weight(monkeypatch):
    parts = assemble(network(), material(), replace(PLAN, accumulate=3), torch.device("cpu"))
    before, calls, real = digest(parts.model.state_dict()), [0], step.loss_of

    def poisoned(*arguments, **named):
        calls[0] += 1
        return real(*arguments, **named) * (float("nan") if calls[0] == 2 else 1)

    monkeypatch.setattr(step, "loss_of", poisoned)
    loss, _ = train_step(parts, torch.arange(12), 0, 10)
    assert np.isnan(loss)
    assert calls == [2]
    assert digest(parts.model.state_dict()) == before


def test_what_goes_through_the_compiler(monkeypatch):
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    assert [compiles(replace(PLAN, compile=how), cpu) for how in ("off", "auto", "on")] == [False, False, True]
    assert [compiles(replace(PLAN, compile=how), gpu) for how in ("off", "auto", "on")] == [False, True, True]
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not compiles(replace(PLAN, compile="auto"), gpu)
    with pytest.raises(UsageError, match="C compiler"):
        compiles(replace(PLAN, compile="on"), cpu)
