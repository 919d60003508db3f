"""The process of one job: reads the request from its standard input, runs the verb, tells its parent in JSON lines.

The parent is told on the standard output; what a verb prints goes to the log instead. SIGINT stops the verb, which keeps what
is done; when the parent dies this process ends. Knows nothing of the database.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from sightline.errors import SightlineError, StoppedError, UsageError, storage_errors
from sightline.progress import Event, listen
from sightline.settings import settings

EVERY_S = 0.2  # between two lines about one piece of work
MOST_RESULT = 64 << 20  # bytes of JSON; more does not belong into a database
_NICE = 5  # pictures that somebody waits for go first


def main() -> int:
    """Run one job; the exit code is 0 whenever the parent was told how it ended."""
    out = os.dup(1)
    os.dup2(2, 1)
    tell = Teller(out)
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the parent does with it
        _yield_to_others()
        request = json.loads(sys.stdin.buffer.readline())
        _end_with_parent()
        _stand_apart()
        result = _run(request, tell)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        tell.line({"result": result})
    except (KeyboardInterrupt, StoppedError) as error:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        kept = error if isinstance(error, StoppedError) else StoppedError("stopped", hint="ask for it again to go on")
        tell.line({"stopped": _error(kept)})
    except SightlineError as error:
        tell.line({"error": _error(error)})
    except Exception as error:  # a fault of ours: the log gets all of it, the client what it is called
        traceback.print_exc()
        fault = SightlineError(
            f"the verb broke off: {type(error).__name__}", hint="the log of the worker holds the cause; please report it"
        )
        tell.line({"error": _error(fault)})
    return 0


class Teller:
    """Writes lines to the parent; progress at most once in EVERY_S for each piece of work. Used from any thread."""

    def __init__(self, handle: int) -> None:
        self._handle, self._lock = handle, threading.Lock()
        self._told: dict[str, float] = {}
        self._note = ""

    def line(self, content: dict[str, Any]) -> None:
        data = json.dumps(content, allow_nan=False).encode() + b"\n"
        with self._lock:
            while data:
                data = data[os.write(self._handle, data) :]

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        if not event.what:
            self._note = event.note
        elif not event.finished and now - self._told.get(event.what, -EVERY_S) < EVERY_S:
            return
        self._told[event.what] = now
        self.line({"progress": progress_of(event, self._note)})


def progress_of(event: Event, note: str = "") -> dict[str, Any]:
    """An event as the JSON that a job shows; `note` is the last thing said besides."""
    fields = {
        "what": event.what,
        "done": event.done,
        "total": event.total,
        "seconds": round(event.seconds, 1),
        "seconds_left": None if event.seconds_left is None else round(event.seconds_left, 1),
        "note": event.note or note,
    }
    return {key: value for key, value in fields.items() if value not in (None, "")}


def _run(request: dict[str, Any], tell: Teller) -> dict[str, Any] | None:
    """The verb's result as JSON values (NaN becomes null)."""
    from sightline.verbs import VERBS, verb
    from sightline.verbs.arguments import arguments_model, call, read_arguments

    name = request["verb"]
    if name not in VERBS or not VERBS[name].rest:
        raise UsageError(f"no job can run {str(name)[:40]!r}", hint="is this worker older than the server?")
    function = verb(name)
    arguments = read_arguments(arguments_model(name, function), request["arguments"])
    with listen(tell):
        result = call(function, arguments)
    if result is None:
        return None
    text = result.model_dump_json(exclude_none=True)
    if len(text) > MOST_RESULT:
        raise UsageError(
            f"the result is {len(text) / 1e6:.0f} MB of JSON, more than a job may have", hint="ask for fewer pictures at once"
        )
    found: dict[str, Any] = json.loads(text)
    return found


def _error(error: SightlineError) -> dict[str, str]:
    return {"code": error.code, "message": error.message, "hint": error.hint}


def _end_with_parent() -> None:
    """End when the parent ends, however it ends: then the pipe that it holds open is closed."""
    pipe = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    def watch() -> None:
        while os.read(pipe, 4096):
            pass
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)  # with the processes that the verb started
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _stand_apart() -> None:
    """Work in an empty folder: what a client gave as a name must not happen to be a file where the server was started."""
    apart = settings().home / "jobs"  # the settings are read here, with their paths made absolute
    with storage_errors(apart):
        apart.mkdir(parents=True, exist_ok=True)
        os.chdir(apart)


def _yield_to_others() -> None:
    """Less weight than those who answer pictures; and when memory is short the kernel shall take this process."""
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


if __name__ == "__main__":
    sys.exit(main())
