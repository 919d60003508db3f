"""How our own detectors are built and learn: which body and weights, and the values that were tried.

Sizes, rates and epochs here are for a few hundred to some thousand pictures and a body with pretrained weights.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from sightline import progress
from sightline.learn import backbones
from sightline.learn.augment import Augment
from sightline.learn.detect.bodies import body_of
from sightline.learn.detect.names import Built, Wish
from sightline.learn.detect.yolo import SHAPES, Yolo
from sightline.learn.network import depth_groups
from sightline.learn.plan import Plan, epochs_for
from sightline.learn.reproduce import seed_of
from sightline.types import InputSpec

BODIES = {"yolo-tiny": "mobilenetv2_100", "yolo-small": "mobilenetv2_100", "yolo-medium": "resnet50"}
BARE = {"yolo-tiny": "mobilenetv2_050", "yolo-small": "resnet10t", "yolo-medium": "resnet18"}  # without weights
STILL = 0.4  # share of a pretrained body's blocks, from the stem, that stay: they see the largest maps, and cost most
STEPS = 2_000  # that the plan's epochs make of a small dataset
EPOCHS = (20, 150)

PLAN = Plan(
    size=416,
    epochs=100,
    batch=8,
    lr=6e-4,
    layer_decay=0.85,
    weight_decay=0.05,
    warmup=0.05,
    label_smoothing=0.0,
    ema=0.995,
    clip=10.0,
    balance=0.0,
    patience=40,
    longest=2,
    mosaic=0.5,
    scales=0.25,
    augment=Augment(flip=True, degrees=0, scale=0.3, aspect=0.1, shift=0.1, colour=0.3),
)


def build_yolo(wish: Wish) -> Built:
    """Our own detector: the body that was asked for, or the size's own when its weights are at hand, else a plain one."""
    name = wish.backbone or BODIES[wish.entry.name]
    start = backbones.named(name, wish.size)
    why = ""
    if start is None and not wish.backbone:
        rest = [entry for entry in dict.fromkeys(BODIES.values()) if entry != name]
        start = next((found for found in (backbones.named(other, wish.size) for other in rest) if found), None)
        why = f"no weights of {name} at hand"
        name = start.name if start else BARE[wish.entry.name]
        progress.note(f"{why}, {name} taken instead")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(wish.seed, "network", 0))
        body = body_of(name, start, wish.size)
        spec = InputSpec(size=wish.size, fit="pad", interpolation="bilinear")
        if start:
            spec = spec.model_copy(update={"mean": start.input.mean, "std": start.input.std})
        network = Yolo(body, len(wish.classes), SHAPES[wish.entry.name], mean=spec.mean, std=spec.std)
    plan = replace(
        PLAN,
        size=wish.size,
        seed=wish.seed,
        epochs=epochs_for(wish.pictures, PLAN.batch, STEPS, *EPOCHS),
        frozen=round(STILL * (len(depth_groups(network)) - 1)) if start else 0,
        layer_decay=PLAN.layer_decay if start else 1.0,
    )
    return Built(network, plan, spec, start.weights if start else "none", why)
