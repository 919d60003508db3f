"""One training step of ResNet-18 at 64 px, batch 64: ours against torch's defaults (float32, NCHW).

Three rivals in turn, on the same threads: the plain step; the very same step our way (bfloat16 where the processor has it,
channels_last, products on tiny maps, fused optimiser); our whole step with pictures from bytes, augmentation, clipping and
averaged weights, which the plain one does not have. CPU seconds are given beside wall seconds: on a shared machine trust
those. `--accuracy` also trains both on drawn road signs for as many epochs.

    python bench/train_step.py --accuracy 10
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torchvision.models import resnet18

from harness import in_turn, ratio, report, spread, versions
from sightline import progress
from sightline.data.roadsigns import CLASSES, draw_road_signs
from sightline.learn.augment import augment
from sightline.learn.cache import prepare_all
from sightline.learn.loop import train_network
from sightline.learn.network import Classifier
from sightline.learn.optimise import rate
from sightline.learn.plan import SCRATCH, Plan
from sightline.learn.reproduce import generator, half_precision
from sightline.learn.smallmaps import use_products
from sightline.learn.step import TrainingData, assemble, logits_of, train_step
from sightline.learn.values import Precision
from sightline.types import InputSpec, Item

SIZE, BATCH = 64, 64


def network(classes: int) -> Classifier:
    torch.manual_seed(0)
    backbone = resnet18()
    backbone.fc = nn.Identity()
    return Classifier(backbone, 512, classes)


def bare_step(ours: bool) -> Callable[[], object]:
    """Forward, backward and AdamW on one fixed normalised batch; `ours`: with all that our loop does to it."""
    layout = torch.channels_last if ours else torch.contiguous_format
    model = network(20).to(memory_format=layout).train()
    if ours:
        use_products(model)
    x = torch.randn(BATCH, 3, SIZE, SIZE).contiguous(memory_format=layout)
    y = torch.arange(BATCH) % 20
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3, fused=True if ours else None)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=ours and _bf16()):
            logits = model(x)
        functional.cross_entropy(logits.float(), y).backward()
        optimiser.step()
        optimiser.zero_grad()

    return step


def whole_step(threads: int) -> Callable[[], object]:
    rng = np.random.default_rng(0)
    images, targets = rng.integers(0, 256, (BATCH, SIZE, SIZE, 3), dtype=np.uint8), np.arange(BATCH) % 20
    data = TrainingData(images, targets, images[:0], targets[:0])
    precision: Precision = "bf16" if _bf16() else "float32"
    plan = replace(SCRATCH, threads=threads, precision=precision, size=SIZE, batch=BATCH)
    parts = assemble(network(20), data, plan, torch.device("cpu"))
    rows = torch.arange(BATCH)
    return lambda: train_step(parts, rows, 50, 100)


def measure(threads: int, runs: int) -> tuple[list[str], dict[str, object]]:
    torch.set_num_threads(threads)
    rivals = {
        "torch's defaults": bare_step(ours=False),
        "the same step, our way": bare_step(ours=True),
        "our whole step": whole_step(threads),
    }
    cpu: dict[str, list[float]] = {name: [] for name in rivals}

    def counted(name: str, work: Callable[[], object]) -> Callable[[], object]:
        def run() -> None:
            start = time.process_time()
            work()
            cpu[name].append(time.process_time() - start)

        return run

    wall = in_turn({name: counted(name, work) for name, work in rivals.items()}, runs, warmup=2)
    cpu = {name: times[-runs:] for name, times in cpu.items()}
    first = next(iter(rivals))
    lines = [f"ResNet-18, {SIZE} px, batch {BATCH}, {threads} threads, {runs} steps each, in turn; bf16 in hardware: {_bf16()}"]
    for name in rivals:
        ours, low, high = ratio(wall[first], wall[name])
        by_cpu, *_ = ratio(cpu[first], cpu[name])
        times = f"wall {spread(wall[name])} s, CPU {spread(cpu[name])} s"
        lines.append(f"{name:32} {times}: x {ours:.2f} ({low:.2f}-{high:.2f}), by CPU x {by_cpu:.2f}")
    return lines, {"wall": wall, "cpu": cpu}


def _bf16() -> bool:
    return half_precision(torch.device("cpu"))


def road_signs(folder: Path) -> TrainingData:
    signs = draw_road_signs(folder / "signs")
    parts = []
    for split in ("train", "test"):
        files = [(number, path) for number, name in enumerate(CLASSES) for path in sorted((signs / split / name).glob("*.jpg"))]
        items = [Item(uri=str(path), name=path.name) for _, path in files]
        parts += [prepare_all(items, InputSpec(size=SIZE, fit="squash")).pictures, np.array([number for number, _ in files])]
    return TrainingData(*parts)


def plain_training(data: TrainingData, plan: Plan) -> float:
    """The same recipe as a loop that a careful user writes: float32, NCHW, no averaged weights. Accuracy of the last epoch."""
    model = network(len(CLASSES))
    optimiser = torch.optim.AdamW(model.parameters(), plan.lr, weight_decay=plan.weight_decay)
    targets = functional.one_hot(torch.from_numpy(data.targets)).float()
    each = len(data.images) // plan.batch
    with progress.task("Plain training", plan.epochs * each) as work:
        for step in range(plan.epochs * each):
            if step % each == 0:
                order = torch.randperm(len(data.images), generator=generator(0, "plain", step))
            rows = order[step % each * plan.batch :][: plan.batch]
            draws = generator(0, "step", step)
            pixels, soft = augment(torch.from_numpy(data.images[rows.numpy()]), targets[rows], plan.augment, plan.size, draws)
            for group in optimiser.param_groups:
                group["lr"] = plan.lr * rate(step, plan.epochs * each, plan.warmup)
            loss = functional.cross_entropy(model.train()(model.normalise(pixels)), soft, label_smoothing=plan.label_smoothing)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            work.advance()
    return float((logits_of(model, data.val_images).argmax(1) == data.val_targets).mean())


def accuracies(threads: int, epochs: int) -> tuple[list[str], dict[str, object]]:
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        data = road_signs(Path(folder))
        plan = replace(SCRATCH, size=SIZE, batch=BATCH, epochs=epochs, threads=threads, lr=2e-3)
        start, start_cpu = time.perf_counter(), time.process_time()
        plain = plain_training(data, plan)
        middle, middle_cpu = time.perf_counter(), time.process_time()
        model = network(len(CLASSES))
        train_network(model, data, plan, Path(folder) / "run")
        ours = float((logits_of(model, data.val_images).argmax(1) == data.val_targets).mean())
        end, end_cpu = time.perf_counter(), time.process_time()
    lines = [
        f"road signs, {len(data.images)} training pictures, {epochs} epochs, {len(data.val_images)} kept apart:",
        f"torch's defaults {plain:.2%} in {middle - start:.0f} s (CPU {middle_cpu - start_cpu:.0f} s)",
        f"ours {ours:.2%} in {end - middle:.0f} s (CPU {end_cpu - middle_cpu:.0f} s) with validation and checkpoints",
    ]
    return lines, {"plain": plain, "ours": ours}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=10, help="counted steps of each rival")
    parser.add_argument("--accuracy", type=int, metavar="EPOCHS", help="train both on road signs for so many epochs")
    options = parser.parse_args()
    used = {"versions": versions("torch", "torchvision", "sightline")}
    said, facts = measure(options.threads, options.runs)
    report("train_step", said, {**facts, **used})
    if options.accuracy:
        said, facts = accuracies(options.threads, options.accuracy)
        report("train_accuracy", said, {**facts, **used})
