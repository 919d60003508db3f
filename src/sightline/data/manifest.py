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
from sightline.types import Annotation, Dataset, Item, Split

S = TypeVar("S")
T = TypeVar("T")
CHUNK = 32  # files a thread takes at a time
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True)  # made once: `dumps` makes one for every call


def item_key(item: Item) -> bytes:
    """SHA-256 (32 bytes) over what a picture is, whatever split it is in: name, content, truth, group, facts.

    The order of labels and who gave them do not count, nor does the place the file was read from.
    """
    truth = [said(annotation) for annotation in item.truth]
    facts = item.facts.model_dump(exclude_defaults=True) if item.facts else None
    text = _ENCODER.encode([item.name, item.sha256, sorted(truth), item.group, facts])
    return hashlib.sha256(text.encode()).digest()


def said(annotation: Annotation) -> str:
    """A plain label as it is; anything more as JSON. Who said it does not count."""
    if annotation.text is None and annotation.score is None and not (annotation.traits or annotation.placed):
        return annotation.label
    return annotation.model_dump_json(exclude_defaults=True, exclude={"origin"})


def manifest_hash(items: Iterable[Item]) -> str:
    """What names a dataset: SHA-256 over the sorted keys and splits of the items; "" while a content is not known."""
    keys: list[bytes] = []
    for item in items:
        if not item.sha256:
            return ""
        keys.append(member_key(item_key(item), item.split))
    return hash_of(keys)


def member_key(key: bytes, split: Split | None) -> bytes:
    """32 bytes for a picture in a split."""
    return hashlib.sha256(key + (split or "").encode()).digest()


def hash_of(keys: Iterable[bytes]) -> str:
    """The hash of a dataset from the `member_key` of all its pictures, in any order."""
    import numpy as np

    # as bytes of one length numpy sorts them exactly, and a million in a third of the time
    return hashlib.sha256(np.sort(np.frombuffer(b"".join(keys), "S32")).tobytes()).hexdigest()


def with_hashes(dataset: Dataset, known: Sequence[str] = ()) -> Dataset:
    """The dataset with the SHA-256 of every file, and its own hash.

    `known`: hashes computed already (`Survey.sha256`), in the order of the items; else the files are read. A file that cannot
    be read gets the hash of nothing, so that the dataset still has a name; the health check reports it.
    """
    hashes = list(known) or hashes_of([item.uri for item in dataset.items])
    items = tuple(
        item if item.sha256 == sha else item.model_copy(update={"sha256": sha})
        for item, sha in zip(dataset.items, [sha or _EMPTY for sha in hashes], strict=True)
    )
    return dataset.model_copy(update={"items": items, "hash": manifest_hash(items)})


def hashes_of(files: Sequence[str]) -> list[str]:
    """The SHA-256 of each file's bytes; of nothing for a file that cannot be read."""
    return in_threads("Reading pictures", files, _hashes)


def without(dataset: Dataset, names: Collection[str]) -> Dataset:
    """The dataset without the pictures of these names. Its classes stay, even one that lost its last picture."""
    gone = frozenset(names)
    items = tuple(item for item in dataset.items if item.name not in gone)
    return dataset.model_copy(update={"items": items, "hash": manifest_hash(items)})


def in_threads(what: str, files: Sequence[S], work: Callable[[Sequence[S]], list[T]], threads: int | None = None) -> list[T]:
    """`work` over chunks of `files` on all cores, results in order; tells progress, and stops early on an error or Ctrl-C."""
    chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    found: list[T] = []
    pool = ThreadPoolExecutor(threads or settings().threads)
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
