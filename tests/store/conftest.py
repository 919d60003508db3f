"""Workspaces to test on: SQLite in a file, and a PostgreSQL of our own where one starts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sightline.store.database import Database, database, forget
from sightline.store.schema import metadata


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a PostgreSQL of our own."""
    pgserver = pytest.importorskip("pgserver")
    pytest.importorskip("psycopg")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        try:
            server = pgserver.get_server(tmp_path_factory.mktemp("pg"))
        except Exception as error:  # no shared memory, no permission, ...
            pytest.skip(f"PostgreSQL does not start here: {error}")
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty workspace of each kind."""
    if request.param == "sqlite":
        yield database(f"sqlite:///{tmp_path / 'workspace.db'}")
        forget()
        return
    opened = database(str(request.getfixturevalue("postgres")))
    yield opened
    with opened.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    forget()
