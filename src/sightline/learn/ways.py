"""The ways to a recogniser: a head on frozen features, or a network trained from pretrained weights or from scratch.

Each ends as the same value, `Learned`: an embedding graph, a head, and what calibration needs. Knows no files of models.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline import progress
from sightline.data.targets import targets
from sightline.errors import DataError, DatasetError, UsageError
from sightline.learn import features, graph
from sightline.learn.backbones import Start
from sightline.learn.balance import Balance
from sightline.learn.classic.scorers import Scorer
from sightline.learn.export import answers
from sightline.learn.logistic import Floats
from sightline.learn.probe import STRENGTHS, Head, fit_head, fit_probe
from sightline.learn.recipes import Changes
from sightline.learn.values import Values
from sightline.measure.calibration import to_probabilities
from sightline.measure.ranking import average_precision
from sightline.settings import settings
from sightline.types import Failure, InputSpec, Item, Size, Task, Way

if TYPE_CHECKING:
    from torch import nn

    from sightline.learn.layerwise.denoiser import Denoiser
    from sightline.learn.network import Classifier
    from sightline.learn.plan import Plan
    from sightline.learn.step import TrainingData
    from sightline.learn.writers import Log

WORTH = 5  # epochs below which fine-tuning gains nothing over the head on frozen features
SAMPLE = 3_000  # training pictures that a trained network is measured on, and its novelty fitted to
PATCHED = 5_000  # training pictures that the first layer of the speed recipe is computed from
BARE_RATE = 1e-3  # from scratch without batch norm (AlexNet, VGG, SqueezeNet, transformers): SCRATCH's rate makes them diverge
LEFT_RIGHT = re.compile(r"left|right|arrow|turn|links|rechts|mirror", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Material:
    """What to learn from. Groups (one for each training picture) stay in one fold of a cross-validation."""

    train: tuple[Item, ...]
    val: tuple[Item, ...]
    classes: tuple[str, ...]
    task: Task
    seed: int
    denoiser: Denoiser | None = None  # stands in front of the network, in the exported model too


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a model has learned, as a picture uint8 (h, w, 3) for its report."""

    pixels: NDArray[np.uint8]
    name: str
    caption: str


@dataclass(frozen=True, slots=True)
class Side:
    """The readable pictures of one split: truth int64 (n,) or 0/1 (n, classes), embedding (n, d) by the trained network."""

    items: tuple[Item, ...]
    truth: NDArray[np.int64]
    embedding: Floats


@dataclass(frozen=True, slots=True)
class Learned:
    way: Way
    task: Task
    spec: InputSpec
    graph: bytes  # ONNX: image -> embedding
    head: Head | Scorer
    train: Side  # a sample, where a network was trained
    val: Side
    held_out: tuple[Floats, NDArray[np.int64]]  # logits and truth of pictures that the head has not seen: for calibration
    values: dict[str, Any]
    history: tuple[dict[str, float | None], ...] = ()
    curve: tuple[tuple[int, float], ...] = ()
    failures: tuple[Failure, ...] = ()
    reference: Callable[[NDArray[np.uint8]], Floats] | None = None  # logits of prepared pictures, where there is no network
    network: Classifier | None = None  # the trained network; None: the frozen one of `start`
    start: Start | None = None
    denoiser: Denoiser | None = None  # in front of `network`, and in `graph` already
    drawings: tuple[Drawing, ...] = ()  # for the report
    parts: Mapping[str, bytes] = field(default_factory=dict)  # further files of the bundle
    facts: Mapping[str, Any] = field(default_factory=dict)  # what the weights file says of a network that was changed
    broken: DataError | None = None  # why training ended before its time; these are the best weights until then

    def score(self) -> tuple[float, float]:
        """Main score on the validation pictures, and minus their loss, which decides between equal scores."""
        logits = self.head.logits(self.val.embedding)
        return main_score(self.val.truth, logits, self.task), -loss_of(self.val.truth, logits, self.task)


def by_probe(material: Material, start: Start, balance: Balance = "auto", strength: float | None = None) -> Learned:
    """A linear head on the frozen features of a pretrained network. `strength`: C, instead of choosing it."""
    frozen, key = graph.backbone_graph(start)
    if material.denoiser:
        frozen, key = material.denoiser.front(frozen), f"{key}-{material.denoiser.key}"
    everything = (*material.train, *material.val)
    found = features.compute(everything, frozen, key, start.input)
    cut = int(np.searchsorted(found.kept, len(material.train)))
    train = _side(material, material.train, found.kept[:cut], found.vectors[:cut])
    val = _side(material, material.val, found.kept[cut:] - len(material.train), found.vectors[cut:])
    count = len(material.classes)
    probe = fit_probe(
        train.embedding,
        train.truth,
        count,
        material.task,
        groups=[item.group or item.sha256 for item in train.items],
        seed=material.seed,
        threads=settings().threads,
        weigh=balance,
        strengths=STRENGTHS if strength is None else (strength,),
    )

    def point(rows: NDArray[np.intp]) -> float:
        """Of the learning curve: the validation score of a head on these training pictures."""
        head = fit_head(train.embedding[rows], train.truth[rows], count, material.task, probe.strength, weigh=balance)
        return main_score(val.truth, head.logits(val.embedding), material.task)

    curve = [(len(rows), point(rows)) for rows in _quarters(train, material.seed)]
    learned = Learned(
        "probe",
        material.task,
        start.input,
        frozen,
        probe.head,
        train,
        val,
        (probe.out_of_fold, train.truth),
        {
            "features": train.embedding.shape[1],
            "regularisation": probe.strength,
            "cross_validated_loss": round(probe.losses[probe.strength], 4),
            "folds": probe.folds,
            "balanced": probe.balanced,
        },
        failures=found.failures,
        reference=_packaged(frozen, probe.head) if start.packaged else None,
        start=start,
        denoiser=material.denoiser,
    )
    return replace(learned, curve=(*curve, (len(train.items), learned.score()[0])))


def _packaged(frozen: bytes, head: Head) -> Callable[[NDArray[np.uint8]], Floats]:
    """What a head answers on the features of our own graph: without torch there is nothing else to hold the export against."""
    return lambda images: head.logits(answers(frozen, images)["embedding"])


def _quarters(side: Side, seed: int) -> list[NDArray[np.intp]]:
    """A quarter and a half of the pictures at random, where that is enough to say something."""
    mixed = np.random.default_rng(seed).permutation(len(side.items))
    return [np.sort(mixed[: len(mixed) // part]) for part in (4, 2) if len(mixed) // part >= 20]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A network with its data and plan, ready to be trained."""

    way: Way
    network: Classifier
    data: TrainingData
    plan: Plan
    spec: InputSpec
    failures: tuple[Failure, ...]
    start: Start | None
    released: Callable[[Classifier], Classifier] | None = None  # takes off what was around the network while it learned


def prepare_network(
    material: Material,
    start: Start | None,
    size: Size,
    *,
    spec: InputSpec | None,
    probe: Learned | None,
    flip: bool | None = None,
    changes: Changes | None = None,
    balance: Balance = "auto",
    backbone: str | None = None,
    values: Values = (),
    body: Callable[[], tuple[nn.Module, int]] | None = None,
) -> Prepared:
    """The pretrained network with the probe's head; or, from scratch (`spec` then says the input), the network of the zoo or
    timm that `backbone` names, the one `body` builds, or a small one of ours. Pictures decoded. `changes` of the training
    pictures replace the plan's; `flip` decides about mirroring, whatever else is said; `values` of the plan come last.
    """
    from sightline.learn import cache
    from sightline.learn.augment import asked_for
    from sightline.learn.network import Classifier, depth_groups, small_resnet
    from sightline.learn.plan import FINE_TUNE, SCRATCH, SPEED, STILL, balanced, changed
    from sightline.learn.reproduce import seed_of
    from sightline.learn.zoo.networks import from_scratch
    from sightline.learn.zoo.speed import SpeedNet

    import torch  # isort: skip

    plan, spec = (FINE_TUNE, start.input) if start else (SCRATCH, spec or InputSpec(size=SCRATCH.size, fit="pad"))
    count = len(material.classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(material.seed, "network", 0))  # the first weights, without touching the caller's generator
        if start:
            network = graph.classifier(start, count, dropout=0.2)
        else:
            below, width = body() if body else from_scratch(backbone, spec.size) if backbone else small_resnet(size)
            network = Classifier(below, width, count, mean=spec.mean, std=spec.std)
            if not any("BatchNorm" in type(module).__name__ for module in below.modules()):
                plan = replace(plan, lr=BARE_RATE)
    if probe and isinstance(probe.head, Head):
        with torch.no_grad():
            network.head.weight.copy_(torch.from_numpy(probe.head.weight))
            network.head.bias.copy_(torch.from_numpy(probe.head.bias))
    stored, view = cache.room_for(spec)
    train, val = cache.prepare_all(material.train, stored), cache.prepare_all(material.val, spec)
    data = _training_data(material, train, val)
    quick = getattr(network.backbone, "network", None)
    if isinstance(quick, SpeedNet):
        plan = SPEED
        quick.whiten(network.normalise(torch.from_numpy(data.images[:PATCHED])))
    augment = asked_for(changes) if changes else plan.augment
    mirrored = augment.flip if flip is None else flip
    sure = flip is not None or bool(changes and changes.sure)
    if not sure and any(LEFT_RIGHT.search(name) for name in material.classes):
        mirrored = False
    if isinstance(quick, SpeedNet):
        quick.mirrored = mirrored
    if start:
        plan = replace(plan, frozen=round(STILL * (len(depth_groups(network)) - 1)))
    plan = balanced(plan, balance)
    plan = replace(plan, size=spec.size, seed=material.seed, augment=replace(augment, flip=mirrored, view=view))
    plan = changed(plan, values)
    return Prepared("fine-tune" if start else "scratch", network, data, plan, spec, (*train.failures, *val.failures), start)


def _training_data(material: Material, train: Any, val: Any) -> TrainingData:
    from sightline.learn.step import TrainingData

    def numbers(items: Sequence[Item], kept: NDArray[np.int64]) -> NDArray[Any]:
        truth = targets([items[place] for place in kept], material.classes, material.task)
        return truth.astype(np.float32) if material.task == "multilabel" else truth

    clean = material.denoiser or (lambda pictures: pictures)
    return TrainingData(
        clean(train.pictures), numbers(material.train, train.kept), clean(val.pictures), numbers(material.val, val.kept)
    )


def epochs_within(prepared: Prepared, minutes: float) -> int:
    """How many epochs of this training fit into `minutes`, from a measured step."""
    from sightline.learn.plan import within
    from sightline.learn.step import epoch_seconds

    with progress.task("Measuring a training step"):
        return within(prepared.plan, minutes, epoch_seconds(prepared.network, prepared.data, prepared.plan)).epochs


def taught(prepared: Prepared, material: Material, teacher: Path | None) -> Prepared:
    """The same training with a teacher beside the labels; UsageError, DatasetError where it cannot teach these classes."""
    from sightline.learn.teacher import SHARE, called

    if teacher is None:
        if prepared.plan.distill:
            raise UsageError("distill is a teacher's share of the loss, and there is no teacher", hint="give --teacher MODEL")
        return prepared
    one = called(teacher, material.classes, material.task, prepared.spec)
    share = prepared.plan.distill or SHARE
    return replace(prepared, data=replace(prepared.data, teacher=one), plan=replace(prepared.plan, distill=share))


def by_network(
    material: Material, prepared: Prepared, minutes: float | None, run: Path, log: Log | None = None, *, salvage: bool = False
) -> Learned:
    """Train the network; goes on where an earlier run in the folder `run` was stopped. With `salvage` a training that broke
    down after an epoch or more ends as its best weights; `Learned.broken` then says what happened.
    """
    from sightline.learn import parallel, writers
    from sightline.learn.loop import kept_so_far, train_network

    crew = parallel.crew()
    crew.let_in()
    teacher = prepared.data.teacher
    company = {"teacher": f"{teacher.name} {teacher.id}"} if teacher else {}
    with writers.opened(log if crew.first else None, {"minutes": minutes, **prepared.plan.values(), **company}) as on_epoch:
        broken = None
        try:
            trained = train_network(prepared.network, prepared.data, prepared.plan, run, minutes=minutes, on_epoch=on_epoch)
        except DataError as error:
            if not (salvage and error.detail.get("best_epoch")):
                raise
            trained, broken = kept_so_far(run), error
    if not crew.first:
        raise SystemExit(0)  # the first process calibrates, exports and tells: the others have done their part
    network = prepared.network if prepared.released is None else prepared.released(prepared.network)
    network = network.to("cpu").float().eval()
    exported = graph.embedding_graph(network, prepared.spec.size)
    if material.denoiser:
        exported = material.denoiser.front(exported)
    some = np.sort(np.random.default_rng(material.seed).permutation(len(material.train))[:SAMPLE])
    sides: list[Side] = []
    failures: list[Failure] = []
    for items in (tuple(material.train[place] for place in some), material.val):
        found = features.compute(items, exported, None, prepared.spec)
        sides.append(_side(material, items, found.kept, found.vectors))
        failures.extend(found.failures)
    head = Head(network.head.weight.detach().numpy().copy(), network.head.bias.detach().numpy().copy())
    train, val = sides
    return Learned(
        prepared.way,
        material.task,
        prepared.spec,
        exported,
        head,
        train,
        val,
        (head.logits(val.embedding), val.truth),
        {**trained.plan.values(), **company, "best_epoch": trained.best_epoch, "stopped_early": trained.stopped_early},
        history=tuple(asdict(epoch) for epoch in trained.history),
        failures=tuple({failure.picture: failure for failure in (*prepared.failures, *failures)}.values()),
        network=network,
        start=prepared.start,
        denoiser=material.denoiser,
        broken=broken,
    )


def _side(material: Material, items: Sequence[Item], kept: NDArray[np.intp], vectors: Floats) -> Side:
    good = tuple(items[place] for place in kept)
    if not good:
        raise DatasetError(
            "none of the training (or validation) pictures can be read",
            hint="open some of them in another program: the files may be damaged",
        )
    return Side(good, targets(good, material.classes, material.task), vectors)


def main_score(truth: NDArray[np.int64], logits: Floats, task: Task) -> float:
    """The one number that ways are compared by: share right; for several labels the mean of the classes' average precision."""
    if task != "multilabel":
        return float((logits.argmax(axis=1) == truth).mean())
    each = [average_precision(truth[:, place].astype(bool), logits[:, place]) for place in range(truth.shape[1])]
    return float(np.nanmean(each)) if not np.isnan(each).all() else 0.0


def loss_of(truth: NDArray[np.int64], logits: Floats, task: Task) -> float:
    """Mean cross-entropy: decides between ways of the same score."""
    probabilities = np.clip(to_probabilities(logits, task), 1e-7, 1 - 1e-7)
    if task == "multilabel":
        return float(-np.where(truth > 0, np.log(probabilities), np.log(1 - probabilities)).mean())
    return float(-np.log(probabilities[np.arange(len(truth)), truth]).mean())
