"""How fast a model answers here and what memory it needs: measured in a process of its own, several models in turn.

Rounds go A B A B and every second one backwards, so that a machine whose speed drifts favours none. The other end of the
conversation is `speedworker`. Knows neither truth nor labels.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from sightline.errors import BundleError, SightlineError, UsageError
from sightline.progress import task
from sightline.types import ErrorInfo, Record

ROUNDS = 5
_WORKER = [sys.executable, "-P", "-m", "sightline.runtime.speedworker"]


@dataclass(frozen=True, slots=True)
class Rival:
    """What is to be measured: a bundle or an ONNX file, on a provider (None: SIGHTLINE_PROVIDER)."""

    model: str | Path
    provider: str | None = None


class Middle(Record):
    """A measured number: the median of the rounds, and their quartiles."""

    value: float
    low: float
    high: float


class Speed(Record):
    """What one model does on this machine, a picture at a time (batch 1), made-up pictures of its input's size."""

    provider: str = Field(description="what computed: a key of runtime.engines.TITLES")
    threads: int = Field(description="callers at once, each on one core; `latency_ms` is with one")
    latency_ms: float = Field(description="median of all runs, one caller, without decoding")
    latency_p95_ms: float
    per_second: float = Field(description="pictures a second by all callers together, median of the rounds")
    load_ms: float = Field(description="reading and opening the model")
    peak_mb: float | None = Field(
        default=None, description="most memory of the whole process, in 10^6 bytes; None: the system does not tell"
    )
    model_mb: float | None = Field(default=None, description="of that, what came with the model")
    joules: float | None = Field(default=None, description="a picture, with all else that ran; None: the machine does not tell")
    runs: int
    latencies: tuple[float, ...] = Field(description="median of each round, ms")
    rates: tuple[float, ...] = Field(description="pictures a second of each round")
    whole_ms: float | None = Field(default=None, description="from the file to the answer, decoding included; where asked for")
    whole_per_second: float | None = None


def measured(
    model: str | Path, *, provider: str | None = None, threads: int | None = None, seconds: float = 1.0, rounds: int = ROUNDS
) -> Speed:
    """How fast a model (bundle folder, zip or name; an .onnx or .ort file) answers here.

    threads: callers at once (default SIGHTLINE_THREADS). seconds: of measuring; starting and warming take about one more.
    Raises NotFoundError, BundleError, MissingExtraError, UsageError.
    """
    (found,) = compared([Rival(model, provider)], threads=threads, seconds=seconds, rounds=rounds)
    if isinstance(found, ErrorInfo):
        raise _error(found.code, found.message, found.hint)
    return found


def compared(
    rivals: Sequence[Rival],
    *,
    threads: int | None = None,
    seconds: float = 1.0,
    rounds: int = ROUNDS,
    pictures: Sequence[str | Path] = (),
) -> list[Speed | ErrorInfo]:
    """Several models measured in turn, `seconds` for each; one that fails becomes an ErrorInfo and stops no other.

    pictures: files; bundles are then also timed from the file to the answer, for as long again. Raises UsageError.
    """
    if not seconds > 0 or rounds < 1 or (threads is not None and threads < 1):
        raise UsageError(f"seconds, rounds and threads must be above 0, got {seconds:g}, {rounds} and {threads}")
    with ExitStack() as stack:
        work = stack.enter_context(task("Measuring", len(rivals) * (1 + rounds * (2 if pictures else 1))))
        entrants = []
        for rival in rivals:
            entrants.append(stack.enter_context(_Entrant(rival, threads)))
            work.advance()
        share = seconds / rounds
        files = [os.fspath(picture) for picture in pictures]

        def in_turn(times: int, step: Callable[[_Entrant], None]) -> None:
            for number in range(times):
                for one in entrants if number % 2 == 0 else reversed(entrants):
                    one.attempt(step)
                    work.advance()

        in_turn(rounds, lambda one: one.run(share))
        for one in entrants:
            one.attempt(_Entrant.weigh)
        in_turn(rounds if files else 0, lambda one: one.run_whole(share, files))
        return [one.result() for one in entrants]


def times_as_fast(one: Speed, other: Speed, *, together: bool = False) -> Middle:
    """How many times as fast `one` is as `other`, round by round: by latency, or by pictures a second when `together`.

    Both must come from one call of `compared`.
    """
    if together:
        pairs = [a / b for a, b in zip(one.rates, other.rates, strict=True)]
    else:
        pairs = [b / a for a, b in zip(one.latencies, other.latencies, strict=True)]
    return middle(pairs)


def middle(values: Sequence[float]) -> Middle:
    low, high = _part(values, 0.25), _part(values, 0.75)
    return Middle(value=round(statistics.median(values), 4), low=round(low, 4), high=round(high, 4))


def _part(values: Sequence[float], share: float) -> float:
    """The value below which `share` of them lie, linear between neighbours."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


class _Entrant:
    """One model in its process; what it is asked for waits until it has been answered."""

    def __init__(self, rival: Rival, threads: int | None) -> None:
        self.error: SightlineError | None = None
        self._told = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            _WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._told, start_new_session=True
        )
        self._times: list[list[float]] = []
        self._rates: list[float] = []
        self._joules: list[float | None] = []
        self._whole: list[float] = []
        self._whole_rates: list[float] = []
        self._memory: dict[str, Any] = {}
        try:
            provider = rival.provider
            self._opened = self._ask({"model": os.fspath(rival.model), "provider": provider, "threads": threads})
        except SightlineError as error:
            self.error = error

    def __enter__(self) -> _Entrant:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._told.close()

    def attempt(self, step: Callable[[_Entrant], None]) -> None:
        """Do `step`, unless an earlier one has failed."""
        if self.error is None:
            try:
                step(self)
            except SightlineError as error:
                self.error = error

    def run(self, seconds: float) -> None:
        """One round: half of it with one caller, half with all."""
        alone = self._opened["threads"] == 1
        told = self._ask({"what": "latency", "seconds": seconds if alone else seconds / 2})
        times, joules = told["times"], told["joules_alone"]
        count, took = len(times), sum(times) / 1000
        if not alone:
            told = self._ask({"what": "throughput", "seconds": seconds / 2})
            count, took, joules = told["count"], told["seconds"], told["joules"]
        self._times.append(times)
        self._rates.append(count / took)
        self._joules.append(None if joules is None else joules / count)

    def run_whole(self, seconds: float, pictures: list[str]) -> None:
        told = self._ask({"what": "whole", "seconds": seconds / 2, "pictures": pictures})
        self._whole += told["times"]
        self._whole_rates.append(told["count"] / told["seconds"])

    def weigh(self) -> None:
        self._memory = self._ask({"what": "memory"})

    def result(self) -> Speed | ErrorInfo:
        if self.error is not None:
            return ErrorInfo(code=self.error.code, message=self.error.message, hint=self.error.hint)
        every = [time for times in self._times for time in times]
        used = [one for one in self._joules if one is not None]
        peak, model = (None if value is None else round(value / 1e6, 1) for value in self._memory.values())
        return Speed(
            provider=self._opened["provider"],
            threads=self._opened["threads"],
            latency_ms=round(statistics.median(every), 4),
            latency_p95_ms=round(_part(every, 0.95), 4),
            per_second=round(statistics.median(self._rates), 2),
            load_ms=round(self._opened["load_ms"], 1),
            peak_mb=peak,
            model_mb=model,
            joules=round(statistics.median(used), 6) if used else None,
            runs=len(every),
            latencies=tuple(round(statistics.median(times), 4) for times in self._times),
            rates=tuple(round(rate, 2) for rate in self._rates),
            whole_ms=round(statistics.median(self._whole), 4) if self._whole else None,
            whole_per_second=round(statistics.median(self._whole_rates), 2) if self._whole_rates else None,
        )

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The worker's answer to a request; raises the error that it tells, BundleError when it has died."""
        answer = b""
        try:
            assert self._process.stdin is not None  # both are pipes, see __init__
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            pass
        if not answer:
            raise self._died()
        told: dict[str, Any] = json.loads(answer)
        if "error" in told:
            raise _error(told["error"], told["message"], told["hint"])
        return told

    def _died(self) -> BundleError:
        code = self._process.wait()
        self._told.seek(0)
        lines = self._told.read().decode(errors="replace").strip().splitlines()
        said = f": {lines[-1][:300]}" if lines else ""
        return BundleError(
            f"the model could not be measured, its process ended with {code}{said}",
            hint="is there memory enough for it? does `sightline predict` answer with it?",
        )


def _error(code: str, message: str, hint: str) -> SightlineError:
    """The error of the tree that has this code."""
    kinds = [SightlineError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return next(kind for kind in (*kinds, SightlineError) if kind.code == code)(message, hint=hint)
