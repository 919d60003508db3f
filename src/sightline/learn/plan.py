"""Every value of a training in one frozen record, the recipes we measured, and the file that makes a resumed run use the same
values.

Knows nothing of how training is done.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from sightline.errors import UsageError
from sightline.files import write_text
from sightline.learn.augment import Augment
from sightline.learn.balance import POWER, Balance
from sightline.learn.values import VALUES, Compile, Loss, Optimiser, Precision, Schedule, Values, read_value

SCENES = ("mosaic", "closing", "scales")  # values that only detectors have
LONGEST = 4  # a time budget buys at most this many times the recipe's epochs: more taught nothing and overfits


@dataclass(frozen=True, slots=True)
class Plan:
    """What `train_network` does. Rates are per step; "share" is a number in 0..1."""

    size: int  # pixels a side that the network sees
    epochs: int
    batch: int
    lr: float  # of the head, at its highest
    optimiser: Optimiser = "adamw"
    momentum: float = 0.9  # sgd and muon (Nesterov)
    bias_rate: float = 1.0  # rate of biases and norms before the head = lr * this
    weight_decay: float = 0.05  # of matrices and kernels; biases and norms have none
    layer_decay: float = 1.0  # rate of each block = rate of the next one towards the head * this
    frozen: int = 0  # this many blocks, counted from the stem, keep their weights
    freeze_norm: bool = False  # BatchNorm uses the statistics it came with
    accumulate: int = 1  # a step's batch is computed in so many parts: less memory, the same step
    schedule: Schedule = "cosine"  # of the rate after the warm-up (optimise.py)
    warmup: float = 0.1  # share of all steps in which the rate rises
    loss: Loss = "cross-entropy"
    gamma: float = 2.0  # focal loss only: 0 is cross-entropy
    dropout: float = -1.0  # before the head; below 0: as the network was built
    drop_path: float = 0.0  # stochastic depth: the last residual branch is left out so often, earlier ones less (dropping.py)
    label_smoothing: float = 0.1  # single-label tasks only
    ema: float = 0.99  # averaged weights are what is evaluated and kept; 0 switches averaging off
    clip: float = 5.0  # largest norm of the gradient; 0: no limit
    balance: float = 3.0  # classes are weighted when the largest has more than this times the smallest's pictures; 0: never
    sampling: float = 0.0  # pictures are drawn by the inverse frequency of their class to this power; 0: each once an epoch
    patience: int = 0  # epochs without a better validation score before stopping; 0: never
    precision: Precision = "auto"  # auto: bfloat16 where the processor or GPU computes in it
    compile: Compile = "off"  # torch.compile; auto: on a GPU
    distill: float = 0.0  # share of the loss that follows a teacher's answers (teacher.py)
    temperature: float = 2.0  # by which the answers of both are softened for it
    mosaic: float = 0.0  # detectors: share of the pictures that are made of four (detect/augment.py)
    closing: float = 0.15  # detectors: share of the last steps that see no mosaics
    scales: float = 0.0  # detectors: sides of a step's pictures are up to this share smaller or larger
    augment: Augment = field(default_factory=Augment)
    longest: int = LONGEST  # --minutes buys at most this many times the epochs
    threads: int = 0  # 0: the setting SIGHTLINE_THREADS, or the cores there are
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size <= 0:
            raise UsageError(f"size must be above 0, got {self.size}")
        for name, value in VALUES.items():
            own = getattr(self, name)
            if not (own in value.words if value.kind == "word" else value.allows(float(own))):
                raise UsageError(f"{name} must be {value.allowed}, got {own}", hint=f"{name}: {value.about}")

    def values(self) -> dict[str, Any]:
        """Plain values for JSON and for Recipe.values."""
        values = asdict(self)
        values["augment"]["each"] = list(self.augment.each)
        if not (self.mosaic or self.scales):  # as plans were before there were detectors: a training that goes on is the same
            for name in SCENES:
                del values[name]
        return values


def plan_from(values: dict[str, Any]) -> Plan:
    """The inverse of `Plan.values`; UsageError for an unknown name."""
    unknown = set(values) - {entry.name for entry in fields(Plan)}
    if unknown:
        raise UsageError(f"unknown value in a training plan: {', '.join(sorted(unknown))}")
    changes = values["augment"]
    return Plan(**{**values, "augment": Augment(**{**changes, "each": tuple(changes.get("each", ()))})})


def changed(plan: Plan, values: Values, *, scenes: bool = False) -> Plan:
    """The plan with what a person asked for by name ("lr", "0.003"); UsageError names the field and its range.

    Who names the epochs gets no more of them, however much time there is. `scenes`: the plan is a detector's.
    """
    read: dict[str, Any] = {name: read_value(name, said) for name, said in values}
    alien = [name for name in read if name in SCENES and not scenes]
    if alien:
        raise UsageError(f"{alien[0]} is for detectors, and this training is of whole pictures", hint="leave it out")
    if "epochs" in read:
        read["longest"] = 1
    return replace(plan, **read)


def balanced(plan: Plan, how: Balance) -> Plan:
    """The plan for a wish: auto leaves it, weights count in the loss whatever the classes' sizes, samplers draw instead,
    focal makes what is hard count more.
    """
    if how == "auto":
        return plan
    if how == "focal":
        return replace(plan, balance=0.0, loss="focal")
    return replace(plan, balance=1.0 if how == "weights" else 0.0, sampling=POWER[how] if how.startswith("sampler") else 0.0)


# MobileNetV2 and the like, pretrained, on photographs. On clothing (3,068 pictures, 224 px, head from the probe at 89.1 %) the
# averaged weights reached 89.7 % after 2 epochs, 91.8 % after 5, 93.8 % after 7; with nothing frozen 88.3 % after 2.
FINE_TUNE = Plan(
    size=224,
    epochs=10,
    batch=32,
    lr=1e-3,
    layer_decay=0.8,
    weight_decay=0.05,
    freeze_norm=True,
    warmup=0.1,
    augment=Augment(flip=True, degrees=12, scale=0.35, aspect=0.15, shift=0.06, colour=0.3),
)
STILL = 0.45  # share of a pretrained backbone's blocks, counted from the stem, that fine-tuning leaves as they are

# small_resnet("tiny") on small pictures, chosen on 1,920 drawn road signs of 20 classes (480 kept apart, 64 px). Mirroring is
# off: it pays on photographs only, and drawn symbols lose their meaning by it. Erasing parts cost 4 points after 8 epochs, SGD
# (rate 0.1) 18 points; rates from 0.004 to 0.012 differed by 4 points after 8 epochs and by 0.5 after 16.
SCRATCH = Plan(
    size=64,
    epochs=28,
    batch=64,
    lr=1e-2,
    weight_decay=0.05,
    warmup=0.15,
    label_smoothing=0.1,
    ema=0.99,
    augment=Augment(flip=False, degrees=10, scale=0.25, aspect=0.1, shift=0.06, colour=0.3),
)

# zoo/speed.py on CIFAR-10-like sets: rates after airbench94 (arXiv 2404.00498) and its successor with Muon, for the mean loss
SPEED = Plan(
    size=32,
    epochs=18,
    batch=500,
    lr=0.73,
    optimiser="muon",
    momentum=0.85,
    bias_rate=64.0,
    weight_decay=0.0013,
    schedule="linear",
    warmup=0.1,
    label_smoothing=0.2,
    ema=0.98,
    clip=0.0,
    augment=Augment(flip=True, degrees=0, scale=0, aspect=0, shift=0, colour=0, pixels=2, erase=1.0),
)

RESERVE = 0.9  # share of a time budget that epochs are planned for; the rest is for saving and for a machine that slows down


def within(plan: Plan, minutes: float, epoch_seconds: float) -> Plan:
    """The plan with as many epochs of `epoch_seconds` as `minutes` allow: at least 1, at most `longest` times the plan's."""
    affordable = int(minutes * 60 * RESERVE / epoch_seconds)
    return replace(plan, epochs=max(1, min(affordable, plan.epochs * plan.longest)))


def epochs_for(pictures: int, batch: int, steps: int, least: int, most: int) -> int:
    """How many epochs make about so many steps: many of a small set, few of a large one."""
    return min(max(round(steps * batch / max(1, pictures)), least), most)


@dataclass(frozen=True, slots=True)
class Agreement:
    """plan.json of a run's folder: what was asked for, what it became, and on which data and network."""

    asked: dict[str, Any]
    plan: Plan
    identity: dict[str, Any]  # data and network: must be the same for a resumed run to be the same run
    facts: dict[str, Any] = field(default_factory=dict)  # where it began: for people


def keep_plan(run: Path, agreement: Agreement) -> None:
    content = {
        "asked": agreement.asked,
        "plan": agreement.plan.values(),
        "identity": agreement.identity,
        "facts": agreement.facts,
    }
    write_text(run / "plan.json", json.dumps(content, indent=1) + "\n")


def kept_plan(run: Path) -> Agreement | None:
    """What an earlier run in this folder agreed on; None for a new folder (or one whose plan cannot be read)."""
    try:
        content = json.loads((run / "plan.json").read_text())
        return Agreement(content["asked"], plan_from(content["plan"]), content["identity"], content.get("facts", {}))
    except (FileNotFoundError, ValueError, KeyError, TypeError, UsageError):
        return None


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Names of the values in which two nested dictionaries differ, as "lr 0.001 -> 0.002"."""
    found: list[str] = []
    for name in sorted(set(old) | set(new)):
        before, after = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            found += differences(before, after)
        elif before != after:
            found.append(f"{name} {before} -> {after}")
    return found
