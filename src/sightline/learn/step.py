"""One training step and one validation pass, with the parts they work on. Knows nothing of epochs, checkpoints or clocks'
limits.
"""

from __future__ import annotations

import copy
import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

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
from sightline.learn.losses import loss_of
from sightline.learn.network import Classifier
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


@dataclass(frozen=True, slots=True)
class Parts:
    """What a training works on. `average` is evaluated and kept; `images` are the training pictures, on the GPU when they
    fit.
    """

    data: TrainingData
    plan: Plan
    model: Classifier
    forward: Callable[[Tensor], Tensor]  # the model, or what torch.compile made of it
    average: Average
    optimiser: torch.optim.Optimizer
    images: Tensor | NDArray[np.uint8]
    targets: Tensor  # float (n, classes)
    weights: Tensor | None  # of the classes in the loss
    shares: NDArray[np.float32] | None  # (n,) how often each picture is drawn, mean 1; None: once an epoch
    fill: Tensor
    device: torch.device
    crew: Crew = ALONE  # who trains with this process


def assemble(model: Classifier, data: TrainingData, plan: Plan, device: torch.device, crew: Crew = ALONE) -> Parts:
    """Move the model to the device, lay its memory out channels_last (measured on a CPU: 1.1 x, with bfloat16 2 x) and build
    the rest.
    """
    model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    freeze(model, plan.frozen)
    regularise(model, plan)
    use_products(model)
    crew.synchronised(model, device)
    crew.same(model)
    classes = model.head.out_features
    targets = torch.from_numpy(np.array(data.targets))
    weights = class_weights(targets, classes, plan.balance) if plan.balance else None
    soft = targets.float() if data.multilabel else functional.one_hot(targets, classes).float()
    images: Tensor | NDArray[np.uint8] = data.images
    if device.type == "cuda" and data.images.nbytes <= ON_DEVICE:
        images = torch.from_numpy(np.array(data.images)).to(device)
    return Parts(
        data,
        plan,
        model,
        torch.compile(model) if compiles(plan, device) else model,
        Average(model, plan.ema),
        optimiser_for(model, plan),
        images,
        soft.to(device),
        None if weights is None else weights.to(device),
        picture_weights(soft.numpy(), plan.sampling) if plan.sampling else None,
        torch.tensor(data.fill, dtype=torch.float32),
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
    return torch.randperm(len(parts.data.images), generator=draws) if parts.shares is None else drawn(parts.shares, draws)


def train_step(parts: Parts, rows: Tensor, step: int, steps: int) -> tuple[float, float]:
    """One step on the pictures `rows`: (mean loss, pictures right). A loss that is not a number changes no weight."""
    data, plan = parts.data, parts.plan
    images = (
        parts.images[rows.to(parts.device)]
        if isinstance(parts.images, Tensor)
        else torch.from_numpy(parts.images[rows.numpy()])
    )
    if plan.augment.each:
        images = changed_each(images.cpu(), plan.augment.each, plan.seed, step * plan.batch)
    seed = seed_of(plan.seed, "step", step)
    torch.manual_seed(seed + parts.crew.rank)  # dropout and the like
    draws = torch.Generator().manual_seed(seed)
    training_mode(parts.model, plan)
    truth = parts.targets[rows.to(parts.device)]
    pixels, soft = augment(images.to(parts.device), truth, plan.augment, plan.size, draws, fill=parts.fill)
    parts.optimiser.zero_grad(set_to_none=True)
    value = correct = 0.0
    mine = parts.crew.share(len(rows))  # changed all alike, since pictures may be mixed with any other of the batch
    for piece in mine.tensor_split(min(plan.accumulate, len(mine))):
        some = slice(int(piece[0]), int(piece[-1]) + 1)
        loss, logits = _loss(parts, pixels[some], soft[some])
        if len(piece) < len(rows):
            loss = loss * (len(piece) / len(rows))
        value += float(loss.detach())
        if not np.isfinite(value):
            break
        loss.backward()  # type: ignore[no-untyped-call]
        correct += float(right(logits.detach(), truth[some], data.multilabel))
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


def _loss(parts: Parts, pixels: Tensor, soft: Tensor) -> tuple[Tensor, Tensor]:
    """Mean loss and logits (n, classes) of changed pictures (n, size, size, 3) with soft targets (n, classes)."""
    data, plan = parts.data, parts.plan
    x = parts.model.normalise(pixels).contiguous(memory_format=torch.channels_last)
    with torch.autocast(parts.device.type, torch.bfloat16, enabled=plan.precision == "bf16"):
        logits = parts.forward(x)
    logits = logits.float()
    loss = loss_of(logits, soft, data.multilabel, parts.weights, plan.label_smoothing, kind=plan.loss, gamma=plan.gamma)
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
    """(loss, accuracy) of the averaged weights on the validation pictures; (nan, nan) without any."""
    data = parts.data
    if not len(data.val_images):
        return float("nan"), float("nan")
    logits = torch.from_numpy(logits_of(parts.average.model, data.val_images, bf16=parts.plan.precision == "bf16"))
    targets = torch.from_numpy(np.array(data.val_targets))
    truth = targets.float() if data.multilabel else functional.one_hot(targets, logits.shape[1]).float()
    loss = loss_of(logits, truth, data.multilabel)
    return float(loss), float(right(logits, truth, data.multilabel)) / len(truth)


def decided(model: Classifier, data: TrainingData, plan: Plan, device: torch.device) -> Plan:
    """The plan with its open values filled in: precision, threads, a batch that is not larger than the set."""
    precision = plan.precision
    if precision == "auto":
        precision = "bf16" if half_precision(device) else "float32"
    plan = replace(plan, precision=precision, batch=min(plan.batch, len(data.images)))
    return plan if plan.threads else replace(plan, threads=_threads(model, data, plan, device))


def _threads(model: Classifier, data: TrainingData, plan: Plan, device: torch.device) -> int:
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


def step_seconds(model: Classifier, data: TrainingData, plan: Plan, device: torch.device, *, counted: int = 1) -> float:
    """Measured time of one training step on a copy: neither the model nor any random state changes."""
    with reproducible(plan.threads, device):
        parts = assemble(copy.deepcopy(model), data, replace(plan, compile="off"), device)
        rows = torch.randperm(len(data.images), generator=generator(plan.seed, "measure", 0))[: plan.batch]
        times = []
        for step in range(counted + 1):  # the first one prepares kernels
            start = time.perf_counter()
            train_step(parts, rows, step, 100)
            times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def epoch_seconds(model: Classifier, data: TrainingData, plan: Plan, device: torch.device | None = None) -> float:
    """Measured time of one epoch with its validation, from a few steps: neither the model nor any random state changes."""
    device = device or training_device()
    plan = decided(model, data, plan, device)
    train = step_seconds(model, data, plan, device, counted=3) * steps_per_epoch(data, plan)
    if not len(data.val_images):
        return train
    sample = data.val_images[: plan.batch]
    with reproducible(plan.threads, device):
        start = time.perf_counter()
        logits_of(copy.deepcopy(model).to(device), sample, bf16=plan.precision == "bf16")
        return train + (time.perf_counter() - start) * len(data.val_images) / len(sample)


def steps_per_epoch(data: TrainingData, plan: Plan) -> int:
    """Whole batches only: a last, smaller one would disturb the norms' statistics."""
    return max(1, len(data.images) // plan.batch)
