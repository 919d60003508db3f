"""From something learned to a model that can be trusted: temperature, thresholds, the unknown, one ONNX file, the proof of it.

Knows the arrays of a way that was gone, not which ways there are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline import progress
from sightline.errors import DataError, ParityError, SightlineError
from sightline.learn import export, graph
from sightline.learn.logistic import Floats
from sightline.learn.probe import Head
from sightline.learn.ways import Drawing, Learned, Material
from sightline.measure.calibration import choose_thresholds, choose_unsure, fit_temperature, to_probabilities
from sightline.measure.novelty import choose_unknown, distances, fit_novelty
from sightline.runtime.model import in_order, prepared
from sightline.settings import settings
from sightline.types import Failure, InputSpec, Item, Parity, Recipe, Score, Unknown

if TYPE_CHECKING:
    from sightline.learn.network import Classifier

PROVED = 200  # validation pictures that the export is compared on
PROVED_FROZEN = 64  # fewer for a frozen network: its graph is an old one, only the head is new


@dataclass(frozen=True, slots=True)
class Measured:
    """The finished model's answers for the pictures of a split, as the exported file gives them."""

    items: tuple[Item, ...]
    truth: NDArray[np.int64]  # (n,) or 0/1 (n, classes)
    probabilities: Floats  # (n, classes)
    novelty: Floats  # (n,)


@dataclass(frozen=True, slots=True)
class Trained:
    onnx: bytes
    weights: bytes | None  # safetensors of the network with its head, for training on
    input: InputSpec
    recipe: Recipe
    temperature: float
    thresholds: dict[str, float]  # several labels only
    unsure_below: float
    unknown: Unknown
    parity: Parity
    train: Measured  # a sample of it, where a network was trained
    val: Measured
    history: tuple[dict[str, float | None], ...]
    curve: tuple[tuple[int, float], ...]  # (training pictures, validation score)
    baselines: dict[str, Score]
    failures: tuple[Failure, ...]
    seconds: dict[str, float] = field(default_factory=dict)
    broken: DataError | None = None  # why training ended before its time (ways.py)
    drawings: tuple[Drawing, ...] = ()  # what it has learned, for the report
    parts: Mapping[str, bytes] = field(default_factory=dict)  # further files of the bundle


def finish(learned: Learned, material: Material, recipe: Recipe) -> Trained:
    """Calibrate on pictures the head has not seen, attach head and novelty to the graph, prove that the export answers alike.

    Raises ParityError.
    """
    task, classes = material.task, material.classes
    logits, truth = learned.held_out
    temperature = fit_temperature(logits, truth, task)
    held_out = to_probabilities(logits, task, temperature)
    cuts = choose_thresholds(held_out, truth) if task == "multilabel" else np.full(len(classes), 0.5)
    novelty = fit_novelty(learned.train.embedding, None if task == "multilabel" else learned.train.truth, seed=recipe.seed)
    sides = {
        name: Measured(
            side.items,
            side.truth,
            to_probabilities(learned.head.logits(side.embedding), task, temperature).astype(np.float32),
            distances(novelty, side.embedding),
        )
        for name, side in (("train", learned.train), ("val", learned.val))
    }
    with progress.task("Exporting and proving"):
        onnx = export.attach(
            learned.graph, learned.head, novelty, temperature=temperature, classes=classes, task=task, spec=learned.spec
        )
        network = _whole(learned, len(classes))
        parity = _prove(onnx, network, learned, temperature, cuts)
    return Trained(
        onnx=onnx,
        weights=_weights(network, learned, recipe) if network else None,
        input=learned.spec,
        recipe=recipe,
        temperature=temperature,
        thresholds=dict(zip(classes, map(float, cuts), strict=True)) if task == "multilabel" else {},
        unsure_below=choose_unsure(held_out, truth),
        unknown=choose_unknown(sides["val"].novelty, seed=recipe.seed),
        parity=parity,
        train=sides["train"],
        val=sides["val"],
        history=learned.history,
        curve=learned.curve,
        baselines={},
        failures=learned.failures,
        drawings=learned.drawings,
        parts=learned.parts,
    )


def _whole(learned: Learned, classes: int) -> Classifier | None:
    """The torch network with its head: what was trained, and what the export is compared with. None: `learned.reference` is."""
    if learned.reference is not None:
        return None
    import torch

    network = learned.network
    if network is None and learned.start is not None:
        network = graph.classifier(learned.start, classes)
    if network is None or not isinstance(learned.head, Head):
        raise ParityError("there is no network to compare the export with")
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(learned.head.weight))
        network.head.bias.copy_(torch.from_numpy(learned.head.bias))
    return network.eval()


def _prove(onnx: bytes, network: Classifier | None, learned: Learned, temperature: float, cuts: NDArray[np.float64]) -> Parity:
    """The parity certificate, against torch in float32 (or the way's own reference) on validation pictures."""
    most = PROVED_FROZEN if learned.way in ("probe", "clip") else PROVED
    some = np.unique(np.linspace(0, len(learned.val.items) - 1, most).astype(int))
    read = list(in_order(lambda item: _pixels(item, learned.spec), [learned.val.items[i] for i in some], settings().threads))
    images = np.stack([image for image in read if image is not None])
    if network is not None:
        logits = _eager_logits(network, learned.denoiser(images) if learned.denoiser else images)
    else:
        assert learned.reference is not None  # _whole has seen to it
        logits = learned.reference(images)
    trained = to_probabilities(logits, learned.task, temperature).astype(np.float32)
    exported = export.answers(onnx, images)["probabilities"]
    return export.certify(exported, trained, learned.task, cuts.astype(np.float32))


def _weights(network: Classifier, learned: Learned, recipe: Recipe) -> bytes:
    """The network as safetensors, for training on."""
    from safetensors.torch import save

    facts = {
        "architecture": "sightline" if recipe.backbone.startswith("sightline-") else recipe.backbone,
        **dict(learned.start.options if learned.start else ()),
        **learned.facts,
    }
    said = {"sightline": json.dumps(facts)}  # one entry: safetensors writes several in an order that changes from run to run
    content: bytes = save({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, said)
    return content


def _eager_logits(network: Classifier, images: NDArray[np.uint8]) -> Floats:
    """What torch itself answers in float32: (n, classes). On one thread: torch's threads wait for each other busily, which on a
    machine with other work took 30 times as long.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            batches = [torch.from_numpy(images[start : start + 16]) for start in range(0, len(images), 16)]
            return np.asarray(torch.cat([network(network.normalise(batch)) for batch in batches]).numpy())
    finally:
        torch.set_num_threads(threads)


def _pixels(item: Item, spec: InputSpec) -> NDArray[np.uint8] | None:
    try:
        return prepared(item.uri, spec)
    except SightlineError:
        return None  # it could be read a minute ago
