"""What every network made from a trained one goes through: the parent's classes and recipe, the parent as teacher, the one
loop, calibration, export and proof.

Knows not how the network was made smaller; width.py and aware.py do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline import progress
from sightline.errors import DatasetError, UsageError
from sightline.learn import ways
from sightline.learn.finish import Trained, finish
from sightline.learn.fit import TRAINING_SHARE, material_of
from sightline.learn.plan import FINE_TUNE, SCRATCH, Plan, plan_from
from sightline.learn.shrinking.network import PRETRAINED, Rebuilt
from sightline.learn.ways import Material, Prepared
from sightline.types import Card, Dataset, InputSpec, Recipe, Way

if TYPE_CHECKING:
    from sightline.learn.network import Classifier


def material_for(card: Card, dataset: Dataset, seed: int) -> Material:
    """The divided dataset with the classes of the model in its order; DatasetError where they are not the same."""
    lacking = [name for name in card.classes if name not in dataset.classes]
    strange = [name for name in dataset.classes if name not in card.classes]
    if len(lacking) == len(card.classes):
        raise DatasetError(
            f"the model {card.name} and the data have no class in common",
            hint=f"its classes are {', '.join(card.classes[:20])}",
        )
    if strange:
        raise DatasetError(
            f"the model {card.name} does not know the class {strange[0]}",
            hint=f"leave it out; its classes are {', '.join(card.classes[:20])}",
            detail={"classes": strange},
        )
    if lacking:
        raise DatasetError(
            f"the data show nothing of the class {lacking[0]}, which the model {card.name} knows",
            hint="add pictures of all its classes: what it is not trained on it forgets",
            detail={"classes": lacking},
        )
    if (card.task == "multilabel") != (dataset.task == "multilabel"):
        raise DatasetError(f"the model {card.name} is {card.task}, the data are {dataset.task}")
    return material_of(dataset.model_copy(update={"classes": card.classes}), seed)


def plan_of(card: Card) -> Plan:
    """The plan that the parent was trained with, what its machine decided left open; for a frozen network fine-tuning's."""
    values = {name: card.recipe.values[name] for name in (one.name for one in fields(Plan)) if name in card.recipe.values}
    try:
        plan = plan_from(values)
    except (TypeError, KeyError, UsageError):  # a head on frozen features, or a plan of another version
        plan = FINE_TUNE if card.recipe.way in PRETRAINED else SCRATCH
    usual = Plan(size=plan.size, epochs=plan.epochs, batch=plan.batch, lr=plan.lr)
    return replace(
        plan,
        precision=usual.precision,
        threads=usual.threads,
        distill=usual.distill,
        temperature=usual.temperature,
        longest=usual.longest,
        patience=usual.patience,
    )


def prepared_for(
    parent: Rebuilt, network: Classifier, material: Material, *, spec: InputSpec, plan: Plan, epochs: int | None
) -> Prepared:
    """`network` with the pictures as it sees them and the parent as its teacher. `epochs`: so many, even with more time."""
    from torch import nn

    card = parent.card
    # decodes, and decides how the pictures lie in the cache; the network and the plan are ours
    given = ways.prepare_network(
        material, None, card.recipe.size, spec=spec, probe=None, flip=plan.augment.flip, body=lambda: (nn.Identity(), 1)
    )
    augment = replace(plan.augment, view=given.plan.augment.view)
    plan = replace(plan, size=spec.size, seed=material.seed, augment=augment)
    if epochs is not None:
        plan = replace(plan, epochs=epochs, longest=1)
    prepared = replace(given, network=network, plan=plan, way=way_of(card))
    return ways.taught(prepared, material, parent.bundle.path)


def way_of(card: Card) -> Way:
    """The way of a child: what stood on frozen features is trained as a whole now."""
    return "fine-tune" if card.recipe.way == "probe" else card.recipe.way


def trained(
    parent: Rebuilt,
    material: Material,
    prepared: Prepared,
    run: Path,
    *,
    minutes: float | None,
    why: str,
    values: Mapping[str, Any],
    facts: Mapping[str, Any] | None = None,
) -> Trained:
    """Train, calibrate, export, prove. `facts`: what its weights file says, so that the network can be built again.

    Raises StoppedError (the same call goes on), DataError (it broke down), UsageError (no epoch fits), ParityError.
    """
    seconds: dict[str, float] = {}
    card, spec = parent.card, prepared.spec
    share = None if minutes is None else minutes * TRAINING_SHARE
    with progress.timed(seconds, "training"):
        learned = ways.by_network(material, prepared, share, run)
    learned = replace(learned, facts={**parent.facts, **(facts or {})})
    asked: dict[str, Any] = {"prepare": list(spec.steps)} if spec.steps else {}
    recipe = Recipe(
        size=card.recipe.size,
        way=learned.way,
        why=why,
        backbone=card.recipe.backbone,
        weights=card.recipe.weights,
        seed=material.seed,
        minutes=minutes,
        values={"input_size": spec.size, "fit": spec.fit, **asked, "parent": card.id, **values, **learned.values},
    )
    with progress.timed(seconds, "finishing"):
        found = finish(learned, material, recipe)
    return replace(found, seconds=seconds)
