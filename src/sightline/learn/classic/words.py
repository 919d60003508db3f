"""Visual words of training pictures: principal directions of their local descriptors, and k-means in them.

Knows pictures and rows of descriptors; the vocabulary it gives is arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline import progress
from sightline.errors import DatasetError, SightlineError
from sightline.learn.classic.choose import one_thread
from sightline.learn.logistic import Floats
from sightline.learn.ways import Material
from sightline.runtime.model import in_order
from sightline.runtime.pixels import prepare, read_picture
from sightline.settings import settings
from sightline.types import InputSpec, Item

LOOKED, EACH, ROWS = 1_000, 60, 25_000  # pictures, descriptors of each, and of them all
DIRECTIONS = 64
FLAT = 1e-3  # squared length below which a descriptor describes nothing


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Descriptors less `mean` (d,), turned by `turn` (d, k) to their main directions, and the words (w, k) among them."""

    mean: NDArray[np.float32]
    turn: NDArray[np.float32]
    words: NDArray[np.float32]


def find_words(describe: Callable[[NDArray[np.uint8]], Floats], material: Material, spec: InputSpec, count: int) -> Vocabulary:
    """`count` visual words; `describe`: prepared pictures (n, size, size, 3) to rows (n, m, 3 + d). Raises DatasetError."""
    from sklearn.cluster import KMeans

    rng = np.random.default_rng(material.seed)
    some = [int(place) for place in np.sort(rng.permutation(len(material.train))[:LOOKED])]

    def one(place: int) -> Floats:
        item: Item = material.train[place]
        try:
            found: Floats = describe(prepare(read_picture(item.uri), spec)[None])[0]
        except SightlineError:
            return np.zeros((0, 1), np.float32)
        rows: Floats = found[:, 3:][(found[:, :1] > 0).ravel() & ((found[:, 3:] ** 2).sum(axis=1) > FLAT)]
        return rows[np.random.default_rng((material.seed, place)).permutation(len(rows))[:EACH]]

    looked = list(progress.track(in_order(one, some, settings().threads), "Collecting visual words", len(some)))
    rows = np.concatenate([part for part in looked if part.shape[1] > 1] or [np.zeros((0, 2), np.float32)])
    if len(rows) < 2 * count:
        raise DatasetError(
            f"only {len(rows)} places that can be described on {len(some)} pictures, too few for {count} visual words",
            hint="add pictures, or use --features hog",
        )
    rows = rows[np.sort(rng.permutation(len(rows))[:ROWS])].astype(np.float64)
    with one_thread(), progress.task("Finding visual words") as work:
        mean = rows.mean(axis=0)
        _, directions = np.linalg.eigh((rows - mean).T @ (rows - mean))
        turn = directions[:, ::-1][:, :DIRECTIONS]
        turn = turn * np.sign(turn[np.abs(turn).argmax(axis=0), np.arange(turn.shape[1])])  # a direction has no sign of its own
        turned = ((rows - mean) @ turn).astype(np.float32)
        work.advance()
        found = KMeans(count, n_init=1, max_iter=20, random_state=material.seed, algorithm="lloyd").fit(turned)
    return Vocabulary(mean.astype(np.float32), turn.astype(np.float32), np.array(found.cluster_centers_, np.float32, order="C"))
