"""From anywhere to pictures: which kinds of source there are, how each is recognised, and what arrives from them.

`arrive` is a stream: a slow or bad picture never stops the others. Knows no store and no dataset; nothing is decoded here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from sightline.errors import NotFoundError
from sightline.types import Annotation, Facts, Failure, Split

__all__ = ["KINDS", "About", "Arrival", "Kind", "Options", "arrive", "kind_of"]

VIDEOS = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".mts", ".m2ts", ".ogv", ".3gp"})
TABLES = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"})


@dataclass(frozen=True, slots=True)
class Arrival:
    """One picture that came in: its bytes (`data`), or the file of this machine it lies in (`path`), and what is said about it.

    `address` names the picture at its source, so that a collection that was stopped does not bring it home twice.
    """

    name: str
    data: bytes | None = field(default=None, repr=False)
    path: Path | None = None
    labels: tuple[str, ...] = ()
    marks: tuple[Annotation, ...] = ()
    split: Split | None = None
    group: str | None = None
    facts: Facts | None = None
    address: str = ""


class About(NamedTuple):
    """What a source says about all its pictures together; fields as in data.listing.Listing."""

    total: int | None = None
    several: bool = False
    placed: bool = False
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Options:
    """What a person may say about how to collect.

    `workspace` is a folder for downloads, kept until the collection is done; `known` tells which addresses came home before.
    """

    workspace: Path
    labels: Path | None = None
    limit: int | None = None
    rate: float = 1.0  # requests a second to one host
    allow_private: bool = False
    every: int | None = None
    seconds: float | None = None
    scene: float | None = None
    known: Callable[[str], bool] = lambda _: False
    about: Callable[[About], None] = lambda _: None  # told what is known about the whole before its pictures come


class Kind(NamedTuple):
    """How a source is recognised from what the person typed, and what brings its pictures."""

    recognised: Callable[[str], bool]
    arrivals: Callable[[str, Options], Iterator[Arrival | Failure]]


def _from(module: str, source: str, options: Options) -> Iterator[Arrival | Failure]:
    found = import_module(f"sightline.sources.{module}")
    return found.arrivals(source, options)  # type: ignore[no-any-return]


def _video(source: str, options: Options) -> Iterator[Arrival | Failure]:
    from sightline.sources.video import frames

    return frames(source, every=options.every, seconds=options.seconds, scene=options.scene, limit=options.limit)


def _suffix(source: str) -> str:
    return Path(source).suffix.lower()


def _names_addresses(source: str) -> bool:
    """Whether a text file's first line that says something is a web address."""
    if _suffix(source) not in (".txt", ".list", ".urls", ""):
        return False
    try:
        with Path(source).expanduser().open("rb") as stream:
            lines = stream.read(1 << 16).decode("utf-8-sig", errors="replace").splitlines()
    except OSError:
        return False
    first = next((line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")), "")
    return first.lower().startswith(("http://", "https://"))


def _is_file(source: str) -> bool:
    try:
        return Path(source).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):  # names that no system knows
        return False


KINDS: dict[str, Kind] = {
    "camera": Kind(lambda source: bool(re.fullmatch(r"camera(:\d+)?", source)), _video),
    "web": Kind(lambda source: bool(re.match(r"https?:", source, re.I)), partial(_from, "web")),
    "bucket": Kind(lambda source: "://" in source, partial(_from, "bucket")),
    "list": Kind(lambda source: _is_file(source) and _names_addresses(source), partial(_from, "lists")),
    "video": Kind(lambda source: _is_file(source) and _suffix(source) in VIDEOS, _video),
    "table": Kind(lambda source: _is_file(source) and _suffix(source) in TABLES, partial(_from, "tables")),
    "folder": Kind(lambda _: True, partial(_from, "places")),  # a folder or archive of any layout, or one picture
}


def _exists(source: str) -> bool:
    try:
        return Path(source).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False


def _near(source: str) -> str:
    from sightline.data.pictures import near_names

    try:
        return near_names(Path(source).expanduser())
    except (OSError, ValueError, RuntimeError):
        return "check the spelling"


def kind_of(source: str) -> str:
    """The name in KINDS of what `source` is; the first that recognises it."""
    return next(name for name, kind in KINDS.items() if kind.recognised(source))


def arrive(source: str, options: Options) -> Iterator[Arrival | Failure]:
    """The pictures of `source`, one after the other; what could not be had comes as a Failure with its reason.

    Raises, when the source as a whole cannot be used: NotFoundError, DatasetError, ArchiveError, AddressError, FetchError,
    MissingExtraError.
    """
    if source.lower().startswith("file://"):
        from urllib.parse import unquote, urlsplit

        source = unquote(urlsplit(source).path)
    kind = kind_of(source)
    if kind == "folder" and not _exists(source):
        raise NotFoundError(f"no such folder, file or address: {source[:300]}", hint=_near(source), detail={"path": source})
    return KINDS[kind].arrivals(source, options)
