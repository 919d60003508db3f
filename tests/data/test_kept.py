"""Rows by content on disk: found again, whatever their shape; damage, other kinds, full disks, many segments stop nothing."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import numpy as np
import pytest

from sightline import progress
from sightline.data import kept as module
from sightline.data.kept import kept
from sightline.errors import StorageError

RECORD = np.dtype([("hash", "<u8"), ("small", "u1", (2, 2))])


def sha(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def test_rows_are_found_again(tmp_path: Path) -> None:
    with kept(tmp_path / "k") as rows:
        for number in range(20):
            rows.add(sha(number), np.full(3, number, np.float32))
        assert rows.get(sha(3)).tolist() == [3, 3, 3]
        assert rows.get(sha(99)) is None
        assert rows.get("") is None
    again = kept(tmp_path / "k", ("<f4", (3,)))
    assert len(again) == 20
    assert [again.get(sha(number)).tolist() for number in (0, 19)] == [[0, 0, 0], [19, 19, 19]]


def test_records(tmp_path: Path) -> None:
    row = np.zeros(1, RECORD)
    row["hash"], row["small"] = 2**63 + 5, [[1, 2], [3, 4]]
    with kept(tmp_path, RECORD) as rows:
        rows.add(sha(1), row[0])
    found = kept(tmp_path, RECORD).get(sha(1))
    assert (int(found["hash"]), found["small"].tolist()) == (2**63 + 5, [[1, 2], [3, 4]])


def test_keys_that_begin_alike(tmp_path: Path) -> None:
    with kept(tmp_path) as rows:
        for end in ("00", "01", "ff"):
            rows.add("ab" * 31 + end, np.array([int(end, 16)], np.float32))
    again = kept(tmp_path)
    assert [float(again.get("ab" * 31 + end)[0]) for end in ("00", "01", "ff")] == [0, 1, 255]
    assert again.get("ab" * 31 + "02") is None


@pytest.mark.parametrize("damage", ["cut", "other rows", "no array"])
def test_what_cannot_be_used_is_said_and_removed(tmp_path: Path, damage: str) -> None:
    with kept(tmp_path, ("<f4", (2,))) as rows:
        rows.add(sha(1), np.ones(2, np.float32))
    (segment,) = tmp_path.glob("*.npy")
    if damage == "cut":
        segment.write_bytes(segment.read_bytes()[:-3])
    elif damage == "other rows":
        np.save(segment, np.zeros(4))
    else:
        segment.write_bytes(b"nothing")
    notes: list[str] = []
    with progress.listen(lambda event: notes.append(event.note)):
        assert len(kept(tmp_path, ("<f4", (2,)))) == 0
    assert any("damaged" in note for note in notes)
    assert not segment.exists()


def test_many_segments_become_few_and_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MERGE", 3)
    for number in range(10):
        with kept(tmp_path) as rows:
            rows.add(sha(number), np.array([number], np.float32))
            rows.add(sha(0), np.array([0], np.float32))
    assert len(list(tmp_path.glob("*.npy"))) <= 4
    again = kept(tmp_path)
    assert [float(again.get(sha(number))[0]) for number in range(10)] == list(range(10))


def test_large_segments_are_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MERGE", 3)
    monkeypatch.setattr(module, "_LARGE", 4)
    with kept(tmp_path) as rows:
        for number in range(100, 110):
            rows.add(sha(number), np.zeros(1, np.float32))
    (large,) = tmp_path.glob("*.npy")
    for number in range(5):
        with kept(tmp_path) as rows:
            rows.add(sha(number), np.zeros(1, np.float32))
    assert large.exists()
    assert all(kept(tmp_path).get(sha(number)) is not None for number in (*range(5), *range(100, 110)))


def test_a_full_disk_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise StorageError("no space left", hint="free some disk space and run again")

    monkeypatch.setattr(module, "write_bytes", full)
    notes: list[str] = []
    with progress.listen(lambda event: notes.append(event.note)), kept(tmp_path) as rows:
        rows.add(sha(1), np.ones(1, np.float32))
        rows.flush()
        rows.add(sha(2), np.ones(1, np.float32))
    assert rows.get(sha(1)) is not None
    assert notes == ["results are not kept: no space left"]


def test_no_folder_keeps_in_memory() -> None:
    with kept(None) as rows:
        rows.add(sha(1), np.ones(1, np.float32))
    assert rows.get(sha(1)) is not None


def test_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT", 16)
    rows = kept(tmp_path)

    def work(first: int) -> None:
        for number in range(first, first + 100):
            rows.add(sha(number), np.array([number], np.float32))
            assert rows.get(sha(number)) is not None

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows.flush()
    again = kept(tmp_path)
    assert all(float(again.get(sha(number))[0]) == number for number in range(300))
