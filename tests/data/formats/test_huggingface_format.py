"""Hugging Face's image folder: metadata.jsonl beside the pictures, boxes in `objects`, broken lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rounds import dataset, pictures, said, there_and_back

from sightline.data.readers import read
from sightline.errors import DatasetError


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "detection"])
@pytest.mark.parametrize("splits", [(None,), ("train", "train", "train", "test", "val", "val")])
def test_there_and_back(tmp_path: Path, task, splits):
    given = dataset(pictures(tmp_path / "in"), task=task, splits=splits, rich=True)
    found = there_and_back(given, "imagefolder", tmp_path / "out")
    assert said(found) == said(given)
    assert (found.task, found.classes) == (given.task, given.classes)


def metadata(folder: Path, *rows: object) -> Path:
    pictures(folder)
    (folder / "metadata.jsonl").write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return folder


def test_as_the_documentation_has_it(tmp_path: Path):
    objects = {"bbox": [[2, 1, 10, 12], [0, 0, 5, 5]], "categories": [0, 1]}
    metadata(tmp_path / "d/train", {"file_name": "a-0.jpg", "objects": objects}, {"file_name": "a-1.jpg", "objects": {}})
    found = read(tmp_path / "d")
    assert (found.task, found.classes, found.kind) == ("detection", ("0", "1"), "imagefolder")
    assert [mark.box for mark in found.items[0].truth] == [(2, 1, 12, 13), (0, 0, 5, 5)]
    assert found.items[1].truth == ()
    assert {item.split for item in found.items} == {"train"}


def test_a_metadata_csv_is_a_table(tmp_path: Path):
    pictures(tmp_path / "d/train")
    (tmp_path / "d/train/metadata.csv").write_text("file_name,label\na-0.jpg,cat\na-1.jpg,dog\n")
    found = read(tmp_path / "d")
    assert [(item.labels, item.split) for item in found.items] == [(("cat",), "train"), (("dog",), "train")]
    assert read(tmp_path / "d", format="imagefolder").hash == found.hash


def test_broken_lines_are_left_out_one_by_one(tmp_path: Path):
    (tmp_path / "secret.jpg").write_bytes(b"x")
    box = {"bbox": [[0, 0, 0, 5], [1, 1, "x", 2], [float("nan"), 0, 1, 1], [900, 900, 5, 5]], "category": ["b"] * 4}
    metadata(
        tmp_path / "d",
        {"file_name": "a-0.jpg", "label": "cat"},
        {"file_name": "a-1.jpg", "label": "dog"},
        "{half",
        "[" * 100_000,
        {"file_name": "../secret.jpg", "label": "cat"},
        {"file_name": str(tmp_path / "secret.jpg"), "label": "cat"},
        {"file_name": "gone\u0000.jpg", "label": "cat"},
        {"file_name": 7, "label": "cat"},
        {"label": "cat"},
        {"file_name": "a-1.jpg", "label": "cat"},
        {"file_name": "a-2.jpg", "label": {"cat": 1}},
        {"file_name": "a-3.jpg", "label": "cat", "objects": box},
        {"file_name": "a-4.jpg", "label": "cat", "objects": {"bbox": 3, "category": ["x"]}},
        '"text"',
    )
    found = read(tmp_path / "d")
    assert [item.name for item in found.items] == ["a-0.jpg", "a-1.jpg", "a-3.jpg", "a-4.jpg"]
    codes = {failure.error.code for failure in found.failures}
    assert codes >= {"row_broken", "picture_missing", "row_repeated", "label_unknown", "box_wrong", "box_empty", "box_outside"}
    assert [mark.label for mark in found.items[2].truth] == ["cat"]  # the picture stays when its boxes make no sense


@pytest.mark.parametrize(
    "text", ["", '{"file_name": "gone.jpg", "label": "x"}', '"file_name"' + "x" * 1000, '{"file_name": 1}']
)
def test_nothing_that_can_be_read(tmp_path: Path, text: str):
    metadata(tmp_path / "d", text)
    with pytest.raises(DatasetError):
        read(tmp_path / "d", format="imagefolder")


def test_ten_thousand_lines(tmp_path: Path):
    for number in range(10_000):
        (tmp_path / f"{number}.jpg").touch()
    rows = [json.dumps({"file_name": f"{number}.jpg", "label": "cat" if number % 2 else "dog"}) for number in range(10_000)]
    (tmp_path / "metadata.jsonl").write_text("\n".join(rows))
    assert len(read(tmp_path, hashed=False).items) == 10_000
