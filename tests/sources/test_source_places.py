"""Folders, archives, single files, tables and buckets as sources."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from pictures import class_folders, drawn, encoded
from sightline.errors import ArchiveError, DatasetError, NotFoundError
from sightline.sources import KINDS, About, Arrival, arrive, kind_of
from sightline.sources.drawings import kind_of_drawing
from sightline.types import Failure

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><rect width="10" height="10"/></svg>'


def got(source: object, options) -> list[tuple[object, ...]]:
    """(name, labels, split), or (picture, code) of a failure."""
    found = arrive(str(source), options)
    return [(one.name, one.labels, one.split) if isinstance(one, Arrival) else (one.picture, one.error.code) for one in found]


def test_kinds(tmp_path: Path):
    for name in ("a.mp4", "a.csv", "a.jsonl", "a.zip", "a.txt", "b.txt"):
        (tmp_path / name).write_text("# list\nhttps://host.example/a.jpg" if name == "a.txt" else "x")
    expected = {
        "camera": "camera", "camera:1": "camera", "https://host.example/a": "web", "HTTP://host.example": "web",
        "s3://b/c": "bucket", "memory://x": "bucket", str(tmp_path): "folder", str(tmp_path / "a.zip"): "folder",
        str(tmp_path / "a.mp4"): "video", str(tmp_path / "a.csv"): "table", str(tmp_path / "a.jsonl"): "table",
        str(tmp_path / "a.txt"): "list", str(tmp_path / "b.txt"): "folder",
    }  # fmt: skip
    assert {source: kind_of(source) for source in expected} == expected
    assert set(expected.values()) == set(KINDS)


def test_class_folders_and_what_lies_beside(tmp_path: Path, options):
    class_folders(tmp_path, per_class=1, classes=("red", "green"))
    (tmp_path / "red" / "sign.svg").write_bytes(SVG)
    (tmp_path / "blue").mkdir()
    (tmp_path / "blue" / "sign.svg").write_bytes(SVG)
    (tmp_path / "stray.jpg").write_bytes(encoded(drawn(9)))
    told: list[About] = []
    found = got(tmp_path, replace(options, about=told.append))
    assert found[2:] == [
        ("green/green-0.jpg", ("green",), None),
        ("red/red-0.jpg", ("red",), None),
        ("blue/sign.svg", ("blue",), None),
        ("red/sign.svg", ("red",), None),
    ]
    assert sorted(found[:2]) == [("blue/", "class_empty"), (f"{tmp_path.name}/stray.jpg", "stray")]
    assert told == [About(total=4)]


def test_split_folders_keep_their_splits(tmp_path: Path, options):
    for split in ("train", "test"):
        class_folders(tmp_path / split, per_class=1, classes=("red", "green"))
    (tmp_path / "test" / "red" / "x.svg").write_bytes(SVG)
    assert ("test/red/x.svg", ("red",), "test") in got(tmp_path, options)
    assert ("train/green/green-0.jpg", ("green",), "train") in got(tmp_path, options)


def test_pictures_without_labels_and_of_one_class(tmp_path: Path, options):
    (tmp_path / "a.jpg").write_bytes(encoded(drawn(1)))
    (tmp_path / "b.svg").write_bytes(SVG)
    assert got(tmp_path, options) == [("a.jpg", (), None), ("b.svg", (), None)]
    assert got(tmp_path / "a.jpg", options) == [("a.jpg", (), None)]
    assert got(f"file://{tmp_path}/a.jpg", options) == [("a.jpg", (), None)]
    one = class_folders(tmp_path / "one", per_class=2, classes=("red",))
    assert [row[1] for row in got(one, options)] == [("red",), ("red",)]


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b", "~nobody/x", "/nothing/at/all"])
def test_names_of_nothing(options, name: str):
    with pytest.raises(NotFoundError) as caught:
        arrive(name, options)
    assert caught.value.hint


def test_nothing_there(tmp_path: Path, options):
    with pytest.raises(NotFoundError, match="no such folder"):
        arrive(str(tmp_path / "nothing"), options)
    with pytest.raises(DatasetError, match="empty"):
        got(tmp_path, options)


def test_archives(tmp_path: Path, options):
    class_folders(tmp_path / "in", per_class=1, classes=("red", "green"))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in (tmp_path / "in").rglob("*.jpg"):
            archive.write(file, file.relative_to(tmp_path / "in"))
        archive.writestr("red/sign.svg", SVG)
    assert [row[:2] for row in got(tmp_path / "a.zip", options)] == [
        ("green/green-0.jpg", ("green",)),
        ("red/red-0.jpg", ("red",)),
        ("red/sign.svg", ("red",)),
    ]
    with zipfile.ZipFile(tmp_path / "slip.zip", "w") as archive:
        archive.writestr("../../out.jpg", b"x")
    with pytest.raises(ArchiveError):
        got(tmp_path / "slip.zip", options)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_tables_of_files(tmp_path: Path, options, kind: str):
    class_folders(tmp_path / "in", per_class=1, classes=("red", "green"))
    rows = [
        {"path": "in/red/red-0.jpg", "label": "red", "split": "train", "patient": "p1", "licence": "CC0"},
        {"path": "in/green/green-0.jpg", "label": "green|leaf", "split": "test", "patient": "p2", "licence": ""},
        {"path": "in/none.jpg", "label": "green", "split": "test", "patient": "p2", "licence": ""},
        {"path": "ftp://x/y.jpg", "label": "green", "split": "test", "patient": "p2", "licence": ""},
    ]
    file = tmp_path / f"table.{kind}"
    if kind == "csv":
        lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
        file.write_text("\n".join(lines))
    elif kind == "jsonl":
        file.write_text("\n".join(json.dumps(row) for row in rows))
    else:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    found = list(arrive(str(file), options))
    arrivals = [one for one in found if isinstance(one, Arrival)]
    assert [(one.name, one.labels, one.split, one.group) for one in arrivals] == [
        ("in/red/red-0.jpg", ("red",), "train", "p1"),
        ("in/green/green-0.jpg", ("green", "leaf"), "test", "p2"),
    ]
    assert arrivals[0].facts.licence == "CC0"
    failures = {one.picture: one.error.code for one in found if isinstance(one, Failure)}
    assert failures == {"in/none.jpg": "picture_missing", "ftp://x/y.jpg": "address_refused"}


def test_tables_without_labels_and_broken_ones(tmp_path: Path, options):
    (tmp_path / "a.jpg").write_bytes(encoded(drawn(1)))
    (tmp_path / "t.csv").write_text("file\na.jpg\n")
    assert got(tmp_path / "t.csv", options) == [("a.jpg", (), None)]
    for name, text in {"a.csv": "colour,size\nred,1\n", "a.jsonl": "{nonsense", "b.jsonl": "[1]", "a.parquet": "x"}.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(DatasetError) as caught:
            got(tmp_path / name, options)
        assert caught.value.hint


def test_boxes_of_a_table(tmp_path: Path, options):
    (tmp_path / "a.jpg").write_bytes(encoded(drawn(1)))
    row = {"file": "a.jpg", "objects": {"bbox": [[1, 2, 10, 20]], "category": ["face"]}}
    (tmp_path / "t.jsonl").write_text(json.dumps(row))
    (one,) = arrive(str(tmp_path / "t.jsonl"), options)
    assert [(mark.label, mark.box) for mark in one.marks] == [("face", (1, 2, 11, 22))]


def test_a_bucket(options):
    import fsspec

    files = fsspec.filesystem("memory")
    for name in ("cat/a.jpg", "dog/b.jpg", "dog/sign.svg", "dog/.hidden.jpg"):
        files.pipe_file(f"/bucket1/in/{name}", SVG if name.endswith("svg") else encoded(drawn(len(name))))
    arrivals = list(arrive("memory://bucket1/in", options))
    assert [(one.name, one.labels, one.facts.source) for one in arrivals] == [
        ("cat/a.jpg", ("cat",), "memory://bucket1/in/cat/a.jpg"),
        ("dog/b.jpg", ("dog",), "memory://bucket1/in/dog/b.jpg"),
        ("dog/sign.svg", ("dog",), "memory://bucket1/in/dog/sign.svg"),
    ]
    known = replace(options, known=lambda address: "cat" in address)
    assert len(list(arrive("memory://bucket1/in", known))) == 2
    (one,) = arrive("memory://bucket1/in/cat/a.jpg", options)
    assert one.name == "a.jpg"
    with pytest.raises(NotFoundError):
        list(arrive("memory://bucket1/nothing", options))


def test_a_bucket_with_a_table(options):
    import fsspec

    files = fsspec.filesystem("memory")
    files.pipe(
        {"/bucket2/a.jpg": encoded(drawn(1)), "/bucket2/b.jpg": encoded(drawn(2)), "/bucket2/t.csv": b"file,label\na,x\nb,y"}
    )
    arrivals = list(arrive("memory://bucket2", options))
    assert [(one.name, one.labels, one.path.is_file()) for one in arrivals] == [
        ("a.jpg", ("x",), True),
        ("b.jpg", ("y",), True),
    ]
    (options.workspace.parent / "t.csv").write_text("url,label\nmemory://bucket2/a.jpg,x\nmemory://bucket2/none.jpg,y\n")
    one, other = arrive(str(options.workspace.parent / "t.csv"), options)
    assert (one.name, one.labels, other.error.code) == ("a.jpg", ("x",), "not_found")


@pytest.mark.parametrize("address", ["ftp://x/y", "nothing://x", "simplecache::memory://x", "sftp://x/y", "github://a:b@c/"])
def test_addresses_that_are_no_buckets(options, address: str):
    with pytest.raises(DatasetError) as caught:
        list(arrive(address, options))
    assert caught.value.hint


def test_drawings_are_known_by_their_bytes():
    assert kind_of_drawing(SVG) == "svg"
    assert kind_of_drawing(b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- x -->" + SVG) == "svg"
    assert kind_of_drawing(b"%!PS-Adobe-3.0 EPSF-3.0") == "eps"
    assert kind_of_drawing(b"\0" * 128 + b"DICM") == "dicom"
    assert kind_of_drawing(b"<html><body>" + SVG) is None
    assert kind_of_drawing(encoded(drawn(1))) is None
