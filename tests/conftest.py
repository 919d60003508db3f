"""Isolation for every test: no user folder, no network weights, no inherited settings."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sightline.settings import settings


@pytest.fixture(autouse=True)
def _isolated(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    for name in list(os.environ):
        if name.startswith("SIGHTLINE_") and name != "SIGHTLINE_SHARED":
            monkeypatch.delenv(name)
    monkeypatch.setenv("SIGHTLINE_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("SIGHTLINE_OFFLINE", "1")
    settings.cache_clear()
    yield
    settings.cache_clear()
    workspaces = sys.modules.get("sightline.store.database")
    if workspaces is not None:
        workspaces.forget()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The optional test data beside the project; tests that need it skip where it is missing."""
    folder = Path(os.environ.get("SIGHTLINE_SHARED") or Path(__file__).parents[2] / "shared")
    if not (folder / "data").is_dir():
        pytest.skip("needs the shared test data (SIGHTLINE_SHARED)")
    return folder
