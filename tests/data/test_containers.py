"""Pictures out of containers: once, whole or not at all, bounded in count, bytes and reasons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pictures import drawn, encoded
from sightline.data import containers
from sightline.data.archives import Bounds
from sightline.data.containers import Sample, plain_name, unpacked
from sightline.data.listing import left_out
from sightline.errors import DatasetError, StorageError
from sightline.settings import settings
from sightline.types import Failure

JPEG = encoded(drawn(0, (24, 24)))


@pytest.fixture
def container(tmp_path: Path) -> Path:
    path = tmp_path / "shard.bin"
    path.write_bytes(b"whatever")
    return path


def folders() -> list[str]:
    root = settings().cache / "containers"
    return sorted(path.name for path in root.iterdir()) if root.is_dir() else []


def test_unpacked_once_and_found_again(container: Path):
    def samples() -> Iterator[Sample | Failure]:
        calls.append(1)
        yield Sample(JPEG, "a.jpg", {"label": 1, "list": [1.5, None, "ü"]})
        yield left_out("b.jpg", "row_broken", "no")
        yield Sample(encoded(drawn(1, (24, 24)), "PNG"), "c", {})

    calls: list[int] = []
    stored, failures = unpacked(container, "test", samples)
    assert [(row.name, row.about) for row in stored] == [("a.jpg", {"label": 1, "list": [1.5, None, "ü"]}), ("c.png", {})]
    assert Path(stored[0].uri).read_bytes() == JPEG
    assert Path(stored[1].uri).suffix == ".png"
    assert [failure.picture for failure in failures] == ["b.jpg"]
    assert unpacked(container, "test", samples) == (stored, failures)
    assert calls == [1]
    container.write_bytes(b"something else")
    unpacked(container, "test", samples)
    assert calls == [1, 1]


@pytest.mark.parametrize("bounds", [Bounds(count=3), Bounds(total=3 * len(JPEG)), Bounds(ratio=1.0, ratio_from=100)])
def test_one_that_is_too_big_is_left_out_whole(container: Path, bounds: Bounds):
    stored, failures = unpacked(container, "test", lambda: [Sample(JPEG, f"{n}.jpg", {}) for n in range(4)], bounds)
    assert stored == []
    assert [(failure.picture, failure.error.code) for failure in failures] == [("shard.bin", "archive_refused")]
    assert folders() == []


def test_one_that_breaks_off(container: Path):
    def samples(count: int) -> Iterator[Sample]:
        yield from (Sample(JPEG, f"{n}.jpg", {}) for n in range(count))
        raise DatasetError("bad bytes")

    stored, failures = unpacked(container, "test", lambda: samples(2))
    assert len(stored) == 2
    assert "breaks off after 2 pictures: bad bytes" in failures[0].error.message
    container.write_bytes(b"another")
    stored, failures = unpacked(container, "test", lambda: samples(0))
    assert (stored, failures[0].error.message) == ([], "bad bytes")
    assert len(folders()) == 1


def test_nothing_stays_of_one_that_was_interrupted(container: Path):
    def samples() -> Iterator[Sample]:
        yield Sample(JPEG, "a.jpg", {})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpacked(container, "test", samples)
    assert folders() == []


def test_a_full_disk_is_said(container: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError):
        unpacked(container, "test", lambda: [Sample(JPEG, "a.jpg", {})])
    assert folders() == []


def test_reasons_are_bounded(container: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(containers, "MOST_FAILURES", 10)
    rows: list[Sample | Failure] = [left_out(str(n), "row_broken", "no") for n in range(500)]
    stored, failures = unpacked(container, "test", lambda: [*rows, Sample(b"text", "x", {}), Sample(b"", "y", {})])
    assert stored == []
    assert len(failures) == 11
    assert "492 more rows" in failures[-1].error.message


def test_a_container_that_is_not_there(tmp_path: Path):
    stored, failures = unpacked(tmp_path / "gone.tar", "test", list)
    assert (stored, len(failures)) == ([], 1)


NAMES = {"a/b.jpg": "a/b.jpg", "../../x": "x", "/etc/x": "etc/x", "a\\b": "a/b", "": "?", "..": "?", "ü": "ü"}
HOSTILE = ("a\x1b[0m", "x" * 201, "\udcff")


@pytest.mark.parametrize(("text", "shown"), [*NAMES.items(), *((text, "?") for text in HOSTILE)])
def test_names_that_can_be_shown(text: str, shown: str):
    assert plain_name(text, "?") == shown
