"""Reading what lies there, tidy or not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pictures import class_folders, drawn, encoded
from sightline.data.found import read_as_found
from sightline.errors import DatasetError, NotFoundError


def test_labelled_pictures_are_read_as_ever(tmp_path: Path) -> None:
    dataset = read_as_found(class_folders(tmp_path / "photos"))
    assert (dataset.classes, dataset.kind, len(dataset.items), dataset.failures) == (
        ("blue", "green", "red"),
        "folders",
        18,
        (),
    )


def test_pictures_without_labels(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}.jpg").write_bytes(encoded(drawn(number)))
    dataset = read_as_found(tmp_path)
    assert dataset.kind == "pictures"
    assert dataset.classes == ()
    assert [item.name for item in dataset.items] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    assert all(item.truth == () for item in dataset.items)


def test_an_archive_without_labels(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "in" / f"{number}.jpg").parent.mkdir(exist_ok=True)
        (tmp_path / "in" / f"{number}.jpg").write_bytes(encoded(drawn(number)))
    path = shutil.make_archive(str(tmp_path / "pile"), "zip", tmp_path / "in")
    dataset = read_as_found(path)
    assert (dataset.name, dataset.kind, len(dataset.items)) == ("pile", "pictures", 3)


def test_one_class_is_read(tmp_path: Path) -> None:
    dataset = read_as_found(class_folders(tmp_path / "photos", classes=("red",)))
    assert dataset.classes == ("red",)
    assert {item.labels for item in dataset.items} == {("red",)}
    (tmp_path / "photos" / "beside.jpg").write_bytes(encoded(drawn(1)))  # so `red` is a folder in a pile
    assert read_as_found(tmp_path / "photos").kind == "pictures"


def test_every_stray_is_named(tmp_path: Path) -> None:
    photos = class_folders(tmp_path / "photos")
    for number in range(3):
        (photos / f"stray-{number}.jpg").write_bytes(encoded(drawn(number)))
    dataset = read_as_found(photos)
    strays = {failure.picture: failure.error.code for failure in dataset.failures}
    assert strays == {f"stray-{number}.jpg": "label_missing" for number in range(3)}


def test_names_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "good.jpg").write_bytes(encoded(drawn(1)))
    try:
        (tmp_path / "bad\udcff.jpg").write_bytes(encoded(drawn(2)))
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    dataset = read_as_found(tmp_path)
    assert [item.name for item in dataset.items] == ["good.jpg"]
    assert [failure.error.code for failure in dataset.failures] == ["name"]


def test_nothing_at_all(tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        read_as_found(tmp_path)
    with pytest.raises(NotFoundError):
        read_as_found(tmp_path / "nothing")
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(DatasetError):
        read_as_found(tmp_path)
