"""The process's settings, read from the environment in this one place; nothing is read at import.

Doors call `settings()`; functions below take what they need as arguments or ask here, never `os.environ`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sightline.errors import UsageError

# name -> what it does; docs/settings.md is checked against this table
VARIABLES = {
    "SIGHTLINE_HOME": "folder for state: cache, models made without --out, API keys (default ~/.local/share/sightline)",
    "SIGHTLINE_CACHE": "folder for what can be computed again (default SIGHTLINE_HOME/cache)",
    "SIGHTLINE_DATABASE": "address of the database (default sqlite:///SIGHTLINE_HOME/sightline.db; postgresql+psycopg://...)",
    "SIGHTLINE_BLOBS": "where copied pictures are kept: a folder or a bucket such as s3://name (default SIGHTLINE_HOME/blobs)",
    "SIGHTLINE_WEIGHTS": "folder of pretrained weights as safetensors files, tried before the hub",
    "SIGHTLINE_OFFLINE": "1: never ask the model hub for weights",
    "SIGHTLINE_MAX_MEGAPIXELS": "largest picture that is decoded, in megapixels (default 50)",
    "SIGHTLINE_THREADS": "worker threads (default: the cores this process may use)",
    "SIGHTLINE_PROVIDER": "what models are computed with: auto, cpu, cuda, coreml, openvino, openvino-bf16 (default auto)",
}
PROVIDERS = ("auto", "cpu", "cuda", "coreml", "openvino", "openvino-bf16")


@dataclass(frozen=True, slots=True)
class Settings:
    home: Path
    cache: Path
    database: str
    blobs: str
    weights: Path | None
    offline: bool
    max_megapixels: float
    threads: int
    provider: str = "auto"


@cache
def settings() -> Settings:
    """The settings of this process; raises UsageError for an unknown or impossible variable."""
    return read_settings(os.environ)


def read_settings(environ: Mapping[str, str]) -> Settings:
    given = {name: value for name, value in environ.items() if name.startswith("SIGHTLINE_") and value}
    for name in given:
        if name not in VARIABLES and name != "SIGHTLINE_SHARED":  # SHARED belongs to the tests
            import difflib

            near = difflib.get_close_matches(name, VARIABLES, 1)
            raise UsageError(f"unknown environment variable {name}", hint=f"did you mean {near[0]}?" if near else "")
    home = Path(given.get("SIGHTLINE_HOME") or Path.home() / ".local/share/sightline").expanduser().absolute()
    weights = given.get("SIGHTLINE_WEIGHTS")
    if weights and not Path(weights).expanduser().is_dir():
        raise UsageError(f"SIGHTLINE_WEIGHTS names no folder: {weights}", hint="create it, or unset the variable")
    return Settings(
        home=home,
        cache=Path(given.get("SIGHTLINE_CACHE") or home / "cache").expanduser().absolute(),
        database=given.get("SIGHTLINE_DATABASE") or f"sqlite:///{home / 'sightline.db'}",
        blobs=given.get("SIGHTLINE_BLOBS") or str(home / "blobs"),
        weights=Path(weights).expanduser().absolute() if weights else None,
        offline=_switch("SIGHTLINE_OFFLINE", given.get("SIGHTLINE_OFFLINE", "0")),
        max_megapixels=_positive("SIGHTLINE_MAX_MEGAPIXELS", given.get("SIGHTLINE_MAX_MEGAPIXELS", "50")),
        threads=_count("SIGHTLINE_THREADS", given.get("SIGHTLINE_THREADS") or str(cores())),
        provider=_one_of("SIGHTLINE_PROVIDER", given.get("SIGHTLINE_PROVIDER", "auto"), PROVIDERS),
    )


@dataclass(frozen=True, slots=True)
class Launch:
    """What torchrun says of this process: its number among all, and among those on its machine."""

    rank: int = 0
    processes: int = 1
    local_rank: int = 0
    local_processes: int = 1


def launch() -> Launch:
    """This process's place among those that torchrun has started; alone without it."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return Launch()
    numbers = (os.environ.get(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    try:
        return Launch(*(int(number or "") for number in numbers))
    except ValueError:
        raise UsageError("torchrun's variables RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE are not all numbers") from None


def decline_telemetry() -> None:
    """Tell libraries that report to their makers when they are imported (MLflow) not to, unless a person has decided."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def cores() -> int:
    """The cores this process may use; where the system does not say (macOS, Windows), all of them."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _switch(name: str, value: str) -> bool:
    if value.lower() not in {"0", "1", "true", "false", "yes", "no"}:
        raise UsageError(f"{name} must be 0 or 1, got {value!r}")
    return value.lower() in {"1", "true", "yes"}


def _one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    if value.lower() not in known:
        raise UsageError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    return value.lower()


def _count(name: str, value: str) -> int:
    try:
        number = int(value)
    except ValueError:
        number = 0
    if number < 1:
        raise UsageError(f"{name} must be a whole number above 0, got {value!r}")
    return number


def _positive(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not number > 0:
        raise UsageError(f"{name} must be a number above 0, got {value!r}")
    return number
