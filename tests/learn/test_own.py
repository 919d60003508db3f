"""The backbone in the package: small enough, told about, the same in 8 bits, at several sizes, and usable without torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sightline.data.roadsigns import draw_road_signs
from sightline.learn import backbones, graph, own
from sightline.runtime.engines import open_session
from sightline.runtime.pixels import prepare

ROOT = Path(__file__).parent.parent.parent
KINDS = ("no-entry", "parking", "stop")
MISSING = ("torch", "torchvision", "timm", "safetensors", "onnxscript", "optuna", "skimage", "cv2", "mahotas", "sqlalchemy")
BARE = f"""
import sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {MISSING!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Nothing())
import importlib.util
really = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in {MISSING!r} else really(name, package)
from sightline.cli import main
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def signs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_road_signs(tmp_path_factory.mktemp("own") / "signs", count=150, classes=KINDS, workers=1)


def _pictures(folder: Path, count: int, size: int) -> np.ndarray:
    spec = backbones.choose("tiny", input_size=size).input
    return np.stack([prepare(path.read_bytes(), spec) for path in sorted(folder.rglob("*.jpg"))[:count]])


def _features(content: bytes, images: np.ndarray) -> np.ndarray:
    return open_session(content).run(["embedding"], {"image": images})[0]


def test_it_is_small_and_says_what_it_is() -> None:
    assert own.GRAPH.stat().st_size + own.WEIGHTS.stat().st_size < 4_000_000
    card = own.card()
    assert card["parameters"] < 2_500_000
    assert card["input"]["size"] == own.SIZE
    assert set(card["scores"]["int8"]) == set(card["scores"]["teacher"])
    for said in ("learned_from", "licence", "limits", "teacher"):
        assert card[said]


@pytest.mark.parametrize("size", [96, 128, 160])
def test_pictures_of_several_sizes(signs: Path, size: int) -> None:
    start = backbones.choose("tiny", input_size=size)
    content, key = graph.backbone_graph(start)
    found = _features(content, _pictures(signs, 3, size))
    assert found.shape[0] == 3
    assert found.std() > 0
    assert str(size) in key


@pytest.mark.deep
def test_eight_bits_say_what_the_weights_say(signs: Path) -> None:
    import torch

    start = backbones.choose("tiny")
    network, width = backbones.build(start)
    images = _pictures(signs, 24, own.SIZE)
    x = (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    with torch.inference_mode():
        float_ = network(x).numpy()
    ours = _features(own.graph(own.SIZE), images)
    assert ours.shape == float_.shape == (24, width)
    middle = float_.mean(0)  # what all pictures have in common would hide what tells them apart
    a, b = ours - middle, float_ - middle
    alike = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert alike.mean() > 0.95


def test_which_backbone_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert backbones.choose("tiny").packaged
    assert "mobilenetv2_100" in backbones.choose("small").why, "no weights folder and no hub in tests"
    assert backbones.named(own.NAME, 96).input.size == 96
    monkeypatch.setattr(backbones, "can_build", lambda: False)
    assert backbones.choose("large").packaged
    assert backbones.choose("large").why == ""


def _run(*command: str, home: Path) -> str:
    environment = {**os.environ, "SIGHTLINE_HOME": str(home), "SIGHTLINE_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _told(sightline: list[str], signs: Path, home: Path) -> float:
    """Train, predict and clean with this command; the share that is right on the signs kept apart."""
    model = home / "model"
    made = json.loads(_run(*sightline, "train", str(signs / "train"), "--out", str(model), "--json", home=home))
    assert made["backbone"] == own.NAME
    assert made["weights"] == "in the package"
    tested = json.loads(_run(*sightline, "evaluate", str(signs / "test"), "--model", str(model), "--json", home=home))
    picture = next((signs / "test" / "stop").glob("*.jpg"))
    answer = json.loads(_run(*sightline, "predict", str(picture), "--model", str(model), "--json", home=home))
    assert {one["label"] for one in answer["results"][0]["labels"]} == set(KINDS)
    found = json.loads(_run(*sightline, "clean", str(signs / "train"), "--report", str(home / "r.html"), "--json", home=home))
    assert "findings" in found
    return float(tested["scores"]["top1"]["value"])


def test_training_where_there_is_no_torch(signs: Path, tmp_path: Path) -> None:
    assert _told([sys.executable, "-c", BARE], signs, tmp_path) > 0.8


def test_what_needs_torch_says_so(signs: Path, tmp_path: Path) -> None:
    for options in (["--way", "fine-tune"], ["--way", "scratch"], ["--backbone", "resnet18"], ["--way", "classic"]):
        command = [sys.executable, "-c", BARE, "train", str(signs / "train"), *options]
        environment = {**os.environ, "SIGHTLINE_HOME": str(tmp_path)}
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
        assert done.returncode == 4, (options, done.stderr)
        assert "sightline[deep]" in done.stderr


@pytest.mark.slow
def test_an_environment_with_the_base_install_alone(signs: Path, tmp_path: Path) -> None:
    """As `pip install sightline` makes it: nothing but requirements/base.txt and the wheel."""
    uv = shutil.which("uv") or str(ROOT / ".venv" / "bootstrap" / "bin" / "uv")
    if not Path(uv).exists():
        pytest.skip("uv is not at hand")
    place = tmp_path / "venv"
    python = str(place / "bin" / "python")
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(place)], check=True)
    pins = [str(ROOT / "requirements" / name) for name in ("base.txt", "build.txt")]
    index = _index()
    quick = [uv, "pip", "install", "-q", "--python", python, *index]
    found = subprocess.run(
        [*quick, "--require-hashes", "-r", pins[0], "-r", pins[1]], capture_output=True, text=True, check=False
    )
    if found.returncode:
        pytest.skip(f"the registry does not answer: {found.stderr[-200:]}")
    subprocess.run([*quick, "--no-deps", "--no-build-isolation", str(ROOT)], check=True)
    assert subprocess.run([python, "-c", "import torch"], capture_output=True, check=False).returncode
    assert _told([str(place / "bin" / "sightline")], signs, tmp_path / "home") > 0.8


def _index() -> list[str]:
    """The index that pip is configured for, which uv does not read."""
    said = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False).stdout
    found = [line.partition("=")[2].strip("'\" ") for line in said.splitlines() if line.endswith("'") and ".index-url=" in line]
    return ["--default-index", found[-1]] if found else []
