"""What a network of the search space costs: parameters and multiply-adds counted, file size and latency measured; and budgets.

The file is the one that a training would write (with head and novelty), with first weights; its latency is measured through
ONNX Runtime on this machine. Nothing here is guessed from counts.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sightline.errors import UsageError
from sightline.learn.search.space import Cell, Space, smallest
from sightline.measure.limits import BYTES, COUNTS, MILLISECONDS, amount
from sightline.types import InputSpec, Task

ROUNDS, ROUND = 8, 5  # of the latency measurement, pictures in each
SECONDS = 0.5  # after which it ends, having done 3 rounds


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that a network may have. None: no limit. `multiply_adds` is a search's own: what it has time to train."""

    parameters: int | None = None
    file_bytes: int | None = None
    latency_ms: float | None = None
    multiply_adds: int | None = None

    @property
    def text(self) -> str:
        """The limits in words; empty without one."""
        said = []
        if self.parameters is not None:
            said.append(f"at most {self.parameters:,} parameters")
        if self.file_bytes is not None:
            said.append(f"at most {self.file_bytes / 1e6:.3g} MB")
        if self.latency_ms is not None:
            said.append(f"at most {self.latency_ms:g} ms")
        return ", ".join(said)


def read_budget(parameters: str | None, size: str | None, latency: str | None) -> Budget:
    """200k, 1.5M; 1MB, 800kB; 5ms. UsageError for anything else, and for 0."""
    most = amount("--max-parameters", parameters, COUNTS, "200k or 1.5M")
    file = amount("--max-size", size, BYTES, "1MB or 800kB")
    wait = amount("--max-latency", latency, MILLISECONDS, "5ms")
    return Budget(None if most is None else int(most), None if file is None else int(file), wait)


@dataclass(frozen=True, slots=True)
class Use:
    """What the costs of a network depend on beside its genotype."""

    classes: tuple[str, ...]
    task: Task


@dataclass(frozen=True, slots=True)
class Count:
    parameters: int  # with the head
    multiply_adds: int  # for one picture, with the head


@dataclass(frozen=True, slots=True)
class Measurement:
    file_bytes: int  # of model.onnx, float32
    latency_ms: float  # one picture, one thread


@lru_cache(4096)
def count(cell: Cell, classes: int) -> Count:
    """Built on torch's meta device (shapes without memory) and counted."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from sightline.learn.search.cells import build

    with torch.device("meta"), torch.no_grad():
        module, width = build(cell)
        module.eval()
        with FlopCounterMode(display=False) as counter:
            module(torch.zeros(1, 3, cell.resolution, cell.resolution))
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return Count(parameters + (width + 1) * classes, counter.get_total_flops() // 2 + width * classes)


@lru_cache(4096)
def measure(cell: Cell, use: Use) -> Measurement:
    """Export the network as a training would, and answer one picture after the other on one thread of this machine.

    The latency is the median of the quietest of a few rounds: other programs make single rounds slow, never fast.
    """
    onnx = _file(cell, use)
    from sightline.runtime.engines import open_session

    session = open_session(onnx)
    names = [output.name for output in session.get_outputs()]
    image = np.random.default_rng(0).integers(0, 256, (1, cell.resolution, cell.resolution, 3), dtype=np.uint8)
    for _ in range(3):
        session.run(names, {"image": image})
    medians, until = [], time.perf_counter() + SECONDS
    for number in range(ROUNDS):
        times = []
        for _ in range(ROUND):
            begun = time.perf_counter()
            session.run(names, {"image": image})
            times.append(time.perf_counter() - begun)
        medians.append(statistics.median(times))
        if number >= 2 and time.perf_counter() > until:
            break
    return Measurement(len(onnx), round(1000 * min(medians), 4))


def _file(cell: Cell, use: Use) -> bytes:
    """model.onnx of the untrained network."""
    import torch

    from sightline.learn import export, graph
    from sightline.learn.network import Classifier
    from sightline.learn.probe import Head
    from sightline.learn.search.cells import build
    from sightline.measure.novelty import DIRECTIONS, Novelty

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        body, width = build(cell)
        network = Classifier(body, width, len(use.classes))
        for module in network.modules():  # norms that start at zero make equal kernels, which a file holds only once
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    k, centres = min(DIRECTIONS, width), 1 if use.task == "multilabel" else len(use.classes)
    empty = Novelty(np.zeros((width, k), np.float32), np.zeros(k, np.float32), np.zeros((centres, k), np.float32))
    head = Head(network.head.weight.detach().numpy(), network.head.bias.detach().numpy())
    spec = InputSpec(size=cell.resolution, fit="pad")
    made = graph.embedding_graph(network, cell.resolution)
    return export.attach(made, head, empty, temperature=1.0, classes=use.classes, task=use.task, spec=spec)


Counts = Callable[[Cell], Count]
Measures = Callable[[Cell], Measurement]


def fits(cell: Cell, budget: Budget, counts: Counts, measures: Measures) -> bool:
    """Whether a network is within the budget: what is cheap to know first, and measured only where the budget asks for it."""
    cost = counts(cell)
    for value, most in ((cost.parameters, budget.parameters), (cost.multiply_adds, budget.multiply_adds)):
        if most is not None and value > most:
            return False
    if budget.file_bytes is not None and 4 * cost.parameters > budget.file_bytes:  # float32: no need to write it
        return False
    if budget.file_bytes is None and budget.latency_ms is None:
        return True
    found = measures(cell)
    if budget.file_bytes is not None and found.file_bytes > budget.file_bytes:
        return False
    return budget.latency_ms is None or found.latency_ms <= budget.latency_ms


def check(budget: Budget, where: Space, counts: Counts, measures: Measures) -> None:
    """UsageError for a budget that not even the smallest network of the space is within, with what that one needs."""
    least = smallest(where)
    cost = counts(least)
    hint = "give --{} {} or more"
    if budget.parameters is not None and cost.parameters > budget.parameters:
        raise UsageError(
            f"no network fits {budget.parameters:,} parameters: the smallest possible has {cost.parameters:,} ({least.text})",
            hint=hint.format("max-parameters", cost.parameters),
        )
    if budget.file_bytes is None and budget.latency_ms is None:
        return
    found = measures(least)
    if budget.file_bytes is not None and found.file_bytes > budget.file_bytes:
        raise UsageError(
            f"no network fits {budget.file_bytes / 1000:.0f} kB: the smallest possible has {found.file_bytes / 1000:.0f} kB "
            f"({least.text})",
            hint=hint.format("max-size", f"{-(-found.file_bytes // 1000)}kB"),
        )
    if budget.latency_ms is not None and found.latency_ms > budget.latency_ms:
        raise UsageError(
            f"no network answers in {budget.latency_ms:g} ms on this machine: the smallest possible takes "
            f"{found.latency_ms:.2g} ms ({least.text})",
            hint=hint.format("max-latency", f"{found.latency_ms * 1.2:.2g}ms"),
        )
