"""A bundle's network again: it answers like model.onnx, whatever it is made of; what has none is refused, with a next step."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("timm")
torch = pytest.importorskip("torch")

from parents import divided, parent, plain, published  # noqa: E402

from bundles import tiny_bundle, tiny_card  # noqa: E402
from sightline.errors import BundleError, ModelNotFoundError, UsageError  # noqa: E402
from sightline.learn import export  # noqa: E402
from sightline.learn.shrinking.network import Rebuilt, narrow, rebuilt, remove  # noqa: E402
from sightline.learn.step import logits_of  # noqa: E402
from sightline.measure.calibration import to_probabilities  # noqa: E402
from sightline.settings import settings  # noqa: E402

pytestmark = pytest.mark.deep


def difference(found: Rebuilt) -> float:
    """The largest difference between torch's and the file's probabilities, on noise."""
    size = found.card.input.size
    images = np.random.default_rng(0).integers(0, 256, (6, size, size, 3), dtype=np.uint8)
    mine = to_probabilities(logits_of(found.network, images), found.card.task, found.card.temperature)
    return float(np.abs(mine - export.answers(found.bundle.onnx, images)["probabilities"]).max())


@pytest.mark.parametrize(
    ("backbone", "wishes"),
    [
        (None, {}),
        ("resnet8", {}),
        ("speednet", {"flip": True}),
        ("mobilenet_v2:0.1", {}),
        ("cell:r32-w8-1c3-1r3s-1i3x2", {}),
        (None, {"way": "dbn", "input_size": None}),
        pytest.param(None, {"way": "autoencoder"}, marks=pytest.mark.slow),
    ],
)
def test_from_scratch(tmp_path, backbone, wishes):
    found = rebuilt(parent(tmp_path / "m", divided(tmp_path / "photos"), tmp_path / "run", backbone=backbone, **wishes))
    assert difference(found) < 1e-4
    assert not found.network.training
    assert found.facts == {}
    assert found.width == found.network.head.in_features


@pytest.mark.parametrize("way", ["probe", "fine-tune"])
def test_of_pretrained_weights(tmp_path, monkeypatch, way):
    """The weights that it began with are not needed any more, but what their file said of the build is."""
    published(tmp_path / "weights", "test_efficientnet")
    monkeypatch.setenv("SIGHTLINE_WEIGHTS", str(tmp_path / "weights"))
    settings.cache_clear()
    path = parent(
        tmp_path / "m", divided(tmp_path / "photos"), tmp_path / "run", way=way, backbone="test_efficientnet", input_size=64
    )
    shutil.rmtree(tmp_path / "weights")
    monkeypatch.delenv("SIGHTLINE_WEIGHTS")
    settings.cache_clear()
    assert difference(rebuilt(path)) < 1e-4


def test_from_a_zip(tmp_path):
    path = plain(tmp_path)[0]
    archive = Path(shutil.make_archive(str(tmp_path / "zipped"), "zip", path))
    before, after = rebuilt(path).network.state_dict(), rebuilt(archive).network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_building_leaves_the_random_numbers_alone(tmp_path):
    path = plain(tmp_path)[0]
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    rebuilt(path)
    assert torch.equal(torch.rand(3), wanted)


def test_what_has_no_network_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"cannot be trained on: it has no weights\.safetensors") as caught:
        rebuilt(tiny_bundle(tmp_path / "foreign"))
    assert "--way fine-tune" in caught.value.hint
    classic = tiny_card().recipe.model_copy(update={"way": "classic"})
    with pytest.raises(UsageError, match="a classic recogniser"):
        rebuilt(tiny_bundle(tmp_path / "classic", recipe=classic))
    with pytest.raises(UsageError, match="for detection"):
        rebuilt(tiny_bundle(tmp_path / "detector", task="detection"))
    with pytest.raises(ModelNotFoundError):
        rebuilt(tmp_path / "nothing")


def test_damage_is_noticed(tmp_path):
    path = plain(tmp_path)[0]
    content = (path / "weights.safetensors").read_bytes()
    (path / "weights.safetensors").write_bytes(content[:-4] + b"\0\0\1\0")
    with pytest.raises(BundleError, match=r"corrupt: weights\.safetensors does not match"):
        rebuilt(path)
    (path / "weights.safetensors").unlink()
    with pytest.raises(BundleError, match=r"lacks weights\.safetensors"):
        rebuilt(path)


@pytest.mark.parametrize("said", [b"not weights", b"\x02\0\0\0\0\0\0\0{}", b"\xff\xff\xff\xff\xff\xff\xff\x7f{}", b""])
def test_weights_that_are_none(tmp_path, said):
    import hashlib

    path = plain(tmp_path)[0]
    card = json.loads((path / "card.json").read_text())
    card["files"]["weights.safetensors"] = hashlib.sha256(said).hexdigest()
    (path / "card.json").write_text(json.dumps(card))
    (path / "weights.safetensors").write_bytes(said)
    with pytest.raises(BundleError, match="does not fit its network"):
        rebuilt(path)


def test_narrower_layers_are_read_again(tmp_path):
    found = rebuilt(plain(tmp_path)[0])
    state = found.network.state_dict()
    inner = ("backbone.3.conv1", "backbone.3.bn1")
    small = {name: tensor[:8] if name.startswith(inner) and tensor.ndim else tensor for name, tensor in state.items()}
    small["backbone.3.conv2.weight"] = state["backbone.3.conv2.weight"][:, :8]
    narrow(found.network, small)
    found.network.load_state_dict(small)
    assert found.network.get_submodule("backbone.3.conv1").out_channels == 8
    assert found.network(torch.zeros(1, 3, 32, 32)).shape == (1, 3)
    with pytest.raises(ValueError, match="has the shape"):
        narrow(found.network, state)


def test_a_removed_block_passes_on_what_comes_in(tmp_path):
    network = rebuilt(plain(tmp_path)[0]).network
    block = network.get_submodule("backbone.3")
    remove(network, "backbone.3")
    x = torch.rand(1, 32, 4, 4)
    assert torch.equal(network.get_submodule("backbone.3")(x), x)
    assert not torch.equal(block(x), x)
    with pytest.raises(AttributeError):
        remove(network, "backbone.99")
