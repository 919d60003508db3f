"""What is installed on this machine: our packages, our extras, the processor, memory and GPU. No verb itself: doctor tells it.

Reads metadata and system files only; of the packages only onnxruntime is loaded.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from pydantic import Field

from sightline.types import Record

NO_GPU = "none seen"
# what each extra is for; what it consists of is read from the package's metadata
PURPOSES = {
    "deep": "training networks",
    "features": "the classic baseline",
    "studio": "the server and its pages",
}


class Package(Record):
    name: str
    version: str | None = Field(description="None: not installed")
    needed: str = Field(description="oldest version that will do, or empty")
    fits: bool


class Extra(Record):
    name: str
    purpose: str
    present: bool
    missing: tuple[str, ...]
    install: str = Field(description="the command that brings it")


def requirements() -> tuple[dict[str, str], dict[str, list[str]]]:
    """The base packages (name -> oldest version) and the packages of each extra, from our own metadata."""
    try:
        lines = metadata.requires("sightline") or []
    except metadata.PackageNotFoundError:  # run from a source tree that nobody installed
        lines = []
    base: dict[str, str] = {}
    extras: dict[str, list[str]] = {}
    for line in lines:
        match = re.match(r"([A-Za-z0-9._-]+)(\[[^]]*\])?\s*\(?([^;)]*)\)?\s*(?:;\s*(.*))?$", line)
        if not match:
            continue
        name, wanted, oldest, marker = match[1], match[2] or "", re.search(r">=\s*([0-9.]+)", match[3]), match[4] or ""
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", marker)
        if extra:
            extras.setdefault(extra[1], []).append(name + wanted)
        else:
            base[name] = oldest[1] if oldest else ""
    return base, extras


def package(name: str, needed: str) -> Package:
    version = version_of(name)
    fits = version is not None and _numbers(version) >= _numbers(needed)
    return Package(name=name, version=version, needed=needed, fits=fits)


def version_of(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def extra_of(name: str, extras: dict[str, list[str]]) -> Extra:
    missing = tuple(sorted({part for part in parts_of(name, extras) if version_of(part) is None}))
    present = name in extras and not missing
    return Extra(
        name=name,
        purpose=PURPOSES[name],
        present=present,
        missing=missing,
        install="" if present else f"pip install 'sightline[{name}]'",
    )


def parts_of(extra: str, extras: dict[str, list[str]]) -> Iterator[str]:
    """The packages of an extra; an extra may name another one as `sightline[other]`."""
    for part in extras.get(extra, []):
        name, _, inner = part.rstrip("]").partition("[")
        if name == "sightline":
            for other in inner.split(","):
                yield from parts_of(other.strip(), extras)
        else:
            yield name


def processor() -> str:
    """The processor's name and what of it matters for speed: AVX-512 and AMX make bfloat16 training fast."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^flags\s*:\s*(.+)$", text, re.MULTILINE)
    has = set(flags[1].split()) if flags else set()
    fast = [label for flag, label in (("avx2", "AVX2"), ("avx512f", "AVX-512"), ("amx_bf16", "AMX")) if flag in has]
    return ", ".join([name[1].strip() if name else platform.machine(), *fast])


def memory() -> tuple[float, float]:
    """Memory in GB: all that this process may have (a container may have less than the machine), and what is free now."""
    try:
        total = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError, AttributeError):
        return 0.0, 0.0
    free = 0.0
    try:
        known = re.search(r"^MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text(encoding="utf-8"), re.MULTILINE)
        free = float(known[1]) * 1024 if known else 0.0
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="utf-8").strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text(encoding="utf-8").strip()
        if limit.isdigit() and int(limit) < total:
            total, free = float(limit), min(free, float(limit) - float(used))
    except (OSError, ValueError):
        pass
    return round(total / 1e9, 1), round(free / 1e9, 1)


def providers() -> tuple[str, ...]:
    try:
        import onnxruntime
    except ImportError:
        return ()
    return tuple(
        name.removesuffix("ExecutionProvider")
        for name in onnxruntime.get_available_providers()
        if name != "AzureExecutionProvider"
    )


def provider() -> str:
    """What models are computed with (a key of `engines.TITLES`); empty when what is asked for is not installed."""
    from sightline.errors import SightlineError
    from sightline.runtime.engines import chosen

    try:
        return chosen()
    except (SightlineError, ImportError, StopIteration):
        return ""


def gpu() -> str:
    """The NVIDIA GPUs that the driver lists; its tool is looked for, not started (it may take seconds)."""
    names = []
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        model = re.search(r"^Model:\s*(.+)$", file.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
        names.append(model[1].strip() if model else "NVIDIA GPU")
    return ", ".join(names) or ("NVIDIA driver found" if shutil.which("nvidia-smi") else NO_GPU)
