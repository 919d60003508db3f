"""How many requests may be inside at once: a bounded queue that turns people away early and says when to come back.

Two limits. The long one holds a burst. Once somebody had to be turned away, the short one holds for a second: while people are
refused anyway, a long queue adds waiting time and no throughput, so those who are admitted are answered quickly. For the same
reason the newest of those who wait for a thread are sent away at that moment, as long as they have not waited long.
Knows neither HTTP nor pictures. Called from the event loop only, so it needs no lock.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from sightline.errors import OverloadError, UnavailableError

T = TypeVar("T")

SHORT_FOR_S = 1.0  # how long the short limit holds after the latest refusal
YOUNG_S = 0.04  # who has waited longer is not sent away any more


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
        self._waiting: dict[Future[Any], float] = {}  # work and when it came, oldest first

    def check(self) -> None:
        """Raise what `enter` would raise now, without taking a place: the answer given before a body is read."""
        if self.stopping:
            raise UnavailableError("the server is stopping", hint="send the request to another server, or again in a moment")
        now = self._clock()
        if self.inside < (self.short if now < self._short_until else self.limit):
            return
        self._short_until = now + SHORT_FOR_S
        self._shed(now)
        raise self.refusal()

    def refusal(self) -> OverloadError:
        """Count and describe one refusal."""
        self.refused += 1
        return OverloadError(
            f"all {self.limit} places are taken",
            hint="wait for the seconds in Retry-After and send it again",
            detail={"retry_after_s": self.retry_after_s(), "inside": self.inside},
        )

    async def outcome(self, work: Future[T]) -> T:
        """The result of work given to a thread pool; raises OverloadError when it was sent away before it began."""
        self._waiting[work] = self._clock()
        try:
            return await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            if work in self._waiting:
                raise  # the caller has gone
            raise self.refusal() from None
        finally:
            self._waiting.pop(work, None)

    def _shed(self, now: float) -> None:
        """Cancel the newest work that no thread has begun, down to the short limit."""
        surplus = self.inside - self.short
        for work, came in reversed(list(self._waiting.items())):
            if surplus <= 0 or now - came > YOUNG_S:
                return
            if work.cancel():  # not when a thread has begun it
                del self._waiting[work]
                surplus -= 1

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
