"""All pairs of 64-bit hashes that differ in few bits, exactly: 1,000,000 hashes within 8 bits in seconds. Knows no pictures.

Two hashes within `distance` bits, cut into distance + k blocks, are equal in at least k of them (pigeonhole; Norouzi et al.
2012 for k = 1). For every choice of k blocks the hashes are sorted by them, and only neighbours that are equal there are
compared. With k = 3 and 8 bits that are 165 sorts and a few million comparisons each, instead of 500 billion comparisons.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.errors import UsageError
from sightline.runtime.model import in_order
from sightline.settings import settings

Hashes: TypeAlias = NDArray[np.uint64]
Pairs: TypeAlias = NDArray[np.int64]

_BLOCK = 1 << 23  # comparisons at a time: about 100 MB
_SORT, _COMPARE = 60.0, 15.0  # nanoseconds for a hash in a sort, and for a pair that shares its blocks
_PLAIN = 2.0  # nanoseconds for a pair when each is compared with each


def near(hashes: Hashes, distance: int) -> Iterator[Pairs]:
    """Pairs (m, 2) of positions whose hashes differ in at most `distance` bits, in parts; each once, in no order.

    Raises UsageError for a distance outside 0..63.
    """
    if not 0 <= distance < 64:
        raise UsageError(f"a distance between 64-bit hashes must be in 0..63, got {distance}")
    values, owner, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    members = np.argsort(owner, kind="stable")
    starts = np.cumsum(counts) - counts
    for value in np.flatnonzero(counts > 1):  # equal hashes
        yield from _within(members[starts[value] : starts[value] + counts[value]])
    for pairs in _distinct(values, distance):
        lone = (counts[pairs] == 1).all(axis=1)
        yield members[starts[pairs[lone]]]
        for first, second in pairs[~lone]:
            left, right = (members[starts[value] : starts[value] + counts[value]] for value in (first, second))
            step = max(1, _BLOCK // len(right))
            for start in range(0, len(left), step):
                part = left[start : start + step]
                yield np.stack([np.repeat(part, len(right)), np.tile(right, len(part))], axis=1)


def _within(rows: NDArray[np.intp]) -> Iterator[Pairs]:
    """Each of the rows with each later one."""
    start = 0
    while start < len(rows) - 1:
        part = np.arange(start, min(len(rows) - 1, start + max(1, _BLOCK // (len(rows) - start))))
        first = np.repeat(part, len(rows) - 1 - part)
        later = np.arange(len(first)) - np.repeat(
            np.cumsum(len(rows) - 1 - part) - (len(rows) - 1 - part), len(rows) - 1 - part
        )
        yield np.stack([rows[first], rows[first + 1 + later]], axis=1)
        start = int(part[-1]) + 1


def _distinct(values: Hashes, distance: int) -> Iterator[Pairs]:
    """Near pairs among distinct hashes."""
    shared = _plan(len(values), distance)
    if not shared:
        yield from _every(values, distance)
        return
    edges = np.linspace(0, 64, distance + shared + 1).astype(int)
    blocks = [np.uint64(((1 << int(high - low)) - 1) << int(low)) for low, high in itertools.pairwise(edges)]
    choices = list(itertools.combinations(range(len(blocks)), shared))
    yield from in_order(lambda choice: _sharing(values, distance, blocks, choice), choices, settings().threads)


def _plan(count: int, distance: int) -> int:
    """How many blocks of a pair are equal, so that the work is least; 0: better compare each with each."""
    pairs = count * count / 2
    costs = [pairs * _PLAIN]
    for shared in range(1, 5):
        blocks = distance + shared
        if blocks > 64:
            break
        costs.append(math.comb(blocks, shared) * (count * _SORT + pairs * 2.0 ** (-64 * shared / blocks) * _COMPARE))
    return costs.index(min(costs))


def _sharing(values: Hashes, distance: int, blocks: list[np.uint64], choice: tuple[int, ...]) -> Pairs:
    """Near pairs that are equal in the chosen blocks, and in no earlier choice of as many."""
    mask = np.bitwise_or.reduce([blocks[number] for number in choice])
    keys = values & mask
    order = np.argsort(keys)
    ordered, keys = values[order], keys[order]
    found: list[Pairs] = []
    for spots, step in _neighbours(ordered, keys, distance):
        fresh = _first_choice(ordered[spots] ^ ordered[spots + step], blocks, choice)
        left, right = order[spots[fresh]], order[spots[fresh] + step]
        found.append(np.stack([np.minimum(left, right), np.maximum(left, right)], axis=1))
    return np.concatenate([np.empty((0, 2), np.int64), *found])


def _neighbours(ordered: Hashes, keys: Hashes, distance: int) -> Iterator[tuple[NDArray[np.intp], int]]:
    """Places and steps from them to a near hash with an equal key. All places at once while many have equals."""
    count, step = len(ordered), 0
    spots: NDArray[np.intp] | None = None
    while spots is None or len(spots):
        step += 1
        if spots is None:
            same = keys[step:] == keys[:-step]
            near = np.flatnonzero(np.bitwise_count(ordered[step:] ^ ordered[:-step]) <= distance)
            near = near[same[near]]
            if np.count_nonzero(same) <= count // 6:
                spots = np.flatnonzero(same)
        else:
            spots = spots[: np.searchsorted(spots, count - step)]
            spots = spots[keys[spots] == keys[spots + step]]
            near = spots[np.bitwise_count(ordered[spots] ^ ordered[spots + step]) <= distance]
        if len(near):
            yield near, step


def _first_choice(differ: Hashes, blocks: list[np.uint64], choice: tuple[int, ...]) -> NDArray[np.bool_]:
    """Whether the first blocks without a differing bit are the chosen ones: so each pair is found once."""
    first = np.ones(len(differ), bool)
    for number in range(choice[-1]):
        if number not in choice:
            first &= (differ & blocks[number]) != 0
    return first


def _every(values: Hashes, distance: int) -> Iterator[Pairs]:
    """Near pairs by comparing all of them, a block at a time."""
    start = 0
    while start < len(values) - 1:
        size = max(1, _BLOCK // (len(values) - start))
        block = np.bitwise_count(values[start : start + size, None] ^ values[None, start:]) <= distance
        first, second = np.nonzero(block)
        keep = first < second
        yield np.stack([start + first[keep], start + second[keep]], axis=1)
        start += size
