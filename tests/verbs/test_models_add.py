"""models add: other makers' YOLO files answer like our own; files that are something else are refused with the reason."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from bundles import tiny_card, tiny_onnx
from finders import CLASSES, finder_card, finder_onnx, scene
from pictures import encoded
from sightline.errors import BundleError, NotFoundError, StorageError, UsageError
from sightline.settings import settings
from sightline.verbs.models import models, show
from sightline.verbs.predict import predict

PLACES = {"red": (20, 30, 60, 70), "blue": (100, 10, 140, 90)}
NAMES = {"names": "{0: 'red', 1: 'green', 2: 'blue'}", "license": "AGPL-3.0", "author": "somebody"}


def foreign(path: Path, layout: str = "yolov8", metadata: dict[str, str] | None = None, **options: bool) -> Path:
    path.write_bytes(finder_onnx(finder_card(layout=layout), metadata=metadata, **options))
    return path


@pytest.fixture
def names(tmp_path: Path) -> Path:
    path = tmp_path / "names.txt"
    path.write_text("red\ngreen\nblue\n")
    return path


@pytest.mark.parametrize(
    ("layout", "said"),
    [("yolov8", "yolov8"), ("yolov5", "yolov5"), ("yolov10", "yolov10"), ("yolov8", "YOLO11"), ("yolov8", None)],
)
def test_added_it_answers_in_pixels(layout: str, said: str | None, tmp_path: Path, names: Path):
    file = foreign(tmp_path / "theirs.onnx", layout)
    shown = models("add", str(file), layout=said, classes=names, name="mine")
    assert shown.card.layout == layout
    assert shown.card.classes == CLASSES
    assert shown.card.task == "detection"
    assert Path(shown.path) == settings().home / "models" / "mine"
    (tmp_path / "one.png").write_bytes(encoded(scene(PLACES), "PNG"))
    (answer,) = predict([tmp_path / "one.png"], model="mine").results
    assert {label.label for label in answer.labels} == set(PLACES)
    for label in answer.labels:
        assert np.abs(np.array(label.box) - PLACES[label.label]).max() <= 1.7
    assert "mine" in [line.name for line in models("list").models]


def test_names_and_licence_from_the_file_itself(tmp_path: Path):
    shown = models("add", str(foreign(tmp_path / "theirs.onnx", metadata=NAMES)))
    assert shown.card.classes == CLASSES
    assert shown.card.licence == "AGPL-3.0"
    assert shown.card.name == "theirs"
    from rich.console import Console

    console = Console(width=160, file=io.StringIO(), record=True)
    console.print(show(shown))
    text = console.export_text()
    assert "AGPL-3.0" in text
    assert "not measured here" in text
    with pytest.raises(StorageError, match="already"):
        models("add", str(tmp_path / "theirs.onnx"))


def test_names_from_a_data_yaml(tmp_path: Path):
    (tmp_path / "data.yaml").write_text("names:\n  0: red\n  1: green\n  2: blue\n")
    shown = models("add", str(foreign(tmp_path / "a.onnx", "yolov5")), classes=tmp_path / "data.yaml")
    assert shown.card.layout == "yolov5"


@pytest.mark.parametrize("text", ["__import__('os')", "{0: 'a', 2: 'b'}", "[", "{'x': 'y'}", "(" * 5000, "7"])
def test_names_that_are_no_list_are_refused_and_never_run(text: str, tmp_path: Path):
    with pytest.raises(UsageError, match="name"):
        models("add", str(foreign(tmp_path / "a.onnx", metadata={"names": text})))


def test_files_that_do_not_fit(tmp_path: Path, names: Path):
    (tmp_path / "four.txt").write_text("a\nb\nc\nd\n")
    (tmp_path / "twice.txt").write_text("a\nb\na\n")
    file = str(foreign(tmp_path / "a.onnx"))
    with pytest.raises(UsageError, match="fit no layout"):
        models("add", file, classes=tmp_path / "four.txt")
    with pytest.raises(BundleError, match="4 classes"):
        models("add", file, layout="yolov8", classes=tmp_path / "four.txt")
    with pytest.raises(BundleError, match="layout yolov5"):
        models("add", file, layout="yolov5", classes=names)
    with pytest.raises(UsageError, match="two classes"):
        models("add", file, classes=tmp_path / "twice.txt")
    with pytest.raises(UsageError, match="does not name its classes"):
        models("add", file)
    with pytest.raises(UsageError, match="unknown layout"):
        models("add", file, layout="ssd", classes=names)
    with pytest.raises(NotFoundError):
        models("add", file, classes=tmp_path / "nothing.txt")
    with pytest.raises(NotFoundError):
        models("add", str(tmp_path / "nothing.onnx"))
    with pytest.raises(UsageError, match="without slashes"):
        models("add", file, classes=names, name="../up")
    (tmp_path / "weights.pt").write_bytes(b"PK")
    with pytest.raises(UsageError, match="no ONNX"):
        models("add", str(tmp_path / "weights.pt"))
    (tmp_path / "broken.onnx").write_bytes(b"nothing")
    with pytest.raises(BundleError, match="cannot be loaded"):
        models("add", str(tmp_path / "broken.onnx"), classes=names)
    (tmp_path / "ours.onnx").write_bytes(tiny_onnx(tiny_card()))
    with pytest.raises(BundleError, match="the graph takes"):
        models("add", str(tmp_path / "ours.onnx"), classes=names)
    assert not (settings().home / "models").exists()


def test_options_of_add_alone(names: Path):
    with pytest.raises(UsageError, match="models add"):
        models("list", classes=names)
    with pytest.raises(UsageError, match="takes 1"):
        models("add")


def test_a_graph_for_any_size_says_its_own(tmp_path: Path, names: Path):
    file = foreign(tmp_path / "a.onnx", metadata={"imgsz": "[96, 96]"}, static=False)
    assert models("add", str(file), classes=names).card.input.size == 96
    other = foreign(tmp_path / "b.onnx", metadata={"imgsz": "[96, 64]"}, static=False)
    with pytest.raises(BundleError, match="96 x 64"):
        models("add", str(other), classes=names)
