"""train, evaluate and --compare on pictures with boxes. A stand-in for training finds each class by its colour."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from finders import CLASSES, finder_bundle, finder_card, finder_onnx, scene
from pictures import class_folders
from sightline import progress
from sightline.errors import DatasetError, MissingExtraError, UsageError
from sightline.measure.detection import ClassDetection
from sightline.runtime.bundle import read_bundle
from sightline.types import Dataset, Parity
from sightline.verbs import detecting, material, sighted
from sightline.verbs import evaluate as evaluate_verb
from sightline.verbs import train as train_verb
from sightline.verbs.evaluate import evaluate
from sightline.verbs.train import train

pytestmark = pytest.mark.deep


def voc(folder: Path, count: int = 24, seed: int = 0, lists: tuple[int, ...] = ()) -> Path:
    """Pascal VOC: images/ and annotations/, each picture with one or two coloured rectangles; `lists`: train.txt of so many."""
    rng = np.random.default_rng(seed)
    for name in ("images", "annotations"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        width, height = int(rng.integers(140, 200)), int(rng.integers(100, 140))
        named = [CLASSES[(number + step) % 3] for step in range(1 + number % 2)]
        places = {}
        for place, name in enumerate(named):
            x, y = int(rng.integers(4, 20)) + 70 * place, int(rng.integers(4, 40))
            places[name] = (x, y, x + int(rng.integers(20, 44)), y + int(rng.integers(20, 50)))
        scene(places, (width, height)).save(folder / "images" / f"{number:03}.png")
        objects = "".join(
            f"<object><name>{name}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
            for name, (x0, y0, x1, y1) in places.items()
        )
        size = f"<size><width>{width}</width><height>{height}</height></size>"
        text = f"<annotation><filename>{number:03}.png</filename>{size}{objects}</annotation>"
        (folder / "annotations" / f"{number:03}.xml").write_text(text)
    if lists:
        cut = lists[0]
        (folder / "train.txt").write_text("".join(f"{number:03}\n" for number in range(cut)))
        (folder / "val.txt").write_text("".join(f"{number:03}\n" for number in range(cut, count)))
    return folder


@pytest.fixture
def notes() -> Iterator[list[str]]:
    """What is said while a test runs."""
    said: list[str] = []
    with progress.listen(lambda event: said.append(event.note)):
        yield said


@dataclass
class StandIn:
    """What learn.detect.way leaves, made without training."""

    onnx: bytes
    input: Any
    recipe: Any
    weights: bytes | None = None
    parity: Parity = field(default_factory=lambda: Parity(pictures=4, agreement=1, largest_difference=0, largest_shift=0))
    history: tuple[dict[str, float | None], ...] = ({"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0})
    thresholds: dict[str, float] = field(default_factory=dict)
    failures: tuple[()] = ()
    broken: None = None
    parts: dict[str, bytes] = field(default_factory=dict)


@pytest.fixture
def learnt(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The requests that came to training."""
    requests: list[Any] = []

    def learn(dataset: Dataset, request: Any, run: Path, *, salvage: bool = False) -> StandIn:
        requests.append(request)
        name = request.backbone or "yolo-small"
        size = 96 if "tiny" in name else 160
        card = finder_card(classes=dataset.classes)
        spec = card.input.model_copy(update={"size": size})
        card = card.model_copy(update={"input": spec})
        return StandIn(finder_onnx(card), spec, card.recipe.model_copy(update={"backbone": name}))

    monkeypatch.setattr(detecting, "learn", learn)
    return requests


def printed(thing: Any) -> str:
    console = Console(width=160, file=io.StringIO(), record=True)
    console.print(thing)
    return console.export_text()


def test_boxes_make_train_build_a_detector(learnt: list[Any], tmp_path: Path) -> None:
    data = voc(tmp_path / "shapes", lists=(16,))
    result = train(data, out=tmp_path / "model")
    assert result.task == "detection"
    assert learnt[0].way == "detect"
    assert result.scored_on == "val"
    assert result.scores["map50"].value > 0.95
    assert result.scores["map50"].n == 8, "the lists of the folder are the split"
    assert result.scores["recall"].value == 1
    assert "the usual places, without looking" in result.baselines
    assert result.baselines["the usual places, without looking"].value < result.scores["map50"].value
    card = read_bundle(tmp_path / "model").card
    assert set(card.thresholds) == set(CLASSES)
    assert all(0.05 < value < 1 for value in card.thresholds.values())
    assert card.dataset["train_objects"]["red"] > 0
    page = Path(result.report).read_text()
    assert page.startswith("<!doctype html>")
    assert "Kinds of error" in page
    assert "How it learned" in page
    shown = printed(train_verb.show(result))
    assert "of 100 objects" in shown
    assert "mAP@.5" in shown

    other = voc(tmp_path / "others", count=9, seed=5)
    tested = evaluate(other, model=str(tmp_path / "model"))
    text = json.loads(tested.model_dump_json())
    assert text["scores"]["map50"]["value"] > 0.95
    assert {"low", "high", "n"} <= set(text["scores"]["map"])
    red = tested.classes["red"]
    assert isinstance(red, ClassDetection)
    assert red.support == 4
    assert type(tested).model_validate_json(tested.model_dump_json()) == tested
    shown = printed(evaluate_verb.show(tested))
    assert "from score" in shown
    assert "badly placed" in shown


def test_a_test_part_is_scored_and_never_chooses(learnt: list[Any], tmp_path: Path) -> None:
    data = voc(tmp_path / "shapes", lists=(12,))
    (data / "test.txt").write_text("".join(f"{number:03}\n" for number in range(18, 24)))
    (data / "val.txt").write_text("".join(f"{number:03}\n" for number in range(12, 18)))
    result = train(data, out=tmp_path / "model")
    assert result.scored_on == "test"
    assert result.scores["map50"].n == 6


def test_separate_validation_pictures(learnt: list[Any], tmp_path: Path) -> None:
    result = train(voc(tmp_path / "one"), val=voc(tmp_path / "two", count=7, seed=3), out=tmp_path / "model")
    assert result.scores["map50"].n == 7


def test_a_wanted_precision_is_kept_in_the_card(learnt: list[Any], tmp_path: Path) -> None:
    data = voc(tmp_path / "shapes", lists=(16,))
    train(data, out=tmp_path / "model", precision=0.9)
    assert set(read_bundle(tmp_path / "model").card.thresholds) == set(CLASSES)
    tested = evaluate(data, model=str(tmp_path / "model"), precision=0.95)
    assert all(one.precision.value >= 0.95 for one in tested.classes.values())
    for wrong in (0.0, 1.5):
        with pytest.raises(UsageError, match="share between 0 and 1"):
            train(data, precision=wrong)
    with pytest.raises(UsageError, match="--precision is for detectors"):
        train(data, way="probe", precision=0.9)


def test_detectors_are_compared(learnt: list[Any], tmp_path: Path) -> None:
    data = voc(tmp_path / "shapes", lists=(14,))
    result = train(data, out=tmp_path / "model", compare="yolo-tiny,yolo-small", minutes=3, keep=True)
    board = result.leaderboard
    assert board is not None
    assert board.measure == "map50"
    assert {one.name for one in board.entries} == {"yolo-tiny", "yolo-small"}
    assert all(one.score and one.latency_ms and one.file_bytes for one in board.entries)
    assert {request.backbone for request in learnt} == {"yolo-tiny", "yolo-small"}
    assert [round(request.minutes, 2) for request in learnt] == [1.5, 1.5], "no first looks: detectors differ in pace"
    assert "mAP@.5" in (tmp_path / "model" / "leaderboard.html").read_text()
    assert len(list((tmp_path / "model" / "candidates").iterdir())) == 1


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"way": "detect", "tune": True}, "--tune does not go with a detector"),
        ({"way": "detect", "folds": 3}, "--folds does not go with a detector"),
        ({"way": "detect", "search": "tpe"}, "--search does not go with a detector"),
        ({"backbone": "yolo-small", "features": "hog"}, "--features"),
        ({"backbone": "yolo-small", "cell": "gru"}, "--cell does not go with a detector"),
        ({"backbone": "yolo-small", "fit": "crop"}, "whole picture"),
        ({"backbone": "yolo-small", "way": "probe"}, "leave out --way|which --way probe does not"),
        ({"backbone": "yolo-smal:resnet18"}, "no detector is called"),
        ({"compare": "yolo-small,probe"}, "cannot be compared"),
        ({"compare": "yolo-small"}, "two detectors or more"),
        ({"compare": "yolo-small,yolo-small"}, "named twice"),
    ],
)
def test_what_a_detector_cannot_have(learnt: list[Any], tmp_path: Path, wishes: dict[str, Any], message: str) -> None:
    data = voc(tmp_path / "shapes", count=8, lists=(6,))
    with pytest.raises(UsageError, match=message):
        train(data, out=tmp_path / "model", **wishes)
    assert not learnt


def test_wishes_are_refused_where_the_data_turn_out_to_have_boxes(learnt: list[Any], tmp_path: Path) -> None:
    data = voc(tmp_path / "shapes", count=8, lists=(6,))
    with pytest.raises(UsageError, match="--tune does not go with a detector") as refused:
        train(data, tune=True, minutes=1)
    assert "--way fine-tune" in refused.value.hint
    assert not learnt
    train(data, backbone="resnet18", out=tmp_path / "model")
    assert learnt[0].backbone == "resnet18", "a network that is no detector becomes the body of one"


def test_a_detector_needs_boxes(learnt: list[Any], tmp_path: Path) -> None:
    folders = class_folders(tmp_path / "photos", per_class=6)
    with pytest.raises(DatasetError, match="learns from boxes"):
        train(folders, way="detect")
    finder = finder_bundle(tmp_path / "finder")
    with pytest.raises(DatasetError, match="measured on boxes"):
        evaluate(folders, model=str(finder))


def test_what_measuring_needs_is_missed_before_training(
    learnt: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = voc(tmp_path / "shapes", count=8, lists=(6,))
    monkeypatch.setattr(detecting, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="objects"):
        train(data, out=tmp_path / "model")
    assert not learnt


def test_labels_that_the_detector_does_not_know(tmp_path: Path) -> None:
    data = voc(tmp_path / "shapes", count=6)
    finder = finder_bundle(tmp_path / "finder", classes=("red", "green"))
    with pytest.raises(DatasetError, match="does not know the label 'blue'"):
        evaluate(data, model=str(finder))


def test_broken_pictures_are_named_and_left_out(learnt: list[Any], tmp_path: Path) -> None:
    data = voc(tmp_path / "shapes", lists=(16,))
    (data / "images" / "020.png").write_bytes(b"no picture")
    result = train(data, out=tmp_path / "model")
    assert [Path(failure.picture).name for failure in result.failures] == ["020.png"]
    assert result.scores["map50"].n == 7


def test_kept_answers_come_back_as_they_were() -> None:
    from sightline.runtime.found import Found, nothing
    from sightline.types import Item

    found = Found(np.array([[0, 1, 2, 3]], np.float32), np.array([0.5], np.float32), np.array([2], np.int64))
    items = (Item(uri="/a", name="a"), Item(uri="/b", name="b"))
    back = sighted.unpacked(sighted.packed(sighted.Sighted(items, (nothing(), found))))
    assert len(back["/a"]) == 0
    assert back["/b"].boxes.tolist() == [[0, 1, 2, 3]]
    assert back["/b"].labels.tolist() == [2]


def test_places_that_were_mended_are_said_and_used(tmp_path: Path, learnt: list[Any], notes: list[str]) -> None:
    folder = voc(tmp_path / "data")
    page = folder / "annotations" / "003.xml"
    text = page.read_text()
    page.write_text(text.replace("xmin", "swap").replace("xmax", "xmin").replace("swap", "xmax"))
    result = train(folder, out=tmp_path / "model")
    assert result.failures == ()
    assert any("places mended in 1 pictures" in note and "003" in note for note in notes)
    assert evaluate(folder, model=result.model).failures == ()


def test_many_warnings_of_a_kind_are_counted(tmp_path: Path, learnt: list[Any], notes: list[str]) -> None:
    folder = voc(tmp_path / "data", lists=(12,))
    for number in range(6):  # the same pictures on both sides
        for part, kind in (("images", "png"), ("annotations", "xml")):
            content = (folder / part / f"{number:03}.{kind}").read_bytes()
            (folder / part / f"{number + 12:03}.{kind}").write_bytes(
                content.replace(f"{number:03}.png".encode(), f"{number + 12:03}.png".encode())
            )
    train(folder, out=tmp_path / "model")
    leaks = [note for note in notes if note.startswith("leak: ")]
    assert len(leaks) == material.SAID + 1
    assert "and 3 more" in leaks[-1]
