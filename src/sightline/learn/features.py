"""Features of pictures from a frozen backbone, computed on all cores and kept: a grown folder costs only what is new.

The store is a folder of segments, settings().cache/features/KEY/*.npy: rows of (SHA-256 of the picture's bytes, features). A
segment is written whole or not at all and never changed. Knows neither labels nor torch.
"""

from __future__ import annotations

import hashlib
import io
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline import progress
from sightline.errors import SightlineError
from sightline.files import write_bytes
from sightline.runtime.model import failure, in_order, open_session
from sightline.runtime.pixels import prepare, read_picture
from sightline.settings import settings
from sightline.types import Failure, InputSpec, Item

SEGMENT = 4096  # pictures: what a power cut costs at most
MERGE = 16  # segments from which they are joined into one


@dataclass(frozen=True, slots=True)
class Features:
    """`vectors` float32 (n, d) of the pictures that could be read; `kept` (n,) their places among the items."""

    vectors: NDArray[np.float32]
    kept: NDArray[np.intp]
    failures: tuple[Failure, ...]
    computed: int  # how many were not in the store


def compute(items: Sequence[Item], graph: bytes, key: str | None, spec: InputSpec) -> Features:
    """Features of the items by `graph` (uint8 (n, size, size, 3) -> float32 (n, d)); unreadable pictures become failures.

    `key` names the graph: features are shared among all datasets that hold a picture; None keeps nothing. Stopping (Ctrl-C)
    keeps what is done.
    """
    store = Store(settings().cache / "features" / f"{key}-{_spec_key(spec)}" if key else None)
    found: dict[int, NDArray[np.float32]] = {}
    failures: dict[int, Failure] = {}
    for place, item in enumerate(items):
        vector = store.get(item.sha256)
        if vector is not None:
            found[place] = vector
    missing = [place for place in range(len(items)) if place not in found]
    if missing:
        session = open_session(graph)
        claimed: dict[str, int] = {}  # of several equal pictures one is computed
        lock = threading.Lock()

        def one(place: int) -> tuple[int, str, NDArray[np.float32] | int | Failure]:
            try:
                data = read_picture(items[place].uri)
                sha256 = hashlib.sha256(data).hexdigest()
                with lock:
                    known = store.get(sha256)
                    first = claimed.setdefault(sha256, place)
                if known is not None or first != place:
                    return place, sha256, first if known is None else known
                return place, sha256, session.run(["embedding"], {"image": prepare(data, spec)[None]})[0][0]
            except SightlineError as error:
                return place, "", failure(items[place].name, error)

        twins: dict[int, int] = {}
        with store, progress.task("Computing features", len(missing)) as work:
            for place, sha256, result in in_order(one, missing, settings().threads):
                if isinstance(result, Failure):
                    failures[place] = result
                elif isinstance(result, int):
                    twins[place] = result
                else:
                    found[place] = result
                    store.add(sha256, result)
                work.advance()
        for place, first in twins.items():
            if first in found:
                found[place] = found[first]
            else:
                failures[place] = failures[first].model_copy(update={"picture": items[place].name})
    kept = np.array(sorted(found), np.intp)
    width = len(next(iter(found.values()))) if found else 0
    vectors = np.stack([found[place] for place in kept]) if found else np.zeros((0, width), np.float32)
    return Features(vectors, kept, tuple(failures[place] for place in sorted(failures)), len(missing) - len(failures))


def _spec_key(spec: InputSpec) -> str:
    return hashlib.sha256(spec.model_dump_json().encode()).hexdigest()[:12]


class Store:
    """Features by picture, on disk. As a context it writes at the end what was added, also when the work was stopped."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._rows: dict[bytes, NDArray[np.float32]] = {}
        self._new: list[tuple[bytes, NDArray[np.float32]]] = []
        segments = sorted(folder.glob("*.npy")) if folder and folder.is_dir() else []
        for path in segments:
            rows = _segment(path)
            if rows is None:
                progress.note(f"a damaged file of kept features is computed again: {path.name}")
                path.unlink(missing_ok=True)
                continue
            self._rows.update(zip((bytes(sha256) for sha256 in rows["sha256"]), rows["vector"], strict=True))
        if len(segments) > MERGE:
            self.flush(list(self._rows.items()))
            for path in segments:  # readers that have them open keep their memory map
                path.unlink(missing_ok=True)

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, sha256: str) -> NDArray[np.float32] | None:
        """The features (d,) of the picture with these bytes, or None."""
        return self._rows.get(bytes.fromhex(sha256)) if sha256 else None

    def add(self, sha256: str, vector: NDArray[np.float32]) -> None:
        self._new.append((bytes.fromhex(sha256), vector))
        if len(self._new) >= SEGMENT:
            self.flush(self._new)

    def flush(self, rows: list[tuple[bytes, NDArray[np.float32]]]) -> None:
        """Write `rows` as a segment; what was added is written then."""
        if rows and self.folder:
            _write(self.folder, rows)
        self._rows.update(rows)
        self._new = []

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush(self._new)


def _write(folder: Path, rows: Sequence[tuple[bytes, NDArray[np.float32]]]) -> None:
    content = np.empty(len(rows), np.dtype([("sha256", "V32"), ("vector", "<f4", (len(rows[0][1]),))]))
    for place, (sha256, vector) in enumerate(rows):
        content[place] = (sha256, vector)
    stream = io.BytesIO()
    np.save(stream, content, allow_pickle=False)
    write_bytes(folder / f"{secrets.token_hex(8)}.npy", stream.getvalue())


def _segment(path: Path) -> NDArray[np.void] | None:
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return rows if rows.dtype.names == ("sha256", "vector") else None
