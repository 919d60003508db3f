"""The report of a detector: every section, pictures of errors, hostile names; the yardstick."""

from __future__ import annotations

import io
import re

import numpy as np
from PIL import Image
from test_detection import CLASSES, found, scenes, true

from sightline.measure.detection import advice, detection_scores
from sightline.measure.detection_baseline import usual_places
from sightline.measure.detection_page import DetectionReport, detection_page
from sightline.measure.detection_pictures import CLOSE, examples, views
from sightline.measure.report_data import ReportData


def _street(_: int) -> np.ndarray:
    return np.full((560, 560, 3), 120, np.uint8)


def test_a_page_with_everything() -> None:
    truth, answers = scenes(crowds=0)
    scores = detection_scores(truth, answers, CLASSES)
    names = [f"<b>{number}</b>.jpg" for number in range(scores.n)]
    close, whole = examples(scores, names, _street, CLASSES), views(scores, names, _street)
    assert {one.kind for one in close} == {name for name, one in scores.errors.items() if one.count}
    assert len(whole) == 8
    with Image.open(io.BytesIO(close[0].picture)) as opened:
        assert max(opened.size) == CLOSE
    text = detection_page(DetectionReport(ReportData(title="street"), scores, advice(scores), close, whole))
    for heading in ("In short", "Class by class", "What it finds", "Kinds of error", "What it mixes up", "All scores"):
        assert f">{heading}</h2>" in text
    assert "<b>3</b>.jpg" not in text, "names are escaped"
    assert not re.search(r"(src|href)=\"https?:", text)


def test_pictures_that_cannot_be_read_any_more_are_left_out() -> None:
    truth, answers = scenes(pictures=6)
    scores = detection_scores(truth, answers, CLASSES)
    names = [str(number) for number in range(scores.n)]
    assert examples(scores, names, lambda _: None, CLASSES) == ()
    text = detection_page(DetectionReport(ReportData(title="street"), scores))
    assert "What it finds" not in text


def test_a_class_that_the_test_does_not_show() -> None:
    scores = detection_scores([[true("car", 0, 0, 50, 50)]], [found(((0, 0, 50, 50), 0, 0.9))], CLASSES)
    assert "not in the test" in detection_page(DetectionReport(ReportData(title="one"), scores))
    assert any("no cat, cup, cow" in line for line in advice(scores))


def test_the_usual_places_find_what_always_stands_there() -> None:
    always = [true("car", 10, 10, 90, 90)]
    known = [(always, (100, 100))] * 5
    everywhere = usual_places(known, [[true("car", 20, 20, 180, 180)]] * 4, [(200, 200)] * 4, CLASSES)
    nowhere = usual_places(known, [[true("car", 0, 0, 10, 10)]] * 4, [(200, 200)] * 4, CLASSES)
    assert everywhere is not None
    assert nowhere is not None
    assert everywhere.value == 1
    assert nowhere.value == 0
    assert usual_places([], [always], [(100, 100)], CLASSES) is None
