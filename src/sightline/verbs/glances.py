"""A picture that somebody just sent: made fit for keeping, and what may be said to them about it. Keeps nothing on the disk.

Pixels come from the caller's decoder: strangers' pictures are decoded by the guard, never here.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.types import Record

if TYPE_CHECKING:
    from sightline.runtime.limits import Limits

Pixels = NDArray[np.uint8]
Decoder = Callable[[bytes, int | None], Pixels]  # bytes and the shorter side that is enough (None: all) -> upright RGB

SIDE = 192  # pixels of the shorter side that are looked at
_KEPT_AS_IT_IS = frozenset({"jpeg", "png", "webp", "gif"})  # metadata can be cut out of these without decoding
_QUALITY = 95  # of the JPEG that any other format becomes


class Hint(Record):
    """Something to do better next time; the picture is kept all the same."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class Received:
    """The bytes to keep, without metadata; small upright pixels (h, w, 3), and what is to be said about them."""

    data: bytes
    suffix: str
    pixels: Pixels
    hints: tuple[Hint, ...]


def received(data: bytes, decode: Decoder, limits: Limits) -> Received:
    """Judge what came. Raises PictureFormatError, PictureTooLargeError, PictureError, and what `decode` raises."""
    from sightline.runtime.dimensions import dimensions
    from sightline.runtime.headers import sniff
    from sightline.runtime.metadata import stripped

    limits.check_bytes(len(data))
    kind = sniff(data)
    if kind in _KEPT_AS_IT_IS:
        pixels = decode(data, SIDE)
        kept, suffix = stripped(data, limits)
        width, height = dimensions(kept).upright
    else:
        whole = decode(data, None)
        height, width = whole.shape[:2]
        kept, suffix, pixels = as_jpeg(whole, _QUALITY), ".jpg", whole
    return Received(kept, suffix, _small(pixels), _hints(pixels, width, height))


def as_jpeg(pixels: Pixels, quality: int) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality, subsampling=0 if quality >= _QUALITY else 2)
    return stream.getvalue()


def _small(pixels: Pixels) -> Pixels:
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((2 * SIDE, 2 * SIDE))
    return np.asarray(image)


def _hints(pixels: Pixels, width: int, height: int) -> tuple[Hint, ...]:
    from sightline.data.quality import measure, remarks

    sizes = (np.array([width], np.int32), np.array([height], np.int32))
    return tuple(Hint(kind=one.kind, message=one.message) for one in remarks(measure(pixels)[None], *sizes))


class Glances:
    """Pictures that came since the page was opened, to tell one that looks like an earlier one. The caller holds a lock."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[np.uint64, Pixels]] = {}  # content -> perceptual hash, colours (8, 8, 3)

    def like(self, one: Received) -> tuple[Hint, ...]:
        """A hint when it looks like one that came before."""
        from sightline.data.duplicates import DISAGREEMENT, DISTANCE, disagreement
        from sightline.data.looks import NO_HASH

        found, colours = _glance(one)
        if found == NO_HASH or not self._seen:
            return ()
        hashes = np.array([other for other, _ in self._seen.values()], np.uint64)
        near = np.flatnonzero((np.bitwise_count(hashes ^ found) <= DISTANCE) & (hashes != NO_HASH))
        if not len(near):
            return ()
        all_colours = list(self._seen.values())
        others = np.stack([all_colours[spot][1] for spot in near.tolist()])
        if not (disagreement(others, np.broadcast_to(colours, others.shape)) < DISAGREEMENT).any():
            return ()
        return (Hint(kind="near_duplicate", message="it looks like another picture that was sent"),)

    def add(self, sha256: str, one: Received) -> None:
        self._seen[sha256] = _glance(one)

    def forget(self, sha256: str) -> None:
        self._seen.pop(sha256, None)


def _glance(one: Received) -> tuple[np.uint64, Pixels]:
    from sightline.data.looks import look, perceptual

    glance = look(one.pixels)
    return np.uint64(perceptual(glance.grey[None])[0]), glance.colours
