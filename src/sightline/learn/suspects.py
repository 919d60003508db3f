"""Suspects: pictures whose label is probably wrong, and pictures unlike all others. Changes nothing.

Both look at frozen features, which are kept: asking again about a grown dataset computes only what is new. Without the extra
that label errors need they are not looked for, and a note says so.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline import progress
from sightline.data.classes import whole_pictures
from sightline.data.targets import targets
from sightline.learn import features, graph
from sightline.learn.backbones import choose
from sightline.learn.logistic import Floats
from sightline.learn.probe import fit_probe
from sightline.measure.calibration import fit_temperature, to_probabilities
from sightline.settings import settings
from sightline.types import Dataset, Finding, Item, Task

FEWEST = 5  # labelled pictures of a class: with fewer, nothing can be said about its labels
# Outliers: distance to the k-th nearest picture (Ramaswamy et al. 2000, doi:10.1145/342009.335437), k a share of all, so that a
# few alike strangers do not vouch for each other. 3,068 photographs of garments, 5, 30 or 90 strangers (blood cells, CIFAR-10)
# among them: AUROC 1.000, 1.000, 0.998 at k = 50; with 5 to 10 neighbours 1.000, 0.41-0.52, 0.35; by Mahalanobis distance
# 0.992, 0.946, 0.879. The threshold flags 4 of the 3,068 and 5 of 5, 29 of 30, 20 of 90 strangers.
SHARE, MOST = 0.02, 100
FAR = 2.5  # robust standard deviations of the logarithm of the distance
_REFERENCE = 20_000  # pictures that others are compared with; above, that many at random


@dataclass(frozen=True, slots=True)
class Embedded:
    """The readable pictures of a dataset and their features (n, d)."""

    dataset: Dataset
    items: tuple[Item, ...]
    vectors: Floats


def embedded(dataset: Dataset) -> Embedded:
    """Frozen features of every readable picture, of the best network at hand."""
    start = choose("small")
    frozen, key = graph.backbone_graph(start)
    found = features.compute(dataset.items, frozen, key, start.input)
    return Embedded(dataset, tuple(dataset.items[place] for place in found.kept), found.vectors)


def label_errors(dataset: Dataset, *, seed: int = 0, seen: Embedded | None = None) -> list[Finding]:
    """Pictures whose label is probably wrong, the most suspicious first: `score` is 1 - the probability of the given label.

    Confident learning (Northcutt et al. 2021, doi:10.1613/jair.1.12125) through cleanlab on probabilities that every picture
    gets from a head that has not seen it. `seen`: the features, when they are there already.
    """
    dataset = whole_pictures(dataset)
    if importlib.util.find_spec("cleanlab") is None:
        progress.note("label errors are not looked for: finding them needs the extra 'data'")
        return []
    seen = seen or embedded(dataset)
    named = {item.name: item for item in dataset.items}
    rows = [row for row, item in enumerate(seen.items) if item.name in named and (item.labels or dataset.task == "multilabel")]
    items = [named[seen.items[row].name] for row in rows]
    truth, classes, kept = _judged(items, dataset)
    if len(classes) < 2 or len(kept) < 2 * FEWEST:
        progress.note(f"label errors are not looked for: it takes two classes of at least {FEWEST} pictures")
        return []
    items, vectors = [items[row] for row in kept], seen.vectors[[rows[row] for row in kept]]
    groups = [item.group or item.sha256 or item.name for item in items]
    task: Task = "multilabel" if dataset.task == "multilabel" else "multiclass"
    probe = fit_probe(vectors, truth, len(classes), task, groups=groups, seed=seed, threads=settings().threads)
    temperature = fit_temperature(probe.out_of_fold, truth, task)
    probabilities = to_probabilities(probe.out_of_fold, task, temperature)
    if task == "multilabel":
        return _several(items, classes, truth, probabilities)
    return _one(items, classes, truth, probabilities)


def _judged(items: list[Item], dataset: Dataset) -> tuple[NDArray[np.int64], list[str], list[int]]:
    """Truth of the pictures that can be judged, the classes that are large enough, and the places of those pictures."""
    counts = dict.fromkeys(dataset.classes, 0)
    for item in items:
        for label in item.labels:
            counts[label] += 1
    classes = [name for name in dataset.classes if counts[name] >= FEWEST]
    if dataset.task == "multilabel":
        several = [item.model_copy(update={"truth": tuple(a for a in item.truth if a.label in classes)}) for item in items]
        return targets(several, classes, "multilabel"), classes, list(range(len(items)))
    kept = [row for row, item in enumerate(items) if item.labels[0] in classes]
    return targets([items[row] for row in kept], classes, "multiclass"), classes, kept


def _one(items: list[Item], classes: list[str], truth: NDArray[np.int64], probabilities: NDArray[np.float64]) -> list[Finding]:
    from cleanlab.filter import find_label_issues

    # ranked by the probability of the given label: of 20,000 CIFAR-10 pictures with 17 % wrong human labels, 80 % of the first
    # 2,000 are wrong; by normalised margin 73 %; a second round without the suspects moved nothing (bench/label_errors.py)
    found = find_label_issues(
        truth, probabilities, filter_by="low_self_confidence", return_indices_ranked_by="self_confidence", n_jobs=1
    )
    own = probabilities[np.arange(len(truth)), truth]
    best = probabilities.argmax(axis=1)
    return [
        Finding(
            kind="label_error",
            items=(items[row].name,),
            message=f"{items[row].name} is labelled {classes[truth[row]]!r} ({own[row]:.0%} likely)"
            + (
                f" and looks like {classes[best[row]]!r} ({probabilities[row, best[row]]:.0%})"
                if best[row] != truth[row]
                else ""
            ),
            fix="look at it, and correct the label if it is wrong",
            score=float(1 - own[row]),
            severity="warning",
        )
        for row in map(int, found)
    ]


def _several(
    items: list[Item], classes: list[str], truth: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> list[Finding]:
    """Several labels a picture: each class is a yes/no question of its own."""
    from cleanlab.filter import find_label_issues

    findings = []
    for place, name in enumerate(classes):
        yes = probabilities[:, place]
        both = np.stack([1 - yes, yes], axis=1)
        if not 0 < truth[:, place].sum() < len(truth):
            continue
        found = find_label_issues(
            truth[:, place], both, filter_by="low_self_confidence", return_indices_ranked_by="self_confidence", n_jobs=1
        )
        for row in map(int, found):
            given = bool(truth[row, place])
            findings.append(
                Finding(
                    kind="label_error",
                    items=(items[row].name,),
                    message=f"{items[row].name} is {'' if given else 'not '}labelled {name!r}, which is {yes[row]:.0%} likely",
                    fix=f"look at it, and {'take the label away' if given else 'add the label'} if that is wrong",
                    score=float(1 - both[row, int(given)]),
                    severity="warning",
                )
            )
    return sorted(findings, key=lambda finding: -finding.score)


def outliers(dataset: Dataset, *, seed: int = 0, seen: Embedded | None = None) -> list[Finding]:
    """Pictures unlike all others, the strangest first; labelled or not. `score` is 0.5 at the threshold, towards 1 above."""
    seen = seen or embedded(dataset)
    if len(seen.items) < 4 * FEWEST:
        progress.note(f"outliers are not looked for: it takes {4 * FEWEST} pictures")
        return []
    strange = strangeness(seen.vectors, _neighbours(seen.items), seed)
    return [
        Finding(
            kind="outlier",
            items=(seen.items[row].name,),
            message=f"{seen.items[row].name} is unlike the other pictures",
            fix="look at it: a stranger among the pictures teaches the model something wrong",
            score=float(strange[row] / (strange[row] + FAR)),
            severity="info",
        )
        for row in map(int, np.argsort(-strange, kind="stable"))
        if strange[row] > FAR
    ]


def _neighbours(items: tuple[Item, ...]) -> NDArray[np.intp]:
    """The k (n,) of each picture: a share of all, but no more than half of its own class, or a small class would be strange."""
    sizes: dict[str, int] = {}
    for item in items:
        for label in item.labels:
            sizes[label] = sizes.get(label, 0) + 1
    share = min(max(round(SHARE * len(items)), FEWEST), MOST)
    own = [max((sizes[label] for label in item.labels), default=len(items)) for item in items]
    return np.array([max(1, min(share, size // 2)) for size in own], np.intp)


def strangeness(vectors: Floats, neighbours: NDArray[np.intp], seed: int = 0) -> Floats:
    """How far each picture (n, d) is from its k-th nearest other one, in robust standard deviations of the logarithm (n,)."""
    length = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    unit = np.asarray(vectors / length, np.float32)
    count = len(unit)
    reference = np.arange(count)
    if count > _REFERENCE:
        reference = np.sort(np.random.default_rng(seed).choice(count, _REFERENCE, replace=False))
        neighbours = np.maximum(1, neighbours * _REFERENCE // count)
    far = np.empty(count)
    others, most = unit[reference], int(neighbours.max())
    with progress.task("Looking for outliers", count) as work:
        for start in range(0, count, 1024):
            rows = np.arange(start, min(start + 1024, count))
            alike = unit[rows] @ others.T
            alike[rows[:, None] == reference[None, :]] = -np.inf  # nobody is a neighbour of himself
            nearest = -np.partition(-alike, most - 1, axis=1)[:, :most]
            nearest = -np.sort(-nearest, axis=1)
            far[rows] = 1 - nearest[np.arange(len(rows)), neighbours[rows] - 1]
            work.advance(len(rows))
    logarithm = np.log(np.maximum(far, 1e-6))
    middle = np.median(logarithm)
    spread = 1.4826 * float(np.median(np.abs(logarithm - middle)))  # of a normal distribution: its standard deviation
    return np.asarray((logarithm - middle) / max(spread, 1e-6), np.float32)
