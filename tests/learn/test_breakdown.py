"""A loss that is no longer a number: training stops, the best weights so far are kept, and it is said what to try."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sightline.errors import DataError, UsageError

pytestmark = pytest.mark.deep
torch = pytest.importorskip("torch")

from sightline.learn import checkpoint, loop  # noqa: E402 (they need torch)
from sightline.learn.augment import NONE  # noqa: E402
from sightline.learn.loop import train_network  # noqa: E402
from sightline.learn.network import Classifier  # noqa: E402
from sightline.learn.plan import Plan  # noqa: E402
from sightline.learn.step import TrainingData  # noqa: E402


class Breaking(torch.nn.Module):
    """Features that are numbers for so many training steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.left = steps
        self.scale = torch.nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.scale(x.mean((2, 3)))
        if self.training:
            self.left -= 1
            return found if self.left >= 0 else found * float("nan")
        return found


PLAN = Plan(size=8, epochs=4, batch=4, lr=1e-2, augment=NONE, precision="float32", threads=1)


def material() -> TrainingData:
    images = np.zeros((8, 8, 8, 3), np.uint8)
    images[4:] = 200
    labels = np.repeat([0, 1], 4)
    return TrainingData(images, labels, images, labels)


def test_the_best_weights_are_kept_in_the_run_and_in_the_model(tmp_path: Path):
    model = Classifier(Breaking(steps=5), 3, 2)  # two steps an epoch: it breaks in the third
    with pytest.raises(DataError, match=r"not a number in epoch 3, step 6; the weights of epoch [12] are kept in") as caught:
        train_network(model, material(), PLAN, tmp_path)
    assert "--way probe" in caught.value.hint
    assert "--plan lr=0.001" in caught.value.hint
    assert caught.value.detail["best_epoch"] in (1, 2)
    salvaged = loop.kept_so_far(tmp_path)
    assert (len(salvaged.history), salvaged.best_epoch) == (2, caught.value.detail["best_epoch"])
    kept = checkpoint.load(tmp_path)
    assert kept is not None
    for name, tensor in model.state_dict().items():
        assert torch.isfinite(tensor).all(), name
        assert torch.equal(kept.tensors[f"best.{name}"], tensor), name


def test_before_the_first_epoch_ends_nothing_is_promised(tmp_path: Path):
    model = Classifier(Breaking(steps=0), 3, 2)
    with pytest.raises(DataError, match="epoch 1, step 1; no epoch was completed"):
        train_network(model, material(), PLAN, tmp_path)
    assert all(torch.isfinite(tensor).all() for tensor in model.state_dict().values())


def test_answers_that_are_no_numbers_are_never_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = iter([(0.5, 0.5), (float("nan"), 1.0)])
    monkeypatch.setattr(loop, "validate", lambda parts: next(found))
    with pytest.raises(DataError, match=r"not a number in epoch 2, .*the weights of epoch 1 are kept"):
        train_network(Classifier(Breaking(steps=99), 3, 2), material(), PLAN, tmp_path)


def test_a_time_that_no_epoch_fits_into_is_refused_and_a_tight_one_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loop, "epoch_seconds", lambda *_: 120.0)
    with pytest.raises(
        UsageError, match=r"no epoch fits into the time: one takes about 2 minutes, and 0.01 are there"
    ) as caught:
        train_network(Classifier(Breaking(steps=99), 3, 2), material(), PLAN, tmp_path, minutes=0.01)
    assert "--minutes 10 or more" in caught.value.hint
    assert not (tmp_path / "plan.json").exists()
    trained = train_network(Classifier(Breaking(steps=99), 3, 2), material(), PLAN, tmp_path, minutes=1.0)
    assert trained.plan.epochs == 1
