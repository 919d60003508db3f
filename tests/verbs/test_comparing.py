"""train --compare, --effort and --folds on drawn pictures: one leaderboard, the recommended model, going on after a stop."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from pictures import class_folders
from sightline.data.readers import read
from sightline.errors import DatasetError, UsageError
from sightline.learn import fit as fitting
from sightline.learn.candidates import Contender, candidates
from sightline.learn.fit import TrainRequest
from sightline.runtime.bundle import latest, read_bundle
from sightline.settings import settings
from sightline.verbs import comparing
from sightline.verbs.material import Work
from sightline.verbs.predict import predict
from sightline.verbs.train import show, train
from sightline.verbs.trained import TrainResult

pytestmark = pytest.mark.deep
NETWORKS = ("test_resnet", "test_efficientnet")  # timm's smallest, here with random weights
PAIR = ",".join(f"probe:{name}" for name in NETWORKS)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timm, torch = pytest.importorskip("timm"), pytest.importorskip("torch")
    from safetensors.torch import save_file

    folder = tmp_path / "weights"
    folder.mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for name in NETWORKS:
            save_file(timm.create_model(name).state_dict(), folder / f"{name}.safetensors")
    monkeypatch.setenv("SIGHTLINE_WEIGHTS", str(folder))
    settings.cache_clear()


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The networks of every training that is begun."""
    begun: list[str | None] = []
    real = fitting.fit

    def counted(dataset: object, request: TrainRequest, run: Path, **how: object) -> object:
        begun.append(request.backbone)
        return real(dataset, request, run, **how)

    monkeypatch.setattr(fitting, "fit", counted)
    return begun


def shown(result: TrainResult) -> str:
    from rich.console import Console

    console = Console(width=150, file=io.StringIO())
    console.print(show(result))
    return console.file.getvalue()


def test_one_leaderboard_and_the_model_to_take(weights: None, tmp_path: Path) -> None:
    photos = class_folders(tmp_path / "photos", per_class=14)
    result = train(photos, out=tmp_path / "model", compare=f"{PAIR},fine-tune:resnet18", minutes=1, keep=True)
    board = result.leaderboard
    assert board is not None
    assert {one.name for one in board.entries} == {*PAIR.split(","), "fine-tune:resnet18"}
    assert (board.measure, board.scored_on) == ("top1", "val")
    for one in board.entries[:2]:
        assert one.state == "finished"
        assert one.score is not None
        assert one.score.n == board.pictures == board.chosen_on
        assert one.latency_ms is not None
        assert one.latency_p95_ms is not None
        assert 0 < one.latency_ms <= one.latency_p95_ms
        assert one.file_bytes is not None
        assert one.parameters is not None
        assert one.file_bytes > one.parameters > 10_000
        assert read_bundle(one.model).card.recipe.backbone == one.backbone
    left_out = board.entries[-1]
    assert left_out.state == "failed", "no weights: said, and the others go on"
    assert "weights" in left_out.why
    assert board.recommendation.startswith(f"take {board.recommended}: ")
    assert result.model == str(latest()) == str(tmp_path / "model")
    assert read_bundle(tmp_path / "model").card.name == "model"
    assert predict([photos / "red" / "red-0.jpg"], model=result.model).results
    written = json.loads((tmp_path / "model" / "leaderboard.json").read_text())
    assert written["recommended"] == board.recommended
    assert (tmp_path / "model" / "leaderboard.html").read_text().startswith("<!doctype html>")
    assert board.recommendation in " ".join(shown(result).split())
    assert not list((settings().home / "runs").iterdir()), "a finished comparison leaves nothing behind"


def test_a_stopped_comparison_goes_on(
    weights: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trainings: list[str | None]
) -> None:
    photos = class_folders(tmp_path / "photos", per_class=10)
    real = comparing.store

    def stopped(place: Path, *rest: object, **named: object) -> object:
        if "efficientnet" in str(place):
            raise KeyboardInterrupt
        return real(place, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(comparing, "store", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(photos, out=tmp_path / "model", compare=PAIR)
    assert not (tmp_path / "model").exists()
    assert trainings == [*NETWORKS]
    result = train(photos, out=tmp_path / "model", compare=PAIR)
    assert trainings == [*NETWORKS, NETWORKS[1]], "what was finished is kept"
    assert sorted(entry.name for entry in Path(result.model).iterdir() if entry.is_dir()) == [], "dropped without --keep"


def made_up(folder: Path, contender: Contender, right: float, minutes: float | None) -> comparing.Tried:
    """A training that answered the first `right` of 200 pictures rightly."""
    folder.mkdir(parents=True)
    truth = np.arange(200) % 2
    best = np.where(np.arange(200) < 200 * right, truth, 1 - truth)
    np.savez(
        held := io.BytesIO(), uris=np.arange(200).astype(str), truth=truth, probabilities=np.eye(2, dtype=np.float32)[best]
    )
    (folder / "answers.npz").write_bytes(held.getvalue())
    outcome = comparing.Outcome.model_construct(
        state="finished", why="", seconds=60 * (minutes or 1), minutes=minutes, result=TrainResult.model_construct(model="m")
    )
    return comparing.Tried(contender, outcome, folder)


def halving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skill: Callable[[str, str], float]) -> tuple[list, list]:
    """What is tried in which order, and what becomes of it, when candidates do as well as `skill(name, rung)`."""
    begun: list[tuple[str, str, float | None]] = []

    def attempt(work: object, contender: Contender, minutes: float | None, rung: str) -> comparing.Tried:
        begun.append((contender.name, rung, minutes))
        return made_up(tmp_path / contender.folder / rung, contender, skill(contender.name, rung), minutes)

    monkeypatch.setattr(comparing, "attempt", attempt)
    dataset = read(class_folders(tmp_path / "d", per_class=2, classes=("red", "blue")))
    work = Work(dataset, None, (), tmp_path, "m")
    who: Sequence[Contender] = candidates("scratch:resnet18,probe,scratch:resnet34", TrainRequest())
    return begun, comparing._trained(work, who, 20.0)


def test_hopeless_ones_are_stopped_and_leave_their_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, tried = halving(tmp_path, monkeypatch, lambda name, _: 0.5 if name == "scratch:resnet34" else 0.9)
    look = (20 - 1) / 2 / 4
    assert begun == [
        ("probe", "whole", None),
        ("scratch:resnet18", "look", look),
        ("scratch:resnet34", "look", look),
        ("scratch:resnet18", "whole", pytest.approx(20 - 1 - 2 * look)),
    ]
    stopped = {one.contender.name: one for one in tried if one.stopped}
    assert set(stopped) == {"scratch:resnet34"}
    assert "40.0 points behind" in stopped["scratch:resnet34"].outcome.why


def test_one_that_may_still_win_is_not_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, tried = halving(tmp_path, monkeypatch, lambda _, rung: 0.88 if rung == "look" else 0.9)
    assert [rung for _, rung, _ in begun] == ["whole", "look", "look", "whole", "whole"]
    assert not any(one.stopped for one in tried)


def test_a_look_that_took_all_the_time_is_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = comparing.Outcome.model_construct
    monkeypatch.setattr(comparing.Outcome, "model_construct", lambda **values: real(**{**values, "seconds": 1000.0}))
    begun, tried = halving(tmp_path, monkeypatch, lambda *_: 0.9)
    assert [rung for _, rung, _ in begun] == ["whole", "look", "look"]
    assert not any(one.stopped for one in tried)


def test_nothing_that_can_be_trained(tmp_path: Path) -> None:
    photos = class_folders(tmp_path / "photos", per_class=6)
    with pytest.raises(DatasetError, match="none of the candidates"):
        train(photos, out=tmp_path / "model", compare="probe:resnet18,fine-tune:resnet18", minutes=1)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"compare": "probe"}, "two candidates"),
        ({"compare": "probe,fine-tune:resnet19"}, "resnet19"),
        ({"compare": "probe,scratch", "effort": "quick"}, "one of the two"),
        ({"compare": "probe,scratch", "way": "probe"}, "its own way"),
        ({"effort": "quick", "folds": 5}, "do not go together"),
        ({"keep": True}, "--keep"),
        ({"folds": 1}, "--folds"),
        ({"folds": 0}, "--folds"),
    ],
)
def test_impossible_wishes_are_refused_before_any_picture_is_read(tmp_path: Path, wishes: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        train(tmp_path / "nowhere", **wishes)


def test_an_effort_picks_and_says_what(weights: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sightline.learn import candidates as choice

    monkeypatch.setattr(choice, "chosen", lambda *_, **__: (tuple(PAIR.split(",")), "quick: few pictures"))
    photos = class_folders(tmp_path / "photos", per_class=8)
    result = train(photos, out=tmp_path / "model", effort="quick")
    assert result.leaderboard is not None
    assert len(result.leaderboard.entries) == 2
    assert result.leaderboard.minutes is None, "no network is trained: no budget is needed"


def test_folds_answer_every_picture_once(weights: None, tmp_path: Path, trainings: list[str | None]) -> None:
    photos = class_folders(tmp_path / "photos", per_class=10)
    result = train(photos, out=tmp_path / "model", way="probe", backbone=NETWORKS[1], folds=3)
    assert len(trainings) == 4, "a model for each fold, and the final one"
    found = result.cross_validation
    assert found is not None
    assert found.pictures == found.overall.n == result.scores["top1"].n == 30
    assert sum(score.n for score in found.folds) == 30
    assert found.overall == result.scores["top1"]
    card = read_bundle(tmp_path / "model").card
    assert card.scores == result.scores
    assert "3-fold cross-validation" in card.limits[0]
    assert "has not seen it" in Path(result.report).read_text()
    assert "standard deviation" in shown(result)


def test_stopped_folds_go_on(
    weights: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trainings: list[str | None]
) -> None:
    photos = class_folders(tmp_path / "photos", per_class=8)
    counted = fitting.fit

    def killed(dataset: object, request: TrainRequest, run: Path) -> object:
        if run.parent.name == "2":
            raise KeyboardInterrupt
        return counted(dataset, request, run)

    asked = {"out": tmp_path / "model", "way": "probe", "backbone": NETWORKS[1], "folds": 2}
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "fit", killed)
        with pytest.raises(KeyboardInterrupt):
            train(photos, **asked)
    assert len(trainings) == 1
    result = train(photos, **asked)
    assert len(trainings) == 3, "fold 2 and the final model: fold 1 is kept"
    assert result.cross_validation is not None
    assert sum(score.n for score in result.cross_validation.folds) == 24
