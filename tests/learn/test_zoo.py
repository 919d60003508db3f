"""Every network of the zoo: named, counted, built small, trained, exported with parity; refusals say what would do."""

from __future__ import annotations

import difflib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pictures import class_folders
from sightline import progress
from sightline.data.readers import read
from sightline.data.roadsigns import draw_road_signs
from sightline.data.splits import split
from sightline.errors import UsageError
from sightline.learn import backbones, export, plan
from sightline.learn.finish import Trained
from sightline.learn.fit import TrainRequest, fit
from sightline.learn.zoo import costs, names
from sightline.runtime.pixels import prepare, read_picture
from sightline.settings import settings
from sightline.types import Card, Dataset

pytestmark = pytest.mark.deep
timm = pytest.importorskip("timm")
torch = pytest.importorskip("torch")

from sightline.learn.zoo import networks, stacks, stems  # noqa: E402 (they need torch)

QUICK = (("squeezenet1_1", 50), ("mobilenet_v2:0.35", 64), ("resnet18", 32), ("vit_tiny", 33))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def coloured(folder: Path) -> Dataset:
    found = read(class_folders(folder, 12, ("red", "blue")))
    items = (item.model_copy(update={"split": "train" if place % 4 else "val"}) for place, item in enumerate(found.items))
    return found.model_copy(update={"items": tuple(items)})


# --- names


def test_every_architecture_is_one_of_its_maker():
    from torchvision import models

    theirs = set(timm.list_models())
    for entry in (one for one in names.ENTRIES if one.maker != "sightline"):
        assert entry.architecture in (theirs if entry.maker == "timm" else models.list_models()), entry.name


def test_weights_and_licences_are_what_timm_says():
    for entry in (*names.ENTRIES, *(names.find(f"{plain}:{width}") for plain, width in names.WIDE)):
        if not entry.tag:
            continue
        config = timm.get_pretrained_cfg(f"{entry.architecture}.{entry.tag}")
        assert config is not None, entry.name
        assert config.license == entry.weights_licence.lower(), entry.name
        assert max(config.input_size) == entry.size or ":" in entry.name, entry.name


def test_a_width_stands_after_a_colon():
    found = names.find("mobilenet_v2:0.35")
    assert (found.width, found.tag, found.architecture) == (0.35, "", "mobilenet_v2:0.35")
    assert names.find("mobilenet_v2:1.0") == names.find("mobilenet_v2")
    assert names.find("mobilenet_v2:0.50").architecture == "mobilenetv2_050"


@pytest.mark.parametrize("wrong", ["0.05", "1.5", "wide", "", "-1", "nan"])
def test_a_width_out_of_range_is_refused(wrong: str):
    with pytest.raises(UsageError, match=r"from 0\.1 to 1\.4"):
        names.find(f"mobilenet_v3_small:{wrong}")


def test_a_width_of_another_network_is_refused():
    with pytest.raises(UsageError, match="no width"):
        names.find("resnet18:0.5")


@pytest.mark.parametrize(
    ("wrong", "near"), [("resnet81", "resnet18"), ("squeezenet", "squeezenet1_0"), ("mobilenetv2_10", "mobilenetv2_100")]
)
def test_an_unknown_name_gets_the_nearest(wrong: str, near: str):
    with pytest.raises(UsageError, match=wrong) as caught:
        names.check(wrong)
    assert near in caught.value.hint


def test_a_name_like_nothing_gets_the_list():
    assert not difflib.get_close_matches("qqqqqq", names.ZOO)
    with pytest.raises(UsageError) as caught:
        names.check("qqqqqq")
    assert "models zoo" in caught.value.hint


# --- networks


@pytest.mark.parametrize(("name", "size"), [(name, (32, 33, 50, 64)[place % 4]) for place, name in enumerate(names.ZOO)])
def test_every_network_takes_small_pictures(name: str, size: int):
    with torch.device("meta"):
        module, width = networks.from_scratch(name, size)
        assert module(torch.zeros(3, 3, size, size)).shape == (3, width)


@pytest.mark.parametrize(("size", "side"), [(32, 4), (48, 6), (64, 4), (96, 3), (224, 7)])
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "regnetx_002", "convnext_atto", "efficientnet_b0"])
def test_the_last_map_of_a_small_picture_keeps_positions(name: str, size: int, side: int):
    with torch.device("meta"):
        module, _ = networks.from_scratch(name, size)
        assert module.network.forward_features(torch.zeros(1, 3, size, size)).shape[-1] == side


def test_plain_and_residual_stacks_differ_in_short_cuts_only():
    # arXiv 1512.03385, table 6: 0.27, 0.46 and 0.66 million weights with a head for 10 classes
    for depth, millions in ((20, 0.27), (32, 0.46), (44, 0.66)):
        torch.manual_seed(0)
        plain, width = networks.from_scratch(f"plain{depth}", 32)
        torch.manual_seed(0)
        residual, _ = networks.from_scratch(f"resnet{depth}", 32)
        mine, its = plain.state_dict(), residual.state_dict()
        assert mine.keys() == its.keys()
        assert all(torch.equal(mine[name], its[name]) for name in mine)
        count = sum(weight.numel() for weight in plain.parameters()) + (width + 1) * 10
        assert round(count / 1e6, 2) == millions
        x = torch.randn(2, 3, 33, 33)
        with torch.no_grad():
            assert not torch.allclose(plain(x), residual(x))


@pytest.mark.parametrize("depth", [2, 9, 18])
def test_a_stack_has_whole_pairs(depth: int):
    with pytest.raises(UsageError, match=f"6n \\+ 2 layers, got {depth}"):
        stacks.Stack(depth, residual=True)


@pytest.mark.parametrize("width", [0.1, 0.33, 0.5, 1.4])
def test_googlenet_has_a_width(width: float):
    with torch.device("meta"):
        module, features = networks.from_scratch(f"googlenet:{width}", 32)
        whole, most = networks.from_scratch("googlenet", 32)
        assert module(torch.zeros(2, 3, 32, 32)).shape == (2, features)
    share = round(16 * width) / 16
    assert features == most * share
    count, every = (sum(weight.numel() for weight in one.parameters()) for one in (module, whole))
    assert count / every == pytest.approx(share**2, rel=0.1)


def test_a_transformer_pads_to_whole_patches():
    with torch.device("meta"):
        module, _ = networks.from_scratch("vit_tiny", 50)
    assert module.network.patch_embed.patch_size == (8, 8)
    assert module.network.patch_embed.img_size == (56, 56)


def test_auxiliary_heads_are_left_out_and_dropout_stays():
    with torch.device("meta"):
        google, _ = networks.from_scratch("googlenet", 32)
        inception, _ = networks.from_scratch("inception_v3", 32)
        squeeze, _ = networks.from_scratch("squeezenet1_1", 32)
    assert not [name for name, _ in (*google.named_modules(), *inception.named_modules()) if "aux" in name.lower()]
    assert google.network.dropout.p == 0.2
    assert squeeze.network.classifier[0].p == 0.5
    assert inception.network.head_drop.p == 0.5


@pytest.mark.parametrize(("given", "wanted"), [(3, 6), (7, 6), (3, 7), (9, 7), (6, 6)])
def test_fixed_pooling_is_adaptive_pooling(given: int, wanted: int):
    x = torch.randn(2, 3, given, given)
    expected = torch.nn.functional.adaptive_avg_pool2d(x, wanted)
    assert torch.allclose(stems.FixedPool(given, wanted)(x), expected, atol=1e-6)


@pytest.mark.parametrize(("name", "size"), [("resnet18", 31), ("squeezenet1_0", 8), ("vit_tiny", 16), ("mobilenet_v1:0.25", 1)])
def test_too_small_a_size_names_the_least(name: str, size: int):
    with pytest.raises(UsageError, match=f"at least 32 px, got {size}") as caught:
        networks.from_scratch(name, size)
    assert "32" in caught.value.hint


def test_too_small_a_size_for_another_network_names_the_least_found_by_trying():
    with pytest.raises(UsageError, match=r"at least \d+ px, got 8"):
        networks.from_scratch("levit_128s", 8)


def test_weights_keep_their_stem_and_so_a_larger_least():
    with pytest.raises(UsageError, match="at least 63 px, got 48"):
        networks.as_published("alexnet", 48)
    with torch.device("meta"):
        assert networks.as_published("resnet18", 32).conv1.kernel_size == (7, 7)


# --- costs


def test_published_numbers():
    assert costs.cost("resnet18", 224).parameters == 11_689_512  # torchvision's documentation
    assert costs.cost("alexnet", 224).parameters == 61_100_840
    assert costs.cost("mobilenet_v2", 224).multiply_adds == pytest.approx(300e6, rel=0.01)  # arXiv 1801.04381, table 4
    assert costs.cost("vgg16", 224).multiply_adds == pytest.approx(15.5e9, rel=0.01)


@pytest.mark.parametrize(("name", "size"), [("resnet18", 64), ("squeezenet1_1", 224), ("vit_tiny", 32), ("convnext_atto", 32)])
def test_the_table_is_current(name: str, size: int):
    assert costs.cost(name, size) == costs.count(name, size)


def test_the_table_has_every_network_and_size():
    table = costs._table()
    assert set(table) == set(names.ZOO)
    assert all(set(sizes) == {str(size) for size in costs.KEPT} for sizes in table.values())


def test_width_makes_it_cheaper():
    whole, half, tenth = (costs.cost(name, 32) for name in ("mobilenet_v1", "mobilenet_v1:0.5", "mobilenet_v1:0.1"))
    assert whole.multiply_adds > 3 * half.multiply_adds > 9 * tenth.multiply_adds
    assert whole.parameters > half.parameters > tenth.parameters


def test_the_list_needs_no_torch():
    code = "import sys; from sightline.verbs.models import models; models('zoo'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- weights


def test_weights_of_torchvisions_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from safetensors.torch import save_file
    from torchvision import models

    published = models.squeezenet1_1(weights=None).eval()
    save_file(published.state_dict(), tmp_path / "squeezenet1_1.safetensors")
    monkeypatch.setenv("SIGHTLINE_WEIGHTS", str(tmp_path))
    settings.cache_clear()
    assert backbones.at_hand(backbones.candidate_of(names.ZOO["squeezenet1_1"])) == "file"
    start = backbones.named("squeezenet1_1", input_size=64)
    assert start is not None
    module, width = backbones.build(start)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(module(x), published.features(x).mean((2, 3)), atol=1e-6)
    assert width == 512


def test_a_transformers_positions_follow_the_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from safetensors.torch import save_file

    save_file(timm.create_model("vit_tiny_patch16_224").state_dict(), tmp_path / "vit_tiny.safetensors")
    monkeypatch.setenv("SIGHTLINE_WEIGHTS", str(tmp_path))
    settings.cache_clear()
    start = backbones.named("vit_tiny", input_size=96)
    assert start is not None
    module, width = backbones.build(start)
    with torch.no_grad():
        assert module(torch.zeros(1, 3, 96, 96)).shape == (1, width)


def test_where_weights_are(monkeypatch: pytest.MonkeyPatch):
    resnet, alexnet = (backbones.candidate_of(names.ZOO[name]) for name in ("resnet18", "alexnet"))
    monkeypatch.setenv("SIGHTLINE_OFFLINE", "0")
    settings.cache_clear()
    assert (backbones.at_hand(resnet), backbones.at_hand(alexnet)) == ("hub", "none")
    monkeypatch.setenv("SIGHTLINE_OFFLINE", "1")
    settings.cache_clear()
    assert backbones.at_hand(resnet) == "none"


# --- training


@pytest.fixture
def one_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "SCRATCH", replace(plan.SCRATCH, epochs=1, batch=8, precision="float32", threads=1))


@pytest.mark.parametrize("name", ["sightline_mobile", "squeezenet1_1", "mobilenet_v2:0.35"])
def test_first_weights_tell_pictures_apart(name: str):
    torch.manual_seed(0)
    module, _ = networks.from_scratch(name, 64)
    with torch.no_grad():
        embedding = module.train()(torch.randn(4, 3, 64, 64))
    assert embedding.std(dim=0).max() > 0.01


def trained(name: str, dataset: Dataset, size: int, run: Path) -> Trained:
    """From scratch; the export is proved inside `fit`."""
    return fit(dataset, TrainRequest(way="scratch", backbone=name, input_size=size, compare=False), run)


@pytest.mark.parametrize(("name", "size"), QUICK)
def test_one_epoch_export_and_parity(name: str, size: int, tmp_path: Path, one_epoch: None):
    done = trained(name, coloured(tmp_path / "d"), size, tmp_path / "run")
    assert done.recipe.backbone == name
    assert done.recipe.weights == "none"
    assert name in done.recipe.why
    assert len(done.history) == 1
    assert done.parity.agreement == 1.0
    assert done.input.size == size
    assert np.isfinite(done.val.probabilities).all()


def test_a_named_network_without_weights_is_trained_from_scratch(tmp_path: Path, one_epoch: None):
    said: list[str] = []
    request = TrainRequest(backbone="squeezenet1_1", input_size=32, compare=False)
    with progress.listen(lambda event: said.append(event.note)):
        done = fit(coloured(tmp_path / "d"), request, tmp_path / "run")
    assert (done.recipe.way, done.recipe.backbone) == ("scratch", "squeezenet1_1")
    assert any("no weights for squeezenet1_1" in note for note in said)


@pytest.mark.parametrize("way", ["probe", "fine-tune"])
def test_a_way_that_needs_weights_says_that_there_are_none(way: str, tmp_path: Path):
    with pytest.raises(UsageError, match=r"no weights for alexnet: .* holds no alexnet\.safetensors"):
        fit(coloured(tmp_path / "d"), TrainRequest(way=way, backbone="alexnet"), tmp_path / "run")


def test_refusals_come_before_the_work(tmp_path: Path):
    with pytest.raises(UsageError, match="no network is called"):
        fit(coloured(tmp_path / "d"), TrainRequest(way="scratch", backbone="resnet81"), tmp_path / "run")
    with pytest.raises(UsageError, match="at least 32 px, got 24"):
        trained("resnet18", coloured(tmp_path / "e"), 24, tmp_path / "run")


@pytest.fixture(scope="module")
def signs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_road_signs(tmp_path_factory.mktemp("zoo") / "signs", 200, 0, size=64, workers=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [*names.ZOO, "mobilenet_v2:0.1", "mobilenet_v3_large:1.4", "mobilenet_v4_small:0.35", "lcnet_050"]
)
def test_every_network_learns_road_signs(name: str, signs: Path, tmp_path: Path, one_epoch: None):
    from sightline.runtime.model import Model

    dataset = split(read(signs), seed=0)
    done = trained(name, dataset, 64, tmp_path / "run")
    assert done.parity.agreement >= 0.99
    about = {"id": "", "name": name, "task": dataset.task, "classes": dataset.classes, "input": done.input}
    model = Model(Card(**about, recipe=done.recipe), done.onnx)
    pictures = [item.uri for item in dataset.part("test")[:8]]
    answers = [model.predict(Path(picture)) for picture in pictures]
    expected = export.answers(done.onnx, np.stack([prepare(read_picture(picture), done.input) for picture in pictures]))
    assert [answer.labels[0].label for answer in answers] == [
        dataset.classes[place] for place in expected["probabilities"].argmax(axis=1)
    ]
