"""Small windows of oriented gradients all over a picture: what SIFT describes, on a dense grid, inside the graph.

Prepared pictures in, rows as `runtime.keypoints.describe` gives them out; needs no OpenCV. Knows no visual words.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (its usual name)

ORIENTATIONS, SIDE = 8, 4  # a window has SIDE x SIDE cells
WIDTH = ORIENTATIONS * SIDE * SIDE
SCALES = ((1, 4), (1, 6), (2, 4), (3, 4))  # the picture made smaller by, and pixels of a cell in it: windows of 16 to 48 pixels
CEILING = 0.25


class Windows(nn.Module):
    """Dense SIFT-like descriptors (Lowe 2004, doi:10.1023/B:VISI.0000029664.99615.94; dense: Bosch et al. 2007,
    doi:10.1109/ICCV.2007.4409066): 8 directions in 4 x 4 cells, four scales, a window at every cell. Cells share gradients
    linearly; no rotation is taken out.
    """

    def forward(self, images: Tensor) -> Tensor:
        """uint8 (n, h, w, 3) to float32 (n, m, 3 + 128): 1, x and y in 0..1, the descriptor."""
        x = images.permute(0, 3, 1, 2).float()
        grey = torch.sqrt((0.299 * x[:, 0:1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:3]) / 255)
        found = []
        for smaller, cell in SCALES:
            seen = grey if smaller == 1 else F.avg_pool2d(grey, smaller)
            found.append(self._rows(_cells(seen, cell)))
        return torch.cat(found, dim=1)

    def _rows(self, cells: Tensor) -> Tensor:
        rows, columns = int(cells.shape[2]) - SIDE + 1, int(cells.shape[3]) - SIDE + 1
        shifted = [cells[:, :, i : i + rows, j : j + columns] for i in range(SIDE) for j in range(SIDE)]
        window = torch.cat(shifted, dim=1).flatten(2).transpose(1, 2)  # (n, m, 128)
        window = window / torch.sqrt((window * window).sum(dim=2, keepdim=True) + 0.02)  # the floor keeps flat windows short
        window = torch.clamp(window, max=CEILING)
        window = window / torch.sqrt((window * window).sum(dim=2, keepdim=True) + 1e-3)
        x = ((torch.arange(columns) + SIDE / 2) / int(cells.shape[3])).repeat(rows)
        y = ((torch.arange(rows) + SIDE / 2) / int(cells.shape[2])).repeat_interleave(columns)
        place = torch.stack([torch.ones_like(x), x, y], dim=1)
        return torch.cat([place[None] + 0 * window[..., :1], window], dim=2)  # so the graph takes any number of pictures


def reaches(side: int) -> list[float]:
    """The width of every window as a share of the picture's side, in the order of the rows."""
    found: list[float] = []
    for smaller, cell in SCALES:
        count = side // smaller // cell
        found += [SIDE / count] * (count - SIDE + 1) ** 2
    return found


def _cells(grey: Tensor, cell: int) -> Tensor:
    """(n, 1, h, w) to (n, 8, h / cell, w / cell): how much gradient of each direction, dark to light, a cell has."""
    across = F.pad(grey[..., 2:] - grey[..., :-2], (1, 1))
    down = F.pad(grey[..., 2:, :] - grey[..., :-2, :], (0, 0, 1, 1))
    size = torch.sqrt(across * across + down * down + 1e-12)
    safe = torch.where(across == 0, torch.full_like(across, 1e-12), across)
    half = torch.where(across < 0, torch.full_like(across, math.pi), torch.zeros_like(across))
    position = (torch.atan(down / safe) + half) * (ORIENTATIONS / (2 * math.pi))  # -2 .. 6
    apart = torch.abs(position - torch.arange(ORIENTATIONS, dtype=torch.float32).view(1, -1, 1, 1))
    votes = size * F.relu(1 - torch.minimum(apart, torch.abs(apart - ORIENTATIONS)))
    ramp = 1 - torch.abs(torch.arange(2 * cell) - (cell - 0.5)) / cell
    kernel = (ramp[:, None] * ramp[None, :]).expand(ORIENTATIONS, 1, -1, -1).contiguous()
    high, wide = int(grey.shape[2]) // cell * cell, int(grey.shape[3]) // cell * cell
    return F.conv2d(votes[..., :high, :wide], kernel, stride=cell, padding=cell // 2, groups=ORIENTATIONS)
