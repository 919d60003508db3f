"""Candidates by name: what words mean, what an effort picks, how time is shared."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.errors import UsageError
from sightline.learn.candidates import Contender, candidate, candidates, chosen, first_look, parameters, rest
from sightline.learn.fit import TrainRequest
from sightline.settings import settings

pytestmark = pytest.mark.deep
pytest.importorskip("timm")


@pytest.mark.parametrize(
    ("text", "way", "backbone", "size"),
    [
        ("probe", "probe", None, "small"),
        ("fine-tune", "fine-tune", None, "small"),
        ("probe:medium", "probe", None, "medium"),
        ("scratch:resnet18", "scratch", "resnet18", "small"),
        ("scratch:mobilenet_v2:0.35", "scratch", "mobilenet_v2:0.35", "small"),
        (" fine-tune:test_resnet ", "fine-tune", "test_resnet", "small"),
        ("resnet18", "auto", "resnet18", "small"),
        ("auto", "auto", None, "small"),
    ],
)
def test_what_a_name_means(text: str, way: str, backbone: str | None, size: str) -> None:
    request = candidate(text, TrainRequest(seed=3, augment="light"))
    assert (request.way, request.backbone, request.size) == (way, backbone, size)
    assert (request.seed, request.augment) == (3, "light"), "other wishes are the same for all"


def test_the_classic_way() -> None:
    request = candidate("classic:sift:vlad+svm-rbf")
    assert (request.way, request.features, request.classifier) == ("classic", "sift:vlad", "svm-rbf")
    assert candidate("classic").way == "classic"
    assert candidate("classic:colour").features == "colour"


@pytest.mark.parametrize(
    ("text", "near"),
    [("finetune", "fine-tune"), ("prob:resnet18", "probe:resnet18"), ("scratch:resnet19", "resnet18"), ("resnt18", "resnet18"),
     ("classic:hogg+svm", "hog")],
)  # fmt: skip
def test_unknown_names_name_the_nearest(text: str, near: str) -> None:
    with pytest.raises(UsageError) as caught:
        candidate(text)
    assert near in caught.value.hint + caught.value.message


def test_a_comparison_needs_two_different_ones() -> None:
    found = candidates("probe, scratch:resnet18,", TrainRequest())
    assert [(one.name, one.folder, one.cheap) for one in found] == [
        ("probe", "probe", True),
        ("scratch:resnet18", "scratch-resnet18", False),
    ]
    with pytest.raises(UsageError, match="two candidates"):
        candidates("probe", TrainRequest())
    with pytest.raises(UsageError, match="twice"):
        candidates("probe,scratch,probe", TrainRequest())


def test_an_effort_goes_by_weights_data_and_hardware(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without, why = chosen("quick", 500, gpu=False)
    assert "weights for tiny" in why
    assert {name.partition(":")[0] for name in without} == {"classic", "probe", "scratch"}
    (tmp_path / "mobilenetv2_100.safetensors").write_bytes(b"")
    monkeypatch.setenv("SIGHTLINE_WEIGHTS", str(tmp_path))
    settings.cache_clear()
    quick, _ = chosen("quick", 500, gpu=False)
    assert quick == ("classic:hog+svm", "probe:tiny", "probe:small")
    thorough, _ = chosen("thorough", 500, gpu=False)
    assert thorough == (*quick, "fine-tune:small")
    assert "scratch:small" in chosen("thorough", 5_000, gpu=False)[0]
    for name in (*without, *thorough):
        candidate(name)  # what an effort picks can be parsed


def test_the_budget_is_shared() -> None:
    assert first_look(20, 0, 0, 3) is None
    assert first_look(20, 0, 1, 1) is None, "nothing to compare it with"
    look = first_look(20, 4, 2, 3)
    assert look == pytest.approx(2)
    assert rest(20, 4 + 2 * 2, 1) == pytest.approx(12), "what a stopped one leaves goes to the others"
    assert rest(20, 25, 2) == pytest.approx(2), "networks get a fifth however long the cheap ones took"


def test_folders_of_names_stay_apart_from_paths() -> None:
    assert Contender("scratch:../../x", TrainRequest()).folder == "scratch-..-..-x"


def test_parameters_leave_running_averages_out(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8))
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    assert parameters(tmp_path / "w.safetensors", tmp_path / "none") == sum(p.numel() for p in network.parameters())
