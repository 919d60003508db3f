"""Running jobs: claims one, runs its verb in a process of its own, beats, and stores how it ended. Knows no HTTP.

A job's process can be stopped and can die without harm to whoever runs it. A stopped crew hands its jobs back, so that another
goes on with them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Any, Literal

from sightline.errors import StorageError
from sightline.store import jobs as store
from sightline.store.database import Database
from sightline.types import ErrorInfo, Job

log = logging.getLogger("sightline.jobs")

CHILD = [sys.executable, "-m", "sightline.jobs.child"]

_DAY_S = 86_400.0
_LEAVE_S = 5.0  # for a process to end after its last word
_LOST = "another worker has it, or the database was away for too long"

End = Literal["done", "failed", "cancelled", "returned", "died", "lost"]


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds. A lease is many beats long, so that a busy machine does not lose its jobs."""

    lease: float = 20.0
    beat: float = 2.0  # without news
    news: float = 1.0  # with progress to store
    look: float = 1.0  # for new jobs, when there are none
    cancel: float = 20.0  # how long a cancelled verb may take to stop by itself
    hand_back: float = 5.0  # the same, when the worker is stopping
    again: float = 2.0  # before a job whose process died is tried again, longer each time


@dataclass(slots=True)
class Told:
    """What the job's process has said so far."""

    progress: dict[str, Any] | None = None
    end: dict[str, Any] | None = None  # with one of the keys result, error, stopped
    rest: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> None:
        self.rest += data
        *lines, last = self.rest.split(b"\n")
        self.rest = bytearray(last)
        for line in lines:
            content = json.loads(line)
            if "progress" in content:
                self.progress = content["progress"]
            else:
                self.end = content


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job in a worker's hands."""

    db: Database
    job: Job
    worker: str
    pace: Pace


class Crew:
    """`count` threads that run one job each; for a server beside its other work, and for `sightline worker`."""

    def __init__(self, db: Database, count: int = 1, pace: Pace | None = None) -> None:
        self.db, self.pace = db, pace or Pace()
        self.ended: Counter[str] = Counter()  # how many jobs came to which end here
        self._stop, self._news = threading.Event(), threading.Event()
        self._once = False
        name = f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(4)}"
        self._threads = [
            threading.Thread(target=self._work, args=(f"{name}:{number}",), name=f"sightline-job-{number}", daemon=True)
            for number in range(count)
        ]

    def start(self, *, once: bool = False) -> None:
        """Begin to claim jobs; with `once` only until none is waiting."""
        self._once = once
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """There is a new job: do not wait for the next look."""
        self._news.set()

    def stop(self) -> None:
        """Take no more jobs and hand back those that run; returns at once, `join` waits."""
        self._stop.set()
        self._news.set()

    def join(self, seconds: float | None = None) -> bool:
        """Wait until all threads have ended; says whether they have."""
        until = None if seconds is None else time.monotonic() + seconds
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(None if until is None else max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self, worker: str) -> None:
        tidy = 0.0
        while not self._stop.is_set():
            self._news.clear()
            try:
                if time.monotonic() >= tidy:
                    tidy = time.monotonic() + _DAY_S
                    store.prune(self.db)
                job = store.claim(self.db, worker, self.pace.lease)
            except StorageError as error:
                log.error("no job can be claimed: %s", error.message)
                job = None
            except Exception:  # nobody would start this thread again
                log.exception("no job can be claimed")
                job = None
            if job is not None:
                self._count(job, worker)
            elif self._once:
                return
            else:
                self._news.wait(self.pace.look)

    def _count(self, job: Job, worker: str) -> None:
        log.info("job %s: %s begins%s", job.id, job.verb, f", attempt {job.attempts}" if job.attempts > 1 else "")
        start = time.monotonic()
        try:
            end, why = run(Claimed(self.db, job, worker, self.pace), self._stop)
        except StorageError as error:  # the lease ends, and another worker goes on
            end, why = "lost", error.message
        except Exception:  # a fault of ours must not end the worker: the lease ends, and the death is counted
            log.exception("job %s: broken off by a fault", job.id)
            end, why = "lost", "a fault"
        self.ended[end] += 1
        log.info("job %s: %s after %.1f s%s", job.id, end, time.monotonic() - start, f": {why}" if why else "")


def run(mine: Claimed, stop: threading.Event) -> tuple[End, str]:
    """Run a job to its end and store it; says how it ended, and why. Raises StorageError when it cannot be stored.

    `stop` hands it back.
    """
    child = _begin(mine.job)
    told = Told()
    try:
        asked = _watch(mine, stop, child, told)
    finally:
        _leave(child, told)
    if asked == "lost":
        return "lost", _LOST
    return _store(mine, asked, told, child.returncode)


def _begin(job: Job) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(CHILD, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, bufsize=0)
    if child.stdin is None or child.stdout is None:
        raise OSError("the job's process has no pipes")
    request = json.dumps({"verb": job.verb, "arguments": job.arguments}).encode() + b"\n"
    with contextlib.suppress(BrokenPipeError):  # it died at once: its end says so
        view = memoryview(request)
        while view:
            view = view[child.stdin.write(view) or 0 :]
    return child


def _watch(mine: Claimed, stop: threading.Event, child: subprocess.Popen[bytes], told: Told) -> str:
    """Read what the process tells and beat until it has ended; says who asked it to stop: "", cancel, stop or lost."""
    pace = mine.pace
    asked, kill_at = "", 0.0
    beaten = held = time.monotonic()
    shown: dict[str, Any] | None = None
    while child.poll() is None and told.end is None:
        _read(child.stdout, told, 0.1)
        now = time.monotonic()
        answer = "go"
        if now - beaten >= (pace.beat if told.progress is shown else pace.news):
            beaten, shown = now, told.progress
            try:
                answer = store.beat(mine.db, mine.job.id, mine.worker, pace.lease, shown)
                held = now
            except StorageError as error:
                log.warning("job %s: no beat: %s", mine.job.id, error.message)
                answer = "lost" if now - held > pace.lease else "go"
        if answer == "lost":
            return "lost"
        if answer == "cancel" and not asked:
            asked, kill_at = "cancel", now + pace.cancel
            child.send_signal(signal.SIGINT)
        if stop.is_set():
            if not asked:
                asked, kill_at = "stop", now + pace.hand_back
                child.send_signal(signal.SIGINT)
            kill_at = min(kill_at, now + pace.hand_back)
        if asked and now >= kill_at:
            break
    return asked


def _store(mine: Claimed, asked: str, told: Told, code: int | None) -> tuple[End, str]:
    """Write how it ended; tried again while the database is away, as long as the lease may last."""
    last = told.end or {}
    said = next((ErrorInfo.model_validate(last[kind]) for kind in ("error", "stopped") if kind in last), None)
    end: End
    if "result" in last:
        end, why, write = "done", "", partial(store.finish, result=last["result"])
    elif said and "error" in last:
        end, why, write = "failed", said.message, partial(store.fail, error=said)
    elif asked == "cancel":
        end, why = "cancelled", said.message if said else "it did not stop by itself"
        write = partial(store.stopped, error=said)
    elif asked == "stop":
        end, why, write = "returned", "this worker is stopping", partial(store.hand_back)
    else:
        end, why = "died", "somebody stopped it" if said else _cause(code)
        write = partial(store.died, reason=why, wait_s=mine.pace.again * 2 ** (mine.job.attempts - 1))
    until = time.monotonic() + mine.pace.lease
    while True:
        try:
            return (end, why) if write(mine.db, mine.job.id, mine.worker) else ("lost", _LOST)
        except StorageError:
            if time.monotonic() > until:
                raise
            time.sleep(1.0)


def _cause(code: int | None) -> str:
    """Why a process ended, in words."""
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        guess = ", which a machine out of memory does" if -code == signal.SIGKILL else ""
        return f"it was ended by {name}{guess}"
    return f"it ended with exit code {code} and said nothing"


def _read(pipe: IO[bytes] | None, told: Told, seconds: float) -> bool:
    """Take what is there within `seconds`; False when there was nothing."""
    if pipe is None:
        return False
    ready = select.poll()  # select() cannot watch the high numbers that files have in a busy server
    ready.register(pipe, select.POLLIN)
    if not ready.poll(seconds * 1000):
        return False
    data = os.read(pipe.fileno(), 1 << 16)
    if not data:  # closed: the process is about to end
        time.sleep(min(seconds, 0.02))
        return False
    told.feed(data)
    return True


def _leave(child: subprocess.Popen[bytes], told: Told) -> None:
    """See the process and those that it started end; hear its last words; close its pipes."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_LEAVE_S if told.end is not None else 0)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    while told.end is None and _read(child.stdout, told, 0):
        pass
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):  # what it did not read cannot be written any more
                pipe.close()
