"""Training pictures a second, files to weights: ours against a plain loop on timm's create_loader with its defaults.

Two tasks: ResNet-18 from scratch at 64 px on CIFAR-10, batch 64; MobileNetV2 at 224 px on photographs of clothing from
pretrained weights, batch 32. Both sides start at JPEG files and the same weights, use the same cores, batch, epochs, optimiser
and rates, and are scored on the same pictures kept apart. The plain loop is what timm's documentation shows: create_loader
(random crops, flips, colour; one worker process), float32, AdamW, cosine. Ours counts filling its cache of decoded pictures.
Pictures come from SIGHTLINE_SHARED/data, weights from SIGHTLINE_WEIGHTS.

    python bench/throughput.py --only resnet18 --epochs 8 --pictures 4000
"""

from __future__ import annotations

import argparse
import os
import shutil
import tarfile
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from harness import ratio, report, spread, versions
from sightline import progress
from sightline.learn import cache
from sightline.learn.augment import Augment
from sightline.learn.backbones import choose
from sightline.learn.graph import classifier
from sightline.learn.loop import train_network
from sightline.learn.network import Classifier
from sightline.learn.optimise import rate
from sightline.learn.plan import FINE_TUNE, SCRATCH, Plan
from sightline.learn.step import TrainingData, logits_of
from sightline.learn.zoo.networks import from_scratch
from sightline.measure.bootstrap import wilson
from sightline.settings import settings
from sightline.types import InputSpec, Item

LIKE = Augment(flip=True, degrees=0, scale=0.35, aspect=0.15, shift=0.06, colour=0.4)  # about as much change as timm's


@dataclass(frozen=True, slots=True)
class Task:
    """Files with class numbers to train and to score on; the network and the plan."""

    name: str
    train: list[tuple[Path, int]]
    test: list[tuple[Path, int]]
    classes: int
    plan: Plan
    spec: InputSpec

    def network(self) -> Classifier:
        torch.manual_seed(0)
        if self.name == "resnet18":
            backbone, width = from_scratch("resnet18", self.spec.size)
            return Classifier(backbone, width, self.classes, mean=self.spec.mean, std=self.spec.std)
        start = choose("small")
        assert start is not None, "SIGHTLINE_WEIGHTS names no folder with MobileNetV2"
        return classifier(start, self.classes, dropout=0.2)


def shared() -> Path:
    return Path(os.environ.get("SIGHTLINE_SHARED") or Path(__file__).parents[2] / "shared") / "data"


def cifar(scratch: Path, pictures: int, epochs: int) -> Task:
    sides = []
    for part, count in (("train", pictures), ("test", 2_000)):
        with tarfile.open(shared() / f"cifar10/{part}.tar.xz") as archive:
            archive.extractall(scratch, filter="data")
        sides.append(some(scratch / part, count))
    plan = replace(SCRATCH, size=64, batch=64, epochs=epochs, lr=2e-3, augment=LIKE)
    return Task("resnet18", sides[0], sides[1], 10, plan, InputSpec(size=64, fit="squash"))


def clothing(pictures: int, epochs: int) -> Task:
    start = choose("small")
    assert start is not None, "SIGHTLINE_WEIGHTS names no folder with MobileNetV2"
    folder = shared() / "clothing"
    train, test = some(folder / "train", pictures), some(folder / "validation", 341)
    plan = replace(FINE_TUNE, size=start.input.size, batch=32, epochs=epochs, frozen=0, freeze_norm=False, layer_decay=1.0)
    return Task("mobilenet_v2", train, test, 10, replace(plan, lr=5e-4, augment=LIKE), start.input)


def some(folder: Path, count: int) -> list[tuple[Path, int]]:
    """Files drawn by lot from class folders, with their class numbers."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    files = [(path, number) for number, name in enumerate(names) for path in sorted((folder / name).glob("*.jp*g"))]
    lots = np.random.default_rng(0).permutation(len(files))[:count]
    return [files[lot] for lot in sorted(lots)]


def ours(task: Task, scratch: Path) -> tuple[list[float], float]:
    """Seconds of each epoch (the first one with decoding), and the accuracy."""
    os.environ["SIGHTLINE_CACHE"] = str(scratch / "cache")
    settings.cache_clear()
    shutil.rmtree(scratch / "cache", ignore_errors=True)
    model = task.network()
    start = time.perf_counter()
    stored, view = cache.room_for(task.spec)
    pictures = cache.prepare_all(items(task.train), stored).pictures
    decoding = time.perf_counter() - start
    labels = np.array([number for _, number in task.train])
    data = TrainingData(pictures, labels, np.zeros((0, task.spec.size, task.spec.size, 3), np.uint8), labels[:0])
    plan = replace(task.plan, augment=replace(task.plan.augment, view=view), threads=settings().threads)
    shutil.rmtree(scratch / "run", ignore_errors=True)
    start = time.perf_counter()
    trained = train_network(model, data, plan, scratch / "run")
    took = [epoch.seconds for epoch in trained.history]
    took[0] += decoding + time.perf_counter() - start - sum(took)  # and what the loop does around its epochs
    test = cache.prepare_all(items(task.test), task.spec).pictures
    answers = logits_of(model, test, bf16=trained.plan.precision == "bf16").argmax(1)
    return took, float((answers == [number for _, number in task.test]).mean())


def items(files: list[tuple[Path, int]]) -> list[Item]:
    return [Item(uri=str(path), name=f"{number}/{path.name}") for path, number in files]


def plain(task: Task) -> tuple[list[float], float]:
    """The same of timm's loader and a loop as its documentation shows it."""
    size, plan = task.spec.size, task.plan
    model = task.network().train()
    optimiser = torch.optim.AdamW(model.parameters(), plan.lr, weight_decay=plan.weight_decay)
    loader = timms(task.train, size, plan.batch, training=True)
    steps, step, took = plan.epochs * len(loader), 0, []
    with progress.task("Plain training", steps) as work:
        for _ in range(plan.epochs):
            begun = time.perf_counter()
            for pixels, truth in loader:
                for group in optimiser.param_groups:
                    group["lr"] = plan.lr * rate(step, steps, plan.warmup)
                loss = functional.cross_entropy(model(pixels), truth, label_smoothing=plan.label_smoothing)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                step += 1
                work.advance()
            took.append(time.perf_counter() - begun)
    model.eval()
    right = 0
    with torch.inference_mode():
        for pixels, truth in timms(task.test, size, 64, training=False):
            right += int((model(pixels).argmax(1) == truth).sum())
    return took, right / len(task.test)


def timms(files: list[tuple[Path, int]], size: int, batch: int, *, training: bool) -> Any:
    from PIL import Image
    from timm.data import create_loader

    class Files(torch.utils.data.Dataset):  # type: ignore[type-arg]
        transform: Any = None  # create_loader sets it

        def __len__(self) -> int:
            return len(files)

        def __getitem__(self, place: int) -> tuple[Any, int]:
            path, number = files[place]
            with Image.open(path) as picture:
                return self.transform(picture.convert("RGB")), number

    return create_loader(Files(), (3, size, size), batch, is_training=training, device=torch.device("cpu"))


def compared(task: Task, scratch: Path, runs: int) -> tuple[list[str], dict[str, object]]:
    """Both in turn, `runs` times."""
    times: dict[str, list[list[float]]] = {"ours": [], "plain": []}
    scores: dict[str, list[float]] = {"ours": [], "plain": []}
    for _ in range(runs):
        for name, work in (("plain", lambda: plain(task)), ("ours", lambda: ours(task, scratch))):
            took, score = work()
            times[name].append(took)
            scores[name].append(score)
    seen = len(task.train) // task.plan.batch * task.plan.batch
    lines = [
        f"{task.name}, {task.spec.size} px, batch {task.plan.batch}, {len(task.train):,} pictures, {task.plan.epochs} epochs, "
        f"{runs} runs in turn, {settings().threads} threads"
    ]
    for name in ("plain", "ours"):
        each = [seen / second for took in times[name] for second in took]
        low, high = wilson(float(np.mean(scores[name])), len(task.test))
        lines.append(
            f"{name:6} {spread(each)} pictures/s an epoch; all in {spread([sum(took) for took in times[name]])} s; "
            f"right on {len(task.test):,} kept apart {spread(scores[name])} ({low:.3f}-{high:.3f})"
        )
    whole = ratio([sum(took) for took in times["plain"]], [sum(took) for took in times["ours"]])
    later = ratio([one for took in times["plain"] for one in took[1:]], [one for took in times["ours"] for one in took[1:]])
    lines.append(f"ours is {whole[0]:.2f} ({whole[1]:.2f}-{whole[2]:.2f}) times as fast in all, {later[0]:.2f} from epoch two")
    return lines, {"times": times, "scores": scores, "faster": whole[0], "faster_later": later[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("resnet18", "mobilenet_v2"))
    parser.add_argument("--pictures", type=int, help="training pictures; 4,000 of CIFAR-10 and 1,024 of clothing")
    parser.add_argument("--epochs", type=int, help="8 and 3")
    parser.add_argument("--runs", type=int, default=1, help="of each side")
    options = parser.parse_args()
    torch.set_num_threads(settings().threads)
    lines: list[str] = []
    facts: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        makers = {
            "resnet18": lambda: cifar(Path(folder), options.pictures or 4_000, options.epochs or 8),
            "mobilenet_v2": lambda: clothing(options.pictures or 1_024, options.epochs or 3),
        }
        for name, make in makers.items():
            if options.only in (None, name):
                said, facts[name] = compared(make(), Path(folder), options.runs)
                lines += said
    lines.append(versions("torch", "timm", "sightline"))
    report("throughput", lines, facts)


if __name__ == "__main__":
    main()
