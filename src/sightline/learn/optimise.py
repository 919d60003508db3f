"""What moves the weights: parameter groups with layer-wise rates, the optimiser, the rate's schedule, averaged weights. Knows
no data.
"""

from __future__ import annotations

import copy
import math
from typing import cast

import torch
from torch import Tensor, nn

from sightline.errors import UsageError
from sightline.learn.muon import KERNELS, Muon
from sightline.learn.network import Trainable, depth_groups
from sightline.learn.plan import Plan
from sightline.learn.values import Schedule

ONE_CYCLE = 0.3  # share of all steps in which a one-cycle schedule rises, at least


def freeze(model: Trainable, blocks: int) -> None:
    """The first `blocks` blocks keep their weights; the head is always trained."""
    groups = depth_groups(model)[:-1]
    still = {name for group in groups[:blocks] for name in group}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in still)


def training_mode(model: Trainable, plan: Plan) -> None:
    """`model.train()`, but norms with frozen statistics (all of the backbone's, or those whose weights are frozen) stay as in
    evaluation.
    """
    model.train()
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            still = module.weight is not None and not module.weight.requires_grad
            if still or (plan.freeze_norm and name.startswith("backbone.")):
                module.eval()


def parameter_groups(model: Trainable, plan: Plan) -> list[dict[str, object]]:
    """Groups for an optimiser: rate lr * layer_decay^(blocks to the head); no weight decay for biases and norms. `base` is the
    full rate.
    """
    parameters = dict(model.named_parameters())
    groups: list[dict[str, object]] = []
    depth = depth_groups(model)
    for index, names in enumerate(depth):
        rate = plan.lr * plan.layer_decay ** (len(depth) - 1 - index)
        trained = [parameters[name] for name in names if parameters[name].requires_grad]
        for decayed in (True, False):
            chosen = [parameter for parameter in trained if (parameter.ndim > 1) == decayed]
            if chosen:
                quick = not decayed and index + 1 < len(depth)  # the head's own biases are answers: they keep its rate
                own, decay = rate * plan.bias_rate if quick else rate, plan.weight_decay if decayed else 0.0
                groups.append({"params": chosen, "lr": own, "base": own, "weight_decay": decay})
    return groups


def _with_kernels(model: Trainable, groups: list[dict[str, object]]) -> list[dict[str, object]]:
    """The groups with kernels apart, as Muon wants them; UsageError where one is not followed by a norm."""
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    if not convolutions or any(module.bias is not None or module.groups > 1 for module in convolutions):
        raise UsageError(
            "optimiser=muon is for networks of plain convolutions without biases, each followed by batch norm",
            hint="such as --backbone speednet or resnet20; others learn with adamw or sgd",
        )
    kernels = {id(module.weight) for module in convolutions}
    found: list[dict[str, object]] = []
    for group in groups:
        parameters, base = cast(list[Tensor], group["params"]), cast(float, group["base"])
        rest = [parameter for parameter in parameters if id(parameter) not in kernels]
        own = [parameter for parameter in parameters if id(parameter) in kernels]
        if rest:
            found.append({**group, "params": rest})
        if own:
            found.append({**group, "params": own, "kernels": True, "lr": base * KERNELS, "base": base * KERNELS})
    return found


def optimiser_for(model: Trainable, plan: Plan) -> torch.optim.Optimizer:
    groups = parameter_groups(model, plan)
    if plan.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=plan.lr, momentum=plan.momentum, nesterov=plan.momentum > 0, fused=True)
    if plan.optimiser == "muon":
        return Muon(_with_kernels(model, groups), plan.lr, plan.momentum)
    return torch.optim.AdamW(groups, lr=plan.lr, fused=True)  # one pass over memory: 8 % of a ResNet-18 step


def rate(step: int, steps: int, warmup: float, schedule: Schedule = "cosine") -> float:
    """Share of the full rate at `step` of `steps`: a linear rise over the share `warmup`, then as `schedule` says.

    cosine: half a cosine down to 0 (arXiv 1608.03983). linear: straight down to 0. step: a tenth after half, a hundredth after
    three quarters (arXiv 1512.03385, section 4.2). constant: full. one-cycle (arXiv 1708.07120) rises from a 25th over at
    least ONE_CYCLE of all steps and falls to nothing, by halves of a cosine; momentum goes the other way (`momentum`).
    """
    if schedule == "one-cycle":
        peak = _peak(steps, warmup)
        return _eased(1 / 25, 1, (step + 1) / peak) if step < peak else _eased(1, 1e-5, (step + 1 - peak) / (steps - peak))
    rise = max(1, round(steps * warmup))
    if step < rise:
        return (step + 1) / rise
    done = (step - rise) / max(1, steps - rise)
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))
    if schedule == "linear":
        return 1 - done
    if schedule == "step":
        return 1.0 if done < 0.5 else 0.1 if done < 0.75 else 0.01
    return 1.0


def momentum(step: int, steps: int, warmup: float) -> float:
    """Of a one-cycle schedule: from 0.95 to 0.85 while the rate rises, and back (arXiv 1803.09820, section 4.3)."""
    peak = _peak(steps, warmup)
    return _eased(0.95, 0.85, (step + 1) / peak) if step < peak else _eased(0.85, 0.95, (step + 1 - peak) / (steps - peak))


def _peak(steps: int, warmup: float) -> int:
    """Steps until a one-cycle schedule is at its highest; some are left to come down again."""
    return max(1, min(round(steps * max(warmup, ONE_CYCLE)), steps - 1))


def _eased(first: float, last: float, done: float) -> float:
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * min(done, 1)))


def set_pace(optimiser: torch.optim.Optimizer, step: int, steps: int, plan: Plan) -> None:
    """Every group's rate, and momentum where the schedule moves it, for this step."""
    set_rate(optimiser, rate(step, steps, plan.warmup, plan.schedule))
    if plan.schedule != "one-cycle":
        return
    now = momentum(step, steps, plan.warmup)
    for group in optimiser.param_groups:
        if "betas" in group:
            group["betas"] = (now, group["betas"][1])
        elif group.get("momentum"):
            group["momentum"] = now


def set_rate(optimiser: torch.optim.Optimizer, share: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = group["base"] * share


class Average:
    """An exponential moving average of a model's weights and norm statistics (Polyak averaging); `decay` 0 follows the
    model.
    """

    def __init__(self, model: Trainable, decay: float) -> None:
        self.model: Trainable = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay
        mine, theirs = self.model.state_dict(), model.state_dict()
        self._pairs = [(mine[name], theirs[name]) for name in mine if mine[name].is_floating_point()]
        self._counts = [(mine[name], theirs[name]) for name in mine if not mine[name].is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow the model after `step` steps; young averages follow faster, so that they are not made of the first weights."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        mine, theirs = [pair[0] for pair in self._pairs], [pair[1] for pair in self._pairs]
        torch._foreach_lerp_(mine, theirs, weight)
        for kept, new in self._counts:
            kept.copy_(new)


def class_weights(targets: Tensor, classes: int, above: float) -> Tensor | None:
    """Loss weights (classes,) for class numbers (n,) or label sets (n, classes), or None when no class is rarer than 1 /
    `above`.

    Single-label: the inverse root of the frequency, mean 1 over the pictures. Multilabel: the weight of a label's positives,
    the root of negatives / positives, in 1..10. Roots, since full inverse weights overfit a rare class's few pictures.
    """
    if targets.ndim == 2:
        positives = targets.sum(0).clamp_min(1)
        share = positives / len(targets)
        return None if float(positives.max() / positives.min()) <= above else ((1 - share) / share).sqrt().clamp(1, 10)
    counts = torch.bincount(targets, minlength=classes).float()
    present = counts[counts > 0]
    if float(present.max() / present.min()) <= above:
        return None
    weights = counts.clamp_min(1).rsqrt()
    return weights / weights[targets].mean()
