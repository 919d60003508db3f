"""The yardsticks: the majority answer is exact, HOG + linear learns shapes, bad pictures do not stop it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline import progress
from sightline.learn import baseline
from sightline.learn.baseline import baselines
from sightline.types import Annotation, Item


def stripes(folder: Path, name: str, index: int) -> Item:
    """Vertical or horizontal stripes: the same colours, other gradients."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(index)
    wave = (np.sin(np.arange(80) * rng.uniform(0.4, 0.8) + rng.uniform(0, 6)) * 90 + 128).astype(np.uint8)
    grey = np.tile(wave, (80, 1)) if name == "upright" else np.tile(wave[:, None], (1, 80))
    noisy = np.clip(grey + rng.normal(0, 12, grey.shape), 0, 255).astype(np.uint8)
    file = folder / f"{name}-{index}.png"
    Image.fromarray(noisy).convert("RGB").save(file)
    return Item(uri=str(file), name=file.name, truth=(Annotation(label=name),))


def test_hog_beats_the_majority_on_shapes(tmp_path: Path):
    pytest.importorskip("skimage")
    names = ["upright"] * 12 + ["level"] * 20
    train = [stripes(tmp_path / "train", name, index) for index, name in enumerate(names)]
    val = [stripes(tmp_path / "val", name, 100 + index) for index, name in enumerate(["upright"] * 4 + ["level"] * 6)]
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    val.append(Item(uri=str(broken), name="broken.png", truth=(Annotation(label="level"),)))
    classes = ("level", "upright")
    truth = [np.array([classes.index(item.labels[0]) for item in part]) for part in (train, val)]
    found = baselines(train, truth[0], val, truth[1], task="binary", classes=classes)
    assert found["majority class"].value == pytest.approx(7 / 11)
    assert found["HOG + linear"].n == 10
    assert found["HOG + linear"].value >= 0.9


def test_several_labels_are_scored_by_mean_average_precision(tmp_path: Path):
    pytest.importorskip("skimage")
    items = [stripes(tmp_path, ("upright", "level")[index % 2], index) for index in range(16)]
    truth = np.array([[index % 2, 1 - index % 2, 0] for index in range(16)])
    found = baselines(items[:10], truth[:10], items[10:], truth[10:], task="multilabel", classes=("a", "b", "never"))
    assert found["HOG + linear"].value > found["majority class"].value


def test_many_pictures_are_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("skimage")
    monkeypatch.setattr(baseline, "TESTING", 4)
    items = [stripes(tmp_path, ("upright", "level")[index % 2], index) for index in range(16)]
    truth = np.arange(16) % 2
    found = baselines(items, truth, items, truth, task="binary", classes=("a", "b"))
    assert found["HOG + linear"].n == 4


def test_without_scikit_image_only_the_majority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "skimage.feature", None)
    items = [stripes(tmp_path, "level", index) for index in range(4)]
    notes: list[str] = []
    with progress.listen(lambda event: notes.append(event.note)):
        found = baselines(items, np.array([0, 0, 0, 1]), items, np.array([0, 0, 0, 1]), task="binary", classes=("a", "b"))
    assert list(found) == ["majority class"]
    assert "sightline[features]" in notes[-1]
