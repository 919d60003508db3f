"""Many rows at once, each database in its quickest way: in through statements of many rows or COPY, out as plain tuples.

Knows connections and tables, not what the rows mean. A million rows of SQLite come in about a second, half of what
SQLAlchemy's own rows take; they go in at a third of what `executemany` takes.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, Table, text
from sqlalchemy.exc import DBAPIError

PORTION = 20_000  # rows; below SQLite's limit of 32,766 variables in a statement
_TOGETHER = 500  # rows of one INSERT in SQLite
_LOCK = 7451240  # names the one lock that writers of pictures take in PostgreSQL

Row = tuple[Any, ...]
T = TypeVar("T")


def portions(values: Iterable[T], size: int = PORTION) -> Iterator[list[T]]:
    """Lists of `size` values, the last one shorter."""
    rest = iter(values)
    while portion := list(islice(rest, size)):
        yield portion


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the search for cycles while a million records are built, none of which has any: a third of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def insert(connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Add `rows`, values in the order of `columns`, inside the transaction of `connection`."""
    names = ", ".join(f'"{name}"' for name in columns)
    if connection.dialect.name == "sqlite":
        place = f"({', '.join('?' * len(columns))})"
        for portion in portions(rows, _TOGETHER):
            statement = f'INSERT INTO "{table.name}" ({names}) VALUES {", ".join([place] * len(portion))}'
            connection.exec_driver_sql(statement, tuple(chain.from_iterable(portion)))
        return
    statement = f'COPY "{table.name}" ({names}) FROM STDIN'
    cursor: Any = connection.connection.cursor()  # psycopg's
    with _wrapped(connection, statement), cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def stream(connection: Connection, query: Select[Any]) -> Iterator[list[Row]]:
    """The rows of `query`, whose only values may be numbers, in portions of plain tuples; memory stays small."""
    statement = str(query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
    if not connection.in_transaction():
        connection.begin()  # one consistent view of all portions
    options = {} if connection.dialect.name == "sqlite" else {"name": "portions"}  # a named cursor stays on the server
    with _wrapped(connection, statement):
        cursor: Any = connection.connection.cursor(**options)
        try:
            cursor.execute(statement)
            while rows := cursor.fetchmany(PORTION):
                yield rows
        finally:
            cursor.close()


def one_writer(connection: Connection) -> None:
    """Until the transaction ends nobody else adds pictures: in SQLite it is so anyway."""
    if connection.dialect.name != "sqlite":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))


@contextmanager
def _wrapped(connection: Connection, statement: str) -> Iterator[None]:
    """The driver's errors as SQLAlchemy's, which `database` turns into ours."""
    driver = connection.dialect.loaded_dbapi.Error
    try:
        yield
    except driver as error:
        raise DBAPIError.instance(statement, None, error, driver) from error
