"""The runs of a claim's networks: trained by the product's own loop, kept one by one in a JSON file, so that a killed bench
goes on where it was, within an epoch even.

Knows networks by name, plans and numbers; not what is claimed with them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from sightline import progress
from sightline.data.readers import read
from sightline.errors import DataError
from sightline.files import write_text
from sightline.learn.cache import prepare_all
from sightline.learn.loop import train_network
from sightline.learn.network import Classifier
from sightline.learn.plan import Plan
from sightline.learn.reproduce import seed_of
from sightline.learn.step import TrainingData, epoch_seconds, logits_of
from sightline.learn.zoo.costs import CLASSES, cost
from sightline.learn.zoo.networks import from_scratch
from sightline.settings import settings
from sightline.types import InputSpec

SIZE = 32


@dataclass(frozen=True, slots=True)
class Budget:
    """What every network of a claim gets alike."""

    epochs: int
    pictures: int
    val: int
    seeds: int


@dataclass(frozen=True, slots=True)
class Run:
    """One finished training; curves an entry an epoch, errors in 0..1. `failed`: why there are no numbers."""

    network: str
    seed: int
    epochs: int
    pictures: int
    val: int
    parameters: int
    multiply_adds: int
    train_loss: tuple[float, ...] = ()
    train_error: tuple[float, ...] = ()
    val_error: tuple[float, ...] = ()
    seconds: float = 0.0
    bytes: int = 0
    bytes8: int = 0
    accuracy_kept: float = 0.0  # of the weights that are kept: the best epoch's
    accuracy8: float = 0.0  # of the same, in 8 bits
    plan: dict[str, Any] = field(default_factory=dict)
    machine: str = ""
    failed: str = ""


class Book:
    """The file of all runs. Written anew, whole, after each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        content = json.loads(path.read_text()) if path.is_file() else {}
        self.runs: dict[str, Run] = {key: _run(values) for key, values in content.get("runs", {}).items()}
        self.budgets: dict[str, dict[str, Any]] = content.get("budgets", {})  # of each claim: what was wished, what it became
        self.search: dict[str, Any] = content.get("search", {})

    def keep(self) -> None:
        runs = {key: asdict(run) for key, run in self.runs.items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_text(self.path, json.dumps({"budgets": self.budgets, "search": self.search, "runs": runs}, indent=1) + "\n")

    def budget(self, claim: str) -> Budget | None:
        kept = self.budgets.get(claim)
        return Budget(**kept["budget"]) if kept else None


def _run(values: dict[str, Any]) -> Run:
    curves = {name: tuple(values[name]) for name in ("train_loss", "train_error", "val_error")}
    return Run(**{**values, **curves})


def key(network: str, seed: int, plan: Plan, budget: Budget) -> str:
    """Names a run: the same network, seed, recipe and pictures. Only what the recipe sets counts: a value that training learns
    to know later is not set, and leaves the kept runs valid.
    """
    usual = Plan(size=SIZE, epochs=1, batch=1, lr=1.0).values()
    values = replace(plan, epochs=budget.epochs, seed=seed).values()
    recipe = hashlib.sha256(json.dumps(_set(values, usual), sort_keys=True).encode()).hexdigest()[:8]
    return f"{network.replace(':', '-')}-{budget.pictures}x{budget.epochs}-{budget.val}-seed{seed}-{recipe}"


def _set(values: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    """The entries that are not as usual, of nested dictionaries too."""
    found = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found[name] = _set(value, usual[name])
        elif value != usual[name]:
            found[name] = value
    return found


def pictures(folder: Path, train: int, val: int) -> TrainingData:
    """The first pictures of each class, as many of each: `train` of the training part and `val` of the test part."""
    parts: list[Any] = []
    for name, count in (("train", train), ("test", val)):
        there = next(path for path in (folder / name, *sorted(folder.glob(f"{name}.*"))) if path.exists())
        found = read(there, hashed=False)
        each, left = -(-count // len(found.classes)), dict.fromkeys(found.classes, 0)
        chosen = []
        for item in sorted(found.items, key=lambda item: item.name):
            if left[item.labels[0]] < each:
                left[item.labels[0]] += 1
                chosen.append(item)
        prepared = prepare_all(chosen, InputSpec(size=SIZE, fit="squash"))
        labels = [found.classes.index(chosen[place].labels[0]) for place in prepared.kept]
        parts += [prepared.pictures, np.array(labels, np.int64)]
    return TrainingData(*parts)


def network(name: str, seed: int, classes: int) -> Classifier:
    """From scratch, its first weights drawn from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "network", 0))
        body, width = from_scratch(name, SIZE)
        return Classifier(body, width, classes)


def size_of(name: str, model: Classifier) -> tuple[int, int]:
    """(parameters, multiply-adds a picture), with the head it has."""
    parameters = sum(weight.numel() for weight in model.parameters())
    spared = model.head.in_features * (CLASSES - model.head.out_features)
    return parameters, cost(name, SIZE).multiply_adds - spared


def epoch_cost(name: str, data: TrainingData, plan: Plan) -> float:
    """Seconds of one epoch with its validation, measured on a few steps."""
    return epoch_seconds(network(name, 0, _classes(data)), data, plan)


def train(name: str, seed: int, plan: Plan, data: TrainingData, folder: Path, machine: str) -> Run:
    """Train one network by the product's loop in `folder` (where a stopped one goes on), and measure what came out."""
    model = network(name, seed, _classes(data))
    parameters, multiply_adds = size_of(name, model)
    begun = Run(name, seed, plan.epochs, len(data.images), len(data.val_images), parameters, multiply_adds, machine=machine)
    try:
        trained = train_network(model, data, replace(plan, seed=seed), folder)
    except DataError as error:  # the loss is not a number: a result, too
        progress.note(f"{name}: {error}")
        return replace(begun, failed=str(error).partition(";")[0])
    history = trained.history
    tensors = {key: tensor for key, tensor in model.state_dict().items() if tensor.is_floating_point()}
    small = eight_bits(tensors)
    kept = _accuracy(model, data)
    model.load_state_dict({**model.state_dict(), **restored(small)})
    return replace(
        begun,
        train_loss=tuple(round(epoch.train_loss, 4) for epoch in history),
        train_error=tuple(round(1 - epoch.train_accuracy, 4) for epoch in history),
        val_error=tuple(round(1 - (epoch.val_accuracy or 0.0), 4) for epoch in history),
        seconds=round(trained.seconds, 1),
        bytes=len(save(_plain(tensors))),
        bytes8=len(save(_plain(small))),
        accuracy_kept=kept,
        accuracy8=_accuracy(model, data),
        plan=trained.plan.values(),
    )


def _accuracy(model: Classifier, data: TrainingData) -> float:
    return float((logits_of(model, data.val_images).argmax(1) == data.val_targets).mean())


def _classes(data: TrainingData) -> int:
    return int(data.targets.max()) + 1


def _plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def eight_bits(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Kernels and matrices as int8 with one 32-bit scale for each output channel, symmetric; biases and norms as they are."""
    small: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if not name.endswith("weight") or tensor.ndim < 2:
            small[name] = tensor
            continue
        scale = tensor.flatten(1).abs().amax(1).clamp_min(1e-12) / 127
        shape = (-1, *(1,) * (tensor.ndim - 1))
        small[name] = (tensor / scale.view(shape)).round().to(torch.int8)
        small[f"{name}.scale"] = scale
    return small


def restored(small: dict[str, Tensor]) -> dict[str, Tensor]:
    """The 32-bit values that 8-bit weights stand for."""
    found = {}
    for name, tensor in small.items():
        if tensor.dtype == torch.int8:
            found[name] = tensor.float() * small[f"{name}.scale"].view(-1, *(1,) * (tensor.ndim - 1))
        elif not (name.endswith(".scale") and name.removesuffix(".scale") in small):
            found[name] = tensor
    return found


def runs_folder(run: str) -> Path:
    """Where a training under way keeps its state."""
    return settings().home / "textbook" / run


def forget(folder: Path) -> None:
    """What a finished training needs no more: AlexNet's state is a gigabyte."""
    shutil.rmtree(folder, ignore_errors=True)
