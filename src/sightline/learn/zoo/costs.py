"""What a network costs: parameters and multiply-adds, with a linear head for 1,000 classes. From costs.json, else counted.

costs.json is made by `python -m sightline.learn.zoo.costs`. Reading it needs no torch; counting builds networks without
memory.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sightline.files import write_text
from sightline.learn.zoo.names import LEAST, ZOO, find

FILE = Path(__file__).with_name("costs.json")
CLASSES = 1_000
KEPT = (32, 64, 224)  # sizes in costs.json


@dataclass(frozen=True, slots=True)
class Cost:
    parameters: int
    multiply_adds: int  # for one picture


def cost(name: str, size: int) -> Cost:
    """Of the network that training from scratch at `size` pixels a side makes; UsageError for an unknown name or too small a
    size.
    """
    entry = find(name)
    kept = _table().get(entry.name if entry else name, {}).get(str(size))
    return Cost(*kept) if kept else count(name, size)


def count(name: str, size: int) -> Cost:
    """Build it on torch's meta device (shapes without memory) and count (torch's FlopCounterMode: two for a multiply-add)."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from sightline.learn.zoo.networks import from_scratch

    with torch.device("meta"):
        module, width = from_scratch(name, size)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            module(torch.zeros(1, 3, size, size))
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return Cost(parameters + (width + 1) * CLASSES, counter.get_total_flops() // 2 + width * CLASSES)


@cache
def _table() -> dict[str, dict[str, list[int]]]:
    return json.loads(FILE.read_text()) if FILE.is_file() else {}


def main() -> None:
    """Count every network of the zoo at the sizes that are kept, and write the file: a line for each network."""
    lines = []
    for name in ZOO:
        sizes = {size: count(name, size) for size in KEPT if size >= LEAST}
        values = {str(size): [one.parameters, one.multiply_adds] for size, one in sizes.items()}
        lines.append(f"{json.dumps(name)}: {json.dumps(values)}")
    write_text(FILE, "{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
