"""Which pictures of a survey show the same: exact copies, re-compressed, cropped or shifted, mirrored, turned ones.

First a coarse search: a window of each picture is looked for at some places of all others, among the pictures whose windows are
roughly alike. Then each candidate is aligned precisely, and greys and colours must agree. Knows no labels, no splits.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightline.data.cells import Cells, Floats, Spots, single
from sightline.data.looks import NO_HASH, Miniatures
from sightline.data.views import (
    INNER,
    TURNS,
    Window,
    aligned,
    colour_agreement,
    described,
    sizes,
    turn_scores,
    turned,
    turned_window,
    turnless,
)
from sightline.progress import track
from sightline.settings import settings

if TYPE_CHECKING:
    from sightline.data.survey import Survey

KINDS = ("copy", "recompressed", "cropped", "mirrored", "rotated")

# Places where the middle of one picture is looked for in the other, as offsets and sizes of windows
STEP = 1.5 / 32
# A shift of one picture is the opposite shift of the other, so half of the places are enough
SHIFTS = tuple(Window(x * STEP, y * STEP) for y in range(3) for x in range(-2, 3) if y or x >= 0)
CROPS = tuple(
    Window(x * step, y * step, INNER * part)
    for part, step, places in ((0.95, STEP / 2, (-1, 1)), (0.9, STEP, (-1, 0, 1)), (0.84, 1.3 * STEP, (-1, 0, 1)))
    for y in places
    for x in places
)
WINDOWS = SHIFTS + CROPS
STILL = 0.02  # of the side: below, a picture was neither moved nor cropped
TURN_KINDS = ("", "mirrored", "mirrored", *["rotated"] * 5)
ALIKE = 0.92  # correlation of descriptions from which a pair is looked at precisely
PREFERRED = 0.01  # how much better a turn must be: many pictures are nearly their own mirror image
TURNLESS = 0.86  # the same of what no turn changes
GREYS_AGREE, DETAIL_AGREES, COLOURS_AGREE = 0.985, 0.965, 0.87


class Matches(NamedTuple):
    """Pairs of positions (m,), first < second; `kind` is one of KINDS; `score` in 0..1, how alike they are (1: the same)."""

    first: Spots
    second: Spots
    kind: NDArray[np.str_]
    score: Floats


class _Candidates(NamedTuple):
    """Pairs (m,) of rows, the place in WINDOWS where the second shows what the first shows in its middle, and its turn."""

    first: Spots
    second: Spots
    window: Spots
    turn: Spots
    score: Floats


def pairs(survey: Survey, *, mirrored: bool = True, moved: bool = True) -> Matches:
    """All pairs that show the same. Of many exact copies each is paired with the first one, and only that one with others.

    `mirrored` looks for mirrored and turned copies too, `moved` for cropped and shifted ones (35 times the work). A picture
    with very many near neighbours is paired with some of them only; what they share shows in the family all the same.
    """
    copies = survey.copies()
    rows = np.setdiff1d(np.flatnonzero(survey.hashes != NO_HASH), copies[:, 1])
    exact = Matches(copies[:, 0], copies[:, 1], np.full(len(copies), KINDS[0], "U12"), np.ones(len(copies), np.float32))
    if len(rows) < 2:
        return exact
    found = [exact, *_verified(survey, rows, _candidates(survey.greys[rows], mirrored=mirrored, moved=moved))]
    first, second, kind, score = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((second, first))
    return Matches(first[order], second[order], kind[order], score[order])


def _candidates(greys: Miniatures, *, mirrored: bool, moved: bool = True) -> _Candidates:
    """Pairs of pictures (n, 16, 16) that may show the same: once each, at the place and turn where they agree best."""
    middle = described(greys, Window())
    usual = sizes(middle).mean(axis=0)
    plain = Cells(middle)
    free = Cells(turnless(middle, usual)) if mirrored else None

    def search(number: int) -> list[_Candidates]:
        base = described(greys, WINDOWS[number])
        first, second, score = plain.near(base, ALIKE, once=number == 0)
        found = [_Candidates(first, second, np.full(len(first), number), np.zeros(len(first), np.int64), score)]
        if free is not None:
            first, second, _ = free.near(turnless(base, usual), TURNLESS, once=number == 0)
            for part in np.array_split(np.arange(len(first)), len(first) // (1 << 16) + 1):
                found.append(_turns(middle, base, first[part], second[part], number))
        return found

    with single(), ThreadPoolExecutor(settings().threads) as pool:
        numbers = range(len(WINDOWS) if moved else 1)
        searches = track(pool.map(search, numbers), "Comparing pictures", len(numbers))
        parts = [part for found in searches for part in found]
    first, second, window, turn, score = (np.concatenate(column) for column in zip(*parts, strict=True))
    low, high = np.minimum(first, second), np.maximum(first, second)
    order = np.lexsort((PREFERRED * (turn > 0) - score, high, low))
    pair = low[order] * len(greys) + high[order]
    best = order[np.flatnonzero(np.diff(pair, prepend=-1))]
    return _Candidates(first[best], second[best], window[best], turn[best], score[best])


def _turns(middle: Floats, base: Floats, first: Spots, second: Spots, number: int) -> _Candidates:
    """Those of the pairs that are alike in one turn or another, each in its best one."""
    scores = turn_scores(middle[first], base[second])[:, 1:]
    best, turns = scores.max(axis=1), scores.argmax(axis=1) + 1
    keep = best >= ALIKE
    return _Candidates(first[keep], second[keep], np.full(int(keep.sum()), number), turns[keep], best[keep])


def _verified(survey: Survey, rows: Spots, candidates: _Candidates) -> Iterator[Matches]:
    """The candidates that agree when they are aligned, in parts."""
    place = candidates.window * TURNS + candidates.turn
    order = np.argsort(place, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(place[order])) + 1):
        for start in range(0, len(group), 1024):
            part = group[start : start + 1024]
            first, second = rows[candidates.first[part]], rows[candidates.second[part]]
            turn, window = int(candidates.turn[part[0]]), WINDOWS[int(candidates.window[part[0]])]
            near = turned_window(window, turn)
            found = aligned(survey.greys[first], turned(survey.greys[second], turn), near)
            colours = colour_agreement(survey.miniatures[first], turned(survey.miniatures[second], turn), found)
            keep = (found.score >= GREYS_AGREE) & (found.detail >= DETAIL_AGREES) & (colours >= COLOURS_AGREE)
            moved = np.maximum(np.maximum(abs(found.x), abs(found.y)), abs(found.size - INNER)) > STILL
            kind = np.where(moved, "cropped", "recompressed") if turn == 0 else np.full(len(part), TURN_KINDS[turn])
            yield Matches(
                np.minimum(first, second)[keep], np.maximum(first, second)[keep], kind[keep].astype("U12"), found.score[keep]
            )
