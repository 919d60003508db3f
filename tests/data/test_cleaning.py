"""Findings of every kind: what is planted is found and named, an ordinary dataset has none."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageFilter, ImageOps

from pictures import class_folders, drawn, encoded
from sightline.data import cleaning
from sightline.data.cleaning import KINDS, by_kind, look_over, ordered
from sightline.data.found import read_as_found
from sightline.data.manifest import with_hashes
from sightline.data.matches import pairs
from sightline.data.mend import plan
from sightline.data.survey import survey
from sightline.types import Finding


def findings(folder: Path) -> dict[str, list[Finding]]:
    dataset = read_as_found(folder)
    seen = survey(dataset, quality=True)
    return by_kind(look_over(with_hashes(dataset, seen.sha256), seen))


def names(found: dict[str, list[Finding]], kind: str) -> list[tuple[str, ...]]:
    return [one.items for one in found.get(kind, [])]


def with_place(picture: Image.Image) -> bytes:
    """A JPEG that tells where it was taken."""
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 36.0)})
    return encoded(picture, exif=exif.tobytes())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "photos", per_class=6)


def test_an_ordinary_dataset_has_no_findings(photos: Path) -> None:
    assert findings(photos) == {}


def test_how_a_picture_looks(photos: Path) -> None:
    red, large = photos / "red", drawn(77, (400, 300))
    (red / "dark.jpg").write_bytes(encoded(drawn(70).point(lambda value: value * 0.2)))
    (red / "bright.jpg").write_bytes(encoded(drawn(71, (300, 240)).point(lambda value: min(255, value * 3 + 60))))
    (red / "blurred.jpg").write_bytes(encoded(large.filter(ImageFilter.GaussianBlur(9))))
    (red / "blank.png").write_bytes(encoded(Image.new("RGB", (90, 90), "navy"), "PNG"))
    (red / "tiny.png").write_bytes(encoded(drawn(72, (20, 24)), "PNG"))
    (red / "strip.png").write_bytes(encoded(drawn(73, (500, 90)), "PNG"))
    found = findings(photos)
    for kind, name in (("dark", "dark.jpg"), ("bright", "bright.jpg"), ("blurred", "blurred.jpg")):
        assert names(found, kind) == [(f"red/{name}",)]
    for kind, name in (("blank", "blank.png"), ("tiny", "tiny.png"), ("odd_aspect", "strip.png")):
        assert names(found, kind) == [(f"red/{name}",)]


def test_files_that_are_no_pictures(photos: Path) -> None:
    (photos / "red" / "empty.jpg").write_bytes(b"")
    (photos / "red" / "text.jpg").write_bytes(b"hello")
    (photos / "red" / "cut.jpg").write_bytes((photos / "red" / "red-0.jpg").read_bytes()[:900])
    found = findings(photos)
    assert set(found) == {"unreadable"}
    assert names(found, "unreadable") == [("red/cut.jpg",), ("red/empty.jpg",), ("red/text.jpg",)]
    assert {one.severity for one in found["unreadable"]} == {"error"}


def test_names_and_what_files_tell(photos: Path) -> None:
    (photos / "red" / "a.jpg").write_bytes(encoded(drawn(60), "PNG"))
    (photos / "red" / "b.jpg.jpg").write_bytes(encoded(drawn(61)))
    (photos / "red" / "c.jpg").write_bytes(with_place(drawn(62)))
    found = findings(photos)
    assert names(found, "wrong_name") == [("red/a.jpg",), ("red/b.jpg.jpg",)]
    assert names(found, "private_metadata") == [("red/c.jpg",)]
    assert "GPS" in found["private_metadata"][0].message
    assert found["private_metadata"][0].score == 1.0


def test_what_tells_no_place_and_no_person_is_said_once(photos: Path) -> None:
    phone = Image.Exif()
    phone[0x0110], phone[0x0132] = "Phone 12", "2026:01:02 03:04:05"
    mine = Image.Exif()
    mine[0x0110], mine[0x013B] = "Phone 12", "Ada"
    for number in range(4):
        (photos / "red" / f"phone-{number}.jpg").write_bytes(encoded(drawn(40 + number), exif=phone.tobytes()))
    (photos / "red" / "mine.jpg").write_bytes(encoded(drawn(62), exif=mine.tobytes()))
    (photos / "red" / "told.jpg").write_bytes(encoded(drawn(63), comment=b"Ada at home"))  # free text may name anybody
    own, free, others = findings(photos)["private_metadata"]
    assert (free.items, free.score) == (("red/told.jpg",), 1.0)
    assert (own.items, own.score) == (("red/mine.jpg",), 1.0)
    assert own.message == "red/mine.jpg: the file holds owner's name, camera model"
    assert others.items == tuple(f"red/phone-{number}.jpg" for number in range(4))
    assert (
        others.message
        == "nothing that is known to tell a place or a person, but more than the picture: time taken (4), camera model (4)"
    )
    assert others.score < own.score


def test_copies_leaks_and_conflicts(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    class_folders(photos / "train", 6)
    class_folders(photos / "test", 6, seed=100)
    shutil.copy(photos / "test" / "red" / "red-1.jpg", photos / "train" / "red" / "leak.jpg")
    shutil.copy(photos / "train" / "red" / "red-2.jpg", photos / "train" / "blue" / "conflict.jpg")
    again = Image.open(io.BytesIO((photos / "train" / "green" / "green-1.jpg").read_bytes()))
    (photos / "train" / "green" / "smaller.jpg").write_bytes(encoded(again.resize((72, 60)), quality=70))
    found = findings(photos)
    assert [set(items) for items in names(found, "leak")] == [{"train/red/leak.jpg", "test/red/red-1.jpg"}]
    assert [set(items) for items in names(found, "label_conflict")] == [{"train/red/red-2.jpg", "train/blue/conflict.jpg"}]
    assert {"train/green/green-1.jpg", "train/green/smaller.jpg"} in [set(items) for items in names(found, "near_duplicate")]
    assert len(found["exact_duplicate"]) == 2


def test_mirrored_and_turned_copies(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    class_folders(photos / "train", 6)
    class_folders(photos / "test", 6, seed=100)
    mirrored = ImageOps.mirror(Image.open(photos / "test" / "red" / "red-1.jpg"))
    turned = Image.open(photos / "train" / "green" / "green-1.jpg").rotate(90, expand=True)
    (photos / "train" / "red" / "mirrored.jpg").write_bytes(encoded(mirrored, quality=92))
    (photos / "train" / "blue" / "turned.jpg").write_bytes(encoded(turned, quality=92))
    dataset = read_as_found(photos)
    seen = survey(dataset, quality=True)
    found = by_kind(look_over(dataset, seen, pairs(seen)))
    assert [set(items) for items in names(found, "leak")] == [{"train/red/mirrored.jpg", "test/red/red-1.jpg"}]
    assert [set(items) for items in names(found, "label_conflict")] == [{"train/green/green-1.jpg", "train/blue/turned.jpg"}]
    assert len(found["near_duplicate"]) == 2
    steps = plan(dataset, seen, look_over(dataset, seen, pairs(seen)), matches=pairs(seen))
    assert steps.dropped == {"train/red/mirrored.jpg": "leak"}


def test_labels(photos: Path) -> None:
    shutil.copytree(photos / "red", photos / "Red")
    for number, path in enumerate(sorted((photos / "Red").iterdir())):
        path.write_bytes(encoded(drawn(300 + number)))
    (photos / "Red" / "copy.jpg").write_bytes((photos / "red" / "red-0.jpg").read_bytes())
    (photos / "stray.jpg").write_bytes(encoded(drawn(55)))
    found = findings(photos)
    (spelling,) = found["label_spelling"]
    assert {name.split("/")[0] for name in spelling.items} <= {"red", "Red"}
    assert names(found, "missing_label") == [("stray.jpg",)]
    assert "label_conflict" not in found  # Red and red are one label


def test_imbalance_is_said_once(tmp_path: Path) -> None:
    photos = class_folders(tmp_path, 24, ("red", "green"))
    class_folders(tmp_path, 2, ("blue",), seed=50)
    found = findings(photos)
    assert list(found) == ["imbalance"]
    assert found["imbalance"][0].items == ()


def test_pictures_without_labels_are_looked_at_too(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.jpg").write_bytes(encoded(drawn(number)))
    (tmp_path / "again.jpg").write_bytes((tmp_path / "0.jpg").read_bytes())
    (tmp_path / "blank.png").write_bytes(encoded(Image.new("RGB", (90, 90), "navy"), "PNG"))
    found = findings(tmp_path)
    assert set(found) == {"blank", "exact_duplicate"}


def test_tables_with_holes(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"{number}.jpg").write_bytes(encoded(drawn(number)))
    rows = ["file,label", "0.jpg,cat", "1.jpg,dog", "2.jpg,cat", "3.jpg,dog", "4.jpg,", "gone.jpg,cat", "0.jpg,dog"]
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    found = findings(tmp_path)
    assert ("4.jpg",) in names(found, "missing_label")
    assert ("5.jpg",) in names(found, "missing_label")  # no row speaks of it
    assert names(found, "unreadable") == [("gone.jpg",)]
    assert names(found, "label_conflict") == [("0.jpg",)]


def test_a_second_look_reads_only_what_is_new(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (photos / "red" / "place.jpg").write_bytes(with_place(drawn(62)))
    first = findings(photos)
    asked: list[str] = []
    told = cleaning._read_private
    monkeypatch.setattr(cleaning, "_read_private", lambda store, pairs: asked.extend(pairs) or told(store, pairs))
    assert findings(photos) == first
    assert asked == []
    (photos / "red" / "new.jpg").write_bytes(with_place(drawn(63)))
    assert names(findings(photos), "private_metadata") == [("red/new.jpg",), ("red/place.jpg",)]
    assert [pair.rpartition("/")[2] for pair in asked] == ["new.jpg"]


def test_the_order_is_by_gravity() -> None:
    mixed = [Finding(kind=kind, items=(), message="", score=score) for kind in ("tiny", "leak") for score in (0.1, 0.9)]
    assert [(one.kind, one.score) for one in ordered(mixed)] == [("leak", 0.9), ("leak", 0.1), ("tiny", 0.9), ("tiny", 0.1)]


def test_the_kinds_are_those_of_the_contract() -> None:
    contract = """unreadable wrong_name tiny blank dark bright blurred odd_aspect exact_duplicate near_duplicate leak
    label_conflict label_spelling label_error outlier missing_label private_metadata imbalance
    bad_box doubled_box box_conflict tiny_box odd_box"""
    assert set(KINDS) == set(contract.split())


def test_a_survey_without_quality_is_a_mistake(photos: Path) -> None:
    dataset = read_as_found(photos)
    with pytest.raises(ValueError, match="quality"):
        look_over(dataset, survey(dataset))
