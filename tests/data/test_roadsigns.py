"""Drawn road signs: the same for the same seed, even, truthfully annotated, written whole, used again."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from sightline import progress
from sightline.data.readers import read
from sightline.data.roadsigns import CLASSES, draw_road_signs, draw_scene, draw_scenes, draw_sign, folders
from sightline.data.roadsigns.clutter import THINGS, thing
from sightline.data.roadsigns.faces import FACES, face, style
from sightline.data.roadsigns.pen import GLYPHS, Pen, inset, regular
from sightline.data.roadsigns.picture import MOST_COVERED, _cover, as_jpeg
from sightline.data.roadsigns.weather import WEATHERS
from sightline.errors import StorageError, UsageError


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def signs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_road_signs(tmp_path_factory.mktemp("drawn") / "set", count=100, seed=3, workers=1)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_twenty_classes_that_look_different_from_each_other() -> None:
    assert len(CLASSES) == 20
    assert list(CLASSES) == sorted(CLASSES)
    look = style(rng(0))
    faces = [np.asarray(face(label, look, 64).convert("RGBA"), np.int16) for label in CLASSES]
    for index, first in enumerate(faces):
        assert first[..., 3].mean() > 60, CLASSES[index]  # something is drawn
        for second in faces[index + 1 :]:
            assert np.abs(first - second).mean() > 1.5


def test_outlines_enclose_the_faces() -> None:
    for label in CLASSES:
        alpha = np.asarray(face(label, style(rng(1)), 128).getchannel("A")) > 0
        rows, columns = np.nonzero(alpha)
        drawn = np.asarray((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)) / 64 - 1
        outline = np.asarray(FACES[label].outline)
        told = np.concatenate((outline.min(axis=0), outline.max(axis=0)))
        assert np.abs(drawn - told).max() < 0.1, label  # rounded corners are a little shorter than the outline


def test_every_text_has_its_glyphs() -> None:
    for letter in "".join(entry.text or "" for entry in FACES.values()):
        assert GLYPHS[letter]


def test_inset_moves_every_side_inward() -> None:
    square = inset([(-1, -1), (1, -1), (1, 1), (-1, 1)], 0.25)
    assert np.allclose(square, [(-0.75, -0.75), (0.75, -0.75), (0.75, 0.75), (-0.75, 0.75)])
    for corners in (3, 8):
        assert np.hypot(*np.asarray(inset(regular(corners), 0.1)).T).max() < 1


def test_a_picture_follows_from_its_seed_alone() -> None:
    first, again, other = (draw_sign(rng(5, seed), "stop", 64) for seed in (1, 1, 2))
    assert np.array_equal(np.asarray(first.picture), np.asarray(again.picture))
    assert first.annotations == again.annotations
    assert not np.array_equal(np.asarray(first.picture), np.asarray(other.picture))


def test_the_sign_is_where_the_annotation_says() -> None:
    """Inside the outline the picture resembles the sign's own colours far more often than outside."""
    inside, outside = [], []
    for seed in range(40):
        drawn = draw_sign(rng(6, seed), "straight-ahead", 96)
        if {"night", "fog", "glare", "covered"} & set(drawn.conditions):
            continue
        pixels = np.asarray(drawn.picture, np.float32)
        blueness = pixels[..., 2] - pixels[..., 0]

        mask = Image.new("L", drawn.picture.size)
        polygon = drawn.annotations[0].polygon
        assert polygon is not None
        ImageDraw.Draw(mask).polygon([tuple(point) for point in polygon], fill=255)
        where = np.asarray(mask) > 0
        inside.append(float(np.median(blueness[where])))
        outside.append(float(np.median(blueness[~where])))
    assert len(inside) > 10
    assert np.mean(inside) > np.mean(outside) + 20


@pytest.mark.parametrize("size", [32, 96, 200])
def test_annotations_hold_together(size: int) -> None:
    for index, label in enumerate(CLASSES):
        drawn = draw_sign(rng(7, index), label, size)
        assert drawn.picture.size == (size, size)
        assert drawn.picture.mode == "RGB"
        (annotation,) = drawn.annotations
        assert annotation.label == label
        assert annotation.score is None
        assert annotation.text == FACES[label].text
        assert annotation.box is not None
        assert annotation.polygon is not None
        assert annotation.keypoints is not None
        x0, y0, x1, y1 = annotation.box
        assert 0 <= x0 < x1 <= size
        assert 0 <= y0 < y1 <= size
        assert len(annotation.keypoints) == 4
        assert 0.15 * size < max(x1 - x0, y1 - y0) < 0.95 * size
        inside = np.clip(np.asarray(annotation.polygon), 0, size)
        assert np.allclose((*inside.min(axis=0), *inside.max(axis=0)), annotation.box, atol=0.02)


def test_corners_run_clockwise_from_the_top_left() -> None:
    for seed in range(30):
        keypoints = draw_sign(rng(8, seed), "parking", 96).annotations[0].keypoints
        assert keypoints is not None
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = keypoints
        assert ax < bx
        assert dx < cx
        assert ay < dy
        assert by < cy


def test_all_conditions_come_up() -> None:
    seen = {condition for seed in range(120) for condition in draw_sign(rng(9, seed), "stop", 32).conditions}
    assert seen == {*WEATHERS, "blur", "motion", "covered"}


@pytest.mark.parametrize("name", WEATHERS)
def test_weather_changes_a_picture_but_leaves_something_to_see(name: str) -> None:
    pixels = np.asarray(face("stop", style(rng(0)), 96).convert("RGB"), np.float32)
    changed = WEATHERS[name](rng(1), pixels, 1.0)
    assert changed.shape == pixels.shape
    assert changed.dtype == np.float32
    assert np.abs(changed - pixels).mean() > 3
    assert np.corrcoef(changed.ravel(), pixels.ravel())[0, 1] > 0.3


def test_covers_hide_less_than_a_quarter() -> None:
    for seed in range(60):
        plate = face(CLASSES[seed % 20], style(rng(seed)), 120)
        covered = _cover(rng(10, seed), plate)
        solid = np.asarray(plate.getchannel("A")) > 127
        changed = (np.asarray(plate) != np.asarray(covered)).any(axis=2) & solid
        assert changed.sum() <= (MOST_COVERED + 0.01) * solid.sum()


def test_scene_holds_several_signs_that_do_not_overlap() -> None:
    counts = []
    for seed in range(8):
        scene = draw_scene(rng(11, seed), (240, 160), signs=4)
        assert scene.picture.size == (240, 160)
        boxes = [annotation.box for annotation in scene.annotations if annotation.box]
        counts.append(len(boxes))
        for index, first in enumerate(boxes):
            assert 0 <= first[0] < first[2] <= 240
            assert 0 <= first[1] < first[3] <= 160
            for second in boxes[index + 1 :]:
                width = min(first[2], second[2]) - max(first[0], second[0])
                height = min(first[3], second[3]) - max(first[1], second[1])
                smaller = min((b[2] - b[0]) * (b[3] - b[1]) for b in (first, second))
                assert max(0.0, width) * max(0.0, height) < 0.15 * smaller
    assert max(counts) == 4
    assert min(counts) >= 2


def test_a_scene_may_be_empty() -> None:
    assert draw_scene(rng(12), (64, 64), signs=0).annotations == ()


def test_jpeg_quality_varies() -> None:
    picture = draw_sign(rng(13), "stop", 96).picture
    sizes = {len(as_jpeg(rng(14, seed), picture)) for seed in range(8)}
    assert len(sizes) > 4


def test_set_has_even_classes_and_a_test_part_of_its_own(signs: Path) -> None:
    for split, per_class in (("train", 4), ("test", 1)):
        assert sorted(folder.name for folder in (signs / split).iterdir()) == list(CLASSES)
        for folder in (signs / split).iterdir():
            assert len(list(folder.glob("*.jpg"))) == per_class
    files = contents(signs)
    pictures = {data for name, data in files.items() if name.endswith(".jpg")}
    assert len(pictures) == 100  # no picture twice


def test_annotation_lines_describe_every_file(signs: Path) -> None:
    rows = folders.read_annotations(signs)
    assert {str(row["file"]) for row in rows} == {name for name in contents(signs) if name.endswith(".jpg")}
    for row in rows:
        split, label, _ = str(row["file"]).split("/")
        assert (row["split"], row["label"]) == (split, label)
        with Image.open(io.BytesIO((signs / str(row["file"])).read_bytes())) as picture:
            assert picture.format == "JPEG"
            assert picture.size == (row["width"], row["height"]) == (96, 96)
        assert set(row) == {
            *("file", "split", "width", "height", "conditions"),
            *("label", "box", "polygon", "keypoints", "text", "origin"),
        }
    assert {row["text"] for row in rows if str(row["label"]).startswith("speed")} == {"30", "50", "70", "100"}


def test_number_of_processes_does_not_matter(signs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "WORTH_A_POOL", 1)
    many = draw_road_signs(tmp_path / "many", count=100, seed=3, workers=2)
    assert contents(many) == contents(signs)


def test_goes_on_alone_when_no_process_can_be_started(signs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise folders.BrokenProcessPool("no processes")

    monkeypatch.setattr(folders, "WORTH_A_POOL", 1)
    monkeypatch.setattr(folders, "_in_pool", broken)
    events: list[progress.Event] = []
    with progress.listen(events.append):
        alone = draw_road_signs(tmp_path / "alone", count=100, seed=3, workers=2)
    assert contents(alone) == contents(signs)
    assert any("one core" in event.what + event.note for event in events)
    assert max(event.done for event in events) == 100


def test_seeds_differ(signs: Path, tmp_path: Path) -> None:
    other = contents(draw_road_signs(tmp_path / "other", count=60, seed=4, workers=1))
    assert not {data for name, data in other.items() if name.endswith(".jpg")} & set(contents(signs).values())


def test_a_complete_set_is_used_again_and_a_damaged_one_is_drawn_anew(tmp_path: Path) -> None:
    out = draw_road_signs(tmp_path / "set", count=60, size=32, workers=1)
    before = contents(out)
    victim = out / next(name for name in before if name.endswith(".jpg"))
    kept = next(out.rglob("*-00003.jpg"))
    kept.write_bytes(b"touched")
    draw_road_signs(out, count=60, size=32, workers=1)
    assert kept.read_bytes() == b"touched"  # nothing was drawn
    victim.unlink()
    draw_road_signs(out, count=60, size=32, workers=1)
    assert contents(out) == before


def test_refuses_a_folder_that_holds_something_else(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("dear")
    with pytest.raises(StorageError, match="something else"):
        draw_road_signs(out, count=60)
    assert (out / "thesis.txt").read_text() == "dear"
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(StorageError, match="something else"):
        draw_road_signs(file, count=60)


def test_refuses_other_road_signs_and_says_which(tmp_path: Path) -> None:
    out = draw_road_signs(tmp_path / "set", count=60, size=32, workers=1)
    with pytest.raises(StorageError, match='"count": 60'):
        draw_road_signs(out, count=80, size=32, workers=1)
    assert json.loads((out / "manifest.json").read_text())["count"] == 60


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    out = tmp_path / "empty"
    out.mkdir()
    draw_road_signs(out, count=60, size=32, workers=1)
    assert (out / "test" / "stop").is_dir()


def test_nothing_is_left_behind_when_drawing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr(folders, "draw_sign", failing)
    with pytest.raises(RuntimeError):
        draw_road_signs(tmp_path / "set", count=60, workers=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"count": 5}, {"size": 8}, {"size": 5000}, {"seed": -1}])
def test_refuses_impossible_numbers(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        draw_road_signs(tmp_path / "set", **wrong)
    assert list(tmp_path.iterdir()) == []


# --- scenes with other things


def test_clutter_is_no_sign_and_no_two_are_alike() -> None:
    sides = [np.asarray(drawing.image, np.int16) for drawing in _each_thing()]
    assert len(sides) == len(THINGS) >= 10
    faces_ = [np.asarray(face(label, style(rng(0)), 64).convert("RGBA"), np.int16) for label in CLASSES]
    for number, one in enumerate(sides):
        assert one[..., 3].mean() > 30, THINGS[number].__name__
        assert min(np.abs(one - other).mean() for other in faces_) > 8, THINGS[number].__name__
    assert thing(rng(1), 32).size == (32, 32)


def _each_thing() -> list[Pen]:
    found = []
    for number, draw in enumerate(THINGS):
        pen = Pen(64)
        draw(pen, rng(number))
        found.append(pen)
    return found


def test_signs_are_never_under_clutter() -> None:
    bare = draw_scene(rng(5), (320, 240), signs=3)
    assert bare.annotations == draw_scene(rng(5), (320, 240), signs=3, clutter=0).annotations
    for seed in range(6):
        full = draw_scene(rng(13, seed), (320, 240), signs=3, clutter=9, classes=("stop", "parking"))
        assert {one.label for one in full.annotations} <= {"stop", "parking"}
        for one in full.annotations:
            assert one.box is not None
            assert 0 <= one.box[0] < one.box[2] <= 320


@pytest.mark.parametrize("format", ["coco", "voc", "yolo"])
def test_a_folder_of_scenes(tmp_path: Path, format: str) -> None:
    heard: list[progress.Event] = []
    with progress.listen(heard.append):
        out = draw_scenes(tmp_path / "scenes", 12, seed=2, format=format, classes=("stop", "give-way"), workers=1)
    assert not [event.note for event in heard if event.note]
    dataset = read(out)
    assert (dataset.kind, dataset.task, dataset.failures) == (format, "detection", ())
    assert set(dataset.classes) <= {"stop", "give-way"}
    assert Counter(item.split for item in dataset.items) == {"train": 10, "test": 2}
    marks = [mark for item in dataset.items for mark in item.truth]
    assert len(marks) >= 12
    assert all(mark.box for mark in marks)
    if format == "coco":
        assert all(mark.polygon and len(mark.keypoints or ()) == 4 for mark in marks)
        assert dataset.skeletons["stop"].points[0] == "top-left"
    before = contents(out)
    assert draw_scenes(out, 12, seed=2, format=format, classes=("give-way", "stop")) == out
    assert contents(out) == before
    with pytest.raises(StorageError, match="other street scenes"):
        draw_scenes(out, 13, seed=2, format=format, classes=("stop", "give-way"))
    assert list(tmp_path.iterdir()) == [out]


def test_scenes_that_cannot_be_drawn(tmp_path: Path) -> None:
    for wish in ({"count": 3}, {"format": "csv"}, {"classes": ("stop", "dragon")}):
        with pytest.raises(UsageError):
            draw_scenes(tmp_path / "x", **wish)  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()
