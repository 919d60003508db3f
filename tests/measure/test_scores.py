"""Scores: the same numbers as scikit-learn, with intervals that hold the value, for every task and odd sizes."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from sightline.errors import DataError
from sightline.measure.scores import Scores, classification_scores


def answers(n: int, c: int, seed: int = 0, skill: float = 2.0):
    """Truth (n,) and probabilities (n, c) of a fair model; every third score is rounded so that ties occur."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(c, n, p=rng.dirichlet(np.full(c, 3.0)))
    logits = rng.normal(size=(n, c))
    logits[np.arange(n), truth] += skill
    probabilities = np.exp(logits)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return truth, probabilities


def labels(n: int, c: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    truth = rng.random((n, c)) < rng.uniform(0.1, 0.5, c)
    return truth, np.round(1 / (1 + np.exp(-(rng.normal(size=(n, c)) + 2.5 * truth - 1.2))), 2)


def names(c: int) -> list[str]:
    return [f"class {i}" for i in range(c)]


def holds(scores: Scores) -> None:
    for name, score in scores.overall.items():
        assert score.low <= score.value <= score.high, name
        assert score.low < score.high, name
    for one in scores.classes.values():
        for score in (one.recall, one.precision, one.f1):
            assert score.low <= score.value <= score.high


def test_one_of_many_matches_scikit_learn():
    truth, probabilities = answers(400, 7)
    scores = classification_scores(truth, probabilities, "multiclass", names(7))
    given = probabilities.argmax(axis=1)
    value = {name: score.value for name, score in scores.overall.items()}
    assert value["top1"] == pytest.approx(metrics.accuracy_score(truth, given))
    assert value["top5"] == pytest.approx(metrics.top_k_accuracy_score(truth, probabilities, k=5, labels=range(7)))
    assert value["macro_f1"] == pytest.approx(metrics.f1_score(truth, given, average="macro"))
    assert value["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(truth, given))
    assert value["log_loss"] == pytest.approx(metrics.log_loss(truth, probabilities, labels=range(7)))
    assert scores.confusion is not None
    assert (scores.confusion == metrics.confusion_matrix(truth, given, labels=range(7))).all()
    precision, recall, f1, support = metrics.precision_recall_fscore_support(truth, given, labels=range(7), zero_division=0)
    for i, one in enumerate(scores.classes.values()):
        assert one.precision.value == pytest.approx(precision[i])
        assert one.recall.value == pytest.approx(recall[i])
        assert one.f1.value == pytest.approx(f1[i])
        assert one.support == support[i]
        assert one.average_precision == pytest.approx(metrics.average_precision_score(truth == i, probabilities[:, i]))
    holds(scores)


def test_yes_or_no_matches_scikit_learn():
    truth, probabilities = answers(300, 2, seed=3, skill=1.0)
    scores = classification_scores(truth, probabilities, "binary", ["yes", "no"], positive="yes")
    given, yes = probabilities.argmax(axis=1), truth == 0
    value = {name: score.value for name, score in scores.overall.items()}
    assert "top5" not in value
    assert value["precision"] == pytest.approx(metrics.precision_score(truth, given, pos_label=0))
    assert value["recall"] == pytest.approx(metrics.recall_score(truth, given, pos_label=0))
    assert value["f1"] == pytest.approx(metrics.f1_score(truth, given, pos_label=0))
    assert value["auc"] == pytest.approx(metrics.roc_auc_score(yes, probabilities[:, 0]))
    holds(scores)


def test_ties_count_half_in_the_area():
    truth, probabilities = answers(300, 2, seed=5, skill=1.0)
    rounded = np.round(probabilities, 1)
    scores = classification_scores(truth, rounded, "binary", ["no", "yes"])
    assert scores.overall["auc"].value == pytest.approx(metrics.roc_auc_score(truth, rounded[:, 1]))
    assert "precision" not in scores.overall  # nobody said which class is the positive one


def test_several_labels_match_scikit_learn():
    truth, probabilities = labels(350, 6)
    cuts = np.linspace(0.3, 0.7, 6)
    scores = classification_scores(truth.astype(np.int64), probabilities, "multilabel", names(6), thresholds=list(cuts))
    given = probabilities >= cuts
    value = {name: score.value for name, score in scores.overall.items()}
    assert value["map"] == pytest.approx(metrics.average_precision_score(truth, probabilities, average="macro"))
    assert value["micro_f1"] == pytest.approx(metrics.f1_score(truth, given, average="micro"))
    assert value["macro_f1"] == pytest.approx(metrics.f1_score(truth, given, average="macro"))
    assert value["subset_accuracy"] == pytest.approx(metrics.accuracy_score(truth, given))
    assert scores.confusion is None
    precision, recall, _, _ = metrics.precision_recall_fscore_support(truth, given)
    for i, one in enumerate(scores.classes.values()):
        assert one.precision.value == pytest.approx(precision[i])
        assert one.recall.value == pytest.approx(recall[i])
    holds(scores)


def test_calibration_error_by_its_definition():
    truth, probabilities = answers(450, 4, seed=2)
    score = classification_scores(truth, probabilities, "multiclass", names(4)).overall["ece"]
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    order = np.argsort(confidence)
    groups = np.array_split(order, 15)
    by_hand = sum(len(g) / 450 * abs(right[g].mean() - confidence[g].mean()) for g in groups)
    assert score.value == pytest.approx(by_hand)


def test_intervals_cover_the_true_score():
    """A model whose true scores are known from a very large test: intervals of small tests hold them about 95 % of the time."""
    truth, probabilities = answers(60_000, 4, seed=9)
    given = probabilities.argmax(axis=1)
    true = {
        "top1": float((given == truth).mean()),
        "macro_f1": metrics.f1_score(truth, given, average="macro"),
        "log_loss": metrics.log_loss(truth, probabilities),
    }
    covered = dict.fromkeys(true, 0)
    for trial in range(150):
        part = slice(trial * 250, (trial + 1) * 250)
        scores = classification_scores(truth[part], probabilities[part], "multiclass", names(4), seed=trial).overall
        for name, value in true.items():
            covered[name] += scores[name].low <= value <= scores[name].high
    for name, times in covered.items():
        assert 0.89 <= times / 150 <= 1.0, name


def test_average_precision_of_resamples_is_the_weighted_one():
    from sightline.measure import ranking
    from sightline.measure.bootstrap import weights

    truth, probabilities = labels(60, 2, seed=4)
    drawn = next(iter(weights(60, 7)))
    ours = ranking.resampled_average_precision(truth, probabilities, 7, 5)
    areas = ranking.resampled_roc_auc(truth[:, 0], probabilities[:, 0], 7)
    for row in range(5):
        for c in range(2):
            weighted = metrics.average_precision_score(truth[:, c], probabilities[:, c], sample_weight=drawn[row])
            assert ours[row, c] == pytest.approx(weighted, abs=1e-6)
        weighted = metrics.roc_auc_score(truth[:, 0], probabilities[:, 0], sample_weight=drawn[row])
        assert areas[row] == pytest.approx(weighted)


def test_classes_without_pictures_do_not_spoil_the_mean():
    truth, probabilities = answers(50, 3, seed=1)
    truth[truth == 2] = 0
    scores = classification_scores(truth, probabilities, "multiclass", names(3))
    absent = scores.classes["class 2"]
    assert absent.support == 0
    assert absent.average_precision is None
    assert (absent.recall.low, absent.recall.high) == (0.0, 1.0)
    given = probabilities.argmax(axis=1)
    recalls = [(given[truth == i] == i).mean() for i in range(2)]
    assert scores.overall["balanced_accuracy"].value == pytest.approx(np.mean(recalls))
    assert scores.overall["macro_f1"].value == pytest.approx(metrics.f1_score(truth, given, average="macro"))


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "binary"])
def test_one_picture_is_enough_not_to_fail(task: str):
    c = 2 if task == "binary" else 3
    probabilities = np.full((1, c), 1 / c)
    truth = np.ones((1, c), int) if task == "multilabel" else np.array([1])
    scores = classification_scores(truth, probabilities, task, names(c))  # type: ignore[arg-type]
    assert scores.n == 1
    assert scores.json()["classes"].keys() == set(names(c))


def test_a_perfect_model_is_not_beyond_doubt():
    truth = np.arange(30) % 3
    scores = classification_scores(truth, np.eye(3)[truth], "multiclass", names(3))
    for name in ("top1", "macro_f1", "balanced_accuracy"):
        assert scores.overall[name].value == 1.0
        assert scores.overall[name].low < 0.95


def test_no_labels_at_all_have_no_mean_precision():
    scores = classification_scores(np.zeros((5, 3)), np.full((5, 3), 0.2), "multilabel", names(3))
    assert "map" not in scores.overall
    assert scores.overall["subset_accuracy"].value == 1.0


def test_many_classes():
    truth, probabilities = answers(800, 300, skill=4)
    scores = classification_scores(truth, probabilities.astype(np.float32), "multiclass", names(300))
    assert len(scores.classes) == 300
    holds(scores)


def test_same_seed_same_result():
    truth, probabilities = answers(80, 3)
    first, second = (classification_scores(truth, probabilities, "multiclass", names(3), seed=5).json() for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("truth", "probabilities", "task", "said"),
    [
        (np.zeros(0, int), np.zeros((0, 2)), "binary", "no pictures"),
        (np.zeros(3, int), np.full((3, 3), 0.3), "binary", "shape"),
        (np.array([0, 1, 5]), np.full((3, 2), 0.5), "binary", "0 to 1"),
        (np.zeros(3, int), np.full((3, 2), np.nan), "binary", "between 0 and 1"),
        (np.zeros(3, int), np.full((3, 2), 0.9), "binary", "sum to 1"),
        (np.zeros(3, int), np.full((3, 2), 0.5), "multilabel", "several labels"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(truth, probabilities, task, said):
    with pytest.raises(DataError, match=said):
        classification_scores(truth, probabilities, task, ["a", "b"])


def test_an_unknown_positive_class_is_refused():
    with pytest.raises(DataError, match="crack"):
        classification_scores(np.array([0, 1]), np.full((2, 2), 0.5), "binary", ["a", "b"], positive="crack")
