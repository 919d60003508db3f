"""From a bundle to a smaller one: fewer multiply-adds, the same answers from file and torch, pruned again, stopped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("timm")
torch = pytest.importorskip("torch")

from parents import divided, kept, parent, plain, published  # noqa: E402

from bundles import tiny_bundle  # noqa: E402
from sightline.errors import DatasetError, StoppedError, UsageError  # noqa: E402
from sightline.learn import export  # noqa: E402
from sightline.learn.shrinking import pruning, rounds  # noqa: E402
from sightline.learn.shrinking.importance import measured  # noqa: E402
from sightline.learn.shrinking.network import rebuilt  # noqa: E402
from sightline.learn.shrinking.pruning import pruned  # noqa: E402
from sightline.learn.shrinking.tracing import traced  # noqa: E402
from sightline.learn.step import TrainingData, logits_of  # noqa: E402
from sightline.measure.calibration import to_probabilities  # noqa: E402
from sightline.runtime.bundle import read_bundle  # noqa: E402
from sightline.settings import settings  # noqa: E402

pytestmark = pytest.mark.deep


def same_answers(path: Path) -> bool:
    """Whether torch, built again from the bundle, answers like the file."""
    found = rebuilt(path)
    size = found.card.input.size
    images = np.random.default_rng(0).integers(0, 256, (6, size, size, 3), dtype=np.uint8)
    mine = to_probabilities(logits_of(found.network, images), found.card.task, found.card.temperature)
    return bool(np.allclose(mine, export.answers(found.bundle.onnx, images)["probabilities"], atol=1e-4))


def test_pruned_twice(tmp_path):
    big, photos = plain(tmp_path)
    before = traced(rebuilt(big).network, 32).multiply_adds()
    trained = pruned(big, photos, 0.5, tmp_path / "half", epochs=2)
    half = kept(tmp_path / "m", photos, trained)
    assert same_answers(half)
    assert 0.3 * before < traced(rebuilt(half).network, 32).multiply_adds() <= 0.5 * before
    assert len(trained.onnx) < 0.8 * len(read_bundle(big).onnx)
    recipe = trained.recipe
    assert recipe.way == "scratch"
    assert recipe.backbone == "sightline-tiny"
    assert recipe.values["parent"] == read_bundle(big).card.id
    assert recipe.values["multiply_adds"] == [before, traced(rebuilt(half).network, 32).multiply_adds()]
    assert "pruned to" in recipe.why
    assert trained.parity.agreement == 1
    again = kept(tmp_path / "m2", photos, pruned(half, photos, 0.5, tmp_path / "quarter", epochs=1))
    assert same_answers(again)
    assert traced(rebuilt(again).network, 32).multiply_adds() <= 0.25 * before


@pytest.mark.parametrize(("name", "share"), [("resnet18", 0.4), ("mobilenetv2_050", 0.5)])
def test_of_pretrained_weights(tmp_path, monkeypatch, name, share):
    published(tmp_path / "weights", name)
    monkeypatch.setenv("SIGHTLINE_WEIGHTS", str(tmp_path / "weights"))
    settings.cache_clear()
    photos = divided(tmp_path / "photos")
    big = parent(tmp_path / "big", photos, tmp_path / "run", way="probe", backbone=name, input_size=32)
    monkeypatch.delenv("SIGHTLINE_WEIGHTS")
    settings.cache_clear()
    trained = pruned(big, photos, share, tmp_path / "pruning", epochs=1)
    before, after = trained.recipe.values["multiply_adds"]
    assert after <= share * before
    assert trained.recipe.way == "fine-tune"
    assert same_answers(kept(tmp_path / "m", photos, trained))


def test_blocks_that_matter_least_go(tmp_path, monkeypatch):
    """Importance says so here: a block that is worth nothing goes first, and the bundle remembers it."""
    photos = divided(tmp_path / "photos")
    big = parent(tmp_path / "big", photos, tmp_path / "run", backbone="resnet8")

    def fake(network, channels, *rest):
        found = measured(network, channels, *rest)
        return type(found)(found.channels, dict.fromkeys(found.blocks, 1e9) | {"backbone.network.blocks.0": 0.0})

    monkeypatch.setattr("sightline.learn.shrinking.importance.measured", fake)
    trained = pruned(big, photos, 0.7, tmp_path / "pruning", epochs=1)
    assert trained.recipe.values["pruned"]["blocks"] == ["backbone.network.blocks.0"]
    assert "without one of its blocks" in trained.recipe.why
    small = kept(tmp_path / "m", photos, trained)
    assert isinstance(rebuilt(small).network.get_submodule("backbone.network.blocks.0"), torch.nn.Identity)
    assert same_answers(small)


def test_a_stopped_pruning_goes_on(tmp_path, monkeypatch):
    big, photos = plain(tmp_path)
    whole = pruned(big, photos, 0.5, tmp_path / "whole", epochs=2)

    def stopped(*args, **kwargs):
        raise StoppedError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(pruning.student, "trained", stopped)
        with pytest.raises(StoppedError):
            pruned(big, photos, 0.5, tmp_path / "stopped", epochs=2)
    monkeypatch.setattr("sightline.learn.shrinking.importance.measured", stopped)  # nothing is judged a second time
    assert pruned(big, photos, 0.5, tmp_path / "stopped", epochs=2).onnx == whole.onnx
    with pytest.raises(UsageError, match="other values"):
        pruned(big, photos, 0.4, tmp_path / "stopped", epochs=2)


def test_what_cannot_be(tmp_path):
    big, photos = plain(tmp_path)
    for share in (0, 1, -0.5, 2):
        with pytest.raises(UsageError, match="between 0 and 1"):
            pruned(big, photos, share, tmp_path / "no")
    with pytest.raises(UsageError, match=r"the smallest possible share is 0\.0") as caught:
        pruned(big, photos, 0.001, tmp_path / "no")
    smallest = caught.value.detail["smallest"]
    assert f"give {smallest:.3g} or more" in caught.value.hint
    with pytest.raises(UsageError, match="cannot be trained on"):
        pruned(tiny_bundle(tmp_path / "foreign"), photos, 0.5, tmp_path / "no")
    with pytest.raises(DatasetError, match="does not know the class yellow"):
        pruned(big, divided(tmp_path / "more", "red", "green", "blue", "yellow"), 0.5, tmp_path / "no")
    assert not (tmp_path / "no").exists(), "nothing begun"


def test_minutes_are_shared_between_rounds_and_the_rest(tmp_path):
    big, photos = plain(tmp_path)
    pruned(big, photos, 0.5, tmp_path / "pruning", minutes=0.2)
    course = json.loads((tmp_path / "pruning" / "course.json").read_text())
    assert 1 <= course["rounds"] <= rounds.ROUNDS
    assert 0.2 * (1 - rounds.TIME) <= course["minutes"] <= 0.2


def test_importance_is_the_change_of_the_loss(tmp_path):
    """A channel that nobody listens to matters nothing; the estimate ranks the others like leaving each of them out does."""
    found = rebuilt(plain(tmp_path)[0])
    from sightline.learn.augment import NONE
    from sightline.learn.losses import loss_of
    from sightline.learn.plan import Plan

    draws = np.random.default_rng(0)
    images = draws.integers(0, 256, (24, 32, 32, 3), dtype=np.uint8)
    truth = draws.integers(0, 3, 24)
    data = TrainingData(images, truth, images[:0], truth[:0])
    plan = Plan(size=32, epochs=1, batch=24, lr=0.1, label_smoothing=0.0, augment=NONE)
    network = found.network
    with torch.no_grad():
        network.head.weight[:, 5] = 0
    channels = traced(network, 32)
    scores = measured(network, channels, data, plan).channels
    numbers = channels.ins["head"]
    assert scores[numbers[5]] == 0 or len(channels.outs) > 1  # it may also go into another layer

    x, soft = network.normalise(torch.from_numpy(images)), torch.nn.functional.one_hot(torch.from_numpy(truth), 3).float()

    def loss() -> float:
        with torch.no_grad():
            return float(loss_of(network(x), soft, False))

    usual, changes = loss(), []
    inner = channels.outs["backbone.6.conv1"]
    layer = network.get_submodule("backbone.6.conv2")
    for place in range(len(inner)):
        before = layer.weight.detach().clone()
        with torch.no_grad():
            layer.weight[:, place] = 0
            changes.append((loss() - usual) ** 2)
            layer.weight.copy_(before)
    ranks = [np.argsort(np.argsort(values)) for values in (scores[inner], np.array(changes))]
    assert np.corrcoef(*ranks)[0, 1] > 0.8
