"""Drawings: well-formed, in bounds, named for people who cannot see them, and safe with any word."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from sightline.measure import plots

HOSTILE = "</svg><script>alert(1)</script>\"'&\x00\u202e"
FRAME = plots.Frame("A chart", "pictures", "score, %", (100, 800), (0.6, 1.0), percent=True, log_x=True)


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # our own text


def test_lines_are_drawn_inside_with_a_legend():
    svg = plots.lines(
        FRAME, [plots.Line("measured", [(100, 0.7), (800, 0.9)], "dots"), plots.Line("trend", [(100, 0.6), (800, 1)])]
    )
    root = parsed(svg)
    assert root.get("role") == "img"
    assert root.findtext("title") == "A chart"
    assert {text.text for text in root.iter("text")} >= {"measured", "trend", "pictures", "score, %"}
    points = next(root.iter("polyline")).get("points", "").replace(",", " ").split()
    assert all(0 <= float(x) <= plots.WIDTH for x in points[::2])
    assert all(0 <= float(y) <= plots.HEIGHT for y in points[1::2])


def test_a_logarithmic_axis_puts_the_geometric_mean_in_the_middle():
    low, middle, high = (FRAME.place(x, 0.8)[0] for x in (100, np.sqrt(100 * 800), 800))
    assert middle == pytest.approx((low + high) / 2)


def test_an_empty_range_is_no_division_by_zero():
    frame = plots.Frame("flat", "x", "y", (1, 1), (0.5, 0.5))
    parsed(plots.lines(frame, [plots.Line("one point", [(1, 0.5)])]))


def test_bars_stay_between_0_and_1():
    root = parsed(plots.bar(1.2, -0.1, 1.5))
    assert [rect.get("width") for rect in root.iter("rect")] == ["100", "100.0", "100.00"]
    assert root.get("aria-hidden") == "true"  # the numbers stand beside it


def test_reliability_marks_every_group():
    root = parsed(plots.reliability([(0.55, 0.5, 10), (0.9, 0.95, 10)], "Reliability"))
    assert len(list(root.iter("circle"))) == 2
    assert "90% sure, 95% right, 10 answers" in {title.text for title in root.iter("title")}


@pytest.mark.parametrize("classes", [2, 10, 40])
def test_a_heat_map_shows_every_cell_that_counts(classes: int):
    counts = np.eye(classes, dtype=np.int64) * 7
    counts[0, 1] = 3
    root = parsed(plots.heat_map(counts, [f"class {i}" for i in range(classes)], "Confusion"))
    kinds = [rect.get("class") for rect in root.iter("rect")]
    assert kinds.count("right") == classes
    assert kinds.count("wrong") == 1
    assert "class 0 answered as class 1: 3 (30%)" in {title.text for title in root.iter("title")}
    assert ("3" in {text.text for text in root.iter("text")}) == (classes <= 14)


def test_empty_rows_of_a_heat_map_are_allowed():
    parsed(plots.heat_map(np.zeros((3, 3), np.int64), ["a", "b", "c"], "Nothing"))


def test_hostile_words_stay_words():
    drawings = [
        plots.lines(plots.Frame(HOSTILE, HOSTILE, HOSTILE, (0, 1), (0, 1)), [plots.Line(HOSTILE, [(0, 0), (1, 1)])]),
        plots.heat_map(np.ones((2, 2), np.int64), [HOSTILE, "b"], HOSTILE),
        plots.reliability([(0.5, 0.5, 1)], HOSTILE),
    ]
    for svg in drawings:
        tags = {one.tag for one in parsed(svg).iter()}
        assert tags <= {"svg", "title", "text", "line", "polyline", "circle", "rect"}
        assert not re.search("[\x00\u202e]", svg)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.83, 0.91), (0, 2.3), (1, 15), (40, 40)])
def test_ticks_are_round_and_inside(low: float, high: float):
    found = plots.ticks(low, high)
    assert 1 <= len(found) <= 7
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in found)
