"""Weights that are zero stay zero through training, file and another reading; the download shrinks, the file does not."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("timm")
torch = pytest.importorskip("torch")

from parents import kept, plain  # noqa: E402

from bundles import tiny_bundle  # noqa: E402
from sightline.errors import UsageError  # noqa: E402
from sightline.learn import export  # noqa: E402
from sightline.learn.muon import Muon  # noqa: E402
from sightline.learn.shrinking.network import rebuilt  # noqa: E402
from sightline.learn.shrinking.sparse import held, sparse, thinned, zero_share  # noqa: E402
from sightline.learn.step import logits_of  # noqa: E402
from sightline.measure.calibration import to_probabilities  # noqa: E402
from sightline.runtime.bundle import read_bundle  # noqa: E402

pytestmark = pytest.mark.deep


def test_zeros_stay(tmp_path):
    big, photos = plain(tmp_path)
    trained = sparse(big, photos, 0.8, tmp_path / "run", epochs=2)
    path = kept(tmp_path / "m", photos, trained)
    found = rebuilt(path)
    for name, weight in thinned(found.network).items():
        assert float((weight == 0).float().mean()) == pytest.approx(0.8, abs=0.01), name
    said = trained.recipe.values["sparse"]
    assert said["zeros"] == pytest.approx(zero_share(found.network), abs=1e-4)
    before, after = said["compressed"]
    assert after < 0.45 * before
    assert len(trained.onnx) == pytest.approx(len(read_bundle(big).onnx), rel=0.02), "zeros are stored like other numbers"
    assert trained.recipe.way == "scratch"
    assert "weights zero" in trained.recipe.why
    images = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    mine = to_probabilities(logits_of(found.network, images), "multiclass", found.card.temperature)
    assert np.allclose(mine, export.answers(trained.onnx, images)["probabilities"], atol=1e-4)


def test_the_first_layer_and_the_head_keep_their_weights(tmp_path):
    network = rebuilt(plain(tmp_path)[0]).network
    names = set(thinned(network))
    assert "head.weight" not in names
    assert "backbone.0.weight" not in names
    assert "backbone.3.conv1.weight" in names


@pytest.mark.parametrize("rule", ["sgd", "muon"])
def test_zeros_stay_whatever_the_optimiser_does_and_move_afterwards(tmp_path, rule):
    network = rebuilt(plain(tmp_path)[0]).network
    weight = network.get_submodule("backbone.3.conv1").weight
    if rule == "muon":
        group = {"params": [weight], "kernels": True}
        optimiser = Muon([group], lr=0.1, momentum=0.6)
    else:
        optimiser = torch.optim.SGD([weight], lr=0.1, momentum=0.9, weight_decay=0.01)

    def step() -> None:
        optimiser.zero_grad()
        network(torch.rand(2, 3, 32, 32)).square().sum().backward()
        optimiser.step()

    step()  # momentum is there before the zeros are
    with torch.no_grad():
        weight[:, 0] = 0
    others = weight[:, 1:].clone()
    with held(network):
        step()
        step()
        assert bool((weight[:, 0] == 0).all())
        assert not torch.equal(weight[:, 1:], others)
    step()
    assert bool(weight[:, 0].any())


def test_what_cannot_be(tmp_path):
    big, photos = plain(tmp_path)
    for share in (0, 1, 1.5):
        with pytest.raises(UsageError, match="between 0 and 1"):
            sparse(big, photos, share, tmp_path / "no")
    with pytest.raises(UsageError, match="cannot be trained on"):
        sparse(tiny_bundle(tmp_path / "foreign"), photos, 0.5, tmp_path / "no")
