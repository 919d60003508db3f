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
COLUMNS = ("mean", "low", "high", "clipped", "spread", "edges", "smear")

# Chosen on 1,200 photographs of 20 sources (animals, streets, food, rooms, garments, catalogue pictures) and altered copies of
# each, saved again as JPEG; see docs/log.md. False alarms are the share of the photographs as they were found.
DARK = 80.0  # the light parts (99th percentile) are below: 0.3 % false alarms; all of the copies with a quarter of the light
# more than half of the pixels burnt out and even the shadows light: 0.8 % false alarms, all of them catalogue pictures cut out
# on white; 68 % of the copies with 3.5 stops too much light of which more than half is burnt out
BURNT, SHADOWS = 0.5, 110.0
# no sharp edge anywhere, or all of it smeared (Crete et al. 2007): 1.2 % false alarms, many of them really soft; Gaussian blur
# at 128 pixels of 1.0 pixels: 66 %, 1.5: 99 %, 2 and 3: 100 %; mean of 5 x 5 pixels: 97 %; moved by 7 pixels: 88 %
EDGES, SMEAR = 0.20, 0.48
BLANK = 12.0  # grey values of 255 between the darkest and the lightest spot of any colour: photographs start far above
TINY = 32  # pixels of the shorter side
SHARP_FROM = 64  # pixels of the shorter side below which blur cannot be told from small
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

    mean, low, high: mean, 5th and 99th percentile of the grey values (0..255). clipped: share of values of 250 and more.
    spread: range of the colour that varies most. edges: 99th percentile of the Laplacian by the range of grey values.
    smear: 0 (sharp) to 1, how little a second blur changes.
    """
    from PIL import Image

    picture = Image.fromarray(pixels)
    shorter = min(picture.size)
    if shorter > SIDE:
        size = (round(picture.width * SIDE / shorter), round(picture.height * SIDE / shorter))
        picture = picture.resize(size, Image.Resampling.BOX)
    counts = picture.convert("L")
    grey = np.asarray(counts, np.float32)
    along = np.cumsum(np.asarray(counts.histogram(), np.float64)) / grey.size
    bottom, low, high, top = np.searchsorted(along, (0.005, 0.05, 0.99, 0.995)).tolist()
    ranges = [maximum - minimum for minimum, maximum in picture.getextrema()]  # type: ignore[misc]
    return np.array(
        [grey.mean(), low, high, 1 - along[249], max(ranges), _edges(grey, top - bottom + 1), _smear(grey)], np.float32
    )


def _edges(grey: Row, span: float) -> float:
    if min(grey.shape) < 3:
        return 1.0
    laplacian = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    values = np.abs(laplacian).ravel()
    place = int(0.99 * (values.size - 1))
    return float(np.partition(values, place)[place]) / span


def _smear(grey: Row, reach: int = 9) -> float:
    """Crete et al., The blur effect (2007): the share of the differences of neighbours that outlives a mean of 9 pixels."""
    worst = 0.0
    for values in (grey, grey.T):
        if len(values) <= reach:
            return 0.0
        sums = np.cumsum(values, axis=0)
        blurred = (sums[reach - 1 :] - np.concatenate([np.zeros_like(sums[:1]), sums[:-reach]])) / reach
        differ = np.abs(np.diff(values[reach // 2 : len(values) - reach // 2], axis=0))
        lost = np.maximum(differ - np.abs(np.diff(blurred, axis=0)), 0).sum()
        total = float(differ.sum())
        worst = max(worst, 1 - float(lost) / total if total else 0.0)
    return worst


def remarks(rows: NDArray[np.float32], widths: NDArray[np.int32], heights: NDArray[np.int32]) -> Iterator[Remark]:
    """What is worth saying about pictures with the numbers `rows` (n, 7) and these sizes in pixels; a width of 0: not known.

    A blank picture is nothing but blank; one too small to judge is not called blurred.
    """
    shorter, longer = np.minimum(widths, heights), np.maximum(widths, heights)
    for spot in np.flatnonzero(shorter > 0).tolist():
        mean, spread = float(rows[spot, 0]), float(rows[spot, 4])
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
    mean, low, high, clipped, *_ = row.tolist()
    if high < DARK:
        yield Remark(spot, "dark", 1 - high / DARK, f"99 % of it is darker than {high:.0f} of 255")
    elif clipped > BURNT and low > SHADOWS:
        yield Remark(spot, "bright", clipped, f"{clipped:.0%} of it is burnt out (mean {mean:.0f} of 255)")


def _blur(spot: int, row: Row) -> Iterator[Remark]:
    *_, edges, smear = row.tolist()
    if edges < EDGES or smear > SMEAR:
        how = max(1 - edges / EDGES, (smear - SMEAR) / (1 - SMEAR))
        yield Remark(spot, "blurred", min(max(how, 0.01), 1.0), "no sharp edge in it, even when it is made small")
