"""Energy that the processor has used, where Linux tells it: the RAPL counters below /sys/class/powercap. Knows no models.

The counters are of whole processors, with all that runs on them, and most systems let only their owner read them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
SILENT = "not told by this machine (no readable counters below /sys/class/powercap)"


@dataclass(frozen=True, slots=True)
class Reading:
    """Microjoules of each processor at one moment, and where its counter starts again."""

    counters: tuple[tuple[int, int], ...]


def read(folder: Path = POWERCAP) -> Reading | None:
    """The counters now; None where there are none or they must not be read."""
    counters = []
    try:  # intel-rapl:0 is a processor, intel-rapl:0:1 a part of it; processors of AMD are told under the same name
        for zone in sorted(folder.glob("intel-rapl:*")):
            # "psys" is the whole board, processors included
            if zone.name.count(":") == 1 and (zone / "name").read_text().startswith("package"):
                used, most = ((zone / name).read_text() for name in ("energy_uj", "max_energy_range_uj"))
                counters.append((int(used), int(most)))
    except (OSError, ValueError):
        return None
    return Reading(tuple(counters)) if counters else None


def joules(before: Reading | None, after: Reading | None) -> float | None:
    """What was used between two readings, of all processors together; None where one of them is missing."""
    if before is None or after is None or len(before.counters) != len(after.counters):
        return None
    pairs = zip(before.counters, after.counters, strict=True)
    return sum((new - old) % (most + 1) for (old, most), (new, _) in pairs) / 1e6
