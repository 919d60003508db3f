"""The database: what the migrations make is what the tables say; opened twice, by a newer version, damaged."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from sightline.errors import StorageError, UsageError
from sightline.store.database import NEWEST, Database, database, forget
from sightline.store.database import __file__ as migrations
from sightline.store.schema import metadata


def test_the_migrations_make_what_the_tables_say(db: Database) -> None:
    with db.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata) == []


def test_the_newest_migration_is_known_by_name() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == NEWEST


def test_writes_are_on_the_disk_and_undone_whole(tmp_path: Path) -> None:
    db = database(f"sqlite:///{tmp_path / 'w.db'}")
    with db.read() as connection:
        told = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert told == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    names = metadata.tables["names"]

    def stopped() -> None:
        with db.write() as connection:
            connection.execute(names.insert().values(kind="dataset", name="a", target="b", moved=""))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        stopped()
    with db.read() as connection:
        assert connection.execute(names.select()).all() == []


def test_many_may_open_a_new_workspace_at_once(tmp_path: Path) -> None:
    faults: list[BaseException] = []

    def opened(number: int) -> None:
        try:
            from sightline.store.database import _opened

            _opened(f"sqlite:///{tmp_path / 'new' / 'w.db'}").close()
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=opened, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def test_a_newer_workspace_is_said(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'w.db'}"
    with database(address).write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    forget()
    with pytest.raises(StorageError, match="newer Sightline"):
        database(address)


def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "w.db").write_bytes(b"no database at all" * 1000)
    with pytest.raises(StorageError, match="damaged"):
        database(f"sqlite:///{tmp_path / 'w.db'}")


@pytest.mark.parametrize("address", ["nonsense", "oracle9i://x", "sqlite+nothing:///x"])
def test_an_address_nobody_can_use(address: str) -> None:
    with pytest.raises(UsageError):
        database(address)
