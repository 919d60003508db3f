"""bench: a line for each provider and model, the agreement of answers, what is not there, and how it looks."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bundles import tiny_bundle
from finders import finder_bundle, scene
from pictures import class_folders, encoded
from sightline import progress
from sightline.errors import DatasetError, MissingExtraError, ModelNotFoundError, UsageError
from sightline.runtime import engines
from sightline.runtime.model import load
from sightline.verbs.bench import Bench, bench, show
from sightline.verbs.sameness import answers, made_up, same

needs_openvino = pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="needs the extra 'openvino'")


def text(result: Bench) -> str:
    console = Console(file=io.StringIO(), width=200, color_system=None)
    console.print(show(result))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@needs_openvino
def test_every_provider_that_is_there(tmp_path: Path) -> None:
    result = bench(str(tiny_bundle(tmp_path / "m")), seconds=0.02, threads=2)
    assert [line.provider for line in result.lines] == list(engines.available())
    first, second, *_ = result.lines
    assert (first.faster, first.same) == (None, None)
    assert second.same is not None
    assert second.same.agreement == 1
    assert second.faster is not None
    assert second.throughput is not None
    assert first.bytes == (tmp_path / "m/model.onnx").stat().st_size
    shown = text(result)
    assert "OpenVINO, CPU" in shown
    assert "made-up pictures" in shown
    assert "with decoding" not in shown


def test_against_another_model_on_pictures(tmp_path: Path) -> None:
    pictures = class_folders(tmp_path / "p", per_class=2)
    small, large = tiny_bundle(tmp_path / "small", name="small"), tiny_bundle(tmp_path / "large", name="large")
    result = bench(str(small), against=str(large), provider=["cpu"], seconds=0.02, threads=1, pictures=pictures)
    assert [line.name for line in result.lines] == ["large", "small"]
    assert result.lines[1].same is not None
    assert result.lines[1].same.pictures == 6
    assert all(line.speed.whole_ms for line in result.lines)
    shown = text(result)
    assert "with decoding" in shown
    assert str(pictures) in shown


def test_what_was_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "available", lambda: ("cpu", "coreml"))  # the processes find otherwise
    result = bench(str(tiny_bundle(tmp_path / "m")), seconds=0.02, threads=1)
    assert [line.provider for line in result.lines] == ["cpu"]
    (absent,) = result.absent
    assert (absent.provider, absent.error.code) == ("coreml", "extra_missing")
    assert "coreml" in text(result)


def test_pictures_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    pictures = class_folders(tmp_path / "p", per_class=2)
    broken = next(file for file in sorted(pictures.rglob("*")) if file.is_file())
    broken.write_bytes(broken.read_bytes()[:60])
    model = str(tiny_bundle(tmp_path / "m"))
    with progress.listen(lambda event: said.append(event.note)):
        said: list[str] = []
        result = bench(model, provider=["cpu"], seconds=0.02, threads=1, pictures=pictures)
    assert result.lines[0].speed.whole_ms
    assert "1 of 6 pictures cannot be read and are left out" in said
    for file in pictures.rglob("*"):
        if file.is_file():
            file.write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="no picture in"):
        bench(model, provider=["cpu"], seconds=0.02, threads=1, pictures=pictures)


def test_models_of_two_tasks_are_refused_before_anything_is_measured(tmp_path: Path) -> None:
    tiny, finder = tiny_bundle(tmp_path / "m"), finder_bundle(tmp_path / "finder")
    for model, against in ((tiny, finder), (finder, tiny)):
        with pytest.raises(UsageError, match=r"answers (multiclass|detection), "):
            bench(str(model), against=str(against), provider=["cpu"], seconds=0.02, threads=1)


def test_mistakes(tmp_path: Path) -> None:
    model = str(tiny_bundle(tmp_path / "m"))
    with pytest.raises(UsageError, match="--seconds"):
        bench(model, seconds=0)
    with pytest.raises(UsageError, match="--threads"):
        bench(model, threads=0)
    with pytest.raises(UsageError, match="unknown provider"):
        bench(model, provider=["gpu"])
    if "coreml" not in engines.available():
        with pytest.raises(MissingExtraError):
            bench(model, provider=["coreml"])
    with pytest.raises(ModelNotFoundError):
        bench(model, against="nowhere")


def test_other_answers_are_counted(tmp_path: Path) -> None:
    pictures = class_folders(tmp_path / "p", per_class=2)
    files = sorted(map(str, pictures.rglob("*.jpg")))
    model = load(tiny_bundle(tmp_path / "m"))
    turned = load(tiny_bundle(tmp_path / "t", classes=("green", "red", "blue")))
    found = answers(model, [*files, str(tmp_path / "none.jpg")], 0)
    assert list(found) == files
    assert same(found, answers(turned, files, 0)).agreement == 1  # by name, not by place
    red = {name: one for name, one in found.items() if one.decision == ("red",)}
    told = {name: found[other] for name, other in zip(found, reversed(found), strict=True)}
    assert same(found, told).agreement == pytest.approx(2 / 6)
    assert len(red) == 2
    with pytest.raises(UsageError, match="no picture"):
        same(found, {})


def test_objects_are_the_same_at_the_same_places(tmp_path: Path) -> None:
    model = load(finder_bundle(tmp_path / "f"))

    def told(**places: tuple[int, int, int, int]) -> dict[str, object]:
        return {"one": model.predict(encoded(scene(places), "PNG"))}

    both = told(red=(10, 10, 60, 60), blue=(80, 60, 130, 110))
    assert same(both, told(red=(12, 10, 62, 60), blue=(80, 60, 130, 110))).agreement == 1
    assert same(both, told(red=(10, 10, 60, 60))).agreement == 0
    assert same(both, told(red=(60, 10, 110, 60), blue=(80, 60, 130, 110))).agreement == 0
    assert same(both, told(green=(10, 10, 60, 60), blue=(80, 60, 130, 110))).agreement == 0
    whole = load(tiny_bundle(tmp_path / "m"))
    with pytest.raises(UsageError, match="same question"):
        same({"one": np.zeros((2, 2))}, {"one": whole.predict(made_up(1)[0])})


def test_made_up_pictures_are_always_the_same_and_differ() -> None:
    first, again = made_up(4), made_up(4)
    assert all((one == other).all() for one, other in zip(first, again, strict=True))
    assert len({one.tobytes() for one in first}) == 4
