"""Structured pruning: whole channels and blocks go, in rounds with a little training after each, until a share of the
multiply-adds is left; then a longer training, with the unpruned model as teacher.

Iterative pruning with fine-tuning after Molchanov et al. 2016 and 2019 (arXiv 1611.06440, 1906.10771). Knows not what is gained
by it: the caller measures accuracy and speed.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline import progress
from sightline.errors import UsageError
from sightline.learn.plan import Plan
from sightline.learn.shrinking import rounds, student
from sightline.learn.shrinking.network import PRETRAINED, rebuilt
from sightline.learn.shrinking.rounds import State, Work
from sightline.types import Card, Dataset

if TYPE_CHECKING:
    from sightline.learn.finish import Trained
    from sightline.learn.shrinking.channels import Channels

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
    work = rounds.Work(parent, prepared.data, prepared.plan, run)
    course, already = rounds.course(work, share, minutes, epochs), tuple(parent.facts.get("removed", ()))
    state = rounds.State(parent.network, already)
    for number in range(course.rounds):
        most = round(before * share ** ((number + 1) / course.rounds))
        state = rounds.after(work, number, state, partial(_less, work, number, most))
    after, out = traced(state.network, size), tuple(name for name in state.removed if name not in already)
    values: dict[str, Any] = {
        "pruned": {"asked": share, "rounds": course.rounds, "blocks": list(out)},
        "multiply_adds": [before, after.multiply_adds()],
        "channels": [_channels(channels), _channels(after)],
    }
    return student.trained(
        parent,
        material,
        replace(prepared, network=state.network),
        run / "tuned",
        minutes=course.minutes,
        why=_why(parent.card, after.multiply_adds() / before, out),
        values=values,
        facts={"pruned": True, "removed": list(state.removed)},
    )


def _channels(channels: Channels) -> int:
    return sum(len(numbers) for numbers in channels.groups)


def _why(card: Card, share: float, removed: tuple[str, ...]) -> str:
    few = {0: "", 1: " and without one of its blocks"}
    blocks = few.get(len(removed), f" and without {len(removed)} of its blocks")
    return f"{card.recipe.backbone} of {card.name}, pruned to {share:.0%} of its multiply-adds{blocks}, taught by it"


def plan_for(card: Card) -> Plan:
    """The parent's plan for a network that has to find its balance again: every layer learns, norms find new statistics."""
    plan = replace(student.plan_of(card), frozen=0, freeze_norm=False, layer_decay=1.0)
    if card.recipe.way in PRETRAINED:
        return replace(plan, lr=RATE)
    if {"pruned", "sparse"} & set(card.recipe.values):
        return plan  # its rate is calm already
    return replace(plan, lr=CALM * plan.lr, epochs=max(4, plan.epochs // 2))


def _less(work: Work, number: int, most: int, state: State) -> State:
    """The least important taken away, in place, until at most so many multiply-adds are left."""
    from sightline.learn.shrinking.channels import cut
    from sightline.learn.shrinking.importance import measured
    from sightline.learn.shrinking.selection import chosen
    from sightline.learn.shrinking.tracing import traced

    network, plan = state.network, work.plan
    channels = traced(network, plan.size)
    choice = chosen(channels, measured(network, channels, work.data, plan, number), most)
    cut(network, channels, choice.kept, choice.removed)
    inside = tuple(f"{name}." for name in choice.removed)
    return State(network, (*(name for name in state.removed if not name.startswith(inside)), *choice.removed))
