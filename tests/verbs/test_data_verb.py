"""The verb data: list, show, diff, split, export, name, undo, on the workspace and on plain folders."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from bundles import tiny_bundle
from pictures import class_folders, drawn, encoded
from sightline.cli import main
from sightline.data.readers import read
from sightline.errors import ConflictError, NotFoundError, UsageError
from sightline.settings import settings
from sightline.store import datasets, names
from sightline.store.database import database
from sightline.store.records import Difference
from sightline.types import Made
from sightline.verbs.data import Exported, Shown, Versions, data, show
from sightline.verbs.predict import predict


def said(result: object) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(show(result))
    return console.file.getvalue()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder that the workspace knows as `signs`."""
    folder = class_folders(tmp_path / "photos", per_class=10)
    made = Made(verb="collect", arguments={"source": "photos/"})
    names.point(database(), "dataset", "signs", datasets.add(database(), read(folder), made), "collect")
    return folder


def test_a_story_from_list_to_undo(photos: Path, tmp_path: Path) -> None:
    listed = data()
    assert isinstance(listed, Versions)
    (first,) = listed.versions
    assert (first.names, first.pictures, first.sizes) == (("signs",), 30, {"unsplit": 30})
    divided = data("split", "signs", val=0.2, test=0.1)
    assert isinstance(divided, Shown)
    assert divided.sizes == {"train": 21, "val": 6, "test": 3}
    assert divided.counts["test"] == {"red": 1, "green": 1, "blue": 1}
    assert (divided.parents, divided.names) == ((first.hash,), ("signs",))
    assert divided.made is not None
    assert divided.made.arguments["test"] == 0.1

    (photos / "red" / "new.jpg").write_bytes(encoded(drawn(99)))
    (photos / "blue" / "blue-0.jpg").rename(photos / "green" / "blue-0.jpg")
    grown = datasets.add(database(), read(photos), Made(verb="collect"))
    found = data("diff", first.hash, grown)
    assert isinstance(found, Difference)
    assert (found.counts["added"], found.counts["renamed"], found.same) == (1, 1, 29)
    assert "red/new.jpg" in said(found)

    back = data("undo", "signs")
    assert isinstance(back, Shown)
    assert back.hash == first.hash
    assert [move.why for move in back.history] == ["collect", "data split", "undo"]
    assert "undo" in said(back)
    with pytest.raises(ConflictError):
        data("undo", "signs")
    named = data("name", "best so far", divided.hash[:10])
    assert named.names == ("best so far",)
    assert {name for version in data("list").versions for name in version.names} == {"signs", "best so far"}
    text = said(data())
    assert "best so far" in text
    assert "data split" in text


def test_export_writes_the_exact_split(photos: Path, tmp_path: Path) -> None:
    version = data("split", "signs", val=0.2, test=0.2)
    out = tmp_path / "out"
    written = data("export", "signs", out=out)
    assert isinstance(written, Exported)
    assert (written.pictures, written.failures, written.dataset) == (30, (), version.hash)
    again = read(out)
    assert {part: len(again.part(part)) for part in ("train", "val", "test")} == version.sizes
    assert {(item.sha256, item.split, item.labels) for item in again.items} == {
        (item.sha256, item.split, item.labels) for item in datasets.get(database(), "signs").items
    }
    (photos / "red" / "red-0.jpg").unlink()
    partly = data("export", "signs", format="csv", out=tmp_path / "partly")
    assert [Path(failure.picture).name for failure in partly.failures] == ["red-0.jpg"]
    assert partly.pictures == 29
    assert "left out" in said(partly)


def test_plain_folders_without_a_workspace(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "photos", per_class=3)
    shown = data("show", str(folder))
    assert isinstance(shown, Shown)
    assert (shown.hash, shown.made, shown.counts) == (read(folder).hash, None, {"unsplit": {"blue": 3, "green": 3, "red": 3}})
    assert "unsplit" in said(shown)
    assert data("export", str(folder), format="csv", out=tmp_path / "csv").pictures == 9
    assert not (settings().home / "sightline.db").exists(), "looking at a folder makes no workspace"
    assert "no datasets yet" in said(data())


def test_a_name_goes_before_a_folder_of_that_name(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos.parent)
    assert data("show", "photos").made is None
    data("name", "photos", data().versions[0].hash)
    assert data("show", "photos").made is not None
    assert data("show", "photos/").made is None


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("list", "signs"), "sightline data list"),
        (("show",), "sightline data show NAME"),
        (("diff", "signs"), "sightline data diff OLD NEW"),
        (("undo", "a", "b"), "sightline data undo NAME"),
        (("export", "signs"), "--out"),
    ],
)
def test_what_is_missing_is_said(photos: Path, words: tuple[str, ...], hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        data(*words)
    assert hint in caught.value.hint


def test_names_that_are_not_there(photos: Path) -> None:
    for words in (("show", "sings"), ("split", "sings"), ("diff", "sings", "signs"), ("name", "x", "sings")):
        with pytest.raises(NotFoundError) as caught:
            data(*words)
        assert caught.value.hint == "did you mean signs?"
    with pytest.raises(UsageError, match="shares"):
        data("split", "signs", val=1.5)
    with pytest.raises(UsageError, match="looks like a hash"):
        data("name", "abcdef12", "signs")


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return int(str(ended.value.code))


def test_the_command_line(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "split", "signs", "--val", "0.2", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["sizes"] == {"train": 24, "val": 6}
    assert run("data") == 0
    assert told["hash"][:12] in capsys.readouterr().out
    assert run("data", "show", "sings", "--json") == 3
    assert json.loads(capsys.readouterr().out)["error"]["hint"] == "did you mean signs?"
    assert run("data", "turn", "signs") == 2


def test_answers_of_a_model_are_kept_beside_the_truth(photos: Path, tmp_path: Path) -> None:
    named = datasets.add(database(), read(photos), Made(verb="test"))
    assert showed(named).said == ()
    answers = predict([photos], model=str(tiny_bundle(tmp_path / "tiny")), keep=True)
    (one,) = showed(named).said
    assert one.pictures == one.labelled == len(answers.results)
    assert one.agree == sum(answer.decision == (Path(answer.picture).parent.name,) for answer in answers.results)
    assert "what models said" in said(showed(named))


def showed(reference: str) -> Shown:
    found = data("show", reference)
    assert isinstance(found, Shown)
    return found
