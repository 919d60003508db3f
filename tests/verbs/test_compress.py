"""compress on a small network of drawn pictures: every coding, limits met and not met, trainings, going on after a stop."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from pictures import class_folders
from sightline.errors import DataError, DatasetError, StorageError, UsageError
from sightline.measure.compressed import Candidate, Limits
from sightline.runtime.bundle import WEIGHTS, read_bundle
from sightline.settings import settings
from sightline.shrink.how import How
from sightline.verbs import compress as compress_verb
from sightline.verbs import compressing
from sightline.verbs.compress import RECORD, compress, show
from sightline.verbs.evaluate import evaluate
from sightline.verbs.models import models
from sightline.verbs.models import show as show_models
from sightline.verbs.predict import predict
from sightline.verbs.train import train

pytestmark = pytest.mark.deep


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A network from scratch and its pictures."""
    root = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGHTLINE_HOME", str(root / "home"))
        patch.setenv("SIGHTLINE_OFFLINE", "1")
        settings.cache_clear()
        photos = class_folders(root / "photos", per_class=24)
        train(photos, out=root / "model", way="scratch", size="tiny", input_size=32, plan="epochs=6")
    settings.cache_clear()
    return root / "model", photos


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Codings that are really written, in order."""
    made: list[str] = []
    real = compressing.coded

    def counted(work: object, base: object, coding: str) -> bytes:
        made.append(coding)
        return real(work, base, coding)  # type: ignore[arg-type]

    monkeypatch.setattr(compressing, "coded", counted)
    return made


def printed(rows: RenderableType) -> str:
    told = io.StringIO()
    Console(file=told, width=200).print(rows)
    return told.getvalue()


def test_every_coding_is_measured_and_the_taken_one_is_a_model(trained: tuple[Path, Path], tmp_path: Path) -> None:
    model, photos = trained
    result = compress(str(model), photos, out=tmp_path / "small")
    names = {one.how: one for one in result.candidates}
    assert set(names) == {
        "fp16", "weights8", "int8:minmax", "int8:entropy", "int8:percentile", "weights4", "clustered",
    }  # fmt: skip
    before = result.before
    assert before.bytes == (model / "model.onnx").stat().st_size
    for one in names.values():
        assert one.state == "finished", one.why
        assert one.bytes < 0.6 * before.bytes
        assert one.latency_ms > 0
        assert one.peak_mb > 0
        assert one.scores["top1"].n == result.pictures
        assert one.drop == pytest.approx(before.scores["top1"].value - one.scores["top1"].value)
        assert set(one.class_drops) == {"red", "green", "blue"}
    small = read_bundle(tmp_path / "small")
    given = small.card.compressed
    assert given is not None
    assert given.parent == read_bundle(model).card.id
    assert given.how == result.how
    assert given.bytes_after == (tmp_path / "small" / "model.onnx").stat().st_size == names[result.how].bytes
    assert 0 <= given.agreement <= 1
    assert predict([next(photos.rglob("*.jpg"))], model=str(tmp_path / "small")).results[0].labels
    assert evaluate(photos, model=str(tmp_path / "small"), report=tmp_path / "r").pictures == 72
    assert Path(result.report).read_text().startswith("<!doctype html>")
    assert json.loads((tmp_path / "small" / RECORD).read_bytes())["how"] == result.how
    assert "int8:minmax" in printed(show(result))
    passport = printed(show_models(models("show", str(tmp_path / "small"))))
    assert f"{result.how} of {given.parent_name}" in passport


def test_test_pictures_take_no_part_in_the_choice(trained: tuple[Path, Path], tmp_path: Path) -> None:
    model, _ = trained
    for part, count, seed in (("train", 12, 0), ("val", 5, 500), ("test", 4, 700)):
        class_folders(tmp_path / "data" / part, per_class=count, seed=seed)
    result = compress(str(model), tmp_path / "data", out=tmp_path / "small", how="fp16,weights8")
    assert {one.scores["top1"].n for one in (result.before, *result.candidates)} == {15}
    assert result.certificate is not None
    assert (result.certificate.scored_on, result.certificate.pictures) == ("test", 12)
    assert read_bundle(tmp_path / "small").card.scores["top1"].n == 12


def test_a_way_that_fails_is_tried_again(trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bytes:
        raise DataError("no room for it just now", hint="wait")

    model, photos = trained
    with monkeypatch.context() as patch:
        patch.setattr(compressing, "coded", broken)
        with pytest.raises(DataError, match="no room for it just now"):
            compress(str(model), photos, out=tmp_path / "small", how="fp16")
    assert compress(str(model), photos, out=tmp_path / "small", how="fp16").how == "fp16"


def test_limits_that_nothing_meets_name_the_nearest_and_write_nothing(
    trained: tuple[Path, Path], tmp_path: Path, attempts: list[str]
) -> None:
    model, photos = trained
    with pytest.raises(DataError) as caught:
        compress(str(model), photos, out=tmp_path / "small", how="int8,fp16", max_size="1kB")
    assert "the nearest is int8" in caught.value.message
    assert "--max-size" in caught.value.hint
    assert caught.value.detail["candidates"][0]["how"] == "int8"
    assert Path(caught.value.detail["report"]).is_file()
    assert not (tmp_path / "small").exists()
    made = list(attempts)
    room = f"{caught.value.detail['candidates'][0]['bytes']}B"
    result = compress(str(model), photos, out=tmp_path / "small", how="int8,fp16", max_size=room)
    assert result.how == "int8"
    assert attempts == made, "what was made for other limits is found again"


def test_a_step_that_trains_gives_a_model_that_can_be_trained_on(trained: tuple[Path, Path], tmp_path: Path) -> None:
    model, photos = trained
    result = compress(str(model), photos, out=tmp_path / "small", how="prune:0.5,prune:0.5+int8", epochs=1, max_drop="100%")
    first, second = result.candidates
    assert (first.state, second.state) == ("finished", "finished"), (first.why, second.why)
    assert second.bytes < first.bytes < result.before.bytes
    again = compress(str(model), photos, out=tmp_path / "float", how="prune:0.5", epochs=1, max_drop="100%")
    assert again.how == "prune:0.5"
    assert (tmp_path / "float" / WEIGHTS).is_file()


def test_nothing_is_overwritten_unasked(trained: tuple[Path, Path], tmp_path: Path) -> None:
    model, photos = trained
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "mine.txt").write_text("mine")
    with pytest.raises(StorageError, match="exists already"):
        compress(str(model), photos, out=tmp_path / "small", how="fp16")
    assert (tmp_path / "small" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"how": "smaller"}, "--how does not know"),
        ({"max_size": "small"}, "--max-size"),
        ({"max_drop": "-1%"}, "--max-drop"),
        ({"calibrate": 4}, "16 pictures or more"),
        ({"minutes": 0.0}, "--minutes"),
        ({"epochs": 0}, "--epochs"),
    ],
)
def test_impossible_wishes_are_refused_first(
    trained: tuple[Path, Path], tmp_path: Path, wish: dict[str, object], said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        compress(str(trained[0]), tmp_path / "nowhere", **wish)  # type: ignore[arg-type]
    assert said in caught.value.message


def test_data_that_do_not_fit_are_refused(trained: tuple[Path, Path], tmp_path: Path) -> None:
    other = class_folders(tmp_path / "other", per_class=8, classes=("red", "grean"))
    with pytest.raises(DatasetError) as caught:
        compress(str(trained[0]), other, how="fp16")
    assert "did you mean green" in caught.value.hint


def test_a_compressed_model_is_not_compressed_again(trained: tuple[Path, Path], tmp_path: Path) -> None:
    model, photos = trained
    compress(str(model), photos, out=tmp_path / "small", how="fp16")
    with pytest.raises(UsageError, match="compressed model already"):
        compress(str(tmp_path / "small"), photos, how="int8")


def test_a_classic_recogniser_is_refused(trained: tuple[Path, Path], tmp_path: Path) -> None:
    train(trained[1], out=tmp_path / "classic", way="classic", features="colour", classifier="logistic")
    with pytest.raises(UsageError, match="is a classic recogniser"):
        compress(str(tmp_path / "classic"), trained[1], how="int8")


def test_a_limit_that_is_just_missed_asks_for_ways_that_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    best = Candidate(how="int8:minmax", bytes=1000, latency_ms=1.0)
    asked: list[str] = []

    def attempt(_: object, how: How) -> Candidate:
        asked.append(how.text)
        return best.model_copy(update={"how": how.text, "bytes": 500})

    monkeypatch.setattr(compressing, "attempt", attempt)
    tried = list(compress_verb._narrowed(None, best, Limits(bytes=999)))  # type: ignore[arg-type]
    assert [one.how for one in tried] == asked
    assert asked[0] == "prune:0.9+int8:minmax"
    assert asked[-1] == "width:0.95+int8:minmax"


def test_what_was_kept_and_is_broken_is_made_again(trained: tuple[Path, Path], tmp_path: Path, attempts: list[str]) -> None:
    model, photos = trained
    result = compress(str(model), photos, out=tmp_path / "small", how="fp16,weights8", seed=3)
    kept = [Path(one.model) for one in result.candidates]
    (kept[0] / "model.onnx").write_bytes(b"half of it")
    (kept[1].parent / "candidate.json").write_text("{")
    made = len(attempts)
    again = compress(str(model), photos, out=tmp_path / "again", how="fp16,weights8", seed=3)
    assert len(attempts) == made + 2
    assert [one.bytes for one in again.candidates] == [one.bytes for one in result.candidates]


def test_a_share_that_pruning_cannot_reach_aims_at_the_smallest(monkeypatch: pytest.MonkeyPatch) -> None:
    best = Candidate(how="fp16", bytes=1000, latency_ms=1.0)
    asked: list[str] = []

    def attempt(_: object, how: How) -> Candidate:
        asked.append(how.text)
        if how.text.startswith("prune:0.1"):
            return Candidate(how=how.text, state="failed", smallest=0.234, fits=False)
        return best.model_copy(update={"how": how.text, "bytes": 200})

    monkeypatch.setattr(compressing, "attempt", attempt)
    list(compress_verb._narrowed(None, best, Limits(bytes=110)))  # type: ignore[arg-type]
    assert asked == ["prune:0.1+fp16", "prune:0.234+fp16", "width:0.33+fp16", "width:0.24+fp16"]


def test_a_small_file_that_loses_much_is_no_reason_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def attempt(_: object, how: How) -> Candidate:
        asked.append(how.text)
        return Candidate(how=how.text, bytes=500, latency_ms=1.0, drop=0.0 if how.steps else 0.1)

    monkeypatch.setattr(compressing, "attempt", attempt)
    list(compress_verb._searched(None, Limits(bytes=999)))  # type: ignore[arg-type]
    assert asked[-2:] == ["int8:mixed", "qat+int8:minmax"]
