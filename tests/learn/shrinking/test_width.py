"""Students: really narrower or for smaller pictures, with their parent's channels; impossible wishes are refused."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from parents import divided, kept, parent, published  # noqa: E402

from bundles import tiny_bundle  # noqa: E402
from sightline.errors import DatasetError, UsageError  # noqa: E402
from sightline.learn import export  # noqa: E402
from sightline.learn.network import Classifier  # noqa: E402
from sightline.learn.plan import FINE_TUNE  # noqa: E402
from sightline.learn.shrinking.network import rebuilt  # noqa: E402
from sightline.learn.shrinking.width import RATE, multiply_adds, narrow, narrower, plan_for, takes  # noqa: E402
from sightline.learn.step import logits_of  # noqa: E402
from sightline.learn.zoo.networks import from_scratch  # noqa: E402
from sightline.measure.calibration import to_probabilities  # noqa: E402
from sightline.runtime.bundle import read_bundle  # noqa: E402
from sightline.settings import settings  # noqa: E402

pytestmark = pytest.mark.deep


def answers_alike(bundle) -> bool:
    found = rebuilt(bundle)
    size = found.card.input.size
    images = np.random.default_rng(0).integers(0, 256, (4, size, size, 3), dtype=np.uint8)
    mine = to_probabilities(logits_of(found.network, images), found.card.task, found.card.temperature)
    return np.allclose(mine, export.answers(found.bundle.onnx, images)["probabilities"], atol=1e-4)


def test_narrower_and_narrower_again(tmp_path):
    photos = divided(tmp_path / "photos")
    big = parent(tmp_path / "big", photos, tmp_path / "run")
    found = narrower(big, photos, tmp_path / "half", width=0.5, epochs=1)
    values = found.recipe.values
    assert (values["width"], values["inherited"], values["parent"]) == (0.5, True, read_bundle(big).card.id)
    before, after = values["multiply_adds"]
    assert 0.2 < after / before < 0.35
    assert values["distill"] > 0
    assert "0.5 times as wide" in found.recipe.why
    assert found.parity.agreement == 1
    small = kept(tmp_path / "small", photos, found)
    assert answers_alike(small)
    again = narrower(small, photos, tmp_path / "quarter", width=0.5, epochs=1)
    assert again.recipe.values["width"] == 0.25
    assert again.recipe.values["multiply_adds"][0] == after
    assert answers_alike(kept(tmp_path / "smaller", photos, again))


def test_a_smaller_input_keeps_stem_and_weights(tmp_path):
    """From 48 px down a network of the zoo gets another stem when it is built: a student's is its parent's."""
    photos = divided(tmp_path / "photos")
    big = parent(tmp_path / "big", photos, tmp_path / "run", backbone="mobilenet_v2:0.1", input_size=64)
    found = narrower(big, photos, tmp_path / "low", input_size=48, epochs=1)
    assert found.input.size == 48
    assert "for 48 instead of 64 px" in found.recipe.why
    assert "width" not in found.recipe.values
    low = kept(tmp_path / "small", photos, found)
    assert answers_alike(low)
    strides = [
        [module.stride for module in rebuilt(path).network.modules() if hasattr(module, "stride")] for path in (big, low)
    ]
    assert strides[0] == strides[1]
    both = narrower(low, photos, tmp_path / "both", width=0.5, input_size=32, epochs=1)
    assert answers_alike(kept(tmp_path / "smallest", photos, both))


def test_of_pretrained_weights(tmp_path, monkeypatch):
    """A head on frozen features becomes a narrow network that learns in all layers."""
    published(tmp_path / "weights", "mobilenetv2_035")
    monkeypatch.setenv("SIGHTLINE_WEIGHTS", str(tmp_path / "weights"))
    settings.cache_clear()
    photos = divided(tmp_path / "photos")
    wishes = {"way": "probe", "backbone": "mobilenetv2_035", "input_size": 64}
    big = parent(tmp_path / "big", photos, tmp_path / "run", **wishes)
    found = narrower(big, photos, tmp_path / "half", width=0.5, input_size=32, epochs=1)
    assert found.recipe.way == "fine-tune"
    assert found.recipe.values["lr"] == RATE
    assert answers_alike(kept(tmp_path / "small", photos, found))
    card = read_bundle(big).card
    assert plan_for(card, 1.0).lr == FINE_TUNE.lr


def test_it_goes_on_where_it_was(tmp_path):
    photos = divided(tmp_path / "photos")
    big = parent(tmp_path / "big", photos, tmp_path / "run")
    first = narrower(big, photos, tmp_path / "half", width=0.5, epochs=1)
    assert narrower(big, photos, tmp_path / "half", width=0.5, epochs=1).onnx == first.onnx
    with pytest.raises(UsageError, match="other values"):
        narrower(big, photos, tmp_path / "half", width=0.25, epochs=1)


def test_the_first_weights_are_the_parents_strongest_channels():
    torch.manual_seed(0)
    net = network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 32, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    )
    whole = Classifier(net, 32, 3).eval()
    with torch.no_grad():
        network[0].weight[::2] *= 50
        whole.head.weight[:, ::2] *= 50
    strong = network[0].weight[::2].clone()
    narrow(whole, 0.5, 32, "a test's")
    assert torch.equal(whole.backbone[0].weight, strong)
    assert whole.head.in_features == 16


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_small", "resnet18", "squeezenet1_1"])
def test_families_become_narrower(name):
    body, width = from_scratch(name, 64)
    whole = Classifier(body, width, 3).eval()
    before = multiply_adds(whole, 64)
    narrow(whole, 0.25, 64, name)
    assert multiply_adds(whole, 64) < before / 6
    channels = [module.out_channels for module in whole.modules() if isinstance(module, torch.nn.Conv2d)]
    assert all(count % 8 == 0 for count in channels)


def test_impossible_wishes(tmp_path):
    photos = divided(tmp_path / "photos")
    big = parent(tmp_path / "big", photos, tmp_path / "run")
    run = tmp_path / "half"
    for width in (0.05, 1.5):
        with pytest.raises(UsageError, match=r"from 0\.1 to 1"):
            narrower(big, photos, run, width=width)
    with pytest.raises(UsageError, match="no larger than its parent's 32 px"):
        narrower(big, photos, run, input_size=64)
    with pytest.raises(UsageError, match="does not take pictures of 16 px"):
        narrower(big, photos, run, input_size=16)
    with pytest.raises(UsageError, match="cannot be trained on"):
        narrower(tiny_bundle(tmp_path / "foreign"), photos, run, width=0.5)
    with pytest.raises(DatasetError, match="no class in common"):
        narrower(big, divided(tmp_path / "others", "yellow", "brown"), run, width=0.5)
    with pytest.raises(DatasetError, match="does not know the class yellow"):
        narrower(big, divided(tmp_path / "more", "red", "green", "blue", "yellow"), run, width=0.5)
    with pytest.raises(DatasetError, match="nothing of the class blue"):
        narrower(big, divided(tmp_path / "fewer", "red", "green"), run, width=0.5)
    assert not run.exists()


def test_a_transformer_is_narrowed_between_its_sums():
    """What attention reads stays; its input is what its positions were made for."""
    body, width = from_scratch("deit_tiny", 32)
    whole = Classifier(body, width, 3).eval()
    assert not takes(whole, 48)
    before = multiply_adds(whole, 32)
    narrow(whole, 0.5, 32, "deit_tiny")
    assert whole.head.in_features == 192
    assert before / 2 < multiply_adds(whole, 32) < before


def test_a_network_without_widths():
    body = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    with pytest.raises(UsageError, match="no narrower form"):
        narrow(Classifier(body, 8, 3).eval(), 0.5, 32, "eight")
