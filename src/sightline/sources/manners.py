"""Good manners towards a site: robots.txt is kept, and one host is not asked more often than it likes.

An instance is the `watch` of a fetch, so that it also stands before every redirect. Knows no page.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from sightline.errors import AddressError, FetchError
from sightline.sources.addresses import Place
from sightline.sources.fetch import Access, Caps, fetch
from sightline.sources.robots import EVERYTHING, MAX_BYTES, Rules, read_rules


class Manners:
    """`rate`: requests a second to one host, unless its robots.txt asks for fewer. May be used by many threads."""

    def __init__(self, rate: float, access: Access, caps: Caps | None = None) -> None:
        self._pause, self._access = 1.0 / rate, access
        self._caps = replace(caps or Caps(total_s=30.0), bytes=MAX_BYTES)
        self._guard = threading.Lock()
        self._next: dict[str, float] = {}
        self._rules: dict[tuple[str, str, int], Rules | FetchError] = {}
        self._asking: dict[tuple[str, str, int], threading.Lock] = {}

    def __call__(self, place: Place) -> None:
        """Wait until `place` may be asked. FetchError: robots.txt forbids it, or cannot be had (RFC 9309 section 2.3.1.4)."""
        rules = self._of(place)
        if isinstance(rules, FetchError):
            raise type(rules)(rules.message, hint=rules.hint, detail=rules.detail)
        if not rules.allow(place.target):
            raise FetchError(
                f"robots.txt of {place.host} does not allow {place.target[:100]}",
                hint="ask the owner for the pictures, or for leave to collect them",
                detail={"robots": True},
            )
        pause = max(self._pause, rules.delay)
        with self._guard:
            now = time.monotonic()
            turn = max(now, self._next.get(place.host, now))
            self._next[place.host] = turn + pause
        time.sleep(max(0.0, turn - now))

    def ready(self, host: str) -> float:
        """When the host may be asked next, on the clock of time.monotonic."""
        return self._next.get(host, 0.0)

    def _of(self, place: Place) -> Rules | FetchError:
        """The site's rules, fetched once; also its failure is remembered."""
        site = (place.scheme, *place.origin)
        with self._guard:
            asking = self._asking.setdefault(site, threading.Lock())
        with asking:
            if site not in self._rules:
                self._rules[site] = self._fetched(place)
            return self._rules[site]

    def _fetched(self, place: Place) -> Rules | FetchError:
        address = f"{place.scheme}://{place.url.split('/', 3)[2]}/robots.txt"
        try:
            return read_rules(fetch(address, self._caps, self._access).data)
        except AddressError as error:
            return error
        except FetchError as error:
            status = error.detail.get("status")
            if isinstance(status, int) and 400 <= status < 500 and status != 429:
                return EVERYTHING  # there is none
            return FetchError(
                f"robots.txt of {place.host} cannot be read, so nothing is fetched there: {error.message}", hint=error.hint
            )
