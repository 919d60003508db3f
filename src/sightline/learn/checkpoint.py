"""A training's state on disk: tensors and facts in one safetensors file, the one before it kept. Knows nothing of what the
state means.

A file is whole or it is not used: the JSON of the facts and a SHA-256 over all tensors are in the file's own header. Never
pickle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sightline import progress
from sightline.errors import storage_errors
from sightline.files import write_bytes

NEWEST, PREVIOUS = "checkpoint.safetensors", "checkpoint.previous.safetensors"
FORMAT = "1"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`tensors` by name, contiguous and on the CPU; `facts` are JSON values (floats come back exactly as they went)."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def save(run: Path, checkpoint: Checkpoint) -> None:
    """Store a checkpoint; a crash at any instant leaves this one or the one before. StorageError when the disk is full."""
    from safetensors.torch import save as serialise

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    header = {"format": FORMAT, "facts": json.dumps(checkpoint.facts), "sha256": digest(tensors)}
    data = serialise(tensors, metadata=header)
    newest = run / NEWEST
    if newest.exists():
        with storage_errors(newest):
            newest.replace(run / PREVIOUS)
    write_bytes(newest, data)


def load(run: Path) -> Checkpoint | None:
    """The newest whole checkpoint, or None. Falling back to the one before is said through `progress.note`."""
    for part in run.glob(f".{NEWEST}.*.part"):  # a process killed while writing left these
        part.unlink(missing_ok=True)
    for name in (NEWEST, PREVIOUS):
        if not (run / name).exists():
            continue
        checkpoint = _read(run / name)
        if checkpoint is not None:
            return checkpoint
        progress.note(f"{name} is damaged: going on from the one before it, or from the start")
    return None


def _read(path: Path) -> Checkpoint | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, ValueError):
        return None
    if header.get("format") != FORMAT or header.get("sha256") != digest(tensors):
        return None
    return Checkpoint(tensors, json.loads(header["facts"]))


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes, in order of the names."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def module_tensors(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in module.state_dict().items()}


def restore_module(prefix: str, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy into the module's own tensors, so that device and memory layout stay."""
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            tensor.copy_(tensors[f"{prefix}.{name}"])


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Every state tensor as "optimiser.NUMBER.NAME", parameters numbered in the order of their groups."""
    found: dict[str, Tensor] = {}
    for number, parameter in enumerate(_parameters(optimiser)):
        for name, value in optimiser.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                found[f"optimiser.{number}.{name}"] = value
    return found


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    parameters = _parameters(optimiser)
    for key, tensor in tensors.items():
        if key.startswith("optimiser."):
            _, number, name = key.split(".", 2)
            parameter = parameters[int(number)]
            same = tensor.shape == parameter.shape  # moments lie in memory like their parameter; counters stay on the CPU
            value = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor) if same and tensor.ndim else tensor.clone()
            optimiser.state[parameter][name] = value.detach()


def _parameters(optimiser: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]
