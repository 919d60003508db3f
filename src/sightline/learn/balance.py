"""Small classes beside large ones: how often a picture is drawn, how much it counts, how many copies top a class up.

Knows numbers of labels, no pictures and no networks. Only `drawn` needs torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Generator, Tensor

Balance = Literal["auto", "none", "weights", "sampler", "sampler-full", "focal"]
POWER: dict[str, float] = {"weights": 0.5, "sampler": 0.5, "sampler-full": 1.0}  # of the inverse frequency


def picture_weights(targets: NDArray[Any], power: float) -> NDArray[np.float32]:
    """How much each picture counts (n,), mean 1: the frequency of its class to the power of -`power`.

    `targets` 0/1 (n, classes). 1 makes every class count the same, 0.5 goes half of the way (square root sampling, Mahajan et
    al. 2018), 0 leaves pictures as they come. A picture with several labels counts as its rarest one (arXiv 1908.03195,
    section 4), one without any as if "none" were a class.
    """
    targets = np.asarray(targets, np.float64)
    counts = np.maximum(targets.sum(axis=0), 1)
    bare = targets.sum(axis=1) == 0
    frequency = np.where(targets > 0, counts, np.inf).min(axis=1, initial=np.inf)
    frequency[bare] = max(int(bare.sum()), 1)
    weights = frequency**-power
    return np.asarray(weights / weights.mean(), np.float32)


def drawn(weights: NDArray[np.float32], draws: Generator) -> Tensor:
    """An epoch's order: n places, each picture its share of times, rounded up or down at random, all mixed.

    Systematic sampling: what should come 2.3 times comes twice or three times, so that chance forgets no picture that should
    come once. int64 (n,).
    """
    import torch

    n = len(weights)
    mixed = torch.randperm(n, generator=draws)
    ends = torch.from_numpy(weights.astype(np.float64))[mixed].cumsum(0)
    ends = ends * (n / ends[-1])
    ends[-1] = n
    start = float(torch.rand(1, generator=draws, dtype=torch.float64))
    marks = torch.ceil(ends - start).clamp_(0, n).long()
    marks[-1] = n
    times = torch.diff(marks, prepend=torch.zeros(1, dtype=torch.long))
    return mixed.repeat_interleave(times)[torch.randperm(n, generator=draws)]


def copies(labels: Sequence[Sequence[str]], most: int | None = None, *, seed: int = 0) -> list[int]:
    """How many copies of each picture top every class up to the largest (or to `most`), shared out evenly at random.

    The rarest class comes first; what its pictures carry besides counts for the other classes too.
    """
    counts = Counter(label for own in labels for label in set(own))
    goal = max(counts.values(), default=0) if most is None else most
    found = [0] * len(labels)
    rng = np.random.default_rng(seed)
    for label in sorted(counts, key=lambda name: (counts[name], name)):
        carriers = [place for place, own in enumerate(labels) if label in own]
        plainest = min(len(set(labels[place])) for place in carriers)
        carriers = [place for place in carriers if len(set(labels[place])) == plainest]  # so that others grow least by it
        lacking = max(0, goal - counts[label])
        each, more = divmod(lacking, len(carriers))
        extra = set(rng.permutation(len(carriers))[:more].tolist())
        for number, place in enumerate(carriers):
            again = each + (number in extra)
            found[place] += again
            for name in set(labels[place]):
                counts[name] += again
    return found
