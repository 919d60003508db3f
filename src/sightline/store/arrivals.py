"""What a collection under way has brought home, so that it goes on after a kill and asks nobody twice.

Rows belong to a run, which is named by what is collected into where; they go when the run is done. Knows no sources.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Text, cast, delete, insert, select

from sightline.store.database import Database
from sightline.store.schema import arrivals, items
from sightline.types import Failure, Item

_AT_ONCE = 500


def run_of(*what: object) -> str:
    """The name of a run: the same source into the same place, asked for in the same way, is the same run."""
    return hashlib.sha256(json.dumps(what, default=str, sort_keys=True).encode()).hexdigest()


def key_of(address: str) -> str:
    """How a picture's address is kept: 64 hex digits."""
    return hashlib.sha256(address.encode(errors="surrogateescape")).hexdigest()


def put(db: Database, run: str, brought: Mapping[str, Item | Failure]) -> None:
    """Note pictures (or failures) by their addresses; on the disk when this returns. A later word replaces an earlier one."""
    rows = [
        {
            "run": run,
            "source": key_of(address),
            "item": one.model_dump(mode="json", exclude_defaults=True) if isinstance(one, Item) else None,
            "failure": one.model_dump(mode="json") if isinstance(one, Failure) else None,
        }
        for address, one in brought.items()
    ]
    with db.write() as connection:
        for part in _parts(rows):
            sources = [row["source"] for row in part]
            connection.execute(delete(arrivals).where(arrivals.c.run == run, arrivals.c.source.in_(sources)))
            connection.execute(insert(arrivals), part)


def known(db: Database, run: str) -> dict[str, Item | Failure]:
    """`key_of` an address -> what came of it."""
    with db.read() as connection:
        rows = connection.execute(select(arrivals.c.source, arrivals.c.item, arrivals.c.failure).where(arrivals.c.run == run))
        return {source: _record(item, failure) for source, item, failure in rows}


def remove(db: Database, run: str, keys: Sequence[str]) -> None:
    """Forget some pictures of a run, by the `key_of` their addresses."""
    with db.write() as connection:
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            connection.execute(delete(arrivals).where(arrivals.c.run == run, arrivals.c.source.in_(part)))


def needed(db: Database, sha256: str) -> bool:
    """Whether any version, or any collection under way, holds a picture of this content. Looks through all rows."""
    held = select(items.c.id).where(items.c.sha256 == bytes.fromhex(sha256)).limit(1)
    coming = select(arrivals.c.run).where(cast(arrivals.c.item, Text).contains(sha256)).limit(1)
    with db.read() as connection:
        return connection.scalar(held) is not None or connection.scalar(coming) is not None


def clear(db: Database, run: str) -> None:
    """Forget a run that is done."""
    with db.write() as connection:
        connection.execute(delete(arrivals).where(arrivals.c.run == run))


def _record(item: dict[str, Any] | None, failure: dict[str, Any] | None) -> Item | Failure:
    return Item.model_validate(item) if item is not None else Failure.model_validate(failure)


def _parts(rows: Sequence[dict[str, Any]]) -> list[Sequence[dict[str, Any]]]:
    return [rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE)]
