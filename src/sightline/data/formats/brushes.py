"""Masks as labelling tools pack them: CVAT's rows of a window, Label Studio's stream of bits. In and out of records.

CVAT: run lengths along the rows of the window left, top, width, height, background first (CVAT's manual, "XML annotation
format"). Label Studio: the bytes of an RGBA picture, run-length coded as in its converter's documentation ("brush"): 32 bits
with their number, 5 with the bits of a value, four times 4 with the bits of a length; then runs: one bit that says whether the
values are equal, two that choose the length's bits, the length, and the value or values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.data.formats.geometry import PlaceError
from sightline.runtime.masks import MOST_PIXELS, mask_box, pixels_of, to_mask
from sightline.types import Mask

_SIZES = (3, 4, 8, 16)  # bits of a length, of which each run chooses one
_WORD = 8


# --- CVAT


def from_window(runs: Sequence[int], window: tuple[int, int, int, int], size: tuple[int, int]) -> Mask:
    """The mask on a picture (h, w) of runs along the rows of a window (left, top, width, height); PlaceError."""
    left, top, width, height = window
    if width < 1 or height < 1 or width * height > MOST_PIXELS or sum(runs) != width * height or min(runs, default=-1) < 0:
        raise PlaceError("mask_wrong", f"a mask whose run lengths do not fill its window of {width} x {height} pixels")
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, np.asarray(runs, np.int64)).reshape(height, width)
    whole = np.zeros(size, bool)
    y0, x0, y1, x1 = max(top, 0), max(left, 0), min(top + height, size[0]), min(left + width, size[1])
    if y1 > y0 and x1 > x0:
        whole[y0:y1, x0:x1] = inside[y0 - top : y1 - top, x0 - left : x1 - left]
    return to_mask(whole)


def to_window(mask: Mask) -> tuple[list[int], tuple[int, int, int, int]]:
    """The other way: runs and the smallest window (left, top, width, height); of an empty mask one pixel that is none."""
    pixels = pixels_of(mask)
    box = mask_box(pixels)
    if box is None:
        return [1], (0, 0, 1, 1)
    left, top, right, bottom = (int(side) for side in box)
    flat = pixels[top:bottom, left:right].ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return [0, *runs] if flat[0] else runs, (left, top, right - left, bottom - top)


# --- Label Studio


def from_brush(values: Sequence[float], size: tuple[int, int]) -> Mask:
    """The mask (h, w) whose alpha channel the bytes pack; PlaceError when they do not."""
    try:
        flat = _unpacked(bytes(int(value) for value in values), 4 * size[0] * size[1])
    except ValueError as error:
        raise PlaceError("mask_wrong", f"a brush mask that cannot be unpacked: {error}") from error
    return to_mask(flat.reshape(*size, 4)[:, :, 3] > 127)


def _unpacked(data: bytes, wanted: int) -> NDArray[np.uint8]:
    text = "".join(f"{byte:08b}" for byte in data)
    at = 0

    def take(count: int) -> int:
        nonlocal at
        at += count
        if at > len(text):
            raise ValueError("it ends too early")
        return int(text[at - count : at], 2)

    count, word = take(32), take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    if count != wanted or word != _WORD or wanted > 4 * MOST_PIXELS:
        raise ValueError(f"it holds {count:,} values of {word} bits, the picture has {wanted:,}")
    found = np.zeros(count, np.uint8)
    done = 0
    while done < count:
        equal = take(1)
        end = min(done + 1 + take(sizes[take(2)]), count)
        found[done:end] = take(word) if equal else [take(word) for _ in range(end - done)]
        done = end
    return found


def to_brush(mask: Mask) -> list[int]:
    """The other way: bytes of a picture whose four channels are 255 where the mask is."""
    flat = pixels_of(mask).ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate([[0], changes]).tolist()
    lengths = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    parts = [f"{4 * flat.size:032b}", f"{_WORD - 1:05b}", *(f"{size - 1:04b}" for size in _SIZES)]
    for start, pixels in zip(starts, lengths, strict=True):
        value, left = 255 * int(flat[start]), 4 * pixels
        while left > 0:
            choice = next((place for place, size in enumerate(_SIZES) if left <= 1 << size), len(_SIZES) - 1)
            run = min(left, 1 << _SIZES[choice])
            parts.append(f"1{choice:02b}{run - 1:0{_SIZES[choice]}b}{value:08b}")
            left -= run
    text = "".join(parts)
    text += "0" * (-len(text) % 8)
    return [int(text[at : at + 8], 2) for at in range(0, len(text), 8)]
