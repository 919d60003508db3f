"""Class folders out and in: splits above, labels that are no folder names, what folders cannot hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from rounds import contents, dataset, notes_of, pictures, said, there_and_back

from sightline.data.formats import export
from sightline.data.readers import read
from sightline.errors import DatasetError
from sightline.types import Annotation


@pytest.mark.parametrize("splits", [(None,), ("train", "train", "train", "test", "val", "val")])
def test_there_and_back(tmp_path: Path, splits):
    given = dataset(pictures(tmp_path / "in"), splits=splits)
    found = there_and_back(given, "folders", tmp_path / "out")
    assert said(found) == said(given)
    assert found.classes == given.classes
    first = sorted(contents(tmp_path / "out"))[0]
    assert first == ("blue/a-0.jpg" if splits == (None,) else "test/blue/a-3.jpg")


def test_labels_that_no_system_takes_as_a_folder(tmp_path: Path):
    given = dataset(pictures(tmp_path / "in", 4))
    labels = ("../up", "CON", "con", "a/b")
    items = tuple(i.model_copy(update={"truth": (Annotation(label=one),)}) for i, one in zip(given.items, labels, strict=True))
    given = given.model_copy(update={"items": items, "classes": labels})
    heard = notes_of(lambda: export(given, "folders", tmp_path / "out"))
    assert any("written otherwise" in text for text in heard)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    assert len(read(tmp_path / "out").classes) == 4


def test_several_labels_are_refused_with_the_way_out(tmp_path: Path):
    given = dataset(pictures(tmp_path / "in"), task="multilabel")
    with pytest.raises(DatasetError) as caught:
        export(given, "folders", tmp_path / "out")
    assert "csv" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_a_picture_without_a_split_among_others(tmp_path: Path):
    given = dataset(pictures(tmp_path / "in"), splits=("train", "test", None))
    failures = export(given, "folders", tmp_path / "out")
    assert sorted(failure.picture for failure in failures) == ["a-2.jpg", "a-5.jpg"]
    assert "no split" in failures[0].error.message
    assert len(read(tmp_path / "out").items) == 4


def test_told_folders_of_neither_split(tmp_path: Path):
    for place in ("train/cat", "train/dog", "test/cat", "extra/cat"):
        pictures(tmp_path / "d" / place, 1)
    found = read(tmp_path / "d", format="folders")
    assert {item.split for item in found.items} <= {"train", "test", None}
    assert len(found.items) + len(found.failures) == 4
