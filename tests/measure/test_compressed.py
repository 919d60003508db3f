"""Which candidate is taken, which lie on the front, and the page that tells it."""

from __future__ import annotations

import pytest

from sightline.errors import UsageError
from sightline.measure.compressed import Candidate, Compression, Limits, choose, excess, front, nearest, read_limits, size
from sightline.measure.compressed_page import compressed_page
from sightline.types import Score


def candidate(how: str, kilobytes: float, ms: float, right: float, **more: object) -> Candidate:
    scores = {"top1": Score(value=right, low=right - 0.02, high=right + 0.02, n=400)}
    facts = {"how": how, "bytes": int(1000 * kilobytes), "download_bytes": int(900 * kilobytes), "latency_ms": ms}
    return Candidate.model_validate({**facts, "scores": scores, "drop": round(0.9 - right, 4), "agreement": 0.97, **more})


BEFORE = candidate("original", 9000, 4.0, 0.90)
INT8 = candidate("int8", 2400, 2.0, 0.895)
FOUR = candidate("weights4", 1300, 4.1, 0.80)
PRUNED = candidate("prune:0.5+int8", 1200, 1.1, 0.88)
BROKEN = candidate("qat+int8", 0, 0, 0, state="failed", why="<no> weights", scores={}, fits=False)
ALL = (INT8, FOUR, PRUNED, BROKEN)


def test_without_limits_of_size_and_time_the_smallest_and_fastest_that_loses_little() -> None:
    assert choose(ALL, Limits(drop=0.01), "top1") == INT8
    assert choose(ALL, Limits(drop=0.03), "top1") == PRUNED
    slow = candidate("weights4", 1500, 4.1, 0.897)
    assert choose((INT8, slow), Limits(drop=0.01), "top1") == INT8


def test_with_a_limit_of_size_or_time_the_best_that_fits() -> None:
    assert choose(ALL, Limits(bytes=3_000_000), "top1") == INT8
    assert choose(ALL, Limits(bytes=1_500_000), "top1") == PRUNED
    assert choose(ALL, Limits(latency_ms=1.5), "top1") == PRUNED
    same = INT8.model_copy(update={"how": "smaller", "bytes": 2_000_000})
    assert choose((INT8, same), Limits(bytes=3_000_000), "top1") == same


def test_where_nothing_fits_the_nearest_is_named() -> None:
    limits = Limits(bytes=1_000_000, drop=0.01)
    assert choose(ALL, limits, "top1") is None
    assert nearest(ALL, limits) == PRUNED
    assert excess(PRUNED, limits) == pytest.approx(0.2 + 0.01 / 0.01)
    assert nearest((BROKEN,), limits) is None


def test_the_front_holds_what_nothing_beats_in_all_three() -> None:
    assert front((BEFORE, *ALL), "top1") == ("original", "int8", "prune:0.5+int8")


def test_limits_are_read_and_told() -> None:
    limits = read_limits("2MB", "10ms", "1.5%")
    assert limits == Limits(bytes=2_000_000, latency_ms=10, drop=0.015)
    assert limits.text == "at most 2 MB, at most 10 ms, a drop of at most 1.5 points"
    assert read_limits(None, None, None) == Limits()
    with pytest.raises(UsageError, match="--max-drop"):
        read_limits(None, None, "-1%")
    with pytest.raises(UsageError, match="1 byte or more"):
        read_limits("0.5", None, None)


def test_sizes_in_words() -> None:
    assert [size(850), size(850_000), size(2_340_000), size(3.2e9)] == ["850 bytes", "850 kB", "2.34 MB", "3.2 GB"]


@pytest.mark.parametrize("taken", ["int8", ""])
def test_the_page_tells_everything(taken: str) -> None:
    with_classes = INT8.model_copy(update={"class_drops": {"a & b": 0.031, "c": -0.01}})
    result = Compression(
        chosen="m" if taken else "",
        how=taken,
        why="the smallest file with a drop of at most 1 points",
        report="r",
        before=BEFORE,
        candidates=(with_classes, FOUR, PRUNED, BROKEN),
        limits=Limits(drop=0.01),
        measure="top1",
        pictures=400,
        calibrated_on=256,
        created="2026-11-23",
    )
    html = compressed_page(result, "signs, made smaller")
    assert html.count("<svg") >= 2
    assert "&lt;no&gt; weights" in html
    for one in (BEFORE, *ALL):
        assert one.how in html
    assert ("a &amp; b" in html) == bool(taken)
    assert ("int8 (taken)" in html) == bool(taken)
