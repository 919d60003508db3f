"""Dividing in columns: which part each of a million pictures goes to, by class and without tearing apart what belongs together.

Arrays in, an array out; knows neither files nor databases. `data.splits` does the same with an eye on look-alikes, picture by
picture. Parts are numbers: 0 none, 1 train, 2 val, 3 test.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sightline.data.duplicates import merged
from sightline.errors import UsageError

Codes = NDArray[np.int64]
Places = NDArray[np.int8]
TRAIN, VAL, TEST = 1, 2, 3
_NONE = "\0none"  # the pseudo label of pictures without labels, so that every part gets its share of them


@dataclass(slots=True)
class _Stratum:
    """Units that are alike: as many pictures in each, the same number of them with each label."""

    size: int
    labels: tuple[tuple[str, int], ...]
    units: Codes  # in the order of their lots
    part: list[int] = field(default_factory=list)  # units that go to each part, in the order of the shares


def together(content: NDArray[np.uint64], groups: Codes) -> Codes:
    """A unit's number (n,) for each picture: pictures of one content or one group (-1: none) share it, through others too."""
    units = np.asarray(np.unique(content, return_inverse=True)[1], np.int64)
    spots = np.flatnonzero(groups >= 0)
    if not len(spots):
        return units
    spots = spots[np.argsort(groups[spots], kind="stable")]
    same = groups[spots[1:]] == groups[spots[:-1]]
    return merged(units, np.stack([spots[:-1][same], spots[1:][same]], axis=1))


def lots(content: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """A random number (n,) for each picture that depends on its content and the seed only (splitmix64, Steele et al. 2014)."""
    start = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
    mixed = content ^ start
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), np.uint64)


def divide(
    units: Codes,
    sets: Codes,
    labels: Sequence[tuple[str, ...]],
    given: Places,
    lot: NDArray[np.uint64],
    *,
    val: float,
    test: float,
) -> Places:
    """A part (n,) for each picture. The rules of `data.splits.split`: given splits stay; without given validation pictures
    `val` is cut out of train (and `test` too, unless given); a class with two units is in train and val, with three in test.

    Args:
        units: (n,) equal numbers stay on one side.
        sets: (n,) which of `labels` a picture has.
        given: (n,) parts the data gave, 0 for none.
        lot: (n,) who is drawn first.

    Raises UsageError for impossible shares.
    """
    if not (0 <= val < 1 and 0 <= test < 1 and val + test < 1):
        raise UsageError(f"val and test must be shares below 1 that leave something for train, got val={val}, test={test}")
    there = set(np.unique(given).tolist())
    if not there or (0 not in there and (VAL in there or TRAIN not in there)):
        return given
    shares = {TRAIN: 1.0 - val - test, VAL: val, TEST: test}
    if VAL in there:
        shares = {TRAIN: 1.0}
    elif TEST in there:
        shares = {TRAIN: 1.0 - val, VAL: val}
    shares = {part: share for part, share in shares.items() if share > 0}
    number = np.asarray(np.unique(units, return_inverse=True)[1], np.int64)
    held = np.zeros(int(number.max()) + 1, np.int8)  # the given val or test that a unit reaches into
    np.maximum.at(held, number, np.where(given == TRAIN, 0, given).astype(np.int8))
    chosen = np.where(given > 0, given, np.where(held[number] > 0, held[number], TRAIN)).astype(np.int8)
    free = held == 0
    if not free.any():
        return chosen
    place = np.full(len(held), TRAIN, np.int8)
    strata = _strata(number, sets, labels, lot, free)
    _cut(strata, shares)
    _share_out(strata, list(shares))
    for stratum in strata:
        ends = np.cumsum([0, *reversed(stratum.part)])  # the first drawn are test, then val, the rest train
        for part, start, end in zip(reversed(shares), ends[:-1], ends[1:], strict=True):
            place[stratum.units[start:end]] = part
    pool = free[number]
    chosen[pool] = place[number[pool]]
    return chosen


def _strata(
    number: Codes, sets: Codes, labels: Sequence[tuple[str, ...]], lot: NDArray[np.uint64], free: NDArray[np.bool_]
) -> list[_Stratum]:
    sizes = np.bincount(number)
    drawn = np.full(len(sizes), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(drawn, number, lot)
    found: dict[tuple[int, tuple[tuple[str, int], ...]], list[Codes]] = defaultdict(list)
    named = [tuple((name, 1) for name in names or (_NONE,)) for names in labels]
    single = np.flatnonzero((sizes == 1) & free)
    kind = np.empty(len(sizes), np.int64)
    kind[number] = sets
    order = single[np.argsort(kind[single], kind="stable")]
    for part in np.split(order, np.flatnonzero(np.diff(kind[order])) + 1):
        if len(part):
            found[1, named[int(kind[part[0]])]].append(part)
    several = np.flatnonzero(((sizes > 1) & free)[number])
    several = several[np.argsort(number[several], kind="stable")]
    for spots in np.split(several, np.flatnonzero(np.diff(number[several])) + 1):
        if len(spots):
            count = Counter(name for one in sets[spots].tolist() for name, _ in named[one])
            found[len(spots), tuple(sorted(count.items()))].append(number[spots[:1]])
    strata = []
    for (size, names), parts in found.items():
        members = np.concatenate(parts)
        strata.append(_Stratum(size, names, members[np.argsort(drawn[members], kind="stable")]))
    return sorted(strata, key=lambda one: (-one.size, one.labels))


def _cut(strata: Sequence[_Stratum], shares: dict[int, float]) -> None:
    """How many units of each stratum go to each part: whole shares first, then one by one to the part that lacks most of
    the stratum's rarest label (Sechidis et al. 2011)."""
    total: Counter[str] = Counter()
    carriers: dict[str, list[_Stratum]] = defaultdict(list)
    for stratum in strata:
        for name, count in stratum.labels:
            total[name] += count * len(stratum.units)
            carriers[name].append(stratum)
    weights = list(shares.values())
    lacking = {name: [share * count for share in weights] for name, count in total.items()}
    pictures = sum(stratum.size * len(stratum.units) for stratum in strata)
    free = [share * pictures for share in weights]

    def give(stratum: _Stratum, part: int, units: int) -> None:
        stratum.part[part] += units
        free[part] -= units * stratum.size
        for name, count in stratum.labels:
            lacking[name][part] -= units * count

    for label in sorted(total, key=lambda name: (total[name], name)):
        for stratum in carriers[label]:
            if stratum.part:
                continue
            units = len(stratum.units)
            stratum.part = [0] * len(weights)
            for part, share in enumerate(weights):
                give(stratum, part, int(units * share + 1e-9))
            for _ in range(units - sum(stratum.part)):
                give(stratum, max(range(len(weights)), key=lambda p: (lacking[label][p], free[p], -p)), 1)


def _share_out(strata: Sequence[_Stratum], parts: Sequence[int]) -> None:
    """Give every label a unit in each part as far as it has so many (train, then val, then test), moving small units."""
    where: dict[str, list[int]] = defaultdict(lambda: [0] * len(parts))
    carriers: dict[str, list[_Stratum]] = defaultdict(list)
    for stratum in strata:
        for name, _ in stratum.labels:
            carriers[name].append(stratum)
            for part, units in enumerate(stratum.part):
                where[name][part] += units
    for label in sorted(where, key=lambda name: (sum(where[name]), name)):
        for part in range(len(parts)):
            if where[label][part]:
                continue
            full = sorted((p for p in range(len(parts)) if where[label][p] > 1), key=lambda p: -where[label][p])
            moves = [
                (full.index(other), stratum.size, at, other, stratum)
                for at, stratum in enumerate(carriers[label])
                for other in full
                if stratum.part[other] and all(where[name][other] > 1 for name, _ in stratum.labels)
            ]
            if not moves:
                continue
            _, _, _, other, stratum = min(moves, key=lambda move: move[:3])
            stratum.part[other] -= 1
            stratum.part[part] += 1
            for name, _ in stratum.labels:
                where[name][other] -= 1
                where[name][part] += 1
