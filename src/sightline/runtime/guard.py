"""Decoding what strangers send: in warm worker processes with a memory cap and a deadline for each picture.

A worker that dies or overruns is replaced; the caller sees a typed error. Knows the conversation, not the decoding.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from queue import Empty, LifoQueue
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sightline.errors import MissingExtraError, PictureError, PictureTimeoutError, UnavailableError, UsageError, missing_extra
from sightline.runtime import pipe
from sightline.runtime.limits import Limits, standard_limits

if TYPE_CHECKING:
    from sightline.types import InputSpec

START_SECONDS = 60.0  # for a busy machine; 0.2 are usual
_WORKER = [sys.executable, "-m", "sightline.runtime.guardworker"]


Drawn = Literal["svg", "eps", "dicom"]  # what `Guard.convert` makes pixels of
_NEEDED = {"svg": "cairosvg", "dicom": "pydicom"}


class Worker:
    """One decoder process and the two ends of its pipes. Used by one thread at a time."""

    def __init__(self, memory_mb: int, media: bool = False) -> None:
        # Not fork: the parent may have threads. An almost empty environment: a captured decoder finds no secrets there.
        environment = {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "PYTHONSAFEPATH": "1",
            "OPENBLAS_NUM_THREADS": "1",  # threads and arenas reserve address space, which is what is capped
            "MALLOC_ARENA_MAX": "1",
        }
        self.process = subprocess.Popen(
            [*_WORKER, str(memory_mb), *(["media"] if media else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            bufsize=0,
            start_new_session=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.to, self.back = self.process.stdin.fileno(), self.process.stdout.fileno()
        for handle in (self.to, self.back):
            os.set_blocking(handle, False)
            with suppress(OSError):  # a user may hold only so many large pipes; small ones work too
                fcntl.fcntl(handle, fcntl.F_SETPIPE_SZ, 1 << 20)
        self.ready = False

    def wait_ready(self) -> None:
        """Until the worker has loaded its libraries; UnavailableError when it cannot start."""
        if self.ready:
            return
        try:
            pipe.read(self.back, time.monotonic() + START_SECONDS)
        except (pipe.Gone, pipe.Late) as error:
            raise UnavailableError(
                "the picture decoder process does not start", hint="run `sightline doctor`; is the machine out of memory?"
            ) from error
        self.ready = True

    def ask(self, header: dict[str, Any], data: bytes, seconds: float, max_body: int) -> tuple[dict[str, Any], bytearray]:
        deadline = time.monotonic() + seconds
        pipe.write(self.to, [pipe.pack(header, data), data], deadline)
        return pipe.read(self.back, deadline, max_body)

    def end(self) -> None:
        """Kill it, with what it may have started, and collect it; harmless when it is dead."""
        if self.process.poll() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)  # a session of its own: the group bears its number
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


class Guard:
    """`workers` decoder processes behind one door, for any number of threads.

    memory_mb caps the address space of each; deadline_s is for one picture, not counting the wait for a free worker. Workers
    with `media` draw for `convert`, which starts one of its own when first asked. Use as a context manager, or call `close`.
    """

    def __init__(
        self,
        workers: int = 1,
        memory_mb: int = 1024,
        deadline_s: float = 10.0,
        limits: Limits | None = None,
        *,
        eps: bool = False,
        media: bool = False,
    ) -> None:
        self.memory_mb, self.deadline_s, self.limits = memory_mb, deadline_s, limits or standard_limits()
        self._eps, self._media = eps, media
        self._drawing: Guard | None = None
        self._lock = threading.Lock()
        self._all: set[Worker] = set()
        self._free: LifoQueue[Worker | None] = LifoQueue()
        self._closed = False
        self._finalizer = weakref.finalize(self, _end_all, self._all)
        for _ in range(workers):
            self._free.put(self._start())

    def prepare(self, data: bytes, spec: InputSpec) -> NDArray[np.uint8]:
        """As `pixels.prepare`: uint8 (size, size, 3); also PictureTimeoutError, and UnavailableError after `close`."""
        fields = {name: getattr(spec, name) for name in ("size", "fit", "crop", "interpolation", "steps")}
        return self._ask({"spec": fields}, data)[0]

    def decode(self, data: bytes, shorter: int | None = None) -> NDArray[np.uint8]:
        """As `pixels.decode`: uint8 (h, w, 3); errors as `prepare`."""
        return self._ask({"spec": None, "shorter": shorter}, data)[0]

    def convert(self, data: bytes, kind: Drawn, side: int) -> NDArray[np.uint8]:
        """A drawing or medical picture as uint8 (h, w, 3) on white ground.

        An SVG (or gzipped SVG) or EPS is drawn so that its longer side has `side` pixels; a DICOM file gives its first frame,
        made smaller where it is larger. Errors as `prepare`; MissingExtraError; UsageError for an EPS without `eps`.
        """
        return next(self.convert_every(data, kind, side))

    def convert_every(self, data: bytes, kind: Drawn, side: int) -> Iterator[NDArray[np.uint8]]:
        """As `convert`, for every frame of a DICOM file."""
        request = {"spec": None, "convert": kind, "side": side, **_drawn_with(kind, self._eps)}
        self.limits.check_size(side, side)
        with self._lock:
            if self._closed:
                raise _closed_error()
            if self._drawing is None:
                self._drawing = Guard(1, self.memory_mb, self.deadline_s, self.limits, media=True)
        frame, frames = 0, 1
        while frame < frames:
            pixels, answer = self._drawing._ask({**request, "frame": frame}, data)
            frames = int(answer.get("frames", 1)) if frame == 0 else frames
            frame += 1
            yield pixels

    def close(self) -> None:
        """End all workers, also those at work (their callers get UnavailableError). May be called again."""
        with self._lock:
            self._closed, drawing = True, self._drawing
            for worker in self._all:
                worker.process.kill()  # only this here: the pipes of a worker at work belong to the thread that reads them
        if drawing is not None:
            drawing.close()
        while True:
            try:
                idle = self._free.get_nowait()
            except Empty:
                break
            if idle:
                self._forget(idle)
        self._free.put(None)  # wakes whoever waits for a worker, one after the other

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, request: dict[str, Any], data: bytes) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        self.limits.check_bytes(len(data))  # before it is sent anywhere
        header = {**request, "limits": asdict(self.limits), "seconds": self.deadline_s}
        worker = self._borrow()
        try:
            worker.wait_ready()
            answer, body = worker.ask(header, data, self.deadline_s, self._max_body(request))
            pixels = None if "error" in answer else _pixels(answer, body)
        except pipe.Late:
            self._give_back_new(worker)
            raise PictureTimeoutError(
                f"the picture took more than {self.deadline_s:g} s to decode", hint="save it again in a simpler format"
            ) from None
        except pipe.Gone:
            closed = self._closed
            self._give_back_new(worker)
            if closed:
                raise _closed_error() from None
            raise PictureError(
                "the picture made its decoder crash", hint="it is damaged, or made to do harm: leave it out"
            ) from None
        except BaseException:  # not started, or Ctrl-C in the middle of a conversation
            self._give_back_new(worker)
            raise
        self._put_back(worker)
        if pixels is None:
            raise pipe.unpack_error(answer)
        return pixels, answer

    def _max_body(self, request: dict[str, Any]) -> int:
        """Bytes that an honest worker may answer: a captured one cannot fill our memory."""
        spec = request["spec"]
        side = spec["size"] if spec else request.get("side")
        return int(3 * (side**2 if side else self.limits.max_megapixels * 1e6))

    def _borrow(self) -> Worker:
        """A free worker, waiting for one if need be; dead ones are replaced on the way."""
        worker = self._free.get()
        if worker is None:
            self._free.put(None)
            raise _closed_error()
        if worker.process.poll() is None:
            return worker
        self._give_back_new(worker)  # killed from outside while it was idle: not this picture's fault
        return self._borrow()

    def _give_back_new(self, worker: Worker) -> None:
        """End a worker and put a new one in its place."""
        self._forget(worker)
        fresh = worker
        try:
            fresh = self._start()
        except UnavailableError:
            if not self._closed:
                raise
        finally:
            self._put_back(fresh)  # when none starts, the dead one: the next caller tries again

    def _put_back(self, worker: Worker) -> None:
        if self._closed:
            self._forget(worker)
        else:
            self._free.put(worker)

    def _forget(self, worker: Worker) -> None:
        with self._lock:
            self._all.discard(worker)
        worker.end()

    def _start(self) -> Worker:
        with self._lock:
            if self._closed:
                raise _closed_error()
            try:
                worker = Worker(self.memory_mb, self._media)
            except OSError as error:
                raise UnavailableError(
                    f"no process for decoding pictures: {error.strerror}", hint="is the machine out of memory?"
                ) from error
            self._all.add(worker)
            return worker


def _pixels(answer: dict[str, Any], body: bytearray) -> NDArray[np.uint8]:
    """uint8 (h, w, 3) from an answer; Gone when it makes no sense."""
    try:
        height, width, channels = map(int, answer["shape"])
        if channels != 3:
            raise ValueError(f"{channels} channels")
        return np.frombuffer(body, np.uint8).reshape(height, width, channels)
    except (KeyError, TypeError, ValueError) as error:
        raise pipe.Gone(f"an answer without sense: {error}") from error


def _drawn_with(kind: Drawn, eps: bool) -> dict[str, Any]:
    """What the worker has to be told; MissingExtraError, UsageError where this kind cannot be drawn here."""
    if kind in _NEEDED:
        if importlib.util.find_spec(_NEEDED[kind]) is None:
            raise missing_extra("media", f"reading {kind.upper()} files")
        return {}
    if kind != "eps":
        raise UsageError(f"no such kind of drawing: {kind!r}", hint="svg, eps or dicom")
    if not eps:
        raise UsageError("EPS files are programs and are not run", hint="export it as PNG, or say --eps if you trust it")
    program = shutil.which("gs")
    if program is None:
        raise MissingExtraError(
            "drawing EPS files needs Ghostscript, which is not installed", hint="install the program gs (ghostscript)"
        )
    return {"ghostscript": program}


def _closed_error() -> UnavailableError:
    return UnavailableError("the picture decoder is closed", hint="the program is stopping")


def _end_all(workers: set[Worker]) -> None:
    for worker in list(workers):
        worker.end()
    workers.clear()
