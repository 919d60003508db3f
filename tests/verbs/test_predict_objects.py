"""predict with a detector: JSON, pictures with boxes, videos, tiles; refusals say what to do instead."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundles import tiny_bundle
from finders import finder_bundle, scene
from pictures import encoded
from sightline.errors import StorageError, UsageError
from sightline.runtime.footage import film, footage
from sightline.verbs.predict import predict, show

PLACES = {"red": (20, 30, 60, 70), "blue": (100, 10, 140, 90)}


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(finder_bundle(tmp_path_factory.mktemp("models") / "finder"))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "one.png").write_bytes(encoded(scene(PLACES), "PNG"))
    (folder / "two.png").write_bytes(encoded(scene({}), "PNG"))
    (folder / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    return folder


def rendered(result: object) -> str:
    from rich.console import Console

    console = Console(width=200, record=True, file=__import__("io").StringIO())
    console.print(show(result))
    return console.export_text()


def test_the_json_of_objects(finder: str, pictures: Path):
    result = predict([pictures], model=finder)
    wire = json.loads(result.model_dump_json(exclude_none=True))
    assert "videos" not in wire
    one = next(entry for entry in wire["results"] if entry["picture"].endswith("one.png"))
    assert [set(label) for label in one["labels"]] == [{"label", "score", "box"}] * 2
    for label in one["labels"]:
        assert np.abs(np.array(label["box"]) - PLACES[label["label"]]).max() <= 1.7
    two = next(entry for entry in wire["results"] if entry["picture"].endswith("two.png"))
    assert two["labels"] == []
    assert len(wire["failures"]) == 1
    table = rendered(result)
    assert "1 red, 1 blue" in table
    assert "nothing found" in table


def test_boxes_are_drawn_into_a_new_folder(finder: str, pictures: Path, tmp_path: Path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "one.jpg").write_bytes(encoded(scene(PLACES, (480, 360))))
    out = tmp_path / "drawn"
    predict([pictures, other], model=finder, save_pictures=out)
    assert sorted(path.name for path in out.iterdir()) == ["one-2.jpg", "one.jpg", "two.jpg"]
    with Image.open(out / "one.jpg") as image:
        shown = np.asarray(image).astype(int)
    plain = np.asarray(scene(PLACES)).astype(int)
    assert shown.shape == plain.shape
    changed = np.abs(shown - plain).max(axis=2) > 60
    assert changed[30:70, 19:22].any()  # the left side of red's box
    assert not changed[40:60, 30:50].any()  # not its middle
    with pytest.raises(StorageError, match="not empty"):
        predict([pictures], model=finder, save_pictures=out)


def test_a_recogniser_of_whole_pictures_writes_its_answer(tmp_path: Path, pictures: Path):
    model = str(tiny_bundle(tmp_path / "tiny"))
    out = tmp_path / "drawn"
    predict([pictures / "one.png"], model=model, save_pictures=out)
    with Image.open(out / "one.jpg") as image:
        assert np.asarray(image)[2:8, 2:8].mean() < 120  # the dark line of text


def test_threshold_tiles_and_what_does_not_apply(finder: str, pictures: Path, tmp_path: Path):
    one = pictures / "one.png"
    assert len(predict([one], model=finder, threshold=0.0).results[0].labels) == 2
    assert len(predict([one], model=finder, tiles="64").results[0].labels) == 2
    assert len(predict([one], model=finder, top=1).results[0].labels) == 1
    with pytest.raises(UsageError, match="--tiles"):
        predict([one], model=finder, tiles="big")
    with pytest.raises(UsageError, match="0 to 1"):
        predict([one], model=finder, threshold=7)
    with pytest.raises(UsageError, match="whole pictures"):
        predict([one], model=finder, explain=tmp_path / "out.png")
    tiny = str(tiny_bundle(tmp_path / "tiny"))
    for wish in ({"threshold": 0.5}, {"tiles": "64"}):
        with pytest.raises(UsageError, match="find objects"):
            predict([one], model=tiny, **wish)


def moving(path: Path, frames: int = 24) -> Path:
    """Red goes right, blue goes left; blue is hidden for some frames."""
    with film(path, 12) as out:
        for number in range(frames):
            places = {"red": (10 + 4 * number, 20, 50 + 4 * number, 60)}
            if not 8 <= number < 12:
                places["blue"] = (110 - 3 * number, 80, 150 - 3 * number, 110)
            out.add(np.asarray(scene(places)), number / 12)
    return path


def test_a_video_is_annotated_and_told_line_by_line(finder: str, tmp_path: Path):
    pytest.importorskip("av")
    clip = moving(tmp_path / "clip.mp4")
    result = predict([clip], model=finder)
    assert result.results == ()
    assert result.videos is not None
    (answer,) = result.videos
    assert answer.frames == 24
    assert answer.seconds == pytest.approx(2, abs=0.05)
    assert answer.counts == {"red": 1, "blue": 1}
    assert answer.annotated == str(tmp_path / "clip.found.mp4")
    lines = [json.loads(line) for line in Path(answer.objects).read_text().splitlines()]
    assert len(lines) == 24 + 20
    assert list(lines[0])[:6] == ["frame", "time", "track", "label", "score", "box"]
    assert len({line["track"] for line in lines if line["label"] == "blue"}) == 1  # the same after it was hidden
    fifth = next(line for line in lines if line["frame"] == 5 and line["label"] == "red")
    assert fifth["time"] == pytest.approx(5 / 12, abs=0.01)
    assert np.abs(np.array(fifth["box"]) - (30, 20, 70, 60)).max() <= 3.4
    with footage(tmp_path / "clip.found.mp4") as shown:
        frames = list(shown.frames)
    assert len(frames) == 24
    assert frames[5].time == pytest.approx(5 / 12, abs=0.01)
    again = predict([clip], model=finder)
    assert again.videos == ()
    assert again.failures[0].error.code == "conflict"
    assert "1 blue, 1 red" in rendered(result)
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]


def test_videos_without_tracks_beside_pictures_and_bad_ones(finder: str, pictures: Path, tmp_path: Path):
    pytest.importorskip("av")
    clip = moving(tmp_path / "clip.mp4", 4)
    (tmp_path / "broken.mp4").write_bytes(b"nothing")
    out = tmp_path / "out"
    given = [clip, pictures / "one.png", tmp_path / "broken.mp4"]
    result = predict(given, model=finder, track=False, save_pictures=out)
    assert len(result.results) == 1
    assert [Path(failure.picture).name for failure in result.failures] == ["broken.mp4"]
    assert sorted(path.name for path in out.iterdir()) == ["clip.found.jsonl", "clip.found.mp4", "one.jpg"]
    lines = [json.loads(line) for line in (out / "clip.found.jsonl").read_text().splitlines()]
    assert {line["track"] for line in lines} == {None}
    assert result.videos is not None
    assert result.videos[0].counts == {"red": 1, "blue": 1}


def test_answers_are_kept_in_the_workspace(finder: str, pictures: Path):
    pytest.importorskip("sqlalchemy")
    from sightline.store import predictions
    from sightline.store.database import database

    result = predict([pictures / "one.png"], model=finder, keep=True)
    ((_, kept),) = predictions.read(database(), result.results[0].model).items()
    assert {label.box for label in kept.labels} == {label.box for label in result.results[0].labels}
