"""Many local descriptors to one vector: bag of visual words, and VLAD. Rows of descriptors in, numbers out.

Knows neither where rows come from nor classes. Words are arrays that `words.py` finds.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from sightline.learn.classic.words import Vocabulary

TINY = 1e-6
SHARPNESS = 30.0  # how much nearer a word must be to take a descriptor for itself alone; descriptors are about 1 long


class Bag(nn.Module):
    """How often each visual word occurs in the picture and in its quarters (Csurka et al. 2004; Lazebnik et al. 2006,
    doi:10.1109/CVPR.2006.68), or how far from its word each descriptor lies (VLAD, Jegou et al. 2010,
    doi:10.1109/CVPR.2010.5540039) with every word's part of one length (Arandjelovic and Zisserman 2013,
    doi:10.1109/CVPR.2013.207). Roots are taken and the whole has length 1 (Perronnin et al. 2010,
    doi:10.1007/978-3-642-15561-1_11). A descriptor between two words counts for both (Philbin et al. 2008,
    doi:10.1109/CVPR.2008.4587635), which also keeps the numbers from jumping.
    """

    mean: Tensor
    turn: Tensor
    words: Tensor

    def __init__(self, vocabulary: Vocabulary, *, vlad: bool) -> None:
        super().__init__()
        self.vlad = vlad
        for name in ("mean", "turn", "words"):
            self.register_buffer(name, torch.from_numpy(np.array(getattr(vocabulary, name), np.float32, order="C")))

    def forward(self, keypoints: Tensor) -> Tensor:
        """float32 (n, m, 3 + d), as `runtime.keypoints.describe` gives it, to (n, 5 * words) or (n, words * k)."""
        rows, counted = self.assigned(keypoints)
        if self.vlad:
            away = torch.matmul(counted.transpose(1, 2), rows) - counted.sum(dim=1)[..., None] * self.words
            away = away / torch.sqrt((away * away).sum(dim=2, keepdim=True) + TINY)
            return _unit(_root(away.flatten(1)))
        x, y = keypoints[..., 1:2], keypoints[..., 2:3]
        left, top = (x < 0.5).float(), (y < 0.5).float()
        parts = [torch.ones_like(x), left * top, (1 - left) * top, left * (1 - top), (1 - left) * (1 - top)]
        counts = torch.matmul(torch.cat(parts, dim=2).transpose(1, 2), counted)  # (n, 5, words)
        shares = counts / (counts.sum(dim=2, keepdim=True) + TINY)
        return _unit(torch.sqrt(shares + TINY).flatten(1))

    def assigned(self, keypoints: Tensor) -> tuple[Tensor, Tensor]:
        """Turned descriptors (n, m, k), and how much each counts for each word (n, m, words); padding counts for none."""
        rows = torch.matmul(keypoints[..., 3:] - self.mean, self.turn)
        distance = (self.words * self.words).sum(dim=1) - 2 * torch.matmul(rows, self.words.t())
        return rows, torch.softmax(-SHARPNESS * distance, dim=2) * keypoints[..., :1]


def _root(x: Tensor) -> Tensor:
    """sign(x) sqrt(|x|), straight near 0 where the root would blow up rounding."""
    return x / torch.sqrt(torch.abs(x) + 1e-3)


def _unit(x: Tensor) -> Tensor:
    return x / torch.sqrt((x * x).sum(dim=1, keepdim=True) + TINY)
