"""How many requests may be inside at once: a bounded queue that turns people away early and says when to come back.

Two limits. The long one holds a burst. Once somebody had to be turned away, the short one holds for a second: while people are
refused anyway, a long queue adds waiting time and no throughput, so those who are admitted are answered quickly.
Knows neither HTTP nor pictures. Called from the event loop only, so it needs no lock.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sightline.errors import OverloadError, UnavailableError

SHORT_FOR_S = 1.0  # how long the short limit holds after the latest refusal


class Admission:
    """Counts requests from admission to answer; `limit` in all, `short` while refusing."""

    def __init__(self, limit: int, short: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit, self.short = limit, min(short, limit)
        self.inside = 0
        self.refused = 0
        self.stopping = False
        self._clock = clock
        self._short_until = 0.0
        self._seconds_each = 0.05  # running mean of the time inside, for Retry-After

    def check(self) -> None:
        """Raise what `enter` would raise now, without taking a place: the answer given before a body is read."""
        if self.stopping:
            raise UnavailableError("the server is stopping", hint="send the request to another server, or again in a moment")
        now = self._clock()
        if self.inside < (self.short if now < self._short_until else self.limit):
            return
        self._short_until = now + SHORT_FOR_S
        self.refused += 1
        raise OverloadError(
            f"all {self.limit} places are taken",
            hint="wait for the seconds in Retry-After and send it again",
            detail={"retry_after_s": self.retry_after_s(), "inside": self.inside},
        )

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Hold a place for the block; raises OverloadError when all are taken and UnavailableError when stopping."""
        self.check()
        self.inside += 1
        start = self._clock()
        try:
            yield
        finally:
            self.inside -= 1
            self._seconds_each += 0.05 * (self._clock() - start - self._seconds_each)

    def retry_after_s(self) -> int:
        """Whole seconds after which a place is likely to be free."""
        return max(1, math.ceil(self._seconds_each * 2))
