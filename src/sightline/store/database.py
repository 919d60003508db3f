"""One database behind a URL: SQLite in a file of the workspace by default, PostgreSQL when it is outgrown; same code for both.

What `write` returns from is on the disk: SQLite runs in WAL mode with synchronous=FULL. Knows no tables; migrations make them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError

from sightline.errors import StorageError, UsageError, missing_extra, storage_errors
from sightline.settings import settings

NEWEST = "0002"  # the last of migrations/versions
BUSY_S = 60.0  # how long a writer waits for other processes' writers
_MIGRATIONS = Path(__file__).parent / "migrations"
_open: dict[str, Database] = {}
_opening = threading.Lock()


class Database:
    """`read` and `write` give connections; a `write` is one transaction, done whole or not at all."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._turn = threading.RLock()  # SQLite has one writer; waiting here is fair, waiting in SQLite is not

    @property
    def sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with _typed(self.engine.url), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed when the block ends well and undone when it does not."""
        with self._turn, _typed(self.engine.url), self.engine.connect() as connection:
            if self.sqlite:
                connection = connection.execution_options(immediate=True)  # noqa: PLW2901 - the same connection
            with connection.begin():
                yield connection

    def close(self) -> None:
        self.engine.dispose()


def database(url: str | None = None) -> Database:
    """The database at `url` (default: the workspace's), brought to the newest schema; one for each address and process.

    Raises UsageError for an address nobody can use, StorageError when it cannot be opened.
    """
    address = url or settings().database
    with _opening:
        found = _open.get(address)
        if found is None:
            found = _open[address] = _opened(address)
        return found


def forget() -> None:
    """Close every database of this process: before a fork, and between tests."""
    with _opening:
        for one in _open.values():
            one.close()
        _open.clear()


def _opened(address: str) -> Database:
    try:
        url = make_url(address)
        if url.get_backend_name() == "sqlite" and url.database:
            folder = Path(url.database).parent
            with storage_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
        engine = _engine(url)
    except (ArgumentError, NoSuchModuleError) as error:
        raise UsageError(
            f"no database can be reached at {address!r}", hint="sqlite:////path/file.db or postgresql+psycopg://user@host/name"
        ) from error
    except ModuleNotFoundError as error:
        raise missing_extra("postgres", f"a database at {url.render_as_string()}") from error
    made = Database(engine)
    with _typed(url):
        migrate(made)
    return made


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_S, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves: the driver would begin late, and never IMMEDIATE
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-65536", "temp_store=MEMORY"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _began(connection: Connection) -> None:
        # a writer takes its place at once: upgrading from a read in the middle would fail with "database is locked"
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("immediate") else "BEGIN")

    return engine


def migrate(database: Database) -> None:
    """Bring the schema to the newest revision; several processes may do so at once. Raises StorageError for a newer one."""
    with database.read() as connection:
        known = inspect(connection).has_table("alembic_version")
        if known and connection.scalar(text("SELECT version_num FROM alembic_version")) == NEWEST:
            return  # before Alembic is imported: that takes longer than most questions to a workspace
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with database.write() as connection:
        if not database.sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(7451239)"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StorageError(
                "the workspace was made by a newer Sightline", hint="install that version, or use another SIGHTLINE_HOME"
            ) from error


@contextmanager
def _typed(url: URL) -> Iterator[None]:
    """Turn the database's own errors into ours."""
    try:
        yield
    except OperationalError as error:
        reason = str(error.orig).strip().splitlines()[0] if error.orig else "unknown"
        full = "full" in reason
        raise StorageError(
            f"the database {url.render_as_string()} cannot be used: {reason}",
            hint="free some disk space and run again" if full else "check that it exists, is not locked and may be written",
        ) from error
    except DBAPIError as error:
        if "malformed" in str(error.orig) or "not a database" in str(error.orig):
            raise StorageError(
                f"the database {url.render_as_string()} is damaged: {error.orig}", hint="bring back a copy, or move it away"
            ) from error
        raise
