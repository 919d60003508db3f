"""Progress for whoever waits: bars with time left on a terminal, JSON lines on stderr otherwise (the first after a second)."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sightline.progress import Event, listen
from sightline.settings import launch

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


FIRST, EVERY = 1.0, 5.0  # seconds until the first line about a piece of work, and between lines


@contextmanager
def listening() -> Iterator[None]:
    """Show the progress of the block on stderr; under torchrun the first process does."""
    if launch().rank:
        yield
        return
    if not sys.stderr.isatty():
        with listen(JsonLines()):
            yield
        return
    bars = Bars()
    try:
        with listen(bars):
            yield
    finally:
        bars.close()


class JsonLines:
    """One JSON object a line, at most one in EVERY seconds for each piece of work; short work says nothing."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        if event.what:
            told = self._told.setdefault(event.what, now)
            pause = FIRST if event.seconds < EVERY else EVERY
            if now - told < pause and not (event.finished and event.seconds >= FIRST):
                return
            self._told[event.what] = now
        fields = {
            "event": event.what or "note",
            "done": event.done,
            "total": event.total,
            "seconds": round(event.seconds, 1),
            "seconds_left": None if event.seconds_left is None else round(event.seconds_left, 1),
            "note": event.note,
        }
        kept = {key: value for key, value in fields.items() if value not in (None, "")} if event.what else {"note": event.note}
        print(json.dumps(kept, ensure_ascii=False), file=sys.stderr, flush=True)


class Bars:
    """One bar for each piece of work; built when the first event comes, so quick commands never pay for it."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._bars: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        progress = self._shown()
        if not event.what:
            progress.console.print(event.note, style="dim", highlight=False, markup=False)
            return
        if event.what not in self._bars:
            self._bars[event.what] = progress.add_task(event.what, total=event.total, note="")
        bar = self._bars[event.what]
        progress.update(bar, completed=event.done, total=event.total, note=event.note)
        if event.finished:
            progress.stop_task(bar)
            del self._bars[event.what]

    def _shown(self) -> Progress:
        if self._progress is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=32),
                MofNCompleteColumn(),
                TimeRemainingColumn(elapsed_when_finished=True),
                TextColumn("{task.fields[note]}", markup=False),
                console=Console(stderr=True),
            )
            self._progress.start()
        return self._progress

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
