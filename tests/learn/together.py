"""Run by torchrun in test_parallel.py: trains a small network in the folder given, and the first process keeps its weights."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from sightline.learn import parallel
from sightline.learn.augment import Augment
from sightline.learn.loop import train_network
from sightline.learn.network import Classifier
from sightline.learn.plan import Plan
from sightline.learn.step import TrainingData

PLAN = Plan(size=16, epochs=2, batch=9, lr=0.01, threads=1, ema=0.8, precision="float32", augment=Augment(mixup=0.2, erase=0.2))


def data() -> TrainingData:
    rng = np.random.default_rng(0)
    truth = np.arange(36) % 3
    images = rng.integers(0, 120, (36, 16, 16, 3))
    images[np.arange(36), :, :, truth] += 100
    return TrainingData(images.astype(np.uint8), truth, images[:9].astype(np.uint8), truth[:9])


def network() -> Classifier:
    torch.manual_seed(0)
    return Classifier(nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()), 8, 3)


def main(folder: Path, fault: str) -> None:
    crew = parallel.join()
    crew.let_in()
    model = network()
    if not crew.first:
        torch.nn.init.zeros_(model.head.weight)  # what the first process holds counts
    if fault == "dies" and not crew.first:
        raise SystemExit(3)
    trained = train_network(model, data(), PLAN, folder / "run")
    assert parallel.crew() == crew
    assert len(trained.history) == PLAN.epochs, "the others know the history, too"
    if crew.first:
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "weights.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
