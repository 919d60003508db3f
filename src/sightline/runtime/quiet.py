"""Keeps what libraries say about odd files off the user's terminal while a picture is decoded; knows nothing of pictures.

Both switches are of the whole process, so they are thrown by the first thread that decodes and put back by the last.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import ctypes

_FILTER = ("ignore", None, Warning, re.compile(r"PIL\.|pillow_heif\."), 0)
_SINK = logging.NullHandler()  # without any handler, logging's last resort prints Pillow's log; the user's own still get it
_lock = threading.Lock()
_users = {"warnings": 0, "libtiff": 0}
_before: list[Any] = []  # libtiff's own handlers, while ours are in place


@contextmanager
def quiet_warnings() -> Iterator[None]:
    """No warnings or log lines of Pillow or pillow-heif (strange TIFF tags, EXIF).

    `warnings.catch_warnings` swaps all filters of the process and is not safe with threads; this puts one narrow filter
    in front, and leaves the user's own filters, and what they have shown already, alone.
    """
    filters, logger = cast("list[object]", warnings.filters), logging.getLogger("PIL")

    def on() -> None:
        filters.insert(0, _FILTER)
        logger.addHandler(_SINK)

    def off() -> None:
        logger.removeHandler(_SINK)
        if _FILTER in filters:
            filters.remove(_FILTER)

    with _while_used("warnings", on, off):
        yield


@contextmanager
def quiet_libtiff() -> Iterator[None]:
    """libtiff writes its errors to stderr before Pillow raises them; here its handlers are taken away (Linux only)."""
    setters = _libtiff_setters()

    def on() -> None:
        _before[:] = [setter(None) for setter in setters]

    def off() -> None:
        for setter, handler in zip(setters, _before, strict=True):
            setter(handler)

    with _while_used("libtiff", on, off):
        yield


@contextmanager
def _while_used(name: str, on: Callable[[], None], off: Callable[[], None]) -> Iterator[None]:
    with _lock:
        if not _users[name]:
            on()
        _users[name] += 1
    try:
        yield
    finally:
        with _lock:
            _users[name] -= 1
            if not _users[name]:
                off()


@cache
def _libtiff_setters() -> tuple[ctypes._NamedFuncPointer, ...]:
    """libtiff's TIFFSetErrorHandler and TIFFSetWarningHandler, from the library that Pillow has loaded; or nothing."""
    if not sys.platform.startswith("linux"):
        return ()
    import ctypes

    import PIL._imaging  # noqa: F401 - loads libtiff

    try:
        maps = Path("/proc/self/maps").read_text()
        found = re.search(r"(/\S*libtiff[^/\s]*\.so[^/\s]*)$", maps, re.MULTILINE)
        library = ctypes.CDLL(found[1]) if found else None
        setters = [getattr(library, name) for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler")] if library else []
    except (OSError, AttributeError):
        return ()
    for setter in setters:
        setter.restype, setter.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    return tuple(setters)
