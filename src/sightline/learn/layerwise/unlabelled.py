"""Learning without labels: the pictures for it, and the one driver of epochs that can be stopped and goes on where it was.

Knows neither machines nor autoencoders: a `Stage` has tensors and makes steps.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from sightline import progress
from sightline.errors import DataError, DatasetError, StoppedError
from sightline.learn import cache
from sightline.learn import checkpoint as stored
from sightline.learn.reproduce import generator, interruptible, reproducible
from sightline.settings import settings
from sightline.types import InputSpec, Item

SAVED = 5.0  # seconds between checkpoints
BROKE = 10.0  # an error this many times the first one counts as diverged


class Stage(Protocol):
    """What is learned: `tensors` are the live ones (a checkpoint holds them), `step` learns from rows and tells its error."""

    name: str
    rows: int
    batch: int
    epochs: int

    def tensors(self) -> dict[str, Tensor]: ...
    def restore(self, tensors: Mapping[str, Tensor]) -> None: ...
    def step(self, rows: Tensor, number: int, draws: Generator) -> float: ...


def learn(stage: Stage, run: Path, seed: int) -> tuple[float, ...]:
    """Mean error of every epoch of a stage; the stage holds what it has learned. `run` is this stage's folder: a stopped one
    goes on there, with the same result, bit for bit, as one that was never stopped.

    Errors: StoppedError (Ctrl-C), DataError (diverged), StorageError.
    """
    errors: list[float] = []
    with reproducible(settings().threads, torch.device("cpu")), interruptible() as interrupted:
        found = stored.load(run)
        if found is not None:
            stage.restore(found.tensors)
            errors = list(found.facts["errors"])
        each = max(1, stage.rows // stage.batch)
        kept = time.monotonic()
        with progress.task(stage.name, (stage.epochs - len(errors)) * each) as work:
            for epoch in range(len(errors), stage.epochs):
                order = torch.randperm(stage.rows, generator=generator(seed, f"{stage.name} order", epoch))
                total = 0.0
                for place in range(each):
                    number = epoch * each + place
                    rows = order[place * stage.batch : (place + 1) * stage.batch]
                    error = stage.step(rows, number, generator(seed, f"{stage.name} step", number))
                    total += error
                    if not math.isfinite(error) or (errors and error > BROKE * errors[0]):
                        raise _diverged(stage, epoch, error)
                    work.advance(1, f"epoch {epoch + 1}/{stage.epochs}, error {total / (place + 1):.4f}")
                    if interrupted():
                        raise _stopped(stage, len(errors))
                errors.append(total / each)
                if epoch + 1 == stage.epochs or time.monotonic() - kept >= SAVED:
                    stored.save(run, stored.Checkpoint(stage.tensors(), {"errors": errors}))
                    kept = time.monotonic()
    return tuple(errors)


def pictures(items: tuple[Item, ...], folder: str | None, spec: InputSpec) -> NDArray[np.uint8]:
    """The training pictures, and those of a folder without labels, prepared: uint8 (n, size, size, 3).

    Raises DatasetError for a folder in which no picture can be read.
    """
    known = cache.prepare_all(items, spec).pictures
    if folder is None:
        return known
    from sightline.data.found import read_as_found

    more = cache.prepare_all(read_as_found(folder).items, spec).pictures
    if not len(more):
        raise DatasetError(f"none of the pictures in {folder} can be read", hint="give --pretrain a folder of pictures")
    return np.concatenate([known, more])


def _diverged(stage: Stage, epoch: int, error: float) -> DataError:
    return DataError(
        f"learning without labels broke down: the error of {stage.name.lower()} is {error:.3g} in epoch {epoch + 1}",
        hint="look for damaged or blank pictures with `sightline clean`, or give --pretrain more pictures",
    )


def _stopped(stage: Stage, epochs: int) -> StoppedError:
    return StoppedError(
        f"stopped while {stage.name.lower()}, after {epochs} of {stage.epochs} epochs", hint="run the same command to go on"
    )
