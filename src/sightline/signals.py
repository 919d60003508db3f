"""Ctrl-C as a request: what runs ends at a place of its own choosing. Knows nothing of what runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def on_signal(
    ask: Callable[[], object],
    *numbers: signal.Signals,
    again: Callable[..., Any] | signal.Handlers = signal.default_int_handler,
) -> Iterator[None]:
    """Within the block the first of the signals (by default Ctrl-C) calls `ask`; the second does what `again` says.

    Broken off at once a program can leave a lock held that another thread needs to end. Only the main thread can catch signals:
    in others nothing calls `ask`.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = numbers or (signal.SIGINT,)
    before = {number: signal.getsignal(number) for number in numbers}

    def first(number: int, _: object) -> None:
        signal.signal(number, again)
        ask()

    for number in numbers:
        signal.signal(number, first)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else again)
