"""The contract of blobs, over a folder, memory and a bucket: by content, whole, found again, damage noticed."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sightline.errors import NotFoundError, StorageError, UsageError
from sightline.settings import settings
from sightline.store.blobs import Blobs, blobs

DATA = b"\xff\xd8 a picture " * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()
UNKNOWN = "0" * 64


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """A bucket of a server on this machine."""
    pytest.importorskip("s3fs")
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        import s3fs

        s3fs.S3FileSystem.clear_instance_cache()  # another test's server may be remembered, which is gone
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir("pictures")
        yield "s3://pictures/blobs"
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.fixture(
    params=[
        "folder",
        "memory",
        pytest.param("s3", marks=pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")),
    ]
)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "folder":
        return blobs(str(tmp_path / "blobs"))
    if request.param == "memory":
        pytest.importorskip("fsspec")
        return blobs(f"memory://{tmp_path.name}/blobs")
    return blobs(f"{request.getfixturevalue('bucket')}/{tmp_path.name}")


def test_what_is_put_is_found_again(place: Blobs) -> None:
    assert not place.has(SHA256)
    assert place.put(DATA) == SHA256
    assert place.put(DATA) == SHA256, "twice is once"
    assert place.has(SHA256)
    assert place.open(SHA256).read() == DATA
    assert place.local(SHA256).read_bytes() == DATA
    assert place.local(SHA256) == place.place(SHA256)
    assert blobs(place.url).open(SHA256).read() == DATA
    assert place.open(place.put(b"")).read() == b""


def test_what_is_not_there_is_said(place: Blobs) -> None:
    for call in (place.open, place.local):
        with pytest.raises(NotFoundError):
            call(UNKNOWN)
    for wrong in ("", "abc", "../../etc/passwd", "A" * 64, f"{SHA256}0"):
        for call in (place.open, place.local, place.has):
            with pytest.raises(NotFoundError):
                call(wrong)


def test_many_at_once(place: Blobs) -> None:
    faults: list[BaseException] = []

    def put() -> None:
        try:
            for number in range(5):
                place.put(DATA + bytes([number]), sync=False)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=put) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    place.settle()
    assert faults == []
    assert all(place.has(hashlib.sha256(DATA + bytes([number])).hexdigest()) for number in range(5))


def test_damage_is_noticed_and_mended(tmp_path: Path) -> None:
    place = blobs(str(tmp_path / "blobs"))
    file = place.local(place.put(DATA))
    other = place.put(b"other")
    assert file == tmp_path / "blobs" / SHA256[:2] / SHA256[2:4] / SHA256
    assert file.stat().st_mode & 0o222 == 0, "nobody writes into a blob"
    file.chmod(0o644)
    file.write_bytes(DATA[:-1] + b"x")
    with pytest.raises(StorageError, match="damaged"):
        place.open(SHA256)
    assert list(place.damaged()) == [SHA256]
    assert place.put(DATA) == SHA256
    assert place.open(SHA256).read() == DATA
    assert list(place.damaged()) == []
    assert place.has(other)


def test_damage_in_a_bucket_and_in_the_cache_is_noticed(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    place = blobs(f"memory://{tmp_path.name}")
    place.put(DATA)
    cached = place.local(SHA256)
    assert cached.is_relative_to(settings().cache)
    cached.chmod(0o644)
    cached.write_bytes(b"half")
    assert place.local(SHA256).read_bytes() == DATA, "a damaged copy is fetched anew"
    cached.unlink()
    fsspec.filesystem("memory").pipe_file(f"/{tmp_path.name}/{SHA256[:2]}/{SHA256[2:4]}/{SHA256}", b"x" * len(DATA))
    for call in (place.open, place.local):
        with pytest.raises(StorageError, match="damaged"):
            call(SHA256)
    assert not cached.exists()


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    place = blobs(str(tmp_path / "blobs"))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no space left"):
        place.put(DATA)
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []
    assert not place.has(SHA256)


def test_addresses_nobody_can_use() -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(UsageError):
        blobs("nonsense://x")


def test_the_workspaces_blobs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert blobs().local(blobs().put(DATA)).is_relative_to(settings().home / "blobs")
    monkeypatch.setenv("SIGHTLINE_BLOBS", "file:///nowhere/at/all")
    settings.cache_clear()
    assert str(blobs().place(SHA256)).startswith("/nowhere/at/all/")
