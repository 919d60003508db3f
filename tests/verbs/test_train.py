"""train, predict and evaluate together, with real networks on drawn pictures; what bad data get; nothing half-written."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from pictures import COLOURS, class_folders, drawn, encoded
from sightline.errors import DatasetError, SightlineError, StorageError, UsageError
from sightline.runtime.bundle import find_bundle, latest, read_bundle
from sightline.settings import settings
from sightline.verbs.evaluate import evaluate
from sightline.verbs.predict import predict
from sightline.verbs.train import train

pytestmark = pytest.mark.deep
NETWORK = "test_resnet"  # timm's smallest: a real architecture, here with random weights


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights folder with one small network, as a hub would deliver it."""
    timm, torch = pytest.importorskip("timm"), pytest.importorskip("torch")
    from safetensors.torch import save_file

    folder = tmp_path / "weights"
    folder.mkdir()
    torch.manual_seed(0)
    save_file(timm.create_model(NETWORK).state_dict(), folder / f"{NETWORK}.safetensors")
    monkeypatch.setenv("SIGHTLINE_WEIGHTS", str(folder))
    settings.cache_clear()
    return folder


def test_a_folder_becomes_a_recogniser(weights: Path, tmp_path: Path) -> None:
    photos = class_folders(tmp_path / "photos", per_class=14)
    (photos / "red" / "broken.jpg").write_bytes(b"no picture")
    result = train(photos, out=tmp_path / "model", way="probe")
    assert result.way == "probe"
    assert result.weights == f"{NETWORK}.safetensors"
    assert result.task == "multiclass"
    assert set(result.baselines) >= {"majority class"}
    assert [Path(failure.picture).name for failure in result.failures] == ["broken.jpg"]
    card = read_bundle(tmp_path / "model").card
    assert card.parity is not None
    assert card.parity.agreement == 1
    assert card.dataset["pictures"]["train"] + card.dataset["pictures"]["val"] == 42
    assert card.scores == result.scores
    assert Path(result.report).read_text().startswith("<!doctype html>")
    assert latest() == tmp_path / "model"

    answers = predict([photos / "blue"])  # without --model: the one trained last
    assert [answer.labels[0].label for answer in answers.results].count("blue") >= 12

    again = class_folders(tmp_path / "again", per_class=6, seed=77)
    tested = evaluate(again, model=str(tmp_path / "model"))
    assert tested.scores["top1"].n == 18
    assert tested.scores["top1"].low <= tested.scores["top1"].value <= tested.scores["top1"].high
    assert tested.scores["top1"].value > 0.6
    assert not [finding for finding in tested.findings if finding.kind == "leak"]
    known = evaluate(photos, model=str(tmp_path / "model"))
    assert next(finding.kind for finding in known.findings) == "leak", "training pictures in a test are noticed"


def test_the_same_seed_gives_the_same_model(weights: Path, tmp_path: Path) -> None:
    photos = class_folders(tmp_path / "photos", per_class=10)
    first, second = (train(photos, out=tmp_path / name, way="probe", seed=3) for name in ("first", "second"))
    assert read_bundle(first.model).card.id == read_bundle(second.model).card.id


@pytest.mark.parametrize("named", [True, False])
def test_killed_when_the_model_was_just_written(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    photos = class_folders(tmp_path / "photos", per_class=10)
    out = tmp_path / "model" if named else None
    with monkeypatch.context() as patch:
        patch.setattr("sightline.verbs.resolve.remember", lambda *_: sys.exit())  # as a kill would: nothing after it is done
        with pytest.raises(SystemExit):
            train(photos, out=out, way="probe")
    result = train(photos, out=out, way="probe")
    models = settings().home / "models"
    assert result.model == str(out or models / "photos")
    assert not (models / "photos-2").exists()
    assert not list((settings().home / "runs").iterdir())
    with pytest.raises(StorageError):
        train(photos, out=Path(result.model), way="probe")  # a new wish: what lies there is not replaced


def test_yes_or_no_and_several_labels(weights: Path, tmp_path: Path) -> None:
    photos = class_folders(tmp_path / "signs", per_class=10, classes=("red", "not_red"))
    assert train(photos, out=tmp_path / "binary", way="probe").task == "binary"
    assert read_bundle(tmp_path / "binary").card.positive == "red"

    flat = tmp_path / "flat"
    flat.mkdir()
    rows = ["file,label"]
    for index in range(40):
        colour = ("red", "blue")[index % 2]
        round_one = bool(index % 3)
        (flat / f"{index}.jpg").write_bytes(encoded(drawn(2 * index + round_one, colour=COLOURS[colour])))
        rows.append(f"{index}.jpg,{colour}" + ("|round" if round_one else ""))
    (flat / "labels.csv").write_text("\n".join(rows))
    several = train(flat, out=tmp_path / "several", way="probe")
    assert several.task == "multilabel"
    assert "map" in several.scores
    card = read_bundle(tmp_path / "several").card
    assert set(card.thresholds) == {"red", "blue", "round"}
    answer = predict([flat / "0.jpg"], model=str(tmp_path / "several")).results[0]
    assert len(answer.labels) == 3


def test_from_scratch(tmp_path: Path) -> None:
    photos = class_folders(tmp_path / "photos", per_class=12, classes=("red", "blue"))
    result = train(photos, out=tmp_path / "model", size="tiny", way="scratch", minutes=0.05)
    assert (result.way, result.weights) == ("scratch", "none")
    assert predict([photos], model=str(tmp_path / "model")).failures == ()
    assert not any((settings().home / "runs").iterdir()), "a finished run leaves nothing behind"


def test_names_and_existing_models(weights: Path, tmp_path: Path) -> None:
    photos = class_folders(tmp_path / "photos", per_class=6)
    first, second = train(photos, way="probe"), train(photos, way="probe")
    assert [Path(result.model).name for result in (first, second)] == ["photos", "photos-2"]
    assert find_bundle("photos-2") == Path(second.model)
    before = (Path(first.model) / "card.json").read_bytes()
    with pytest.raises(StorageError, match="exists already"):
        train(photos, out=Path(first.model), way="probe")
    assert (Path(first.model) / "card.json").read_bytes() == before
    replaced = train(photos, out=Path(first.model), way="probe", seed=5, replace=True)
    assert json.loads((Path(replaced.model) / "card.json").read_text())["recipe"]["seed"] == 5
    precious = tmp_path / "precious"
    class_folders(precious)
    with pytest.raises(StorageError, match="not a model"):
        train(photos, out=precious, way="probe", replace=True)


def damaged(tmp_path: Path, what: str) -> Path:
    data = tmp_path / "data"
    data.mkdir()
    if what == "one class":
        class_folders(data, classes=("red",))
    elif what == "a class with one picture":
        class_folders(data)
        for file in sorted((data / "red").iterdir())[1:]:
            file.unlink()
    elif what == "no labels":
        (data / "a.jpg").write_bytes(encoded(drawn()))
    elif what == "a label missing":
        class_folders(tmp_path / "x", classes=("red", "blue"))
        for file in (tmp_path / "x").rglob("*.jpg"):
            file.rename(data / file.name)
        rows = [f"{file.name},{'' if file.name < 'red-3' else 'red'}" for file in sorted(data.glob("*.jpg"))]
        (data / "labels.csv").write_text("file,label\n" + "\n".join(rows))
    elif what == "only broken pictures":
        for name in ("a", "b"):
            (data / name).mkdir()
            for index in range(4):
                (data / name / f"{index}.jpg").write_bytes(b"broken")
    return data


@pytest.mark.parametrize(
    "what", ["empty", "one class", "a class with one picture", "no labels", "a label missing", "only broken pictures"]
)
def test_bad_data_get_a_reason_and_leave_nothing(tmp_path: Path, what: str) -> None:
    with pytest.raises(DatasetError) as caught:
        train(damaged(tmp_path, what), out=tmp_path / "model")
    assert caught.value.exit_code == 4
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert not (tmp_path / "model").exists()


def test_impossible_wishes(tmp_path: Path) -> None:
    photos = class_folders(tmp_path / "photos")
    with pytest.raises(UsageError, match="--minutes"):
        train(photos, minutes=0)
    with pytest.raises(UsageError, match="weights"):
        train(photos, way="fine-tune", backbone="resnet18", out=tmp_path / "model")
    with pytest.raises(SightlineError) as caught:
        train(photos, backbone="mobilnetv2_100", out=tmp_path / "model")
    assert "mobilenetv2_100" in caught.value.hint


def test_a_full_disk_is_said_and_leaves_nothing(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    photos = class_folders(tmp_path / "photos", per_class=6)
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name == "model.onnx":
            write(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match="no space left"):
        train(photos, out=tmp_path / "model", way="probe")
    assert [entry.name for entry in tmp_path.iterdir() if "model" in entry.name] == []


def test_evaluate_refuses_foreign_labels(weights: Path, tmp_path: Path) -> None:
    photos = class_folders(tmp_path / "photos", per_class=6)
    train(photos, out=tmp_path / "model", way="probe")
    other = class_folders(tmp_path / "other", classes=("red", "gren"))
    with pytest.raises(DatasetError) as caught:
        evaluate(other, model=str(tmp_path / "model"))
    assert "green" in caught.value.hint


def test_places_may_be_texts(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "photos", 8)
    made = train(str(folder), out=str(tmp_path / "m"), way="classic", features="colour", classifier="bayes")  # type: ignore[arg-type]
    assert Path(made.model) == tmp_path / "m"
