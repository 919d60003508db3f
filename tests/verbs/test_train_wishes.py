"""train with --prepare, --fit, --augment and --balance: kept in the model, done by every road, refused if wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pictures import class_folders
from sightline import progress
from sightline.errors import DataError, UsageError
from sightline.learn import plan as plans
from sightline.runtime.bundle import read_bundle
from sightline.runtime.guard import Guard
from sightline.runtime.model import load
from sightline.runtime.pixels import prepare, read_picture
from sightline.settings import settings
from sightline.types import InputSpec
from sightline.verbs.train import train

pytestmark = pytest.mark.deep
NETWORK = "test_resnet"


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timm, torch = pytest.importorskip("timm"), pytest.importorskip("torch")
    from safetensors.torch import save_file

    (tmp_path / "weights").mkdir()
    torch.manual_seed(0)
    save_file(timm.create_model(NETWORK).state_dict(), tmp_path / "weights" / f"{NETWORK}.safetensors")
    monkeypatch.setenv("SIGHTLINE_WEIGHTS", str(tmp_path / "weights"))
    settings.cache_clear()


def test_preparing_belongs_to_the_model(weights: None, tmp_path: Path) -> None:
    photos = class_folders(tmp_path / "photos", per_class=10)
    train(photos, out=tmp_path / "model", way="probe", prepare="white-balance,Sharpen:0.50,denoise", fit="squash")
    bundle = read_bundle(tmp_path / "model")
    spec = bundle.card.input
    assert spec.steps == ("white-balance", "sharpen", "denoise")
    assert spec.fit == "squash"
    assert bundle.card.recipe.values["prepare"] == ["white-balance", "sharpen", "denoise"]
    assert bundle.card.parity is not None
    assert bundle.card.parity.agreement == 1
    model = load(tmp_path / "model")
    data = read_picture(photos / "red" / "red-0.jpg")
    with Guard() as guard:
        served = guard.prepare(data, spec)
    assert np.array_equal(served, prepare(data, spec))
    assert not np.array_equal(served, prepare(data, spec.model_copy(update={"steps": ()})))
    here = model.predict(data).labels[0].score
    assert here == pytest.approx(float(model.answer(served[None]).probabilities.max()), abs=1e-6)
    session = model._session.get_modelmeta().custom_metadata_map
    assert InputSpec.model_validate(json.loads(session["sightline.input"])) == spec, "the file alone says it too"


def test_the_head_says_that_changes_do_not_touch_it_and_weighs_classes(weights: None, tmp_path: Path) -> None:
    photos = class_folders(tmp_path / "photos", per_class=10)
    notes: list[str] = []
    with progress.listen(lambda event: notes.append(event.note)):
        train(photos, out=tmp_path / "model", way="probe", augment="medium", balance="sampler-full")
    assert any("--augment has no effect" in note for note in notes)
    values = read_bundle(tmp_path / "model").card.recipe.values
    assert values["balancing"] == "sampler-full"
    assert values["balanced"]
    assert "changes" not in values


def test_every_value_of_the_changes_is_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "SCRATCH", replace(plans.SCRATCH, epochs=1, batch=16, threads=1))
    photos = class_folders(tmp_path / "photos", per_class=10, classes=("turn left", "turn right"))
    train(photos, out=tmp_path / "model", way="scratch", size="tiny", augment="light,blur,mixup:0.3", balance="sampler")
    values = read_bundle(tmp_path / "model").card.recipe.values
    assert values["changes"] == "light,blur,mixup:0.3"
    assert values["augment"]["degrees"] == 5
    assert values["augment"]["mixup"] == 0.3
    assert values["augment"]["each"] == ["blur:0.005"]
    assert values["augment"]["flip"] is False, "left is not right"
    assert (values["sampling"], values["balance"], values["balancing"]) == (0.5, 0.0, "sampler")


@pytest.mark.parametrize(
    ("wish", "message", "hint"),
    [
        ({"prepare": "denoize"}, "unknown step 'denoize'", "denoise"),
        ({"augment": "medum"}, "unknown change", "medium"),
        ({"augment": "rotate:1000"}, "from 0 to 180", "rotate:15"),
        ({"plan": "epoch=3"}, "no value .epoch.", "epochs"),
        ({"plan": "lr=-1"}, "lr must be a number above 0", "learning rate"),
        ({"plan": "lr=1", "way": "classic"}, "--plan is for networks", "leave out --plan"),
    ],
)
def test_impossible_wishes_are_refused_before_anything_is_read(tmp_path: Path, wish: dict, message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        train(tmp_path / "nowhere", **wish)
    assert hint in caught.value.hint


def test_values_of_the_plan_reach_the_training_and_stand_in_the_recipe(tmp_path: Path) -> None:
    photos = class_folders(tmp_path / "photos", per_class=8)
    train(photos, out=tmp_path / "model", way="scratch", size="tiny", plan="lr=0.003,epochs=1,batch=8,ema=0.9")
    values = read_bundle(tmp_path / "model").card.recipe.values
    assert values["plan"] == "batch=8,ema=0.9,epochs=1,lr=0.003"
    assert (values["lr"], values["epochs"], values["batch"], values["ema"]) == (0.003, 1, 8, 0.9)


def test_a_training_that_breaks_down_leaves_its_best_weights_as_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sightline.learn import step

    real, calls = step.loss_of, [0]

    def poisoned(*arguments, **named):
        calls[0] += 1
        return real(*arguments, **named) * (float("nan") if calls[0] == 7 else 1)  # 2 steps and a validation an epoch

    monkeypatch.setattr(step, "loss_of", poisoned)
    monkeypatch.setattr(plans, "SCRATCH", replace(plans.SCRATCH, threads=1))
    photos = class_folders(tmp_path / "photos", per_class=10)
    with pytest.raises(DataError, match="not a number in epoch 3") as caught:
        train(photos, out=tmp_path / "model", way="scratch", size="tiny", plan="epochs=4,batch=12")
    assert f"the best weights until then are the model in {tmp_path / 'model'}" in caught.value.message
    assert "--plan lr=0.001" in caught.value.hint
    card = read_bundle(tmp_path / "model").card
    assert card.recipe.values["best_epoch"] in (1, 2)
    assert card.parity is not None
    assert card.parity.agreement == 1
    assert load(tmp_path / "model").predict(photos / "red" / "red-0.jpg").labels


def test_a_rate_that_is_far_too_high_is_refused_with_what_to_try(tmp_path: Path) -> None:
    photos = class_folders(tmp_path / "photos", per_class=8)
    with pytest.raises(DataError, match="training broke down: the loss is not a number in epoch") as caught:
        train(photos, way="scratch", size="tiny", plan="lr=1e30,epochs=4,batch=8,clip=0")
    assert "--plan lr=1e+29" in caught.value.hint
