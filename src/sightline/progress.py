"""Progress of long work, told to whoever listens: a bar on a terminal, JSON lines in a pipe, a job in a server.

The work calls `track` or `task`; a door installs a listener with `listen`. Without a listener nothing happens.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Event:
    """One step of one piece of work. `total` is None when unknown; `seconds_left` is an estimate or None."""

    what: str
    done: float
    total: float | None
    seconds: float
    seconds_left: float | None
    note: str = ""
    finished: bool = False


Listener = Callable[[Event], None]
_listener: ContextVar[Listener | None] = ContextVar("progress_listener", default=None)


@contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Send every event of the block to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


class Task:
    """A piece of work under way; `advance` may be called from any thread."""

    def __init__(self, what: str, total: float | None, listener: Listener | None) -> None:
        self.what, self.total, self.done, self.note = what, total, 0.0, ""
        self._listener, self._start = listener, time.monotonic()

    def advance(self, by: float = 1.0, note: str = "") -> None:
        self.done += by
        self.note = note or self.note
        self._tell(finished=False)

    def finish(self) -> None:
        self._tell(finished=True)

    def _tell(self, *, finished: bool) -> None:
        if self._listener is None:
            return
        seconds = time.monotonic() - self._start
        left = seconds / self.done * (self.total - self.done) if self.total and self.done else None
        self._listener(Event(self.what, self.done, self.total, seconds, left, self.note, finished))


@contextmanager
def task(what: str, total: float | None = None) -> Iterator[Task]:
    """`with task("Computing features", n) as t: ... t.advance()`."""
    work = Task(what, total, _listener.get())
    work.advance(0)
    try:
        yield work
    finally:
        work.finish()


def track(items: Iterable[T], what: str, total: float | None = None) -> Iterator[T]:
    """Yield `items`, advancing by one each."""
    if total is None and isinstance(items, Sized):
        total = float(len(items))
    with task(what, total) as work:
        for item in items:
            yield item
            work.advance()


def note(text: str) -> None:
    """Say one line to the person who waits ("no weights found: training from scratch")."""
    listener = _listener.get()
    if listener is not None:
        listener(Event("", 0, None, 0, None, text, finished=True))


@contextmanager
def timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    """Add the seconds that the block takes to `seconds[part]`."""
    start = time.perf_counter()
    yield
    seconds[part] = seconds.get(part, 0.0) + time.perf_counter() - start
