"""The CSV with pictures beside it: every column comes back, cells that spreadsheets would run, a quick 10,000 rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from rounds import dataset, pictures, said, there_and_back

from sightline.data.formats import export
from sightline.data.readers import read
from sightline.types import Annotation


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
@pytest.mark.parametrize("splits", [(None,), ("train", None, "test", "val")])
def test_there_and_back(tmp_path: Path, task, splits):
    given = dataset(pictures(tmp_path / "in"), task=task, splits=splits, rich=task == "multilabel")
    found = there_and_back(given, "csv", tmp_path / "out")
    assert said(found) == said(given)
    assert (found.task, found.classes) == (given.task, given.classes)


def test_the_columns(tmp_path: Path):
    given = dataset(pictures(tmp_path / "in", 4), task="multilabel", rich=True)
    export(given, "csv", tmp_path / "out")
    first, _, second, *_ = (tmp_path / "out/labels.csv").read_text().splitlines()
    assert first == "file,label,split,group,licence,source,author"
    assert second == "pictures/a-1.jpg,green|red,,g0,CC0,https://example.org/1,Ana"


def test_several_labels_stay_possible_where_no_picture_has_two(tmp_path: Path):
    given = dataset(pictures(tmp_path / "in"))
    found = there_and_back(given.model_copy(update={"task": "multilabel"}), "csv", tmp_path / "out")
    assert found.task == "multilabel"


def test_a_picture_without_its_label(tmp_path: Path):
    given = dataset(pictures(tmp_path / "in"), rich=True)
    failures = export(given, "csv", tmp_path / "out")
    assert [failure.picture for failure in failures] == ["a-0.jpg"]
    assert len(read(tmp_path / "out").items) == 5


def test_cells_that_look_like_formulas_or_hold_bars(tmp_path: Path):
    given = dataset(pictures(tmp_path / "in", 4))
    labels = ("=1+1", "a, b", 'say "x"', "one|two")
    items = tuple(
        item.model_copy(update={"truth": (Annotation(label=label),), "group": "@home"})
        for item, label in zip(given.items, labels, strict=True)
    )
    failures = export(given.model_copy(update={"items": items, "classes": labels}), "csv", tmp_path / "out")
    assert ["one|two" in failure.error.message for failure in failures] == [True]
    found = read(tmp_path / "out")
    assert set(found.classes) == set(labels[:3])
    assert {item.group for item in found.items} == {"@home"}
    text = (tmp_path / "out/labels.csv").read_text()
    assert ",=" not in text
    assert ",@" not in text


def test_told_a_folder_without_a_table(tmp_path: Path):
    from sightline.errors import DatasetError

    pictures(tmp_path / "in")
    with pytest.raises(DatasetError, match="no table"):
        read(tmp_path / "in", format="csv")


def test_ten_thousand_rows(tmp_path: Path):
    rows = [f"p/{number}.jpg,{'cat' if number % 2 else 'dog'},train" for number in range(10_000)]
    (tmp_path / "p").mkdir()
    for number in range(10_000):
        (tmp_path / f"p/{number}.jpg").touch()
    (tmp_path / "labels.csv").write_text("\n".join(["file,label,split", *rows]))
    assert len(read(tmp_path, hashed=False).items) == 10_000
