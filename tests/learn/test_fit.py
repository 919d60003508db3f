"""The whole story on drawn pictures: every way and every task ends in a calibrated file that answers like the trained model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pictures import class_folders, drawn, encoded
from sightline.data.readers import read
from sightline.errors import DatasetError, MissingExtraError, ParityError, UsageError
from sightline.learn import export, plan, ways
from sightline.learn import fit as fitting
from sightline.learn.fit import TrainRequest, fit
from sightline.settings import settings
from sightline.types import Annotation, Dataset, Item, Task

pytestmark = pytest.mark.deep
pytest.importorskip("timm")

PROBE = TrainRequest(backbone="test_efficientnet", input_size=64, compare=False)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Torch's threads wait for each other busily: on a machine with other work that takes minutes."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def weights(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a tiny network of random weights: its features tell colours apart."""
    import timm
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("weights")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_file(timm.create_model("test_efficientnet").state_dict(), folder / "test_efficientnet.safetensors")
    monkeypatch.setenv("SIGHTLINE_WEIGHTS", str(folder))
    settings.cache_clear()


def divided(folder: Path, *classes: str, per_class: int = 12) -> Dataset:
    """Every fourth picture validates."""
    found = read(class_folders(folder, per_class, classes))
    items = (item.model_copy(update={"split": "train" if place % 4 else "val"}) for place, item in enumerate(found.items))
    return found.model_copy(update={"items": tuple(items)})


def several(folder: Path, count: int = 48) -> Dataset:
    """Pictures with a red shape, a blue one, both or none."""
    folder.mkdir()
    items = []
    for index in range(count):
        labels = [name for bit, name in enumerate(("red", "blue")) if index >> bit & 1]
        picture = drawn(index, colour=(200 if "red" in labels else 20, 20, 200 if "blue" in labels else 20))
        path = folder / f"{index}.jpg"
        path.write_bytes(encoded(picture, quality=92))
        split = "train" if index % 3 else "val"
        truth = tuple(Annotation(label=name) for name in labels)
        items.append(Item(uri=str(path), name=path.name, truth=truth, split=split))
    return Dataset(name="several", task="multilabel", classes=("blue", "red"), items=tuple(items))


def answers(onnx: bytes, dataset: Dataset, trained: object) -> np.ndarray:
    from sightline.runtime.pixels import prepare, read_picture

    val = dataset.part("val")
    return export.answers(onnx, np.stack([prepare(read_picture(item.uri), trained.input) for item in val]))["probabilities"]


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_a_head_on_frozen_features(task: Task, tmp_path: Path, weights: None):
    classes = ("red", "green", "blue")[: 2 if task == "binary" else 3]
    dataset = several(tmp_path / "d") if task == "multilabel" else divided(tmp_path / "d", *classes)
    assert dataset.task == task
    trained = fit(dataset, PROBE, tmp_path / "run")
    assert trained.recipe.way == "probe"
    assert "test_efficientnet" in trained.recipe.why
    assert trained.recipe.weights == "test_efficientnet.safetensors"
    assert trained.recipe.values["input_size"] == trained.input.size == 64
    assert ways.main_score(trained.val.truth, trained.val.probabilities, task) >= 0.8
    assert answers(trained.onnx, dataset, trained) == pytest.approx(trained.val.probabilities, abs=1e-4)
    assert trained.parity.agreement == 1.0
    assert trained.parity.pictures == len(dataset.part("val"))
    assert trained.unknown.n == len(dataset.part("val"))
    assert set(trained.thresholds) == (set(dataset.classes) if task == "multilabel" else set())
    assert trained.curve[-1][0] == len(dataset.part("train"))
    assert trained.weights is not None


def test_the_same_again_is_the_same_file(tmp_path: Path, weights: None):
    dataset = divided(tmp_path / "d", "red", "blue")
    first, second = (fit(dataset, PROBE, tmp_path / "run") for _ in range(2))
    assert first.onnx == second.onnx
    assert first.weights == second.weights


def test_the_test_split_is_never_opened(tmp_path: Path, weights: None):
    dataset = divided(tmp_path / "d", "red", "blue")
    sealed = Item(uri=str(tmp_path / "nowhere.jpg"), name="x", truth=(Annotation(label="red"),), split="test")
    trained = fit(dataset.model_copy(update={"items": (*dataset.items, sealed)}), PROBE, tmp_path / "run")
    assert trained.failures == ()


def test_broken_pictures_are_left_out_and_named(tmp_path: Path, weights: None):
    dataset = divided(tmp_path / "d", "red", "blue")
    bad = [dataset.part("train")[0], dataset.part("val")[0]]
    for item in bad:
        Path(item.uri).write_bytes(b"broken")
    items = tuple(item.model_copy(update={"sha256": ""}) for item in dataset.items)
    trained = fit(dataset.model_copy(update={"items": items}), PROBE, tmp_path / "run")
    assert [failure.picture for failure in trained.failures] == [item.name for item in bad]
    assert len(trained.val.items) == len(dataset.part("val")) - 1


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes of a few epochs on one thread."""
    for name in ("SCRATCH", "FINE_TUNE"):
        monkeypatch.setattr(
            plan, name, replace(getattr(plan, name), epochs=6, batch=8, threads=1, precision="float32", ema=0.8)
        )


def test_a_network_from_scratch(tmp_path: Path, brief: None):
    dataset = divided(tmp_path / "d", "red", "blue", per_class=20)
    request = TrainRequest(size="tiny", way="scratch", input_size=32, compare=False)
    trained = fit(dataset, request, tmp_path / "run")
    assert (trained.recipe.way, trained.recipe.weights, trained.recipe.backbone) == ("scratch", "none", "sightline-tiny")
    assert trained.recipe.values["augment"]["flip"] is False
    assert len(trained.history) == 6
    assert {"number", "train_loss", "val_accuracy"} <= set(trained.history[0])
    assert answers(trained.onnx, dataset, trained) == pytest.approx(trained.val.probabilities, abs=1e-3)
    assert trained.parity.largest_difference < 1e-3


def test_fine_tuning_starts_from_the_head_and_the_better_one_is_kept(tmp_path: Path, weights: None, brief: None):
    dataset = several(tmp_path / "d")
    trained = fit(dataset, replace(PROBE, way="fine-tune"), tmp_path / "run")
    assert len(trained.history) == 6
    assert trained.recipe.way in ("probe", "fine-tune")
    assert "on the validation pictures" in trained.recipe.why
    assert answers(trained.onnx, dataset, trained) == pytest.approx(trained.val.probabilities, abs=1e-3)


def test_fine_tuning_that_spoils_the_network_is_thrown_away(
    tmp_path: Path, weights: None, brief: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(plan, "FINE_TUNE", replace(plan.FINE_TUNE, epochs=1, lr=3.0, warmup=0.0))
    trained = fit(divided(tmp_path / "d", "red", "green", "blue"), replace(PROBE, way="fine-tune"), tmp_path / "run")
    assert trained.recipe.way == "probe"
    assert "did not help" in trained.recipe.why
    assert trained.curve


@pytest.mark.parametrize(("epochs", "way"), [(2, "probe"), (9, "fine-tune")])
def test_time_decides(epochs: int, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: None, brief: None):
    gone: list[str] = []
    monkeypatch.setattr(ways, "epochs_within", lambda prepared, minutes: epochs)
    monkeypatch.setattr(ways, "by_network", lambda *_args, **_how: gone.append("fine-tune") or pytest.skip("tried"))
    dataset = divided(tmp_path / "d", "red", "blue", per_class=8)
    if way == "fine-tune":
        with pytest.raises(pytest.skip.Exception):
            fit(dataset, replace(PROBE, minutes=1.0), tmp_path / "run")
        assert gone
    else:
        trained = fit(dataset, replace(PROBE, minutes=1.0), tmp_path / "run")
        assert trained.recipe.way == "probe"
        assert "1 minutes are enough for 2 epochs" in trained.recipe.why


@pytest.mark.parametrize(("classes", "flip"), [(("turn left", "turn right"), False), (("red", "blue"), True)])
def test_mirroring_is_off_where_left_and_right_mean_something(
    classes: tuple[str, ...], flip: bool, tmp_path: Path, weights: None
):
    from sightline.learn.backbones import named

    dataset = divided(tmp_path / "d", *classes, per_class=4)
    material = fitting.material_of(dataset, 0)
    start = named("test_efficientnet", 64)
    prepared = ways.prepare_network(material, start, "small", spec=None, probe=None, flip=None)
    assert prepared.plan.augment.flip is flip


def test_one_class_is_no_task(tmp_path: Path):
    dataset = divided(tmp_path / "d", "red", "blue")
    alone = {"classes": ("red",), "items": tuple(item for item in dataset.items if item.labels == ("red",))}
    with pytest.raises(DatasetError, match="nothing to tell apart") as caught:
        fit(dataset.model_copy(update=alone), PROBE, tmp_path / "run")
    assert "other" in caught.value.hint


def test_a_class_with_one_picture_is_named(tmp_path: Path):
    dataset = divided(tmp_path / "d", "red", "blue")
    lone = next(item for item in dataset.items if item.labels == ("blue",))
    items = tuple(item for item in dataset.items if item.labels != ("blue",) or item is lone)
    with pytest.raises(DatasetError, match=r"blue \(1\)"):
        fit(dataset.model_copy(update={"items": items}), PROBE, tmp_path / "run")


def test_a_class_that_is_only_validated_is_named(tmp_path: Path):
    dataset = divided(tmp_path / "d", "red", "blue")
    items = tuple(item.model_copy(update={"split": "val"}) if item.labels == ("blue",) else item for item in dataset.items)
    with pytest.raises(DatasetError, match="no training picture shows blue"):
        fit(dataset.model_copy(update={"items": items}), PROBE, tmp_path / "run")


def test_too_few_pictures(tmp_path: Path):
    dataset = divided(tmp_path / "d", "red", "blue", per_class=2)
    with pytest.raises(DatasetError, match="too few pictures"):
        fit(dataset.model_copy(update={"items": tuple(i.model_copy(update={"split": "train"}) for i in dataset.items)}),
            PROBE, tmp_path / "run")  # fmt: skip


def test_a_way_that_needs_weights_says_so(tmp_path: Path):
    with pytest.raises(UsageError, match="needs pretrained weights"):
        fit(divided(tmp_path / "d", "red", "blue"), TrainRequest(way="probe", backbone="resnet18"), tmp_path / "run")


def test_without_torch_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fitting, "can_build", lambda: False)
    with pytest.raises(MissingExtraError) as caught:
        fit(divided(tmp_path / "d", "red", "blue"), replace(PROBE, way="fine-tune"), tmp_path / "run")
    assert "sightline[deep]" in caught.value.hint


def test_an_export_that_answers_otherwise_is_refused(tmp_path: Path, weights: None, monkeypatch: pytest.MonkeyPatch):
    real = export.attach

    def wrong(*args: object, **named: object) -> bytes:
        head = args[1]
        return real(
            args[0], replace(head, bias=head.bias[::-1] + np.arange(len(head.bias), dtype=np.float32)), *args[2:], **named
        )

    monkeypatch.setattr(export, "attach", wrong)
    with pytest.raises(ParityError, match="answers differently"):
        fit(divided(tmp_path / "d", "red", "blue"), PROBE, tmp_path / "run")
