"""Limits as people write them."""

from __future__ import annotations

import pytest

from sightline.errors import UsageError
from sightline.measure.limits import BYTES, COUNTS, MILLISECONDS, POINTS, amount


@pytest.mark.parametrize(
    ("text", "units", "value"),
    [
        ("200k", COUNTS, 200_000),
        ("1.5 MB", BYTES, 1_500_000),
        ("800kB", BYTES, 800_000),
        ("1MiB", BYTES, 1_048_576),
        ("123", BYTES, 123),
        ("5ms", MILLISECONDS, 5),
        ("0.5s", MILLISECONDS, 500),
        ("1%", POINTS, 0.01),
        ("1", POINTS, 0.01),
        ("0.5pt", POINTS, 0.005),
    ],
)
def test_amounts(text: str, units: dict[str, float], value: float) -> None:
    assert amount("--max", text, units, "5") == pytest.approx(value)


def test_none_is_no_limit_and_zero_only_where_it_makes_sense() -> None:
    assert amount("--max-drop", None, POINTS, "1%") is None
    assert amount("--max-drop", "0", POINTS, "1%", zero=True) == 0
    with pytest.raises(UsageError, match="above 0"):
        amount("--max-size", "0MB", BYTES, "2MB")


@pytest.mark.parametrize("text", ["", "much", "-1MB", "1 furlong", "1e6", "MB"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        amount("--max-size", text, BYTES, "2MB")
    assert "--max-size 2MB" in caught.value.hint
