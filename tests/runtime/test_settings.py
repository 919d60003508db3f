"""The settings that come from the environment: what is refused, and how it is said."""

from __future__ import annotations

import pytest

from sightline.errors import UsageError
from sightline.settings import settings


@pytest.mark.parametrize("value", ["0", "0.5", "-1", "inf", "many", "2.0"])
def test_threads_are_a_whole_number(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SIGHTLINE_THREADS", value)
    with pytest.raises(UsageError, match="SIGHTLINE_THREADS must be a whole number above 0"):
        settings()


def test_threads_are_as_many_as_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_THREADS", "3")
    assert settings().threads == 3
