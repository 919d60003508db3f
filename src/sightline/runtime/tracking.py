"""Following objects through a video: each frame's boxes are joined to tracks by overlap with where a track should be now.

ByteTrack (Zhang et al. 2022, arXiv 2110.06864): sure boxes first, then tracks left over may take unsure ones, so that an object
half hidden keeps its number. A constant-velocity Kalman filter tells where. Knows boxes only, neither videos nor models.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightline.runtime.found import Found
from sightline.runtime.geometry import from_centres, iou

LOW = 0.1  # boxes below this score are not looked at; nor, where less than that is asked for, below 0.4 of it
FIRST, SECOND, NEW = 0.2, 0.5, 0.3  # IoU from which a sure box, an unsure one, a box of a track seen once, is the track's
PLACE, SPEED = 1 / 20, 1 / 160  # standard deviations as shares of the box's sides, as in DeepSORT (arXiv 1703.07402)

Floats = NDArray[np.float64]


@dataclass(slots=True)
class _Tracks:
    """All tracks under way, a row each. The filter's state: centre x, y, width, height, and their change in a frame.

    Noise is independent in the four, so the 8 x 8 filter is four of 2 x 2: variance of place, covariance, variance of speed.
    """

    place: Floats  # (n, 4)
    speed: Floats  # (n, 4)
    variance: Floats  # (n, 4, 3)
    label: NDArray[np.int64]
    number: NDArray[np.int64]  # 0: seen once, not yet sure
    missed: NDArray[np.int64]  # frames since it was seen

    def rows(self, wanted: NDArray[np.bool_]) -> _Tracks:
        return _Tracks(*(getattr(self, name)[wanted] for name in self.__slots__))

    def and_(self, other: _Tracks) -> _Tracks:
        return _Tracks(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in self.__slots__))

    def move(self) -> None:
        """One frame on: constant speed, uncertainty grows."""
        noise = _sides(self.place)
        self.speed[self.missed > 0, 2:] = 0  # a hidden object does not grow
        self.place += self.speed
        self.place[:, 2:] = np.maximum(self.place[:, 2:], 1)
        place, both, speed = np.moveaxis(self.variance, 2, 0)
        self.variance = np.stack(
            [place + 2 * both + speed + (PLACE * noise) ** 2, both + speed, speed + (SPEED * noise) ** 2], axis=2
        )
        self.missed += 1

    def see(self, rows: NDArray[np.intp], boxes: Floats) -> None:
        """Correct the tracks of `rows` by where they were seen, boxes as centre and sides (k, 4)."""
        variance = self.variance[rows]
        measured = (PLACE * _sides(self.place[rows])) ** 2
        total = variance[..., 0] + measured
        gain_place, gain_speed = variance[..., 0] / total, variance[..., 1] / total
        off = boxes - self.place[rows]
        self.place[rows] += gain_place * off
        self.speed[rows] += gain_speed * off
        self.variance[rows] = np.stack(
            [
                (1 - gain_place) * variance[..., 0],
                (1 - gain_place) * variance[..., 1],
                variance[..., 2] - gain_speed * variance[..., 1],
            ],
            axis=2,
        )
        self.missed[rows] = 0


def _sides(places: Floats) -> Floats:
    """Width, height, width, height of each box (n, 4): what its noise is measured against."""
    return np.concatenate([places[:, 2:], places[:, 2:]], axis=1)


def _begun(boxes: Floats, labels: NDArray[np.int64]) -> _Tracks:
    sides, count = _sides(boxes), len(boxes)
    variance = np.stack([(2 * PLACE * sides) ** 2, np.zeros_like(sides), (10 * SPEED * sides) ** 2], axis=2)
    zeros = np.zeros(count, np.int64)
    return _Tracks(boxes.copy(), np.zeros((count, 4)), variance, labels.astype(np.int64), zeros, zeros.copy())


class _Frame(NamedTuple):
    """What was found in a frame: as it is, as centres and sides (k, 4), and the track of each row as it becomes known."""

    found: Found
    boxes: Floats
    numbers: NDArray[np.int64]


class Tracker:
    """The tracks of one video; give it every frame in order."""

    def __init__(self, sure: float | Sequence[float] = 0.5, frames: int = 30) -> None:
        """`sure`: score of boxes that may begin a track, of all classes or of each. `frames`: how long one is waited for."""
        self.sure, self.frames = np.asarray(sure, np.float64), frames
        self.count = 0
        self._started = False
        self._tracks = _begun(np.zeros((0, 4)), np.zeros(0, np.int64))

    def follow(self, found: Found) -> NDArray[np.int64]:
        """The track of each row of a frame's `found` (k,), from 1; 0 for what belongs to none, or was not seen before."""
        tracks = self._tracks
        tracks.move()
        frame = _Frame(found, _centres(found.boxes), np.zeros(len(found), np.int64))
        wanted = self.sure[found.labels] if self.sure.ndim else self.sure
        sure = np.flatnonzero(found.scores >= wanted)
        unsure = np.flatnonzero((found.scores >= np.minimum(LOW, 0.4 * wanted)) & (found.scores < wanted))
        known = np.flatnonzero(tracks.number > 0)
        known, sure = self._join(known, sure, frame, FIRST)
        seen_before = known[tracks.missed[known] == 1]  # not those that have been away: an unsure box is no proof of them
        self._join(seen_before, unsure, frame, SECOND)
        _, sure = self._join(np.flatnonzero(tracks.number == 0), sure, frame, NEW)
        alive = np.where(tracks.number > 0, tracks.missed <= self.frames, tracks.missed == 0)
        new = _begun(frame.boxes[sure], found.labels[sure])
        if not self._started and len(found):  # what the video begins with need not be seen twice
            new.number = self._numbered(len(sure))
            frame.numbers[sure] = new.number
        self._started = self._started or bool(len(found))
        self._tracks = tracks.rows(alive).and_(new)
        return frame.numbers

    def _join(
        self, rows: NDArray[np.intp], seen: NDArray[np.intp], frame: _Frame, least: float
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Join tracks (rows) to boxes (seen: rows of the frame) of their class by overlap; returns the rows left over."""
        tracks = self._tracks
        if not rows.size or not seen.size:
            return rows, seen
        overlap = iou(from_centres(tracks.place[rows]), frame.found.boxes[seen])
        overlap = np.where(tracks.label[rows][:, None] == frame.found.labels[seen][None], overlap, 0)
        first, second = assigned(overlap, least)
        joined, theirs = rows[first], seen[second]
        tracks.see(joined, frame.boxes[theirs])
        fresh = tracks.number[joined] == 0
        tracks.number[joined[fresh]] = self._numbered(int(fresh.sum()))
        frame.numbers[theirs] = tracks.number[joined]
        return np.delete(rows, first), np.delete(seen, second)

    def _numbered(self, count: int) -> NDArray[np.int64]:
        self.count += count
        return np.arange(self.count - count + 1, self.count + 1)


def _centres(boxes: NDArray[np.float32]) -> Floats:
    corners = boxes.astype(np.float64)
    return np.concatenate([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], axis=1)


def assigned(gain: NDArray[np.floating], least: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs (rows, columns) with the largest total of gain (n, m); none below `least`, none twice.

    Where a row and a column have nobody else they are a pair at once; what is contested is solved exactly (`hungarian`).
    """
    allowed = gain >= least
    single = allowed & (allowed.sum(axis=1) == 1)[:, None] & (allowed.sum(axis=0) == 1)[None]
    rows, columns = np.nonzero(single)
    left = np.flatnonzero(allowed.any(axis=1) & ~single.any(axis=1))
    free = np.flatnonzero(allowed.any(axis=0) & ~single.any(axis=0))
    if left.size and free.size:
        part = np.where(allowed, gain, 0.0)[np.ix_(left, free)]
        for row, column in hungarian(-part):
            if part[row, column] > 0:
                rows, columns = np.append(rows, left[row]), np.append(columns, free[column])
    return rows, columns


def hungarian(cost: NDArray[np.floating]) -> list[tuple[int, int]]:
    """Pairs of least total cost (n, m), min(n, m) of them: shortest augmenting paths (Jonker and Volgenant 1987)."""
    if cost.shape[0] > cost.shape[1]:
        return sorted((row, column) for column, row in hungarian(cost.T))
    count, others = cost.shape
    rows_price, columns_price = np.zeros(count + 1), np.zeros(others + 1)
    taken_by = np.zeros(others + 1, np.intp)  # row (from 1) of each column; column 0 stands for the row that is placed now
    for row in range(1, count + 1):
        taken_by[0], here = row, 0
        best, before = np.full(others + 1, math.inf), np.zeros(others + 1, np.intp)
        done = np.zeros(others + 1, bool)
        while taken_by[here]:
            done[here] = True
            owner = taken_by[here]
            reduced = cost[owner - 1] - rows_price[owner] - columns_price[1:]
            better = ~done[1:] & (reduced < best[1:])
            best[1:][better], before[1:][better] = reduced[better], here
            there = int(np.argmin(np.where(done[1:], math.inf, best[1:]))) + 1
            step = best[there]
            rows_price[taken_by[done]] += step
            columns_price[done] -= step
            best[~done] -= step
            here = there
        while here:
            taken_by[here] = taken_by[before[here]]
            here = int(before[here])
    return sorted((int(taken_by[column]) - 1, column - 1) for column in range(1, others + 1) if taken_by[column])
