"""Folds: each picture is tested once, copies and groups stay together, nothing that chooses has seen the fold."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from pictures import class_folders
from sightline.data.manifest import with_hashes
from sightline.data.readers import read
from sightline.data.survey import survey
from sightline.errors import DatasetError, UsageError
from sightline.learn.crossval import folds


def test_each_picture_is_tested_once_and_copies_stay_together(tmp_path: Path) -> None:
    photos = class_folders(tmp_path / "photos", per_class=12)
    for number in range(3):
        shutil.copy(photos / "red" / "red-0.jpg", photos / "red" / f"copy-{number}.jpg")
    found = with_hashes(read(photos))
    given = tuple(
        item.model_copy(update={"group": "g" if item.name.endswith(("blue-1.jpg", "blue-2.jpg", "blue-3.jpg")) else None})
        for item in found.items
    )
    dataset = found.model_copy(update={"items": given})
    made = folds(dataset, survey(dataset), 4, seed=1)
    tested = Counter(item.name for part in made for item in part.part("test"))
    assert tested == Counter(item.name for item in dataset.items)
    for part in made:
        split = {item.name: item.split for item in part.items}
        for family in ("copy-", "red-0"), ("blue-1.", "blue-2.", "blue-3."):
            assert len({side for name, side in split.items() if any(piece in name for piece in family)}) == 1
        assert {item.labels[0] for item in part.part("test")} == {"red", "green", "blue"}, "stratified"
        assert part.part("val")
        assert len(part.part("train")) > len(part.part("test"))
    again = folds(dataset, survey(dataset), 4, seed=1)
    assert [part.hash for part in made] == [part.hash for part in again]


def test_given_test_pictures_are_left_alone(tmp_path: Path) -> None:
    found = read(class_folders(tmp_path / "photos", per_class=8))
    items = tuple(item.model_copy(update={"split": "test"}) if n % 4 == 0 else item for n, item in enumerate(found.items))
    dataset = found.model_copy(update={"items": items})
    made = folds(dataset, survey(dataset), 3)
    kept = {item.name for item in dataset.part("test")}
    assert not kept & {item.name for part in made for item in part.items}


def test_what_cannot_be_folded_is_refused(tmp_path: Path) -> None:
    dataset = read(class_folders(tmp_path / "photos", per_class=6))
    seen = survey(dataset)
    for count in (1, 0, 50):
        with pytest.raises(UsageError, match="--folds"):
            folds(dataset, seen, count)
    with pytest.raises(DatasetError, match="families"):
        folds(dataset, seen, 20)
    lone = tuple(item.model_copy(update={"group": "one" if item.labels == ("red",) else None}) for item in dataset.items)
    with pytest.raises(DatasetError, match="red"):
        folds(dataset.model_copy(update={"items": lone}), seen, 3)
