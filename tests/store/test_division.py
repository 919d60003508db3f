"""Dividing a version in the workspace: a new version, copies and groups on one side, given splits kept."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from madeup import dataset, picture
from sightline.data.manifest import manifest_hash
from sightline.errors import UsageError
from sightline.store import datasets
from sightline.store.database import Database
from sightline.types import Dataset, Made

MADE = Made(verb="data split", arguments={"val": 0.2})


def divided(db: Database, given: Dataset, **wishes: object) -> Dataset:
    return datasets.get(db, datasets.split(db, datasets.add(db, given, Made(verb="test")), MADE, **wishes))


def hundred() -> Dataset:
    return dataset(*(picture(f"{number}.jpg", ("red", "blue", "green")[number % 3]) for number in range(120)))


def test_a_new_version_with_a_split_for_every_picture(db: Database) -> None:
    old = datasets.add(db, hundred(), Made(verb="test"))
    new = datasets.split(db, old, MADE, val=0.2, test=0.1)
    version = datasets.summary(db, new)
    assert (version.sizes, version.parents, version.made) == ({"train": 84, "val": 24, "test": 12}, (old,), MADE)
    assert version.counts["val"] == {"red": 8, "blue": 8, "green": 8}
    found = datasets.get(db, new)
    assert found.hash == new == manifest_hash(found.items)
    assert Counter(item.split for item in found.items) == {"train": 84, "val": 24, "test": 12}
    assert datasets.summary(db, old).sizes == {"unsplit": 120}, "the old version stays as it was"
    assert datasets.split(db, old, MADE, val=0.2, test=0.1) == new, "the same again"
    assert datasets.split(db, new, MADE, val=0.5) == new, "nothing is left to divide"
    again = datasets.split(db, new, MADE, val=0.5, again=True)
    assert datasets.summary(db, again).sizes == {"train": 60, "val": 60}
    assert datasets.split(db, old, MADE, seed=1, val=0.2, test=0.1) != new


def test_copies_and_groups_stay_on_one_side(db: Database) -> None:
    """Chains too: a copy of a picture of a group belongs to the group."""
    pictures = [picture(f"{number}.jpg", group=f"clip {number // 8}" if number % 2 else None) for number in range(80)]
    pictures += [picture(f"copy of {number}.jpg", content=f"{number}.jpg") for number in range(0, 80, 3)]
    found = divided(db, dataset(*pictures), val=0.3)
    sides = defaultdict(set)
    for item in found.items:
        sides[item.sha256].add(item.split)
        if item.group:
            sides[item.group].add(item.split)
    assert {len(parts) for parts in sides.values()} == {1}
    assert 0.2 < sum(item.split == "val" for item in found.items) / len(found.items) < 0.4


def test_given_splits_stay(db: Database) -> None:
    pictures = [picture(f"{number}.jpg", split="test" if number < 20 else None) for number in range(100)]
    found = divided(db, dataset(*pictures), val=0.25)
    assert {item.name for item in found.items if item.split == "test"} == {f"{number}.jpg" for number in range(20)}
    assert sum(item.split == "val" for item in found.items) == 20


def test_impossible_shares(db: Database) -> None:
    with pytest.raises(UsageError, match="shares"):
        divided(db, hundred(), val=0.7, test=0.4)
