"""Near-duplicates: perceptual hashes of pictures, pairs that look the same, and families of them. Knows no labels, no splits.

Two pictures look the same when their 64-bit DCT hashes (pHash, Zauner 2010) differ in few bits and their 8 x 8 colour
miniatures agree. Turned or mirrored copies are different pictures here, and a grey copy of a colourful one is too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.data.bits import Pairs, near
from sightline.data.looks import NO_HASH, Hashes, Miniatures, look, perceptual
from sightline.data.manifest import in_threads
from sightline.errors import SightlineError

# Chosen on 3,409 photographs of garments (many on one ground) and 10,000 CIFAR-10 pictures. Altered copies within 8 bits: JPEG
# quality 20, half or quarter size, brighter, more contrast, 1 % cropped all round: 100 % each; 2 % cropped: 96 %, 4 %: 40 %.
# Bits alone are not enough: 165 of 5.8 million pairs of garments lie within 8 bits, 163 of them different garments. Asking for
# a colour disagreement below 0.02 (copies: 99 % below 0.012; 2 % cropped: 90 %) leaves 5: two true ones and three of much alike
# shirts. On CIFAR-10 it leaves 8 of 50 pairs, all true.
DISTANCE = 8
DISAGREEMENT = 0.02


def hashes(paths: Sequence[Path | str]) -> Hashes:
    """Perceptual hashes (n,) of picture files; 0 for one that is flat or cannot be read."""
    return np.array(in_threads("Comparing pictures", [str(path) for path in paths], _file_hashes), np.uint64)


def _file_hashes(files: Sequence[str]) -> list[np.uint64]:
    from sightline.runtime.pixels import decode, read_picture

    greys = np.zeros((len(files), 32, 32), np.float32)
    for number, file in enumerate(files):
        try:
            greys[number] = look(decode(read_picture(Path(file)), shorter=32))[0]
        except SightlineError:
            continue  # stays flat
    return list(perceptual(greys))


def near_pairs(hashes: Hashes, distance: int = DISTANCE) -> Pairs:
    """Pairs (m, 2), first < second, in order, of hashes that differ in at most `distance` bits; hashes of 0 have none."""
    return _sorted_pairs(_near(hashes, distance))


def alike(hashes: Hashes, miniatures: Miniatures, distance: int = DISTANCE) -> Pairs:
    """Pairs (m, 2) that look the same: near hashes, and colours that agree. `miniatures` is (n, 8, 8, 3)."""
    return _sorted_pairs(_agreeing(pairs, miniatures) for pairs in _near(hashes, distance))


def disagreement(first: Miniatures, second: Miniatures) -> NDArray[np.float32]:
    """How differently miniatures (m, 8, 8, 3) are coloured: 1 - correlation, so brightness and contrast do not count."""
    left, right = (part.reshape(len(part), -1).astype(np.float32) for part in (first, second))
    left -= left.mean(axis=1, keepdims=True)
    right -= right.mean(axis=1, keepdims=True)
    scale = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return np.asarray(1 - (left * right).sum(axis=1) / np.maximum(scale, 1e-6), np.float32)


def families(hashes: Hashes, miniatures: Miniatures, links: Pairs | None = None, distance: int = DISTANCE) -> NDArray[np.int64]:
    """A family number (n,) for each picture: pictures that look the same, directly or through others, share it.

    `links` (k, 2) joins more pictures (exact copies, one group). Memory stays bounded: pairs are folded in as they come.
    """
    labels = np.arange(len(hashes), dtype=np.int64)
    if links is not None:
        labels = merged(labels, links)
    for pairs in _batches(_near(hashes, distance)):
        nearest = pairs[np.unique(pairs[:, 1], return_index=True)[1]]
        # One neighbour each first: of 3,000 frames that look the same, the other 4 million pairs need no look at colours
        for part in (nearest, pairs):
            apart = part[labels[part[:, 0]] != labels[part[:, 1]]]
            labels = merged(labels, _agreeing(apart, miniatures))
    return labels


def merged(labels: NDArray[np.int64], links: Pairs) -> NDArray[np.int64]:
    """Component numbers (n,) after joining the components of the linked positions (m, 2)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(links):
        return labels
    edges = labels[links]
    count = len(labels)
    graph = coo_array((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1][labels], np.int64)


def _batches(parts: Iterable[Pairs], size: int = 1 << 16) -> Iterator[Pairs]:
    """Small parts together, so that work done once a part stays small."""
    waiting: list[Pairs] = []
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) >= size:
            yield np.concatenate(waiting)
            waiting.clear()
    if waiting:
        yield np.concatenate(waiting)


def _agreeing(pairs: Pairs, miniatures: Miniatures) -> Pairs:
    """The pairs whose colours agree, judged some at a time."""
    parts = [pairs[start : start + (1 << 14)] for start in range(0, len(pairs), 1 << 14)]
    kept = [part[disagreement(miniatures[part[:, 0]], miniatures[part[:, 1]]) < DISAGREEMENT] for part in parts]
    return np.concatenate([np.empty((0, 2), np.int64), *kept])


def _sorted_pairs(parts: Iterable[Pairs]) -> Pairs:
    found = np.concatenate([np.empty((0, 2), np.int64), *parts])
    return found[np.lexsort((found[:, 1], found[:, 0]))]


def _near(hashes: Hashes, distance: int) -> Iterator[Pairs]:
    """Near pairs in parts; each pair once, first < second. Pictures without a hash have none."""
    rows = np.flatnonzero(hashes != NO_HASH)
    for pairs in near(hashes[rows], distance):
        yield np.sort(rows[pairs], axis=1)
