"""From what arrived to pictures of a dataset: checked by their bytes, turned into pixels, stripped, hashed, kept.

Files of this machine stay where they are unless a copy is wanted. Knows sources and blobs, not versions or names.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.errors import PictureError, SightlineError
from sightline.runtime.headers import missing_bytes, sniff
from sightline.runtime.limits import Limits
from sightline.runtime.pixels import read_picture
from sightline.types import Annotation, ErrorInfo, Facts, Failure, Item

if TYPE_CHECKING:
    from sightline.sources import Arrival
    from sightline.sources.drawings import Drawings
    from sightline.store.blobs import Blobs

CHUNK = 32  # local files that a thread takes at a time
_SUFFIXES = {
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "png": (".png",),
    "tiff": (".tif", ".tiff"),
    "bmp": (".bmp",),
    "gif": (".gif",),
    "webp": (".webp",),
    "heic": (".heic", ".heif"),
    "avif": (".avif",),
}


@dataclass(frozen=True, slots=True)
class Handling:
    """How arrivals are taken in. `passing`: folders whose files will go away, so that their pictures must be copied."""

    held: Blobs
    drawings: Drawings
    limits: Limits
    passing: tuple[Path, ...] = ()
    copy: bool = False
    keep_metadata: bool = False
    blur: frozenset[str] | None = None  # labels whose boxes are made unrecognisable; empty: every box
    label: str | None = None
    group: str | None = None
    facts: Facts | None = None


Taken = tuple["Arrival | Failure", "Item | Failure"]


def taken(stream: Iterable[Arrival | Failure], handling: Handling, threads: int) -> Generator[Taken]:
    """Each arrival with what became of it, in order; files are read and hashed in threads, a few ahead of whoever asks."""
    pool = ThreadPoolExecutor(threads)
    ahead: deque[Future[list[Taken]]] = deque()
    chunk: list[Arrival | Failure] = []
    try:
        for one in stream:
            chunk.append(one)
            heavy = not isinstance(one, Failure) and one.data is not None  # fetched with effort: taken in at once
            if heavy or len(chunk) == CHUNK:
                ahead.append(pool.submit(_all_taken, chunk, handling))
                chunk = []
            while ahead and (len(ahead) > 2 * threads or ahead[0].done()):
                yield from ahead.popleft().result()
        ahead.append(pool.submit(_all_taken, chunk, handling))
        while ahead:
            yield from ahead.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _all_taken(chunk: list[Arrival | Failure], handling: Handling) -> list[Taken]:
    return [(one, _taken(one, handling)) for one in chunk]


def _taken(one: Arrival | Failure, handling: Handling) -> Item | Failure:
    if isinstance(one, Failure):
        return one
    try:
        return admitted(one, handling)
    except SightlineError as error:
        where = one.address if one.data is not None and one.address else one.name
        return Failure(picture=where, error=ErrorInfo(code=error.code, message=error.message, hint=error.hint))


def admitted(arrival: Arrival, handling: Handling) -> Item:
    """The picture as an item with its hash. Its header is judged, its pixels are not decoded.

    Raises PictureError (no picture, too large, cut off), NotFoundError, MissingExtraError for a drawing, StorageError.
    """
    from sightline.sources.drawings import kind_of_drawing

    data = arrival.data if arrival.data is not None else _read(arrival, handling.limits)
    name, facts = arrival.name, arrival.facts
    drawing = kind_of_drawing(data)
    if drawing is not None:
        data = handling.drawings.png(data, drawing)
        source = facts.source if facts is not None and facts.source else name
        name, facts = f"{name}.png", (facts or Facts()).model_copy(update={"source": source})
    kind = _judged(data, handling.limits)
    marks = arrival.marks
    boxes = [mark.box for mark in marks if mark.box is not None and _blurred(mark, handling.blur)]
    if boxes:
        from sightline.runtime.redact import redact

        data = redact(data, boxes)
        kind = sniff(data)
    path = arrival.path
    if arrival.data is None and path is not None and drawing is None and not boxes and _stays(path, handling):
        sha256, uri = hashlib.sha256(data).hexdigest(), str(path)
    else:
        if not handling.keep_metadata:
            from sightline.runtime.metadata import stripped

            data, _ = stripped(data, handling.limits)
            kind = sniff(data)
        sha256 = handling.held.put(data)
        uri = handling.held.placed(sha256)
        name = _named(name, kind)
    return Item(
        uri=uri,
        name=name,
        truth=marks or tuple(Annotation(label=label, origin="import") for label in _labels(arrival, handling)),
        split=arrival.split,
        group=handling.group or arrival.group,
        sha256=sha256,
        facts=_facts(facts, handling.facts),
    )


def _read(arrival: Arrival, limits: Limits) -> bytes:
    if arrival.path is None:
        raise PictureError(f"{arrival.name} came without a picture")
    return read_picture(arrival.path, limits)


def _judged(data: bytes, limits: Limits) -> str:
    """The format of the bytes, when their header says that they are a whole picture of a size that may be decoded."""
    from sightline.runtime.dimensions import dimensions

    limits.check_bytes(len(data))
    kind = sniff(data)
    missing = missing_bytes(data, kind)
    if missing:
        raise PictureError(f"the {kind.upper()} is cut off: {missing:,} bytes are missing", hint="copy or download it again")
    found = dimensions(data)
    limits.check_size(found.width, found.height)
    return kind


def _stays(path: Path, handling: Handling) -> bool:
    return not handling.copy and not any(path.is_relative_to(folder) for folder in handling.passing)


def _blurred(mark: Annotation, labels: frozenset[str] | None) -> bool:
    return labels is not None and (not labels or mark.label in labels)


def _labels(arrival: Arrival, handling: Handling) -> tuple[str, ...]:
    return (handling.label,) if handling.label else arrival.labels


def _facts(own: Facts | None, given: Facts | None) -> Facts | None:
    """What the source says, and what the person says where it is silent."""
    said = [facts.model_dump(exclude_defaults=True) for facts in (given, own) if facts is not None]
    known = {name: value for facts in said for name, value in facts.items()}
    return Facts(**known) if known else None


def _named(name: str, kind: str) -> str:
    """The name with a suffix that fits the bytes: what is fetched may have any, and a TIFF without metadata is a PNG."""
    fitting = _SUFFIXES[kind]
    lower = name.lower()
    if lower.endswith(fitting):
        return name
    known = next((suffix for suffixes in _SUFFIXES.values() for suffix in suffixes if lower.endswith(suffix)), "")
    return name[: len(name) - len(known)] + fitting[0]
