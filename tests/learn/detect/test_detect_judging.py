from __future__ import annotations

import numpy as np
import pytest

from sightline.learn.detect.judging import Answer, average_precision, judged
from sightline.types import Annotation

NONE = np.zeros((0, 4), np.float32)


class Objects:
    def __init__(self, boxes, labels, ignored=NONE):
        self.boxes, self.labels = np.asarray(boxes, np.float32).reshape(-1, 4), np.asarray(labels, np.int64)
        self.ignored = np.asarray(ignored, np.float32).reshape(-1, 4)


def answer(boxes, scores, labels):
    return Answer(np.asarray(boxes, np.float32).reshape(-1, 4), np.asarray(scores, np.float32), np.asarray(labels, np.int64))


A, B = (0, 0, 20, 20), (40, 40, 60, 60)


def test_all_found_is_one_nothing_found_is_zero():
    truth = [Objects([A, B], [0, 1]), Objects([], [])]
    assert judged(truth, [answer([A, B], [0.9, 0.8], [0, 1]), answer([], [], [])], 2) == pytest.approx((0.15, 1.0))
    assert judged(truth, [answer([], [], [])] * 2, 2) == (1.0, 0.0)


def test_doubled_wrong_class_and_background_cost():
    truth = [Objects([A, B], [0, 0])]
    clean, _ = answer([A, B], [0.9, 0.8], [0, 0]), None
    assert judged(truth, [clean], 1)[1] == 1.0
    doubled = answer([A, (1, 1, 20, 20), B], [0.9, 0.85, 0.8], [0, 0, 0])
    assert judged(truth, [doubled], 1)[1] == pytest.approx((1 + 2 / 3) / 2)
    assert judged(truth, [answer([A, B], [0.9, 0.8], [1, 1])], 2)[1] == 0.0
    moved = answer([(10, 10, 30, 30)], [0.9], [0])
    assert judged(truth, [moved], 1)[1] == 0.0


def test_what_lies_in_an_ignored_region_is_not_wrong():
    truth = [Objects([A], [0], ignored=[(30, 30, 70, 70)])]
    found = answer([B, A], [0.95, 0.9], [0, 0])
    assert judged(truth, [found], 1)[1] == 1.0
    assert judged([Objects([A], [0])], [found], 1)[1] == 0.5


def test_an_answer_that_is_no_number_is_told():
    assert np.isnan(judged([Objects([A], [0])], [answer([A], [np.nan], [0])], 1)[0])
    assert judged([Objects([], [])], [answer([], [], [])], 1) == (1.0, 0.0)


def test_it_is_close_to_what_coco_counts():
    pytest.importorskip("faster_coco_eval")
    from sightline.measure.detection import detection_scores

    rng = np.random.default_rng(0)
    truth, found, annotated = [], [], []
    for _ in range(30):
        low = rng.uniform(0, 80, (4, 2))
        boxes = np.concatenate([low, low + rng.uniform(10, 30, (4, 2))], 1)
        labels = rng.integers(0, 3, 4)
        near = boxes + rng.normal(0, 3, boxes.shape)
        scores = np.sort(rng.uniform(0.05, 1, 4))[::-1]
        truth.append(Objects(boxes, labels))
        found.append(answer(near, scores, np.where(rng.uniform(size=4) < 0.8, labels, 0)))
        annotated.append([Annotation(label=str(n), box=tuple(map(float, b))) for n, b in zip(labels, boxes, strict=True)])
    theirs = detection_scores(annotated, found, ("0", "1", "2")).overall["map50"].value
    assert judged(truth, found, 3)[1] == pytest.approx(theirs, abs=0.01)


def test_average_precision_of_an_empty_list():
    assert average_precision(np.zeros(0), np.zeros(0, bool), 5) == 0.0
