"""A small board: the base install alone, in an environment of its own, predicts, measures, evaluates. Needs a registry."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bundles import tiny_bundle
from pictures import class_folders

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "torchvision", "timm", "cv2", "skimage", "fastapi", "sqlalchemy", "openvino", "av")
# runs a command of ours and tells at the end what memory the process had
_RUN = """
import atexit, re, sys
def told():
    found = re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())
    print(f"PEAK {int(found[1]) / 1000:.0f} MB", file=sys.stderr)
atexit.register(told)
from sightline.cli import main
main(sys.argv[1:])
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc"),
    pytest.mark.skipif(importlib.util.find_spec("hatchling") is None, reason="hatchling builds the wheel"),
]


def done(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False, **options)  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment that holds requirements/base.txt and our wheel."""
    place = tmp_path_factory.mktemp("board")
    built = done([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)], cwd=ROOT)
    assert built.returncode == 0, built.stderr
    (wheel,) = place.glob("*.whl")
    python = place / "env/bin/python"
    uv = shutil.which("uv") or next(iter(map(str, ROOT.glob(".venv/bootstrap/bin/uv"))), None)
    if uv:
        steps = [[uv, "venv", "-q", "--python", sys.executable, str(place / "env")]]
        install = [uv, "pip", "install", "-q", "--python", str(python)]
    else:
        steps = [[sys.executable, "-m", "venv", str(place / "env")]]
        install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    steps += [[*install, "--require-hashes", "-r", str(ROOT / "requirements/base.txt")], [*install, "--no-deps", str(wheel)]]
    for step in steps:
        ran = done(step)
        if ran.returncode:
            pytest.skip(f"the registry does not answer: {ran.stderr[-300:]}")
    return python


def test_the_base_install_is_enough(board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures, model = class_folders(tmp_path / "p", per_class=8), tiny_bundle(tmp_path / "m")
    environ = {"SIGHTLINE_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}

    def run(*words: object) -> tuple[dict[str, object], str]:
        ran = done([str(board), "-c", _RUN, *map(str, words), "--json"], env=environ, cwd=tmp_path)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return json.loads(ran.stdout), re.findall(r"PEAK (.*)", ran.stderr)[0]

    code = f"import importlib.util as u; print([n for n in {HEAVY!r} if u.find_spec(n)])"
    assert done([str(board), "-c", code], env=environ, cwd=tmp_path).stdout.strip() == "[]"
    predicted, one = run("predict", pictures, "--model", model)
    assert len(predicted["results"]) == 24  # type: ignore[arg-type]
    measured, two = run("bench", model, "--seconds", "0.2", "--pictures", pictures)
    (line,) = measured["lines"]  # type: ignore[misc]
    assert line["provider"] == "cpu"
    assert line["speed"]["whole_ms"] > 0
    evaluated, three = run("evaluate", pictures, "--model", model, "--report", tmp_path / "report")
    assert evaluated["scores"]["top1"]["value"] > 0.8  # type: ignore[index,call-overload]
    assert (tmp_path / "report/report.html").is_file()
    told, _ = run("doctor")
    assert told["provider"] == "cpu"
    folder = next((board.parent.parent / "lib").glob("python*/site-packages"))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6
    of_model = line["speed"]["peak_mb"]
    with capsys.disabled():
        sys.stdout.write(f"\ninstalled {size:.0f} MB; predict {one}, bench {two}, evaluate {three}; its model {of_model} MB\n")
    assert size < 1000


def test_what_the_base_install_lacks_is_said(board: Path, tmp_path: Path) -> None:
    model = tiny_bundle(tmp_path / "m")
    environ = {"SIGHTLINE_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    for more, extra, words in (
        ({}, "media", ["predict", "--camera", "0", "--model", str(model)]),
        ({"SIGHTLINE_PROVIDER": "openvino"}, "openvino", ["predict", str(model), "--model", str(model)]),
    ):
        ran = done([str(board), "-m", "sightline", *words], env={**environ, **more}, cwd=tmp_path)
        assert ran.returncode == 4, ran.stderr
        assert f"pip install 'sightline[{extra}]'" in ran.stderr
