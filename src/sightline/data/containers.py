"""Pictures that lie inside one big file (tar shard, Parquet, CIFAR batch): unpacked once, into a cache folder named by content.

What is read from a container is decided by its format; here it is bounded, written whole or not at all, and found again. No
name from a container ever becomes a path.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sightline.data.archives import BOUNDS, Bounds
from sightline.data.listing import left_out
from sightline.data.pictures import is_picture
from sightline.errors import ArchiveError, DataError, PictureError
from sightline.files import new_folder, sha256_file
from sightline.progress import task
from sightline.runtime.headers import sniff
from sightline.runtime.limits import Limits
from sightline.settings import settings
from sightline.types import Failure

VERSION = 1  # of what is written into the cache
MOST_FAILURES = 1000  # a container: a hostile one could fill the memory with reasons
INDEX = "index.jsonl"
_FOLDER = 1000  # pictures in one folder
_LIMITS = Limits()
_SUFFIX = {"jpeg": ".jpg", "tiff": ".tif"}


class Sample(NamedTuple):
    """A picture in a container: its bytes, the name people know, and what is said about it as plain JSON values."""

    data: bytes
    name: str
    about: dict[str, Any]


class Stored(NamedTuple):
    """The same after unpacking: `uri` is the absolute path of the picture's file in the cache."""

    uri: str
    name: str
    about: dict[str, Any]


def unpacked(
    path: Path, kind: str, samples: Callable[[], Iterable[Sample | Failure]], bounds: Bounds = BOUNDS
) -> tuple[list[Stored], list[Failure]]:
    """The pictures of the container `path`, and what had to be left out; `samples` is called only when they are not cached.

    A container that breaks off keeps what was read before; one that cannot be read at all, or that is too big, is one
    failure. Raises only StorageError (disk full) and MissingExtraError.
    """
    try:
        folder = settings().cache / "containers" / f"{kind}-{VERSION}-{sha256_file(path)[:32]}"
        if not folder.is_dir():
            _unpack(path, folder, samples(), bounds)
    except DataError as error:
        return [], [left_out(path.name, error.code, error.message, error.hint)]
    except (FileNotFoundError, PermissionError) as error:
        return [], [left_out(path.name, "container", f"not able to read {path.name}: {error.strerror}", "check the path")]
    return _indexed(folder)


def _unpack(path: Path, folder: Path, samples: Iterable[Sample | Failure], bounds: Bounds) -> None:
    most = min(bounds.total, max(bounds.ratio_from, int(bounds.ratio * path.stat().st_size)))
    count = total = refused = 0
    with new_folder(folder) as part, (part / INDEX).open("w") as index, task(f"Unpacking {path.name}") as work:
        for found in _until_broken(path, samples):
            if isinstance(found, Sample):
                count, total = count + 1, total + len(found.data)
                if count > bounds.count or total > most:
                    raise ArchiveError(f"{path.name} unpacks to more than it may", hint="unpack it yourself, if you trust it")
            row = _written(part, count, found) if isinstance(found, Sample) else found
            if isinstance(row, Failure):
                refused += 1
                if refused <= MOST_FAILURES:
                    index.write(f"{row.model_dump_json()}\n")
            else:
                index.write(f"{json.dumps(row)}\n")
            work.advance()
        if refused > MOST_FAILURES:
            more = left_out(path.name, "container", f"{refused - MOST_FAILURES:,} more rows of {path.name} cannot be used")
            index.write(f"{more.model_dump_json()}\n")


def _until_broken(path: Path, samples: Iterable[Sample | Failure]) -> Iterator[Sample | Failure]:
    """The samples up to the place where the container breaks off, then one failure; nothing before it: the error itself."""
    count = 0
    try:
        for found in samples:
            count += isinstance(found, Sample)
            yield found
    except DataError as error:
        if not count:
            raise
        message = f"{path.name} breaks off after {count:,} pictures: {error.message}"
        yield left_out(path.name, "container", message, "copy it again")


def _written(part: Path, number: int, sample: Sample) -> tuple[str, str, dict[str, Any]] | Failure:
    """Write one picture; the row of the index, or why it is left out."""
    try:
        _LIMITS.check_bytes(len(sample.data))
        kind = sniff(sample.data)
    except PictureError as error:
        return left_out(sample.name, error.code, error.message, error.hint)
    suffix = _SUFFIX.get(kind, f".{kind}")
    file = f"{number // _FOLDER:04d}/{number:07d}{suffix}"
    target = part / file
    if not target.parent.is_dir():
        target.parent.mkdir()
    target.write_bytes(sample.data)
    return file, sample.name if is_picture(sample.name) else sample.name + suffix, sample.about


def _indexed(folder: Path) -> tuple[list[Stored], list[Failure]]:
    stored: list[Stored] = []
    failures: list[Failure] = []
    root = str(folder)
    with (folder / INDEX).open() as index:
        for line in index:
            row = json.loads(line)
            if isinstance(row, dict):
                failures.append(Failure.model_validate(row))
            else:
                stored.append(Stored(f"{root}/{row[0]}", row[1], row[2]))
    return stored, failures


def plain_name(text: str, otherwise: str) -> str:
    """A name from a container that can be shown: printable, at most 200 characters, with `/`; else `otherwise`."""
    name = "/".join(part for part in text.replace("\\", "/").split("/") if part not in ("", ".", ".."))
    return name if 0 < len(name) <= 200 and name.isprintable() else otherwise
