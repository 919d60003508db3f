"""What is seen of one picture: a perceptual hash and two miniatures, 456 bytes. Knows no other pictures, no files, no labels.

The hash (pHash, Zauner 2010) finds what looks the same at a glance; the miniatures tell whether it really does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

Hashes: TypeAlias = NDArray[np.uint64]
Miniatures: TypeAlias = NDArray[np.uint8]

SIDE = 32  # pixels: the shorter side a picture is decoded with; the hash looks at 32 x 32
COLOURS = 8  # pixels a side of the colour miniature
GREYS = 16  # pixels a side of the grey miniature
# Below this deviation of the 32 x 32 grey values (0..255) a picture is flat and its hash noise. Photographs start at about 8.
FLAT = 3.0
NO_HASH = np.uint64(0)  # flat or unreadable: similar to nothing. No real hash is 0: half of the bits are above the median


class Glance(NamedTuple):
    """Grey values float32 (32, 32) in 0..255 and a colour miniature uint8 (8, 8, 3), both of the whole picture."""

    grey: NDArray[np.float32]
    colours: NDArray[np.uint8]


def look(pixels: NDArray[np.uint8]) -> Glance:
    """A glance at a picture (h, w, 3), whatever its shape: both sides are stretched."""
    from PIL import Image

    picture = Image.frombuffer("RGB", pixels.shape[1::-1], np.ascontiguousarray(pixels), "raw", "RGB", 0, 1)
    # a box filter down to 3 times the size first: cannot be told from the plain way, and 12 megapixels take a third
    grey = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    colours = picture.resize((COLOURS, COLOURS), Image.Resampling.BOX)
    return Glance(_values(grey, SIDE, SIDE).astype(np.float32), _values(colours, COLOURS, COLOURS, 3))


def _values(picture: Image.Image, *shape: int) -> NDArray[np.uint8]:
    """The bytes of a picture: for these small ones np.asarray takes three times as long, a third of a whole look."""
    return np.frombuffer(picture.tobytes(), np.uint8).reshape(shape)


def perceptual(greys: NDArray[np.float32]) -> Hashes:
    """pHash (n,) of grey values (n, 32, 32): the 8 x 8 lowest DCT-II terms, a bit each for above the median; 0: flat."""
    step = np.arange(SIDE, dtype=np.float32)
    basis = np.cos(np.pi * (2 * step[None, :] + 1) * step[:8, None] / (2 * SIDE)).astype(np.float32)  # (8, 32)
    terms = (basis @ greys @ basis.T).reshape(len(greys), 64)
    bits = terms > np.median(terms, axis=1, keepdims=True)
    found = np.packbits(bits, axis=1).view(">u8").astype(np.uint64).ravel()
    found[greys.std(axis=(1, 2)) < FLAT] = NO_HASH
    return found


def small(greys: NDArray[np.float32]) -> Miniatures:
    """Grey miniatures uint8 (n, 16, 16) of grey values (n, 32, 32): means of 2 x 2."""
    step = SIDE // GREYS
    means = greys.reshape(len(greys), GREYS, step, GREYS, step).mean(axis=(2, 4))
    return np.asarray(np.rint(means).clip(0, 255), np.uint8)
