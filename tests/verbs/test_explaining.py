"""predict --explain: a PNG that shows on what an answer rests; refusals say what to do instead."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pictures import drawn, encoded
from sightline.errors import StorageError, UsageError
from sightline.learn.classic import drawings
from sightline.learn.classic.evidence import Evidence, evidence
from sightline.runtime import keypoints
from sightline.runtime.model import Answers
from sightline.types import Card, InputSpec, Recipe
from sightline.verbs.explaining import explain


class Answering:
    """A model that says "left" as far as the left half of the picture is bright, or as many of its keypoints are counted."""

    threads = 1

    def __init__(self, way: str, features: str = "hog", size: int = 64) -> None:
        recipe = Recipe(
            size="small", way=way, why="", backbone=f"{features} + svm", weights="none", seed=0, values={"features": features}
        )
        self.card = Card(
            id="", name="m", task="multiclass", classes=("left", "right"), input=InputSpec(size=size, fit="pad"), recipe=recipe
        )

    def answer(self, images: np.ndarray) -> Answers:
        half = images.shape[2] // 2
        return self._told(images[:, :, :half].mean(axis=(1, 2, 3)) / 255)

    def answer_given(self, given: dict[str, np.ndarray]) -> Answers:
        rows = given["keypoints"]
        counted = rows[..., 0]
        return self._told((counted * (rows[..., 1] < 0.5)).sum(axis=1) / counted.shape[1])

    @staticmethod
    def _told(left: np.ndarray) -> Answers:
        left = np.clip(left * 0.5 + 0.45, 0.05, 0.95)
        return Answers(np.stack([left, 1 - left], axis=1).astype(np.float32), np.zeros((len(left), 2)), np.zeros(len(left)))


def bright_left(folder: Path) -> Path:
    picture = Image.new("RGB", (64, 64), (30, 30, 30))
    picture.paste(drawn(1, (32, 64), (250, 240, 200)), (0, 0))
    path = folder / "one.png"
    path.write_bytes(encoded(picture, "PNG"))
    return path


@pytest.mark.parametrize(("way", "panels"), [("classic", 3), ("probe", 2)])
def test_a_sheet_of_panels(way: str, panels: int, tmp_path: Path):
    out = explain(Answering(way), bright_left(tmp_path), tmp_path / "out.png")
    with Image.open(out) as sheet:
        assert sheet.width == panels * (drawings.SIDE + 12) + 12
        assert np.asarray(sheet).std() > 10


def test_cells_on_which_the_answer_rests_are_the_left_ones(tmp_path: Path):
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, :32] = 255
    shown = evidence(Answering("classic"), "hog", image, "left")
    assert shown.points is None
    assert shown.cells[:, :3].min() > shown.cells[:, 5:].max()


def test_points_left_out_one_by_one():
    pytest.importorskip(keypoints.LIBRARIES["sift"])
    image = np.asarray(drawn(3, (64, 64)))
    rows, shapes = keypoints.describe("sift", image[None])[0], keypoints.shapes("sift", image)
    assert len(rows) == len(shapes)
    assert set(shapes[:, 2]) <= {0.0, 1.0}
    shown = evidence(Answering("classic", "sift"), "sift", image, "left")
    assert shown.points is not None
    grid = shapes[:, 2] == 0
    assert shown.points[grid & (rows[:, 1] < 0.5)].min() > 0 >= shown.points[grid & (rows[:, 1] > 0.5)].max() - 1e-3


@pytest.mark.parametrize("features", ["hog", "hog:vlad", "colour", "texture", "sift"])
def test_what_features_see_is_coloured(features: str):
    if features in keypoints.LIBRARIES:
        pytest.importorskip(keypoints.LIBRARIES[features])
    image = np.asarray(drawn(2, (64, 64)))
    points = np.linspace(-1, 1, len(keypoints.shapes("sift", image)), dtype=np.float32) if features == "sift" else None
    plain, _ = drawings.draw(features, image)
    shown, caption = drawings.draw(features, image, Evidence(np.eye(8, dtype=np.float32), points))
    assert shown.shape == (drawings.SIDE, drawings.SIDE, 3)
    assert (shown != plain).any()
    assert caption


def test_only_a_png(tmp_path: Path):
    with pytest.raises(UsageError) as caught:
        explain(Answering("probe"), bright_left(tmp_path), tmp_path / "out.jpg")
    assert "out.png" in caught.value.hint


def test_a_file_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    picture = tmp_path / "mine.png"
    drawn(1).save(picture)
    before = picture.read_bytes()
    with pytest.raises(StorageError, match="exists already"):
        explain(Answering("probe"), picture, picture)  # type: ignore[arg-type]
    assert picture.read_bytes() == before
