"""How two versions of a dataset differ: pictures added, removed, relabelled, moved between splits, and so on.

Works on columns of numbers, never on a million records: two versions of 1,000,000 pictures take seconds, and little memory.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, Row, Select, func, select

from sightline.store import bulk
from sightline.store.database import Database
from sightline.store.records import UNSPLIT, Change, ChangeKind, Difference
from sightline.store.register import find
from sightline.store.rows import SPLITS
from sightline.store.schema import items, members

Numbers = NDArray[np.int64]
_KINDS: tuple[ChangeKind, ...] = ("added", "removed", "relabelled", "moved", "replaced", "renamed", "redescribed")


class _Side(NamedTuple):
    """The pictures of one version that are no rows of the other, in columns (n,)."""

    ids: Numbers
    place: NDArray[np.int8]  # of the split
    name: NDArray[np.uint64]  # 64 bits that stand for it, and so below
    content: NDArray[np.uint64]
    truth: NDArray[np.uint64]

    def rest(self, keep: NDArray[Any]) -> _Side:
        """The rows that a mask or a list of places keeps."""
        return _Side(self.ids[keep], self.place[keep], self.name[keep], self.content[keep], self.truth[keep])


def diff(db: Database, old: str, new: str, *, limit: int = 100) -> Difference:
    """What `new` does differently from `old` (names or hashes). Counts are exact; of each kind the first `limit` are listed.

    relabelled: same name and content, other truth; redescribed: only group or facts differ; moved: another split;
    replaced: same name, other content; renamed: same content, other name. Raises NotFoundError.
    """
    with bulk.uncollected(), db.read() as connection:
        before, after = find(connection, old), find(connection, new)
        found = dict.fromkeys(_KINDS, 0)
        changes: list[Change] = []
        shared, moved = _shared(connection, before.id, after.id)
        left, right = _only(connection, before.id, after.id), _only(connection, after.id, before.id)
        pairs, left, right = _matched(left, right)
        for kind, one, other in pairs:
            found[kind] += len(one.ids)
            apart = one.place != other.place
            changes += _told(connection, kind, one.ids, other.ids, limit)
            found["moved"] += int(apart.sum())
            changes += _moves(connection, other.ids[apart], one.place[apart], other.place[apart], limit)
        found["added"], found["removed"] = len(right.ids), len(left.ids)
        none = np.empty(0, np.int64)
        changes += _told(connection, "added", none, right.ids, limit) + _told(connection, "removed", left.ids, none, limit)
        found["moved"] += moved
        if moved:
            changes += _moves(connection, *_first_moves(connection, before.id, after.id, limit), limit)
    listed: list[Change] = []
    for kind in _KINDS:
        listed += sorted((one for one in changes if one.kind == kind), key=lambda change: change.name)[:limit]
    return Difference(old=before.hash, new=after.hash, counts=found, changes=tuple(listed), same=shared - moved)


def _shared(connection: Connection, old: int, new: int) -> tuple[int, int]:
    """Rows that both versions hold, and how many of these are in another split."""
    ours, theirs = members.alias(), members.alias()
    query = (
        select(func.count(), func.count().filter(ours.c.split != theirs.c.split))
        .select_from(ours.join(theirs, ours.c.item == theirs.c.item))
        .where(ours.c.dataset == old, theirs.c.dataset == new)
    )
    shared, moved = connection.execute(query).one()
    return int(shared), int(moved)


def _first_moves(connection: Connection, old: int, new: int, limit: int) -> tuple[Numbers, NDArray[np.int8], NDArray[np.int8]]:
    ours, theirs = members.alias(), members.alias()
    query = (
        select(ours.c.item, ours.c.split, theirs.c.split)
        .select_from(ours.join(theirs, ours.c.item == theirs.c.item))
        .where(ours.c.dataset == old, theirs.c.dataset == new, ours.c.split != theirs.c.split)
        .limit(limit)
    )
    found = np.array([tuple(row) for row in connection.execute(query)], np.int64).reshape(-1, 3)
    return found[:, 0], found[:, 1].astype(np.int8), found[:, 2].astype(np.int8)


def _only(connection: Connection, dataset: int, other: int) -> _Side:
    """The pictures of `dataset` that are no rows of `other`."""
    theirs = select(members.c.item).where(members.c.dataset == other)
    query: Select[tuple[object, ...]] = (
        select(
            items.c.id,
            members.c.split,
            items.c.name,
            func.substr(items.c.sha256, 1, 8),
            items.c.labels,
            items.c.truth,
        )
        .select_from(members.join(items, items.c.id == members.c.item))
        .where(members.c.dataset == dataset, members.c.item.not_in(theirs))
        .order_by(items.c.id)
    )
    numbers, places = array("q"), array("b")
    names, contents, truths = bytearray(), bytearray(), bytearray()
    for rows in bulk.stream(connection, query):
        for number, place, name, content, labels, truth in rows:
            numbers.append(number)
            places.append(place)
            names += _short(name)
            contents += content
            truths += _short(labels + (truth or ""))
    return _Side(
        np.frombuffer(numbers, np.int64),
        np.frombuffer(places, np.int8),
        np.frombuffer(names, np.uint64),
        np.frombuffer(contents, np.uint64),
        np.frombuffer(truths, np.uint64),
    )


def _short(text: str) -> bytes:
    """8 bytes that stand for a text: of a million names no two share them."""
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def _matched(left: _Side, right: _Side) -> tuple[list[tuple[ChangeKind, _Side, _Side]], _Side, _Side]:
    """Pictures that are the same one in both versions, changed, and what is left of both sides."""
    pairs: list[tuple[ChangeKind, _Side, _Side]] = []

    def take(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> tuple[_Side, _Side]:
        nonlocal left, right
        _, mine, theirs = np.intersect1d(one, other, return_indices=True)
        taken = left.rest(mine), right.rest(theirs)
        left, right = left.rest(_without(len(one), mine)), right.rest(_without(len(other), theirs))
        return taken

    mine, theirs = take(left.name ^ _mixed(left.content), right.name ^ _mixed(right.content))
    alike = mine.truth == theirs.truth
    pairs.append(("relabelled", mine.rest(~alike), theirs.rest(~alike)))
    pairs.append(("redescribed", mine.rest(alike), theirs.rest(alike)))
    pairs.append(("replaced", *take(left.name, right.name)))
    pairs.append(("renamed", *take(left.content, right.content)))
    return pairs, left, right


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return values * np.uint64(0x9E3779B97F4A7C15)


def _without(count: int, taken: Numbers) -> NDArray[np.bool_]:
    keep = np.ones(count, bool)
    keep[taken] = False
    return keep


def _told(connection: Connection, kind: ChangeKind, old: Numbers, new: Numbers, limit: int) -> list[Change]:
    """Changes in words, for the first ones; `old` and `new` are pairs, or one of them is empty."""
    old, new = old[:limit], new[:limit]
    known = {row.id: row for row in _rows(connection, items.c.id.in_([*old.tolist(), *new.tolist()]))}
    told: list[Change] = []
    for place in range(max(len(old), len(new))):
        one = known[int(old[place])] if len(old) else None
        other = known[int(new[place])] if len(new) else None
        name = (other or one).name  # type: ignore[union-attr]  # one of them is there
        before, after = (_said(kind, row) if row else "" for row in (one, other))
        told.append(Change(kind=kind, name=name, before=before, after=after))
    return told


def _moves(connection: Connection, ids: Numbers, before: NDArray[np.int8], after: NDArray[np.int8], limit: int) -> list[Change]:
    first = ids[:limit].tolist()
    names = {row.id: row.name for row in _rows(connection, items.c.id.in_(first))}
    said = [split or UNSPLIT for split in SPLITS]
    return [
        Change(kind="moved", name=names[number], before=said[one], after=said[other])
        for number, one, other in zip(first, before.tolist(), after.tolist(), strict=False)
    ]


def _rows(connection: Connection, which: ColumnElement[bool]) -> Sequence[Any]:
    columns = (items.c.id, items.c.name, items.c.sha256, items.c.labels, items.c.group, items.c.facts)
    return connection.execute(select(*columns).where(which)).all()


def _said(kind: ChangeKind, row: Row[Any]) -> str:
    """What of a row tells the change."""
    if kind == "replaced":
        return str(row.sha256.hex()[:12])
    if kind == "renamed":
        return str(row.name)
    if kind == "redescribed":
        return " ".join(part for part in (row.group, row.facts) if part)
    return ", ".join(json.loads(row.labels))
