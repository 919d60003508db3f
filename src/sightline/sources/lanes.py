"""Work on many hosts at once, with one request at a time to each: a slow host never holds up the others.

Each thread takes the free host that may be asked first. Knows no pictures and no network.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

WORKERS = 8  # hosts that are asked at the same time
WAITING = 16  # results that may wait to be taken


class Lanes(Generic[T, R]):
    """`results` yields what `work` made of each thing, in the order in which it gets done; `stop` leaves the rest undone."""

    def __init__(
        self, things: Sequence[T], host: Callable[[T], str], work: Callable[[T], R], ready: Callable[[str], float]
    ) -> None:
        """`ready`: the moment from which a host may be asked; only its order counts."""
        self._work, self._ready, self._count = work, ready, len(things)
        self._lanes: dict[str, deque[T]] = {}
        for thing in things:
            self._lanes.setdefault(host(thing), deque()).append(thing)
        self._guard = threading.Lock()
        self._stopped = threading.Event()
        self._done: queue.Queue[R | BaseException] = queue.Queue(WAITING)

    def results(self) -> Iterator[R]:
        for _ in range(min(WORKERS, len(self._lanes))):
            threading.Thread(target=self._run, daemon=True, name="fetch").start()
        for _ in range(self._count):
            found = self._done.get()
            if isinstance(found, BaseException):
                raise found
            yield found

    def stop(self) -> None:
        """No further work is begun. Threads that wait for a server are not waited for."""
        self._stopped.set()

    def _run(self) -> None:
        while (lane := self._taken()) is not None:
            host, things = lane
            try:
                found: R | BaseException = self._work(things.popleft())
            except BaseException as error:  # told to whoever takes the results
                found = error
            with self._guard:
                if things:
                    self._lanes[host] = things
            self._put(found)

    def _taken(self) -> tuple[str, deque[T]] | None:
        with self._guard:
            if self._stopped.is_set() or not self._lanes:
                return None
            host = min(self._lanes, key=self._ready)
            return host, self._lanes.pop(host)

    def _put(self, found: R | BaseException) -> None:
        while not self._stopped.is_set():
            try:
                self._done.put(found, timeout=0.5)
                return
            except queue.Full:
                continue
