"""The exported file against plain arrays: outputs, metadata, batches; and the refusal of an export that answers otherwise."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from test_features import SPEC, mean_colour_graph

from sightline.errors import ParityError
from sightline.learn import export
from sightline.learn.logistic import sigmoid, softmax
from sightline.learn.probe import Head
from sightline.measure.novelty import Novelty, distances

RNG = np.random.default_rng(3)
HEAD = Head(RNG.normal(size=(4, 5)).astype(np.float32) / 100, RNG.normal(size=4).astype(np.float32))
NOVELTY = Novelty(*(RNG.normal(size=shape).astype(np.float32) for shape in ((5, 3), (3,), (2, 3))))
CLASSES = ("a", "b", "ünïcode", '"quoted"')
IMAGES = RNG.integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)


def attached(task: str = "multiclass", temperature: float = 2.0) -> bytes:
    return export.attach(mean_colour_graph(), HEAD, NOVELTY, temperature=temperature, classes=CLASSES, task=task, spec=SPEC)


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_answers_are_those_of_the_arrays(task: str):
    found = export.answers(attached(task), IMAGES)
    logits = HEAD.logits(found["embedding"]) / 2
    expected = sigmoid(logits) if task == "multilabel" else softmax(logits)
    assert np.abs(found["probabilities"] - expected).max() < 1e-5
    assert found["novelty"] == pytest.approx(distances(NOVELTY, found["embedding"]), rel=1e-4)
    assert found["novelty"].shape == (7,)


def test_any_number_of_pictures_at_once():
    session = ort.InferenceSession(attached())
    one_by_one = export.answers(attached(), IMAGES)
    for name, together in zip(("probabilities", "embedding", "novelty"), session.run(None, {"image": IMAGES}), strict=True):
        assert together == pytest.approx(one_by_one[name], rel=1e-4, abs=1e-5)


def test_the_file_says_what_it_is():
    model = onnx.load_model_from_string(attached("binary"))
    facts = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert facts["sightline.classes"] == list(CLASSES)
    assert facts["sightline.task"] == "binary"
    assert facts["sightline.input"] == json.loads(SPEC.model_dump_json())
    assert [output.name for output in model.graph.output] == ["probabilities", "embedding", "novelty"]
    assert not any(tensor.external_data for tensor in model.graph.initializer)


def test_parity_of_equal_answers():
    answers = softmax(RNG.normal(size=(200, 3)).astype(np.float32))
    parity = export.certify(answers, answers + 1e-4, "multiclass", np.full(3, 0.5, np.float32))
    assert (parity.pictures, parity.agreement) == (200, 1.0)
    assert parity.largest_difference == pytest.approx(1e-4, rel=0.05)


@pytest.mark.parametrize("wrong", ["order", "numbers", "nan", "nothing"])
def test_parity_refuses(wrong: str):
    answers = softmax(RNG.normal(size=(200, 3)).astype(np.float32) * 3)
    other = answers.copy()
    if wrong == "order":
        other[:10] = np.roll(other[:10], 1, axis=1)
    elif wrong == "numbers":
        other[0] += np.float32(0.03) * np.where(np.arange(3) == other[0].argmax(), 1, -0.5)
    elif wrong == "nan":
        other[5, 1] = np.nan
    else:
        answers = other = np.zeros((0, 3), np.float32)
    with pytest.raises(ParityError):
        export.certify(answers, other, "multiclass", np.full(3, 0.5, np.float32))


def test_parity_of_several_labels_compares_decisions():
    trained = np.tile(np.array([[0.505, 0.2]], np.float32), (50, 1))
    exported = trained - np.float32(0.01)
    export.certify(exported, trained, "multilabel", np.array([0.4, 0.5], np.float32))
    with pytest.raises(ParityError, match=r"0\.0%"):
        export.certify(exported, trained, "multilabel", np.array([0.5, 0.5], np.float32))
