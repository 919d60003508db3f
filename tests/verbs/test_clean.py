"""clean from end to end: what a person and a script get, a mended copy that is whole or not there, originals untouched."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from pictures import class_folders, drawn, encoded
from sightline.data.readers import read
from sightline.errors import DatasetError, NotFoundError, StorageError, UsageError
from sightline.runtime.metadata import private
from sightline.settings import settings
from sightline.verbs.clean import clean, show
from sightline.verbs.mending import MARK


def with_place(picture: Image.Image, turned: int = 6) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = turned
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 36.0)})
    return encoded(picture, exif=exif.tobytes())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Train and test folders with one of many things wrong."""
    root = tmp_path / "photos"
    class_folders(root / "train", 6)
    class_folders(root / "test", 4, seed=100)
    train = root / "train" / "red"
    (train / "broken.jpg").write_bytes(b"no picture")
    (train / "leak.jpg").write_bytes((root / "test" / "red" / "red-1.jpg").read_bytes())
    (train / "again.jpg").write_bytes((train / "red-0.jpg").read_bytes())
    (train / "place.jpg").write_bytes(with_place(drawn(60)))
    (train / "wrong.jpg").write_bytes(encoded(drawn(61), "PNG"))
    (root / "train" / "Red").mkdir()
    (root / "train" / "Red" / "x.jpg").write_bytes(encoded(drawn(62)))
    return root


def contents(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_what_it_says(photos: Path) -> None:
    before = contents(photos)
    result = clean(photos, suspects=False)
    assert result.counts == {
        "unreadable": 1,
        "leak": 1,
        "label_spelling": 1,
        "exact_duplicate": 2,
        "private_metadata": 1,
        "wrong_name": 1,
    }
    assert sum(result.counts.values()) == len(result.findings)
    assert result.mended is None
    page = Path(result.report)
    assert page.is_relative_to(settings().home)
    text = page.read_text()
    assert "data:image/jpeg" in text
    assert "leak.jpg" in text
    assert contents(photos) == before


def test_the_mended_folder(photos: Path, tmp_path: Path) -> None:
    before = contents(photos)
    result = clean(photos, fix=True, out=tmp_path / "new", suspects=False)
    assert contents(photos) == before
    assert result.mended is not None
    assert result.failures == ()
    assert result.mended.left_out == {"unreadable": 1, "leak": 1, "exact_duplicate": 1}
    assert result.mended.relabelled == {"Red": "red"}
    again = read(tmp_path / "new")
    assert len(again.items) == result.mended.pictures == 33
    assert again.classes == ("blue", "green", "red")
    assert {item.split for item in again.items} == {"train", "test"}
    files = contents(tmp_path / "new")
    assert "train/red/wrong.png" in files
    kept = (tmp_path / "new" / "train" / "red" / "place.jpg").read_bytes()
    assert private(kept) == ()
    with Image.open(tmp_path / "new" / "train" / "red" / "place.jpg") as picture:
        assert picture.getexif()[0x0112] == 6  # still says how it is turned
    assert clean(tmp_path / "new", suspects=False).counts == {}


def test_again_is_the_same_and_something_else_is_refused(photos: Path, tmp_path: Path) -> None:
    first = clean(photos, fix=True, out=tmp_path / "new", suspects=False)
    before = contents(tmp_path / "new")
    assert clean(photos, fix=True, out=tmp_path / "new", suspects=False).mended == first.mended
    assert contents(tmp_path / "new") == before
    (photos / "train" / "red" / "more.jpg").write_bytes(encoded(drawn(90)))
    with pytest.raises(StorageError, match="other data"):
        clean(photos, fix=True, out=tmp_path / "new", suspects=False)
    assert contents(tmp_path / "new") == before


def test_a_version_in_the_workspace(photos: Path) -> None:
    pytest.importorskip("sqlalchemy")
    from sightline.store import datasets, names
    from sightline.store.database import database

    result = clean(photos, fix=True, into="tidy", suspects=False)
    assert result.mended is not None
    version = datasets.get(database(), "tidy")
    assert version.hash == result.mended.hash == names.target(database(), "dataset", "tidy")
    assert len(version.items) == result.mended.pictures == 33
    assert datasets.summary(database(), "tidy").parents
    place = next(item for item in version.items if item.name == "train/red/place.jpg")
    assert private(Path(place.uri).read_bytes()) == ()
    untouched = next(item for item in version.items if item.name == "train/red/red-0.jpg" or item.name.endswith("again.jpg"))
    assert Path(untouched.uri).is_relative_to(photos)
    assert clean(Path("tidy"), suspects=False).counts == {}
    assert clean(photos, fix=True, into="tidy", suspects=False).mended == result.mended


def test_pictures_without_labels(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for number in range(4):
        (tmp_path / "in" / "deep" / f"{number}.jpg").write_bytes(with_place(drawn(number), 1))
    (tmp_path / "in" / "again.jpg").write_bytes((tmp_path / "in" / "deep" / "0.jpg").read_bytes())
    result = clean(tmp_path / "in", fix=True, out=tmp_path / "new", suspects=False)
    assert result.counts == {"exact_duplicate": 1, "private_metadata": 5}
    files = [name for name in contents(tmp_path / "new") if name != MARK]
    assert len(files) == 4
    assert all(private((tmp_path / "new" / name).read_bytes()) == () for name in files)


def test_several_labels_are_written_as_a_table(tmp_path: Path) -> None:
    photos = class_folders(tmp_path / "in", 3)
    rows = ["file,label", *(f"{path.parent.name}/{path.name},{path.parent.name}|any" for path in photos.rglob("*.jpg"))]
    (photos / "labels.csv").write_text("\n".join(rows))
    clean(photos, fix=True, out=tmp_path / "new", suspects=False)
    again = read(tmp_path / "new")
    assert again.task == "multilabel"
    assert {frozenset(item.labels) for item in again.items} == {frozenset({name, "any"}) for name in ("red", "green", "blue")}


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"fix": True}, "one place"),
        ({"fix": True, "out": "a", "into": "b"}, "one place"),
        ({"out": "a"}, "--out"),
        ({"drop": "blurred"}, "--drop"),
        ({"fix": True, "into": "b", "format": "coco"}, "--format"),
        ({"fix": True, "out": "a", "format": "kitti"}, "kitti"),
        ({"fix": True, "out": "a", "drop": "nonsense"}, "nonsense"),
    ],
)
def test_wishes_that_cannot_be_met(wishes: dict[str, object], said: str, photos: Path, tmp_path: Path) -> None:
    if "out" in wishes:
        wishes = {**wishes, "out": tmp_path / "new"}
    with pytest.raises(UsageError, match=said) as caught:
        clean(photos, **wishes)  # type: ignore[arg-type]
    assert caught.value.hint
    assert not (tmp_path / "new").exists()


def test_places_that_are_taken(photos: Path, tmp_path: Path) -> None:
    taken = class_folders(tmp_path / "taken", 1)
    with pytest.raises(StorageError, match="exists already"):
        clean(photos, fix=True, out=taken, suspects=False)
    (tmp_path / "empty").mkdir()
    assert clean(photos, fix=True, out=tmp_path / "empty", suspects=False).mended is not None
    with pytest.raises(NotFoundError):
        clean(tmp_path / "nowhere")
    (tmp_path / "blank").mkdir()
    (tmp_path / "blank" / "a.png").write_bytes(encoded(Image.new("RGB", (64, 64)), "PNG"))
    with pytest.raises(DatasetError, match="nothing would be left"):
        clean(tmp_path / "blank", fix=True, out=tmp_path / "new", suspects=False)
    assert not (tmp_path / "new").exists()


def test_what_a_person_sees(photos: Path, tmp_path: Path) -> None:
    from rich.console import Console

    console = Console(width=160, record=True, file=io.StringIO())
    console.print(show(clean(photos, fix=True, out=tmp_path / "new", suspects=False)))
    text = console.export_text()
    assert "pictures looked at" in text
    assert "the copy in training left out" in text
    assert "the originals are as they were" in text
    assert "report.html" in text


# --- kill -9


def started(photos: Path, out: Path, home: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "sightline", "clean", str(photos), "--fix", "--out", str(out), "--no-suspects", "--json"]
    environment = {**os.environ, "SIGHTLINE_HOME": str(home), "SIGHTLINE_OFFLINE": "1"}
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)


def killed_and_run_again(tmp_path: Path, times: int, seed: int) -> None:
    photos = class_folders(tmp_path / "photos", 60)
    (photos / "red" / "again.jpg").write_bytes((photos / "red" / "red-0.jpg").read_bytes())
    out, chance = tmp_path / "new", random.Random(seed)
    for number in range(times):
        process = started(photos, out, tmp_path / "home")
        if number % 2:  # any time; otherwise while the copy is being written
            time.sleep(chance.uniform(0.1, 2.5))
        else:
            while process.poll() is None and not list(tmp_path.glob(".*new*")):
                time.sleep(0.002)
            time.sleep(chance.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if out.exists():
            assert json.loads((out / MARK).read_text())["key"]
            assert len(list(out.rglob("*.jpg"))) == 180
    process = started(photos, out, tmp_path / "home")
    answer = json.loads(process.communicate()[0])
    assert process.returncode == 0
    assert answer["mended"]["pictures"] == 180
    assert len(read(out).items) == 180
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_killed_and_run_again(tmp_path: Path) -> None:
    killed_and_run_again(tmp_path, 3, seed=0)


@pytest.mark.slow
def test_killed_twenty_times_and_run_again(tmp_path: Path) -> None:
    killed_and_run_again(tmp_path, 20, seed=1)
