"""The one pass over the pictures: what it sees, what it survives, and how it follows a dataset that shrinks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pictures import class_folders
from sightline.data.manifest import manifest_hash, with_hashes, without
from sightline.data.readers import read
from sightline.data.survey import chained, survey, units
from sightline.errors import DatasetError
from sightline.progress import Event, listen


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = class_folders(tmp_path / "d", 4)
    (root / "red" / "broken.jpg").write_bytes((root / "red" / "red-0.jpg").read_bytes()[:300])
    (root / "red" / "copy.jpg").write_bytes((root / "red" / "red-1.jpg").read_bytes())
    return root


def test_survey(root: Path) -> None:
    dataset = read(root, hashed=False)
    events: list[Event] = []
    with listen(events.append):
        seen = survey(dataset)
    assert [failure.picture for failure in seen.failures] == ["red/broken.jpg"]
    assert seen.failures[0].error.message
    assert seen.hashes.shape == (14,)
    assert seen.miniatures.shape == (14, 8, 8, 3)
    assert (seen.hashes == 0).tolist() == [item.name == "red/broken.jpg" for item in dataset.items]
    assert with_hashes(dataset, seen.sha256).hash == read(root).hash
    names = [item.name for item in dataset.items]
    assert seen.copies().tolist() == [[names.index("red/copy.jpg"), names.index("red/red-1.jpg")]]
    assert events[0].what == "Checking pictures"
    assert events[-1].done == events[-1].total == 14


def test_a_file_that_vanished(root: Path) -> None:
    dataset = read(root)
    (root / "blue" / "blue-0.jpg").unlink()
    seen = survey(dataset)
    assert {failure.picture for failure in seen.failures} == {"blue/blue-0.jpg", "red/broken.jpg"}
    assert manifest_hash(with_hashes(dataset, seen.sha256).items) != dataset.hash


def test_aligned_follows_a_smaller_dataset(root: Path) -> None:
    dataset = read(root)
    seen = survey(dataset)
    smaller = without(dataset, {"red/broken.jpg", "blue/blue-1.jpg"})
    fits = seen.aligned(smaller)
    assert fits.uris == tuple(item.uri for item in smaller.items)
    assert fits.failures == ()
    assert np.array_equal(fits.hashes, survey(smaller).hashes)
    with pytest.raises(DatasetError, match="other pictures"):
        fits.aligned(dataset)


def test_units_join_families_and_groups(root: Path) -> None:
    dataset = read(root)
    names = [item.name for item in dataset.items]
    groups = ["g" if name in ("blue/blue-0.jpg", "red/copy.jpg") else None for name in names]
    numbers = units(survey(dataset), groups)
    together = {name for name, number in zip(names, numbers, strict=True) if number == numbers[names.index("red/copy.jpg")]}
    assert together == {"blue/blue-0.jpg", "red/copy.jpg", "red/red-1.jpg"}


def test_chained() -> None:
    assert chained(["a", "b", "", "a", None, "a"]).tolist() == [[0, 3], [0, 5]]
    assert chained([]).shape == (0, 2)
