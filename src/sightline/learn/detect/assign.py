"""Which place of a detector's maps answers for which object while it learns: task-aligned assignment, all pictures at once.

Source: TOOD (Feng et al. 2021, arXiv 2108.07755), section 3.2; the numbers are PP-YOLOE's (arXiv 2203.16250). Knows no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from sightline.learn.detect.network import Target

ALPHA, BETA = 1.0, 6.0  # what score and overlap count in "alignment": score^ALPHA * IoU^BETA
TOP = 13  # places that answer for an object at most
SMALL = 1.0  # sides of objects are at least so many strides of the finest map, where places inside them are looked for
AT_ONCE = 20_000_000  # numbers of a (pictures, objects, places) table; with more, pictures are taken in parts


class Assigned(NamedTuple):
    """For each of n pictures and a places: what it has to answer."""

    objects: Tensor  # bool (n, a): answers for one at all
    boxes: Tensor  # float32 (n, a, 4) the object's box, pixels; anything where there is none
    scores: Tensor  # float32 (n, a, c) what its scores should be; 0 where there is none
    counted: Tensor  # bool (n, a): no, where it lies in a region that is neither asked for nor wrong


def ious(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes (..., p, 4) with boxes (..., q, 4): (..., p, q)."""
    low = torch.maximum(a[..., :, None, :2], b[..., None, :, :2])
    high = torch.minimum(a[..., :, None, 2:], b[..., None, :, 2:])
    shared = (high - low).clamp_min(0).prod(-1)
    return shared / (_area(a)[..., :, None] + _area(b)[..., None, :] - shared).clamp_min(1e-9)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).clamp_min(0).prod(-1)


@torch.no_grad()
def assign(scores: Tensor, boxes: Tensor, points: Tensor, stride: float, targets: Sequence[Target]) -> Assigned:
    """Scores (n, a, c) in 0..1 and boxes (n, a, 4) as answered at `points` (a, 2), `stride` pixels apart on the finest map."""
    most = max((len(target.labels) for target in targets), default=0)
    fit = max(1, AT_ONCE // max(1, most * len(points)))
    parts = [
        _assign(scores[at : at + fit], boxes[at : at + fit], points, stride, targets[at : at + fit])
        for at in range(0, len(targets), fit)
    ]
    return parts[0] if len(parts) == 1 else Assigned(*(torch.cat(each) for each in zip(*parts, strict=True)))


def _assign(scores: Tensor, boxes: Tensor, points: Tensor, stride: float, targets: Sequence[Target]) -> Assigned:
    n, places = scores.shape[:2]
    there, labels, real = _padded(targets, scores.device)
    counted = _counted(points, targets)
    if not there.shape[1]:
        nothing = torch.zeros_like(counted)
        return Assigned(nothing, torch.zeros_like(boxes), torch.zeros_like(scores), counted)
    middle, half = (there[..., :2] + there[..., 2:]) / 2, (there[..., 2:] - there[..., :2]) / 2
    reach = half.clamp_min(stride * SMALL / 2)
    inside = ((points.view(1, 1, -1, 2) - middle[:, :, None]).abs() <= reach[:, :, None]).all(-1) & real[..., None]
    overlap = ious(there, boxes)  # (n, m, a)
    own = scores.gather(2, labels[:, None, :].expand(n, places, -1)).transpose(1, 2)
    # far from any overlap, as at the start, the nearest places answer
    near = 1e-9 / (1 + (points.view(1, 1, -1, 2) - middle[:, :, None]).square().sum(-1))
    aligned = (own.pow(ALPHA) * overlap.pow(BETA) + near) * inside
    top = aligned.topk(min(TOP, places), dim=2)
    chosen = torch.zeros_like(inside).scatter_(2, top.indices, top.values > 0)
    rank = torch.where(chosen, overlap + near, -1.0)  # a place that several want answers for the one that it overlaps most
    best = rank.argmax(1)  # (n, a)
    objects = chosen.any(1)
    wanted = chosen & (torch.arange(there.shape[1], device=best.device)[None, :, None] == best[:, None, :])
    aligned, overlap = aligned * wanted, overlap * wanted
    scaled = aligned / aligned.amax(2, keepdim=True).clamp_min(1e-12) * overlap.amax(2, keepdim=True)
    rate = scaled.sum(1)  # each place has one object at most
    number = labels.gather(1, best)
    goal = torch.zeros_like(scores).scatter_(2, number[..., None], rate[..., None] * objects[..., None])
    return Assigned(objects, there.gather(1, best[..., None].expand(-1, -1, 4)), goal, counted | objects)


def _padded(targets: Sequence[Target], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes (n, m, 4), labels (n, m) and which of them are real (n, m), for pictures with different numbers of objects."""
    pad = torch.nn.utils.rnn.pad_sequence
    boxes = pad([target.boxes for target in targets], batch_first=True).to(device)
    labels = pad([target.labels for target in targets], batch_first=True).to(device)
    counts = torch.tensor([len(target.labels) for target in targets], device=device)
    return boxes, labels, torch.arange(boxes.shape[1], device=device)[None] < counts[:, None]


def _counted(points: Tensor, targets: Sequence[Target]) -> Tensor:
    """bool (n, a): the place lies in no region that is left out."""
    rows = []
    for target in targets:
        out = target.ignored.to(points.device)
        inside = (points[None] >= out[:, None, :2]).all(-1) & (points[None] <= out[:, None, 2:]).all(-1)
        rows.append(~inside.any(0))
    return torch.stack(rows)
