"""Layouts, tasks and what is left out: folders, splits, tables, archives as a user would bring them."""

from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from pictures import class_folders, drawn, encoded
from sightline.data.manifest import with_hashes, without
from sightline.data.pictures import is_junk, read_pictures
from sightline.data.readers import read
from sightline.errors import DatasetError, NotFoundError


def flat(root: Path, count: int = 6) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        (root / f"p{index}.jpg").write_bytes(encoded(drawn(index)))
    return root


def test_class_folders(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "photos", per_class=3)
    deeper = root / "red" / "holiday" / "2024"
    deeper.mkdir(parents=True)
    (deeper / "x.PNG").write_bytes(encoded(drawn(9), "PNG"))
    for junk in ("._x.jpg", ".DS_Store", "Thumbs.db"):
        (root / "red" / junk).write_bytes(b"junk")
    (root / "__MACOSX" / "red").mkdir(parents=True)
    (root / "__MACOSX" / "red" / "a.jpg").write_bytes(b"junk")
    (root / "red" / "notes.txt").write_text("no picture")
    dataset = read(root)
    assert (dataset.name, dataset.task, dataset.kind) == ("photos", "multiclass", "folders")
    assert dataset.classes == ("blue", "green", "red")
    assert len(dataset.items) == 10
    assert dataset.failures == ()
    assert "red/holiday/2024/x.PNG" in {item.name for item in dataset.items}
    assert all(Path(item.uri).is_absolute() and Path(item.uri).is_file() and item.split is None for item in dataset.items)
    assert {item.truth[0].origin for item in dataset.items} == {"import:folders"}


def test_classes_stand_in_natural_order(tmp_path: Path) -> None:
    dataset = read(class_folders(tmp_path, 1, ("class 10", "class 2", "Class 1 ")))
    assert dataset.classes == ("Class 1", "class 2", "class 10")


def test_given_splits_are_kept(tmp_path: Path) -> None:
    for folder in ("Train", "valid", "test"):
        class_folders(tmp_path / folder, 2)
    (tmp_path / "docs").mkdir()
    dataset = read(tmp_path)
    assert [len(dataset.part(part)) for part in ("train", "val", "test")] == [6, 6, 6]
    assert dataset.classes == ("blue", "green", "red")
    assert dataset.items[0].name.startswith("Train/")


def test_a_folder_beside_the_splits_is_left_out(tmp_path: Path) -> None:
    for folder in ("train", "test"):
        class_folders(tmp_path / folder, 2)
    flat(tmp_path / "unlabelled")
    dataset = read(tmp_path)
    assert len(dataset.items) == 12
    assert [failure.error.code for failure in dataset.failures] == ["stray"]


def test_split_words_can_be_classes(tmp_path: Path) -> None:
    dataset = read(class_folders(tmp_path, 2, ("train", "bus", "car")))
    assert dataset.classes == ("bus", "car", "train")
    assert {item.split for item in dataset.items} == {None}


def test_one_folder_around_is_stepped_into(tmp_path: Path) -> None:
    class_folders(tmp_path / "download" / "dataset", 2)
    assert read(tmp_path / "download").classes == ("blue", "green", "red")


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "photos", 2)
    (root / "red" / "again").symlink_to(root)
    (root / "yellow").symlink_to(class_folders(tmp_path / "more", 2, ("yellow",)) / "yellow")
    assert len(read(root).items) == 8


def test_pictures_beside_class_folders_and_empty_classes_are_named(tmp_path: Path) -> None:
    root = class_folders(tmp_path, 2)
    flat(root, 2)
    (root / "yellow").mkdir()
    dataset = read(root)
    assert dataset.classes == ("blue", "green", "red")
    assert sorted(failure.error.code for failure in dataset.failures) == ["class_empty", "stray"]


@pytest.mark.parametrize(
    ("classes", "task", "positive"),
    [
        (("no", "yes"), "binary", "yes"),
        (("0", "1"), "binary", "1"),
        (("defect", "ok"), "binary", "defect"),
        (("duck", "no duck"), "binary", "duck"),
        (("cat", "not_cat"), "binary", "cat"),
        (("hotdog", "non-hotdog"), "binary", "hotdog"),
        (("scratch", "good"), "binary", "scratch"),
        (("cat", "dog"), "binary", None),
        (("north", "south"), "binary", None),
        (("cat", "dog", "no"), "multiclass", None),
    ],
)
def test_task_and_positive_class(tmp_path: Path, classes: tuple[str, ...], task: str, positive: str | None) -> None:
    dataset = read(class_folders(tmp_path, 1, classes))
    assert (dataset.task, dataset.positive) == (task, positive)


def test_nothing_to_learn_from(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="empty: it holds no files") as caught:
        read(tmp_path / "empty")
    assert "FOLDER/CLASS/" in caught.value.hint
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("x")
    with pytest.raises(DatasetError, match="no pictures"):
        read(tmp_path / "notes")
    with pytest.raises(DatasetError, match="one class only: 'red'"):
        read(class_folders(tmp_path / "one", 3, ("red",)))
    with pytest.raises(DatasetError, match="6 pictures in loose have no labels") as caught:
        read(flat(tmp_path / "loose"))
    assert "FOLDER/CLASS/" in caught.value.hint
    with pytest.raises(NotFoundError) as caught:
        read(tmp_path / "loos")
    assert "did you mean" in caught.value.hint
    with pytest.raises(DatasetError, match="is a picture"):
        read(tmp_path / "loose" / "p0.jpg")


def test_hash_names_content_labels_and_nothing_else(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "a", 2)
    first = read(root)
    assert len(first.hash) == 64
    shutil.copytree(root, tmp_path / "b")
    assert read(tmp_path / "b").hash == first.hash
    lazy = read(root, hashed=False)
    assert lazy.hash == ""
    assert lazy.items[0].sha256 == ""
    assert with_hashes(lazy).hash == first.hash
    picture = root / "red" / "red-0.jpg"
    picture.write_bytes(picture.read_bytes()[:-1] + b"\x00")  # same size, same name
    assert read(root).hash != first.hash
    fewer = without(first, [first.items[0].name])
    assert len(fewer.items) == 5
    assert fewer.hash not in ("", first.hash)


def packed(root: Path, out: Path, prefix: str = "") -> Path:
    if out.suffix == ".zip":
        with zipfile.ZipFile(out, "w") as archive:
            for file in sorted(root.rglob("*.jpg")):
                archive.write(file, prefix + file.relative_to(root).as_posix())
    else:
        with tarfile.open(out, f"w:{out.suffix[1:]}" if out.suffix != ".tar" else "w") as archive:
            archive.add(root, prefix or ".")
    return out


@pytest.mark.parametrize("name", ["d.zip", "d.tar", "d.tar.gz", "d.tar.xz", "d.tar.bz2"])
def test_archives(tmp_path: Path, name: str) -> None:
    root = class_folders(tmp_path / "d", 2)
    dataset = read(packed(root, tmp_path / name))
    assert dataset.name == "d"
    assert [item.name for item in dataset.items] == [item.name for item in read(root).items]
    assert dataset.hash == read(root).hash
    assert read(tmp_path / name).items == dataset.items  # unpacked once


def test_split_archives(tmp_path: Path) -> None:
    for number, part in enumerate(("train", "test")):
        packed(class_folders(tmp_path / "src" / part, 2, seed=50 * number), tmp_path / f"{part}.tar.xz", f"{part}/")
    shutil.rmtree(tmp_path / "src")
    (tmp_path / "extra.csv").write_text("image,label\nnowhere.jpg,red\n")
    dataset = read(tmp_path)
    assert [len(dataset.part(part)) for part in ("train", "val", "test")] == [6, 0, 6]
    assert dataset.items[0].name == "test/blue/blue-0.jpg"


def test_archive_of_a_table(tmp_path: Path) -> None:
    flat(tmp_path / "d", 4)
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        for file in sorted((tmp_path / "d").iterdir()):
            archive.write(file, f"d/images/{file.name}")
        archive.writestr("d/labels.csv", "file,label\n" + "".join(f"p{n}.jpg,{'ab'[n % 2]}\n" for n in range(4)))
    dataset = read(tmp_path / "d.zip")
    assert (dataset.kind, len(dataset.items), dataset.classes) == ("table", 4, ("a", "b"))


def test_a_table_in_an_archive_cannot_look_outside(tmp_path: Path) -> None:
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(encoded(drawn(1)))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("a.jpg", "b.jpg", "c.jpg"):
            archive.writestr(name, encoded(drawn(2)))
        archive.writestr("labels.csv", f"file,label\na.jpg,x\nb.jpg,y\nc.jpg,y\n{secret},x\n../../../secret.jpg,y\n")
    (tmp_path / "d.zip").write_bytes(stream.getvalue())
    dataset = read(tmp_path / "d.zip")
    assert {Path(item.uri).name for item in dataset.items} == {"a.jpg", "b.jpg", "c.jpg"}
    assert [failure.error.code for failure in dataset.failures] == ["picture_missing"] * 2


def test_read_pictures(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "d", 2, ("b", "a"))
    (root / "readme.md").write_text("x")
    odd = tmp_path / "picture.odd"
    odd.write_bytes(encoded(drawn(0)))
    found = read_pictures([odd, root, root / "a" / "a-0.jpg"])
    assert [path.name for path in found] == ["picture.odd", "a-0.jpg", "a-1.jpg", "b-0.jpg", "b-1.jpg"]
    with pytest.raises(NotFoundError, match="no such file"):
        read_pictures([root, tmp_path / "missing.jpg"])
    (tmp_path / "none").mkdir()
    with pytest.raises(NotFoundError, match="no pictures"):
        read_pictures([tmp_path / "none"])


def test_junk() -> None:
    assert all(map(is_junk, (".DS_Store", "._a.jpg", "Thumbs.db", "__MACOSX")))
    assert not is_junk("macosx.jpg")


@pytest.mark.slow
@pytest.mark.shared
def test_fifty_thousand_in_a_tar(shared: Path) -> None:
    dataset = read(shared / "data" / "cifar10")
    assert (len(dataset.part("train")), len(dataset.part("test"))) == (50_000, 10_000)
    assert len(dataset.classes) == 10
