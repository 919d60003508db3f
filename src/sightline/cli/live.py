"""Shows what a model says of frames as they come: bars on a terminal, JSON lines, or a line a second. Ends with Ctrl-C."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Generator
from typing import TYPE_CHECKING

from sightline.signals import on_signal

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sightline.verbs.watching import Seen, Watch

    Teller = Generator[None, Seen, None]  # is sent the frames

MOST = 8  # bars
WIDE = 30  # characters of a full bar
EVERY = 1.0  # seconds between lines where nobody looks at a terminal
FRESH = 10  # times a second that a terminal is drawn again


def show_live(frames: Watch, *, as_json: bool) -> int:
    """Show every frame, then the summary; 0 also when Ctrl-C ended it. Errors of the camera go through, after the summary."""
    last: Seen | None = None
    tell = _json_lines if as_json else _panel if sys.stdout.isatty() else _lines
    teller = tell()
    next(teller)
    with on_signal(frames.stop):
        try:
            for seen in frames:
                last = seen
                teller.send(seen)
        finally:
            frames.close()
            teller.close()
            if last is not None:
                _summary(last, as_json)
    return 0


def _json_lines() -> Teller:
    while True:
        seen = yield
        sys.stdout.write(json.dumps(seen.line(), ensure_ascii=False) + "\n")
        sys.stdout.flush()


def _lines() -> Teller:
    told = -EVERY
    while True:
        seen = yield
        if time.monotonic() - told >= EVERY:
            told = time.monotonic()
            print(f"{seen.time:8.1f} s  {_said(seen)}  ({_pace(seen)})", flush=True)


def _panel() -> Teller:
    from rich.live import Live

    with Live(refresh_per_second=FRESH, transient=True) as view:
        while True:
            seen = yield
            view.update(panel(seen))


def panel(seen: Seen) -> RenderableType:
    """The frame's answer as bars, of objects how many there are, and how fast it goes."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1))
    for name, share, value in _bars(seen):
        full = round(WIDE * share)
        given = name in seen.answer.decision
        style = "bold green" if given else "dim"
        bar = Text("█" * full, "green" if given else "grey50") + Text("·" * (WIDE - full), "grey30")
        table.add_row(Text(name, style), bar, Text(value, style))
    flags = Text(", ".join(seen.answer.flags), "yellow")
    title = Text(f"{seen.camera}: {seen.model}")
    return Panel(Group(table, flags, Text(_pace(seen), "dim")), title=title, subtitle="Ctrl-C ends", expand=False)


def _bars(seen: Seen) -> list[tuple[str, float, str]]:
    """Name, length 0..1 and words of each bar."""
    labels = seen.answer.labels
    if seen.answer.size is None:
        return [(one.label, one.score or 0.0, f"{one.score or 0:.1%}") for one in labels[:MOST]]
    best = {one.label: max(other.score or 0.0 for other in labels if other.label == one.label) for one in labels}
    here = Counter(one.label for one in labels)
    names = list(dict.fromkeys([*here, *seen.counts]))[:MOST]
    so_far = {name: f", {seen.counts[name]} so far" if name in seen.counts else "" for name in names}
    return [(name, best.get(name, 0.0), f"{here[name]} now{so_far[name]}") for name in names] or [("nothing found", 0.0, "")]


def _said(seen: Seen) -> str:
    answer = seen.answer
    if answer.size is not None:
        return ", ".join(f"{count} {name}" for name, count in Counter(one.label for one in answer.labels).items()) or "nothing"
    scores = {one.label: one.score or 0.0 for one in answer.labels}
    said = ", ".join(f"{name} {scores.get(name, 0):.0%}" for name in answer.decision) or "none"
    return f"{said} [{', '.join(answer.flags)}]" if answer.flags else said


def _pace(seen: Seen) -> str:
    dropped = f", {seen.dropped:,} dropped" if seen.live else ""
    return f"{seen.per_second:.1f} frames a second, {seen.answer.took_ms:.0f} ms each{dropped}"


def _summary(last: Seen, as_json: bool) -> None:
    whole = last.summary()
    if as_json:
        print(json.dumps({"summary": whole}, ensure_ascii=False), flush=True)
        return
    pace = f"{whole['per_second']:.1f} a second, {whole['dropped']:,} dropped"
    print(f"{whole['frames']:,} frames in {whole['seconds']:.1f} s: {pace}")
    print(", ".join(f"{name} {count:,}" for name, count in whole["counts"].items()) or "nothing found")
