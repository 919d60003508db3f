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
from sightline.data.duplicates import merged
from sightline.data.looks import NO_HASH, Miniatures
from sightline.data.views import (
    CLOSE,
    INNER,
    TURNS,
    Window,
    aligned,
    colour_agreement,
    described,
    sizes,
    sought,
    swapped,
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
ALIKE = 0.93  # correlation of descriptions from which a pair is looked at precisely
PREFERRED = 0.01  # how much better a turn must be: many pictures are nearly their own mirror image
CROWD = 64  # members of a family from which cropped and shifted copies are looked for by its first member only
TURNLESS = 0.88  # the same of what no turn changes
GREYS_AGREE, DETAIL_AGREES, COLOURS_AGREE = 0.985, 0.965, 0.87
_ALIGNED = 1024  # candidates that are aligned at a time
_TOGETHER = 1 << 17  # pictures times windows that are searched at a time
_PART = 1 << 12  # pairs at a time: they stay in the processor's cache


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

    def at(self, places: NDArray[np.generic]) -> _Candidates:
        return _Candidates(self.first[places], self.second[places], self.window[places], self.turn[places], self.score[places])


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
    index = _indexed(survey.greys[rows], mirrored=mirrored)
    found = [exact, *_verified(survey, rows, _candidates(index, range(1)))]
    if moved:
        first, second = (np.concatenate([part[side] for part in found]) for side in (0, 1))
        calm = _calm(rows, np.stack([first, second], axis=1))
        if len(calm) < len(rows):
            index = _indexed(survey.greys[calm], mirrored=mirrored)
        more = _candidates(index, range(1, len(WINDOWS)))
        low, high = (np.sort(calm[np.stack(more[:2])], axis=0)[side] for side in (0, 1))
        fresh = ~np.isin(low * len(survey.uris) + high, first * len(survey.uris) + second)
        found += _verified(survey, calm, more.at(fresh))
    first, second, kind, score = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((second, first))
    return Matches(first[order], second[order], kind[order], score[order])


def _calm(rows: Spots, links: Spots) -> Spots:
    """The rows with one member only of each family of more than CROWD: a camera that stood still needs no second look."""
    count = int(rows.max()) + 1
    family = merged(np.arange(count), links[(links < count).all(axis=1)])[rows]
    _, first, number, size = np.unique(family, return_index=True, return_inverse=True, return_counts=True)
    calm = (size[number] <= CROWD) | (first[number] == np.arange(len(rows)))
    return np.asarray(rows[calm], np.int64)


class _Index(NamedTuple):
    """What pictures (n,) are searched by: descriptions of their middle, as they are and without turns."""

    greys: Miniatures
    middle: Floats
    usual: Floats
    plain: Cells
    free: Cells | None


def _indexed(greys: Miniatures, *, mirrored: bool) -> _Index:
    middle = described(greys, Window())
    usual = sizes(middle).mean(axis=0)
    return _Index(greys, middle, usual, Cells(middle), Cells(turnless(middle, usual)) if mirrored else None)


def _candidates(index: _Index, numbers: range) -> _Candidates:
    """Pairs that may show the same: once each, at the place among some of WINDOWS and the turn where they agree best."""

    def search(numbers: range) -> list[_Candidates]:
        base = np.concatenate([described(index.greys, WINDOWS[number]) for number in numbers])
        first, second, score = index.plain.near(base, ALIKE)
        still = np.zeros(len(first), np.int64)
        found = [_Candidates(first, second, still, still, score)]
        if index.free is not None:
            first, second, _ = index.free.near(turnless(base, index.usual), TURNLESS)
            found.append(_turns(index.middle, base, first, second))
        return [_placed(part, len(index.greys), numbers.start) for part in found]

    # several places at a time: with few pictures it is the number of calls that costs, and threads wait for each other there
    size = min(max(1, _TOGETHER // len(index.greys)), -(-len(numbers) // settings().threads))
    groups = [numbers[start : start + size] for start in range(0, len(numbers), size)]
    with single(), ThreadPoolExecutor(settings().threads) as pool:
        searches = track(pool.map(search, groups), "Comparing pictures", len(groups))
        parts = [part for found in searches for part in found]
    first, second, window, turn, score = (np.concatenate(column) for column in zip(*parts, strict=True))
    low, high = np.minimum(first, second), np.maximum(first, second)
    order = np.lexsort((PREFERRED * (turn > 0) - score, high, low))
    best = order[np.flatnonzero(np.diff(low[order] * len(index.greys) + high[order], prepend=-1))]
    return _Candidates(first, second, window, turn, score).at(best)


def _placed(found: _Candidates, count: int, start: int) -> _Candidates:
    """Candidates whose `second` runs through all pictures of one window after the other, from window `start`: now apart."""
    window, second = np.divmod(found.second, count)
    window += start
    keep = np.where(window == 0, found.first < second, found.first != second)  # at window 0 each pair is found twice
    return found._replace(second=second, window=window).at(keep)


def _turns(middle: Floats, base: Floats, first: Spots, second: Spots) -> _Candidates:
    """Those of the pairs that are alike in one turn or another, each in its best one."""
    other, best, turns = swapped(base), np.empty(len(first), np.float32), np.empty(len(first), np.int64)
    for start in range(0, len(first), _PART):
        part = slice(start, start + _PART)
        wanted = middle[first[part]]
        scores = np.concatenate([turn_scores(wanted, view[second[part]]) for view in (base, other)], axis=1)[:, 1:]
        best[part], turns[part] = scores.max(axis=1), scores.argmax(axis=1) + 1
    keep = best >= ALIKE
    return _Candidates(first, second, turns, turns, best).at(keep)


def _verified(survey: Survey, rows: Spots, candidates: _Candidates) -> Iterator[Matches]:
    """The candidates that agree when they are aligned, in parts."""

    def looked_for(part: Spots) -> tuple[Spots, Floats]:
        turn, window = int(candidates.turn[part[0]]), WINDOWS[int(candidates.window[part[0]])]
        first, second = rows[candidates.first[part]], rows[candidates.second[part]]
        best = sought(survey.greys[first], turned(survey.greys[second], turn), turned_window(window, turn))
        close = np.flatnonzero(best[0] >= CLOSE)
        return part[close], best[:, close]

    def verify(part: Spots) -> Matches:
        spots, turn = spot[part], int(candidates.turn[spot[part[0]]])
        first, second = rows[candidates.first[spots]], rows[candidates.second[spots]]
        found = aligned(survey.greys[first], turned(survey.greys[second], turn), best[:, part])
        colours = colour_agreement(survey.miniatures[first], turned(survey.miniatures[second], turn), found)
        keep = (found.score >= GREYS_AGREE) & (found.detail >= DETAIL_AGREES) & (colours >= COLOURS_AGREE)
        moved = np.maximum(np.maximum(abs(found.x), abs(found.y)), abs(found.size - INNER)) > STILL
        kind = np.where(moved, "cropped", "recompressed") if turn == 0 else np.full(len(part), TURN_KINDS[turn])
        return Matches(
            np.minimum(first, second)[keep], np.maximum(first, second)[keep], kind[keep].astype("U12"), found.score[keep]
        )

    with single(), ThreadPoolExecutor(settings().threads) as pool:
        close = [(np.empty(0, np.int64), np.empty((4, 0), np.float32))]
        close += pool.map(looked_for, _alike(candidates.window * TURNS + candidates.turn))
        spot, best = (np.concatenate(column, axis=-1) for column in zip(*close, strict=True))
        yield from pool.map(verify, _alike(candidates.turn[spot]))


def _alike(keys: Spots) -> list[Spots]:
    """Places of equal keys, in parts of at most _ALIGNED."""
    order = np.argsort(keys, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(keys[order])) + 1)
    return [group[start : start + _ALIGNED] for group in groups for start in range(0, len(group), _ALIGNED)]
