"""Every target is written whole or not at all, proved to answer alike, and refused with a reason where it cannot be made."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundles import CLASSES, tiny_bundle, tiny_card, tiny_onnx
from finders import finder_bundle, scene
from pictures import class_folders
from sightline.errors import MissingExtraError, ParityError, StorageError, TargetError, UsageError
from sightline.runtime.bundle import read_bundle, write_bundle
from sightline.runtime.pixels import fit
from sightline.targets import cheader, parity
from sightline.targets.icons import icon
from sightline.targets.readme import onnx_runtime
from sightline.targets.target import TARGETS, lacks
from sightline.verbs.export import export, show

HOSTILE = ('a "quoted" \\ name', "trigraph ??/ *", "grün 😀")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return tiny_bundle(tmp_path / "tiny")


@pytest.mark.parametrize("to", ["onnx", "ort", "openvino", "c"])
def test_the_written_file_answers_like_the_model(bundle: Path, tmp_path: Path, to: str):
    if to == "openvino" and importlib.util.find_spec("openvino") is None:
        pytest.skip("needs the extra openvino")
    made = export(str(bundle), to=to, out=tmp_path / "out", data=class_folders(tmp_path / "pictures", 4))
    assert (made.parity.pictures, made.parity.agreement) == (12, 1.0)
    assert made.parity.largest_difference < 1e-4
    assert made.compared_on == "12 pictures of pictures"
    assert {file.name for file in made.files} == {one.name for one in (tmp_path / "out").iterdir()}
    assert made.bytes == sum(one.stat().st_size for one in (tmp_path / "out").iterdir())
    assert (tmp_path / "out" / made.main).is_file()
    assert (tmp_path / "out" / "classes.txt").read_text().split() == list(CLASSES)
    assert "uint8 (n, 32, 32, 3)" in (tmp_path / "out" / "README.md").read_text()
    assert show(made) is not None


@pytest.mark.parametrize("to", ["onnx", "ort", "openvino"])
@pytest.mark.parametrize("layout", ["sightline", "yolov8"])
def test_detectors_find_the_same_objects(tmp_path: Path, to: str, layout: str):
    if to == "openvino" and importlib.util.find_spec("openvino") is None:
        pytest.skip("needs the extra openvino")
    made = export(str(finder_bundle(tmp_path / "finder", layout=layout)), to=to, out=tmp_path / "out")
    assert made.parity.agreement == 1.0
    assert made.parity.largest_shift < 0.01
    assert "drawn" in made.compared_on


def test_nothing_is_overwritten_unless_asked_for(bundle: Path, tmp_path: Path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "precious.txt").write_text("mine")
    with pytest.raises(StorageError, match="exists already"):
        export(str(bundle), to="onnx", out=out)
    assert (out / "precious.txt").read_text() == "mine"
    with pytest.raises(StorageError, match="is not an export"):
        export(str(bundle), to="onnx", out=out, replace=True)
    assert (out / "precious.txt").read_text() == "mine"
    (out / "precious.txt").unlink()
    export(str(bundle), to="onnx", out=out, replace=True)
    assert (out / "model.onnx").is_file()
    export(str(bundle), to="ort", out=out, replace=True)
    assert (out / "model.ort").is_file()
    assert not (out / "model.onnx").exists()
    (tmp_path / "link").symlink_to(bundle)
    for same in (bundle, tmp_path / "link", bundle / ".." / bundle.name):
        with pytest.raises(UsageError, match="holds the model itself"):
            export(str(bundle), to="onnx", out=same, replace=True)
    with pytest.raises(UsageError, match="holds the model itself"):
        export(str(bundle), to="onnx", out=tmp_path, replace=True)
    assert (bundle / "card.json").is_file()


def test_a_file_that_answers_otherwise_is_not_written(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from sightline.targets import onnxfile

    given = {"probabilities": np.eye(3, dtype=np.float32)[None, -1], "embedding": np.zeros((1, 3)), "novelty": np.zeros(1)}
    monkeypatch.setattr(onnxfile, "engine", lambda _: lambda values: given)
    with pytest.raises(ParityError, match="answers differently"):
        export(str(bundle), to="onnx", out=tmp_path / "out", data=class_folders(tmp_path / "pictures", 4))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["pictures", "tiny"]


def test_wishes_and_names(bundle: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="--half does not go with --to onnx"):
        export(str(bundle), to="onnx", out=tmp_path / "out", half=True)
    with pytest.raises(UsageError, match="--runtime does not go"):
        export(str(bundle), to="ort", out=tmp_path / "out", runtime=tmp_path)
    with pytest.raises(UsageError) as error:
        export(str(bundle), to="openvin", out=tmp_path / "out")  # type: ignore[arg-type]
    assert "openvino" in error.value.hint


def test_half_makes_the_weights_half(tmp_path: Path):
    pytest.importorskip("openvino")
    bundle = _wide(tmp_path / "wide")
    sizes = {}
    for half in (False, True):
        made = export(str(bundle), to="openvino", out=tmp_path / f"out{half}", half=half)
        sizes[half] = next(file.bytes for file in made.files if file.name == "model.bin")
    assert 0.45 < sizes[True] / sizes[False] < 0.6


def _wide(path: Path, operator: str | None = None) -> Path:
    """The tiny model with 2 MB of weights in its way; or with an operator that few targets have."""
    import onnx
    from onnx import helper, numpy_helper

    card = tiny_card()
    graph = onnx.load_from_string(tiny_onnx(card))
    last = next(node for node in graph.graph.node if node.op_type == "Softmax")
    if operator:
        last.input[0] = "kept"
        graph.graph.node.insert(
            len(graph.graph.node) - 6, helper.make_node(operator, ["logits"], ["kept"], domain="ai.onnx.ml")
        )
        graph.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    else:
        weights = np.random.default_rng(0).normal(0, 1e-3, (3, 250_000)).astype(np.float32)
        graph.graph.initializer.append(numpy_helper.from_array(weights, "wide"))
        graph.graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "one"))
        last.input[0] = "summed"
        place = list(graph.graph.node).index(last)
        for offset, node in enumerate(
            [
                helper.make_node("MatMul", ["embedding", "wide"], ["many"]),
                helper.make_node("ReduceMean", ["many", "one"], ["mean"], keepdims=1),
                helper.make_node("Add", ["logits", "mean"], ["summed"]),
            ]
        ):
            graph.graph.node.insert(place + offset, node)
    return write_bundle(path, card, {"model.onnx": graph.SerializeToString()})


def test_an_operator_that_the_target_lacks_is_named(tmp_path: Path):
    pytest.importorskip("openvino")
    bundle = _wide(tmp_path / "scaled", "Scaler")
    with pytest.raises(TargetError, match=r"ai\.onnx\.ml\.Scaler"):
        export(str(bundle), to="openvino", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert "LiteRT lacks what m computes with: A, B" in str(lacks("LiteRT", ["B", "A", "A"], "m"))


def test_a_header_is_c_and_holds_the_bytes(tmp_path: Path):
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    read = read_bundle(tiny_bundle(tmp_path / "tiny"))
    read = replace(read, card=tiny_card(name="*/ evil", thresholds={"red": 0.25}).model_copy(update={"classes": HOSTILE}))
    content = bytes(range(256)) * 3
    (tmp_path / "model.h").write_text(cheader.header(read, content), encoding="ascii")
    assert cheader.content_of((tmp_path / "model.h").read_text()) == content
    (tmp_path / "main.c").write_text(
        """#include <stdio.h>
        #include <stdint.h>
        #include "model.h"
        int main(void) {
            for (int i = 0; i < SIGHTLINE_CLASS_COUNT; i++) printf("%s\\n", sightline_classes[i]);
            printf("%u %d %d %g\\n", sightline_model_size, SIGHTLINE_INPUT_SIZE, (int)((uintptr_t)sightline_model % 16),
                   sightline_thresholds[0] + SIGHTLINE_UNSURE_BELOW);
            return fwrite(sightline_model, 1, sightline_model_size, stderr) != sightline_model_size;
        }"""
    )
    options = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-trigraphs", "-o", "main", "main.c"]
    subprocess.run([compiler, *options], cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "main"], capture_output=True, check=True)
    assert done.stdout.decode().splitlines() == [*HOSTILE, "768 32 0 1"]
    assert done.stderr == content


def test_a_header_has_its_limit(tmp_path: Path):
    with pytest.raises(TargetError, match="at most 2 MB") as error:
        export(str(_wide(tmp_path / "wide")), to="c", out=tmp_path / "out")
    assert "compress" in error.value.hint
    assert not (tmp_path / "out").exists()


def test_the_mobile_format_names_its_operators(bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    import logging

    before = list(logging.getLogger().handlers)
    export(str(bundle), to="ort", out=tmp_path / "out")
    assert logging.getLogger().handlers == before
    assert capfd.readouterr() == ("", "")
    text = (tmp_path / "out" / "required_operators.config").read_text()
    assert "Softmax" in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize("to", ["tflite", "coreml"])
def test_a_converter_that_is_not_there_is_told_how_to_get(bundle: Path, tmp_path: Path, to: str):
    converter = {"tflite": "onnx2tf", "coreml": "coremltools"}[to]
    if importlib.util.find_spec(converter) is not None:
        pytest.skip(f"{converter} is installed")
    with pytest.raises(MissingExtraError, match=converter if importlib.util.find_spec("torch") else "deep") as error:
        export(str(bundle), to=to, out=tmp_path / "out")
    assert "pip install" in error.value.hint
    assert not (tmp_path / "out").exists()


def test_drawn_pictures_differ_and_are_the_same_every_time():
    card = tiny_card()
    pictures = parity.drawn(card, 8)
    assert pictures.shape == (8, 32, 32, 3)
    assert len({picture.tobytes() for picture in pictures}) == 8
    assert (pictures == parity.drawn(card, 8)).all()
    clip = card.model_copy(update={"input": card.input.model_copy(update={"frames": 4})})
    assert parity.drawn(clip, 2).shape == (2, 4, 32, 32, 3)


@pytest.mark.parametrize("spoilt", ["probabilities", "novelty"])
def test_nan_is_no_agreement(bundle: Path, spoilt: str):
    read = read_bundle(bundle)
    _, ours = parity.reference(read)
    with pytest.raises(ParityError, match="answers differently"):
        parity.compared(read, lambda given: {**(a := ours(given)), spoilt: a[spoilt] * np.nan}, parity.drawn(read.card, 2))


def test_unknown_is_part_of_the_answer(bundle: Path):
    read = read_bundle(bundle)
    _, ours = parity.reference(read)
    with pytest.raises(ParityError, match="answers differently"):
        parity.compared(read, lambda given: {**(a := ours(given)), "novelty": a["novelty"] * 0}, parity.drawn(read.card, 4))


def test_an_output_that_lacks_is_named(bundle: Path):
    read = read_bundle(bundle)
    with pytest.raises(ParityError, match="does not answer probabilities, embedding, novelty, only Identity"):
        parity.compared(read, lambda _: {"Identity": np.zeros((1, 3))}, parity.drawn(read.card, 2))


def _repeated(answer: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([values, values]) for name, values in answer.items()}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda answer: {**answer, "scores": answer["scores"] * np.nan},
        lambda answer: {**answer, "boxes": answer["boxes"] + 40},
        lambda answer: {name: values[:0] for name, values in answer.items()},
        _repeated,
    ],
    ids=["NaN", "elsewhere", "nothing", "twice"],
)
def test_objects_are_matched_one_to_one(tmp_path: Path, spoil: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]):
    read = read_bundle(finder_bundle(tmp_path / "finder"))
    _, ours = parity.reference(read)
    street = fit(np.asarray(scene({"red": (10, 10, 60, 60), "blue": (90, 70, 130, 110)})), read.card.input)[None]
    assert parity.compared(read, ours, street).objects == 2
    with pytest.raises(ParityError, match="answers differently"):
        parity.compared(read, lambda given: spoil(ours(given)), street)


def test_the_readme_prepares_as_predict_does(tmp_path: Path):
    from contextlib import chdir

    from PIL import Image

    from sightline.runtime.pixels import prepare

    shades = np.linspace(0, 255, 90)[None, :, None] * np.linspace(0.3, 1, 60)[:, None, None] * np.array([1, 0.7, 0.2])
    Image.fromarray(shades.astype(np.uint8)).save(tmp_path / "picture.jpg", exif=_turned())
    for fit_, crop in (("crop", 0.875), ("squash", 1.0), ("pad", 1.0)):
        spec = tiny_card().input.model_copy(update={"fit": fit_, "crop": crop})
        read = read_bundle(tiny_bundle(tmp_path / fit_, input=spec))
        code = onnx_runtime(read, "model.onnx").split("```")[1].removeprefix("python")
        names: dict[str, object] = {}
        with chdir(read.path):
            shutil.copy(tmp_path / "picture.jpg", "picture.jpg")
            exec(code, names)
        expected = prepare((tmp_path / "picture.jpg").read_bytes(), spec).astype(int)
        assert np.abs(np.asarray(names["picture"]).astype(int) - expected).mean() < 0.5


def _turned() -> bytes:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    return exif.tobytes()


def test_every_target_has_a_writer():
    import importlib

    for target in TARGETS.values():
        assert callable(importlib.import_module(target.module).write)


def test_icons_are_small_pngs():
    import io

    from PIL import Image

    for whole in (False, True):
        content = icon(192, whole=whole)
        picture = Image.open(io.BytesIO(content))
        assert picture.size == (192, 192)
        assert (picture.getpixel((0, 0))[3] == 255) == whole
        assert len(content) < 10_000


def test_the_result_is_json(bundle: Path, tmp_path: Path):
    made = json.loads(export(str(bundle), to="onnx", out=tmp_path / "out").model_dump_json(exclude_none=True))
    assert set(made) == {"path", "target", "main", "files", "bytes", "parity", "compared_on", "why", "notes", "next"}
