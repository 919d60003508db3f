"""Drawings for pages as inline SVG text: bars, lines, reliability, heat map. Colours come from the page's style sheet by class.

Knows numbers and words, not what they measure. Every drawing has a title for people who cannot see it; words are escaped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.measure.markup import words

WIDTH, HEIGHT = 460, 280  # small enough that 14-pixel letters stay readable on a phone
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 24, 34, 46
_NUMBERS_UP_TO = 14  # classes of a heat map whose cells have room for a number


@dataclass(frozen=True, slots=True)
class Line:
    """A named row of (x, y) points; `style` is one of "solid", "dashed", "dots"."""

    name: str
    points: Sequence[tuple[float, float]]
    style: str = "solid"


@dataclass(frozen=True, slots=True)
class Mark:
    """A named point with an interval of its height; `tone` is a colour of the page, 0 to 3."""

    x: float
    y: float
    low: float
    high: float
    name: str
    tone: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """The ground of a chart: what the axes mean and how far they go."""

    title: str
    x_label: str
    y_label: str
    x: tuple[float, float]
    y: tuple[float, float]
    percent: bool = False
    log_x: bool = False

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of a point."""
        low, high = self.x
        if self.log_x:
            x, low, high = math.log(x), math.log(low), math.log(high)
        across = (x - low) / (high - low) if high > low else 0.5
        up = (y - self.y[0]) / (self.y[1] - self.y[0]) if self.y[1] > self.y[0] else 0.5
        return _LEFT + across * (WIDTH - _LEFT - _RIGHT), HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM)


def bar(value: float, low: float, high: float, *, kind: str = "plain") -> str:
    """A thin bar from 0 to 1 with its interval, as wide as its place. Decoration: the same numbers stand beside it as text."""
    full, start, end = (round(100 * min(max(x, 0.0), 1.0), 2) for x in (value, low, high))
    return (
        f'<svg class="bar {words(kind)}" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="10"/><rect class="fill" width="{full}" height="10"/>'
        f'<rect class="range" x="{start}" y="4" width="{max(end - start, 0.4):.2f}" height="2"/></svg>'
    )


def lines(frame: Frame, rows: Sequence[Line], x_ticks: Sequence[float] | None = None) -> str:
    """A chart of up to four rows of points with a legend along its top."""
    parts = [_ground(frame, x_ticks)]
    legend = float(_LEFT)
    for number, row in enumerate(rows):
        spots = [frame.place(x, y) for x, y in row.points]
        tone = f"tone{number % 4}"
        if row.style == "dots":
            parts += [f'<circle class="{tone} dot" cx="{x:.1f}" cy="{y:.1f}" r="5"/>' for x, y in spots]
            mark = f'<circle class="{tone} dot" cx="{legend + 8:.0f}" cy="14" r="5"/>'
        else:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
            parts.append(f'<polyline class="{tone} line {words(row.style)}" points="{path}"/>')
            if len(spots) == 1:
                parts.append(f'<circle class="{tone} dot" cx="{spots[0][0]:.1f}" cy="{spots[0][1]:.1f}" r="4"/>')
            mark = f'<line class="{tone} line {words(row.style)}" x1="{legend:.0f}" x2="{legend + 18:.0f}" y1="14" y2="14"/>'
        parts.append(f'{mark}<text class="legend" x="{legend + 24:.0f}" y="18">{words(row.name)}</text>')
        legend += 46 + 7.6 * len(row.name)
    return _svg(frame.title, WIDTH, HEIGHT, parts)


def marks(frame: Frame, points: Sequence[Mark]) -> str:
    """Named points with their intervals; a dashed line joins those that no other beats in both ways (less x, more y)."""
    parts = [_ground(frame, round_steps(*frame.x) if frame.log_x else None)]
    front: list[Mark] = []
    for point in sorted(points, key=lambda one: (one.x, -one.y)):
        if not front or point.y > front[-1].y:
            front.append(point)
    path = " ".join("{:.1f},{:.1f}".format(*frame.place(one.x, one.y)) for one in front)
    if len(front) > 1:
        parts.append(f'<polyline class="ideal line" points="{path}"/>')
    spots = [frame.place(one.x, one.y) for one in points]
    taken = [(x - 6, x + 6, y + 5) for x, y in spots]  # left end, right end, foot of what no name may cover
    for point in sorted(points, key=lambda one: (-one.y, one.x)):
        tone, (x, y) = f"tone{point.tone % 4}", frame.place(point.x, point.y)
        top, bottom = frame.place(point.x, point.high)[1], frame.place(point.x, point.low)[1]
        said = f"{words(point.name)}: {point.y:.1%} ({point.low:.1%} to {point.high:.1%}), {point.x:.1f}"
        parts.append(f'<line class="{tone}" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>')
        parts.append(f'<circle class="{tone} dot" cx="{x:.1f}" cy="{y:.1f}" r="6"><title>{said}</title></circle>')
        width = 7.6 * min(len(point.name), 30)
        left, foot = _free(x, y + 5, width, taken)
        taken.append((left, left + width, foot))
        after = left > x
        if abs(foot - y - 5) > 8:  # not beside its dot: a thread leads there
            end = left - 2 if after else left + width + 2
            parts.append(f'<line class="thread" x1="{x:.1f}" y1="{y:.1f}" x2="{end:.1f}" y2="{foot - 5:.1f}"/>')
        at = f'x="{left if after else left + width:.1f}" y="{foot:.1f}" text-anchor="{"start" if after else "end"}"'
        parts.append(f'<text class="legend halo" {at}>{words(point.name, 30)}</text>')
    return _svg(frame.title, WIDTH, HEIGHT, parts)


def _free(x: float, foot: float, width: float, taken: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """Left end and foot of a name of this width near x that covers nothing `taken`: the nearest place, right of it or left."""
    steps = sorted(range(-12, 13), key=abs)
    places = [
        (x + (10 if right else -10 - width) + (6 * abs(step) if right else -6 * abs(step)), foot + 15 * step)
        for step in steps
        for right in (True, False)
    ]
    inside = [at for at in places if 2 <= at[0] <= WIDTH - 2 - width and _TOP <= at[1] <= HEIGHT - _BOTTOM]
    for left, height in inside:
        if not any(left < end and start < left + width and abs(height - line) < 15 for start, end, line in taken):
            return left, height
    return inside[0] if inside else (max(2.0, min(x + 10, WIDTH - 2 - width)), foot)


def round_steps(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, 20, 50, ... between `low` and `high`: ticks of a logarithmic axis; only 1, 10, ... when they are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [float(f"{k}e{power}") for power in powers for k in (1, 2, 5) if low <= float(f"{k}e{power}") <= high]
    return found if len(found) <= 7 else [step for step in found if f"{step:e}"[0] == "1"]


def reliability(groups: Sequence[tuple[float, float, int]], title: str) -> str:
    """Confidence against share right: (confidence, accuracy, answers) of each group; on the diagonal a model knows itself."""
    frame = Frame(title, "how sure the model was", "how often it was right", (0, 1), (0, 1), percent=True)
    (x0, y0), (x1, y1) = frame.place(0, 0), frame.place(1, 1)
    most = max((n for _, _, n in groups), default=1)
    parts = [_ground(frame, (0, 0.25, 0.5, 0.75, 1))]
    parts.append(f'<line class="ideal" x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"/>')
    spots = [(*frame.place(sure, right), n, frame.place(sure, sure)[1]) for sure, right, n in groups]
    parts += [f'<line class="gap" x1="{x:.1f}" x2="{x:.1f}" y1="{y:.1f}" y2="{ideal:.1f}"/>' for x, y, _, ideal in spots]
    parts += [
        f'<circle class="tone0 dot" cx="{x:.1f}" cy="{y:.1f}" r="{3 + 3 * math.sqrt(n / most):.1f}">'
        f"<title>{sure:.0%} sure, {right:.0%} right, {n} answers</title></circle>"
        for (x, y, n, _), (sure, right, _) in zip(spots, groups, strict=True)
    ]
    return _svg(title, WIDTH, HEIGHT, parts)


def heat_map(counts: NDArray[np.int64], names: Sequence[str], title: str) -> str:
    """A confusion matrix (c, c), rows truth, columns answers: the darker, the larger the share of the row. Up to 40 classes."""
    classes = len(names)
    cell = max(18, min(48, 340 // classes))
    letters = min(max((len(name) for name in names), default=1), 16)
    turned = classes > 3 or 7.4 * letters > cell
    left, top = 24 + 7.4 * letters, 26 + (6.4 * letters if turned else 18)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    parts = _heat_words(names, left, top, cell, turned=turned)
    for row, column in np.ndindex(classes, classes):
        x, y = f"{left + column * cell:.1f}", f"{top + row * cell:.1f}"
        part, count = float(share[row, column]), int(counts[row, column])
        place = f'x="{x}" y="{y}" width="{cell - 1}" height="{cell - 1}"'
        parts.append(f'<rect class="empty" {place}/>')
        if not count:
            continue
        right = row == column
        shade = 0.12 + 0.78 * (part if right else math.sqrt(part))  # rare confusions must be seen too
        told = f"{words(names[row])} answered as {words(names[column])}: {count} ({part:.0%})"
        kind = "right" if right else "wrong"
        parts.append(f'<rect class="{kind}" {place} fill-opacity="{shade:.2f}"><title>{told}</title></rect>')
        if classes <= _NUMBERS_UP_TO:
            tone = "onto" if shade > 0.8 else "mid" if shade > 0.5 else "count"
            at = f'x="{left + (column + 0.5) * cell:.1f}" y="{top + (row + 0.5) * cell + 5:.1f}"'
            parts.append(f'<text class="{tone}" {at}>{count}</text>')
    width = left + cell * classes + (4.2 * letters if turned else 6)
    kind = "heat many" if classes > 5 else "heat"
    return _svg(title, round(width), round(top + cell * classes + 6), parts, kind)


def _heat_words(names: Sequence[str], left: float, top: float, cell: int, *, turned: bool) -> list[str]:
    """Class names along both sides, turned where many stand side by side, and what rows and columns are."""
    middle = cell * len(names) / 2
    parts = [
        f'<text class="axis" x="{left + middle:.0f}" y="13" text-anchor="middle">answer</text>',
        f'<text class="axis" transform="translate(13 {top + middle:.0f}) rotate(-90)" text-anchor="middle">truth</text>',
    ]
    for i, name in enumerate(names):
        word, full, at = words(name, 16), f"<title>{words(name)}</title>", (i + 0.5) * cell
        parts.append(f'<text x="{left - 6:.0f}" y="{top + at + 4:.1f}" text-anchor="end">{full}{word}</text>')
        turn = f"translate({left + at + (4 if turned else 0):.1f} {top - 6:.1f})" + (" rotate(-55)" if turned else "")
        anchor = "start" if turned else "middle"
        parts.append(f'<text transform="{turn}" text-anchor="{anchor}">{full}{word}</text>')
    return parts


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from `low` to `high`."""
    span = high - low
    if span <= 0:
        return [low]
    raw = span / about
    unit = 10 ** math.floor(math.log10(raw))
    step = next(unit * k for k in (1, 2, 5, 10) if unit * k >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _ground(frame: Frame, x_ticks: Sequence[float] | None) -> str:
    parts = []
    for y in ticks(*frame.y):
        x0, at = frame.place(frame.x[0], y)
        parts.append(f'<line class="grid" x1="{x0:.1f}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{x0 - 7:.1f}" y="{at + 5:.1f}" text-anchor="end">{_number(y, frame.percent)}</text>')
    below = HEIGHT - _BOTTOM
    for x in ticks(*frame.x) if x_ticks is None else x_ticks:
        at = frame.place(x, frame.y[0])[0]
        word = _number(x, frame.percent and frame.x[1] <= 1)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{below}" y2="{below + 4}"/>')
        parts.append(f'<text x="{at:.1f}" y="{below + 20}" text-anchor="middle">{word}</text>')
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(f'<text class="axis" x="{middle:.0f}" y="{HEIGHT - 6}" text-anchor="middle">{words(frame.x_label)}</text>')
    up = (_TOP + below) / 2
    turn = f"translate(13 {up:.0f}) rotate(-90)"
    parts.append(f'<text class="axis" transform="{turn}" text-anchor="middle">{words(frame.y_label)}</text>')
    return "".join(parts)


def _svg(title: str, width: int, height: int, parts: Sequence[str], kind: str = "chart") -> str:
    return (
        f'<svg class="{kind}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
        f"<title>{words(title)}</title>{''.join(parts)}</svg>"
    )


def _number(value: float, percent: bool) -> str:
    return f"{100 * value:g}" if percent else f"{value:,.10g}"
