"""Hand-made features as torch modules without parameters: gradients (HOG), colour, texture. Prepared pictures in, numbers out.

Torch is here only the language in which a graph is written down: the exported ONNX graph computes them from then on, in
training too. Every step but texture's is continuous, so that rounding moves an answer by as little as the rounding.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (its usual name)

TINY = 1e-6
ORIENTATIONS = 9
CELL = 8  # pixels
HUES, LEVELS, CUBE = 12, 8, 4
GREY_LEVELS = 8  # of the co-occurrence matrices


class Feature(nn.Module):
    """What `graph.exported` needs: uint8 (n, size, size, 3) to float32 (n, d)."""

    def pixels(self, images: Tensor) -> Tensor:
        """uint8 (n, h, w, 3) to float32 (n, 3, h, w) in 0..255."""
        return images.permute(0, 3, 1, 2).float()

    def grey(self, images: Tensor) -> Tensor:
        """Luminance (n, 1, h, w) times 256: whole numbers, which float32 holds exactly."""
        r, g, b = _channels(self.pixels(images))
        return 77 * r + 150 * g + 29 * b


def _channels(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return x[:, 0:1], x[:, 1:2], x[:, 2:3]


class Hog(Feature):
    """Histograms of oriented gradients (Dalal and Triggs 2005, doi:10.1109/CVPR.2005.177): 9 orientations in cells of 8 pixels,
    shared linearly among neighbouring orientations and cells, L2-Hys normalised in overlapping blocks of 2 x 2 cells.
    """

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        ramp = 1 - torch.abs(torch.arange(2 * CELL) - (CELL - 0.5)) / CELL
        self.register_buffer("kernel", (ramp[:, None] * ramp[None, :]).expand(ORIENTATIONS, 1, -1, -1).contiguous())

    def cells(self, images: Tensor) -> Tensor:
        """(n, 9, h / 8, w / 8): how much gradient of each orientation a cell has; 0 is across vertical edges."""
        grey = torch.sqrt(self.grey(images) / 65280)  # gamma as in the paper
        across = F.pad(grey[..., 2:] - grey[..., :-2], (1, 1))
        down = F.pad(grey[..., 2:, :] - grey[..., :-2, :], (0, 0, 1, 1))
        size = torch.sqrt(across * across + down * down)
        safe = torch.where(across == 0, torch.full_like(across, 1e-12), across)
        position = torch.atan(down / safe) * (ORIENTATIONS / math.pi)  # -4.5 .. 4.5, and both ends are the same
        bins = torch.arange(ORIENTATIONS, dtype=torch.float32).view(1, -1, 1, 1)
        apart = torch.abs(position - bins)
        apart = torch.minimum(apart, torch.abs(apart - ORIENTATIONS))
        votes = size * F.relu(1 - apart)
        return F.conv2d(votes, self.kernel, stride=CELL, padding=CELL // 2, groups=ORIENTATIONS)

    def forward(self, images: Tensor) -> Tensor:
        cells = self.cells(images)
        blocks = torch.cat([cells[..., :-1, :-1], cells[..., :-1, 1:], cells[..., 1:, :-1], cells[..., 1:, 1:]], dim=1)
        for _ in range(2):  # L2-Hys: normalise, clip, normalise
            blocks = blocks / torch.sqrt((blocks * blocks).sum(dim=1, keepdim=True) + 1e-3)
            blocks = torch.clamp(blocks, max=0.2) if _ == 0 else blocks
        return blocks.flatten(1)


class Colour(Feature):
    """Histograms of hue (weighted by colourfulness), of lightness and of colour as a whole, and mean, spread and skewness of
    every channel: for the whole picture, its centre and its quarters.
    """

    def forward(self, images: Tensor) -> Tensor:
        x = self.pixels(images) / 255
        h, w = int(x.shape[2]), int(x.shape[3])
        parts = [x, x[:, :, h // 4 : h - h // 4, w // 4 : w - w // 4]]
        parts += [x[:, :, i * h // 2 : (i + 1) * h // 2, j * w // 2 : (j + 1) * w // 2] for i in (0, 1) for j in (0, 1)]
        return torch.cat([self._cube(x), *(self._statistics(part) for part in parts)], dim=1)

    def _statistics(self, x: Tensor) -> Tensor:
        r, g, b = _channels(x)
        alpha, beta = r - (g + b) / 2, (g - b) * (math.sqrt(3) / 2)
        chroma = torch.sqrt(alpha * alpha + beta * beta)
        safe = torch.where(alpha == 0, torch.full_like(alpha, 1e-12), alpha)
        hue = torch.atan(beta / safe) + torch.where(alpha < 0, torch.full_like(alpha, math.pi), torch.zeros_like(alpha))
        hues = _votes(hue * (HUES / (2 * math.pi)), HUES, cyclic=True) * chroma
        light = _votes((r + g + b) / 3 * (LEVELS - 1), LEVELS)
        mean = x.mean(dim=(2, 3), keepdim=True)
        away = x - mean
        variance = (away * away).mean(dim=(2, 3))
        third = (away * away * away).mean(dim=(2, 3))
        moments = [mean.flatten(1), torch.sqrt(variance + TINY), third / torch.pow(variance + 1e-3, 1.5)]
        return torch.cat([torch.sqrt(hues.mean(dim=(2, 3)) + TINY), torch.sqrt(light.mean(dim=(2, 3)) + TINY), *moments], dim=1)

    def _cube(self, x: Tensor) -> Tensor:
        """Shares of 4 x 4 x 4 colours, neighbouring ones shared linearly."""
        n = x.shape[0]
        r, g, b = (_votes(one * (CUBE - 1), CUBE).flatten(2) for one in _channels(x))  # (n, 4, pixels)
        pairs = (r[:, :, None] * g[:, None, :]).flatten(1, 2)  # (n, 16, pixels)
        shares = torch.matmul(pairs, b.transpose(1, 2)) / (x.shape[2] * x.shape[3])
        return torch.sqrt(shares.reshape(n, CUBE**3) + TINY)


def _votes(position: Tensor, bins: int, *, cyclic: bool = False) -> Tensor:
    """(n, 1, h, w) positions in units of bins to (n, bins, h, w): each pixel shared by the two nearest bins."""
    apart = torch.abs(position - torch.arange(bins, dtype=torch.float32).view(1, -1, 1, 1))
    if cyclic:
        apart = torch.minimum(apart, torch.abs(apart - bins))
    return F.relu(1 - apart)


class Texture(Feature):
    """Uniform local binary patterns (Ojala et al. 2002, doi:10.1109/TPAMI.2002.1017623) of 8 neighbours at distances 1, 2, 4,
    in quarters of the picture, and Haralick's statistics of grey-level co-occurrence (1973, doi:10.1109/TSMC.1973.4309314).

    Computed on whole numbers: comparisons come out the same wherever they are made.
    """

    table: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.from_numpy(uniform_patterns()))

    def forward(self, images: Tensor) -> Tensor:
        grey = self.grey(images)
        return torch.cat(
            [self._patterns(grey, 1), self._patterns(grey, 2), self._patterns(grey, 4), self._together(grey)], dim=1
        )

    def _patterns(self, grey: Tensor, distance: int) -> Tensor:
        """Shares of the 59 patterns in each quarter, as square roots: (n, 4 * 59)."""
        d, h, w = distance, int(grey.shape[2]), int(grey.shape[3])
        middle = grey[:, 0, d : h - d, d : w - d]
        code = torch.zeros_like(middle)
        for bit, (dy, dx) in enumerate(((-d, -d), (-d, 0), (-d, d), (0, d), (d, d), (d, 0), (d, -d), (0, -d))):
            neighbour = grey[:, 0, d + dy : h - d + dy, d + dx : w - d + dx]
            code = code + (neighbour >= middle).float() * float(2**bit)
        named = self.table[code.long()]  # (n, h, w) numbers 0..58
        shown = (named[:, None] == torch.arange(59).view(1, -1, 1, 1)).float()
        rows, columns = (h - 2 * d) // 2, (w - 2 * d) // 2
        quarters = F.avg_pool2d(shown, (rows, columns), stride=(rows, columns))[:, :, :2, :2]
        return torch.sqrt(quarters.flatten(1) + TINY)

    def _together(self, grey: Tensor) -> Tensor:
        """Contrast, sameness, energy, entropy and correlation of grey levels 1 and 3 pixels apart, in 4 directions."""
        levels = torch.floor(grey / (65536 / GREY_LEVELS))
        shown = (levels == torch.arange(GREY_LEVELS, dtype=torch.float32).view(1, -1, 1, 1)).float()  # (n, 8, h, w)
        found = []
        for d in (1, 3):
            for dy, dx in ((0, d), (d, 0), (d, d), (d, -d)):
                found.append(_haralick(_cooccurrence(shown, dy, dx)))
        return torch.cat(found, dim=1)


def _cooccurrence(shown: Tensor, dy: int, dx: int) -> Tensor:
    """(n, levels, h, w) 0/1 to (n, levels, levels): shares of pairs of grey levels `dy`, `dx` pixels apart, symmetric."""
    h, w = int(shown.shape[2]), int(shown.shape[3])
    here = shown[:, :, : h - dy, max(0, -dx) : w - max(0, dx)].flatten(2)
    there = shown[:, :, dy:, max(0, dx) : w - max(0, -dx)].flatten(2)
    pairs = torch.matmul(here, there.transpose(1, 2))
    return (pairs + pairs.transpose(1, 2)) / (2 * (h - dy) * (w - abs(dx)))


def _haralick(pairs: Tensor) -> Tensor:
    """Five statistics (n, 5) of co-occurrence matrices (n, levels, levels)."""
    level = torch.arange(pairs.shape[1], dtype=torch.float32)
    apart = (level[:, None] - level[None, :]).view(1, GREY_LEVELS, GREY_LEVELS)
    mean = (pairs.sum(dim=2) * level).sum(dim=1)
    away = level.view(1, -1) - mean.view(-1, 1)
    variance = (pairs.sum(dim=2) * away * away).sum(dim=1)
    joint = (pairs * away[:, :, None] * away[:, None, :]).sum(dim=(1, 2))
    contrast = (pairs * apart * apart).sum(dim=(1, 2))
    same = (pairs / (1 + apart * apart)).sum(dim=(1, 2))
    energy = torch.sqrt((pairs * pairs).sum(dim=(1, 2)))
    entropy = -(pairs * torch.log(pairs + TINY)).sum(dim=(1, 2))
    return torch.stack([contrast, same, energy, entropy, joint / (variance + 0.01)], dim=1)


def uniform_patterns() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """(256,) numbers 0..57 for the circles with at most two changes between 0 and 1, 58 for all others."""
    table = np.full(256, 58, np.int64)
    number = 0
    for code in range(256):
        bits = [code >> bit & 1 for bit in range(8)]
        if sum(bits[i] != bits[i - 1] for i in range(8)) <= 2:
            table[code], number = number, number + 1
    return table
