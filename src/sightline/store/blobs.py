"""Pictures kept by content: a blob's name is the SHA-256 of its bytes, in folders ab/cd/... of a disk or a bucket.

A blob is whole or not there, and never changes. Knows bytes, not pictures; a bucket is reached through fsspec.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from sightline.errors import NotFoundError, SightlineError, StorageError, UsageError, missing_extra, storage_errors
from sightline.files import sha256_file, write_bytes
from sightline.settings import settings

_FOLDER_SCHEMES = ("file://", "local://")


class Blobs:
    """One place for blobs. `remote` says that it is a bucket: `local` fetches from there into the cache."""

    def __init__(self, url: str) -> None:
        self.url = url
        for scheme in _FOLDER_SCHEMES:
            url = url.removeprefix(scheme)
        self.remote = "://" in url
        self._fs: Any = None
        self._root = ""
        if self.remote:
            self._fs, self._root = _filesystem(url)
            self._folder = settings().cache / "blobs" / hashlib.sha256(url.encode()).hexdigest()[:16]
        else:
            self._folder = Path(url).expanduser().absolute()
        self._start = f"{self._folder}/"

    def put(self, data: bytes, *, sync: bool = True) -> str:
        """Keep `data` and return its SHA-256; on the disk when this returns. A damaged blob of that name is mended.

        `sync=False`: for many at once; they are on the disk after `settle`.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        if self.remote:
            with self._reached(sha256):
                if not self._has(sha256, len(data)):
                    self._fs.pipe_file(self._address(sha256), data)  # buckets show an object when it is whole
            return sha256
        path = self.place(sha256)
        if not _holds(path, data):
            write_bytes(path, data, mode=0o444, sync=sync)
        return sha256

    def settle(self) -> None:
        """What was put with `sync=False` is on the disk when this returns."""
        if not self.remote:
            os.sync()

    def has(self, sha256: str) -> bool:
        """Whether the blob is there; its content is not looked at."""
        if self.remote:
            with self._reached(sha256):
                return bool(self._fs.exists(self._address(sha256)))
        return self.place(_checked(sha256)).is_file()

    def drop(self, sha256: str) -> None:
        """Delete a blob that nothing holds any more; nothing happens when it is not there."""
        if self.remote:
            with self._reached(sha256):
                if self._fs.exists(self._address(sha256)):
                    self._fs.rm_file(self._address(sha256))
        with storage_errors(self.url):
            self.place(_checked(sha256)).unlink(missing_ok=True)

    def open(self, sha256: str) -> BinaryIO:
        """The blob's bytes, checked. Raises NotFoundError, and StorageError when they are not what was put there."""
        if self.remote:
            data = self._fetched(sha256)
        else:
            try:
                with storage_errors(self.url):
                    data = self.place(_checked(sha256)).read_bytes()
            except FileNotFoundError:
                raise _missing(sha256, self.url) from None
        if hashlib.sha256(data).hexdigest() != sha256:
            raise _damaged(sha256, self.url)
        return io.BytesIO(data)

    def local(self, sha256: str) -> Path:
        """A file with the blob's bytes. One of a bucket is fetched into the cache and checked; one of a folder lies there.

        Raises NotFoundError, StorageError (damaged, or the bucket does not answer).
        """
        path = self.place(_checked(sha256))
        if path.is_file() and (not self.remote or sha256_file(path) == sha256):
            return path
        if not self.remote:
            raise _missing(sha256, self.url)
        data = self._fetched(sha256)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise _damaged(sha256, self.url)
        write_bytes(path, data, mode=0o444)
        return path

    def place(self, sha256: str) -> Path:
        """Where `local` finds the blob or brings it; nothing is looked at."""
        return Path(self.placed(sha256))

    def placed(self, sha256: str) -> str:
        """`place` as text: for a million pictures."""
        return f"{self._start}{sha256[:2]}/{sha256[2:4]}/{sha256}"

    def damaged(self) -> Iterator[str]:
        """Every blob of a folder whose bytes are not what its name says; reads them all."""
        if self.remote:
            raise UsageError("the blobs of a bucket are checked when they are fetched", hint="buckets check what they hold")
        for path in sorted(self._folder.glob("??/??/*")):
            if len(path.name) == 64 and sha256_file(path) != path.name:
                yield path.name

    # --- buckets

    def _address(self, sha256: str) -> str:
        _checked(sha256)
        return f"{self._root}/{sha256[:2]}/{sha256[2:4]}/{sha256}"

    def _has(self, sha256: str, size: int) -> bool:
        address = self._address(sha256)
        return bool(self._fs.exists(address)) and self._fs.size(address) == size

    def _fetched(self, sha256: str) -> bytes:
        with self._reached(sha256):
            return bytes(self._fs.cat_file(self._address(sha256)))

    @contextmanager
    def _reached(self, sha256: str) -> Iterator[None]:
        """What a bucket's library raises, as our errors."""
        try:
            yield
        except SightlineError:
            raise
        except FileNotFoundError as error:
            raise _missing(sha256, self.url) from error
        except Exception as error:  # every library behind fsspec has errors of its own
            raise StorageError(
                f"the blobs at {self.url} cannot be reached: {type(error).__name__}: {error}",
                hint="check SIGHTLINE_BLOBS, the network and the credentials",
            ) from error


def blobs(url: str | None = None) -> Blobs:
    """The blobs at `url`, a folder or a bucket such as s3://name/folder (default: the workspace's).

    Raises UsageError for an address of an unknown kind, MissingExtraError when its library is not installed.
    """
    return Blobs(url or settings().blobs)


def _filesystem(url: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ModuleNotFoundError as error:
        raise missing_extra("store", f"keeping pictures at {url}") from error
    try:
        filesystem, root = url_to_fs(url)
    except ValueError as error:
        raise UsageError(
            f"no pictures can be kept at {url}: {error}", hint="give a folder, or a bucket such as s3://name"
        ) from error
    except ImportError as error:
        raise missing_extra("s3", f"keeping pictures at {url}") from error
    return filesystem, str(root).rstrip("/")


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False


def _checked(sha256: str) -> str:
    if len(sha256) != 64 or not all(digit in "0123456789abcdef" for digit in sha256):
        raise NotFoundError(f"{sha256[:80]!r} is no SHA-256, so no picture is kept under it")
    return sha256


def _missing(sha256: str, url: str) -> NotFoundError:
    return NotFoundError(
        f"the picture {sha256[:12]} is not kept in {url}", hint="bring it back from a copy, or collect it again"
    )


def _damaged(sha256: str, url: str) -> StorageError:
    return StorageError(
        f"the picture {sha256[:12]} kept in {url} is damaged: its bytes have another hash",
        hint="bring it back from a copy, or collect it again: the right bytes mend it",
    )
