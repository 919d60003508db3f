"""The wheel: small, whole, with the licence, without tests."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from repository import ROOT, files


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed (make setup installs it)")
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return next(out.glob("*.whl"))


def test_wheel_holds_the_package_and_nothing_else(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
        meta = {name.split(".dist-info/")[1] for name in archive.namelist() if ".dist-info/" in name}
    assert inside == {str(path.relative_to(ROOT / "src")) for path in files("src") if not path.name.startswith(".")}
    assert {"METADATA", "entry_points.txt", "licenses/LICENSE"} <= meta


def test_wheel_is_small(wheel: Path):
    assert wheel.stat().st_size < 5_000_000
