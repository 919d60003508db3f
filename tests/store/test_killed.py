"""A process that adds versions is killed at any moment: the workspace opens, and nothing it told of is lost."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from sightline.settings import settings
from sightline.store import datasets, names
from sightline.store.database import database, forget

WRITER = """
import itertools, sys
from madeup import dataset, picture
from sightline.store import bulk, datasets, names
from sightline.store.blobs import blobs
from sightline.store.database import database
from sightline.types import Made

bulk.portions.__defaults__ = (50,)
db, start = database(), int(sys.argv[1])
print("open", flush=True)
for number in itertools.count(start):
    fresh = [picture(f"{number}-{one}.jpg", "red") for one in range(120)]
    same = [picture(f"always-{one}.jpg", "blue") for one in range(80)]
    kept = blobs().put(f"blob {number}".encode())
    named = datasets.add(db, dataset(*fresh, *same), Made(verb="test", arguments={"number": number}))
    divided = datasets.split(db, named, Made(verb="split"))
    names.point(db, "dataset", "latest", divided, str(number))
    print(number, named, divided, kept, flush=True)
"""


def killed(times: int, seconds: float) -> None:
    """Kill the writer `times` times, each time at a random moment after it has told of up to two versions."""
    chance = random.Random(7)
    told: list[tuple[str, ...]] = []
    for attempt in range(times):
        command = [sys.executable, "-c", WRITER, str(1_000_000 * attempt)]
        tests = Path(__file__).parents[1]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tests) as writer:
            assert writer.stdout is not None
            first = writer.stdout.readline()
            assert first == "open\n", writer.stderr.read() if writer.stderr else ""
            lines = [writer.stdout.readline() for _ in range((attempt + 1) % 3)]
            time.sleep(chance.uniform(0, seconds))
            writer.send_signal(signal.SIGKILL)
            lines += writer.stdout.read().splitlines(keepends=True)
        told += [tuple(line.split()) for line in lines if line.endswith("\n")]
        _holds(told)
    assert told


def _holds(told: list[tuple[str, ...]]) -> None:
    from sightline.store.blobs import blobs

    db = database()
    with db.read() as connection:
        assert connection.scalar(text("PRAGMA integrity_check")) == "ok"
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
    there = {version.hash: version for version in datasets.versions(db)}
    for _, named, divided, kept in told:
        assert there[named].pictures == 200
        assert there[divided].parents == (named,)
        assert blobs().has(kept)
    for version in list(there.values())[:3]:  # the newest: nobody's half
        found = datasets.get(db, version.hash)
        assert len(found.items) == 200
        assert sum(version.sizes.values()) == 200
    if told:
        current = names.target(db, "dataset", "latest")
        assert current in there
        assert current == told[-1][2] or current not in {row[2] for row in told}, "the last one told of, or one after it"
    assert list(blobs().damaged()) == []
    forget()


def test_killed_three_times() -> None:
    settings()
    killed(3, 0.2)


@pytest.mark.slow
def test_killed_twenty_times() -> None:
    settings()
    killed(20, 0.5)
