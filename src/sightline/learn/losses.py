"""What a network's answers are measured by: cross-entropy or focal loss, for one class or several labels a picture.

Tensors in, one number out; knows no pictures, no teacher and no optimiser.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from sightline.learn.values import Loss


def loss_of(
    logits: Tensor,
    soft: Tensor,
    multilabel: bool,
    weights: Tensor | None = None,
    smoothing: float = 0.0,
    *,
    kind: Loss = "cross-entropy",
    gamma: float = 2.0,
) -> Tensor:
    """Mean loss of logits (n, classes) against soft targets (n, classes).

    `weights` (classes,): of the classes; for several labels of their positives. `smoothing`: single-label only. `gamma`: focal
    only.
    """
    if kind == "focal":
        return focal_labels(logits, soft, gamma, weights) if multilabel else focal(logits, soft, gamma, weights, smoothing)
    if multilabel:
        return functional.binary_cross_entropy_with_logits(logits, soft, pos_weight=weights)
    return functional.cross_entropy(logits, soft, weight=weights, label_smoothing=smoothing)


def focal(logits: Tensor, soft: Tensor, gamma: float, weights: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
    """Focal loss with softmax: mean of -sum t (1 - p)^gamma log p (arXiv 1708.02002, equation 4; class weights are its alpha).

    Targets of mixed pictures and smoothed labels count by their share; gamma 0 is cross-entropy.
    """
    if smoothing:
        soft = soft * (1 - smoothing) + smoothing / soft.shape[1]
    logs = functional.log_softmax(logits, 1)
    terms = soft * (1 - logs.exp()).clamp_min(0) ** gamma * logs
    if weights is not None:
        terms = terms * weights
    return -terms.sum(1).mean()


def focal_labels(logits: Tensor, soft: Tensor, gamma: float, weights: Tensor | None = None) -> Tensor:
    """Focal loss of independent yes/no answers, mean over pictures and labels (arXiv 1708.02002, equation 4 for each label)."""
    yes, no = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    sure = torch.sigmoid(logits)
    positive = soft * (1 - sure) ** gamma * yes
    if weights is not None:
        positive = positive * weights
    return -(positive + (1 - soft) * sure**gamma * no).mean()
