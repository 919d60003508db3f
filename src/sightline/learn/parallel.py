"""Several processes that train one network together (torchrun): who is who, and the few things they tell each other.

Every process takes its share of each batch's rows; gradients are summed, so that all hold the same weights after every step.
The first one alone validates, writes and exports. What is said goes as tensors and JSON, never pickled. Knows no plan, no data.
"""

from __future__ import annotations

import atexit
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

from sightline.errors import StoppedError, UsageError
from sightline.learn.checkpoint import Checkpoint
from sightline.settings import Launch, launch

PATIENCE = timedelta(hours=6)  # the others wait while the first one prepares pictures; a process that died is noticed at once


@dataclass(frozen=True, slots=True)
class Crew:
    """This process among those that train together; alone it does nothing at all."""

    rank: int = 0
    processes: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def share(self, rows: int) -> Tensor:
        """This process's places among `rows` rows of a batch, int64 (n,): neighbours, numbers that differ by one at most."""
        return torch.arange(rows).tensor_split(self.processes)[self.rank]

    def total(self, *numbers: float) -> tuple[float, ...]:
        """The sums over all processes."""
        if self.processes == 1:
            return numbers
        sums = torch.tensor(numbers, dtype=torch.float64, device=_device())
        with _together():
            distributed.all_reduce(sums)
        return tuple(sums.tolist())

    def add_gradients(self, model: nn.Module) -> None:
        """Every gradient becomes its sum over all processes: in one message, so that many small tensors cost no more."""
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        if self.processes == 1 or not gradients:
            return
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        with _together():
            distributed.all_reduce(flat)
        for gradient, summed in zip(gradients, torch.split(flat, [gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(summed.view(gradient.shape))

    def same(self, model: nn.Module) -> None:
        """Every weight and buffer becomes what the first process holds."""
        if self.processes == 1:
            return
        with _together(), torch.no_grad():
            for tensor in model.state_dict().values():
                dense = tensor.contiguous()
                distributed.broadcast(dense, 0)
                tensor.copy_(dense)

    def told(self, make: Callable[[], Any]) -> Any:
        """The JSON value that the first process makes; the others do not call `make`."""
        if self.processes == 1:
            return make()
        return json.loads(_spread(json.dumps(make()).encode() if self.first else b""))

    def checkpoint(self, found: Callable[[], Checkpoint | None]) -> Checkpoint | None:
        """The checkpoint that the first process finds: the others may run on machines that do not see its folder."""
        if self.processes == 1:
            return found()
        from safetensors.torch import load, save

        mine = found() if self.first else None
        facts = self.told(lambda: None if mine is None else mine.facts)
        if facts is None:
            return None
        tensors = {name: tensor.cpu().contiguous() for name, tensor in mine.tensors.items()} if mine else {}
        return Checkpoint(load(_spread(save(tensors) if self.first else b"")), facts)

    def alone(self, work: Callable[[], None]) -> None:
        """The first process works, the others wait until it is done."""
        if self.first:
            work()
        self.total(0.0)

    def anyone(self, pressed: Callable[[], bool]) -> Callable[[], bool]:
        """Whether any process was told to stop: the same answer in all of them, for as many calls in each."""
        return pressed if self.processes == 1 else lambda: self.total(float(pressed()))[0] > 0

    def threads(self, cores: int) -> int:
        """How many of this machine's cores are this process's."""
        return max(1, cores // launch().local_processes)

    def let_in(self) -> None:
        """The first process has prepared everything, and what it kept is there: the others, who wait in `join`, begin."""
        if self.first:
            self.total(0.0)

    def synchronised(self, model: nn.Module, device: torch.device) -> None:
        """On GPUs batch norms count the whole batch. On CPUs torch has no such norm: each process counts its share."""
        if self.processes > 1 and device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]


ALONE = Crew()


def crew() -> Crew:
    """This process's place among those that have joined."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return ALONE
    return Crew(distributed.get_rank(), distributed.get_world_size())


def join(launched: Launch | None = None) -> Crew:
    """Meet the other processes that torchrun has started; all but the first wait here until it lets them in."""
    launched = launched or launch()
    if launched.processes == 1:
        return ALONE
    if not distributed.is_available():
        raise UsageError("this torch cannot train in several processes", hint="start sightline without torchrun")
    gpu = torch.cuda.is_available()
    if gpu and launched.local_rank >= torch.cuda.device_count():
        raise UsageError(
            f"{launched.local_processes} processes were started on {torch.cuda.device_count()} GPUs",
            hint="give torchrun one process for each GPU: --nproc-per-node",
        )
    if gpu:
        torch.cuda.set_device(launched.local_rank)
    with _together():
        distributed.init_process_group("nccl" if gpu else "gloo", timeout=PATIENCE)
    atexit.register(distributed.destroy_process_group)
    mine = crew()
    if not mine.first:
        mine.total(0.0)  # until `let_in`
    return mine


def _device() -> torch.device:
    return torch.device("cuda" if distributed.get_backend() == "nccl" else "cpu")


def _spread(data: bytes) -> bytes:
    """The bytes that the first process gives."""
    with _together():
        length = torch.tensor([len(data)], device=_device())
        distributed.broadcast(length, 0)
        content = torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else torch.zeros(int(length), dtype=torch.uint8)
        content = content.to(_device())
        distributed.broadcast(content, 0)
        return content.cpu().numpy().tobytes()


@contextmanager
def _together() -> Iterator[None]:
    """What torch raises when another process is gone becomes one error."""
    try:
        yield
    except RuntimeError as error:
        raise StoppedError(
            "another process of this training has ended, and so does this one; the state of the last epoch is kept",
            hint="look for its own message above, then run the same command to go on",
        ) from error
