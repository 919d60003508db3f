"""What is made smaller step by step goes in rounds, each a change and an epoch of training, in a folder where a stopped one
goes on with the very changes that it began with.

Knows neither what is changed nor why.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sightline import progress
from sightline.errors import UsageError
from sightline.files import write_bytes, write_text
from sightline.learn.fit import TRAINING_SHARE
from sightline.learn.plan import Plan
from sightline.learn.shrinking.network import Rebuilt, shaped

if TYPE_CHECKING:
    from sightline.learn.network import Classifier
    from sightline.learn.step import TrainingData

Around = Callable[["Classifier"], AbstractContextManager[object]]

ROUNDS = 4
TIME = 0.3  # share of --minutes that the rounds may take; the rest is for the longer training


@dataclass(frozen=True, slots=True)
class Work:
    """What every round works with; `run` is the folder of them all."""

    parent: Rebuilt
    data: TrainingData
    plan: Plan  # of the longer training
    run: Path


@dataclass(frozen=True, slots=True)
class Course:
    """How it goes: decided once, kept in its folder."""

    rounds: int
    minutes: float | None  # for the longer training


@dataclass(frozen=True, slots=True)
class State:
    """A network on its way, and the blocks that are gone from it since it was built."""

    network: Classifier
    removed: tuple[str, ...]


def course(work: Work, share: float, minutes: float | None, epochs: int | None) -> Course:
    """Taken from the folder when this began earlier; UsageError when what lies there is something else."""
    from sightline.learn.step import epoch_seconds

    asked = {"parent": work.parent.card.id, "seed": work.plan.seed, "share": share, "minutes": minutes, "epochs": epochs}
    file = work.run / "course.json"
    try:
        kept = json.loads(file.read_text())
    except (OSError, ValueError):
        kept = None
    if kept is not None:
        if kept["asked"] != asked:
            raise UsageError(
                f"{work.run} holds a training with other values",
                hint="give the same values to go on with it, or choose another folder (or delete this one) to start anew",
            )
        return Course(kept["rounds"], kept["minutes"])
    found = Course(ROUNDS if epochs is None else max(1, min(ROUNDS, epochs)), None)
    if minutes is not None:
        with progress.task("Measuring a training step"):
            each = epoch_seconds(work.parent.network, work.data, work.plan) / 60 / TRAINING_SHARE
        rounds = max(1, min(found.rounds, int(minutes * TIME / each)))
        found = Course(rounds, max(minutes - rounds * each, minutes * (1 - TIME)))
    write_text(file, json.dumps({"asked": asked, "rounds": found.rounds, "minutes": found.minutes}) + "\n")
    return found


def after(work: Work, number: int, state: State, change: Callable[[State], State], around: Around = nullcontext) -> State:
    """Round `number` (from 0): what `change` makes of the network, in place or not, trained for an epoch inside `around`.

    What was made is kept before the training, so that a round that is stopped and begun again is the same.
    """
    from sightline.learn.loop import train_network

    place = work.run / f"round-{number + 1}"
    begun = place / "start.safetensors"
    if begun.exists():
        state = _read(begun, work.parent)
    else:
        with progress.task(f"Making it smaller, round {number + 1}"):
            state = change(state)
        _write(begun, state)
    with around(state.network):
        train_network(state.network, work.data, replace(work.plan, epochs=1, longest=1), place)
    return State(state.network.to("cpu").float().eval(), state.removed)


def _write(path: Path, state: State) -> None:
    from safetensors.torch import save

    tensors = {name: tensor.contiguous() for name, tensor in state.network.state_dict().items()}
    write_bytes(path, save(tensors, {"sightline": json.dumps({"removed": list(state.removed)})}))


def _read(path: Path, parent: Rebuilt) -> State:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        said = json.loads(file.metadata()["sightline"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    facts = {"architecture": parent.card.recipe.backbone, **parent.facts, "pruned": True, **said}
    return State(shaped(parent.card, facts, tensors), tuple(said["removed"]))
