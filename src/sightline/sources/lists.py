"""Pictures by their web addresses, results as they come; also the source that is a text file with an address on each line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from sightline.errors import DatasetError, SightlineError
from sightline.runtime.limits import standard_limits
from sightline.sources import Arrival, Options
from sightline.sources.fetch import Access, Caps, fetch
from sightline.sources.lanes import Lanes
from sightline.sources.manners import Manners
from sightline.sources.wanted import Wanted, failed, name_of
from sightline.types import Facts, Failure


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
