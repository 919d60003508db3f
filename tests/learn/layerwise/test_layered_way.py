"""From drawn pictures to a model by --way dbn and --way autoencoder, with a denoiser in front; and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import sightline
from pictures import class_folders, drawn
from sightline.errors import UsageError
from sightline.learn.layerwise import autoencoder, dbn
from sightline.learn.layerwise.names import FILE, layered


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(dbn, "PATCHES", 1000)
    monkeypatch.setattr(dbn, "LOWEST", replace(dbn.LOWEST, epochs=3))
    monkeypatch.setattr(dbn, "HIGHER", replace(dbn.HIGHER, epochs=2))
    monkeypatch.setattr(autoencoder, "STEPS", 20)


@pytest.fixture
def photos(tmp_path):
    return class_folders(tmp_path / "photos", 16)


def test_dbn_learns_colours(photos, tmp_path):
    more = class_folders(tmp_path / "more", 4, ("grey",))
    made = sightline.train(photos, way="dbn", size="tiny", plan="epochs=8,batch=8", pretrain=str(more), out=tmp_path / "m")
    card = sightline.load(tmp_path / "m").card
    assert made.way == card.recipe.way == "dbn"
    assert made.scores["top1"].value > 0.6  # chance: 0.33
    assert card.recipe.backbone == "dbn-tiny"
    assert "without labels" in made.why
    assert card.parity is not None
    assert card.recipe.values["pretrained_on"] > 4
    assert sightline.predict([photos / "red" / "red-0.jpg"], model=tmp_path / "m")
    assert "lowest layer" in (tmp_path / "m" / "report.html").read_text()


def test_autoencoder_and_its_denoiser_in_front_of_another_network(photos, tmp_path):
    options = {"size": "tiny", "plan": "epochs=6,batch=8"}
    sightline.train(photos, way="autoencoder", input_size=32, out=tmp_path / "ae", **options)
    card = sightline.load(tmp_path / "ae").card
    assert card.recipe.way == "autoencoder"
    assert FILE in card.files
    assert {"psnr", "psnr_noisy"} <= set(card.recipe.values["denoising"])
    made = sightline.train(photos, way="scratch", input_size=32, denoiser=str(tmp_path / "ae"), out=tmp_path / "m", **options)
    behind = sightline.load(tmp_path / "m").card
    assert behind.recipe.values["denoiser"] == card.id
    assert behind.parity is not None
    assert made.scores["top1"].value > 0.4
    assert sightline.load(tmp_path / "m").predict(np.asarray(drawn(5))).labels


def test_a_model_without_a_denoiser_is_refused(photos, tmp_path):
    sightline.train(photos, way="classic", features="colour", classifier="bayes", out=tmp_path / "m")
    with pytest.raises(UsageError, match="holds no denoiser"):
        sightline.train(photos, way="scratch", denoiser=str(tmp_path / "m"), out=tmp_path / "n")


@pytest.mark.parametrize(
    ("way", "wishes", "said"),
    [
        ("probe", {"pretrain": "."}, "--pretrain"),
        ("dbn", {"pretrain": "nowhere"}, "names no folder"),
        ("classic", {"denoiser": "m"}, "--denoiser"),
        ("dbn", {"backbone": "resnet18"}, "network of its own"),
        ("autoencoder", {"input_size": 36}, "multiples of 8"),
    ],
)
def test_wishes_that_do_not_go_together(way, wishes, said):
    nothing = dict.fromkeys(("pretrain", "denoiser", "backbone", "input_size"))
    assert layered(way, **nothing) == {}
    with pytest.raises(UsageError, match=said):
        layered(way, **{**nothing, **wishes})
