"""Which channels and blocks to take away, so that a share of the multiply-adds is left: arithmetic alone, no torch.

Step by step what matters least for the time it takes: eight channels of a group, or a whole block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sightline.learn.shrinking.channels import Channels, Numbers
    from sightline.learn.shrinking.importance import Importance

UNIT = 8  # channels of a group come in eights: what vector registers hold; a layer of 13 is no quicker than one of 16
WRITTEN = 100  # multiply-adds in the time that a value takes to be written: depthwise layers are slower than they count
CAPS = (0.5, 0.75, 1.0)  # share of a group's channels that may go at once: the first that is enough


@dataclass(frozen=True, slots=True)
class Choice:
    """`kept` (count,) of the channels' numbers; `removed` blocks by name."""

    kept: NDArray[np.bool_]
    removed: tuple[str, ...]
    multiply_adds: int


def smallest(channels: Channels) -> int:
    """Multiply-adds when every group has UNIT channels and every block is gone."""
    kept = np.ones(channels.count, bool)
    for numbers in channels.groups:
        kept[numbers[UNIT:]] = False
    outer = [name for name in channels.blocks if not any(name.startswith(f"{other}.") for other in channels.blocks)]
    return channels.multiply_adds(kept, outer)


def chosen(channels: Channels, importance: Importance, most: int) -> Choice:
    """What stays so that at most `most` multiply-adds are left; `most` is no less than `smallest`."""
    choice = _Work(channels, importance, CAPS[0]).done(most)
    for cap in CAPS[1:]:
        if choice.multiply_adds <= most:
            break
        choice = _Work(channels, importance, cap).done(most)
    return choice


@dataclass(slots=True)
class _Work:
    """Greedy, by what is lost for the time saved. `outs` and `ins` count the channels that each layer has left."""

    channels: Channels
    importance: Importance
    cap: float
    kept: NDArray[np.bool_] = field(init=False)
    removed: list[str] = field(default_factory=list)
    outs: dict[str, int] = field(init=False)
    ins: dict[str, int] = field(init=False)
    queues: list[Numbers] = field(init=False)  # of each group what may still go, the least important first
    places: list[list[tuple[str, NDArray[np.int64], NDArray[np.int64]]]] = field(init=False)  # layers of each group

    def __post_init__(self) -> None:
        channels, score = self.channels, self.importance.channels
        self.kept = np.ones(channels.count, bool)
        self.outs = {name: len(numbers) for name, numbers in channels.outs.items()}
        self.ins = {name: len(numbers) for name, numbers in channels.ins.items()}
        counts = {
            name: tuple(np.bincount(side[name], minlength=channels.count) for side in (channels.outs, channels.ins))
            for name in channels.layers
        }
        self.queues, self.places = [], []
        for numbers in channels.groups:
            least = max(min(UNIT, len(numbers)), -(-round(len(numbers) * (1 - self.cap)) // UNIT) * UNIT)
            order = numbers[np.argsort(score[numbers], kind="stable")]
            self.queues.append(order[: max(0, len(numbers) - least)])
            self.places.append(
                [(name, out, into) for name, (out, into) in counts.items() if out[numbers].any() or into[numbers].any()]
            )

    def done(self, most: int) -> Choice:
        left = self.channels.multiply_adds()
        while left > most:
            best = min(self._offers(), default=None)
            if best is None:
                break
            _, saved, group, block = best
            left -= saved
            if block:
                self.removed = [name for name in self.removed if not name.startswith(f"{block}.")] + [block]
                for name in self.channels.blocks[block]:
                    self.outs[name] = self.ins[name] = 0
            else:
                self._take(group)
        return Choice(self.kept, tuple(self.removed), left)

    def _offers(self) -> Iterator[tuple[float, int, int, str]]:
        """(loss for the time saved, multiply-adds saved, group, "" or block)."""
        for group in range(len(self.queues)):
            chunk = self._chunk(group)
            saved, time = self._saved(group, chunk) if len(chunk) else (0, 0)
            if saved:
                yield float(self.importance.channels[chunk].sum()) / time, saved, group, ""
        for block, layers in self.channels.blocks.items():
            whole = np.sum([self._cost(name, self.outs[name], self.ins[name]) for name in layers], axis=0)
            if whole[0]:
                yield self.importance.blocks[block] / float(whole[1]), int(whole[0]), -1, block

    def _chunk(self, group: int) -> Numbers:
        """The next channels of a group: after them the rest is whole eights."""
        queue, total = self.queues[group], int(self.kept[self.channels.groups[group]].sum())
        size = total % UNIT or UNIT
        return queue[:size] if len(queue) >= size else queue[:0]

    def _saved(self, group: int, chunk: Numbers) -> tuple[int, int]:
        saved = time = 0
        for name, out, into in self.places[group]:
            outs, ins = self.outs[name], self.ins[name]
            if outs:
                before = self._cost(name, outs, ins)
                after = self._cost(name, outs - int(out[chunk].sum()), ins - int(into[chunk].sum()))
                saved, time = saved + before[0] - after[0], time + before[1] - after[1]
        return saved, time

    def _cost(self, name: str, outs: int, ins: int) -> tuple[int, int]:
        """Multiply-adds of a layer, and its time in multiply-adds."""
        layer = self.channels.layers[name]
        cost = layer.cost * outs * (1 if layer.depthwise else ins)
        return cost, cost + WRITTEN * layer.places * outs

    def _take(self, group: int) -> None:
        chunk = self._chunk(group)
        self.queues[group] = self.queues[group][len(chunk) :]
        self.kept[chunk] = False
        for name, out, into in self.places[group]:
            if self.outs[name]:
                self.outs[name] -= int(out[chunk].sum())
                self.ins[name] -= int(into[chunk].sum())
