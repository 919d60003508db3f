"""A trained network made ready for 8-bit whole numbers: trained on a little while its weights and activations are rounded.

Jacob et al. 2018 (arXiv 1712.05877), with the network itself in float as the teacher. What comes out is a float model: it is
rounded afterwards, as an exported file. Knows not how files are quantised.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.learn.plan import Plan
from sightline.learn.shrinking import student
from sightline.learn.shrinking.network import rebuilt
from sightline.types import Card, Dataset

if TYPE_CHECKING:
    from sightline.learn.finish import Trained
    from sightline.learn.network import Classifier
    from sightline.learn.shrinking.fake import Aware
    from sightline.learn.step import TrainingData

EPOCHS = 6
RATE = 2e-4  # of all layers: the weights stand already, and must only settle on the steps
OBSERVED = 256  # training pictures that the first ranges are taken from


def aware(
    bundle: Path, dataset: Dataset, run: Path, *, minutes: float | None = None, epochs: int | None = None, seed: int = 0
) -> Trained:
    """The bundle's network, trained on with its 8-bit answers in mind, as a float model of the same shape.

    `dataset` is divided and has the model's classes. `run`: the folder of this training, where a stopped one goes on. Without
    `minutes` EPOCHS, or `epochs`.

    Raises UsageError (a bundle without weights, a network that cannot be watched), DatasetError (other classes), BundleError,
    StoppedError, ParityError.
    """
    from sightline.learn.shrinking.fake import Aware

    parent = rebuilt(bundle)
    material = student.material_for(parent.card, dataset, seed)
    mirrors = _mirror(parent.network, False)
    prepared = student.prepared_for(
        parent, parent.network, material, spec=parent.card.input, plan=plan_for(parent.card), epochs=epochs
    )
    network = Aware(parent.network, prepared.spec.size)
    network.observe(_middle(prepared.data, prepared.spec.size))
    prepared = replace(prepared, network=network, released=lambda _: _released(network, mirrors))
    return student.trained(
        parent,
        material,
        prepared,
        run / "aware",
        minutes=minutes,
        why=f"{parent.card.recipe.backbone} of {parent.card.name}, trained on with 8-bit weights and activations in mind",
        values={"aware": 8},
    )


def plan_for(card: Card) -> Plan:
    """The parent's plan with a low rate for all layers and norms that keep their statistics, as they will be folded in."""
    return replace(
        student.plan_of(card),
        epochs=EPOCHS,
        optimiser="adamw",
        lr=RATE,
        bias_rate=1.0,
        layer_decay=1.0,
        weight_decay=0.01,
        frozen=0,
        freeze_norm=True,
        schedule="cosine",
        warmup=0.1,
        drop_path=0.0,
        ema=0.99,
        clip=5.0,
        batch=min(student.plan_of(card).batch, 64),
    )


def _middle(data: TrainingData, size: int) -> Any:
    """Some training pictures as the network sees them at rest, uint8 (n, size, size, 3)."""
    import numpy as np
    import torch

    some = np.unique(np.linspace(0, len(data.images) - 1, OBSERVED).astype(int))
    edge = (data.images.shape[1] - size) // 2
    return torch.from_numpy(np.ascontiguousarray(data.images[some, edge : edge + size, edge : edge + size]))


def _mirror(network: Classifier, on: bool) -> bool:
    """SpeedNet answers for a picture and its mirror image but learns from one: while it is watched, it answers for one, too.
    What it did before.
    """
    from sightline.learn.zoo.speed import SpeedNet

    inner = getattr(network.backbone, "network", None)
    if not isinstance(inner, SpeedNet):
        return False
    was, inner.mirrored = inner.mirrored, on
    return was


def _released(network: Aware, mirrors: bool) -> Classifier:
    plain = network.released()
    _mirror(plain, mirrors)
    return plain
