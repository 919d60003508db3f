"""Tar shards: read as streams, never by the names in them; broken shards keep what was read before the break."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest
from rounds import contents, dataset, pictures, said, there_and_back

from pictures import drawn, encoded
from sightline.data.formats import export, webdataset
from sightline.data.readers import read
from sightline.errors import DatasetError
from sightline.settings import settings

JPEG = encoded(drawn(0, (40, 32)))


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "detection"])
@pytest.mark.parametrize("splits", [(None,), ("train", None, "test", "val")])
def test_there_and_back(tmp_path: Path, task, splits):
    given = dataset(pictures(tmp_path / "in"), task=task, splits=splits, rich=True)
    found = there_and_back(given, "webdataset", tmp_path / "out")
    assert said(found) == said(given)
    assert (found.task, found.classes) == (given.task, given.classes)


def test_new_shards_after_so_many_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(webdataset, "PICTURES", 4)
    given = dataset(pictures(tmp_path / "in", 10))
    export(given, "webdataset", tmp_path / "out")
    assert sorted(contents(tmp_path / "out")) == ["000000.tar", "000001.tar", "000002.tar", "classes.txt"]
    with tarfile.open(tmp_path / "out/000000.tar") as shard:
        assert shard.getnames()[:2] == ["a-0.jpg", "a-0.cls"]
        assert {(entry.mtime, entry.uid, entry.uname, entry.mode) for entry in shard} == {(0, 0, "", 0o644)}
    assert said(read(tmp_path / "out")) == said(given)


def test_names_with_dots_do_not_become_one_picture(tmp_path: Path):
    files = pictures(tmp_path / "in", 3)
    for path, name in zip(files, ("a.b.jpg", "a_b.jpg", "a.c.jpg"), strict=True):
        path.rename(tmp_path / "in" / name)
    given = dataset(sorted((tmp_path / "in").iterdir()))
    found = there_and_back(given, "webdataset", tmp_path / "out")
    assert said(found) == said(given)


def shard(path: Path, *files: tuple[str, bytes], mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, data in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def sample(key: str, label: str, kind: str = "cls") -> list[tuple[str, bytes]]:
    return [(f"{key}.jpg", JPEG), (f"{key}.{kind}", label.encode())]


def labels(root: Path, format: str | None = None) -> dict[str, tuple[str, ...]]:
    return {item.name: item.labels for item in read(root, format=format).items}


def test_text_numbers_and_json(tmp_path: Path):
    shard(
        tmp_path / "train-000000.tar",
        *sample("a", "1"),
        *sample("b", "zebra", "txt"),
        *sample("c", json.dumps({"label": "cat", "width": 40}), "json"),
        *sample("d", json.dumps("dog"), "json"),
        ("e.json", b'{"label": 0}'),
        ("e.jpg", JPEG),
        ("f.seg.png", JPEG),
        ("f.jpg", JPEG),
        ("f.cls", b" 0 \n"),
    )
    (tmp_path / "classes.txt").write_text("ant\nbee\n")
    expected = {"a": "bee", "b": "zebra", "c": "cat", "d": "dog", "e": "ant", "f": "ant"}
    assert labels(tmp_path) == {f"{key}.jpg": (label,) for key, label in expected.items()}
    assert {item.split for item in read(tmp_path).items} == {"train"}


def test_folders_and_compressed_shards_tell_splits(tmp_path: Path):
    shard(tmp_path / "train/000000.tar.gz", *sample("a", "cat"), mode="w:gz")
    shard(tmp_path / "val/000000.tar", *sample("b", "dog"))
    assert [(item.name, item.split) for item in read(tmp_path).items] == [("a.jpg", "train"), ("b.jpg", "val")]


def test_names_are_never_paths(tmp_path: Path):
    before = set(tmp_path.parent.iterdir())
    long = "x" * 5000
    shard(
        tmp_path / "d/000000.tar",
        *sample("../../evil", "cat"),
        *sample("/etc/evil", "dog"),
        *sample(f"{long}/{long}", "cat"),
        *sample("tab\there", "dog"),
    )
    with tarfile.open(tmp_path / "d/000000.tar", "a") as archive:
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    found = read(tmp_path / "d")
    assert len(found.items) == 4
    assert set(tmp_path.parent.iterdir()) == before
    assert all(Path(item.uri).is_relative_to(settings().cache) and ".." not in item.name for item in found.items)


def test_a_shard_that_is_cut_off_keeps_what_stands_before(tmp_path: Path):
    good = shard(tmp_path / "d/000000.tar", *(part for n in range(4) for part in sample(f"k{n}", "cat" if n % 2 else "dog")))
    data = good.read_bytes()
    good.write_bytes(data[: data.index(b"k2.jpg") + 1000])
    found = read(tmp_path / "d")
    assert 1 <= len(found.items) < 4
    assert ["breaks off" in failure.error.message for failure in found.failures] == [True]


def test_rows_that_make_no_sense_are_left_out(tmp_path: Path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/classes.txt").write_text("ant\nbee\n")
    shard(
        tmp_path / "d/000000.tar",
        *sample("good", "0"),
        *sample("better", "1"),
        *sample("number", "7"),
        *sample("minus", "-3"),
        *sample("json", "{half", "json"),
        *sample("deep", "[" * 50_000, "json"),
        *sample("bytes", "", "cls"),
        ("latin.jpg", JPEG),
        ("latin.txt", b"\xff\xfe\xfd"),
        ("alone.cls", b"1"),
        ("text.jpg", b"no picture"),
        ("text.cls", b"1"),
        ("empty.jpg", b""),
        ("empty.cls", b"1"),
        (".hidden", b"1"),
        ("plain", b"1"),
    )
    found = read(tmp_path / "d")
    assert [item.name for item in found.items if item.labels] == ["better.jpg", "good.jpg"]
    assert {failure.error.code for failure in found.failures} >= {
        "label_unknown",
        "row_broken",
        "picture_missing",
        "picture_format",
        "picture_unreadable",
    }


@pytest.mark.parametrize("data", [b"", b"nonsense" * 1000, gzip.compress(b"nonsense" * 1000), b"\0" * 10_240])
def test_no_shard_can_be_read(tmp_path: Path, data: bytes):
    (tmp_path / "000000.tar").write_bytes(data)
    with pytest.raises(DatasetError):
        read(tmp_path, format="webdataset")


def test_one_broken_shard_among_others(tmp_path: Path):
    shard(tmp_path / "000000.tar", *sample("a", "cat"), *sample("b", "dog"))
    (tmp_path / "000001.tar").write_bytes(b"nonsense" * 1000)
    found = read(tmp_path)
    assert len(found.items) == 2
    assert [failure.picture for failure in found.failures] == ["000001.tar"]


def test_a_shard_is_unpacked_once_and_found_by_its_content(tmp_path: Path):
    path = shard(tmp_path / "d/000000.tar", *sample("a", "cat"), *sample("b", "dog"))
    first = {item.uri: Path(item.uri).stat().st_mtime_ns for item in read(tmp_path / "d").items}
    path.rename(tmp_path / "d/train-000007.tar")
    second = {item.uri: Path(item.uri).stat().st_mtime_ns for item in read(tmp_path / "d").items}
    assert first == second
    shard(tmp_path / "d/train-000007.tar", *sample("a", "cat"), *sample("b", "bird"))
    assert read(tmp_path / "d").classes == ("bird", "cat")


def test_a_shard_that_was_given_itself(tmp_path: Path):
    path = shard(tmp_path / "000000.tar", *sample("a", "cat"), *sample("b", "dog"), ("c.cls", b"dog"))
    found = read(path)
    assert {item.name: item.labels for item in found.items} == {"a.jpg": ("cat",), "b.jpg": ("dog",)}
    assert [failure.error.code for failure in found.failures] == ["picture_missing"]


def test_other_archives_are_no_shards(tmp_path: Path):
    for word in ("train", "test"):
        shard(tmp_path / f"{word}.tar", (f"{word}/cat/1.jpg", JPEG), (f"{word}/dog/2.jpg", JPEG))
    assert read(tmp_path).kind == "folders"
    shard(tmp_path / "x/backup-2024.tar", ("cat/1.jpg", JPEG), ("dog/2.jpg", JPEG))
    with pytest.raises(DatasetError):
        read(tmp_path / "x")
