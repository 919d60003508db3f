"""worker: run the jobs that a server beside it takes in, in this process; as many workers as you like, on any machine that
reaches the same database and the same folders.
"""

from __future__ import annotations

import logging
import signal
import threading
from typing import TYPE_CHECKING

from sightline.errors import UsageError, missing_extra
from sightline.signals import on_signal
from sightline.types import Record

if TYPE_CHECKING:
    from rich.console import RenderableType

log = logging.getLogger("sightline.jobs")


class Worked(Record):
    """How many jobs came to which end here; `returned` ones go on with another worker."""

    done: int = 0
    failed: int = 0
    cancelled: int = 0
    returned: int = 0


def worker(*, jobs: int = 1, once: bool = False) -> Worked:
    """Run the jobs that `sightline serve --root DIR` takes in. Stops at Ctrl-C or SIGTERM; running jobs are handed back.

    Args:
        jobs: How many run at once.
        once: Stop when none is waiting any more.
    """
    if not 1 <= jobs <= 64:
        raise UsageError(f"--jobs must be 1 to 64, got {jobs}")
    try:
        from sightline.jobs.runner import Crew
        from sightline.store.database import database
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("sightline"):
            raise
        raise missing_extra("store", "running jobs") from error
    db = database()
    _show_log()
    crew = Crew(db, jobs)
    stop = threading.Event()
    # the second signal ends it at once; its jobs' processes end with it
    with on_signal(stop.set, signal.SIGINT, signal.SIGTERM, again=signal.SIG_DFL):
        crew.start(once=once)
        log.info("waiting for jobs in %s (stop with Ctrl-C)", db.engine.url.render_as_string())
        while not stop.wait(0.1) and not crew.join(0):
            pass
        crew.stop()
        crew.join()
    log.info("stopped")
    ends = {end: count for end, count in crew.ended.items() if end in Worked.model_fields}
    return Worked(**ends)


def show(result: Worked) -> RenderableType:
    """One line."""
    from rich.text import Text

    counts = result.model_dump()
    return Text(", ".join(f"{count} {end}" for end, count in counts.items() if count) or "no jobs")


def _show_log() -> None:
    """Log lines on stderr, unless the program around us set a log up already."""
    log.setLevel(logging.INFO)
    if logging.getLogger().handlers or log.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S"))
    log.handlers = [handler]
    log.propagate = False
