"""Dividing a version into train, val and test without its pictures: reads the columns that matter, writes a new version.

Copies (one SHA-256) and groups stay on one side. Look-alikes that are no copies are the matter of `data.splits`, which looks
at pictures; `train` uses that. The rule of dividing is in `data.strata`.
"""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from sightline.data.manifest import hash_of
from sightline.data.strata import divide, lots, together
from sightline.store import bulk, register
from sightline.store.database import Database
from sightline.store.rows import SPLITS
from sightline.store.schema import datasets, items, members
from sightline.types import Dataset, Failure, Made


class _Columns(NamedTuple):
    """A version in columns (n,): row numbers, split's place, keys (n x 32 bytes), content, group (-1: none), label set."""

    ids: NDArray[np.int64]
    places: NDArray[np.int8]
    keys: bytes
    content: NDArray[np.uint64]
    groups: NDArray[np.int64]
    sets: NDArray[np.int64]
    labels: list[tuple[str, ...]]  # of each label set


def split(
    db: Database, reference: str, made: Made, *, seed: int = 0, val: float = 0.15, test: float = 0.0, again: bool = False
) -> str:
    """The hash of the version with a split for every picture; the same one when nothing was left to divide.

    A split that the data gave stays, unless `again` forgets them all first. Stratified by class, the same for a seed.
    Raises NotFoundError; UsageError for impossible shares.
    """
    with bulk.uncollected(), db.read() as connection:
        found = register.find(connection, reference)
        head = connection.execute(select(datasets).where(datasets.c.id == found.id)).one()
        columns = _columns(connection, found.id)
    given = np.zeros_like(columns.places) if again else columns.places
    units = together(columns.content, columns.groups)
    chosen = divide(units, columns.sets, columns.labels, given, lots(columns.content, seed), val=val, test=test)
    if np.array_equal(chosen, columns.places):
        return found.hash
    tally = register.Tally()
    pairs, counts = np.unique(columns.sets * len(SPLITS) + chosen, return_counts=True)
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        tally.add(pair % len(SPLITS), columns.labels[pair // len(SPLITS)], count)
    frame = Dataset(
        name=head.name,
        task=head.task,
        classes=tuple(head.classes),
        items=(),
        positive=head.positive,
        source=head.source,
        kind=head.kind,
        skeletons=register.skeletons(head.skeletons),
        failures=tuple(Failure.model_validate(failure) for failure in head.failures),
    )
    order = np.argsort(columns.ids, kind="stable")
    with bulk.uncollected():
        named = _hash(columns.keys, chosen)
    roster = register.Roster(named, columns.ids[order], chosen[order], tally)
    return register.record(db, frame, roster, made, (found.hash,))


def _columns(connection: Connection, dataset: int) -> _Columns:
    query = (
        select(items.c.id, members.c.split, items.c.key, func.substr(items.c.sha256, 1, 8), items.c.group, items.c.labels)
        .select_from(members.join(items, items.c.id == members.c.item))
        .where(members.c.dataset == dataset)
    )
    ids, places, sets, groups = (list[NDArray[np.int64]]() for _ in range(4))
    keys, content = bytearray(), bytearray()
    known: dict[str, int] = {}
    grouped: dict[str, int] = {}
    for rows in bulk.stream(connection, query):
        number, place, key, start, group, labels = zip(*rows, strict=True)
        ids.append(np.array(number, np.int64))
        places.append(np.array(place, np.int64))
        keys += b"".join(key)
        content += b"".join(start)
        groups.append(np.array([-1 if one is None else grouped.setdefault(one, len(grouped)) for one in group], np.int64))
        sets.append(np.array([known.setdefault(one, len(known)) for one in labels], np.int64))
    none = np.empty(0, np.int64)
    return _Columns(
        ids=np.concatenate([none, *ids]),
        places=np.concatenate([none, *places]).astype(np.int8),
        keys=bytes(keys),
        content=np.frombuffer(content, np.uint64),
        groups=np.concatenate([none, *groups]),
        sets=np.concatenate([none, *sets]),
        labels=[tuple(sorted(set(json.loads(text)))) for text in known],
    )


def _hash(keys: bytes, places: NDArray[np.int8]) -> str:
    """`manifest.manifest_hash` from keys in one piece: 2 s for a million pictures."""
    ends = [(split or "").encode() for split in SPLITS]
    sha256 = hashlib.sha256
    return hash_of([sha256(keys[32 * at : 32 * at + 32] + ends[place]).digest() for at, place in enumerate(places.tolist())])
