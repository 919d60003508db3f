"""Writes a set of drawn road signs as class folders, on all cores; the number of cores does not change the pictures.

OUT/train/CLASS/CLASS-00012.jpg   OUT/test/...   OUT/annotations.jsonl   OUT/manifest.json
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np

from sightline import progress
from sightline.data.roadsigns.faces import CLASSES
from sightline.data.roadsigns.picture import as_jpeg, draw_sign
from sightline.errors import StorageError, UsageError
from sightline.files import new_folder
from sightline.settings import settings

VERSION = 1  # raise it when the same seed gives other pictures
TEST_SHARE = 0.2
_SAID = {"label", "box", "polygon", "keypoints", "text", "origin"}
SMALLEST = 3  # pictures of a class
PER_JOB = 60
WORTH_A_POOL = 400  # below this many pictures, starting processes takes longer than drawing

J = TypeVar("J")
R = TypeVar("R")
Job = tuple[str, str, int, int, Sequence[str], Sequence[int]]  # folder, split, seed, size, classes, indices


def draw_road_signs(
    out: Path,
    count: int = 2400,
    seed: int = 0,
    *,
    size: int = 96,
    classes: Sequence[str] = CLASSES,
    workers: int | None = None,
) -> Path:
    """Draw `count` road signs of `classes` (all twenty) into `out` and return `out`.

    A fifth of the pictures lies in `out/test`, made from seeds of their own; the classes are even. Every line of
    `annotations.jsonl` describes one picture: file, split, width, height, conditions ("night", "covered", ...) and the sign's
    label, box (x0, y0, x1, y1), outline polygon, keypoints (corners of the square around the sign: top left, top right,
    bottom right, bottom left as painted on it) in pixels, and the text on it ("30", "STOP") or null. A complete set of the same
    arguments is used again. `workers` processes draw (default: the cores of this process); the pictures do not depend on it.

    Raises UsageError for impossible numbers and StorageError when `out` holds something else or cannot be written.
    """
    least = SMALLEST * len(classes)
    if count < least:
        raise UsageError(f"count must be at least {least} (three pictures a class), got {count}")
    if not 32 <= size <= 1024:
        raise UsageError(f"size must be between 32 and 1024 pixels, got {size}")
    if seed < 0:
        raise UsageError(f"seed must be 0 or more, got {seed}")
    manifest = {"what": "road signs", "version": VERSION, "count": count, "seed": seed, "size": size}
    if tuple(classes) != CLASSES:
        manifest["classes"] = list(classes)
    found = manifest_of(out, "road signs")
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]) and found != manifest:
        what = f"other road signs ({json.dumps(found)})" if found else "something else"
        raise StorageError(f"{out} holds {what}", hint="choose another folder, or remove this one first")
    if found == manifest and _complete(out, count):
        return out
    with new_folder(out, replace=out.exists()) as part:
        drawn = _draw(part, count, seed, size, classes=classes, workers=workers or settings().threads)
        rows = sorted(drawn, key=lambda row: str(row["file"]))
        (part / "annotations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (part / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return out


def read_annotations(out: Path) -> list[dict[str, object]]:
    """The lines of `out/annotations.jsonl`, one dictionary a picture."""
    return [json.loads(line) for line in (out / "annotations.jsonl").read_text().splitlines()]


def manifest_of(out: Path, what: str) -> dict[str, object] | None:
    """The manifest of a folder that was drawn here; None where there is none, or one of something else."""
    try:
        found = json.loads((out / "manifest.json").read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("what") == what else None


def _complete(out: Path, count: int) -> bool:
    try:
        files = [str(row["file"]) for row in read_annotations(out)]
    except (OSError, ValueError, KeyError):
        return False
    return len(files) == count and all((out / file).is_file() for file in files)


def _draw(part: Path, count: int, seed: int, size: int, *, classes: Sequence[str], workers: int) -> Iterator[dict[str, object]]:
    """Draw everything and yield the annotation rows, in no particular order."""
    tests = max(len(classes), round(count * TEST_SHARE))
    jobs: list[Job] = []
    for split, pictures in (("train", count - tests), ("test", tests)):
        for label in classes:
            (part / split / label).mkdir(parents=True)
        jobs += [
            (str(part), split, seed, size, classes, range(start, min(start + PER_JOB, pictures)))
            for start in range(0, pictures, PER_JOB)
        ]
    with progress.task("Drawing road signs", count) as work:
        for rows in in_processes(draw_job, jobs, workers if count >= WORTH_A_POOL else 1):
            work.advance(len(rows))
            yield from rows


def in_processes(draw: Callable[[J], list[R]], jobs: Sequence[J], workers: int) -> Iterator[list[R]]:
    """`draw` of every job, in order, on that many cores; on one where no worker processes may be started."""
    done = 0
    if workers > 1:
        try:
            for rows in _in_pool(draw, jobs, workers):
                done += 1
                yield rows
        except BrokenProcessPool:  # a script without `if __name__ == "__main__"`, or no processes allowed here
            progress.note("no worker processes here: drawing on one core")
    for job in jobs[done:]:
        yield draw(job)


def _in_pool(draw: Callable[[J], list[R]], jobs: Sequence[J], workers: int) -> Iterator[list[R]]:
    # spawn: forking a process that has threads (onnxruntime, BLAS) can hang
    pool = ProcessPoolExecutor(min(workers, len(jobs)), get_context("spawn"), initializer=_ignore_interrupts)
    try:
        yield from pool.map(draw, jobs)
    finally:
        pool.shutdown(cancel_futures=True)


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer


def draw_job(job: Job) -> list[dict[str, object]]:
    """Draw and write the pictures of one job; one random generator a picture, so that order and cores do not matter."""
    folder, split, seed, size, classes, indices = job
    rows = []
    for index in indices:
        rng = np.random.default_rng((seed, int(split == "test"), index))
        label = classes[index % len(classes)]
        drawn = draw_sign(rng, label, size)
        file = f"{split}/{label}/{label}-{index:05d}.jpg"
        Path(folder, file).write_bytes(as_jpeg(rng, drawn.picture))
        row: dict[str, object] = {"file": file, "split": split, "width": size, "height": size, "conditions": drawn.conditions}
        row |= drawn.annotations[0].model_dump(mode="json", include=_SAID)
        rows.append(row)
    return rows
