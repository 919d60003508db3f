"""What was computed once about a picture is not computed again: rows by the SHA-256 of the picture's bytes, in a folder.

Only contents are keys, never names, sizes or times: a picture changed in place is another picture. The folder holds segments
(*.npy: SHA-256, row), each written whole or not at all and never changed. Knows not what the rows mean.
"""

from __future__ import annotations

import io
import secrets
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sightline import progress
from sightline.errors import StorageError
from sightline.files import write_bytes

SEGMENT = 4096  # rows: what a power cut costs at most
MERGE = 16  # segments from which the small ones are joined into one
_LARGE = 1 << 16  # rows; a segment of so many is not joined any more

Row = Any  # a numpy array or record of the kept dtype


class _Segment(NamedTuple):
    starts: NDArray[np.uint64]  # the first 8 bytes of each SHA-256, ascending
    order: NDArray[np.intp]  # the rows they belong to
    rows: NDArray[np.void]


class Kept:
    """Rows by picture, on disk. As a context it writes at the end what was added, also when the work was stopped.

    May be used from several threads. Two processes may add to one folder: each writes segments of its own.
    """

    def __init__(self, folder: Path | None, dtype: np.dtype[Any] | None) -> None:
        self.folder, self.dtype = folder, dtype
        self._lock = threading.Lock()
        self._new: dict[bytes, Row] = {}
        self._segments: list[_Segment] = []
        paths = sorted(folder.glob("*.npy")) if folder and folder.is_dir() else []
        loaded: list[tuple[Path, NDArray[np.void]]] = []
        for path in paths:
            try:
                loaded.append((path, _load(path, dtype)))
            except FileNotFoundError:
                continue  # another process has just joined it with others
            except (OSError, ValueError, EOFError):
                progress.note(f"a damaged file of kept results is computed again: {path.parent.name}/{path.name}")
                path.unlink(missing_ok=True)
        if len(loaded) > MERGE:
            loaded = self._joined(loaded)
        self._segments = [_indexed(rows) for _, rows in loaded]

    def __len__(self) -> int:
        return sum(len(segment.rows) for segment in self._segments) + len(self._new)

    def get(self, sha256: str) -> Row | None:
        """The row of the picture with these bytes (lower-case hex), or None."""
        if not sha256:
            return None
        key = bytes.fromhex(sha256)
        start = np.uint64(int.from_bytes(key[:8], "big"))
        with self._lock:
            found = self._new.get(key)
            segments = list(self._segments)
        if found is not None:
            return found
        for starts, order, rows in segments:
            spot = int(starts.searchsorted(start))
            while spot < len(starts) and starts[spot] == start:
                row = rows[order[spot]]
                if bytes(row[0]) == key:
                    return row[1]
                spot += 1
        return None

    def add(self, sha256: str, row: Row) -> None:
        """Keep a row; it is on disk after `SEGMENT` more, or at the end."""
        with self._lock:
            self._new[bytes.fromhex(sha256)] = row
            if len(self._new) >= SEGMENT:
                self._flush()

    def flush(self) -> None:
        """Write what was added."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        if not self._new:
            return
        rows = _table(self._new.items(), self.dtype)
        self._new = {}
        self._segments.append(_indexed(rows))
        self._write(rows)

    def _write(self, rows: NDArray[np.void]) -> bool:
        """Whether a segment was written. Without room or permission the results are used, only not kept."""
        if self.folder is None:
            return False
        stream = io.BytesIO()
        np.save(stream, rows, allow_pickle=False)
        try:
            write_bytes(self.folder / f"{secrets.token_hex(8)}.npy", stream.getvalue())
        except StorageError as error:
            progress.note(f"results are not kept: {error.message}")
            self.folder = None
            return False
        return True

    def _joined(self, loaded: list[tuple[Path, NDArray[np.void]]]) -> list[tuple[Path, NDArray[np.void]]]:
        small = [(path, rows) for path, rows in loaded if len(rows) < _LARGE]
        if len(small) < 2 or self.folder is None:
            return loaded
        kinds = {rows.dtype for _, rows in small}
        if len(kinds) > 1:
            return loaded
        rows = np.concatenate([rows for _, rows in small])
        rows = rows[np.unique(rows["sha256"].view("S32"), return_index=True)[1]]
        if not self._write(rows):
            return loaded
        for path, _ in small:  # readers that have them open keep their memory map
            path.unlink(missing_ok=True)
        return [(self.folder, rows), *((path, rows) for path, rows in loaded if len(rows) >= _LARGE)]

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()


def kept(folder: Path | None, dtype: DTypeLike | None = None) -> Kept:
    """The rows kept in `folder`; None keeps them in memory only. Without `dtype` they are what the first one added is.

    Files that are damaged or hold rows of another dtype are said, deleted, and computed again.
    """
    return Kept(folder, None if dtype is None else np.dtype(dtype))


def _load(path: Path, dtype: np.dtype[Any] | None) -> NDArray[np.void]:
    """The rows of a segment, memory-mapped. ValueError for anything else."""
    rows: NDArray[np.void] = np.load(path, mmap_mode="r", allow_pickle=False)
    names = rows.dtype.names or ()
    if len(names) != 2 or names[0] != "sha256" or rows.ndim != 1 or (dtype is not None and rows.dtype[1] != dtype):
        raise ValueError("no segment")
    return rows


def _table(rows: Iterable[tuple[bytes, Row]], dtype: np.dtype[Any] | None) -> NDArray[np.void]:
    given = list(rows)
    if dtype is None:
        first = np.asarray(given[0][1])
        dtype = np.dtype((first.dtype, first.shape))
    table = np.empty(len(given), np.dtype([("sha256", "V32"), ("row", dtype)]))
    table["sha256"] = np.frombuffer(b"".join(key for key, _ in given), "V32")
    table["row"] = np.array([row for _, row in given], dtype.base)
    return table


def _indexed(rows: NDArray[np.void]) -> _Segment:
    heads = np.ascontiguousarray(rows["sha256"]).view(">u8").reshape(len(rows), 4)[:, 0].astype(np.uint64)
    order = np.argsort(heads, kind="stable")
    return _Segment(heads[order], order, rows)
