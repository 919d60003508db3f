"""A picture as a row of `items` and back. Knows the columns of that table; nothing about versions.

Most pictures have labels only: these stand in `labels`, and `truth` is empty. Boxes and the like make `truth` a JSON list.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from sightline.data.manifest import item_key
from sightline.types import Annotation, Facts, Item, Split

SPLITS: tuple[Split | None, ...] = (None, "train", "val", "test")  # `members.split` is the place in here
PLACE: dict[Split | None, int] = {split: place for place, split in enumerate(SPLITS)}
COLUMNS = ("key", "name", "sha256", "uri", "labels", "origin", "truth", "group", "facts")


class ItemRow(NamedTuple):
    """One row in the order of COLUMNS."""

    key: bytes
    name: str
    sha256: bytes
    uri: str
    labels: str
    origin: str
    truth: str | None
    group: str | None
    facts: str | None


def to_row(item: Item, uri: str) -> ItemRow:
    """The row of a picture; its sha256 must be known."""
    labels, origin, truth = _told(item.truth)
    facts = None if item.facts is None else item.facts.model_dump_json(exclude_defaults=True)
    return ItemRow(item_key(item), item.name, bytes.fromhex(item.sha256), uri, labels, origin, truth, item.group, facts)


def _told(truth: tuple[Annotation, ...]) -> tuple[str, str, str | None]:
    if not truth:
        return "[]", "", None
    origin = truth[0].origin
    plain = all(
        one.origin == origin and one.score is None and one.text is None and not (one.traits or one.placed) for one in truth
    )
    if plain:
        return _as_json(tuple([one.label for one in truth])), origin, None
    said = [one.model_dump(mode="json", exclude_defaults=True) for one in truth]
    labels = tuple(dict.fromkeys(one.label for one in truth))
    return _as_json(labels), "", json.dumps(said, ensure_ascii=False)


@lru_cache(maxsize=65536)
def _as_json(labels: tuple[str, ...]) -> str:
    return json.dumps(labels, ensure_ascii=False)


def reader() -> Callable[[tuple[Any, ...]], Item]:
    """A function from (split's place, name, sha256, uri, labels, origin, truth, group, facts) to the picture.

    What many pictures share is made once: a million pictures with labels take about 0.7 GB instead of 2.
    """
    known: dict[tuple[str, str], tuple[Annotation, ...]] = {}
    fields = set(Item.model_fields)  # one set for all: a copy of an item takes a copy of it
    said = TypeAdapter(tuple[Annotation, ...])

    def item(row: tuple[Any, ...]) -> Item:
        place, name, sha256, uri, labels, origin, truth, group, facts = row
        if truth is not None:
            annotations = said.validate_json(truth)
        else:
            found = known.get((labels, origin))
            if found is None:
                found = tuple(Annotation(label=label, origin=origin) for label in json.loads(labels))
                known[labels, origin] = found
            annotations = found
        return Item.model_construct(
            fields,
            uri=uri,
            name=name,
            truth=annotations,
            split=SPLITS[place],
            group=group,
            sha256=sha256.hex(),
            facts=None if facts is None else Facts.model_validate_json(facts),
        )

    return item
