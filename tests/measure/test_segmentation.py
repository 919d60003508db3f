from __future__ import annotations

import numpy as np
import pytest

from sightline.measure.report_data import ReportData
from sightline.measure.segmentation import BACKGROUND, IGNORED, advice, segmentation_scores, table_of, truth_field
from sightline.measure.segmentation_page import Painted, segmentation_page
from sightline.measure.thumbnails import thumbnail
from sightline.runtime.masks import to_mask
from sightline.types import Annotation

CLASSES = ("cat", "dog")


def ring(x0, y0, x1, y1):
    return ((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def test_truth_is_painted_from_outlines_and_masks_small_over_large():
    inner = np.zeros((6, 8), bool)
    inner[2:4, 2:4] = True
    truth = (
        Annotation(label="dog", mask=to_mask(inner)),
        Annotation(label="cat", polygon=ring(1.0, 1.0, 6.0, 5.0)),
        Annotation(label="cat", box=(7.0, 0.0, 8.0, 6.0)),
    )
    field = truth_field(truth, (8, 6), CLASSES)
    assert field.shape == (6, 8)
    assert (field[2:4, 2:4] == 2).all()
    assert field[1, 1] == 1
    assert (field[:, 7] == IGNORED).all()  # a box alone does not say which pixels
    assert field[0, 0] == 0


def test_crowds_and_unknown_classes_are_not_counted():
    truth = (
        Annotation(label="cat", polygon=ring(0.0, 0.0, 2.0, 2.0), traits=("crowd",)),
        Annotation(label="cow", polygon=ring(3.0, 0.0, 5.0, 2.0)),
    )
    field = truth_field(truth, (6, 4), CLASSES)
    assert (field == IGNORED).sum() == 8
    assert table_of(field, np.zeros((4, 6), np.uint8), 2).sum() == 24 - 8


def test_scores_are_those_of_the_sums():
    truth = np.array([[1, 1, 0, 0], [2, 2, 0, 0]], np.int16)
    found = np.array([[1, 0, 0, 0], [2, 2, 2, 0]], np.uint8)
    scores = segmentation_scores([table_of(truth, found, 2)] * 20, CLASSES)
    assert scores.classes["cat"].iou.value == pytest.approx(1 / 2)
    assert scores.classes["dog"].iou.value == pytest.approx(2 / 3)
    assert scores.classes[BACKGROUND].iou.value == pytest.approx(3 / 5)
    assert scores.overall["miou"].value == pytest.approx((1 / 2 + 2 / 3 + 3 / 5) / 3)
    assert scores.overall["pixels"].value == pytest.approx(6 / 8)
    assert scores.classes["cat"].recall == pytest.approx(1 / 2)
    assert scores.classes["cat"].precision == 1.0
    assert scores.classes["dog"].support == 40
    assert any("cat" in sentence for sentence in advice(scores))


def test_intervals_are_of_pictures():
    good = table_of(np.ones((2, 2), np.int16), np.ones((2, 2), np.uint8), 2)
    bad = table_of(np.ones((2, 2), np.int16), np.zeros((2, 2), np.uint8), 2)
    one = segmentation_scores([good, bad] * 10, CLASSES).classes["cat"].iou
    assert one.low < 0.45 < one.value == 0.5 < 0.55 < one.high
    assert one.n == 20


def test_a_class_that_no_picture_shows_has_no_score():
    scores = segmentation_scores([table_of(np.zeros((2, 2), np.int16), np.zeros((2, 2), np.uint8), 2)], CLASSES)
    assert scores.classes["cat"].iou is None
    assert scores.overall["miou"].value == 1.0
    assert advice(scores)


def test_the_page_names_classes_and_shows_pictures():
    truth = np.array([[1, 1, 0, 0]], np.int16)
    scores = segmentation_scores([table_of(truth, truth.astype(np.uint8), 2)] * 3, ("<cat>", "dog"))
    view = Painted(thumbnail(np.zeros((8, 16, 3), np.uint8)), "a.png", "100 of 100 pixels right")
    html = segmentation_page(ReportData(title="cats"), scores, (view,))
    assert "&lt;cat&gt;" in html
    assert "<cat>" not in html
    assert "a.png" in html
    assert "Mean IoU" in html
