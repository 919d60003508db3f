"""The classic way from pictures to a file that answers: well above chance, without torch, and refusals that say what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pictures import class_folders, drawn, encoded, pixels
from sightline.data.readers import read
from sightline.errors import UsageError
from sightline.learn.classic import classifiers, way
from sightline.runtime import keypoints
from sightline.runtime.model import Model
from sightline.types import Annotation, Card, Dataset

pytestmark = pytest.mark.deep
pytest.importorskip("torch")


def divided(folder: Path, per_class: int = 16) -> Dataset:
    found = read(class_folders(folder, per_class, ("red", "green", "blue")))
    items = (item.model_copy(update={"split": "train" if place % 4 else "val"}) for place, item in enumerate(found.items))
    return found.model_copy(update={"items": tuple(items)})


def shapes(folder: Path, per_class: int = 20) -> Dataset:
    """Discs against squares, all of one colour."""
    for seed in range(2 * per_class):
        place = folder / ("disc" if seed % 2 else "square")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{seed}.jpg").write_bytes(encoded(drawn(seed, (72, 72)), quality=92))
    found = read(folder)
    items = (item.model_copy(update={"split": "train" if place % 4 else "val"}) for place, item in enumerate(found.items))
    return found.model_copy(update={"items": tuple(items)})


def learn(dataset: Dataset, run: Path, features: str, classifier: str, **more: object):
    from sightline.learn.fit import TrainRequest, fit

    return fit(dataset, TrainRequest(way="classic", features=features, classifier=classifier, compare=False, **more), run)


def model_of(dataset: Dataset, trained) -> Model:
    card = Card(id="", name="m", task=dataset.task, classes=dataset.classes, input=trained.input, recipe=trained.recipe)
    return Model(card, trained.onnx, 1)


@pytest.mark.parametrize(("features", "classifier"), [("colour", "logistic")])
def test_colours(features: str, classifier: str, tmp_path: Path):
    dataset = divided(tmp_path / "data")
    trained = learn(dataset, tmp_path, features, classifier)
    assert (trained.val.probabilities.argmax(axis=1) == trained.val.truth).mean() >= 0.75, "chance is a third"
    assert trained.parity.agreement == 1.0
    assert trained.parity.largest_difference < 1e-3
    assert trained.weights is None
    assert (trained.recipe.way, trained.recipe.backbone, trained.recipe.weights) == (
        "classic",
        f"{features} + {classifier}",
        "none",
    )
    assert trained.onnx == learn(dataset, tmp_path, features, classifier).onnx, "the same seed gives the same file"
    model = model_of(dataset, trained)
    assert model.predict(pixels(drawn(991, colour=(40, 60, 200)))).labels[0].label == "blue"


@pytest.mark.parametrize(
    ("features", "classifier"),
    [
        ("hog", "svm"),
        ("hog:vlad", "svm"),
        pytest.param("sift:vlad", "knn", marks=pytest.mark.slow),
        pytest.param("surf", "knn", marks=pytest.mark.slow),
    ],
)
def test_shapes(features: str, classifier: str, tmp_path: Path):
    if features in keypoints.LIBRARIES:
        pytest.importorskip(keypoints.LIBRARIES[features])
    dataset = shapes(tmp_path / "data", 24)
    trained = learn(dataset, tmp_path, features, classifier, input_size=64)
    right = np.concatenate([side.probabilities.argmax(axis=1) == side.truth for side in (trained.val,)])
    assert right.mean() >= 0.7, "chance is a half"
    assert trained.parity.agreement == 1.0
    found = model_of(dataset, trained).answer(np.stack([pixels(drawn(seed, (64, 64))) for seed in (801, 802)]))
    assert found.probabilities.shape == (2, 2)
    assert np.isfinite(found.novelty).all()


def test_several_labels(tmp_path: Path):
    dataset = divided(tmp_path / "data")
    items = [
        item.model_copy(update={"truth": (*item.truth, Annotation(label="warm"))}) if item.labels == ("red",) else item
        for item in dataset.items
    ]
    several = dataset.model_copy(update={"items": tuple(items), "task": "multilabel", "classes": (*dataset.classes, "warm")})
    trained = learn(several, tmp_path, "colour", "svm")
    assert ((trained.val.probabilities > 0.5) == trained.val.truth).mean() > 0.8
    assert set(trained.thresholds) == set(several.classes)


def test_names_are_checked():
    assert way.wish(None, None) == way.Wish("hog", "svm")
    assert way.wish("color", "SVM_RBF") == way.Wish("colour", "svm-rbf")
    with pytest.raises(UsageError) as one:
        way.wish("hgo", None)
    assert "hog" in one.value.hint
    with pytest.raises(UsageError) as other:
        way.wish(None, "xgboost")
    assert all(name in other.value.hint for name in classifiers.NAMES)


@pytest.mark.parametrize("size", [16, 70])
def test_sizes_are_checked(size: int):
    with pytest.raises(UsageError, match="multiple of 8"):
        way.spec_of(way.wish("hog", "svm"), size)
