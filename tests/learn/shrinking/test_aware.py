"""Trained on with rounding: a float model comes out that answers as it was trained, can be built again, knows its parent."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from parents import divided, kept, parent  # noqa: E402

from sightline.errors import UsageError  # noqa: E402
from sightline.learn import export  # noqa: E402
from sightline.learn.plan import SPEED, Plan  # noqa: E402
from sightline.learn.shrinking.aware import RATE, aware, plan_for  # noqa: E402
from sightline.learn.shrinking.network import rebuilt  # noqa: E402
from sightline.learn.step import logits_of  # noqa: E402
from sightline.measure.calibration import to_probabilities  # noqa: E402
from sightline.runtime.bundle import read_bundle  # noqa: E402

pytestmark = pytest.mark.deep


@pytest.mark.parametrize("backbone", [None, "speednet"])
def test_a_float_model_of_the_same_shape(tmp_path, backbone):
    photos = divided(tmp_path / "photos")
    big = parent(tmp_path / "big", photos, tmp_path / "run", backbone=backbone, flip=True)
    found = aware(big, photos, tmp_path / "again", epochs=2)
    recipe, card = found.recipe, read_bundle(big).card
    assert recipe.values["aware"] == 8
    assert recipe.values["parent"] == card.id
    assert (recipe.way, recipe.backbone) == (card.recipe.way, card.recipe.backbone)
    assert recipe.values["teacher"].endswith(card.id)
    assert len(found.history) == 2
    assert found.parity.agreement == 1
    assert b"QuantizeLinear" not in found.onnx
    child = rebuilt(kept(tmp_path / "small", photos, found))
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    mine = to_probabilities(logits_of(child.network, images), "multiclass", child.card.temperature)
    assert np.allclose(mine, export.answers(found.onnx, images)["probabilities"], atol=1e-4)
    if backbone == "speednet":
        assert child.network.backbone.network.mirrored


def test_it_goes_on_where_it_was(tmp_path):
    photos = divided(tmp_path / "photos")
    big = parent(tmp_path / "big", photos, tmp_path / "run")
    first = aware(big, photos, tmp_path / "again", epochs=1)
    assert aware(big, photos, tmp_path / "again", epochs=1).onnx == first.onnx
    with pytest.raises(UsageError, match="other values"):
        aware(big, photos, tmp_path / "again", epochs=2)


def test_the_plan_is_the_parents_at_a_low_rate(tmp_path):
    photos = divided(tmp_path / "photos")
    card = read_bundle(parent(tmp_path / "big", photos, tmp_path / "run")).card
    plan = plan_for(card)
    assert (plan.lr, plan.freeze_norm, plan.threads, plan.precision) == (RATE, True, 0, "auto")
    assert plan.augment.degrees == card.recipe.values["augment"]["degrees"]
    fast = card.model_copy(update={"recipe": card.recipe.model_copy(update={"values": SPEED.values()})})
    assert (plan_for(fast).optimiser, plan_for(fast).batch) == ("adamw", 64)
    bare = card.model_copy(update={"recipe": card.recipe.model_copy(update={"values": {}})})
    assert isinstance(plan_for(bare), Plan)
