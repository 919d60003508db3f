"""The list of versions: found by name, hash or the start of one; told without their pictures; entered in one transaction.

Knows the tables `datasets`, `parents` and `members`; not how pictures are written or read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, insert, null, select

from sightline.errors import NotFoundError, UsageError
from sightline.store import bulk, rows
from sightline.store.database import Database
from sightline.store.records import UNSPLIT, Version
from sightline.store.schema import datasets, members, names, parents
from sightline.types import Dataset, Made, Skeleton

KIND = "dataset"  # of the names that point here
_SHORTEST = 6  # hex digits of a hash that may stand for it


class Found(NamedTuple):
    """Where a reference led: the row's number and the version's hash; the name, when it was one."""

    id: int
    hash: str
    name: str | None


class Tally:
    """Pictures and labels of each split, counted while they pass."""

    def __init__(self) -> None:
        self.sizes: Counter[int] = Counter()
        self.labels: Counter[tuple[int, str]] = Counter()

    def add(self, place: int, labels: Iterable[str], times: int = 1) -> None:
        self.sizes[place] += times
        for label in set(labels):
            self.labels[place, label] += times

    def told(self) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
        """Split -> pictures, and split -> label -> pictures, both in a steady order."""
        names = [split or UNSPLIT for split in rows.SPLITS]
        sizes = {names[place]: self.sizes[place] for place in (1, 2, 3, 0) if self.sizes[place]}
        counts: dict[str, dict[str, int]] = {name: {} for name in sizes}
        for (place, label), number in sorted(self.labels.items(), key=lambda pair: pair[0]):
            if number:
                counts[names[place]][label] = number
        return sizes, counts


class Roster(NamedTuple):
    """A version in columns: its hash, the numbers of its pictures' rows ascending (n,), the places of their splits (n,)."""

    hash: str
    ids: NDArray[np.int64]
    places: NDArray[np.int8]
    tally: Tally


def record(db: Database, frame: Dataset, roster: Roster, made: Made, parents_: Sequence[str] = ()) -> str:
    """Write a version of pictures that are rows already, in one transaction; of `frame` all but the items. Returns its hash."""
    hash_, ids, places, tally = roster
    sizes, counts = tally.told()
    with db.write() as connection:
        bulk.one_writer(connection)
        if connection.scalar(select(datasets.c.id).where(datasets.c.hash == hash_)) is not None:
            return hash_
        above = [find(connection, parent).id for parent in parents_ if parent != hash_]
        values = {
            "hash": hash_,
            "name": frame.name[:200],
            "task": frame.task,
            "kind": frame.kind[:40],
            "positive": frame.positive,
            "classes": list(frame.classes),
            "pictures": len(ids),
            "sizes": sizes,
            "counts": counts,
            "failed": len(frame.failures),
            "failures": [failure.model_dump(mode="json", exclude_defaults=True) for failure in frame.failures],
            "source": frame.source,
            "made_by": made.model_dump(mode="json"),
            "created": now(),
            "skeletons": {name: one.model_dump(mode="json") for name, one in frame.skeletons.items()} or null(),
        }
        key = connection.execute(insert(datasets).values(values)).inserted_primary_key
        number = int(key[0]) if key else 0
        for start in range(0, len(ids), bulk.PORTION):  # plain numbers of a part at a time: a million take 100 MB
            part = slice(start, start + bulk.PORTION)
            chunk = [(number, item, place) for item, place in zip(ids[part].tolist(), places[part].tolist(), strict=True)]
            bulk.insert(connection, members, ("dataset", "item", "split"), chunk)
        if above:
            connection.execute(insert(parents), [{"child": number, "parent": one} for one in dict.fromkeys(above)])
    return hash_


def skeletons(kept: dict[str, Any] | None) -> dict[str, Skeleton]:
    """The column of that name as records."""
    return {name: Skeleton.model_validate(one) for name, one in (kept or {}).items()}


def summary(db: Database, reference: str) -> Version:
    """What is known about a version without reading its pictures."""
    with db.read() as connection:
        found = find(connection, reference)
        return _versions(connection, found.id)[0]


def versions(db: Database) -> list[Version]:
    """Every version, the newest first."""
    with db.read() as connection:
        return _versions(connection)


def find(connection: Connection, reference: str) -> Found:
    """The version that a name, a hash or the start of one means; raises NotFoundError, or UsageError when several fit."""
    pointer = select(names.c.target).where(names.c.kind == KIND, names.c.name == reference)
    target = connection.scalar(pointer)
    start = target or reference.lower()
    if target is None and not (_SHORTEST <= len(start) <= 64 and all(digit in "0123456789abcdef" for digit in start)):
        raise _not_found(connection, reference)
    query = select(datasets.c.id, datasets.c.hash).where(datasets.c.hash >= start, datasets.c.hash <= start + "g")
    rows_ = connection.execute(query.limit(2)).all()
    if not rows_:
        raise _not_found(connection, reference)
    if len(rows_) > 1:
        raise UsageError(f"several versions have a hash that begins with {reference}", hint="give more of its digits")
    return Found(int(rows_[0].id), rows_[0].hash, reference if target is not None else None)


def there(connection: Connection, hash_: str) -> bool:
    """Whether a version of exactly this hash is kept."""
    return connection.scalar(select(datasets.c.id).where(datasets.c.hash == hash_)) is not None


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _not_found(connection: Connection, reference: str) -> NotFoundError:
    import difflib

    known = list(connection.scalars(select(names.c.name).where(names.c.kind == KIND)))
    near = difflib.get_close_matches(reference, known, 1)
    hint = f"did you mean {near[0]}?" if near else "`sightline data list` shows what there is"
    return NotFoundError(f"there is no dataset {reference!r}", hint=hint)


def _versions(connection: Connection, only: int | None = None) -> list[Version]:
    columns = [column for column in datasets.c if column.name != "failures"]
    query = select(*columns).order_by(datasets.c.created.desc(), datasets.c.id.desc())
    lines = select(parents.c.child, datasets.c.hash).join(datasets, datasets.c.id == parents.c.parent)
    if only is not None:
        query, lines = query.where(datasets.c.id == only), lines.where(parents.c.child == only)
    above: dict[int, list[str]] = {}
    for child, parent in connection.execute(lines):
        above.setdefault(child, []).append(parent)
    pointing: dict[str, list[str]] = {}
    for name, target in connection.execute(select(names.c.name, names.c.target).where(names.c.kind == KIND)):
        pointing.setdefault(target, []).append(name)
    return [
        Version(
            hash=row.hash,
            name=row.name,
            names=tuple(sorted(pointing.get(row.hash, ()))),
            task=row.task,
            classes=tuple(row.classes),
            positive=row.positive,
            kind=row.kind,
            pictures=row.pictures,
            sizes=row.sizes,
            counts=row.counts,
            source=row.source,
            made=Made.model_validate(row.made_by),
            parents=tuple(sorted(above.get(row.id, ()))),
            created=row.created,
            failed=row.failed,
        )
        for row in connection.execute(query)
    ]
