"""One training step and one validation pass, with the parts they work on. Knows nothing of epochs, checkpoints or clocks'
limits.
"""

from __future__ import annotations

import copy
import hashlib
import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from sightline import progress
from sightline.errors import UsageError
from sightline.learn.augment import augment
from sightline.learn.balance import drawn, picture_weights
from sightline.learn.dropping import regularise
from sightline.learn.lesson import Lesson, Piece
from sightline.learn.losses import loss_of
from sightline.learn.network import Classifier, Trainable
from sightline.learn.optimise import Average, class_weights, freeze, optimiser_for, set_pace, training_mode
from sightline.learn.parallel import ALONE, Crew
from sightline.learn.plan import Plan
from sightline.learn.reproduce import generator, half_precision, reproducible, seed_of, training_device
from sightline.learn.smallmaps import use_products
from sightline.learn.teacher import Teacher, distilled
from sightline.runtime.fitting import GREY
from sightline.settings import settings

CROWDED = 1.3  # all threads this much slower than one: on quiet cores they are about as many times faster as there are
ON_DEVICE = 8 << 30  # bytes of pictures up to which a GPU holds them all


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Prepared pictures and their labels. Targets: class numbers int64 (n,), or 0/1 float32 (n, classes) for several labels."""

    images: NDArray[np.uint8]  # (n, s, s, 3); s may be larger than the network's input
    targets: NDArray[np.int64] | NDArray[np.float32]
    val_images: NDArray[np.uint8]  # (m, size, size, 3); may be empty: then the last weights are kept
    val_targets: NDArray[np.int64] | NDArray[np.float32]
    fill: tuple[float, float, float] = GREY  # what comes in from outside a picture: the ground of letterboxed ones
    teacher: Teacher | None = None  # says what the changed pictures show, too: `Plan.distill` is how much that counts

    @property
    def multilabel(self) -> bool:
        return self.targets.ndim == 2

    @property
    def pictures(self) -> int:
        return len(self.images)

    @property
    def val_pictures(self) -> int:
        return len(self.val_images)

    @property
    def measure(self) -> str:
        return "accuracy"

    def identity(self) -> dict[str, Any]:
        """Labels and a sample of the pictures."""
        pictures = hashlib.sha256(self.targets.tobytes() + self.val_targets.tobytes())
        for images in (self.images, self.val_images):
            pictures.update(repr(images.shape).encode())
            pictures.update(images[:: max(1, len(images) // 64)].tobytes())
        taught = {"teacher": self.teacher.id} if self.teacher else {}
        return {"pictures": pictures.hexdigest()[:16], **taught}

    def held(self, model: Trainable, plan: Plan, device: torch.device) -> Held:
        targets = torch.from_numpy(np.array(self.targets))
        classes = cast(Classifier, model).head.out_features
        weights = class_weights(targets, classes, plan.balance) if plan.balance else None
        images: Tensor | NDArray[np.uint8] = self.images
        if device.type == "cuda" and self.images.nbytes <= ON_DEVICE:
            images = torch.from_numpy(np.array(self.images)).to(device)
        soft = targets.float() if self.multilabel else functional.one_hot(targets, classes).float()
        fill = torch.tensor(self.fill, dtype=torch.float32)
        return Held(images, soft.to(device), None if weights is None else weights.to(device), fill)

    def shares(self, plan: Plan) -> NDArray[np.float32] | None:
        if not plan.sampling:
            return None
        targets = torch.from_numpy(np.array(self.targets))
        soft = targets.float() if self.multilabel else functional.one_hot(targets).float()
        return picture_weights(soft.numpy(), plan.sampling)

    def batch(self, parts: Parts, rows: Tensor, step: int, steps: int, draws: torch.Generator) -> Piece:  # noqa: ARG002
        return _batch(self, parts, rows, step, draws)

    def validate(self, parts: Parts) -> tuple[float, float]:
        if not len(self.val_images):
            return float("nan"), float("nan")
        model = cast(Classifier, parts.average.model)
        logits = torch.from_numpy(logits_of(model, self.val_images, bf16=parts.plan.precision == "bf16"))
        targets = torch.from_numpy(np.array(self.val_targets))
        truth = targets.float() if self.multilabel else functional.one_hot(targets, logits.shape[1]).float()
        loss = loss_of(logits, truth, self.multilabel)
        return float(loss), float(right(logits, truth, self.multilabel)) / len(truth)

    def score(self, loss: float, right: float) -> list[float]:
        """Several labels: the share of right answers hardly moves, so the loss decides."""
        return [0.0 if self.multilabel else right, -loss]

    def validation_seconds(self, model: Trainable, plan: Plan, device: torch.device) -> float:
        sample = self.val_images[: plan.batch]
        start = time.perf_counter()
        logits_of(cast(Classifier, model).to(device), sample, bf16=plan.precision == "bf16")
        return (time.perf_counter() - start) * len(self.val_images) / len(sample)


@dataclass(frozen=True, slots=True)
class Held:
    """What a training of whole pictures keeps for all steps; `images` lie on the GPU when they fit."""

    images: Tensor | NDArray[np.uint8]
    targets: Tensor  # float (n, classes)
    weights: Tensor | None  # of the classes in the loss
    fill: Tensor


@dataclass(frozen=True, slots=True)
class Parts:
    """What a training works on. `average` is evaluated and kept."""

    data: Lesson
    plan: Plan
    model: Trainable
    forward: Callable[[Tensor], Tensor]  # the model, or what torch.compile made of it
    average: Average
    optimiser: torch.optim.Optimizer
    held: Any  # what the lesson keeps for itself
    shares: NDArray[np.float32] | None  # (n,) how often each picture is drawn, mean 1; None: once an epoch
    device: torch.device
    crew: Crew = ALONE  # who trains with this process


def assemble(model: Trainable, data: Lesson, plan: Plan, device: torch.device, crew: Crew = ALONE) -> Parts:
    """Move the model to the device, lay its memory out channels_last (measured on a CPU: 1.1 x, with bfloat16 2 x) and build
    the rest.
    """
    model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    freeze(model, plan.frozen)
    regularise(model, plan)
    use_products(model)
    crew.synchronised(model, device)
    crew.same(model)
    return Parts(
        data,
        plan,
        model,
        torch.compile(model) if compiles(plan, device) else model,
        Average(model, plan.ema),
        optimiser_for(model, plan),
        data.held(model, plan, device),
        data.shares(plan),
        device,
        crew,
    )


def compiles(plan: Plan, device: torch.device) -> bool:
    """Whether the network goes through torch.compile. UsageError where it must, and there is no compiler for it."""
    if plan.compile == "off" or (plan.compile == "auto" and device.type != "cuda"):
        return False
    if any(shutil.which(name) for name in ("cc", "gcc", "clang", "c++", "g++")):
        return True
    if plan.compile == "auto":
        return False
    raise UsageError("torch.compile needs a C compiler, and there is none", hint="install gcc, or give --plan compile=off")


def order_of(parts: Parts, epoch: int) -> Tensor:
    """The pictures of an epoch, int64 (n,): each once, or the rare ones more often."""
    draws = generator(parts.plan.seed, "order", epoch)
    return torch.randperm(parts.data.pictures, generator=draws) if parts.shares is None else drawn(parts.shares, draws)


def train_step(parts: Parts, rows: Tensor, step: int, steps: int) -> tuple[float, float]:
    """One step on the pictures `rows`: (mean loss, pictures right). A loss that is not a number changes no weight."""
    plan = parts.plan
    seed = seed_of(plan.seed, "step", step)
    piece_loss = parts.data.batch(parts, rows, step, steps, torch.Generator().manual_seed(seed))
    torch.manual_seed(seed + parts.crew.rank)  # dropout and the like
    training_mode(parts.model, plan)
    parts.optimiser.zero_grad(set_to_none=True)
    value = correct = 0.0
    mine = parts.crew.share(len(rows))  # changed all alike, since pictures may be mixed with any other of the batch
    for piece in mine.tensor_split(min(plan.accumulate, len(mine))):
        loss, good = piece_loss(slice(int(piece[0]), int(piece[-1]) + 1))
        if len(piece) < len(rows):
            loss = loss * (len(piece) / len(rows))
        value += float(loss.detach())
        if not np.isfinite(value):
            break
        loss.backward()  # type: ignore[no-untyped-call]
        correct += good
    value, correct = parts.crew.total(value, correct)
    if not np.isfinite(value):
        return value, 0.0
    parts.crew.add_gradients(parts.model)
    set_pace(parts.optimiser, step, steps, plan)
    if plan.clip:
        torch.nn.utils.clip_grad_norm_(parts.model.parameters(), plan.clip)
    parts.optimiser.step()
    parts.average.update(step)
    return value, correct


def _batch(data: TrainingData, parts: Parts, rows: Tensor, step: int, draws: torch.Generator) -> Piece:
    """Pictures of a step, changed, and what computes the loss of some of them."""
    plan, held = parts.plan, cast(Held, parts.held)
    images = (
        held.images[rows.to(parts.device)] if isinstance(held.images, Tensor) else torch.from_numpy(held.images[rows.numpy()])
    )
    if plan.augment.each:
        images = changed_each(images.cpu(), plan.augment.each, plan.seed, step * plan.batch)
    truth = held.targets[rows.to(parts.device)]
    pixels, soft = augment(images.to(parts.device), truth, plan.augment, plan.size, draws, fill=held.fill)

    def piece(some: slice) -> tuple[Tensor, float]:
        loss, logits = _loss(data, parts, pixels[some], soft[some])
        return loss, float(right(logits.detach(), truth[some], data.multilabel))

    return piece


def _loss(data: TrainingData, parts: Parts, pixels: Tensor, soft: Tensor) -> tuple[Tensor, Tensor]:
    """Mean loss and logits (n, classes) of changed pictures (n, size, size, 3) with soft targets (n, classes)."""
    plan = parts.plan
    x = cast(Classifier, parts.model).normalise(pixels).contiguous(memory_format=torch.channels_last)
    with torch.autocast(parts.device.type, torch.bfloat16, enabled=plan.precision == "bf16"):
        logits = parts.forward(x)
    logits = logits.float()
    weights = cast(Held, parts.held).weights
    loss = loss_of(logits, soft, data.multilabel, weights, plan.label_smoothing, kind=plan.loss, gamma=plan.gamma)
    if data.teacher is not None and plan.distill:
        taught = distilled(logits, data.teacher(pixels), plan.temperature, data.multilabel)
        loss = torch.lerp(loss, taught, plan.distill)
    return loss, logits


def changed_each(images: Tensor, how: tuple[str, ...], seed: int, first: int) -> Tensor:
    """What only single pictures can have: torchvision, loaded only when it is asked for."""
    from sightline.learn.transforms import each

    return each(images, how, seed, first)


def right(logits: Tensor, truth: Tensor, multilabel: bool) -> Tensor:
    """Pictures answered right; for several labels the mean share of right yes/no answers, summed over pictures."""
    if multilabel:
        return ((logits > 0) == (truth > 0.5)).float().mean(1).sum()
    return (logits.argmax(1) == truth.argmax(1)).sum()


@torch.inference_mode()
def logits_of(model: Classifier, images: NDArray[np.uint8], *, bf16: bool = False, batch: int = 64) -> NDArray[np.float32]:
    """Logits float32 (n, classes) for prepared pictures (n, size, size, 3) uint8; the model's mode comes back as it was."""
    device, was_training = model.head.weight.device, model.training
    model.eval()
    found = [np.zeros((0, model.head.out_features), np.float32)]
    for start in range(0, len(images), batch):
        x = model.normalise(torch.from_numpy(np.array(images[start : start + batch])).to(device))
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            logits = model(x.contiguous(memory_format=torch.channels_last))
        found.append(logits.float().cpu().numpy())
    model.train(was_training)
    return np.concatenate(found)


def validate(parts: Parts) -> tuple[float, float]:
    """(loss, accuracy or the lesson's own measure) of the averaged weights on the validation pictures; (nan, nan) without."""
    return parts.data.validate(parts)


def decided(model: Trainable, data: Lesson, plan: Plan, device: torch.device) -> Plan:
    """The plan with its open values filled in: precision, threads, a batch that is not larger than the set."""
    precision = plan.precision
    if precision == "auto":
        precision = "bf16" if half_precision(device) else "float32"
    plan = replace(plan, precision=precision, batch=min(plan.batch, data.pictures))
    return plan if plan.threads else replace(plan, threads=_threads(model, data, plan, device))


def _threads(model: Trainable, data: Lesson, plan: Plan, device: torch.device) -> int:
    """All threads, unless other programs hold the cores: then they wait for each other, and one alone is faster.

    Measured on 2 cores with 6 busy programs: ResNet-18 step 0.5 s on one thread, 8.6 s on two.
    """
    most = settings().threads
    if most == 1 or device.type != "cpu":
        return most
    together, alone = (step_seconds(model, data, replace(plan, threads=count), device) for count in (most, 1))
    if together <= CROWDED * alone:
        return most
    progress.note(
        f"other programs are using the cores: training on one thread, {together / alone:.1f} x as fast now as on {most}"
    )
    return 1


def step_seconds(model: Trainable, data: Lesson, plan: Plan, device: torch.device, *, counted: int = 1) -> float:
    """Measured time of one training step on a copy: neither the model nor any random state changes."""
    with reproducible(plan.threads, device):
        parts = assemble(copy.deepcopy(model), data, replace(plan, compile="off"), device)
        rows = torch.randperm(data.pictures, generator=generator(plan.seed, "measure", 0))[: plan.batch]
        times = []
        for step in range(counted + 1):  # the first one prepares kernels
            start = time.perf_counter()
            train_step(parts, rows, step, 100)
            times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def epoch_seconds(model: Trainable, data: Lesson, plan: Plan, device: torch.device | None = None) -> float:
    """Measured time of one epoch with its validation, from a few steps: neither the model nor any random state changes."""
    device = device or training_device()
    plan = decided(model, data, plan, device)
    train = step_seconds(model, data, plan, device, counted=3) * steps_per_epoch(data, plan)
    if not data.val_pictures:
        return train
    with reproducible(plan.threads, device):
        return train + data.validation_seconds(copy.deepcopy(model), plan, device)


def steps_per_epoch(data: Lesson, plan: Plan) -> int:
    """Whole batches only: a last, smaller one would disturb the norms' statistics."""
    return max(1, data.pictures // plan.batch)
