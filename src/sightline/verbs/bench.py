"""bench: how fast a model answers on this machine, on every provider, beside another model. Needs only the base install.

Each is measured in a process of its own, in turn with the others (`runtime/speed.py`). Speed without the same answers is worth
nothing, so every line says how often its top answer is that of the float model on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from sightline.errors import DatasetError, SightlineError, UsageError
from sightline.progress import note
from sightline.runtime.speed import Middle, Rival, Speed
from sightline.types import ErrorInfo, Record
from sightline.verbs.sameness import Same

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sightline.runtime.model import Recogniser

MADE_UP = 64  # pictures that stand for real ones where none are given
MOST = 200  # pictures that answers are compared on


class Line(Record):
    """One model on one provider."""

    model: str
    name: str
    provider: str
    bytes: int = Field(description="size of model.onnx")
    speed: Speed
    faster: Middle | None = Field(default=None, description="times as fast as the reference, one caller; None: it is the one")
    throughput: Middle | None = Field(default=None, description="times the pictures a second of the reference, all callers")
    same: Same | None = Field(default=None, description="None: it is the reference")


class Absent(Record):
    """A model or provider that could not be measured, and why."""

    model: str
    provider: str
    error: ErrorInfo


class Bench(Record):
    """How fast models answer here. The first line is the reference: `against`, or else the model itself, on the CPU."""

    processor: str
    cores: int
    threads: int
    seconds: float
    pictures: str = Field(description="the folder that answers and whole runs were measured on; empty: made-up pictures")
    lines: tuple[Line, ...]
    absent: tuple[Absent, ...]
    energy: str = Field(description="why no energy is told; empty where it is")


def bench(
    model: str | None = None,
    /,
    *,
    against: str | None = None,
    provider: list[str] | None = None,
    threads: int | None = None,
    seconds: float = 2.0,
    pictures: Path | None = None,
) -> Bench:
    """Measure how fast a model answers on this machine: latency, pictures a second, memory, energy where it is told.

    Args:
        model: A model's folder, zip or name; by default the one trained last.
        against: Another model to measure beside it, such as the large one it was made from; answers are compared with its.
        provider: What to compute with (cpu, cuda, coreml, openvino, openvino-bf16), several times; by default all there are.
        threads: How many pictures at once for pictures a second; by default one for each core.
        seconds: Of measuring for each line.
        pictures: Compare the answers on the pictures of this folder, and time whole runs from the file to the answer too.
    """
    from sightline.runtime import energy, speed
    from sightline.settings import cores, settings
    from sightline.verbs import installed, resolve

    if not 0 < seconds <= 600:
        raise UsageError(f"--seconds must be above 0 and at most 600, got {seconds:g}")
    if threads is not None and threads < 1:
        raise UsageError(f"--threads must be at least 1, got {threads}")
    wanted = _providers(provider)
    files = _files(pictures)
    own = str(resolve.model(model))
    models = [own] if against is None else [str(resolve.model(against)), own]
    _check_tasks(models)
    reference = Rival(models[0], "cpu")
    rivals = list(dict.fromkeys([reference, *(Rival(one, name) for one in reversed(models) for name in wanted)]))
    count = threads or settings().threads
    found = speed.compared(rivals, threads=count, seconds=seconds, pictures=files)
    absent = [
        Absent(model=str(rival.model), provider=rival.provider or "", error=result)
        for rival, result in zip(rivals, found, strict=True)
        if isinstance(result, ErrorInfo)
    ]
    pairs = [(rival, one) for rival, one in zip(rivals, found, strict=True) if isinstance(one, Speed)]
    lines = _lines(pairs, files, count)
    return Bench(
        processor=installed.processor(),
        cores=cores(),
        threads=count,
        seconds=seconds,
        pictures=str(pictures or ""),
        lines=tuple(lines),
        absent=tuple(absent),
        energy="" if energy.read() is not None else energy.SILENT,
    )


def _providers(given: list[str] | None) -> list[str]:
    """The providers to measure; UsageError for unknown ones, MissingExtraError for those asked for by name and not there."""
    from sightline.runtime import engines

    if not given:
        return list(engines.available())
    for name in given:
        engines.check(name)
    return [engines.chosen(name) for name in given]


def _files(pictures: Path | None) -> list[str]:
    if pictures is None:
        return []
    from sightline.data.readers import read_pictures

    paths = read_pictures([pictures])
    step = -(-len(paths) // MOST)
    files = [str(path) for path in paths[::step]]
    readable = [file for file in files if _opens(file)]
    if not readable:
        raise DatasetError(f"no picture in {pictures} can be read", hint="give another folder with --pictures, or none")
    if len(readable) < len(files):
        note(f"{len(files) - len(readable)} of {len(files)} pictures cannot be read and are left out")
    return readable


def _opens(file: str) -> bool:
    from sightline.runtime.pixels import decode, read_picture

    try:
        decode(read_picture(file))
    except SightlineError:
        return False
    return True


def _check_tasks(models: Sequence[str]) -> None:
    """UsageError for two models whose answers cannot be compared, before anything is measured."""
    from sightline.runtime.bundle import read_bundle

    tasks = [read_bundle(model).card.task for model in models]
    if len(set(tasks)) > 1:
        raise UsageError(f"{models[0]} answers {tasks[0]}, {models[1]} {tasks[1]}", hint="compare models of one task")


def _lines(pairs: Sequence[tuple[Rival, Speed]], files: Sequence[str], threads: int) -> list[Line]:
    """A line for each measured rival; agreement with the first one's answers."""
    from sightline.runtime.bundle import read_bundle
    from sightline.runtime.model import opened
    from sightline.runtime.speed import times_as_fast
    from sightline.verbs.sameness import answers, same

    lines: list[Line] = []
    truth = None
    for rival, measured in pairs:
        bundle = read_bundle(rival.model)
        recogniser: Recogniser = opened(bundle.card, bundle.onnx, threads, rival.provider)
        given = answers(recogniser, files, MADE_UP)
        if truth is None:
            truth = given
        first = lines[0].speed if lines else None
        lines.append(
            Line(
                model=str(rival.model),
                name=bundle.card.name,
                provider=measured.provider,
                bytes=len(bundle.onnx),
                speed=measured,
                faster=None if first is None else times_as_fast(measured, first),
                throughput=None if first is None else times_as_fast(measured, first, together=True),
                same=None if first is None else same(truth, given),
            )
        )
    return lines


def show(result: Bench) -> RenderableType:
    """A table for people: a line for each model and provider, what is not there, and what the numbers are of."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    columns = ["model", "computes on", "ms", "95 %", "a second", "times as fast", "same answers", "MB", "memory MB", "load ms"]
    several = len({line.model for line in result.lines}) > 1
    whole = any(line.speed.whole_ms is not None for line in result.lines)
    told = any(line.speed.joules is not None for line in result.lines)
    columns += ["with decoding ms", "a second"] * whole + ["mJ a picture"] * told
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(columns):
        table.add_column(name, justify="left" if place < 2 else "right", overflow="fold")
    for line in result.lines:
        table.add_row(*_cells(line, whole, told))
    notes = [f"{result.processor}; {result.cores} cores. One picture at a time; a second: {result.threads} at once."]
    if any(line.same is not None for line in result.lines):
        count = next(line.same.pictures for line in result.lines if line.same is not None)
        where = f"pictures of {result.pictures}" if result.pictures else "made-up pictures; --pictures FOLDER tells more"
        notes.append(f"Same answers as the first line: on {count} {where}.")
    if several and not result.pictures:
        notes.append("Two models differ most on pictures that neither was made for: give --pictures.")
    notes += [f"{absent.provider or absent.model}: {absent.error.message}" for absent in result.absent]
    if result.energy:
        notes.append(f"Energy: {result.energy}.")
    return Group(table, *(Text(note, "dim") for note in notes))


def _cells(line: Line, whole: bool, told: bool) -> list[str]:
    from sightline.runtime.engines import TITLES

    speed = line.speed
    cells = [
        line.name,
        TITLES.get(line.provider, line.provider),
        f"{speed.latency_ms:.3g}",
        f"{speed.latency_p95_ms:.3g}",
        f"{speed.per_second:.4g}",
        "" if line.faster is None else f"{line.faster.value:.2f} ({line.faster.low:.2f}-{line.faster.high:.2f})",
        "" if line.same is None else f"{line.same.agreement:.1%}",
        f"{line.bytes / 1e6:.2f}",
        "" if speed.peak_mb is None else f"{speed.peak_mb:.0f} ({speed.model_mb:.0f} the model)",
        f"{speed.load_ms:.0f}",
    ]
    if whole:
        known = speed.whole_ms is not None and speed.whole_per_second is not None
        cells += [f"{speed.whole_ms:.3g}", f"{speed.whole_per_second:.4g}"] if known else ["", ""]
    if told:
        cells.append("" if speed.joules is None else f"{speed.joules * 1000:.3g}")
    return cells
