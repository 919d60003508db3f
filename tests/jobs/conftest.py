"""The test verb installed, and a database of jobs."""

from __future__ import annotations

from collections.abc import Iterator

import dawdle
import pytest

from sightline.jobs import runner
from sightline.store.database import Database, database, forget
from sightline.verbs import VERBS


@pytest.fixture
def db(monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setitem(VERBS, "dawdle", VERBS["predict"])  # taken back at the end
    monkeypatch.setattr(runner, "CHILD", list(runner.CHILD))
    dawdle.install()
    yield database()
    forget()
