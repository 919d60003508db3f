"""Charts as SVG files that stand alone: curves over epochs in panels side by side, and named points over a logarithmic axis.

Knows numbers and words. The style is written into the file, on white ground: such pictures lie beside Markdown pages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

INKS = ("#5e4fa2", "#3288bd", "#2a9d5c", "#e0912f", "#c0263d", "#7a7a7a")  # from shallow to deep
PANEL, HEIGHT = 430, 300
LEFT, RIGHT, TOP, BOTTOM = 50, 16, 34, 44


@dataclass(frozen=True, slots=True)
class Curve:
    name: str
    values: Sequence[float]  # an entry an epoch
    ink: int
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Dot:
    name: str
    x: float
    y: float
    ink: int = 0


@dataclass(frozen=True, slots=True)
class Trail:
    """Points that belong together, joined in their order."""

    name: str
    dots: Sequence[Dot]


def panels(title: str, groups: Sequence[tuple[str, Sequence[Curve]]], y_label: str) -> str:
    """Panels with one height: share over epochs, the same scale in all, a legend below for the solid lines."""
    every = [value for _, curves in groups for curve in curves for value in curve.values]
    high = max(0.05, math.ceil(max(every, default=1) * 20) / 20)
    low = math.floor(min(every, default=0) * 20) / 20
    parts = []
    for number, (name, curves) in enumerate(groups):
        epochs = max((len(curve.values) for curve in curves), default=1)
        box = _Box(number * PANEL, (1, max(epochs, 2)), (low, high))
        parts += [_text(box.middle, 20, name, "middle", bold=True), *box.ground("epoch", y_label if not number else "")]
        for curve in curves:
            spots = [box.place(epoch + 1, value) for epoch, value in enumerate(curve.values)]
            ink = INKS[curve.ink % len(INKS)]
            dash = ' stroke-dasharray="5 4" stroke-opacity="0.75"' if curve.dashed else ""
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
            parts.append(f'<polyline fill="none" stroke="{ink}" stroke-width="1.8"{dash} points="{path}"/>')
            if len(spots) == 1:
                x, y = spots[0]
                hollow = "#fff" if curve.dashed else ink
                parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{hollow}" stroke="{ink}" stroke-width="1.5"/>')
        solid = [curve for curve in curves if not curve.dashed]
        parts += _legend(number * PANEL + LEFT, [(curve.name, curve.ink) for curve in solid])
    return _svg(title, PANEL * max(1, len(groups)), HEIGHT + 26, parts)


def _legend(x: float, rows: Sequence[tuple[str, int]]) -> list[str]:
    parts = []
    for name, ink in rows:
        stroke = f'stroke="{INKS[ink % len(INKS)]}" stroke-width="3"'
        parts.append(f'<line x1="{x:.0f}" x2="{x + 14:.0f}" y1="{HEIGHT + 8}" y2="{HEIGHT + 8}" {stroke}/>')
        parts.append(_text(x + 18, HEIGHT + 12, name, "start"))
        x += 26 + 6 * len(name)
    return parts


def points(title: str, dots: Sequence[Dot], x_label: str, y_label: str) -> str:
    """Accuracy (share) over cost, the cost on a logarithmic axis; each point has its name."""
    xs, ys = [dot.x for dot in dots], [dot.y for dot in dots]
    low, high = math.floor(min(ys) * 20 - 0.5) / 20, math.ceil(max(ys) * 20 + 0.5) / 20
    box = _Box(0, (min(xs) / 1.6, max(xs) * 2.4), (max(0.0, low), min(1.0, high)), wide=560, log=True)
    parts = [_text(box.middle, 20, title, "middle", bold=True), *box.ground(x_label, y_label)]
    for dot in dots:
        x, y = box.place(dot.x, dot.y)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{INKS[dot.ink % len(INKS)]}"/>')
        parts.append(_text(x + 9, y + 4, dot.name, "start"))
    return _svg(title, 560, HEIGHT, parts)


def trails(title: str, every: Sequence[Trail], x_label: str, y_label: str) -> str:
    """Accuracy (share) over cost, the cost on a logarithmic axis: lines of named points, a legend below."""
    dots = [dot for trail in every for dot in trail.dots]
    xs, ys = [dot.x for dot in dots], [dot.y for dot in dots]
    low, high = math.floor(min(ys) * 20 - 0.5) / 20, math.ceil(max(ys) * 20 + 0.5) / 20
    box = _Box(0, (min(xs) / 1.5, max(xs) * 1.5), (max(0.0, low), min(1.0, high)), wide=640, log=True)
    parts = [_text(box.middle, 20, title, "middle", bold=True), *box.ground(x_label, y_label)]
    for trail in every:
        ink = INKS[trail.dots[0].ink % len(INKS)]
        spots = [box.place(dot.x, dot.y) for dot in trail.dots]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        parts.append(f'<polyline fill="none" stroke="{ink}" stroke-width="1.8" points="{path}"/>')
        for dot, (x, y) in zip(trail.dots, spots, strict=True):
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{ink}"/>')
            parts.append(_text(x, y - 8, dot.name, "middle"))
    parts += _legend(LEFT, [(trail.name, trail.dots[0].ink) for trail in every])
    return _svg(title, 640, HEIGHT + 26, parts)


class _Box:
    """A panel's place and scales."""

    def __init__(
        self, x: float, across: tuple[float, float], up: tuple[float, float], *, wide: float = PANEL, log: bool = False
    ) -> None:
        self.left, self.right, self.top, self.bottom = x + LEFT, x + wide - RIGHT, float(TOP), float(HEIGHT - BOTTOM)
        self.across, self.up, self.log = across, up if up[1] > up[0] else (up[0], up[0] + 0.05), log

    @property
    def middle(self) -> float:
        return (self.left + self.right) / 2

    def place(self, x: float, y: float) -> tuple[float, float]:
        low, high = self.across
        share = math.log(x / low) / math.log(high / low) if self.log else (x - low) / (high - low)
        height = (y - self.up[0]) / (self.up[1] - self.up[0])
        return self.left + share * (self.right - self.left), self.bottom - height * (self.bottom - self.top)

    def ground(self, x_label: str, y_label: str) -> list[str]:
        parts = []
        for tick in _steps(*self.up):
            y = self.place(self.across[0], tick)[1]
            ends = f'x1="{self.left:.0f}" x2="{self.right:.0f}" y1="{y:.1f}" y2="{y:.1f}"'
            parts += [f'<line {ends} stroke="#ddd"/>', _text(self.left - 6, y + 4, f"{100 * tick:.0f} %", "end")]
        for tick in _powers(*self.across) if self.log else _epochs(int(self.across[1])):
            x = self.place(tick, self.up[0])[0]
            parts.append(_text(x, self.bottom + 16, _short(tick), "middle"))
            ends = f'x1="{x:.1f}" x2="{x:.1f}" y1="{self.bottom:.0f}" y2="{self.bottom + 4:.0f}"'
            parts.append(f'<line {ends} stroke="#888"/>')
        parts.append(_text(self.middle, self.bottom + 36, x_label, "middle"))
        if y_label:
            parts.append(_text(self.left, self.top - 6, y_label, "start"))
        return parts


def _steps(low: float, high: float) -> list[float]:
    """Four to eight round shares."""
    step = next(one for one in (0.01, 0.02, 0.05, 0.1, 0.2) if (high - low) / one <= 8)
    return [k * step for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _epochs(last: int) -> list[int]:
    step = next(one for one in (1, 2, 5, 10, 20, 50, 100, 1000) if last / one <= 8)
    return sorted({1, *range(step, last + 1, step)})


def _powers(low: float, high: float) -> list[float]:
    every = [
        k * 10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1) for k in (1, 2, 5)
    ]
    return [one for one in every if low <= one <= high]


def _short(value: float) -> str:
    return f"{value / 1e6:g} M" if value >= 1e5 else f"{value:g}"


def _text(x: float, y: float, said: str, anchor: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}>{escape(said)}</text>'


def _svg(title: str, width: float, height: float, parts: Sequence[str]) -> str:
    style = 'font-family="system-ui, sans-serif" font-size="12" fill="#222"'
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style} role="img">\n<title>{escape(title)}</title>\n'
    return head + f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
