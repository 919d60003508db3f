"""Bundles and models: what is written answers the same when read; what is broken is refused with a reason."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundles import CLASSES, tiny_bundle, tiny_card, tiny_onnx
from pictures import COLOURS, drawn, encoded
from sightline.errors import BundleError, ModelNotFoundError, PictureError, SightlineError, StorageError
from sightline.runtime import tasks
from sightline.runtime.attention import attention_map
from sightline.runtime.bundle import read_bundle, write_bundle
from sightline.runtime.model import load
from sightline.types import Failure, Prediction


def plain(colour: str, size: tuple[int, int] = (40, 40)) -> bytes:
    return encoded(Image.new("RGB", size, COLOURS[colour]), "PNG")


def test_answers_each_colour_best_first(tmp_path: Path) -> None:
    model = load(tiny_bundle(tmp_path / "model"))
    for colour in CLASSES:
        answer = model.predict(plain(colour), name=colour)
        assert answer.labels[0].label == colour
        assert {label.label for label in answer.labels} == set(CLASSES)
        scores = [label.score or 0 for label in answer.labels]
        assert scores == sorted(scores, reverse=True)
        assert sum(scores) == pytest.approx(1, abs=1e-4)
        assert answer.flags == ()
        assert answer.model == model.card.id


def test_path_bytes_and_pixels_answer_alike(tmp_path: Path) -> None:
    model = load(tiny_bundle(tmp_path / "model"))
    picture = drawn(3)
    file = tmp_path / "one.png"
    file.write_bytes(encoded(picture, "PNG"))
    answers = [model.predict(file), model.predict(file.read_bytes()), model.predict(np.asarray(picture.convert("RGB")))]
    assert len({answer.labels for answer in answers}) == 1


def test_a_strange_picture_is_flagged_unknown(tmp_path: Path) -> None:
    model = load(tiny_bundle(tmp_path / "model"))
    assert "unknown" in model.predict(encoded(Image.new("RGB", (40, 40), (255, 255, 255)), "PNG")).flags


def test_many_keep_their_order_and_name_failures(tmp_path: Path) -> None:
    model = load(tiny_bundle(tmp_path / "model"), threads=3)
    names = []
    for index in range(40):
        file = tmp_path / f"{index}.png"
        file.write_bytes(b"not a picture" if index == 17 else plain(CLASSES[index % 3]))
        names.append(str(file))
    answers = list(model.predict_many([*names, str(tmp_path / "missing.jpg")]))
    assert [answer.picture for answer in answers] == [*names, str(tmp_path / "missing.jpg")]
    failures = [answer for answer in answers if isinstance(answer, Failure)]
    assert [failure.picture for failure in failures] == [names[17], str(tmp_path / "missing.jpg")]
    assert failures[1].error.code == "not_found"
    assert all(
        answer.labels[0].label == CLASSES[index % 3]
        for index, answer in enumerate(answers[:40])
        if isinstance(answer, Prediction)
    )


def test_several_labels_use_their_thresholds() -> None:
    card = tiny_card("multilabel", thresholds={"red": 0.9, "green": 0.2, "blue": 0.5})
    assert tasks.decision(card, np.array([0.8, 0.3, 0.6], np.float32)) == ("blue", "green")
    assert tasks.flags(card, np.array([0.1, 0.1, 0.1], np.float32), novelty=0.0) == ()


def test_low_scores_are_unsure() -> None:
    card = tiny_card(unsure_below=0.6)
    assert tasks.flags(card, np.array([0.5, 0.3, 0.2], np.float32), novelty=99.0) == ("unknown", "unsure")


def test_wire_shape_is_exact(tmp_path: Path) -> None:
    answer = load(tiny_bundle(tmp_path / "model")).predict(plain("red"), name="red.png", top=2)
    wire = tasks.to_wire(answer)
    assert list(wire) == ["picture", "labels", "flags", "took_ms"]
    assert [list(label) for label in wire["labels"]] == [["label", "score"]] * 2  # type: ignore[attr-defined]


def test_zip_of_a_bundle_answers_the_same(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "model")
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "model")
    assert load(archive).predict(plain("blue")).labels == load(folder).predict(plain("blue")).labels


def corrupt(path: Path, how: str) -> None:
    card = json.loads((path / "card.json").read_text())
    onnx = (path / "model.onnx").read_bytes()
    if how == "flipped":
        (path / "model.onnx").write_bytes(onnx[:-1] + bytes([onnx[-1] ^ 1]))
    elif how == "truncated":
        (path / "model.onnx").write_bytes(onnx[: len(onnx) // 2])
    elif how == "no graph":
        (path / "model.onnx").unlink()
    elif how == "card not json":
        (path / "card.json").write_text("{")
    elif how == "card of the future":
        (path / "card.json").write_text(json.dumps(card | {"format": 99}))
    elif how == "card without classes":
        card.pop("classes")
        (path / "card.json").write_text(json.dumps(card))
    elif how == "file outside":
        (path / "card.json").write_text(json.dumps(card | {"files": card["files"] | {"../secret": "0" * 64}}))
    elif how == "other classes":
        (path / "card.json").write_text(json.dumps(card | {"classes": ["a", "b", "c"]}))


@pytest.mark.parametrize(
    "how",
    ["flipped", "truncated", "no graph", "card not json", "card of the future", "card without classes", "file outside",
     "other classes"],
)  # fmt: skip
def test_a_corrupt_model_is_refused(tmp_path: Path, how: str) -> None:
    (tmp_path / "secret").write_text("x")
    folder = tiny_bundle(tmp_path / "model")
    corrupt(folder, how)
    with pytest.raises(BundleError) as caught:
        load(folder)
    assert caught.value.exit_code == 4
    assert "\n" not in caught.value.message


def test_a_graph_that_is_not_onnx_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be loaded"):
        load(write_bundle(tmp_path / "model", tiny_card(), {"model.onnx": b"nonsense"}))


def test_a_bad_zip_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "m.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "no model here")
    with pytest.raises(BundleError, match="holds 0 files named"):
        load(file)


def test_an_unknown_name_tells_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        load(tmp_path / "nothing")
    assert caught.value.exit_code == 3
    assert "sightline train" in caught.value.hint


def test_writing_keeps_an_existing_model(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "model")
    before = read_bundle(folder).card
    with pytest.raises(StorageError):
        tiny_bundle(folder)
    assert read_bundle(folder).card == before
    write_bundle(folder, tiny_card(name="second"), {"model.onnx": tiny_onnx(tiny_card())}, replace=True)
    assert read_bundle(folder).card.name == "second"
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_attention_finds_the_coloured_part(tmp_path: Path) -> None:
    model = load(tiny_bundle(tmp_path / "model"))
    image = np.full((32, 32, 3), 128, np.uint8)
    image[4:14, 18:28] = COLOURS["red"]
    heat = attention_map(model, image, "red", grid=8)
    assert heat.shape == (8, 8)
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert 1 <= row <= 3
    assert 4 <= column <= 6
    with pytest.raises(SightlineError, match="no label"):
        attention_map(model, image, "purple")


def test_errors_of_one_picture_are_typed(tmp_path: Path) -> None:
    model = load(tiny_bundle(tmp_path / "model"))
    with pytest.raises(PictureError):
        model.predict(b"\xff\xd8\xff garbage")
