"""All pictures of a training, prepared once into one memory-mapped uint8 array on disk. Knows neither labels nor networks.

A folder for each set: settings().cache/pictures/KEY with pictures.npy and index.json; the key covers the files and how they
are prepared. While it is filled it is called KEY.part: whoever is stopped goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline import progress
from sightline.errors import SightlineError, StorageError, storage_errors
from sightline.files import sync_folder, write_text
from sightline.runtime.pixels import prepare, read_picture
from sightline.settings import settings
from sightline.types import ErrorInfo, Failure, InputSpec, Item

VERSION = "1"  # raise it when the same file and spec give other pixels
BLOCK = 256  # pictures between two notes of how far the filling is
SPARE = 256 << 20  # bytes of disk that are left alone


@dataclass(frozen=True, slots=True)
class Prepared:
    """`pictures` uint8 (n, size, size, 3), memory-mapped (writing changes only the copy in memory); `kept` (n,) their places
    among the items.
    """

    pictures: NDArray[np.uint8]
    kept: NDArray[np.int64]
    failures: tuple[Failure, ...]


def room_for(spec: InputSpec, margin: float = 1.0) -> tuple[InputSpec, float]:
    """How training pictures are stored, and the share of them that is seen at rest (`Augment.view`).

    A centre crop is stored with what lies around it, so that shifted and shrunk views show real pixels; for the others
    `margin` adds resolution for zooming in. Measured need: none for pictures of 64 px or letterboxed ones, so it is 1 by
    default.
    """
    if spec.fit == "crop":
        return spec.model_copy(update={"size": round(spec.size / spec.crop), "crop": 1.0}), spec.crop
    return spec.model_copy(update={"size": round(spec.size * margin)}), 1.0


def prepare_all(items: Sequence[Item], spec: InputSpec) -> Prepared:
    """Decode and prepare the items' pictures with threads, or take them from the cache. Unreadable ones become failures.

    Raises StorageError when the disk has no room for items x size x size x 3 bytes.
    """
    folder = settings().cache / "pictures" / _key(items, spec)
    with _alone(folder):
        if not (folder / "index.json").exists():
            _fill(folder, items, spec)
    index = json.loads((folder / "index.json").read_text())
    failed = {int(place): Failure.model_validate(failure) for place, failure in index["failures"].items()}
    kept = np.array([place for place in range(len(items)) if place not in failed], np.int64)
    if not len(kept):
        return Prepared(np.zeros((0, spec.size, spec.size, 3), np.uint8), kept, tuple(failed.values()))
    pictures = np.load(folder / "pictures.npy", mmap_mode="c")  # copy on write: torch accepts only writable arrays
    return Prepared(pictures[: len(kept)], kept, tuple(failed.values()))


def _key(items: Sequence[Item], spec: InputSpec) -> str:
    """Content hashes where the dataset has them; else path, size and time of change."""
    total = hashlib.sha256(f"{VERSION} {spec.model_dump_json(exclude={'mean', 'std'})}".encode())
    for item in items:
        total.update(f"\n{item.sha256 or _stamp(Path(item.uri))}".encode())
    return total.hexdigest()[:24]


def _stamp(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return f"{path} missing"
    return f"{path} {found.st_size} {found.st_mtime_ns}"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time fills a folder; the lock falls with the process."""
    import fcntl

    with storage_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = (folder.parent / f"{folder.name}.lock").open("w")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fill(folder: Path, items: Sequence[Item], spec: InputSpec) -> None:
    part = folder.parent / f"{folder.name}.part"
    with storage_errors(part):
        part.mkdir(exist_ok=True)
        pictures, done, failures = _begun(part, len(items), spec)
        with progress.task("Preparing pictures", len(items)) as work, ThreadPoolExecutor(settings().threads) as pool:
            work.advance(done)
            for start in range(done, len(items), BLOCK):
                places = range(start, min(start + BLOCK, len(items)))
                for place, result in zip(places, pool.map(lambda place: _prepared(items[place], spec), places), strict=True):
                    if isinstance(result, Failure):
                        failures[place] = result
                    else:
                        pictures[place] = result
                    work.advance()
                _flush(pictures)
                _note(part, places[-1] + 1, failures)
        (part / "progress.json").unlink(missing_ok=True)  # from here on the rows move: who is stopped now begins again
        if failures:  # close the gaps
            good = [place for place in range(len(items)) if place not in failures]
            for row, place in enumerate(good):
                if row != place:
                    pictures[row] = pictures[place]
            _flush(pictures)
        del pictures
        index = {"failures": {place: failure.model_dump() for place, failure in sorted(failures.items())}}
        write_text(part / "index.json", json.dumps(index))
        part.replace(folder)
        sync_folder(folder.parent)


def _begun(part: Path, n: int, spec: InputSpec) -> tuple[NDArray[np.uint8], int, dict[int, Failure]]:
    """The array that is being filled, how many of its rows are done, and the failures among them."""
    shape = (n, spec.size, spec.size, 3)
    file, noted = part / "pictures.npy", part / "progress.json"
    try:
        content = json.loads(noted.read_text())
        pictures = np.load(file, mmap_mode="r+")
        if pictures.shape == shape:
            failures = {int(place): Failure.model_validate(failure) for place, failure in content["failures"].items()}
            return pictures, int(content["done"]), failures
    except (OSError, ValueError, KeyError):
        pass
    bytes_needed, free = int(np.prod(shape)), shutil.disk_usage(part).free
    if bytes_needed + SPARE > free:
        raise StorageError(
            f"the prepared pictures need {bytes_needed / 1e9:.1f} GB in {part.parent}, where {free / 1e9:.1f} GB are free",
            hint="free some space, set SIGHTLINE_CACHE to a larger disk, or choose a smaller input size",
        )
    noted.unlink(missing_ok=True)
    return np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape), 0, {}


def _flush(pictures: NDArray[np.uint8]) -> None:
    if isinstance(pictures, np.memmap):
        pictures.flush()


def _note(part: Path, done: int, failures: dict[int, Failure]) -> None:
    found = {place: failure.model_dump() for place, failure in failures.items()}
    write_text(part / "progress.json", json.dumps({"done": done, "failures": found}))


def _prepared(item: Item, spec: InputSpec) -> NDArray[np.uint8] | Failure:
    try:
        return prepare(read_picture(item.uri), spec)
    except SightlineError as error:
        return Failure(picture=item.name, error=ErrorInfo(code=error.code, message=error.message, hint=error.hint))
