"""Kept features: computed once a picture, whatever the dataset; broken pictures and broken files stop nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from pictures import drawn, encoded
from sightline import progress
from sightline.data import kept
from sightline.files import sha256_file
from sightline.learn import features
from sightline.settings import settings
from sightline.types import InputSpec, Item

SPEC = InputSpec(size=32, fit="pad")


def mean_colour_graph(width: int = 5) -> bytes:
    """image -> embedding: the mean colour times a fixed matrix (3, width)."""
    matrix = np.random.default_rng(0).normal(size=(3, width)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["mean", "matrix"], ["embedding"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 32, 32, 3])
    embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", width])
    graph = helper.make_graph(nodes, "mean", [image], [embedding], [numpy_helper.from_array(matrix, "matrix")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model.SerializeToString()


def items(folder: Path, count: int, *, hashed: bool = True) -> list[Item]:
    folder.mkdir(exist_ok=True)
    found = []
    for index in range(count):
        path = folder / f"{index}.jpg"
        path.write_bytes(encoded(drawn(index)))
        found.append(Item(uri=str(path), name=path.name, sha256=sha256_file(path) if hashed else ""))
    return found


def test_a_grown_folder_computes_only_what_is_new(tmp_path: Path):
    graph, pictures = mean_colour_graph(), items(tmp_path / "a", 6)
    first = features.compute(pictures[:4], graph, "k", SPEC)
    assert (first.computed, first.vectors.shape, first.kept.tolist()) == (4, (4, 5), [0, 1, 2, 3])
    grown = features.compute(pictures, graph, "k", SPEC)
    assert grown.computed == 2
    assert np.array_equal(grown.vectors[:4], first.vectors)
    again = features.compute(pictures[::-1], graph, "k", SPEC)
    assert again.computed == 0
    assert np.array_equal(again.vectors, grown.vectors[::-1])


def test_without_hashes_the_bytes_decide(tmp_path: Path):
    graph = mean_colour_graph()
    first = features.compute(items(tmp_path / "a", 3, hashed=False), graph, "k", SPEC)
    second = features.compute(items(tmp_path / "a", 3), graph, "k", SPEC)
    assert second.computed == 0
    assert np.array_equal(first.vectors, second.vectors)


def test_another_network_or_input_has_its_own_features(tmp_path: Path):
    pictures = items(tmp_path / "a", 2)
    features.compute(pictures, mean_colour_graph(), "k", SPEC)
    assert features.compute(pictures, mean_colour_graph(7), "other", SPEC).vectors.shape == (2, 7)
    squashed = SPEC.model_copy(update={"fit": "squash"})
    assert features.compute(pictures, mean_colour_graph(), "k", squashed).computed == 2


def test_equal_pictures_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pictures = items(tmp_path / "a", 1) * 5
    seen: list[int] = []
    real = features.prepare
    monkeypatch.setattr(features, "prepare", lambda data, spec: (seen.append(1), real(data, spec))[1])
    found = features.compute(pictures, mean_colour_graph(), "k", SPEC)
    assert len(found.vectors) == 5
    assert len(seen) == 1


def test_broken_pictures_are_named_and_left_out(tmp_path: Path):
    pictures = items(tmp_path / "a", 3, hashed=False)
    Path(pictures[1].uri).write_bytes(b"no picture at all")
    twin = pictures[1].model_copy(update={"name": "twin.jpg"})
    missing = Item(uri=str(tmp_path / "gone.jpg"), name="gone.jpg")
    found = features.compute([*pictures, twin, missing], mean_colour_graph(), "k", SPEC)
    assert found.kept.tolist() == [0, 2]
    assert [(one.picture, one.error.code) for one in found.failures] == [
        ("1.jpg", "picture_format"),
        ("twin.jpg", "picture_format"),
        ("gone.jpg", "not_found"),
    ]
    assert features.compute([missing], mean_colour_graph(), "k", SPEC).vectors.shape == (0, 0)


def test_a_damaged_file_is_said_and_computed_again(tmp_path: Path):
    pictures = items(tmp_path / "a", 3)
    first = features.compute(pictures, mean_colour_graph(), "k", SPEC)
    (segment,) = (settings().cache / "features").rglob("*.npy")
    segment.write_bytes(segment.read_bytes()[:-7])
    notes: list[str] = []
    with progress.listen(lambda event: notes.append(event.note)):
        found = features.compute(pictures, mean_colour_graph(), "k", SPEC)
    assert found.computed == 3
    assert np.array_equal(found.vectors, first.vectors)
    assert any("damaged" in note for note in notes)


def test_what_is_done_is_kept_when_stopped(tmp_path: Path):
    pictures = items(tmp_path / "a", 60)

    def stop(event: progress.Event) -> None:
        if event.what == "Computing features" and event.done == 20:
            raise KeyboardInterrupt

    with progress.listen(stop), pytest.raises(KeyboardInterrupt):
        features.compute(pictures, mean_colour_graph(), "k", SPEC)
    assert features.compute(pictures, mean_colour_graph(), "k", SPEC).computed == 40


def test_many_segments_become_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kept, "MERGE", 3)
    pictures = items(tmp_path / "a", 6)
    for count in range(1, 7):
        features.compute(pictures[:count], mean_colour_graph(), "k", SPEC)
    assert len(list((settings().cache / "features").rglob("*.npy"))) <= 3
    assert features.compute(pictures, mean_colour_graph(), "k", SPEC).computed == 0


def test_no_key_keeps_nothing(tmp_path: Path):
    pictures = items(tmp_path / "a", 2)
    assert features.compute(pictures, mean_colour_graph(), None, SPEC).computed == 2
    assert features.compute(pictures, mean_colour_graph(), None, SPEC).computed == 2
    assert not (settings().cache / "features").exists()
