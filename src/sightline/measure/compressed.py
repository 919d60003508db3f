"""A compression as records: what every candidate costs and answers, the limits, the front, and which candidate to take.

Knows numbers, not how a candidate was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from sightline.errors import UsageError
from sightline.measure.limits import BYTES, MILLISECONDS, POINTS, amount
from sightline.types import Certificate, Record, Score

DROP = 0.01  # of the main score: what may be lost where nobody said otherwise
ORIGINAL = "original"  # the name of the model as it was


class Limits(Record):
    """The most that the model may have and lose. None: no limit."""

    bytes: int | None = None
    latency_ms: float | None = None
    drop: float | None = Field(default=None, description="of the main score: 0.01 is one point of a hundred")

    @property
    def text(self) -> str:
        """In words; empty without a limit."""
        said = [] if self.bytes is None else [f"at most {size(self.bytes)}"]
        said += [] if self.latency_ms is None else [f"at most {self.latency_ms:g} ms"]
        said += [] if self.drop is None else [f"a drop of at most {100 * self.drop:g} points"]
        return ", ".join(said)


def read_limits(size: str | None, latency: str | None, drop: str | None) -> Limits:
    """2MB, 10ms, 1%. UsageError for anything else."""
    most = amount("--max-size", size, BYTES, "2MB")
    wait = amount("--max-latency", latency, MILLISECONDS, "10ms")
    if most is not None and most < 1:
        raise UsageError(f"--max-size must be 1 byte or more, got {size!r}", hint="such as --max-size 2MB")
    return Limits(
        bytes=None if most is None else int(most), latency_ms=wait, drop=amount("--max-drop", drop, POINTS, "1%", zero=True)
    )


def size(count: float) -> str:
    """ "850 kB", "2.34 MB"."""
    if count < 1e3:
        return f"{count:.0f} bytes"
    return f"{count / 1e3:.0f} kB" if count < 999_500 else f"{count / 1e6:.3g} MB" if count < 1e9 else f"{count / 1e9:.3g} GB"


class Candidate(Record):
    """One way to a smaller model, measured. Numbers of one that failed are 0 or None."""

    how: str
    state: Literal["finished", "failed"] = "finished"
    why: str = Field(default="", description="of one that failed")
    hint: str = Field(default="", description="of one that failed: the next step")
    smallest: float | None = Field(default=None, description="of a pruning that failed: the least share that can be reached")
    calibrated_on: int = Field(default=0, description="pictures that its ranges of int8 came from")
    bytes: int = Field(default=0, description="of model.onnx")
    download_bytes: int = Field(default=0, description="of model.onnx, packed")
    latency_ms: float = Field(default=0.0, description="median of one prepared picture on one thread of this machine")
    latency_p95_ms: float = 0.0
    per_second: float = Field(default=0.0, description="prepared pictures a second on all threads")
    peak_mb: float = Field(default=0.0, description="memory of a process that does nothing but answer")
    input_size: int = 0
    scores: dict[str, Score] = Field(default_factory=dict)
    drop: float = Field(default=0.0, description="main score of the model as it was minus this one's, on the same pictures")
    drop_low: float = Field(default=0.0, description="with drop_high the 95 % interval of the drop, paired")
    drop_high: float = 0.0
    class_drops: dict[str, float] = Field(default_factory=dict, description="recall (objects: AP@.5) lost, by class")
    agreement: float = Field(default=0.0, description="share of pictures with the same top label, or decisions, as before")
    largest_difference: float = Field(default=0.0, description="largest change of any score")
    seconds: float = Field(default=0.0, description="that making it took")
    fits: bool = True
    model: str = Field(default="", description="where the bundle was kept; empty: dropped")


class Compression(Record):
    """What `compress` made: the model taken, and everything that was tried."""

    chosen: str = Field(description="the bundle that was written")
    how: str
    why: str
    report: str
    before: Candidate
    candidates: tuple[Candidate, ...]
    limits: Limits
    measure: str = Field(description="the main score: top1, map, map50 or miou")
    pictures: int = Field(description="validation pictures that the candidates were measured on")
    certificate: Certificate | None = Field(default=None, description="of the one taken; on test pictures where there are some")
    calibrated_on: int = Field(description="pictures that ranges of int8 came from")
    seconds: float = 0.0
    created: str = ""


def excess(one: Candidate, limits: Limits) -> float:
    """How far a candidate is beyond the limits, as a sum of shares of them; 0: it fits."""
    over = 0.0
    if limits.bytes is not None:
        over += max(0.0, one.bytes / limits.bytes - 1)
    if limits.latency_ms is not None:
        over += max(0.0, one.latency_ms / limits.latency_ms - 1)
    if limits.drop is not None:
        over += max(0.0, one.drop - limits.drop) / max(limits.drop, 0.01)
    return over


def choose(candidates: Sequence[Candidate], limits: Limits, measure: str) -> Candidate | None:
    """The one to take of those that fit; None where none does.

    With a limit of size or time the best answers count, of equally good ones the smaller file; without, the least of file
    times time, among those that lose no more than is allowed.
    """
    fitting = [one for one in candidates if one.state == "finished" and excess(one, limits) == 0]
    if not fitting:
        return None
    if limits.bytes is None and limits.latency_ms is None:
        return min(fitting, key=lambda one: (one.bytes * one.latency_ms, one.drop))
    return min(fitting, key=lambda one: (-one.scores[measure].value, one.bytes, one.latency_ms))


def nearest(candidates: Sequence[Candidate], limits: Limits) -> Candidate | None:
    """The one least beyond the limits; None where none was finished."""
    return min((one for one in candidates if one.state == "finished"), key=lambda one: excess(one, limits), default=None)


def front(candidates: Sequence[Candidate], measure: str) -> tuple[str, ...]:
    """Names of those that no other beats in file, time and score at once."""
    done = [one for one in candidates if one.state == "finished"]

    def costs(one: Candidate) -> tuple[float, float, float]:
        return one.bytes, one.latency_ms, -one.scores[measure].value

    def beaten(one: Candidate) -> bool:
        mine = costs(one)
        return any(
            its != mine and all(a <= b for a, b in zip(its, mine, strict=True)) for its in (costs(other) for other in done)
        )

    return tuple(one.how for one in done if not beaten(one))
