"""Unstructured pruning: single weights become zero, the smallest first, and stay zero while the others are trained on.

What it gives is a smaller download: zeros compress, and a bundle can be a zip. The file unpacked and the time for an answer
stay as they were, since the engine multiplies with zeros as with any number. Who wants speed prunes channels (pruning.py).

Gradual magnitude pruning (Zhu and Gupta 2017, arXiv 1710.01878), every layer alike; depthwise kernels, the first layer and the
head have few weights and keep them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.errors import UsageError
from sightline.learn.shrinking import rounds, student
from sightline.learn.shrinking.network import rebuilt
from sightline.learn.shrinking.pruning import plan_for
from sightline.learn.shrinking.rounds import State
from sightline.types import Dataset

if TYPE_CHECKING:
    from torch import Tensor

    from sightline.learn.finish import Trained
    from sightline.learn.network import Classifier


def sparse(
    bundle: Path,
    dataset: Dataset,
    share: float,
    run: Path,
    *,
    minutes: float | None = None,
    epochs: int | None = None,
    seed: int = 0,
) -> Trained:
    """The bundle's network with `share` of its layers' weights set to zero, trained on with its unpruned self as teacher.

    Arguments and errors as of `pruning.pruned`. The recipe's "sparse" says how many of all weights are zero, and the bytes of
    model.onnx before and after, compressed by zlib.
    """
    if not 0 < share < 1:
        raise UsageError(f"the share of weights set to zero must be between 0 and 1, got {share:g}", hint="such as 0.8")
    parent = rebuilt(bundle)
    card = parent.card
    if not thinned(parent.network):
        raise UsageError(f"{card.name} has no layer whose weights could be zero", hint="make it smaller in another way")
    material = student.material_for(card, dataset, seed)
    prepared = student.prepared_for(parent, parent.network, material, spec=card.input, plan=plan_for(card), epochs=epochs)
    work = rounds.Work(parent, prepared.data, prepared.plan, run)
    course = rounds.course(work, share, minutes, epochs)
    state = State(parent.network, tuple(parent.facts.get("removed", ())))
    for number in range(course.rounds):
        now = share * (1 - (1 - (number + 1) / course.rounds) ** 3)  # the paper's equation 1: quick first, careful in the end
        state = rounds.after(work, number, state, partial(_thin, now), around=held)
    zeros = zero_share(state.network)
    with held(state.network):
        found = student.trained(
            parent,
            material,
            replace(prepared, network=state.network),
            run / "tuned",
            minutes=course.minutes,
            why=f"{card.recipe.backbone} of {card.name} with {zeros:.0%} of its weights zero, taught by it",
            values={"sparse": {"asked": share, "zeros": round(zeros, 4), "rounds": course.rounds}},
        )
    sizes = [len(zlib.compress(onnx, 9)) for onnx in (parent.bundle.onnx, found.onnx)]
    said: dict[str, Any] = {**found.recipe.values["sparse"], "zeros": round(zero_share(state.network), 4), "compressed": sizes}
    values = {**found.recipe.values, "sparse": said}
    return replace(found, recipe=found.recipe.model_copy(update={"values": values}))


def thinned(network: Classifier) -> dict[str, Tensor]:
    """The weights by name that may become zero: of full convolutions and linear layers, but the first and the head."""
    from torch import nn

    layers = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    return {
        f"{name}.weight": module.weight
        for name, module in layers
        if name != "head" and not (isinstance(module, nn.Conv2d) and (module.groups > 1 or module.in_channels == 3))
    }


def zero_share(network: Classifier) -> float:
    """Of all parameters."""
    every = list(network.parameters())
    return sum(int((parameter == 0).sum()) for parameter in every) / sum(parameter.numel() for parameter in every)


def _thin(share: float, state: State) -> State:
    """The smallest weights of each layer set to zero, in place."""
    import torch

    with torch.no_grad():
        for weight in thinned(state.network).values():
            stay = torch.ones(weight.numel())
            stay[weight.abs().flatten().topk(int(share * weight.numel()), largest=False).indices] = 0
            weight.mul_(stay.view(weight.shape))
    return state


@contextmanager
def held(network: Classifier) -> Iterator[None]:
    """Weights that are zero stay zero while the network is trained: they are set back after every step, whatever moved them
    (an optimiser may move a weight without a gradient of its own: momentum, decay, Muon's mixed directions).
    """
    import torch
    from torch.optim.optimizer import register_optimizer_step_post_hook

    masks = {name: weight.detach() != 0 for name, weight in thinned(network).items()}

    def again(*_: object) -> None:
        with torch.no_grad():
            for name, weight in thinned(network).items():
                weight.mul_(masks[name].to(weight.device))

    handle = register_optimizer_step_post_hook(again)
    try:
        yield
    finally:
        handle.remove()
