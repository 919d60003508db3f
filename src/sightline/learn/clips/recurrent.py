"""A GRU or LSTM over vectors of frames, trained by the one training loop.

The loop moves rows of bytes (pictures) from memory to the network. A clip's row is its number in three bytes, and the network
looks the clip's vectors up: so sequences need no loop of their own, and averaged weights, early stopping, a time budget and
going on after a stop are the same as for pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sightline.learn.augment import NONE
from sightline.learn.logistic import Floats
from sightline.learn.loop import Trained, train_network
from sightline.learn.network import Classifier
from sightline.learn.plan import Plan
from sightline.learn.probe import scaling
from sightline.learn.reproduce import seed_of
from sightline.learn.step import TrainingData

Cell = Literal["gru", "lstm"]

# With 60 epochs the last was the best on drawn clips that turn one way or the other (docs/log.md)
PLAN = Plan(
    size=1, epochs=120, batch=32, lr=2e-3, weight_decay=0.05, warmup=0.1, precision="float32", augment=NONE, patience=40
)
HIDDEN = 128  # numbers that the network remembers
DROPOUT = 0.3  # of what it sees of a frame, and of what the head sees


class Recurrent(nn.Module):
    """Vectors (n, t, d) to the state after the last frame and the mean of all states, (n, 2 hidden)."""

    middle: Tensor
    spread: Tensor

    def __init__(self, cell: Cell, width: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.register_buffer("middle", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))
        self.dropout = nn.Dropout(DROPOUT)
        self.cell = (nn.GRU if cell == "gru" else nn.LSTM)(width, hidden, batch_first=True)

    def forward(self, vectors: Tensor) -> Tensor:
        scaled = (vectors - self.middle) / self.spread
        states = cast(Tensor, self.cell(self.dropout(scaled))[0])
        return torch.cat([states[:, -1], states.mean(dim=1)], dim=1)


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """Vectors of all clips, float32 (n, t, d); copies of the network share it, and no checkpoint holds it."""

    values: Tensor

    def __deepcopy__(self, _memo: Any) -> Bank:
        return self


class Sequences(Classifier):
    """A classifier of clips given by number: rows uint8 (n, 1, 1, 3), numbers to the base of 256, the highest first."""

    def __init__(self, over: Recurrent, classes: int, bank: Bank) -> None:
        super().__init__(over, 2 * over.cell.hidden_size, classes, dropout=DROPOUT)
        self.bank = bank

    def normalise(self, images: Tensor) -> Tensor:
        """The vectors of the clips with these numbers, (n, t, d, 1)."""
        digits = images.float().round().long().flatten(1)
        rows = (digits[:, 0] * 256 + digits[:, 1]) * 256 + digits[:, 2]
        return self.bank.values.to(self.head.weight.device)[rows.to(self.bank.values.device)].unsqueeze(3)

    def embed(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.backbone(x.squeeze(3).contiguous()))


def numbers(first: int, count: int) -> NDArray[np.uint8]:
    """Rows (count, 1, 1, 3) that mean the clips from `first` on."""
    each = np.arange(first, first + count)
    return np.stack([each >> 16, each >> 8 & 255, each & 255], axis=1).astype(np.uint8).reshape(-1, 1, 1, 3)


def train_recurrent(
    train: tuple[Floats, NDArray[np.int64]],
    val: tuple[Floats, NDArray[np.int64]],
    classes: int,
    cell: Cell,
    run: Path,
    *,
    seed: int = 0,
    minutes: float | None = None,
    plan: Plan = PLAN,
) -> tuple[Sequences, Trained]:
    """Train on vectors (n, t, d) with class numbers (n,); the network with the best weights, and how it went.

    Errors as `train_network`.
    """
    width = train[0].shape[2]
    middle, spread = scaling(train[0].reshape(-1, width))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "network", 0))
        over = Recurrent(cell, width)
        bank = Bank(torch.from_numpy(np.concatenate([train[0], val[0]])))
        network = Sequences(over, classes, bank)
    over.middle.copy_(torch.from_numpy(middle))
    over.spread.copy_(torch.from_numpy(spread))
    count = len(train[0])
    data = TrainingData(numbers(0, count), train[1], numbers(count, len(val[0])), val[1])
    trained = train_network(network, data, replace(plan, seed=seed), run, minutes=minutes)
    return network.to("cpu").float().eval(), trained


@torch.inference_mode()
def embedded(over: nn.Module, vectors: Floats, batch: int = 256) -> Floats:
    """Embeddings (n, e) of vectors (n, t, d)."""
    parts = [over(torch.from_numpy(vectors[start : start + batch])) for start in range(0, len(vectors), batch)]
    return np.asarray(torch.cat(parts).numpy())
