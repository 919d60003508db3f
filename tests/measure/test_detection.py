"""Scores of detectors: COCO's numbers, thresholds, counts, kinds of error."""

from __future__ import annotations

import contextlib
import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sightline.errors import DataError
from sightline.measure.detection import advice, detection_scores
from sightline.measure.detection_coco import documents, standard
from sightline.measure.detection_curves import average_precision
from sightline.measure.detection_errors import KINDS
from sightline.measure.detection_matching import matched, place_of
from sightline.types import Annotation, Mask

CLASSES = ("car", "cat", "cup", "cow")


def found(*rows: tuple[tuple[float, float, float, float], int, float]) -> SimpleNamespace:
    """What a detector found: (box, class number, score) each."""
    return SimpleNamespace(
        boxes=np.array([row[0] for row in rows], np.float32).reshape(-1, 4),
        labels=np.array([row[1] for row in rows], np.int64),
        scores=np.array([row[2] for row in rows], np.float32),
    )


def true(label: str, *box: float, **more: Any) -> Annotation:
    return Annotation(label=label, box=box, **more)  # type: ignore[arg-type]


def scenes(pictures: int = 40, seed: int = 0, crowds: float = 0.1) -> tuple[list[list[Annotation]], list[SimpleNamespace]]:
    """Random truth, and answers that are partly right: shaken boxes, wrong names, inventions, equal scores."""
    rng = np.random.default_rng(seed)
    truth, answers = [], []
    for _ in range(pictures):
        count = int(rng.integers(0, 12))
        corner = rng.uniform(0, 400, (count, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(4, 150, (count, 2))], axis=1)
        labels = rng.integers(0, 4, count)
        traits = [("crowd",) if rng.random() < crowds else () for _ in range(count)]
        truth.append(
            [true(CLASSES[label], *box, traits=trait) for label, box, trait in zip(labels, boxes, traits, strict=True)]
        )
        pick = rng.integers(0, count, int(rng.integers(0, 30))) if count else np.zeros(0, np.int64)
        shaken = boxes[pick] + rng.normal(0, 6, (len(pick), 4))
        shaken[:, 2:] = np.maximum(shaken[:, 2:], shaken[:, :2] + 1)
        named = np.where(rng.random(len(pick)) < 0.8, labels[pick], rng.integers(0, 4, len(pick)))
        answers.append(
            SimpleNamespace(
                boxes=shaken.astype(np.float32), labels=named, scores=rng.random(len(pick)).round(2).astype(np.float32)
            )
        )
    return truth, answers


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_same_as_pycocotools(seed: int):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    matches = matched(*scenes(seed=seed), CLASSES)
    mine = standard(matches.truths, matches.given, len(CLASSES), matches.count, matches.most)
    truth, results = documents(matches.truths, matches.given, len(CLASSES), matches.count)
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = truth
        known.createIndex()
        run = COCOeval(known, known.loadRes(results), "bbox")
        run.evaluate()
        run.accumulate()
    assert np.abs(run.eval["precision"][..., -1] - mine.precision).max() < 1e-6


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_our_own_matching_gives_the_same_average_precision(seed: int):
    """Curves, intervals and kinds of error come from it, so it must not differ."""
    matches = matched(*scenes(seed=seed), CLASSES)
    asked = matches.asked(len(CLASSES))
    coco = standard(matches.truths, matches.given, len(CLASSES), matches.count, matches.most)
    for label in range(len(CLASSES)):
        for level in range(10):
            rows = (matches.given.labels == label) & ~matches.ignored[level]
            own = average_precision(matches.right[level][rows], matches.given.scores[rows], int(asked[label]))
            assert own == pytest.approx(coco.mean(overlap=level, label=label), abs=1e-9)


def test_scores_and_intervals():
    scores = detection_scores(*scenes(), CLASSES)
    assert {"map50", "map", "map75", "map_small", "map_medium", "map_large", "recall", "precision", "f1"} == set(scores.overall)
    assert all(0 <= one.low <= one.value <= one.high <= 1 for one in scores.overall.values())
    assert scores.overall["map50"].high - scores.overall["map50"].low > 0.02
    assert scores.overall["map"].value < scores.overall["map50"].value
    again = detection_scores(*scenes(), CLASSES)
    assert again.overall == scores.overall
    assert sum(one.support for one in scores.classes.values()) == scores.objects


def test_a_perfect_detector():
    truth, _ = scenes(crowds=0)
    answers = [found(*((one.box, CLASSES.index(one.label), 0.9) for one in picture)) for picture in truth]
    scores = detection_scores(truth, answers, CLASSES)
    assert scores.overall["map"].value == pytest.approx(1.0)
    assert scores.overall["recall"].value == scores.overall["precision"].value == 1.0
    assert {name: one.count for name, one in scores.errors.items()} == dict.fromkeys(KINDS, 0)
    assert scores.count_error == 0
    assert scores.confusion.sum() == np.trace(scores.confusion) == scores.objects


def test_each_kind_of_error_is_named():
    truth = [
        [
            true("car", 0, 0, 100, 100),
            true("cat", 200, 0, 300, 100),
            true("cup", 400, 0, 500, 100),
            true("cow", 600, 0, 700, 100),
            true("cow", 600, 300, 700, 400),
        ]
    ]
    answers = [
        found(
            ((0, 0, 100, 100), 0, 0.9),
            ((2, 0, 100, 100), 0, 0.8),  # the same again
            ((200, 0, 300, 100), 2, 0.8),  # a cat called a cup
            ((460, 0, 560, 100), 2, 0.8),  # beside the cup
            ((650, 30, 760, 100), 1, 0.8),  # beside a cow, and not called a cow
            ((0, 500, 60, 560), 3, 0.8),  # nothing there
        )
    ]
    scores = detection_scores(truth, answers, CLASSES, thresholds=dict.fromkeys(CLASSES, 0.5))
    counts = {name: one.count for name, one in scores.errors.items()}
    assert counts == {"wrong class": 1, "badly placed": 1, "both": 1, "duplicate": 1, "background": 1, "missed": 2}
    assert scores.confusion[1, 2] == 1, "the cat is taken for a cup"
    assert scores.confusion[3, 4] == 2, "both cows are missed"
    assert scores.errors["missed"].gain > 0
    assert scores.count_error == pytest.approx(1 + 0 + 1 + 1)  # cars 2 of 1, cats 1 of 1, cups 2 of 1, cows 1 of 2
    assert any("What costs most" in line for line in advice(scores))


def test_thresholds_for_the_best_f1_and_for_a_wanted_precision():
    truth = [[true("car", 0, 0, 100, 100)] for _ in range(10)]
    answers = [
        found(((0, 0, 100, 100), 0, 0.9 - 0.01 * number), ((300, 300, 360, 360), 0, 0.2 + 0.01 * number))
        for number in range(10)
    ]
    best = detection_scores(truth, answers, CLASSES)
    assert 0.29 < best.thresholds["car"] < 0.81
    assert best.classes["car"].recall.value == best.classes["car"].precision.value == 1
    loose = detection_scores(truth, answers, CLASSES, precision=0.8)
    assert loose.thresholds["car"] < 0.29
    assert loose.classes["car"].precision.value >= 0.8
    wrong = [found(((300, 300, 360, 360), 0, 0.5)) for _ in truth]
    never = detection_scores(truth, wrong, CLASSES, precision=0.9)
    assert not never.classes["car"].reached
    assert not never.shown.any()


def test_difficult_and_crowded_objects_are_neither_asked_for_nor_wrong():
    truth = [[true("car", 0, 0, 100, 100), true("car", 300, 0, 400, 100, traits=("difficult",))]]
    answers = [found(((0, 0, 100, 100), 0, 0.9), ((300, 0, 400, 100), 0, 0.8))]
    scores = detection_scores(truth, answers, CLASSES, thresholds={"car": 0.5})
    assert scores.objects == 1
    assert scores.overall["precision"].value == 1
    assert sum(one.count for one in scores.errors.values()) == 0


def test_a_picture_with_hundreds_of_objects_and_one_without():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 4000, (600, 2))
    boxes = np.concatenate([corners, corners + 10], axis=1)
    truth = [[true("car", *box) for box in boxes], []]
    answers = [found(*((tuple(box), 0, 0.5) for box in boxes)), found()]
    scores = detection_scores(truth, answers, CLASSES)
    assert scores.matches.most == 300
    assert scores.overall["recall"].value == pytest.approx(0.5, abs=0.02)


def test_nothing_found_at_all():
    truth, answers = scenes()
    scores = detection_scores(truth, [found() for _ in answers], CLASSES)
    assert scores.overall["map50"].value == 0
    assert scores.errors["missed"].count == scores.objects


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(DataError, match="about 1 pictures, the answers about 2"):
        detection_scores([[true("car", 0, 0, 9, 9)]], [found(), found()], CLASSES)
    with pytest.raises(DataError, match="none of the classes"):
        detection_scores([[true("dog", 0, 0, 9, 9)]], [found()], CLASSES)
    with pytest.raises(DataError, match="no picture has an object"):
        detection_scores([[]], [found()], CLASSES)
    with pytest.raises(DataError, match="class number 7"):
        detection_scores([[true("car", 0, 0, 9, 9)]], [found(((0, 0, 9, 9), 7, 0.5))], CLASSES)


def test_objects_without_a_box_lie_where_their_outline_is():
    assert place_of(Annotation(label="car", polygon=((1, 2), (5, 2), (3, 9)))) == (1, 2, 5, 9)
    assert place_of(Annotation(label="car", keypoints=((1, 2), (5, 7), (0, 0)), visibility=(2, 1, 0))) == (1, 2, 5, 7)
    assert place_of(Annotation(label="car")) is None
    assert place_of(Annotation(label="car", box=(0, 0, 1, 1), mask=Mask(size=(1, 1), counts="01"))) == (0, 0, 1, 1)
