"""What is wrong with what was found: the six kinds of error of TIDE, what each costs, and which class is taken for which.

Source: Bolya, Foley, Hays, Hoffman, "TIDE: A General Toolbox for Identifying Object Detection Errors" (ECCV 2020, arXiv
2008.08115), with its overlaps: 0.5 makes a match, below 0.1 there is only background. Knows no pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.measure.detection_curves import average_precision
from sightline.measure.detection_matching import Bools, Floats, Ints, Matches
from sightline.runtime.geometry import iou

KINDS = ("wrong class", "badly placed", "both", "duplicate", "background", "missed")
RIGHT, NOTHING = -1, -2  # instead of a kind: right, and neither (an ignored object)
MATCH, FAINT = 0.5, 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Faults:
    """kind (d,) of every found object: number in KINDS, RIGHT or NOTHING. target (d,): row of the true one it meant, or -1."""

    kind: Ints
    target: Ints


def faults(matches: Matches) -> Faults:
    """What every found object is. None of this depends on a threshold: who is surer comes first anyway.

    Where two kinds fit, an object of its own class that it covers goes first (then it is a duplicate), then a covered one of
    another class, then a touched one of its own.
    """
    given, truths = matches.given, matches.truths
    kind = np.full(len(given.scores), KINDS.index("background"), np.int64)
    target = np.full(len(given.scores), -1, np.int64)
    real = ~truths.ignored
    for picture in np.intersect1d(given.pictures, truths.pictures[real]):
        start, stop = np.searchsorted(given.pictures, (picture, picture + 1))
        low, high = np.searchsorted(truths.pictures, (picture, picture + 1))
        there = np.arange(low, high)[real[low:high]]
        overlap = iou(given.boxes[start:stop], truths.boxes[there])
        own = given.labels[start:stop, None] == truths.labels[None, there]
        mine, other = np.where(own, overlap, -1.0), np.where(own, -1.0, overlap)
        best, best_other = mine.argmax(axis=1), other.argmax(axis=1)
        near, near_other = mine.max(axis=1), other.max(axis=1)
        cases = [near >= MATCH, near_other >= MATCH, near >= FAINT, near_other >= FAINT]
        names = ["duplicate", "wrong class", "badly placed", "both"]
        kind[start:stop] = np.select(cases, [KINDS.index(name) for name in names], KINDS.index("background"))
        target[start:stop] = np.select(cases, [there[best], there[best_other], there[best], there[best_other]], -1)
    kind[matches.ignored[0]] = NOTHING
    kind[matches.right[0]] = RIGHT
    target[matches.right[0]] = matches.partner[matches.right[0]]
    return Faults(kind, target)


def kept(matches: Matches, thresholds: Floats) -> Bools:
    """Which found objects are given at these thresholds, one a class (classes,): (d,)."""
    return np.asarray(matches.given.scores >= thresholds[matches.given.labels])


def missed(matches: Matches, wrong: Faults, shown: Bools) -> Ints:
    """Rows of true objects that nothing given finds, nor places badly, nor calls by another name."""
    met = (wrong.kind == RIGHT) | (wrong.kind == KINDS.index("badly placed")) | (wrong.kind == KINDS.index("wrong class"))
    found = np.unique(wrong.target[shown & met])
    return np.setdiff1d(np.flatnonzero(~matches.truths.ignored), found)


def counted(matches: Matches, wrong: Faults, shown: Bools) -> dict[str, int]:
    """How often each kind occurs among what is given."""
    times = {name: int(((wrong.kind == number) & shown).sum()) for number, name in enumerate(KINDS)}
    return {**times, "missed": len(missed(matches, wrong, shown))}


def gains(matches: Matches, wrong: Faults, classes: int) -> dict[str, float]:
    """How much higher mAP@.5 would be if this kind of error alone were mended, as TIDE mends it; at all scores.

    A wrong class gets the right one, a badly placed box the true place (and goes where a surer one has it already); both,
    duplicates and background go; missed objects are no longer asked for.
    """
    asked = matches.asked(classes)
    now = _map50(matches.given.labels, matches.right[0], wrong.kind != NOTHING, matches.given.scores, asked)
    gained = {}
    everything = np.ones(len(wrong.kind), np.bool_)
    for number, name in enumerate(KINDS):
        labels, right, stays = matches.given.labels, matches.right[0], wrong.kind != NOTHING
        wanted = asked
        if name == "missed":
            lost = missed(matches, wrong, everything)
            wanted = asked - np.bincount(matches.truths.labels[lost], minlength=classes)
        elif name in ("wrong class", "badly placed"):
            mended = wrong.kind == number
            labels = np.where(mended, matches.truths.labels[wrong.target] if len(asked) else labels, labels)
            surest = _surest(matches, wrong, mended | (wrong.kind == RIGHT))
            right = surest
            stays = stays & (surest | ~(mended | (wrong.kind == RIGHT)))
        else:
            stays = stays & (wrong.kind != number)
        gained[name] = max(0.0, _map50(labels, right, stays, matches.given.scores, wanted) - now)
    return gained


def _surest(matches: Matches, wrong: Faults, rows: Bools) -> Bools:
    """Of the rows that mean the same true object the surest: (d,)."""
    chosen = np.flatnonzero(rows)
    chosen = chosen[np.argsort(-matches.given.scores[chosen], kind="stable")]
    _, first = np.unique(wrong.target[chosen], return_index=True)
    surest = np.zeros(len(rows), np.bool_)
    surest[chosen[first]] = True
    return surest


def _map50(labels: Ints, right: Bools, stays: Bools, scores: Floats, asked: Ints) -> float:
    values = []
    for label, count in enumerate(asked):
        rows = (labels == label) & stays
        one = average_precision(right[rows], scores[rows], int(count))
        if one is not None:
            values.append(one)
    return float(np.mean(values)) if values else 0.0


def confusion(matches: Matches, wrong: Faults, shown: Bools, classes: int) -> NDArray[np.int64]:
    """Rows truth, columns answers, (classes + 1, classes + 1); last row: found where nothing is, last column: missed."""
    table = np.zeros((classes + 1, classes + 1), np.int64)
    labels, truths = matches.given.labels, matches.truths
    hit = shown & (wrong.kind == RIGHT)
    np.add.at(table, (truths.labels[wrong.target[hit]], labels[hit]), 1)
    taken = set(wrong.target[hit].tolist())
    mistaken = np.flatnonzero(shown & (wrong.kind == KINDS.index("wrong class")))
    for row in mistaken[np.argsort(-matches.given.scores[mistaken], kind="stable")]:
        meant = int(wrong.target[row])
        if meant in taken:  # found by another answer, so this one stands for nothing
            table[classes, labels[row]] += 1
        else:
            taken.add(meant)
            table[truths.labels[meant], labels[row]] += 1
    rest = [KINDS.index(name) for name in ("badly placed", "both", "duplicate", "background")]
    np.add.at(table[classes], labels[shown & np.isin(wrong.kind, rest)], 1)
    left = np.setdiff1d(np.flatnonzero(~truths.ignored), np.array(sorted(taken), np.int64))
    np.add.at(table[:, classes], truths.labels[left], 1)
    return table


def counting(matches: Matches, wrong: Faults, shown: Bools, classes: int) -> Mapping[str, Floats]:
    """How far counts are off, one number a class: `error` mean absolute difference a picture, `bias` mean difference,
    `truth` mean count."""
    truths, given = matches.truths, matches.given
    there, found = (np.zeros((matches.count, classes)) for _ in range(2))
    np.add.at(there, (truths.pictures[~truths.ignored], truths.labels[~truths.ignored]), 1)
    counts = shown & (wrong.kind != NOTHING)
    np.add.at(found, (given.pictures[counts], given.labels[counts]), 1)
    off = found - there
    return {"error": np.abs(off).mean(axis=0), "bias": off.mean(axis=0), "truth": there.mean(axis=0)}
