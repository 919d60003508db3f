"""Classifiers as arrays: they answer like scikit-learn's and like their piece of a graph, for one label and for several."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from sightline.learn.classic import classifiers
from sightline.learn.classic.choose import fit_classifier
from sightline.learn.classic.classifiers import CLASSIFIERS, Given
from sightline.learn.probe import Head
from sightline.measure.calibration import to_probabilities
from sightline.measure.novelty import fit_novelty
from sightline.types import InputSpec

CLASSES = 3


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifiers, "TREES", 15)


def given(several: bool, count: int = 90, width: int = 12, classes: int = CLASSES) -> Given:
    """Clusters that overlap a little; several labels: two of three bits of the features decide."""
    rng = np.random.default_rng(0)
    truth = np.arange(count) % classes
    features = rng.normal(size=(count, width)).astype(np.float32)
    if several:
        return Given(features, (features[:, :classes] > 0).astype(np.int64), classes, True, 0)
    features[np.arange(count), truth] += 3
    return Given(features, truth, classes, False, 0)


def right(data: Given, logits: np.ndarray) -> float:
    if data.several:
        return float(((logits > 0) == data.truth).mean())
    return float((logits.argmax(axis=1) == data.truth).mean())


def exported(scorer: object, data: Given, task: str) -> np.ndarray:
    onnx = pytest.importorskip("onnx")
    from sightline.learn.export import answers, attach

    width = data.features.shape[1]
    value, helper = onnx.TensorProto, onnx.helper
    nodes = [  # an embedding graph for tests: the features are the picture's first bytes
        helper.make_node("Cast", ["image"], ["float"], to=value.FLOAT),
        helper.make_node("Flatten", ["float"], ["embedding"], axis=1),
    ]
    image = helper.make_tensor_value_info("image", value.UINT8, ["n", 2, 2, width // 4])
    embedding = helper.make_tensor_value_info("embedding", value.FLOAT, ["n", width])
    graph = helper.make_graph(nodes, "test", [image], [embedding])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content = attach(
        model.SerializeToString(),
        scorer,
        fit_novelty(data.features),
        temperature=1.5,
        classes=("a", "b", "c"),
        task=task,
        spec=InputSpec(size=2),
    )
    said = {entry.key: entry.value for entry in onnx.load_model_from_string(content).metadata_props}
    assert json.loads(said["sightline.classes"]) == ["a", "b", "c"]
    return answers(content, data.features.astype(np.uint8).reshape(-1, 2, 2, width // 4))["probabilities"]


@pytest.mark.parametrize("several", [False, True], ids=["one", "several"])
@pytest.mark.parametrize("name", classifiers.NAMES)
def test_learns_and_exports_alike(name: str, several: bool):
    data = given(several)
    data = Given(np.rint(data.features * 20 + 128).clip(0, 255).astype(np.float32), data.truth, CLASSES, several, 0)
    chosen = fit_classifier(name, data, [None] * len(data.features))
    logits = chosen.scorer.logits(data.features)
    assert logits.shape == (90, CLASSES)
    assert right(data, logits) > 0.75
    held, truth = chosen.held_out
    assert right(Given(held, truth, CLASSES, several, 0), held) > (0.65 if several else 0.7), "on pictures it has not seen"
    task = "multilabel" if several else "multiclass"
    np.testing.assert_allclose(exported(chosen.scorer, data, task), to_probabilities(logits, task, 1.5), atol=2e-4)
    again = fit_classifier(name, data, [None] * len(data.features))
    assert (again.scorer.logits(data.features) == logits).all(), "the same seed gives the same model"


def test_two_classes():
    data = given(False, classes=2)
    for name, (fit, settings) in CLASSIFIERS.items():
        logits = fit(data, settings[-1]).logits(data.features)
        assert logits.shape == (90, 2), name
        assert right(data, logits) > 0.8, name


def test_neighbours_along_discriminants():
    """Two features tell the classes apart and forty do not: plain distances are lost among those."""
    rng = np.random.default_rng(1)
    truth = np.arange(240) % CLASSES
    features = rng.normal(size=(240, 44)).astype(np.float32) * 3
    features[:, :2] = np.array([[0, 3], [3, -2], [-3, -2]])[truth] + rng.normal(size=(240, 2))
    features = np.rint(features * 9 + 128).clip(0, 255).astype(np.float32)
    learnt, asked = Given(features[:180], truth[:180], CLASSES, False, 0), features[180:]
    plain, turned = (classifiers.knn(learnt, {"k": 5, "discriminant": way}) for way in (0, 1))
    assert right(Given(asked, truth[180:], CLASSES, False, 0), turned.logits(asked)) > 0.85
    assert (turned.logits(asked).argmax(1) == truth[180:]).mean() > (plain.logits(asked).argmax(1) == truth[180:]).mean() + 0.1
    whole = Given(asked, truth[180:], CLASSES, False, 0)
    np.testing.assert_allclose(
        exported(turned, whole, "multiclass"), to_probabilities(turned.logits(asked), "multiclass", 1.5), atol=2e-4
    )


def test_trees_are_scikit_learns():
    from sklearn.ensemble import RandomForestClassifier

    data = given(False)
    mine = classifiers.forest(data, {"leaf": 2})
    theirs = RandomForestClassifier(classifiers.TREES, min_samples_leaf=2, max_features="sqrt", random_state=0)
    shares = theirs.fit(data.features, data.truth).predict_proba(data.features)
    np.testing.assert_allclose(np.exp(mine.logits(data.features)), np.maximum(shares, 0.003), atol=1e-5)


def test_machines_are_scikit_learns():
    from sklearn.svm import SVC

    data = given(True)
    mine = classifiers.svm_rbf(data, {"C": 1, "gamma": 0.5})
    for label in range(CLASSES):
        theirs = SVC(C=1, gamma=0.5, class_weight="balanced", tol=1e-3).fit(mine.scaling(data.features), data.truth[:, label])
        want = theirs.decision_function(mine.scaling(data.features))
        np.testing.assert_allclose(mine.logits(data.features)[:, label], want, atol=0.02)


def test_bayes_is_scikit_learns():
    from sklearn.naive_bayes import GaussianNB

    data = given(False)
    mine = classifiers.bayes(data, {"smoothing": 1e-6})
    theirs = GaussianNB().fit(data.features, data.truth)
    assert (mine.logits(data.features).argmax(axis=1) == theirs.predict(data.features)).mean() > 0.97


def test_neighbours():
    data = given(False)
    one = classifiers.knn(data, {"k": 1})
    assert right(data, one.logits(data.features)) == 1.0, "its own nearest neighbour"
    same = Given(np.ones((6, 4), np.float32), np.array([0, 0, 0, 0, 1, 1]), 2, False, 0)
    assert np.isfinite(classifiers.knn(same, {"k": 3}).logits(same.features)).all(), "all pictures alike"


def test_a_class_that_a_fold_lacks():
    data = given(False)
    truth = data.truth.copy()
    truth[truth == 2] = 0
    truth[:2] = 2
    rare = Given(data.features, truth, CLASSES, False, 0)
    for name in ("svm", "bayes", "svm-rbf", "forest", "mlp"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.isfinite(fit_classifier(name, rare, [None] * 90).scorer.logits(rare.features)).all()


def test_a_label_nobody_has():
    data = given(True)
    truth = data.truth.copy()
    truth[:, 1] = 0
    for name, (fit, settings) in CLASSIFIERS.items():
        scorer = fit(Given(data.features, truth, CLASSES, True, 0), settings[0])
        assert (scorer.logits(data.features)[:, 1] < 0).mean() > 0.9, name


def test_logistic_is_the_probes_head():
    assert isinstance(fit_classifier("logistic", given(False), [None] * 90).scorer, Head)
