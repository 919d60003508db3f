"""Pictures in a bucket, or at any other address that fsspec knows: s3://name/path, gs://, az://, memory://.

Pictures in class folders come one by one; where other documents tell the labels (CSV, COCO, ...), all is copied here first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from sightline.data.listing import left_out
from sightline.data.pictures import is_junk, is_picture
from sightline.errors import DatasetError, FetchError, NotFoundError, missing_extra
from sightline.runtime.limits import standard_limits
from sightline.sources import About, Arrival, Options
from sightline.sources.drawings import SUFFIXES as DRAWINGS
from sightline.sources.wanted import failed
from sightline.types import Facts, Failure

THREADS = 8  # objects that are read at the same time
_MOST = 100 << 30  # bytes that are copied here for a dataset with documents of its own
_NOT_HERE = ("http", "https", "file", "local", "ftp", "sftp", "ssh", "jupyter", "github", "git", "data", "smb", "webhdfs")


def arrivals(source: str, options: Options) -> Iterator[Arrival | Failure]:
    """The pictures below an address in a bucket. UsageError, MissingExtraError, NotFoundError, FetchError for the whole."""
    from sightline.sources.places import by_folders, laid_out

    system, root = _opened(source)
    scheme = source.partition("://")[0]
    with _typed(source):
        sizes = {str(name): int(facts.get("size") or 0) for name, facts in system.find(root, detail=True).items()}
    root = root.rstrip("/")
    files = sorted(name for name in sizes if not any(is_junk(part) for part in name.removeprefix(root).split("/")))
    if not files:
        raise NotFoundError(f"there is nothing at {source}", hint="check the address, and that your credentials may list it")
    whole = files == [root]  # the address of one file
    names = [name.rpartition("/")[2] if whole else name.removeprefix(root).lstrip("/") for name in files]
    if not all(is_picture(name) or Path(name).suffix.lower() in DRAWINGS for name in names):
        copied = _copied(source, system, dict(zip(names, files, strict=True)), sizes, options.workspace)
        for found in laid_out(copied / names[0] if whole else copied, options, facts=Facts(source=source), name=Path(root)):
            yield found if isinstance(found, Failure) else _inside(found, copied)
        return
    rows = by_folders(f"{scheme}:/", names)
    options.about(About(total=len(rows)))

    def bring(place: int) -> Arrival | Failure:
        row, address = rows[place], f"{scheme}://{files[place].lstrip('/')}"
        data = _read(system, files[place], address, sizes[files[place]])
        if isinstance(data, Failure):
            return data
        return Arrival(row.name, data, None, row.labels, (), row.split, None, Facts(source=address), address)

    fresh = [at for at, name in enumerate(files) if not options.known(f"{scheme}://{name.lstrip('/')}")]
    yield from _in_turn(fresh, bring)


def _inside(found: Arrival, copied: Path) -> Arrival | Failure:
    """A document of the bucket may name its own pictures only, not files of this machine."""
    if found.path is None or found.path.resolve().is_relative_to(copied.resolve()):
        return found
    return left_out(found.name, "address_refused", "it lies outside the bucket", "give its own folder as SOURCE")


def one(address: str) -> bytes | Failure:
    """The bytes of one object that a row of a table names."""
    try:
        system, path = _opened(address)
    except (FetchError, DatasetError) as error:
        return failed(address, error)
    return _read(system, path, address, 0)


def _in_turn(places: list[int], bring: Callable[[int], Arrival | Failure]) -> Iterator[Arrival | Failure]:
    """Results in order, at most a few ahead of whoever takes them: a bucket may hold more than memory does."""
    pool = ThreadPoolExecutor(THREADS)
    try:
        coming = iter(places)
        ahead = [pool.submit(bring, at) for at in islice(coming, 2 * THREADS)]
        while ahead:
            found = ahead.pop(0).result()
            ahead += [pool.submit(bring, at) for at in islice(coming, 1)]
            yield found
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _read(system: Any, path: str, address: str, size: int) -> bytes | Failure:
    most = standard_limits().max_bytes
    try:
        with _typed(address):
            if size > most:
                raise FetchError(f"{address} has {size:,} bytes; the limit is {most:,}", hint="save it smaller")
            with system.open(path, "rb") as stream:
                data: bytes = stream.read(most + 1)
            if len(data) > most:
                raise FetchError(f"{address} has more than {most:,} bytes", hint="save it smaller")
            return data
    except (FetchError, NotFoundError) as error:
        return failed(address, error)


def _copied(source: str, system: Any, files: dict[str, str], sizes: dict[str, int], workspace: Path) -> Path:
    """A folder here with all the files; one that is there with its size is not copied again."""
    from sightline.files import write_bytes
    from sightline.progress import track

    total = sum(sizes.values())
    if total > _MOST:
        raise DatasetError(f"{source} holds {total / 1e9:.0f} GB", hint="copy it yourself and give the folder")
    folder = workspace / f"bucket-{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    for name, path in track(files.items(), "Copying from the bucket", len(files)):
        parts = [part for part in name.split("/") if part]
        if ".." in parts or "\\" in name or not name.isprintable():
            raise DatasetError(f"{source} holds a name that cannot be a file's: {name[:200]!r}", hint="rename it")
        target = folder.joinpath(*parts)
        if not (target.is_file() and target.stat().st_size == sizes[path]):
            with _typed(source), system.open(path, "rb") as stream:
                data = stream.read()
            write_bytes(target, data)
    return folder


def _opened(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it."""
    scheme = address.partition("://")[0].lower()
    if scheme in _NOT_HERE or "::" in address:
        raise DatasetError(
            f"{address.partition('://')[0][:60]}:// addresses are not collected from", hint="s3://, gs://, az://, https://"
        )
    try:
        import fsspec
    except ModuleNotFoundError as error:
        raise missing_extra("store", "a bucket") from error
    try:
        system, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise missing_extra("s3" if scheme in ("s3", "s3a") else "store", f"a bucket at {scheme}://") from error
    except ValueError as error:
        raise DatasetError(
            f"no kind of address that is known: {address[:200]}", hint="s3://name/path, https://..., or a folder"
        ) from error
    return system, str(path)


@contextmanager
def _typed(address: str) -> Iterator[None]:
    """Whatever a bucket's client raises as one FetchError: each has a dozen classes of its own."""
    try:
        yield
    except (FetchError, DatasetError, NotFoundError):
        raise
    except FileNotFoundError as error:
        raise NotFoundError(f"there is nothing at {address[:200]}", hint="check the address") from error
    except Exception as error:
        reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        raise FetchError(f"{address[:200]} cannot be read: {reason}", hint="check the address and your credentials") from error
