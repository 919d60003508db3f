"""A narrower student of a trained network, or the same network for a smaller input, taught by its parent.

Width and resolution multipliers after Howard et al. 2017 (arXiv 1704.04861), distillation after Hinton et al. 2015 (arXiv
1503.02531). A student begins with the parent's most important channels. Knows not what is gained by it: the caller measures.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sightline.errors import UsageError
from sightline.learn.plan import Plan
from sightline.learn.shrinking import student
from sightline.learn.shrinking.network import PRETRAINED, Rebuilt, rebuilt
from sightline.types import Card, Dataset, InputSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from sightline.learn.finish import Trained
    from sightline.learn.network import Classifier
    from sightline.learn.shrinking.channels import Channels

LOW, HIGH = 0.1, 1.0  # widths
LEAST = 32  # pixels a side that a student sees, at least
ROUND = 8  # channels come in eights: vector registers hold so many
RATE = 2e-3  # of all layers of a narrowed pretrained network: more than fine-tuning's, it has to find its features again
LONGER = 2  # times the epochs of fine-tuning, for a narrowed pretrained network


def narrower(
    bundle: Path,
    dataset: Dataset,
    run: Path,
    *,
    width: float = 1.0,
    input_size: int | None = None,
    minutes: float | None = None,
    epochs: int | None = None,
    seed: int = 0,
    inherit: bool = True,
) -> Trained:
    """A student with `width` times the channels of the bundle's network everywhere (in eights), for pictures of `input_size`.

    `dataset` is divided and has the model's classes. `run`: the folder of this training, where a stopped one goes on.
    `inherit`: its first weights are those of the parent's most important channels; else they are drawn. At width 1 the
    network is the parent's own.

    Raises UsageError (a width outside 0.1 to 1, an input that is too small or larger than the parent's, a bundle without
    weights, a network that has no widths), DatasetError (other classes), BundleError, StoppedError, ParityError.
    """
    if not LOW <= width <= HIGH:
        raise UsageError(f"the width must be from {LOW:g} to {HIGH:g}, got {width:g}", hint="such as 0.5: half the channels")
    parent = rebuilt(bundle)
    spec = _spec(parent, input_size)
    material = student.material_for(parent.card, dataset, seed)
    before = multiply_adds(parent.network, parent.card.input.size)
    network = _narrowed(parent, width, inherit=inherit, seed=seed)
    values: dict[str, Any] = {"multiply_adds": [before, multiply_adds(network, spec.size)]}
    facts: dict[str, Any] = {}
    if width < 1:
        values |= {"width": round(width * parent.card.recipe.values.get("width", 1.0), 4), "inherited": inherit}
        facts["pruned"] = True
    if spec.size != parent.card.input.size:
        facts["built"] = parent.facts.get("built", parent.card.input.size)  # its stem stays what it was at that size
    prepared = student.prepared_for(parent, network, material, spec=spec, plan=plan_for(parent.card, width), epochs=epochs)
    return student.trained(
        parent,
        material,
        prepared,
        run / "narrower",
        minutes=minutes,
        why=_why(parent.card, width, spec),
        values=values,
        facts=facts,
    )


def _why(card: Card, width: float, spec: InputSpec) -> str:
    what = f"{card.recipe.backbone} of {card.name}"
    narrow = f"{width:g} times as wide" if width < 1 else ""
    small = f"for {spec.size} instead of {card.input.size} px" if spec.size != card.input.size else ""
    return f"{what}, {' and '.join(part for part in (narrow, small) if part) or 'trained on'}, taught by it"


def plan_for(card: Card, width: float) -> Plan:
    """The parent's own plan; a narrowed pretrained network learns in all layers, with norms that find new statistics."""
    plan = replace(student.plan_of(card), frozen=0, freeze_norm=False)
    if card.recipe.way not in PRETRAINED:
        return plan
    if width == 1:
        return plan
    return replace(plan, lr=RATE, layer_decay=1.0, epochs=LONGER * plan.epochs)


def _spec(parent: Rebuilt, input_size: int | None) -> InputSpec:
    """The parent's preparation at the new size; UsageError for one that its network does not take."""
    card = parent.card
    if input_size is None or input_size == card.input.size:
        return card.input
    if input_size > card.input.size:
        raise UsageError(
            f"a student's input is no larger than its parent's {card.input.size} px, got {input_size}",
            hint=f"choose a size from {LEAST} to {card.input.size}",
        )
    if input_size < LEAST or not takes(parent.network, input_size):
        sizes = (size for size in range(LEAST, card.input.size, 16) if size > input_size and takes(parent.network, size))
        least = next(sizes, None)
        raise UsageError(
            f"the network {card.recipe.backbone} of {card.name} does not take pictures of {input_size} px",
            hint=f"choose a size of {least} or more" if least else "leave its input as it is, or choose a smaller width",
        )
    return card.input.model_copy(update={"size": input_size})


def takes(network: Classifier, size: int) -> bool:
    """Whether the network answers for blank pictures of `size` pixels a side."""
    import torch

    try:
        with torch.inference_mode():
            network(torch.zeros(1, 3, size, size))
    except (RuntimeError, ValueError, AssertionError, IndexError):
        return False
    return True


def multiply_adds(network: Classifier, size: int) -> int:
    """Of one picture, counted by torch (which counts two for each)."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, size, size))
    return int(counter.get_total_flops()) // 2


def _narrowed(parent: Rebuilt, width: float, *, inherit: bool, seed: int) -> Classifier:
    """The parent's network, its channels cut in place; with `inherit` off, first weights instead of the parent's."""
    import torch

    from sightline.learn.reproduce import seed_of

    network = parent.network
    if width < 1:
        narrow(network, width, parent.card.input.size, parent.card.recipe.backbone)
    if not inherit:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(seed, "student", 0))
            redraw(network)
    return network


def narrow(network: Classifier, width: float, size: int, name: str) -> None:
    """Keep the share `width` of the channels of each group that goes together, in eights: those with the largest weights in all
    layers that hold them (Li et al. 2016, arXiv 1608.08710). UsageError for a network that cannot be cut so.
    """
    import numpy as np

    from sightline.learn.shrinking.channels import cut
    from sightline.learn.shrinking.tracing import traced

    channels = traced(network, size)
    strong = strength(network, channels)
    kept = np.ones(channels.count, bool)
    for group in channels.groups:
        stay = max(ROUND, round(len(group) * width / ROUND) * ROUND)
        kept[group[np.argsort(-strong[group], kind="stable")[stay:]]] = False
    if kept.all():
        raise UsageError(
            f"the network {name} has no narrower form: its channels cannot go one by one, or are no more than {ROUND}",
            hint="choose a smaller input, or train a smaller network",
        )
    cut(network, channels, kept)


def strength(network: Classifier, channels: Channels) -> NDArray[np.float64]:
    """Of each channel's number, the sum of its absolute weights over all layers that make or take it, (count,).

    Each layer's sums are divided by their mean, so that large and small layers count alike; those of a batch norm are its
    scales.
    """
    import numpy as np

    found = np.zeros(channels.count)
    layers = {name: network.get_submodule(name).weight for name in channels.layers}
    sides = [(name, 0, numbers) for name, numbers in channels.outs.items()]
    sides += [(name, 1, numbers) for name, numbers in channels.ins.items() if not channels.layers[name].depthwise]
    for name, axis, numbers in sides:
        weight = cast("Tensor", layers[name]).detach().abs().double().numpy()
        each = weight.sum(axis=tuple(other for other in range(weight.ndim) if other != axis))
        if len(each) == len(numbers):  # a convolution in groups takes its channels in parts
            np.add.at(found, numbers, each / max(each.mean(), 1e-12))
    for name, numbers in channels.norms.items():
        scale = dict(network.get_submodule(name).named_parameters(recurse=False)).get("weight")
        if scale is not None:
            each = scale.detach().abs().double().numpy()
            np.add.at(found, numbers, each / max(each.mean(), 1e-12))
    return found


def redraw(network: nn.Module) -> None:
    """First weights for every layer, as its library draws them."""
    for module in network.modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
