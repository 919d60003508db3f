"""What makes a training repeatable and stoppable: seeds made from positions, fixed threads, deterministic kernels, a polite
Ctrl-C.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from sightline.signals import on_signal


def seed_of(seed: int, what: str, number: int) -> int:
    """A 63-bit seed for one place in a training ("order" of epoch 3, "step" 120): independent of everything drawn elsewhere."""
    return int.from_bytes(hashlib.sha256(f"{seed} {what} {number}".encode()).digest()[:8], "big") >> 1


def generator(seed: int, what: str, number: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed_of(seed, what, number))


@contextmanager
def reproducible(threads: int, device: torch.device) -> Iterator[None]:
    """Fixed threads and, on a CPU, deterministic kernels; the caller's settings and random state come back unchanged.

    On a GPU kernels stay free: some layers have no deterministic one, and resuming there is equal within rounding only.
    """
    before = torch.get_num_threads()
    strict, lenient = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            torch.set_num_threads(threads)
            if device.type == "cpu":
                torch.use_deterministic_algorithms(True, warn_only=True)
                torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # costs a pass
            yield
        finally:
            torch.set_num_threads(before)
            torch.use_deterministic_algorithms(strict, warn_only=lenient)
            torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]


@contextmanager
def interruptible(stop: threading.Event | None = None) -> Iterator[Callable[[], bool]]:
    """Yields a function that tells whether Ctrl-C was pressed (or `stop` set); a second Ctrl-C interrupts at once.

    Outside the main thread no signal can be caught: there only `stop` counts.
    """
    pressed = threading.Event()
    with on_signal(pressed.set):
        yield lambda: pressed.is_set() or (stop is not None and stop.is_set())


def training_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def half_precision(device: torch.device) -> bool:
    """Whether bfloat16 is computed by the hardware: emulated, it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    asks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(bool(ask()) for ask in asks if ask is not None)
