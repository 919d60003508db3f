"""What names a dataset: the hash over its pictures' contents, labels and splits; and a dataset without some of its pictures.

Only contents count (SHA-256 of each file's bytes), never sizes or times: a picture changed in place gives another hash.
Files are read in threads: 50,000 small ones in about 3 s on 2 cores.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from sightline.files import sha256_file
from sightline.progress import task
from sightline.settings import settings
from sightline.types import Dataset, Item

T = TypeVar("T")
CHUNK = 32  # files a thread takes at a time


def manifest_hash(items: Iterable[Item]) -> str:
    """SHA-256 over the sorted (name, content, labels, split, group) of the items; "" while a content is not known."""
    lines: list[str] = []
    for item in items:
        if not item.sha256:
            return ""
        lines.append(json.dumps([item.name, item.sha256, sorted(item.labels), item.split, item.group], ensure_ascii=False))
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def with_hashes(dataset: Dataset, known: Sequence[str] = ()) -> Dataset:
    """The dataset with the SHA-256 of every file, and its own hash.

    `known`: hashes computed already (`Survey.sha256`), in the order of the items; else the files are read. A file that cannot
    be read gets the hash of nothing, so that the dataset still has a name; the health check reports it.
    """
    hashes = list(known) or in_threads("Reading pictures", [item.uri for item in dataset.items], _hashes)
    items = tuple(
        item if item.sha256 == sha else item.model_copy(update={"sha256": sha})
        for item, sha in zip(dataset.items, [sha or _EMPTY for sha in hashes], strict=True)
    )
    return dataset.model_copy(update={"items": items, "hash": manifest_hash(items)})


def without(dataset: Dataset, names: Collection[str]) -> Dataset:
    """The dataset without the pictures of these names. Its classes stay, even one that lost its last picture."""
    gone = frozenset(names)
    items = tuple(item for item in dataset.items if item.name not in gone)
    return dataset.model_copy(update={"items": items, "hash": manifest_hash(items)})


def in_threads(what: str, files: Sequence[str], work: Callable[[Sequence[str]], list[T]]) -> list[T]:
    """`work` over chunks of `files` on all cores, results in order; tells progress, and stops early on an error or Ctrl-C."""
    chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    found: list[T] = []
    pool = ThreadPoolExecutor(settings().threads)
    try:
        with task(what, len(files)) as progress:
            for part in pool.map(work, chunks):
                found += part
                progress.advance(len(part))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return found


_EMPTY = hashlib.sha256(b"").hexdigest()


def _hashes(files: Sequence[str]) -> list[str]:
    return [_hash(file) for file in files]


def _hash(file: str) -> str:
    try:
        if os.path.getsize(file) > 1 << 20:  # noqa: PTH202 - called for every file
            return sha256_file(Path(file))
        with open(file, "rb") as stream:  # noqa: PTH123
            return hashlib.sha256(stream.read()).hexdigest()
    except OSError:
        return _EMPTY
