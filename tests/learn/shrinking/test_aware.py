"""Trained on with rounding: a float model comes out that answers as it was trained, can be built again, knows its parent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from parents import divided, kept, parent  # noqa: E402

from bundles import tiny_card  # noqa: E402
from sightline.errors import UsageError  # noqa: E402
from sightline.learn import export  # noqa: E402
from sightline.learn.network import Classifier  # noqa: E402
from sightline.learn.plan import FINE_TUNE, SCRATCH, SPEED  # noqa: E402
from sightline.learn.shrinking.aware import RATE, _mirror, _released, aware, plan_for  # noqa: E402
from sightline.learn.shrinking.fake import Aware  # noqa: E402
from sightline.learn.shrinking.network import rebuilt  # noqa: E402
from sightline.learn.step import logits_of  # noqa: E402
from sightline.learn.zoo.networks import from_scratch  # noqa: E402
from sightline.measure.calibration import to_probabilities  # noqa: E402
from sightline.runtime.bundle import read_bundle  # noqa: E402

pytestmark = pytest.mark.deep


def test_a_float_model_of_the_same_shape(tmp_path):
    photos = divided(tmp_path / "photos")
    big = parent(tmp_path / "big", photos, tmp_path / "run")
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
    # the same call goes on where it was: here at the end
    assert aware(big, photos, tmp_path / "again", epochs=2).onnx == found.onnx
    with pytest.raises(UsageError, match="other values"):
        aware(big, photos, tmp_path / "again", epochs=3)


def test_what_answers_for_mirror_images_does_so_again():
    """It would take other steps when it learns than when it answers, which cannot be watched."""
    body, width = from_scratch("speednet", 32)
    plain = Classifier(body, width, 3).eval()
    plain.backbone.network.mirrored = True
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    with torch.no_grad():
        before = plain(plain.normalise(images))
    with pytest.raises(UsageError, match="other steps"):
        Aware(plain, 32)
    mirrors = _mirror(plain, False)
    back = _released(Aware(plain, 32), mirrors)
    with torch.no_grad():
        assert torch.equal(back(back.normalise(images)), before)


def test_the_plan_is_the_parents_at_a_low_rate():
    def card(way, values):
        return tiny_card(recipe=tiny_card().recipe.model_copy(update={"way": way, "values": values}))

    asked = replace(SCRATCH, threads=3, precision="float32", distill=0.5, augment=replace(SCRATCH.augment, degrees=33))
    plan = plan_for(card("scratch", {**asked.values(), "input_size": 64, "teacher": "big 1"}))
    assert (plan.lr, plan.freeze_norm, plan.threads, plan.precision, plan.distill) == (RATE, True, 0, "auto", 0)
    assert plan.augment.degrees == 33
    fast = plan_for(card("scratch", SPEED.values()))
    assert (fast.optimiser, fast.batch) == ("adamw", 64)
    assert plan_for(card("probe", {"features": 5})).augment == FINE_TUNE.augment
    assert plan_for(card("scratch", {})).augment == SCRATCH.augment
