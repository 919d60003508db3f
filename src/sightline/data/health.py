"""The health check before training: what is wrong with a dataset, and what to do about it. Changes nothing.

Each finding names its pictures; `error` findings stop a training, `warning` ones cost quality, `info` ones are good to know.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import combinations
from typing import Literal

import numpy as np

from sightline.data.manifest import said
from sightline.data.survey import Survey, survey
from sightline.types import Dataset, Finding, Item

# kind -> what it means, in the order of the report
KINDS = {
    "unreadable": "a picture that cannot be decoded",
    "class_too_small": "a class with too few pictures",
    "missing_label": "pictures or rows without a label",
    "label_conflict": "the same picture with two labels",
    "leak": "a picture shared by training and validation or test",
    "exact_duplicate": "files with the same content",
    "near_duplicate": "pictures that look the same",
    "imbalance": "a class with many times the pictures of another",
}
_SEVERITY = ("error", "warning", "info")
_FEW = 5  # pictures; a class below is hardly learnable
_RATIO = 10.0
_MOST = 300  # members of a family that are compared one by one for the closest pair


def check(dataset: Dataset, seen: Survey | None = None, *, thorough: bool = True) -> list[Finding]:
    """Everything found, errors first.

    `thorough` looks at every picture (through `seen`, the survey, when there is one); without it only labels, counts and the
    contents that are hashed already are judged, and no file is read.
    """
    seen = (seen.aligned(dataset) if seen else survey(dataset)) if thorough else None
    bad = {failure.picture for failure in seen.failures} if seen else set()
    good = [item for item in dataset.items if item.name not in bad]
    findings = [*_unreadable(seen), *_missing(dataset), *_small(dataset, good), *_imbalance(good)]
    hashed = seen.sha256 if seen else [item.sha256 for item in dataset.items]
    shas = ["" if item.name in bad else sha for item, sha in zip(dataset.items, hashed, strict=True)]
    copies = _gathered(dataset, shas)
    families = _gathered(dataset, [str(number) for number in seen.families()]) if seen else copies
    sha_of = {item.name: sha for item, sha in zip(dataset.items, shas, strict=True)}
    closest = _closest(dataset, seen)
    for members in copies:
        findings.append(_copies(members))
        findings += _other_places(members) if dataset.task == "detection" else ()
    for members in families:
        if len({sha_of[item.name] for item in members}) > 1:
            findings.append(_near(members))
        findings += _conflict(members, sha_of) if dataset.task != "detection" else ()
        findings += _leak(members, sha_of, closest)
    findings += _group_leaks(dataset)
    kinds = list(KINDS)
    return sorted(findings, key=lambda f: (_SEVERITY.index(f.severity), kinds.index(f.kind), -f.score, f.items))


def _unreadable(seen: Survey | None) -> Iterator[Finding]:
    for failure in seen.failures if seen else ():
        yield Finding(
            kind="unreadable",
            items=(failure.picture,),
            message=f"{failure.picture}: {failure.error.message}",
            fix=failure.error.hint or "repair or delete the file; it is left out",
        )


def _missing(dataset: Dataset) -> Iterator[Finding]:
    without = [failure for failure in dataset.failures if failure.error.code in ("label_missing", "stray")]
    if without:
        yield Finding(
            kind="missing_label",
            items=tuple(failure.picture for failure in without),
            message=f"{_many(len(without), 'entry', 'entries')} without a label, left out; first: {without[0].picture}",
            fix="fill in the labels, or move the pictures into class folders",
        )


def _small(dataset: Dataset, good: Iterable[Item]) -> Iterator[Finding]:
    named: dict[str, list[str]] = {name: [] for name in dataset.classes}
    training: Counter[str] = Counter()
    for item in good:
        for label in dict.fromkeys(item.labels):
            named[label].append(item.name)
            training[label] += item.split in (None, "train")
    trained = any(item.split in (None, "train") for item in dataset.items)  # a test set alone needs no training pictures
    placed = dataset.task == "detection"  # one picture can show many things of a class, and names declare more than is there
    grave: Literal["error", "warning"] = "warning" if placed else "error"
    for label, names in named.items():
        severity: Literal["error", "warning"] = "warning"
        message = f"the class {label!r} has {_many(len(names), 'picture')}"
        if len(names) < 2:
            severity = grave
        elif trained and not training[label]:
            severity, message = grave, f"the class {label!r} has pictures, but none to train on"
        elif len(names) >= _FEW:
            continue
        yield Finding(
            kind="class_too_small",
            items=tuple(names),
            message=message,
            fix="add pictures of it, at least 20 for a start, or remove the class",
            severity=severity,
        )


def _imbalance(good: Iterable[Item]) -> Iterator[Finding]:
    counts = Counter(label for item in good if item.split in (None, "train") for label in item.labels)
    if len(counts) < 2:
        return
    (most, high), (least, low) = counts.most_common(1)[0], min(counts.items(), key=lambda pair: (pair[1], pair[0]))
    if high > _RATIO * low:
        yield Finding(
            kind="imbalance",
            items=(),
            message=f"{most!r} has {high:,} pictures and {least!r} {low:,}: {high / low:.0f} times as many",
            fix="add pictures to the small classes; training weighs them up, but cannot invent variety",
            score=1 - low / high,
            severity="warning",
        )


def _gathered(dataset: Dataset, keys: list[str]) -> list[list[Item]]:
    """Items of equal keys, two or more; empty keys belong nowhere."""
    found: dict[str, list[Item]] = defaultdict(list)
    for item, key in zip(dataset.items, keys, strict=True):
        if key:
            found[key].append(item)
    return [members for members in found.values() if len(members) > 1]


def _copies(members: list[Item]) -> Finding:
    return Finding(
        kind="exact_duplicate",
        items=tuple(item.name for item in members),
        message=f"{len(members)} files have the same content: {_some(members)}",
        fix="keep one of them",
        severity="info",
    )


def _near(members: list[Item]) -> Finding:
    return Finding(
        kind="near_duplicate",
        items=tuple(item.name for item in members),
        message=f"{len(members)} pictures look the same: {_some(members)}",
        fix="keep one of them if they are copies (a split made here keeps them together)",
        score=0.9,
        severity="info",
    )


def _conflict(members: list[Item], sha_of: dict[str, str]) -> Iterator[Finding]:
    """Exact copies with different labels are a certain mistake (score 1), look-alikes a likely one."""
    first: dict[tuple[str, ...], Item] = {}
    for item in members:
        first.setdefault(tuple(sorted(item.labels)), item)
    if len(first) < 2:
        return
    exact = any(sha_of[a.name] == sha_of[b.name] for a, b in combinations(members[:_MOST], 2) if set(a.labels) != set(b.labels))
    said = "; ".join(f"{item.name} is {' | '.join(labels) or 'none of the classes'}" for labels, item in first.items())
    yield Finding(
        kind="label_conflict",
        items=tuple(item.name for item in members),
        message=f"{'the same picture' if exact else 'pictures that look the same'} with different labels: {said}",
        fix="decide which label is right",
        score=1.0 if exact else 0.7,
        severity="warning",
    )


def _other_places(members: list[Item]) -> Iterator[Finding]:
    """Copies of a picture with other objects or other places; of look-alikes (two frames of a video) that is no mistake."""
    if len({frozenset(map(said, item.truth)) for item in members}) > 1:
        yield Finding(
            kind="label_conflict",
            items=tuple(item.name for item in members),
            message=f"the same picture with other objects or places: {_some(members)}",
            fix="decide which objects are right",
        )


def _leak(
    members: list[Item], sha_of: dict[str, str], closest: Callable[[list[Item], list[Item]], tuple[Item, Item]]
) -> Iterator[Finding]:
    """One picture of each side: the two that are most alike."""
    parts: dict[str, list[Item]] = defaultdict(list)
    for item in members:
        if item.split:
            parts[item.split].append(item)
    for one, other in combinations([part for part in ("train", "val", "test") if part in parts], 2):
        left, right = closest(parts[one], parts[other])
        exact = sha_of[left.name] == sha_of[right.name]
        yield Finding(
            kind="leak",
            items=(left.name, right.name),
            message=f"{one} and {other} share {'a picture' if exact else 'a look-alike'}: {left.name} and {right.name}",
            fix=f"delete one of them: scores on {other} are too good with it",
            score=1.0 if exact else 0.8,
            severity="warning",
        )


def _closest(dataset: Dataset, seen: Survey | None) -> Callable[[list[Item], list[Item]], tuple[Item, Item]]:
    """A function that finds the most alike pair of two lists: equal content first, then fewest different bits."""
    spots = {item.name: spot for spot, item in enumerate(dataset.items)}

    def pick(left: list[Item], right: list[Item]) -> tuple[Item, Item]:
        if seen is None:
            return left[0], right[0]
        left, right = left[:_MOST], right[:_MOST]
        a, b = ([spots[item.name] for item in side] for side in (left, right))
        bits = np.bitwise_count(seen.hashes[a][:, None] ^ seen.hashes[b][None]).astype(int) + 1
        same = np.array(seen.sha256, object)[a][:, None] == np.array(seen.sha256, object)[b][None]
        row, column = np.unravel_index(int(np.where(same, 0, bits).argmin()), bits.shape)
        return left[int(row)], right[int(column)]

    return pick


def _group_leaks(dataset: Dataset) -> Iterator[Finding]:
    first: dict[str, dict[str, Item]] = defaultdict(dict)
    for item in dataset.items:
        if item.group and item.split:
            first[item.group].setdefault(item.split, item)
    for group, parts in first.items():
        if len(parts) > 1:
            yield Finding(
                kind="leak",
                items=tuple(item.name for item in parts.values()),
                message=f"the group {group!r} has pictures in {' and '.join(sorted(parts))}",
                fix="give all pictures of a group the same split, or leave the split column empty",
                score=0.9,
                severity="warning",
            )


def _some(members: list[Item], most: int = 4) -> str:
    names = ", ".join(item.name for item in members[:most])
    return names if len(members) <= most else f"{names} and {len(members) - most} more"


def _many(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"
