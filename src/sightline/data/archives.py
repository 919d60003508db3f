"""Unpacking a zip or tar that came from anywhere: judged by its listing first, and nothing lands outside one new folder.

Refused: absolute names, `..`, drive letters, links, devices, encrypted entries, too many or too large files, bombs. Archives
inside archives stay closed. Knows nothing of pictures or labels.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from sightline.data.pictures import is_junk
from sightline.errors import ArchiveError, StorageError
from sightline.files import new_folder
from sightline.progress import task
from sightline.settings import settings

_HINT = "unpack it yourself and give the folder, if you trust it"
_SUFFIXES = (".tar.gz", ".tar.xz", ".tar.bz2", ".tgz", ".txz", ".tbz2", ".tbz", ".tar", ".zip")
_MAGIC = ((b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip"), (b"\x1f\x8b", "gz"), (b"\xfd7zXZ\x00", "xz"), (b"BZh", "bz2"))
_FOREIGN = ((b"\x28\xb5\x2f\xfd", "zstd"), (b"7z\xbc\xaf", "7-Zip"), (b"Rar!", "RAR"))


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an archive may unpack to. `ratio` counts only beyond `ratio_from` bytes: drawn pictures shrink well."""

    total: int = 20 << 30
    count: int = 1_000_000
    ratio: float = 200.0
    ratio_from: int = 50 << 20


BOUNDS = Bounds()


def stem(name: str) -> str | None:
    """`train.tar.xz` -> `train`; None when the name is not an archive's."""
    return next((name[: -len(suffix)] for suffix in _SUFFIXES if name.lower().endswith(suffix)), None)


def kind_of(path: Path) -> str | None:
    """zip, tar, gz, xz or bz2 by the file's first bytes; None for no archive; ArchiveError for a kind that is not read."""
    with path.open("rb") as stream:
        head = stream.read(512)
    for magic, name in _FOREIGN:
        if head.startswith(magic):
            raise ArchiveError(f"{path.name} is a {name} archive, which is not read", hint="unpack it and give the folder")
    if head[257:262] == b"ustar":
        return "tar"
    return next((name for magic, name in _MAGIC if head.startswith(magic)), None)


def unpacked(path: Path, bounds: Bounds = BOUNDS) -> Path:
    """The folder with the archive's files, unpacked once into the cache. Raises ArchiveError, StorageError.

    The folder is found again by path, size and time of change, so a changed archive is unpacked anew.
    """
    state = path.stat()
    key = hashlib.sha256(f"{path.resolve()}\0{state.st_size}\0{state.st_mtime_ns}".encode()).hexdigest()[:24]
    folder = settings().cache / "archives" / key
    if not folder.is_dir():
        extract(path, folder, bounds)
    return folder


def extract(path: Path, out: Path, bounds: Bounds = BOUNDS) -> Path:
    """Unpack `path` into the new folder `out`: all of it or nothing. Raises ArchiveError, StorageError."""
    kind = kind_of(path)
    if kind is None:
        raise ArchiveError(f"{path.name} is neither a zip nor a tar archive", hint=_HINT)
    with _broken(path):
        count, total = _judge(path, kind, bounds)
    out.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(out.parent).free
    if total > free:
        raise StorageError(
            f"{path.name} unpacks to {total / 1e9:.1f} GB, but only {free / 1e9:.1f} GB are free in {out.parent}",
            hint="free some space, or set SIGHTLINE_CACHE to a larger disk",
        )
    with new_folder(out) as part, _broken(path), task(f"Unpacking {path.name}", count) as work:
        made: set[Path] = set()
        for name, _, stream in _entries(path, kind, bounds):
            target = part / name
            if target.parent not in made:
                target.parent.mkdir(parents=True, exist_ok=True)
                made.add(target.parent)
            with target.open("wb") as file:
                shutil.copyfileobj(stream, file, 1 << 20)
            work.advance()
    return out


def _judge(path: Path, kind: str, bounds: Bounds) -> tuple[int, int]:
    """(files, bytes) that unpacking will write, from the listing alone; ArchiveError when it must not be done."""
    packed = max(path.stat().st_size, 1)
    count = total = 0
    for _, size, _ in _entries(path, kind, bounds):
        count += 1
        total += size
        if count > bounds.count:
            raise ArchiveError(f"{path.name} holds more than {bounds.count:,} files", hint=_HINT)
        if total > bounds.total:
            raise ArchiveError(f"{path.name} unpacks to more than {bounds.total / 1e9:.0f} GB", hint=_HINT)
        if total > bounds.ratio_from and total / packed > bounds.ratio:
            raise ArchiveError(f"{path.name} unpacks to more than {bounds.ratio:.0f} times its size", hint=_HINT)
    return count, total


def _entries(path: Path, kind: str, bounds: Bounds) -> Iterator[tuple[str, int, BinaryIO]]:
    """(checked name, size in bytes, stream) of every file that is not junk, in the archive's order."""
    yield from _zip_entries(path) if kind == "zip" else _tar_entries(path, kind, bounds)


def _zip_entries(path: Path) -> Iterator[tuple[str, int, BinaryIO]]:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            mode = entry.external_attr >> 16
            if (mode & 0o170000) not in (0, 0o100000, 0o040000):
                raise ArchiveError(f"{path.name} holds a link or device: {entry.filename!r}", hint=_HINT)
            name = _safe(path, entry.orig_filename)
            if entry.is_dir() or name is None or entry.orig_filename.endswith("\\"):
                continue
            if entry.flag_bits & 1:
                raise ArchiveError(f"{path.name} is protected by a password", hint="unpack it and give the folder")
            with _Lazy(archive, entry) as stream:
                yield name, entry.file_size, cast(BinaryIO, stream)


class _Lazy:
    """A zip entry that is opened only when it is read: judging the listing must not touch the data."""

    def __init__(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
        self._archive, self._entry, self._stream = archive, entry, None

    _stream: IO[bytes] | None

    def read(self, size: int = -1) -> bytes:
        if self._stream is None:
            self._stream = self._archive.open(self._entry)
        return self._stream.read(size)  # never more than the listing said: ZipExtFile stops at file_size

    def __enter__(self) -> _Lazy:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()


class _Header(tarfile.TarInfo):
    """A tar header that refuses long-name and pax records of absurd size: tarfile would read them into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        found = super().frombuf(buf, encoding, errors)
        if found.size < 0 or (found.type in b"xgLKX" and found.size > 1 << 20):
            raise ArchiveError(f"a tar header claims {found.size:,} bytes", hint=_HINT)
        return found


class _Bounded:
    """The unpacked stream of a tar, which ends with an ArchiveError beyond `limit` bytes: headers can lie, bytes cannot."""

    def __init__(self, stream: IO[bytes], limit: int, name: str) -> None:
        self._stream, self._left, self._name = stream, limit, name

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise ArchiveError(f"{self._name} unpacks to more than it may", hint=_HINT)
        return data


def tar_members(path: Path, bounds: Bounds = BOUNDS) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    """(name as it stands, bytes, reading it whole) of every ordinary file in a tar; for those who never use it as a path.

    Links and devices are passed over. Raises ArchiveError where the archive is damaged or too big, after what stands before.
    """

    def read(stream: IO[bytes] | None) -> bytes:
        with _broken(path):
            return stream.read() if stream is not None else b""

    kind = kind_of(path)
    if kind is None or kind == "zip":
        raise ArchiveError(f"{path.name} is no tar archive", hint="copy it again")
    with _broken(path):
        for count, (archive, entry) in enumerate(_tar_headers(path, kind, bounds)):
            if count > 4 * bounds.count:
                raise ArchiveError(f"{path.name} holds more than {4 * bounds.count:,} files", hint=_HINT)
            if entry.isreg() and not entry.issparse() and entry.size >= 0:
                yield entry.name, entry.size, partial(read, archive.extractfile(entry))


def _tar_headers(path: Path, kind: str, bounds: Bounds) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Every header of a tar in its order, read once and forwards, with the archive that stands right behind it."""
    openers: dict[str, Callable[..., Any]] = {"gz": gzip.open, "xz": lzma.open, "bz2": bz2.open, "tar": open}
    packed = path.stat().st_size
    # 2 KiB a file for headers and padding, on top of what the files may hold
    most = min(bounds.total, max(bounds.ratio_from, int(bounds.ratio * packed))) + 2048 * bounds.count
    with ExitStack() as stack:
        raw = stack.enter_context(cast(IO[bytes], openers[kind](path, "rb")))
        bounded = cast(IO[bytes], _Bounded(raw, most, path.name))
        # r| : a stream that is read once, forwards; nothing seeks, and no other compression is guessed
        archive = stack.enter_context(tarfile.open(fileobj=bounded, mode="r|", tarinfo=_Header, bufsize=1 << 18))
        while (entry := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps every header: 1 GB for a million files
            yield archive, entry


def _tar_entries(path: Path, kind: str, bounds: Bounds) -> Iterator[tuple[str, int, BinaryIO]]:
    for archive, entry in _tar_headers(path, kind, bounds):
        name = _safe(path, entry.name)
        if entry.isdir():
            continue
        if not entry.isreg() or entry.issparse() or entry.size < 0:
            raise ArchiveError(f"{path.name} holds a link, device or sparse file: {entry.name!r}", hint=_HINT)
        if name is not None:
            yield name, entry.size, cast(BinaryIO, archive.extractfile(entry))


def _safe(path: Path, name: str) -> str | None:
    """The entry's name as a relative path with `/`; None for junk; ArchiveError for a name that points elsewhere."""
    plain = name.replace("\\", "/")
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    reason = ""
    if plain.startswith("/") or (len(plain) > 1 and plain[1] == ":"):
        reason = "an absolute path"
    elif ".." in parts:
        reason = "a path that leaves the archive (..)"
    elif "\x00" in name:
        reason = "a name with a zero byte"
    elif len(parts) > 64 or any(len(os.fsencode(part)) > 255 for part in parts):
        reason = "a name that is too long"
    if reason:
        raise ArchiveError(f"{path.name} holds {reason}: {name[:200]!r}", hint=_HINT, detail={"entry": name[:200]})
    if not parts or any(is_junk(part) for part in parts):
        return None
    try:
        "/".join(parts).encode()
    except UnicodeEncodeError:  # bytes that are not UTF-8: keep the file under a readable name
        return os.fsencode("/".join(parts)).decode("latin-1")
    return "/".join(parts)


@contextmanager
def _broken(path: Path) -> Iterator[None]:
    """Every way in which the standard library says that an archive is damaged, as one ArchiveError; a full disk passes."""
    try:
        yield
    except ArchiveError:
        raise
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        lzma.LZMAError,
        zlib.error,
        EOFError,
        gzip.BadGzipFile,
        UnicodeError,
    ) as error:
        raise ArchiveError(f"{path.name} is damaged or no archive of pictures: {error}", hint="copy it again") from error
    except (NotImplementedError, RuntimeError, ValueError) as error:
        raise ArchiveError(f"{path.name} cannot be unpacked: {error}", hint="unpack it and give the folder") from error
    except OSError as error:
        if error.errno is None or isinstance(error, FileExistsError | NotADirectoryError | IsADirectoryError):
            raise ArchiveError(f"{path.name} is damaged: {error}", hint="copy it again") from error
        raise
