"""Labels as numbers, in the order of the classes. Knows records and arrays only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.types import Item, Task


def targets(items: Sequence[Item], classes: Sequence[str], task: Task) -> NDArray[np.int64]:
    """The truth of each item: class numbers int64 (n,), or 0/1 int64 (n, classes) for several labels.

    Every label must be one of `classes`, and every item of a one-label task must have one: the readers see to that.
    """
    index = {name: number for number, name in enumerate(classes)}
    if task != "multilabel":
        return np.array([index[item.labels[0]] for item in items], np.int64)
    truth = np.zeros((len(items), len(classes)), np.int64)
    for row, item in enumerate(items):
        truth[row, [index[label] for label in item.labels]] = 1
    return truth
