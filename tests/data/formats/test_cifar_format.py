"""CIFAR-10 and CIFAR-100 in their binary version: pixels survive, other sizes are resized, pickles are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rounds import CLASSES, contents, dataset, notes_of, pictures

from pictures import drawn, encoded
from sightline.data.formats import export
from sightline.data.manifest import with_hashes
from sightline.data.readers import read
from sightline.errors import DatasetError
from sightline.runtime.pixels import decode
from sightline.types import Annotation, Dataset, Item

RNG = np.random.default_rng(0)


def seen(given: Dataset) -> list[tuple[object, ...]]:
    """(label, split, pixels) of every picture, in an order of its own."""
    return sorted((item.labels, item.split, decode(Path(item.uri).read_bytes()).tobytes()) for item in given.items)


@pytest.mark.parametrize("splits", [("train", "train", "test"), ("train", "train", "train", "test", "val", "val")])
def test_there_and_back(tmp_path: Path, splits):
    given = dataset(pictures(tmp_path / "in", 12, (32, 32), "PNG"), splits=splits)
    assert export(given, "cifar", tmp_path / "out") == ()
    found = read(tmp_path / "out")
    assert seen(found) == seen(given)
    assert (found.classes, found.kind, found.failures) == (given.classes, "cifar", ())
    export(found, "cifar", tmp_path / "again")
    assert contents(tmp_path / "again") == contents(tmp_path / "out")


def many(tmp_path: Path, classes: int) -> Dataset:
    names = tuple(f"class {number:03d}" for number in range(classes))
    files = pictures(tmp_path / "in", classes, (32, 32), "PNG")
    items = tuple(
        Item(uri=str(path), name=path.name, truth=(Annotation(label=label),), split="train")
        for path, label in zip(files, names, strict=True)
    )
    return with_hashes(Dataset(name="many", task="multiclass", classes=names, items=items))


def test_more_than_ten_classes_are_written_as_cifar_100(tmp_path: Path):
    given = many(tmp_path, 12)
    export(given, "cifar", tmp_path / "out")
    assert set(contents(tmp_path / "out")) == {"train.bin", "fine_label_names.txt", "coarse_label_names.txt"}
    assert (tmp_path / "out/train.bin").stat().st_size == 12 * 3074
    assert seen(read(tmp_path / "out")) == seen(given)


def test_more_classes_than_a_byte_holds(tmp_path: Path):
    given = many(tmp_path, 2).model_copy(update={"classes": tuple(map(str, range(257)))})
    with pytest.raises(DatasetError, match="one byte"):
        export(given, "cifar", tmp_path / "out")


def test_other_sizes_are_resized_and_that_is_said(tmp_path: Path):
    given = dataset(pictures(tmp_path / "in", size=(64, 40)), splits=("train", "test"))
    heard = notes_of(lambda: export(given, "cifar", tmp_path / "out"))
    assert any("6 pictures were resized to 32 x 32" in text for text in heard)
    assert {decode(Path(item.uri).read_bytes()).shape for item in read(tmp_path / "out").items} == {(32, 32, 3)}


def record(label: int, before: bytes = b"") -> bytes:
    return before + bytes([label]) + RNG.integers(0, 256, 3072, np.uint8).tobytes()


def batches(folder: Path, words: str = "cat\ndog\n\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "batches.meta.txt").write_text(words)
    (folder / "data_batch_1.bin").write_bytes(record(0) + record(1))
    (folder / "test_batch.bin").write_bytes(record(1))
    return folder


def test_planes_are_read_in_order(tmp_path: Path):
    red = bytes([0]) + bytes([200]) * 1024 + bytes([10]) * 1024 + bytes([20]) * 1024
    (batches(tmp_path / "d") / "data_batch_2.bin").write_bytes(red)
    item = next(item for item in read(tmp_path / "d").items if item.name.startswith("data_batch_02"))
    assert decode(Path(item.uri).read_bytes())[31, 0].tolist() == [200, 10, 20]
    assert (item.labels, item.split) == (("cat",), "train")


def test_a_folder_deeper_down_as_the_archive_has_it(tmp_path: Path):
    import tarfile

    batches(tmp_path / "cifar-10-batches-bin")
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "cifar-10-batches-bin", "cifar-10-batches-bin")
    assert len(read(tmp_path / "cifar-10-binary.tar.gz").items) == 3


def test_cifar_100_labels_are_the_fine_ones(tmp_path: Path):
    (tmp_path / "train.bin").write_bytes(record(1, b"\0") + record(0, b"\1"))
    (tmp_path / "test.bin").write_bytes(record(2, b"\0"))
    (tmp_path / "fine_label_names.txt").write_text("apple\nbear\ncloud\n")
    (tmp_path / "coarse_label_names.txt").write_text("x\ny\n")
    found = read(tmp_path)
    assert [(item.labels[0], item.split) for item in found.items] == [("cloud", "test"), ("bear", "train"), ("apple", "train")]


def test_a_batch_that_is_cut_off_and_classes_nobody_named(tmp_path: Path):
    folder = batches(tmp_path / "d")
    (folder / "data_batch_2.bin").write_bytes(record(0) + record(7) + record(1)[:1000])
    (folder / "data_batch_3.bin").write_bytes(b"")
    found = read(folder)
    assert len(found.items) == 4
    assert sorted(failure.error.code for failure in found.failures) == ["container", "label_unknown"]


def test_without_the_names_numbers_are_the_labels(tmp_path: Path):
    (batches(tmp_path / "d") / "batches.meta.txt").unlink()
    assert read(tmp_path / "d").classes == ("0", "1")


def test_the_python_version_is_refused_with_the_reason(tmp_path: Path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in ("data_batch_1", "test_batch", "batches.meta"):
        (folder / name).write_bytes(b"\x80\x02}q\x01(U\x0bbatch_label")
    with pytest.raises(DatasetError, match="pickle") as caught:
        read(folder)
    assert "binary" in caught.value.hint
    with pytest.raises(DatasetError, match="pickle"):
        read(tmp_path, format="cifar")


def test_nothing_of_the_kind(tmp_path: Path):
    pictures(tmp_path / "cat")
    with pytest.raises(DatasetError, match="no CIFAR"):
        read(tmp_path, format="cifar")
    (tmp_path / "data_batch_1.bin").write_bytes(b"short")
    with pytest.raises(DatasetError):
        read(tmp_path, format="cifar")


def test_a_damaged_picture_is_left_out_of_the_export(tmp_path: Path):
    files = pictures(tmp_path / "in", 6, (32, 32), "PNG")
    files[0].write_bytes(encoded(drawn(0, (32, 32)), "PNG")[:200])
    given = dataset(files, splits=("train", "test"))
    failures = export(given, "cifar", tmp_path / "out")
    assert [failure.picture for failure in failures] == ["a-0.png"]
    assert len(read(tmp_path / "out").items) == 5
    assert read(tmp_path / "out").classes == CLASSES
