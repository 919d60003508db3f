"""K-fold cross-validation: which pictures each fold's model learns from, chooses by, and is scored on. Trains nothing.

Groups and families of look-alikes stay in one fold, classes are dealt out evenly (Sechidis et al. 2011, as in probe.py). A
fold's own validation pictures, which stop trainings and choose values, are cut from the other folds: nothing has seen the fold.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from sightline.data.manifest import manifest_hash
from sightline.data.splits import split
from sightline.data.survey import Survey, units
from sightline.data.targets import targets
from sightline.errors import DatasetError, UsageError
from sightline.learn.logistic import one_hot
from sightline.learn.probe import fold_numbers
from sightline.types import Dataset

LEAST, MOST = 2, 20


def check(count: int) -> None:
    """UsageError for a number of folds that makes no sense."""
    if not LEAST <= count <= MOST:
        raise UsageError(f"--folds must be from {LEAST} to {MOST}, got {count}", hint="5 or 10 are usual")


def folds(dataset: Dataset, seen: Survey, count: int, seed: int = 0) -> tuple[Dataset, ...]:
    """For each fold the dataset whose test part is that fold, with train and val cut from the others. Pictures that the data
    gave as test, and without a label where one is needed, are in none.

    Raises UsageError (number of folds), DatasetError (a class with one family of pictures only; fewer families than folds).
    """
    check(count)
    items = [item for item in dataset.items if item.split != "test" and (item.labels or dataset.task == "multilabel")]
    pool = dataset.model_copy(update={"items": tuple(items)})
    unit = units(seen.aligned(pool), [item.group for item in items])
    if len(np.unique(unit)) < count:
        raise DatasetError(
            f"{len(items)} pictures in {len(np.unique(unit))} families of look-alikes do not make {count} folds",
            hint="fewer --folds, or more pictures",
        )
    where: dict[str, set[int]] = defaultdict(set)
    for item, number in zip(items, unit, strict=True):
        for label in item.labels:
            where[label].add(int(number))
    lone = [name for name in dataset.classes if len(where[name]) < 2]
    if lone:
        raise DatasetError(
            f"all pictures of {lone[0]} look alike or are one group: they cannot be learnt and tested apart",
            hint="add other pictures of it, or leave the class out",
        )
    truth = targets(items, dataset.classes, dataset.task)
    hot = truth.astype(np.float32) if dataset.task == "multilabel" else one_hot(truth, len(dataset.classes))
    fold = fold_numbers(hot, [str(number) for number in unit], count, seed)
    made = []
    for number in range(count):
        parted = tuple(
            item.model_copy(update={"split": "test" if mine else None})
            for item, mine in zip(items, fold == number, strict=True)
        )
        one = pool.model_copy(update={"items": parted, "hash": manifest_hash(parted)})
        made.append(split(one, seen.aligned(one), seed=seed))
    return tuple(made)
