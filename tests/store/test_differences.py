"""What two versions do not agree on, counted and named."""

from __future__ import annotations

import pytest

from madeup import dataset, picture
from sightline.errors import NotFoundError
from sightline.store import datasets
from sightline.store.database import Database
from sightline.store.records import Change
from sightline.types import Made

MADE = Made(verb="test")


def test_every_kind_of_change(db: Database) -> None:
    old = dataset(
        picture("same.jpg"),
        picture("gone.jpg"),
        picture("label.jpg", "red"),
        picture("split.jpg", split="train"),
        picture("both.jpg", "red", split="train"),
        picture("content.jpg", content="before"),
        picture("name.jpg", content="kept"),
        picture("group.jpg"),
    )
    new = dataset(
        picture("same.jpg"),
        picture("come.jpg", "blue"),
        picture("label.jpg", "blue"),
        picture("split.jpg", split="val"),
        picture("both.jpg", "blue", split="test"),
        picture("content.jpg", content="after"),
        picture("other name.jpg", content="kept"),
        picture("group.jpg", group="clip 1"),
    )
    before, after = datasets.add(db, old, MADE), datasets.add(db, new, MADE)
    found = datasets.diff(db, before, after)
    assert found.counts == {
        "added": 1, "removed": 1, "relabelled": 2, "moved": 2, "replaced": 1, "renamed": 1, "redescribed": 1
    }  # fmt: skip
    assert found.same == 1
    contents = [picture("content.jpg", content=content).sha256[:12] for content in ("before", "after")]
    assert found.changes == (
        Change(kind="added", name="come.jpg", after="blue"),
        Change(kind="removed", name="gone.jpg", before="red"),
        Change(kind="relabelled", name="both.jpg", before="red", after="blue"),
        Change(kind="relabelled", name="label.jpg", before="red", after="blue"),
        Change(kind="moved", name="both.jpg", before="train", after="test"),
        Change(kind="moved", name="split.jpg", before="train", after="val"),
        Change(kind="replaced", name="content.jpg", before=contents[0], after=contents[1]),
        Change(kind="renamed", name="other name.jpg", before="name.jpg", after="other name.jpg"),
        Change(kind="redescribed", name="group.jpg", before="", after="clip 1"),
    )
    back = datasets.diff(db, after, before)
    assert (back.counts, back.same) == (found.counts, 1)
    assert {change.name for change in back.changes if change.kind == "added"} == {"gone.jpg"}


def test_a_version_and_itself(db: Database) -> None:
    named = datasets.add(db, dataset(picture("a.jpg"), picture("b.jpg")), MADE)
    found = datasets.diff(db, named, named)
    assert (set(found.counts.values()), found.changes, found.same) == ({0}, (), 2)


def test_copies_are_told_apart_by_their_names(db: Database) -> None:
    """Three names of one content: one is gone, one has another label."""
    old = datasets.add(db, dataset(*(picture(f"{name}.jpg", content="x") for name in "abc")), MADE)
    new = datasets.add(db, dataset(picture("a.jpg", content="x"), picture("b.jpg", "blue", content="x")), MADE)
    found = datasets.diff(db, old, new)
    assert {kind: count for kind, count in found.counts.items() if count} == {"removed": 1, "relabelled": 1}
    assert [change.name for change in found.changes] == ["c.jpg", "b.jpg"]


def test_counts_are_exact_where_the_list_is_short(db: Database) -> None:
    pictures = [picture(f"{number:03}.jpg") for number in range(60)]
    old = datasets.add(db, dataset(*pictures), MADE)
    moved = [one.model_copy(update={"split": "train"}) for one in pictures[:40]]
    new = datasets.add(db, dataset(*moved, *(picture(f"new {number}.jpg") for number in range(30))), MADE)
    found = datasets.diff(db, old, new, limit=5)
    assert (found.counts["moved"], found.counts["added"], found.counts["removed"], found.same) == (40, 30, 20, 0)
    assert [sum(change.kind == kind for change in found.changes) for kind in ("added", "removed", "moved")] == [5, 5, 5]


def test_boxes_that_moved_are_another_truth(db: Database) -> None:
    one = picture("a.jpg")
    boxed = [
        one.model_copy(update={"truth": (one.truth[0].model_copy(update={"box": (0.0, 0.0, right, 5.0)}),)})
        for right in (4.0, 6.0)
    ]
    old, new = (datasets.add(db, dataset(item), MADE) for item in boxed)
    assert datasets.diff(db, old, new).counts["relabelled"] == 1


def test_what_is_not_there_is_said(db: Database) -> None:
    named = datasets.add(db, dataset(picture("a.jpg")), MADE)
    with pytest.raises(NotFoundError):
        datasets.diff(db, named, "nothing")
