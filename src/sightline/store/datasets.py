"""Versions of datasets: immutable sets of pictures, each in a split, named by their content; kept, found, listed, read back.

Pictures are rows that versions share: they are written some at a time before the version that names them, so that a stop
leaves rows nobody names, never half a version. How two versions differ is in `differences`, dividing in `division`.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from sqlalchemy import bindparam, func, select, update

from sightline import progress
from sightline.data.manifest import hash_of, member_key, with_hashes
from sightline.errors import DatasetError
from sightline.store import bulk, rows
from sightline.store.blobs import Blobs, blobs
from sightline.store.database import Database
from sightline.store.differences import diff
from sightline.store.division import split
from sightline.store.register import Roster, Tally, find, record, skeletons, summary, there, versions
from sightline.store.schema import datasets, items, members
from sightline.types import Dataset, Failure, Item, Made

__all__ = ["add", "add_items", "diff", "get", "split", "summary", "there", "versions"]

_BLOB = "blob:"  # how a place inside our own blobs is written down: a workspace may be moved


def add(db: Database, dataset: Dataset, made: Made, parents: Sequence[str] = ()) -> str:
    """Keep a version and return its hash; the same version twice is one. Files without a known content are read first.

    `parents`: hashes of the versions it was made from. Raises DatasetError for one picture that stands twice in it.
    """
    if not all(item.sha256 for item in dataset.items):
        dataset = with_hashes(dataset)
    return add_items(db, dataset, dataset.items, made, parents)


def add_items(
    db: Database, frame: Dataset, pictures: Iterable[Item], made: Made, parents: Sequence[str] = (), *, total: int | None = None
) -> str:
    """Like `add`, with pictures that come one by one; of `frame` all but the items counts. Every picture has its sha256."""
    held = blobs()
    ids, places, keys, tally = array("q"), bytearray(), list[bytes](), Tally()
    total = total if total is not None else len(frame.items) or None
    with bulk.uncollected(), progress.task("Recording pictures", total) as task:
        for portion in bulk.portions(pictures):
            made_rows = [rows.to_row(_checked(item), _written(item, held)) for item in portion]
            ids.extend(_kept(db, made_rows))
            for item, row in zip(portion, made_rows, strict=True):
                place = rows.PLACE[item.split]
                places.append(place)
                keys.append(member_key(row.key, item.split))
                tally.add(place, item.labels)
            task.advance(len(portion))
    order = np.argsort(np.frombuffer(ids, np.int64), kind="stable")
    numbers, splits = np.frombuffer(ids, np.int64)[order], np.frombuffer(places, np.int8)[order]
    doubled = numbers[1:][numbers[1:] == numbers[:-1]]
    if len(doubled):
        raise DatasetError(
            f"{_name_of(db, int(doubled[0]))} stands twice in the dataset", hint="give every picture a name of its own"
        )
    return record(db, frame, Roster(hash_of(keys), numbers, splits, tally), made, parents)


def get(db: Database, reference: str) -> Dataset:
    """The version that a name, a hash or its start means, with all its pictures, sorted by name.

    A million pictures take about 12 s and 0.9 GB; `summary`, `diff` and `split` do without them. Pictures kept in a bucket are
    fetched. Raises NotFoundError, naming the nearest.
    """
    fetched = blobs()
    with bulk.uncollected(), db.read() as connection:
        found = find(connection, reference)
        head = connection.execute(select(datasets).where(datasets.c.id == found.id)).one()
        columns = [items.c[name] for name in rows.COLUMNS if name != "key"]
        query = select(members.c.split, *columns).join(items, items.c.id == members.c.item).where(members.c.dataset == found.id)
        read = rows.reader()
        pictures: list[Item] = []
        for portion in bulk.stream(connection, query):
            pictures += map(read, portion)
    pictures.sort(key=lambda item: item.name)
    return Dataset.model_construct(
        name=found.name or head.name,
        task=head.task,
        classes=tuple(head.classes),
        items=_brought(pictures, fetched),
        positive=head.positive,
        hash=found.hash,
        source=head.source,
        kind=head.kind,
        skeletons=skeletons(head.skeletons),
        failures=tuple(Failure.model_validate(failure) for failure in head.failures),
    )


# --- pictures


def _kept(db: Database, wanted: Sequence[rows.ItemRow]) -> list[int]:
    """The numbers of these pictures' rows; new ones are written, and where known ones lie now is noted. On the disk.

    A picture that is kept in the blobs stays there: a file seen elsewhere may go away.
    """
    found: dict[bytes, int] = {}
    with db.write() as connection:
        bulk.one_writer(connection)
        last = connection.scalar(select(func.max(items.c.id))) or 0
        moved: list[dict[str, Any]] = []
        if last:
            uris = {row.key: row.uri for row in wanted}
            query = select(items.c.id, items.c.key, items.c.uri).where(items.c.key.in_(list(uris)))
            for number, key, uri in connection.execute(query):
                found[key] = number
                if uri != uris[key] and not uri.startswith(_BLOB):
                    moved.append({"number": number, "place": uris[key]})
        fresh: list[tuple[Any, ...]] = []
        for row in wanted:
            if row.key not in found:
                last += 1
                found[row.key] = last
                fresh.append((last, *row))
        if fresh:
            bulk.insert(connection, items, ("id", *rows.COLUMNS), fresh)
        if moved:
            change = update(items).where(items.c.id == bindparam("number")).values(uri=bindparam("place"))
            connection.execute(change, moved)
    return [found[row.key] for row in wanted]


def _checked(item: Item) -> Item:
    if len(item.sha256) != 64:
        raise DatasetError(f"the content of {item.name} is not known", hint="read the dataset with its hashes")
    return item


def _written(item: Item, held: Blobs) -> str:
    """The place as it is written down."""
    return f"{_BLOB}{item.sha256}" if item.uri == held.placed(item.sha256) else item.uri


def _brought(pictures: list[Item], held: Blobs) -> tuple[Item, ...]:
    """The pictures with places that can be opened here."""
    away = [spot for spot, item in enumerate(pictures) if item.uri.startswith(_BLOB)]
    if held.remote and away:
        from sightline.data.manifest import in_threads

        wanted = list(dict.fromkeys(pictures[spot].sha256 for spot in away))
        in_threads("Fetching pictures", wanted, lambda part: [held.local(sha256) for sha256 in part])
    for spot in away:
        pictures[spot] = pictures[spot].model_copy(update={"uri": held.placed(pictures[spot].sha256)})
    return tuple(pictures)


def _name_of(db: Database, number: int) -> str:
    with db.read() as connection:
        return json.dumps(connection.scalar(select(items.c.name).where(items.c.id == number)), ensure_ascii=False)
