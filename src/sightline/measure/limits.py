"""Limits as people write them: 200k parameters, 1.5MB, 5ms, 1%. Knows no option but the one it is told, for its errors."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sightline.errors import UsageError

COUNTS = {"": 1.0, "k": 1e3, "m": 1e6}
BYTES = {"": 1.0, "b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30}
MILLISECONDS = {"": 1.0, "ms": 1.0, "us": 0.001, "s": 1000.0}
POINTS = {"": 0.01, "%": 0.01, "pt": 0.01}  # of a share: 1 and 1% are both one point of a hundred


def amount(option: str, text: str | None, units: Mapping[str, float], such: str, *, zero: bool = False) -> float | None:
    """What `text` means, in the base of the units; None stays None. UsageError for anything else, and for 0 unless `zero`."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d*\.?\d+)\s*([a-z%]*)", text.strip().lower())
    unit = units.get(found[2]) if found else None
    value = float(found[1]) * unit if found and unit else -1.0
    if value < 0 or (value == 0 and not zero):
        raise UsageError(
            f"{option} must be an amount {'of at least' if zero else 'above'} 0, got {text!r}", hint=f"such as {option} {such}"
        )
    return value
