"""The training loop, for fine-tuning and from scratch: one story of plain steps that goes on exactly where it was stopped.

Every step's randomness is made from (seed, step) alone, never from a generator that somebody else could advance: that, a fixed
number of threads and a checkpoint of every tensor make a resumed run end with the same weights, bit for bit, on the same
processor. Knows nothing of files of pictures, of classes' names, of calibration or export.
"""

from __future__ import annotations

import hashlib
import math
import platform
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sightline import progress
from sightline.errors import DataError, DatasetError, StoppedError, UsageError
from sightline.learn import checkpoint as stored
from sightline.learn import parallel
from sightline.learn.lesson import Lesson
from sightline.learn.network import Trainable
from sightline.learn.parallel import Crew
from sightline.learn.plan import Agreement, Plan, differences, keep_plan, kept_plan, plan_from, within
from sightline.learn.reproduce import interruptible, reproducible, training_device
from sightline.learn.smallmaps import use_convolutions
from sightline.learn.step import (
    Parts,
    assemble,
    decided,
    epoch_seconds,
    order_of,
    steps_per_epoch,
    train_step,
    validate,
)
from sightline.settings import settings

OVERDRAWN = 3  # an epoch that takes longer than so many times the minutes is not begun


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch's numbers. Training numbers are of the changed pictures, by the moving weights; validation by the averaged
    ones.
    """

    number: int  # from 1
    train_loss: float
    train_accuracy: float | None  # None where nobody counts
    val_loss: float | None  # None without validation pictures
    val_accuracy: float | None  # or what the lesson measures instead: mAP@.5
    seconds: float
    rate: float | None = None  # of the head, in the last step


@dataclass(frozen=True, slots=True)
class Trained:
    history: tuple[Epoch, ...]
    best_epoch: int
    plan: Plan  # as it was done: with the epochs that fitted the time, the threads and the precision chosen
    seconds: float  # of all runs together
    resumed_from: int | None  # step at which this run went on; None: it began
    stopped_early: bool


@dataclass(slots=True)
class _State:
    """Where a training is, without its tensors: what goes into a checkpoint as JSON."""

    step: int = 0
    loss_sum: float = 0.0  # of the epoch under way
    right: float = 0.0
    epoch_seconds: float = 0.0
    best_epoch: int = 0
    best_score: list[float] = field(default_factory=list)
    finished: bool = False
    stopped_early: bool = False
    history: list[Epoch] = field(default_factory=list)


def train_network(
    model: Trainable,
    data: Lesson,
    plan: Plan,
    run: Path,
    *,
    minutes: float | None = None,
    stop: threading.Event | None = None,
    on_epoch: Callable[[Sequence[Epoch]], None] | None = None,
) -> Trained:
    """Train `model` in place; it ends with the best averaged weights, in evaluation mode.

    `run` is the folder of this training: called again with the same arguments it goes on where it was, or answers at once when
    it had ended. `minutes` replaces the plan's epochs by as many as fit, from a step time measured before the start. `stop`
    ends it like Ctrl-C. `on_epoch` is told the history after every epoch, and at once when it goes on with one.

    Errors: StoppedError (Ctrl-C; state kept after the current step), DataError (the loss is not a number), DatasetError (fewer
    than two pictures), UsageError (`run` holds a training with other values), StorageError.
    """
    if data.pictures < 2:
        raise DatasetError(f"a network needs at least 2 training pictures, got {data.pictures}", hint="add pictures")
    crew = parallel.crew()
    if crew.processes > min(plan.batch, data.pictures):
        raise UsageError(f"{crew.processes} processes cannot share a batch of {min(plan.batch, data.pictures)} pictures")
    plan = plan_from(crew.told(lambda: agree(model, data, plan, run, minutes, crew=crew).values()))
    device = training_device()
    with reproducible(plan.threads, device), interruptible(stop) as pressed:
        interrupted = crew.anyone(pressed)
        parts = assemble(model, data, plan, device, crew)
        state, best, resumed_from = _resume(parts, run)
        try:
            if on_epoch and state.history:
                on_epoch(state.history)
            best = _train(parts, run, state, best, interrupted, on_epoch=on_epoch)
        finally:  # stopped or failed: what is best so far is what the model holds
            model.load_state_dict(best or parts.average.model.state_dict())
            model.eval().requires_grad_(True)
            use_convolutions(model)
    seconds = sum(epoch.seconds for epoch in state.history)
    return Trained(tuple(state.history), state.best_epoch, plan, seconds, resumed_from, state.stopped_early)


def kept_so_far(run: Path) -> Trained:
    """What the last checkpoint in `run` tells of a training that broke down; its best weights are in the network already."""
    found, agreement = stored.load(run), kept_plan(run)
    if found is None or agreement is None:
        raise DataError(f"no training is kept in {run}", hint="run the same command again")
    history = tuple(Epoch(**epoch) for epoch in found.facts["history"])
    return Trained(history, found.facts["best_epoch"], agreement.plan, sum(epoch.seconds for epoch in history), None, True)


def _train(
    parts: Parts,
    run: Path,
    state: _State,
    best: dict[str, Tensor],
    interrupted: Callable[[], bool],
    *,
    on_epoch: Callable[[Sequence[Epoch]], None] | None = None,
) -> dict[str, Tensor]:
    """All epochs that are left; the best weights."""
    data, plan = parts.data, parts.plan
    each = steps_per_epoch(data, plan)
    steps = each * plan.epochs
    with progress.task("Training", steps - state.step) as work:
        while not state.finished:
            epoch, begun = state.step // each, time.monotonic() - state.epoch_seconds
            order = order_of(parts, epoch)
            for index in range(state.step % each, each):
                rows = order[index * plan.batch : (index + 1) * plan.batch]
                loss, right = train_step(parts, rows, state.step, steps)
                if not math.isfinite(loss):
                    raise _diverged(epoch, state, plan, run)
                state.step, state.loss_sum, state.right = state.step + 1, state.loss_sum + loss, state.right + right
                work.advance(
                    1, f"epoch {epoch + 1}/{plan.epochs}, loss {state.loss_sum / (index + 1):.3f}{_said(state, data.measure)}"
                )
                if interrupted() and index + 1 < each:
                    state.epoch_seconds = time.monotonic() - begun
                    _save(run, parts, state, best)
                    raise _stopped(state, plan, run)
            best = _end_epoch(parts, state, best, time.monotonic() - begun, run)
            _save(run, parts, state, best)
            if on_epoch:
                on_epoch(state.history)
            if interrupted() and not state.finished:
                raise _stopped(state, plan, run)
    return best


def _end_epoch(parts: Parts, state: _State, best: dict[str, Tensor], seconds: float, run: Path) -> dict[str, Tensor]:
    """Validate, write the history, keep the better weights, decide whether it is the end."""
    data, plan = parts.data, parts.plan
    start = time.monotonic()
    val_loss, val_accuracy = parts.crew.told(lambda: validate(parts))
    if data.val_pictures and not math.isfinite(val_loss):  # the averaged weights broke down, or answer infinities
        raise _diverged(len(state.history), state, plan, run)
    each, number = steps_per_epoch(data, plan), len(state.history) + 1
    seconds += time.monotonic() - start
    state.history.append(
        Epoch(
            number,
            state.loss_sum / each,
            state.right / (each * min(plan.batch, data.pictures)) if data.measure == "accuracy" else None,
            None if math.isnan(val_loss) else val_loss,
            None if math.isnan(val_accuracy) else val_accuracy,
            seconds,
            max(group["lr"] for group in parts.optimiser.param_groups),
        )
    )
    state.loss_sum = state.right = state.epoch_seconds = 0.0
    # nothing to validate on: the last epoch is the best
    score = data.score(val_loss, val_accuracy) if data.val_pictures else [0.0, float(number)]
    if not state.best_score or score > state.best_score:
        state.best_score, state.best_epoch = score, number
        # in place: whoever stops the training by an error loads the same dictionary
        best.update({name: tensor.detach().clone() for name, tensor in parts.average.model.state_dict().items()})
    waited = number - state.best_epoch
    state.stopped_early = bool(plan.patience and waited >= plan.patience and number < plan.epochs)
    state.finished = state.stopped_early or number >= plan.epochs
    return best


def agree(model: Trainable, data: Lesson, plan: Plan, run: Path, minutes: float | None, *, crew: Crew = parallel.ALONE) -> Plan:
    """The plan with its open values decided; kept in `run`, and taken from there when this training began earlier."""
    device = training_device()
    asked = {**plan.values(), "minutes": minutes}
    identity = _identity(model, data)
    kept = kept_plan(run)
    if kept is not None:
        changed = differences({**kept.asked, **kept.identity}, {**asked, **identity})
        if changed:
            raise UsageError(
                f"{run} holds a training with other values: {'; '.join(changed)}",
                hint="give the same values to go on with it, or choose another folder (or delete this one) to start anew",
            )
        return kept.plan
    if crew.processes > 1 and not plan.threads:
        plan = replace(plan, threads=crew.threads(settings().threads))
    plan = decided(model, data, plan, device)
    if minutes is not None:
        if minutes <= 0:
            raise UsageError(f"minutes must be above 0, got {minutes}")
        wished = plan.epochs
        seconds = epoch_seconds(model, data, plan, device) / crew.processes
        if seconds > OVERDRAWN * minutes * 60:
            raise _unaffordable(minutes, seconds)
        plan = within(plan, minutes, seconds)
        if plan.epochs < wished / 2:
            progress.note(
                f"only {plan.epochs} epochs fit into the time, the recipe has {wished}: expect a weaker network "
                "(give --minutes more, or stop other programs)"
            )
    facts = {"torch": torch.__version__, "processor": platform.processor() or platform.machine(), "device": device.type}
    keep_plan(run, Agreement(asked, plan, identity, facts))
    return plan


def _unaffordable(minutes: float, seconds: float) -> UsageError:
    return UsageError(
        f"no epoch fits into the time: one takes about {seconds / 60:.2g} minutes, and {minutes:.2g} are there for training",
        hint=f"give --minutes {max(1, math.ceil(seconds / 60 * 5))} or more, a smaller --backbone, --size or --input-size, or "
        "--way probe",
        detail={"epoch_seconds": round(seconds, 1), "minutes": minutes},
    )


def _identity(model: Trainable, data: Lesson) -> dict[str, Any]:
    """What must be the same for a training to be the same: the network's tensors by name and shape, and the lesson."""
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    network = hashlib.sha256(repr(sorted(shapes.items())).encode()).hexdigest()
    return {"network": network[:16], **data.identity()}


def _save(run: Path, parts: Parts, state: _State, best: dict[str, Tensor]) -> None:
    tensors = {
        **stored.module_tensors("model", parts.model),
        **stored.module_tensors("average", parts.average.model),
        **stored.optimiser_tensors(parts.optimiser),
        **{f"best.{name}": tensor for name, tensor in best.items()},
    }
    parts.crew.alone(lambda: stored.save(run, stored.Checkpoint(tensors, asdict(state))))


def _resume(parts: Parts, run: Path) -> tuple[_State, dict[str, Tensor], int | None]:
    found = parts.crew.checkpoint(lambda: stored.load(run))
    if found is None:
        return _State(), {}, None
    state = _State(**{**found.facts, "history": [Epoch(**epoch) for epoch in found.facts["history"]]})
    stored.restore_module("model", parts.model, found.tensors)
    stored.restore_module("average", parts.average.model, found.tensors)
    stored.restore_optimiser(parts.optimiser, found.tensors)
    best = {name.removeprefix("best."): tensor for name, tensor in found.tensors.items() if name.startswith("best.")}
    progress.note(f"this training had {'ended' if state.finished else f'done {state.step} steps: going on from there'}")
    return state, best, state.step


def _said(state: _State, measure: str) -> str:
    found = state.history[-1].val_accuracy if state.history else None
    if found is None:
        return ""
    return f", validation {found:.1%}" if measure == "accuracy" else f", validation {measure} {found:.3f}"


def _stopped(state: _State, plan: Plan, run: Path) -> StoppedError:
    done = f"{len(state.history)} of {plan.epochs} epochs"
    best = f"; the best so far is epoch {state.best_epoch}" if state.best_epoch else ""
    detail: dict[str, object] = {"step": state.step, "epochs": len(state.history), "run": str(run)}
    return StoppedError(
        f"training stopped after {done}; its state is kept{best}", hint="run the same command to go on", detail=detail
    )


def _diverged(epoch: int, state: _State, plan: Plan, run: Path) -> DataError:
    there = f"are kept in {run / stored.NEWEST}"
    kept = f"the weights of epoch {state.best_epoch} {there}" if state.best_epoch else "no epoch was completed"
    return DataError(
        f"training broke down: the loss is not a number in epoch {epoch + 1}, step {state.step + 1}; {kept}",
        hint=f"try a lower rate (--plan lr={plan.lr / 10:.2g}), a --backbone with batch norm (such as resnet18), a weaker "
        "--augment or --way probe; `sightline clean` finds damaged pictures",
        detail={"step": state.step, "best_epoch": state.best_epoch, "run": str(run)},
    )
