"""The command line as people and scripts meet it: help, exit codes, errors in one line, JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from bundles import CLASSES, tiny_bundle
from pictures import COLOURS, encoded
from sightline.cli import main
from sightline.verbs import VERBS


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main([str(word) for word in words])
    shown = capsys.readouterr()
    return int(stopped.value.code or 0), shown.out, shown.err


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_bundle(tmp_path / "model")


def save(path: Path, colour: str) -> Path:
    path.write_bytes(encoded(Image.new("RGB", (40, 40), COLOURS[colour]), "PNG"))
    return path


def test_first_page_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for name, verb in VERBS.items():
        assert name in out
        assert verb.help in out


@pytest.mark.parametrize("name", list(VERBS))
def test_each_verb_explains_every_parameter(capsys: pytest.CaptureFixture[str], name: str) -> None:
    import inspect

    from sightline.verbs import command

    code, out, _ = run(capsys, name, "--help")
    assert code == 0
    documented = inspect.getdoc(command(name)) or ""
    for parameter in inspect.signature(command(name)).parameters:
        assert f"{parameter}:" in documented, f"{name}: {parameter} has no line under Args"
        assert parameter.replace("_", "-") in out.lower()


def test_predict_json_is_the_contract(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    code, out, err = run(capsys, "predict", save(tmp_path / "r.png", "red"), "--model", model, "--json")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert list(document) == ["results", "failures"]
    assert document["failures"] == []
    (result,) = document["results"]
    assert list(result) == ["picture", "labels", "flags", "took_ms"]
    assert {label["label"] for label in result["labels"]} == set(CLASSES)
    assert [set(label) for label in result["labels"]] == [{"label", "score"}] * 3


def test_predict_goes_on_after_a_bad_picture_and_exits_5(
    capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for colour in CLASSES:
        save(folder / f"{colour}.png", colour)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    code, out, _ = run(capsys, "predict", folder, "--model", model, "--json", "--top", "1")
    document = json.loads(out)
    assert code == 5
    assert [len(result["labels"]) for result in document["results"]] == [1, 1, 1]
    (failure,) = document["failures"]
    assert failure["picture"].endswith("broken.jpg")
    assert set(failure["error"]) == {"code", "message", "hint"}


def test_table_names_the_answer(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    code, out, _ = run(capsys, "predict", save(tmp_path / "b.png", "blue"), "--model", model)
    assert code == 0
    assert "blue" in out
    assert "b.png" in out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["predict", "x.jpg", "--modle", "m"], 2, "--model"),
        (["predict"], 2, "requires"),
        (["predikt", "x.jpg"], 2, "predict"),
        (["predict", "x.jpg", "--model", "nowhere"], 3, "nowhere"),
        (["predict", "x.jpg"], 3, "sightline train"),
        (["train", "no-such-folder"], 3, "no-such-folder"),
        (["train", ".", "--size", "huge"], 2, "huge"),
    ],
)
def test_mistakes_get_one_line_and_the_next_step(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    got, out, err = run(capsys, *words)
    assert got == code
    assert out == ""
    assert says in err
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 2


def test_errors_are_json_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "predict", "x.jpg", "--model", "nowhere", "--json")
    assert code == 3
    assert err == ""
    assert set(json.loads(out)["error"]) == {"code", "message", "hint", "detail"}


def test_an_unforeseen_error_keeps_its_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    import sightline.runtime.model

    def broken(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(sightline.runtime.model, "load", broken)
    code, _, err = run(capsys, "predict", "x.jpg", "--model", model)
    assert code == 1
    file = Path(err.split("the details are in ")[1].split(";")[0])
    assert "ZeroDivisionError" in file.read_text()


def test_progress_is_json_lines_when_nobody_looks(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from sightline import progress
    from sightline.cli import listener

    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(listener.time, "monotonic", lambda: next(clock))
    with progress.listen(listener.JsonLines()):
        list(progress.track(range(3), "Counting"))
        progress.note("all counted")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines[-1] == {"note": "all counted"}
    assert lines[0]["event"] == "Counting"
    assert lines[0]["total"] == 3


def test_module_runs_as_a_program(model: Path, tmp_path: Path) -> None:
    picture = save(tmp_path / "g.png", "green")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "sightline", "predict", picture, "--model", model, "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["results"][0]["labels"][0]["label"] == "green"
