"""What every benchmark shares: the machine in words, repeated timing of rivals in turn, one table, one JSON file.

Rivals run in turn (A B A B ...), so that a machine whose speed drifts does not favour one; ratios are taken pair by pair.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def machine() -> str:
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    return f"{len(os.sched_getaffinity(0))} cores of {model}, Python {platform.python_version()}"


def versions(*packages: str) -> str:
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turn(rivals: dict[str, Callable[[], object]], runs: int = 5, warmup: int = 1) -> dict[str, list[float]]:
    """Seconds of each rival in each counted run."""
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for run in range(-warmup, runs):
        for name, work in rivals.items():
            took = seconds(work)
            if run >= 0:
                times[name].append(took)
    return times


def ratio(slow: Iterable[float], fast: Iterable[float]) -> tuple[float, float, float]:
    """Median, lowest and highest of slow/fast, pair by pair."""
    pairs = [s / f for s, f in zip(slow, fast, strict=True)]
    return statistics.median(pairs), min(pairs), max(pairs)


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3g} ({min(values):.3g}-{max(values):.3g})"


def report(name: str, lines: list[str], facts: dict[str, object]) -> None:
    """Print the lines and keep them with the facts in bench/results/NAME.json (not committed; docs/log.md quotes them)."""
    print(f"## {name}\n{machine()}")
    print("\n".join(lines))
    RESULTS.mkdir(exist_ok=True)
    content = {"name": name, "machine": machine(), "lines": lines, **facts}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1, default=str))
