"""Structured pruning: whole channels and blocks go, in rounds with a little training after each, until a share of the
multiply-adds is left; then a longer training, with the unpruned model as teacher.

Iterative pruning with fine-tuning after Molchanov et al. 2016 and 2019 (arXiv 1611.06440, 1906.10771). Knows not what is gained
by it: the caller measures accuracy and speed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline import progress
from sightline.errors import UsageError
from sightline.files import write_bytes, write_text
from sightline.learn.fit import TRAINING_SHARE
from sightline.learn.plan import Plan
from sightline.learn.shrinking import student
from sightline.learn.shrinking.network import PRETRAINED, Rebuilt, rebuilt, shaped
from sightline.types import Card, Dataset

if TYPE_CHECKING:
    from sightline.learn.finish import Trained
    from sightline.learn.network import Classifier
    from sightline.learn.step import TrainingData

ROUNDS = 4  # of taking away and training a little
ROUND_TIME = 0.3  # share of --minutes that the rounds may take; the rest is for the longer training
RATE = 5e-4  # of all layers of a pruned pretrained network: half of fine-tuning's, it has its features still
CALM = 0.3  # times the rate of a network that was trained from scratch: it is near its answers


def pruned(
    bundle: Path,
    dataset: Dataset,
    share: float,
    run: Path,
    *,
    minutes: float | None = None,
    epochs: int | None = None,
    seed: int = 0,
) -> Trained:
    """The bundle's network with at most `share` of its multiply-adds, channels in eights, trained on.

    `dataset` is divided and has the model's classes. `run`: the folder of this training, where a stopped one goes on. `epochs`
    of the longer training; each round is one more.

    Raises UsageError (a share that is not between 0 and 1 or that cannot be reached, naming the smallest; a bundle without
    weights; a `run` of something else), DatasetError (other classes), BundleError, StoppedError, DataError, ParityError.
    """
    from sightline.learn.shrinking.selection import smallest
    from sightline.learn.shrinking.tracing import traced

    if not 0 < share < 1:
        raise UsageError(f"the share of multiply-adds that stay must be between 0 and 1, got {share:g}", hint="such as 0.5")
    parent = rebuilt(bundle)
    material = student.material_for(parent.card, dataset, seed)
    size = parent.card.input.size
    with progress.task("Following channels"):
        channels = traced(parent.network, size)
    before, least = channels.multiply_adds(), smallest(channels)
    if least > share * before:
        reach, name = -(-least * 1000 // before) / 1000, parent.card.name
        raise UsageError(
            f"{name} cannot be pruned to {share:.3g} of its multiply-adds: the smallest possible share is {reach:.3g}",
            hint=f"give {reach:.3g} or more, or start from a smaller network or input" if reach < 1 else "nothing of it may go",
            detail={"smallest": reach},
        )
    plan = plan_for(parent.card)
    prepared = student.prepared_for(parent, parent.network, material, spec=parent.card.input, plan=plan, epochs=epochs)
    work = _Work(parent, prepared.data, prepared.plan, run)
    course = _course(work, {"share": share, "minutes": minutes, "epochs": epochs})
    network, removed = parent.network, tuple(parent.facts.get("removed", ()))
    for number in range(course.rounds):
        most = round(before * share ** ((number + 1) / course.rounds))
        network, removed = _round(work, network, removed, most, number)
    after = traced(network, size)
    out = removed[len(parent.facts.get("removed", ())) :]
    values = {
        "pruned": {"asked": share, "rounds": course.rounds, "blocks": list(out)},
        "multiply_adds": [before, after.multiply_adds()],
        "channels": [_channels(channels), _channels(after)],
    }
    return student.trained(
        parent,
        material,
        replace(prepared, network=network),
        run / "tuned",
        minutes=course.minutes,
        why=_why(parent.card, after.multiply_adds() / before, out),
        values=values,
        facts={"pruned": True, "removed": list(removed)},
    )


def _channels(channels: Any) -> int:
    return sum(len(numbers) for numbers in channels.groups)


def _why(card: Card, share: float, removed: tuple[str, ...]) -> str:
    blocks = (
        f" and without {len(removed)} of its blocks"
        if len(removed) > 1
        else " and without one of its blocks"
        if removed
        else ""
    )
    return f"{card.recipe.backbone} of {card.name}, pruned to {share:.0%} of its multiply-adds{blocks}, taught by it"


def plan_for(card: Card) -> Plan:
    """The parent's plan for a network that has to find its balance again: every layer learns, norms find new statistics."""
    plan = replace(student.plan_of(card), frozen=0, freeze_norm=False, layer_decay=1.0)
    if card.recipe.way in PRETRAINED:
        return replace(plan, lr=RATE)
    if "pruned" in card.recipe.values:
        return plan  # its rate is calm already
    return replace(plan, lr=CALM * plan.lr, epochs=max(4, plan.epochs // 2))


@dataclass(frozen=True, slots=True)
class _Work:
    """What every round of a pruning works with; `run` is the folder of them all."""

    parent: Rebuilt
    data: TrainingData
    plan: Plan  # of the longer training
    run: Path


@dataclass(frozen=True, slots=True)
class _Course:
    """How a pruning goes: decided once, kept in its folder."""

    rounds: int
    minutes: float | None  # for the longer training


def _course(work: _Work, wishes: dict[str, Any]) -> _Course:
    """Taken from the folder when this pruning began earlier; UsageError when that is another one."""
    from sightline.learn.step import epoch_seconds

    asked = {"parent": work.parent.card.id, "seed": work.plan.seed, **wishes}
    minutes, epochs = wishes["minutes"], wishes["epochs"]
    file = work.run / "course.json"
    try:
        kept = json.loads(file.read_text())
    except (OSError, ValueError):
        kept = None
    if kept is not None:
        if kept["asked"] != asked:
            raise UsageError(
                f"{work.run} holds a pruning with other values",
                hint="give the same values to go on with it, or choose another folder (or delete this one) to start anew",
            )
        return _Course(kept["rounds"], kept["minutes"])
    course = _Course(ROUNDS if epochs is None else max(1, min(ROUNDS, epochs)), None)
    if minutes is not None:
        with progress.task("Measuring a training step"):
            each = epoch_seconds(work.parent.network, work.data, work.plan) / 60 / TRAINING_SHARE
        rounds = max(1, min(course.rounds, int(minutes * ROUND_TIME / each)))
        course = _Course(rounds, max(minutes - rounds * each, minutes * (1 - ROUND_TIME)))
    write_text(file, json.dumps({"asked": asked, "rounds": course.rounds, "minutes": course.minutes}) + "\n")
    return course


def _round(
    work: _Work, network: Classifier, removed: tuple[str, ...], most: int, number: int
) -> tuple[Classifier, tuple[str, ...]]:
    """Take the least important away and train for an epoch. What was taken is kept: a stopped round goes on as it began."""
    from sightline.learn.loop import train_network
    from sightline.learn.shrinking.channels import cut
    from sightline.learn.shrinking.importance import measured
    from sightline.learn.shrinking.selection import chosen
    from sightline.learn.shrinking.tracing import traced

    place, plan = work.run / f"round-{number + 1}", work.plan
    begun = place / "start.safetensors"
    if begun.exists():
        network, removed = _read(begun, work.parent)
    else:
        with progress.task(f"Pruning, round {number + 1}"):
            channels = traced(network, plan.size)
            choice = chosen(channels, measured(network, channels, work.data, plan, number), most)
            cut(network, channels, choice.kept, choice.removed)
        removed = (
            *(name for name in removed if not name.startswith(tuple(f"{one}." for one in choice.removed))),
            *choice.removed,
        )
        _write(begun, network, {"removed": list(removed)})
    train_network(network, work.data, replace(plan, epochs=1, longest=1), place)
    return network.to("cpu").float().eval(), removed


def _write(path: Path, network: Classifier, facts: Mapping[str, Any]) -> None:
    from safetensors.torch import save

    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    write_bytes(path, save(state, {"sightline": json.dumps(dict(facts))}))


def _read(path: Path, parent: Rebuilt) -> tuple[Classifier, tuple[str, ...]]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        said = json.loads(file.metadata()["sightline"])
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    facts = {"architecture": parent.card.recipe.backbone, **parent.facts, "pruned": True, **said}
    return shaped(parent.card, facts, state), tuple(said["removed"])
