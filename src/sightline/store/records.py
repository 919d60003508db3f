"""What the workspace tells: versions of datasets, how two of them differ, moves of a name, models. Records only; no SQL.

May be imported without the extra `store`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sightline.types import Card, Made, Record, Task

UNSPLIT = "unsplit"  # what people read for pictures that are in no split yet
ChangeKind = Literal["added", "removed", "relabelled", "moved", "replaced", "renamed", "redescribed"]


class Version(Record):
    """One immutable version of a dataset, without its pictures."""

    hash: str
    name: str = Field(description="what it was called when it was read; `names` point at it now")
    names: tuple[str, ...] = ()
    task: Task
    classes: tuple[str, ...]
    positive: str | None = None
    kind: str
    pictures: int
    sizes: dict[str, int] = Field(description="split -> pictures; 'unsplit': not divided")
    counts: dict[str, dict[str, int]] = Field(description="split -> label -> pictures")
    source: str = ""
    made: Made | None = Field(default=None, description="None: read from a folder, not kept in the workspace")
    parents: tuple[str, ...] = ()
    created: str = ""
    failed: int = Field(default=0, description="rows or files that were left out")


class Change(Record):
    """One picture that two versions do not agree on."""

    kind: ChangeKind
    name: str
    before: str = Field(default="", description="labels, split, name or content in the old version")
    after: str = ""


class Difference(Record):
    """What a newer version does differently. A picture can be moved and relabelled at once: it counts in both."""

    old: str
    new: str
    counts: dict[str, int] = Field(description="kind of change -> pictures, exact")
    changes: tuple[Change, ...] = Field(description="the first of each kind, by name")
    same: int = Field(description="pictures that are the same in both, split included")


class Said(Record):
    """What one model said about the pictures of a dataset, beside their truth."""

    model: str = Field(description="the model's id")
    pictures: int = Field(description="that it has answered")
    labelled: int = Field(description="of these, pictures that have a label")
    agree: int = Field(description="labelled pictures to which it gives exactly the labels they have")


class Move(Record):
    """A name was pointed at something."""

    target: str
    why: str
    moved: str


class KeptModel(Record):
    """A model that the workspace knows: where it lies and what it was trained on."""

    id: str
    name: str
    names: tuple[str, ...] = ()
    path: str
    dataset: str = Field(description="hash of the dataset version it was trained on, its split included")
    created: str
    card: Card
