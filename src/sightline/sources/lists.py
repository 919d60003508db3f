"""Pictures by their web addresses, results as they come; also the source that is a text file with an address on each line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from sightline.errors import DatasetError, SightlineError
from sightline.runtime.limits import standard_limits
from sightline.sources import Arrival, Options
from sightline.sources.fetch import Access, Caps, fetch
from sightline.sources.lanes import Lanes
from sightline.sources.manners import Manners
from sightline.types import Annotation, ErrorInfo, Facts, Failure, Split


class Wanted(NamedTuple):
    """A picture at a web address, and what is said about it."""

    url: str
    name: str = ""
    labels: tuple[str, ...] = ()
    marks: tuple[Annotation, ...] = ()
    split: Split | None = None
    group: str | None = None
    facts: Facts | None = None


def arrivals(source: str, options: Options) -> Iterator[Arrival | Failure]:
    """The pictures of a text file with an address on each line; empty lines and those that begin with # are passed over."""
    path = Path(source).expanduser()
    return fetched(addresses_in(path.read_bytes(), path.name), options, Access(options.allow_private))


def addresses_in(data: bytes, name: str) -> list[Wanted]:
    """The addresses of a text, each once, in order. DatasetError when there are none."""
    lines = (line.strip() for line in data.decode("utf-8-sig", errors="replace").splitlines())
    found = [Wanted(line) for line in dict.fromkeys(lines) if line and not line.startswith("#")]
    if not found:
        raise DatasetError(f"{name} holds no addresses", hint="write one http(s) address on each line")
    return found


def fetched(
    wanted: Sequence[Wanted], options: Options, access: Access, manners: Manners | None = None
) -> Iterator[Arrival | Failure]:
    """The pictures at the addresses in the order in which they come; those that came home before are not asked for."""
    fresh = [one for one in wanted if not options.known(one.url)]
    caps = Caps(bytes=standard_limits().max_bytes)
    watch = manners or Manners(options.rate, access)
    lanes = Lanes(
        fresh, lambda one: urlsplit(one.url).netloc.lower(), lambda one: _brought(one, caps, access, watch), watch.ready
    )
    try:
        yield from lanes.results()
    finally:
        lanes.stop()


def _brought(one: Wanted, caps: Caps, access: Access, watch: Manners) -> Arrival | Failure:
    try:
        answer = fetch(one.url, caps, access, watch=watch)
    except SightlineError as error:
        return failed(one.url, error)
    facts = one.facts or Facts()
    return Arrival(
        name=one.name or name_of(answer.url),
        data=answer.data,
        labels=one.labels,
        marks=one.marks,
        split=one.split,
        group=one.group,
        facts=facts if facts.source else facts.model_copy(update={"source": one.url}),
        address=one.url,
    )


def failed(picture: str, error: SightlineError) -> Failure:
    """A picture that did not arrive, and why."""
    return Failure(picture=picture, error=ErrorInfo(code=error.code, message=error.message, hint=error.hint))


def name_of(url: str) -> str:
    """The last part of the address's path as a file name; "picture" when it says nothing."""
    last = unquote(urlsplit(url).path.rpartition("/")[2])
    plain = "".join(letter if letter.isprintable() and letter not in '\\/:*?"<>|' else "_" for letter in last).strip(". ")
    return plain[-120:] or "picture"
