"""What a wrong box costs: overlap with the distance of centres and shapes, and the spread of its sides. Knows no network.

Sources: complete IoU (Zheng et al. 2020, arXiv 1911.08287), distribution focal loss (Li et al. 2020, arXiv 2006.04388).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def complete_iou(found: Tensor, there: Tensor) -> Tensor:
    """Complete IoU (k,) of boxes (k, 4) in pairs: 1 for equal ones, below 0 for far ones."""
    low, high = torch.maximum(found[:, :2], there[:, :2]), torch.minimum(found[:, 2:], there[:, 2:])
    shared = (high - low).clamp_min(0).prod(1)
    sides, goal = (found[:, 2:] - found[:, :2]).clamp_min(1e-3), (there[:, 2:] - there[:, :2]).clamp_min(1e-3)
    iou = shared / (sides.prod(1) + goal.prod(1) - shared).clamp_min(1e-6)
    around = torch.maximum(found[:, 2:], there[:, 2:]) - torch.minimum(found[:, :2], there[:, :2])
    apart = (found[:, :2] + found[:, 2:] - there[:, :2] - there[:, 2:]).square().sum(1) / 4
    shape = (torch.atan(goal[:, 0] / goal[:, 1]) - torch.atan(sides[:, 0] / sides[:, 1])).square() * (4 / math.pi**2)
    with torch.no_grad():
        weight = shape / (1 - iou + shape).clamp_min(1e-6)
    return iou - apart / around.square().sum(1).clamp_min(1e-6) - weight * shape


def distribution_loss(logits: Tensor, distances: Tensor) -> Tensor:
    """(k,): cross-entropy of the two bins beside the true distance; logits (k, 4, bins), distances (k, 4) in bins."""
    last = logits.shape[-1] - 1
    goal = distances.clamp(0, last - 0.01)
    left = goal.floor()
    share = goal - left
    said = functional.log_softmax(logits, -1)
    lower = said.gather(-1, left.long().unsqueeze(-1)).squeeze(-1)
    upper = said.gather(-1, (left.long() + 1).unsqueeze(-1)).squeeze(-1)
    return -(lower * (1 - share) + upper * share).mean(1)
