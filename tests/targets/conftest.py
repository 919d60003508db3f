"""onnxruntime-web for tests, where this machine has it: fetched by hand or by an earlier `sightline export --to web`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sightline.targets import webruntime

_KEPT = f"{webruntime.PACKAGE}-{webruntime.VERSION}"


@pytest.fixture(scope="session")
def runtime() -> Path:
    shared = Path(os.environ.get("SIGHTLINE_SHARED") or Path(__file__).parents[3] / "shared")
    cache = Path.home() / ".local/share/sightline/cache"
    places = (shared / f"{_KEPT}.tgz", cache / _KEPT, cache / f"{_KEPT}.tgz")
    found = next((place for place in places if place.exists()), None)
    if found is None:
        pytest.skip(f"needs {_KEPT} (run `sightline export MODEL --to web` once, with npm)")
    return found
