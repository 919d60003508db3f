"""How a picture looks, in a few numbers, and when that is worth saying: blank, tiny, dark, bright, blurred, odd in shape.

Numbers are taken from a small version of the picture (shorter side at most 128 pixels), so that they mean the same for a
thumbnail and for 12 megapixels. Knows no files and no labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SIDE = 128  # pixels of the shorter side at which light and blur are measured
MEASURES = 2  # to be counted up when the same picture gives other numbers than before: what is kept is then measured again
COLUMNS = ("mean", "shadows", "high", "clipped", "border", "spread", "edges")

# Chosen on 1,350 photographs of 20 sources (animals, streets, food, rooms, garments, catalogue pictures) and altered copies of
# each, saved again as JPEG; checked on 1,200 others, see docs/log.md. False alarms: of the photographs as they were found.
DARK = 80.0  # the light parts (99th percentile) are below: 0.4 % false alarms; all of the copies with a quarter of the light
# more than half of the pixels burnt out, the rest light too, and the border not burnt all round (a thing cut out on white): no
# false alarm on 500 photographs, 2 % on 400 cut-outs; of copies with 2.2 to 4.5 stops too much light that are more than half
# burnt out, 56 %
BURNT, SHADOWS, BORDER = 0.5, 60.0, 0.9
# no sharp edge in one direction or both: 0.7 % false alarms, most of them really soft (mist, water, out of focus). Gaussian
# blur at 128 pixels of 1.0 pixels: 64 % found, 1.5: 99 %, 2 and more: over 99 %; moved by 7 pixels: 93 %, by 11: 98 %, aslant
# by 9: 46 %. A drawing with few edges, or a sharp thing on a soft ground, is not called blurred.
EDGES = 0.19
BLANK = 12.0  # grey values of 255 between the darkest and the lightest spot of any colour: photographs start far above
TINY = 32  # pixels of the shorter side
SHARP_FROM = 64  # pixels of the shorter side below which blur cannot be told from small
_CLIPPED = 250
ASPECT = 4.0  # longer side to shorter side

Row = NDArray[np.float32]


class Remark(NamedTuple):
    """What is to be said about picture number `spot`; score in 0..1: how far beyond the limit."""

    spot: int
    kind: str
    score: float
    message: str


def measure(pixels: NDArray[np.uint8]) -> Row:
    """The numbers of COLUMNS, float32 (7,), of upright RGB pixels (h, w, 3) decoded with a shorter side of SIDE or more.

    mean, high: mean and 99th percentile of the grey values (0..255). shadows: 25th percentile of those below 250 (255: there is
    none). clipped: share of values of 250 and more; border: the same of the outermost pixels. spread: range of the colour that
    varies most. edges: the 99.9th percentile of the second difference, along rows or along columns, whichever is less (a moved
    camera smears one of them), by the range of grey values.
    """
    from PIL import Image

    picture = Image.fromarray(pixels)
    shorter = min(picture.size)
    if shorter > SIDE:
        size = (round(picture.width * SIDE / shorter), round(picture.height * SIDE / shorter))
        picture = picture.resize(size, Image.Resampling.BOX)
    image = picture.convert("L")
    grey = np.asarray(image, np.float32)
    counts = np.asarray(image.histogram(), np.float64)
    along = np.cumsum(counts) / grey.size
    bottom, high, top = np.searchsorted(along, (0.005, 0.99, 0.995)).tolist()
    unclipped = np.cumsum(counts[:_CLIPPED])
    shadows = int(np.searchsorted(unclipped, 0.25 * unclipped[-1])) if unclipped[-1] else 255
    ranges = [maximum - minimum for minimum, maximum in picture.getextrema()]  # type: ignore[misc]
    edges = _edges(grey, top - bottom + 1)
    if edges < EDGES:  # an edge between two colours of one grey value is an edge
        edges = max(edges, *(_edges(np.asarray(band, np.float32), top - bottom + 1) for band in picture.split()))
    return np.array([grey.mean(), shadows, high, 1 - along[_CLIPPED - 1], _border(grey), max(ranges), edges], np.float32)


def _border(grey: Row) -> float:
    """Share of clipped values in the outermost rows and columns, a 32nd of the shorter side deep."""
    deep = max(2, min(grey.shape) // 32)
    ring = np.concatenate([grey[:deep].ravel(), grey[-deep:].ravel(), grey[:, :deep].ravel(), grey[:, -deep:].ravel()])
    return float((ring >= _CLIPPED).mean())


def _edges(grey: Row, span: float) -> float:
    if min(grey.shape) < 3:
        return 1.0
    found = []
    for values in (grey, grey.T):
        second = np.abs(2 * values[:, 1:-1] - values[:, :-2] - values[:, 2:]).ravel()
        place = round(0.999 * (second.size - 1))
        found.append(float(np.partition(second, place)[place]))
    return min(found) / span


def remarks(rows: NDArray[np.float32], widths: NDArray[np.int32], heights: NDArray[np.int32]) -> Iterator[Remark]:
    """What is worth saying about pictures with the numbers `rows` (n, 7) and these sizes in pixels; a width of 0: not known.

    A blank picture is nothing but blank; one too small to judge is not called blurred.
    """
    shorter, longer = np.minimum(widths, heights), np.maximum(widths, heights)
    for spot in np.flatnonzero(shorter > 0).tolist():
        mean, spread = float(rows[spot, 0]), float(rows[spot, 5])
        size = f"{widths[spot]} x {heights[spot]} pixels"
        if shorter[spot] < TINY:
            yield Remark(spot, "tiny", float(1 - shorter[spot] / TINY), f"only {size}")
        if longer[spot] > ASPECT * shorter[spot]:
            ratio = float(longer[spot] / shorter[spot])
            yield Remark(spot, "odd_aspect", 1 - ASPECT / ratio, f"{size}: one side is {ratio:.1f} times the other")
        if spread <= BLANK:
            yield Remark(spot, "blank", 1.0, f"one colour all over (grey value about {mean:.0f} of 255)")
        else:
            yield from _light(spot, rows[spot])
            if shorter[spot] >= SHARP_FROM:
                yield from _blur(spot, rows[spot])


def _light(spot: int, row: Row) -> Iterator[Remark]:
    mean, shadows, high, clipped, border, *_ = row.tolist()
    if high < DARK:
        yield Remark(spot, "dark", 1 - high / DARK, f"99 % of it is darker than {high:.0f} of 255")
    elif clipped > BURNT and shadows > SHADOWS and border < BORDER:
        yield Remark(spot, "bright", clipped, f"{clipped:.0%} of it is burnt out (mean {mean:.0f} of 255)")


def _blur(spot: int, row: Row) -> Iterator[Remark]:
    edges = float(row[-1])
    if edges < EDGES:
        yield Remark(spot, "blurred", 1 - edges / EDGES, "no sharp edge in it, even when it is made small")
