"""The process behind `speed`: opens one model, and for each line on stdin runs it for a while and answers a line on stdout.

Started as `python -m sightline.runtime.speedworker`, so that the memory is that of this model alone. The first line names the
model, {"model", "provider", "threads"}; the others ask for "latency", "throughput", "memory" or "whole". Ends with stdin.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from sightline.errors import NotFoundError, SightlineError
from sightline.runtime import energy, keypoints
from sightline.runtime.bundle import read_bundle
from sightline.runtime.engines import Session, open_session, provider_of
from sightline.settings import settings
from sightline.types import Card

VARIED = 8  # different made-up pictures, so that no answer can be kept
WARM_RUNS, WARM_SECONDS = 3, 0.1
USUAL_SIDE = 224  # where neither the graph nor a card says
Work = Callable[[int], object]  # one run, given its number
_TYPES = {"float": "float32", "double": "float64"}  # others are called in the graph as in numpy


def main() -> None:
    with os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1) as answers:
        os.dup2(2, 1)  # what a library prints must not get into the conversation
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
        try:
            converse(json.loads(sys.stdin.readline()), sys.stdin, answers)
        except SightlineError as error:
            told = {"error": error.code, "message": error.message, "hint": error.hint}
            answers.write(json.dumps(told) + "\n")


def converse(request: dict[str, Any], asked: TextIO, answers: TextIO) -> None:
    """Open the model, say what it took, then answer line by line."""

    def tell(**told: Any) -> None:
        answers.write(json.dumps(told) + "\n")

    provider = request["provider"] or settings().provider
    threads = request["threads"] or settings().threads
    load_library(provider)
    before = resident()
    start = time.perf_counter()
    onnx, card = read_model(request["model"])
    session = open_session(onnx, None, provider, threads)
    load_ms = (time.perf_counter() - start) * 1000
    del onnx
    feeds = made_up(session, card)

    def graph(number: int) -> object:
        return session.run(None, feeds[number % VARIED])

    warm(graph)
    tell(load_ms=load_ms, provider=provider_of(session), threads=threads)
    whole: Work | None = None
    for line in asked:
        ask = json.loads(line)
        if ask["what"] == "latency":
            tell(**alone(graph, ask["seconds"]))
        elif ask["what"] == "throughput":
            tell(**together(graph, ask["seconds"], threads))
        elif ask["what"] == "memory":
            most = peak()
            tell(peak=most, model=None if most is None or before is None else max(0, most - before))
        else:
            if whole is None:
                whole = from_files(request["model"], ask["pictures"], threads, provider)
                warm(whole)
            tell(**alone(whole, ask["seconds"]), **together(whole, ask["seconds"], threads))


def from_files(model: str, pictures: list[str], threads: int, provider: str) -> Work:
    """Run number n: picture n from its file to its answer. Raises as `load` and `predict` do."""
    from sightline.runtime.model import load

    recogniser = load(model, threads, provider)
    return lambda number: recogniser.predict(pictures[number % len(pictures)])


def load_library(provider: str) -> None:
    """Import what computes: neither its time nor its memory is the model's. Raises MissingExtraError."""
    import onnxruntime  # noqa: F401

    if provider.startswith("openvino"):
        from sightline.runtime.openvino import package

        package()


def read_model(model: str) -> tuple[bytes, Card | None]:
    """The graph of a bundle, or an ONNX file as it is. Raises NotFoundError, ModelNotFoundError, BundleError."""
    path = Path(model).expanduser()
    if path.suffix.lower() in (".onnx", ".ort"):
        if not path.is_file():
            raise NotFoundError(f"no such file: {path}", hint="check the path")
        return path.read_bytes(), None
    bundle = read_bundle(model)
    return bundle.onnx, bundle.card


def made_up(session: Session, card: Card | None) -> list[dict[str, NDArray[Any]]]:
    """What a graph takes, VARIED times: batch 1, smooth noise as pictures, in the type and size that it wants."""
    from PIL import Image

    rng = np.random.default_rng(0)
    side = card.input.size if card is not None else USUAL_SIDE
    entries = session.get_inputs()
    if entries[0].name == "keypoints":
        coarse = rng.integers(0, 256, (VARIED, 12, 12, 3), dtype=np.uint8)
        pictures = [np.asarray(Image.fromarray(one).resize((side, side), Image.Resampling.BICUBIC)) for one in coarse]
        feed = keypoints.feed(session)
        return [feed(one[None]) for one in pictures]

    def array(kind: str, shape: list[int]) -> NDArray[Any]:
        name = kind.removeprefix("tensor(").removesuffix(")")
        wanted = np.dtype(_TYPES.get(name, name))
        coarse = rng.random(shape, np.float32)
        return coarse.astype(wanted) if wanted.kind == "f" else (coarse * 255).astype(wanted)

    shapes = [
        [size if isinstance(size, int) and size > 0 else side if place else 1 for place, size in enumerate(entry.shape)]
        for entry in entries
    ]
    return [{entry.name: array(entry.type, shape) for entry, shape in zip(entries, shapes, strict=True)} for _ in range(VARIED)]


def warm(work: Work) -> None:
    start, number = time.perf_counter(), 0
    while number < WARM_RUNS or time.perf_counter() - start < WARM_SECONDS:
        work(number)
        number += 1


def alone(work: Work, seconds: float) -> dict[str, Any]:
    """The times of one caller, and what energy they took."""
    before = energy.read()
    times = timed(work, seconds)
    return {"times": times, "joules_alone": energy.joules(before, energy.read())}


def timed(work: Work, seconds: float) -> list[float]:
    """Milliseconds of each run, one after the other, until `seconds` are over; at least one."""
    times: list[float] = []
    now = time.perf_counter()
    end = now + seconds
    while not times or now < end:
        work(len(times))
        before, now = now, time.perf_counter()
        times.append((now - before) * 1000)
    return times


def together(work: Work, seconds: float, threads: int) -> dict[str, Any]:
    """How many runs `threads` callers do in `seconds`, and what energy that took."""
    counts = [0] * threads
    faults: list[BaseException] = []
    ready = threading.Barrier(threads + 1)

    def caller(place: int) -> None:
        try:
            ready.wait()
            counts[place] = len(timed(lambda number: work(number + place), seconds))
        except BaseException as error:
            faults.append(error)

    callers = [threading.Thread(target=caller, args=(place,)) for place in range(threads)]
    for one in callers:
        one.start()
    ready.wait()
    before, start = energy.read(), time.perf_counter()
    for one in callers:
        one.join()
    took = time.perf_counter() - start
    if faults:
        raise faults[0]
    return {"count": sum(counts), "seconds": took, "joules": energy.joules(before, energy.read())}


def resident() -> int | None:
    """Bytes of memory that this process holds now; None where the system does not tell."""
    return _status("VmRSS")


def peak() -> int | None:
    """The most bytes that this process has held."""
    found = _status("VmHWM")
    if found is None:
        try:
            import resource
        except ModuleNotFoundError:  # Windows
            return None
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found = most if sys.platform == "darwin" else most * 1024
    return found


def _status(field: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), None)


if __name__ == "__main__":
    main()
