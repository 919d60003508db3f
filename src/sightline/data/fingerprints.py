"""What a model keeps of the pictures it was trained on, so that a later test can tell that it holds some of them again.

200 bytes a picture: the perceptual hash and the 8 x 8 colour miniature of `duplicates.py`. No picture can be read back from it.
"""

from __future__ import annotations

import numpy as np

from sightline.data.bits import Pairs
from sightline.data.duplicates import alike
from sightline.data.looks import Hashes, Miniatures

_HASH, _MINIATURE = 8, 8 * 8 * 3


def pack(hashes: Hashes, miniatures: Miniatures) -> bytes:
    """`hashes` (n,) as little-endian uint64, then `miniatures` (n, 8, 8, 3)."""
    return hashes.astype("<u8").tobytes() + np.ascontiguousarray(miniatures, np.uint8).tobytes()


def unpack(content: bytes) -> tuple[Hashes, Miniatures]:
    """The inverse of `pack`; bytes of another length hold no fingerprints."""
    count, rest = divmod(len(content), _HASH + _MINIATURE)
    if rest:
        count = 0
    hashes = np.frombuffer(content, "<u8", count).astype(np.uint64)
    miniatures = np.frombuffer(content, np.uint8, count * _MINIATURE, offset=count * _HASH).reshape(-1, 8, 8, 3)
    return hashes, miniatures


def shared(first: tuple[Hashes, Miniatures], second: tuple[Hashes, Miniatures]) -> Pairs:
    """Pairs (m, 2) of positions, one in each, of pictures that look the same."""
    split = len(first[0])
    pairs = alike(np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]]))
    across = pairs[(pairs[:, 0] < split) & (pairs[:, 1] >= split)]
    across[:, 1] -= split
    return across
