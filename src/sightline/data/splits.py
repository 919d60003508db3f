"""Dividing a dataset into train, val and test: stratified by class, copies and groups on one side, the same for a seed.

The order of the files does not matter: every unit (a picture with its copies and its group) draws its lot from its own name.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass

from sightline.data.manifest import manifest_hash
from sightline.data.survey import Survey, survey, units
from sightline.errors import DatasetError, UsageError
from sightline.types import Dataset, Split

VAL, MOST = 0.15, 5_000  # what is cut out to validate: this share, but no more pictures: their interval is 1 point wide then
_NONE = "\0none"  # the pseudo label of pictures without labels (multilabel), so that every part gets its share of them


@dataclass(frozen=True, slots=True)
class _Unit:
    """Pictures that stay together: their positions, and how many carry each label."""

    spots: tuple[int, ...]
    labels: Counter[str]
    lot: bytes

    @property
    def size(self) -> int:
        return len(self.spots)


def split(
    dataset: Dataset, seen: Survey | None = None, *, seed: int = 0, val: float | None = None, test: float = 0.0
) -> Dataset:
    """The dataset with a split for every picture. A split that the data gave is never changed.

    Without given validation pictures `val` is cut out of train (and `test` too, unless given); otherwise nothing is cut. Where
    nobody says how much, it is VAL of the pictures, at most MOST of them.
    Near-duplicates, exact copies and pictures of one group stay on one side; every class with two units or more has pictures in
    val and in train (with three: in test, when one is cut). `seen` is the survey of the dataset; without it one is made.
    Stratification: greedy by the rarest label (Sechidis et al. 2011), which for single labels is the usual one.
    Raises UsageError for impossible shares.
    """
    if val is None:
        val = min(VAL, MOST / max(1, len(dataset.items)))
    if not (0 <= val < 1 and 0 <= test < 1 and val + test < 1):
        raise UsageError(f"val and test must be shares below 1 that leave something for train, got val={val}, test={test}")
    given = {item.split for item in dataset.items}
    wanted: dict[Split, float] = {"train": 1.0 - val - test, "val": val, "test": test}
    if "val" in given:
        wanted = {"train": 1.0, "val": 0.0, "test": 0.0}
    elif "test" in given:
        wanted = {"train": 1.0 - val, "val": val, "test": 0.0}
    if None not in given and ("val" in given or "train" not in given):
        return dataset
    seen = survey(dataset) if seen is None else seen.aligned(dataset)
    chosen: list[Split | None] = [item.split for item in dataset.items]
    pool: list[_Unit] = []
    for unit in _units(dataset, seen, seed):
        fixed = _held(dataset, unit)
        for spot in unit.spots:
            chosen[spot] = dataset.items[spot].split or fixed or "train"
        if fixed is None:
            pool.append(unit)
    for unit, part in _cut(pool, {part: share for part, share in wanted.items() if share > 0}):
        for spot in unit.spots:
            chosen[spot] = part
    items = tuple(
        item if item.split == part else item.model_copy(update={"split": part})
        for item, part in zip(dataset.items, chosen, strict=True)
    )
    return dataset.model_copy(update={"items": items, "hash": manifest_hash(items)})


def _held(dataset: Dataset, unit: _Unit) -> Split | None:
    """The given val or test that a unit reaches into: its free pictures must follow, else they would leak."""
    parts = {dataset.items[spot].split for spot in unit.spots}
    return "test" if "test" in parts else "val" if "val" in parts else None


def _units(dataset: Dataset, seen: Survey, seed: int) -> list[_Unit]:
    members: dict[int, list[int]] = defaultdict(list)
    for spot, number in enumerate(units(seen, [item.group for item in dataset.items])):
        members[int(number)].append(spot)
    found: list[_Unit] = []
    for spots in members.values():
        name = min(dataset.items[spot].name for spot in spots)
        labels = Counter(label for spot in spots for label in (set(dataset.items[spot].labels) or {_NONE}))
        lot = hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=16).digest()
        found.append(_Unit(tuple(spots), labels, lot))
    return sorted(found, key=lambda unit: (-unit.size, unit.lot))


def _cut(pool: list[_Unit], shares: dict[Split, float]) -> list[tuple[_Unit, Split]]:
    """A part for each unit: rarest label first, each unit to the part that lacks most of that label."""
    if len(shares) == 1:
        (part,) = shares
        return [(unit, part) for unit in pool]
    left = Counter[str]()  # pictures of each label that have no part yet
    carriers: dict[str, list[int]] = defaultdict(list)
    for number, unit in enumerate(pool):
        left.update(unit.labels)
        for label in unit.labels:
            carriers[label].append(number)
    lacking = {part: {label: share * count for label, count in left.items()} for part, share in shares.items()}
    free = {part: share * sum(unit.size for unit in pool) for part, share in shares.items()}
    placed: dict[int, Split] = {}
    while carriers:
        label = min(carriers, key=lambda name: (left[name], name))
        for number in carriers.pop(label):
            if number in placed:
                continue
            unit = pool[number]
            placed[number] = part = max(shares, key=lambda p: (lacking[p][label], free[p], p))
            free[part] -= unit.size
            left.subtract(unit.labels)
            for name, count in unit.labels.items():
                lacking[part][name] -= count
    _share_out(pool, placed, list(shares))
    return [(unit, placed[number]) for number, unit in enumerate(pool)]


def _share_out(pool: list[_Unit], placed: dict[int, Split], parts: list[Split]) -> None:
    """Give every class a unit in each part as far as it has so many (train, then val, then test), moving small units."""
    where: dict[str, dict[Split, list[int]]] = defaultdict(lambda: {part: [] for part in parts})
    for number, unit in enumerate(pool):
        for label in unit.labels:
            where[label][placed[number]].append(number)

    def spare(number: int, part: Split) -> bool:
        """Whether no label of the unit would lose its last unit of `part`."""
        return all(len(where[label][part]) > 1 for label in pool[number].labels)

    for label in sorted(where, key=lambda name: (sum(map(len, where[name].values())), name)):
        for part in parts:
            if where[label][part]:
                continue
            full = sorted((other for other in parts if len(where[label][other]) > 1), key=lambda p: -len(where[label][p]))
            moves = [(n, other) for other in full for n in where[label][other] if spare(n, other)]
            if not moves:
                continue
            number, other = min(moves, key=lambda move: (full.index(move[1]), pool[move[0]].size, pool[move[0]].lot))
            placed[number] = part
            for name in pool[number].labels:
                where[name][other].remove(number)
                where[name][part].append(number)


def with_val(dataset: Dataset, val: Dataset) -> Dataset:
    """The training data with every picture of `val` as its validation part. DatasetError for a class it does not have."""
    foreign = sorted({label for item in val.items for label in item.labels} - set(dataset.classes))
    if foreign:
        raise DatasetError(
            f"--val has a class that the training data lack: {foreign[0]}", hint="the classes are " + ", ".join(dataset.classes)
        )
    items = [item.model_copy(update={"split": item.split or "train"}) for item in dataset.items if item.split != "val"]
    items += [item.model_copy(update={"split": "val", "name": f"{val.name}/{item.name}"}) for item in val.items]
    return dataset.model_copy(update={"items": tuple(items), "failures": (*dataset.failures, *val.failures)})
