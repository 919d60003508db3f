"""Random changes of scenes while training: mirrored, zoomed, moved, four laid together (mosaic). Boxes, masks, points follow.

Every random number comes from the generator that is passed in. Knows no networks and no names of classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor
from torch.nn import functional

from sightline.learn.augment import Augment, recolour
from sightline.learn.detect.network import Target

VISIBLE = 0.35  # share of an object's box that must be left of it; with less it is neither asked for nor wrong
LEAST = 2.0  # pixels of a side below which nothing is asked for either
SMALLEST, LARGEST = 0.5, 1.2  # zoom of the pictures of a mosaic
MIDDLE = 0.2  # how far the point where four pictures meet may lie from the middle, as a share of the side
HALVED = 0.7  # a picture that is shrunk by more is averaged to half its size before, so that nothing flickers
NUMBERS = 8  # random numbers for each tile


class Marked(Protocol):
    """The objects of one stored picture (detect/data.py's Truth)."""

    @property
    def boxes(self) -> NDArray[np.float32]: ...
    @property
    def labels(self) -> NDArray[np.int64]: ...
    @property
    def ignored(self) -> NDArray[np.float32]: ...
    @property
    def masks(self) -> NDArray[np.uint8] | None: ...
    @property
    def keypoints(self) -> NDArray[np.float32] | None: ...


@dataclass(frozen=True, slots=True)
class Shift:
    """How the scenes of a step may change. Of `augment` flip, degrees, scale, aspect, shift, colour, noise and looks count."""

    augment: Augment
    side: int  # pixels of what comes out
    mosaic: float = 0.0  # share of the pictures that are made of four


class Tile(NamedTuple):
    """Where one stored picture goes: out = matrix @ (in - middle of the picture) + centre, seen in the rectangle `window`."""

    matrix: NDArray[np.float64]  # (2, 2)
    centre: NDArray[np.float64]  # (2,)
    window: tuple[int, int, int, int]  # x0, y0, x1, y1 in whole pixels of what comes out
    mirrored: bool


def scene_batch(
    rows: Tensor,
    taken: Callable[[Tensor], Tensor],
    truth: Sequence[Marked],
    how: Shift,
    draws: Generator,
    *,
    fill: tuple[float, float, float],
    swaps: tuple[int, ...] | None = None,
) -> tuple[Tensor, list[Target]]:
    """The pictures `rows` (n,), changed: float (n, side, side, 3) in 0..255 and their objects in those pixels.

    `taken` gives stored pictures uint8 (m, s, s, 3) by number; partners of a mosaic come from all of them.
    """
    n = len(rows)
    luck = torch.rand((n, 4, NUMBERS), generator=draws).double().numpy()
    fours = torch.rand(n, generator=draws).numpy() < how.mosaic
    partners = torch.randint(len(truth), (n, 3), generator=draws)
    places = torch.cat([rows.view(n, 1), partners], 1)
    ground = torch.tensor(fill, dtype=torch.float32).view(1, 3, 1, 1)
    outs: list[Tensor] = []
    targets: list[Target] = []
    for index in range(n):
        some = places[index] if fours[index] else places[index, :1]
        stored = taken(some)
        tiles = mosaic(stored.shape[1], how, luck[index]) if fours[index] else (alone(stored.shape[1], how, luck[index, 0]),)
        ground = ground.to(stored.device)
        out = torch.zeros((1, 3, how.side, how.side), device=stored.device)
        marks = []
        for picture, tile, number in zip(stored, tiles, some.tolist(), strict=True):
            x0, y0, x1, y1 = tile.window
            source = picture.permute(2, 0, 1).unsqueeze(0).float() - ground
            out[:, :, y0:y1, x0:x1] = seen_through(source, tile)
            marks.append(_followed(truth[number], tile, picture.shape[0], how.side, swaps))
        outs.append(out)
        targets.append(_joined(marks, stored.device))
    pixels = torch.cat(outs)
    if how.augment.colour:
        pixels = recolour(pixels, ground, how.augment.colour, draws)
    if how.augment.noise:
        sigma = torch.rand(n, 1, 1, 1, generator=draws) * (255 * how.augment.noise)
        pixels = pixels + (torch.randn(pixels.shape, generator=draws) * sigma).to(pixels.device)
    pixels = (pixels + ground).permute(0, 2, 3, 1)
    if how.augment.each:
        from sightline.learn.transforms import each

        seed = int(torch.randint(1 << 62, (1,), generator=draws))
        pixels = each(pixels.round().clamp(0, 255).to(torch.uint8).cpu(), how.augment.each, seed, 0).to(pixels.device).float()
    return pixels, targets


def alone(side: int, how: Shift, luck: NDArray[np.float64]) -> Tile:
    """One picture of `side` pixels by itself; `luck` are NUMBERS numbers in 0..1."""
    one = how.augment
    zoom = how.side / side * math.exp((2 * luck[0] - 1) * math.log1p(one.scale))
    matrix, mirrored = _matrix(zoom, one, luck)
    centre = how.side * (0.5 + (2 * luck[4:6] - 1) * one.shift)
    return Tile(matrix, centre, (0, 0, how.side, how.side), mirrored)


def mosaic(side: int, how: Shift, luck: NDArray[np.float64]) -> tuple[Tile, ...]:
    """Four pictures around a point (arXiv 2004.10934, section 3.3), each zoomed by itself and somewhere in its quarter."""
    x, y = (round(how.side * (0.5 + MIDDLE * (2 * luck[0, at] - 1))) for at in (6, 7))
    windows = ((0, 0, x, y), (x, 0, how.side, y), (0, y, x, how.side), (x, y, how.side, how.side))
    tiles = []
    for window, own in zip(windows, luck, strict=True):
        zoom = how.side / side * SMALLEST * (LARGEST / SMALLEST) ** own[0]
        matrix, mirrored = _matrix(zoom, how.augment, own)
        corner, room = np.asarray(window[:2], float), np.asarray([window[2] - window[0], window[3] - window[1]], float)
        whole = zoom * side
        tiles.append(Tile(matrix, corner + own[4:6] * (room - whole) + whole / 2, window, mirrored))
    return tuple(tiles)


def _matrix(zoom: float, one: Augment, luck: NDArray[np.float64]) -> tuple[NDArray[np.float64], bool]:
    stretch, angle = math.exp((2 * luck[1] - 1) * one.aspect), math.radians((2 * luck[2] - 1) * one.degrees)
    mirrored = bool(one.flip and luck[3] < 0.5)
    turn = np.asarray([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return turn @ np.diag([zoom * stretch * (-1 if mirrored else 1), zoom / stretch]), mirrored


def seen_through(source: Tensor, tile: Tile, mode: str = "bilinear") -> Tensor:
    """What the tile's window shows of a picture (1, c, s, s): (1, c, height, width); zeros around it."""
    side = source.shape[-1]
    if mode == "bilinear" and math.sqrt(abs(np.linalg.det(tile.matrix))) < HALVED:
        source = functional.avg_pool2d(source, 2, ceil_mode=True, count_include_pad=False)
    back = np.linalg.inv(tile.matrix) * 2 / side  # to -1..1 of the stored picture
    x0, y0, x1, y1 = tile.window
    xs = torch.arange(x0, x1, device=source.device, dtype=torch.float32) + (0.5 - float(tile.centre[0]))
    ys = torch.arange(y0, y1, device=source.device, dtype=torch.float32) + (0.5 - float(tile.centre[1]))
    grid = torch.stack(
        [
            xs.view(1, -1) * float(back[0, 0]) + ys.view(-1, 1) * float(back[0, 1]),
            xs.view(1, -1) * float(back[1, 0]) + ys.view(-1, 1) * float(back[1, 1]),
        ],
        2,
    )
    return functional.grid_sample(source, grid.unsqueeze(0), mode=mode, padding_mode="zeros", align_corners=False)


# --- what is marked on the pictures


@dataclass(frozen=True, slots=True)
class _Marks:
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    ignored: NDArray[np.float32]
    masks: Tensor | None
    keypoints: NDArray[np.float32] | None


def moved(points: NDArray[np.float32], tile: Tile, side: int) -> NDArray[np.float64]:
    """Points (n, 2) of a stored picture of `side` pixels in what comes out."""
    return np.asarray((points - side / 2) @ tile.matrix.T + tile.centre)


def boxes_moved(boxes: NDArray[np.float32], tile: Tile, side: int) -> NDArray[np.float64]:
    """The smallest upright boxes (n, 4) around what the corners become."""
    if not len(boxes):
        return np.zeros((0, 4))
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2)
    found = moved(corners, tile, side).reshape(-1, 4, 2)
    return np.concatenate([found.min(1), found.max(1)], axis=1)


def _seen(boxes: NDArray[np.float64], window: tuple[int, int, int, int]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Boxes clipped to the window, and the share of each that is left."""
    low, high = np.asarray(window[:2] * 2, float), np.asarray(window[2:] * 2, float)
    cut = np.clip(boxes, low, high)
    before = np.maximum((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), 1e-9)
    return cut.astype(np.float32), (cut[:, 2] - cut[:, 0]) * (cut[:, 3] - cut[:, 1]) / before


def _followed(truth: Marked, tile: Tile, side: int, out: int, swaps: tuple[int, ...] | None) -> _Marks:
    boxes, left = _seen(boxes_moved(truth.boxes, tile, side), tile.window)
    sides = np.minimum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    good = (left >= VISIBLE) & (sides >= LEAST)
    ignored, shown = _seen(boxes_moved(truth.ignored, tile, side), tile.window)
    ignored = np.concatenate([ignored[shown > 0], boxes[~good & (left > 0)]])
    masks = None
    if truth.masks is not None:
        whole = np.unpackbits(truth.masks[good], axis=-1, count=side).astype(np.float32)
        masks = torch.zeros((len(whole), out, out), dtype=torch.bool)
        if len(whole):
            x0, y0, x1, y1 = tile.window
            masks[:, y0:y1, x0:x1] = seen_through(torch.from_numpy(whole).unsqueeze(0), tile)[0] >= 0.5
    keypoints = None
    if truth.keypoints is not None:
        keypoints = _points(truth.keypoints[good], tile, side, swaps)
    return _Marks(boxes[good], truth.labels[good], ignored, masks, keypoints)


def _points(points: NDArray[np.float32], tile: Tile, side: int, swaps: tuple[int, ...] | None) -> NDArray[np.float32]:
    found = points.copy()
    found[..., :2] = moved(points[..., :2].reshape(-1, 2), tile, side).reshape(*points.shape[:2], 2)
    x0, y0, x1, y1 = tile.window
    inside = (found[..., 0] >= x0) & (found[..., 0] < x1) & (found[..., 1] >= y0) & (found[..., 1] < y1)
    found[~inside | (points[..., 2] == 0)] = 0
    return found[:, list(swaps)] if tile.mirrored and swaps is not None else found


def _joined(marks: Sequence[_Marks], device: torch.device) -> Target:
    def together(parts: Sequence[NDArray[np.float32] | NDArray[np.int64]]) -> Tensor:
        return torch.from_numpy(np.concatenate(parts)).to(device)

    masks = [one.masks for one in marks if one.masks is not None]
    points = [one.keypoints for one in marks if one.keypoints is not None]
    return Target(
        together([one.boxes for one in marks]),
        together([one.labels for one in marks]),
        together([one.ignored for one in marks]),
        torch.cat(masks).to(device) if masks else None,
        together(points) if points else None,
    )
