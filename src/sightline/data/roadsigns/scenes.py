"""Writes streets with signs among things that are none, with their boxes, as VOC, COCO or YOLO: detection from nothing.

The number of cores does not change the pictures. Knows how a scene is drawn from picture.py and how it is written from formats.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sightline import progress
from sightline.data.roadsigns.faces import CLASSES
from sightline.data.roadsigns.folders import in_processes, manifest_of
from sightline.data.roadsigns.picture import as_jpeg, draw_scene
from sightline.errors import StorageError, UsageError
from sightline.files import new_folder
from sightline.settings import settings
from sightline.types import Annotation, Dataset, Item, Skeleton, Split

VERSION = 1  # raise it when the same seed gives other pictures
SIZE = (480, 360)
FORMATS = ("coco", "voc", "yolo")
SIGNS = 4  # at most, in one scene
CLUTTER = 7
EMPTY = 0.08  # share of scenes without a sign
TEST_SHARE = 0.2
SMALLEST = 10
PER_JOB = 20
WORTH_A_POOL = 60
CORNERS = Skeleton(points=("top-left", "top-right", "bottom-right", "bottom-left"), links=((0, 1), (1, 2), (2, 3), (3, 0)))


class Job(NamedTuple):
    """Some scenes to draw. `split` counts for the seed, so that test scenes are others."""

    folder: str
    split: Split
    seed: int
    classes: tuple[str, ...]
    indices: Sequence[int]


def draw_scenes(
    out: Path,
    count: int = 400,
    seed: int = 0,
    *,
    format: str = "coco",
    classes: Sequence[str] = CLASSES,
    workers: int | None = None,
) -> Path:
    """Draw `count` streets of 480 x 360 pixels into `out` and return `out`; a fifth of them is the test part.

    A scene has up to four signs of `classes` and up to seven other things of the same sizes, shapes and colours; one in twelve
    has no sign at all. Each sign has its box, and where the format holds them its outline and the corners of the square around
    it as keypoints. A complete set of the same arguments is used again.

    Raises UsageError for impossible wishes and StorageError when `out` holds something else or cannot be written.
    """
    if count < SMALLEST:
        raise UsageError(f"count must be at least {SMALLEST} scenes, got {count}")
    if format not in FORMATS:
        raise UsageError(f"scenes are written as {', '.join(FORMATS)}, not as {format!r}", hint="choose one of them")
    if unknown := [name for name in classes if name not in CLASSES]:
        raise UsageError(f"there is no road sign {unknown[0]!r} to draw", hint=f"signs: {', '.join(CLASSES)}")
    manifest: dict[str, object] = {"what": "street scenes", "version": VERSION, "count": count, "seed": seed}
    manifest |= {"format": format, "classes": sorted(classes)}
    found = manifest_of(out, "street scenes")
    if found == manifest:
        return out
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        what = f"other street scenes ({json.dumps(found)})" if found else "something else"
        raise StorageError(f"{out} holds {what}", hint="choose another folder, or remove this one first")
    with tempfile.TemporaryDirectory(prefix="scenes-") as folder, new_folder(out, replace=out.exists()) as part:
        items = sorted(_draw(Path(folder), count, seed, tuple(sorted(classes)), workers), key=lambda item: item.name)
        _write(items, tuple(sorted(classes)), format, part)
        (part / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return out


def _write(items: Sequence[Item], classes: tuple[str, ...], format: str, part: Path) -> None:
    from sightline.data.formats import Export, format_named
    from sightline.data.formats.format import fitted

    skeletons = dict.fromkeys(classes, CORNERS)
    dataset = Dataset(name="street scenes", task="detection", classes=classes, items=tuple(items), skeletons=skeletons)
    chosen = format_named(format)
    work = Export(fitted(dataset, chosen)[0], part)
    chosen.write(work)
    if work.failures:
        raise StorageError(f"{work.failures[0].picture}: {work.failures[0].error.message}", hint="draw the scenes again")


def _draw(folder: Path, count: int, seed: int, classes: tuple[str, ...], workers: int | None) -> Iterator[Item]:
    """Draw everything and yield the pictures, in no particular order."""
    tests = max(1, round(count * TEST_SHARE))
    parts: tuple[tuple[Split, int], ...] = (("train", count - tests), ("test", tests))
    jobs = [
        Job(str(folder), split, seed, classes, range(start, min(start + PER_JOB, scenes)))
        for split, scenes in parts
        for start in range(0, scenes, PER_JOB)
    ]
    cores = workers or settings().threads
    with progress.task("Drawing streets", count) as work:
        for rows in in_processes(draw_job, jobs, cores if count >= WORTH_A_POOL else 1):
            work.advance(len(rows))
            yield from (Item.model_validate(row) for row in rows)


def draw_job(job: Job) -> list[dict[str, Any]]:
    """Draw and write the scenes of one job; one random generator a picture, so that order and cores do not matter."""
    rows = []
    for index in job.indices:
        rng = np.random.default_rng((job.seed, 7, int(job.split == "test"), index))
        signs = 0 if rng.random() < EMPTY else int(rng.integers(1, SIGNS + 1))
        clutter = int(rng.integers(2, CLUTTER + 1))
        drawn = draw_scene(rng, SIZE, signs, clutter=clutter, classes=job.classes)
        path = Path(job.folder, f"{job.split}-{index:05d}.jpg")
        path.write_bytes(as_jpeg(rng, drawn.picture))
        truth = tuple(map(_inside, drawn.annotations))
        rows.append(Item(uri=str(path), name=path.name, truth=truth, split=job.split).model_dump(mode="json"))
    return rows


def _inside(one: Annotation) -> Annotation:
    """Outline and corners no farther than the picture's edge; no text, which these formats do not hold."""

    def held(points: tuple[tuple[float, float], ...] | None) -> tuple[tuple[float, float], ...]:
        return tuple((min(max(x, 0.0), SIZE[0]), min(max(y, 0.0), SIZE[1])) for x, y in points or ())

    return one.model_copy(update={"polygon": held(one.polygon), "keypoints": held(one.keypoints), "text": None})
