"""The torch network of a trained bundle again: from its passport and weights.safetensors, pruned ones with their own shapes.

Knows how networks are named and built, not how they are trained or pruned.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.errors import BundleError, SightlineError, UsageError, missing_extra
from sightline.learn.backbones import OPTIONS
from sightline.runtime.bundle import WEIGHTS, Bundle, read_bundle, weights_of
from sightline.types import Card, Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sightline.learn.network import Classifier

PRETRAINED = ("probe", "fine-tune")  # ways whose networks have the layout of published weights
OTHERS = ("scratch", "dbn", "autoencoder")
DROPOUT = 0.2  # before the head while a pretrained network is trained on, as ways.prepare_network has it
AGAIN = "copy it again, or train it again"


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A bundle's network, float32 on the CPU, in evaluation mode: normalised (n, 3, size, size) -> logits before temperature.

    `facts` is what a weights file must say of it beside its architecture; `width` is of its features.
    """

    bundle: Bundle
    network: Classifier
    facts: Mapping[str, Any]

    @property
    def card(self) -> Card:
        return self.bundle.card

    @property
    def width(self) -> int:
        return self.network.head.in_features


def rebuilt(bundle: Path) -> Rebuilt:
    """The network of the bundle (a path, or a name as `find_bundle` takes it).

    Raises ModelNotFoundError, BundleError (damaged), UsageError (nothing to train on, or no plain classifier of pictures),
    MissingExtraError.
    """
    found = read_bundle(bundle)
    _check(found)
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load
    except ImportError as error:
        raise missing_extra("deep", "training a model on") from error
    content = weights_of(found)
    if content is None:
        raise _without(found)
    try:
        facts = _facts(content)
        network = shaped(found.card, facts, load(content))
    except (SafetensorError, ValueError, KeyError, AttributeError, RuntimeError, struct.error) as error:
        said = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise BundleError(f"{WEIGHTS} of the model {found.path} does not fit its network: {said[:240]}", hint=AGAIN) from error
    kept = {name: value for name, value in facts.items() if name != "architecture"}
    return Rebuilt(found, network, kept)


def shaped(card: Card, facts: Mapping[str, Any], state: Mapping[str, Tensor]) -> Classifier:
    """The network of a passport with the weights `state`, whose `facts` say what was changed since it was built: "removed" are
    blocks that are gone, "pruned" that layers have the channels of their weights, "built" the input size it was built for.

    Raises BundleError, and what torch raises where the weights do not fit.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        network = _built(card, facts)
    for name in facts.get("removed", ()):
        remove(network, name)
    if facts.get("pruned"):
        narrow(network, state)
    network.load_state_dict(state)
    return network.float().eval()


def _check(bundle: Bundle) -> None:
    """Refuse what is no classifier of pictures with a network of ours."""
    card = bundle.card
    if card.task in ("detection", "segmentation"):
        raise UsageError(
            f"the model {card.name} is for {card.task}, and only recognisers of whole pictures can be made smaller by training",
            hint="train a smaller one: `sightline train DATA --size tiny`",
        )
    if card.input.frames:
        raise UsageError(
            f"the model {card.name} answers for clips, and only recognisers of pictures can be made smaller by training",
            hint="train a smaller one: `sightline train CLIPS --way clip --size tiny`",
        )
    if WEIGHTS not in card.files or card.recipe.way not in (*PRETRAINED, *OTHERS):
        raise _without(bundle)
    if card.recipe.values.get("denoiser"):
        raise UsageError(
            f"the model {card.name} has a denoiser in front of its network, which is not trained on",
            hint="train it without --denoiser",
        )


def _without(bundle: Bundle) -> UsageError:
    made = {"classic": "it is a classic recogniser, without a network"}.get(bundle.card.recipe.way, f"it has no {WEIGHTS}")
    return UsageError(
        f"the model {bundle.card.name} cannot be trained on: {made}",
        hint="train a network with `sightline train DATA --way fine-tune` or --way scratch",
    )


def _facts(content: bytes) -> dict[str, Any]:
    """What the weights file says of its network (finish.py writes it); ValueError."""
    (length,) = struct.unpack("<Q", content[:8])
    said = json.loads(content[8 : 8 + length]).get("__metadata__", {}).get("sightline")
    facts = json.loads(said) if said else None
    if not isinstance(facts, dict) or "architecture" not in facts:
        raise ValueError("it does not say which network it is of")
    return facts


def _built(card: Card, facts: Mapping[str, Any]) -> Classifier:
    """The network as its training began, with other weights."""
    from sightline.learn.network import Classifier

    pretrained, size = card.recipe.way in PRETRAINED, int(facts.get("built", card.input.size))
    try:
        backbone, width = _pretrained(card.recipe.backbone, size, facts) if pretrained else _own(card.recipe, size)
    except BundleError:
        raise
    except SightlineError as error:
        raise BundleError(
            f"the network {card.recipe.backbone} of the model {card.name} cannot be built: {error.message}",
            hint="use the version of sightline that made it, or train it again",
        ) from error
    spec, dropout = card.input, DROPOUT if pretrained else 0.0
    return Classifier(backbone, width, len(card.classes), mean=spec.mean, std=spec.std, dropout=dropout)


def _pretrained(name: str, size: int, facts: Mapping[str, Any]) -> tuple[nn.Module, int]:
    """As backbones.build builds it, without asking for its first weights."""
    from sightline.learn.pooled import Pooled
    from sightline.learn.zoo.networks import as_published
    from sightline.learn.zoo.stems import fix_pooling

    options = {name: str(facts[name]) for name in OPTIONS if name in facts}
    network = as_published(name, size, options).eval()
    fix_pooling(network, size)
    module = Pooled(network, size)
    return module, module.width


def _own(recipe: Recipe, size: int) -> tuple[nn.Module, int]:
    """A network that was trained from scratch, or from layers that had learnt without labels."""
    from sightline.learn.layerwise import autoencoder, dbn
    from sightline.learn.network import small_resnet
    from sightline.learn.zoo.networks import from_scratch
    from sightline.learn.zoo.speed import SpeedNet

    if recipe.way == "dbn":
        return dbn.body(recipe.size)
    if recipe.way == "autoencoder":
        encoder = autoencoder.Encoder(recipe.size)
        return encoder, encoder.width
    if recipe.backbone == f"sightline-{recipe.size}":
        return small_resnet(recipe.size)
    body, width = from_scratch(recipe.backbone, size)
    quick = getattr(body, "network", None)
    if isinstance(quick, SpeedNet):  # it answers for a picture and its mirror image where it was trained on both
        quick.mirrored = bool(recipe.values.get("augment", {}).get("flip"))
    return body, width


def remove(network: nn.Module, name: str) -> None:
    """Take a residual block out: what came into it goes on unchanged. AttributeError for a name that is not there."""
    from torch import nn

    network.get_submodule(name)
    parent, _, own = name.rpartition(".")
    setattr(network.get_submodule(parent), own, nn.Identity())


def narrow(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give every layer the channels that `state` has for it, fewer than it was built with; the weights are still to be loaded.

    ValueError for a shape that no pruning makes of the layer.
    """
    from torch import nn

    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            new = state[f"{name}.weight"]
            if new.shape != module.weight.shape:
                _resize(module, new.shape, name)
        elif isinstance(module, nn.modules.batchnorm._BatchNorm):
            count = len(state[f"{name}.running_mean"])
            if count != module.num_features:
                resize_norm(module, count)


def _resize(module: nn.Conv2d | nn.Linear, shape: tuple[int, ...], name: str) -> None:
    """An untouched layer of the same kind with a weight of `shape`."""
    import torch
    from torch import nn

    old = module.weight.shape
    if len(shape) != len(old) or shape[2:] != old[2:] or any(new > most for new, most in zip(shape[:2], old[:2], strict=True)):
        raise ValueError(f"{name} has the shape {tuple(old)}, the file {tuple(shape)}")
    if isinstance(module, nn.Conv2d):
        if module.groups > 1 and module.groups == module.in_channels == module.out_channels:
            module.groups = shape[0]
        module.out_channels, module.in_channels = shape[0], shape[1] * module.groups
    else:
        module.out_features, module.in_features = shape[0], shape[1]
    module.weight = nn.Parameter(torch.zeros(shape))
    if module.bias is not None:
        module.bias = nn.Parameter(torch.zeros(shape[0]))


def resize_norm(module: nn.Module, count: int) -> None:
    """A batch norm of `count` channels: all that it keeps for each channel gets that length (ours keep more than torch's)."""
    import torch
    from torch import nn

    old = int(module.num_features)  # type: ignore[arg-type]
    for name, parameter in list(module.named_parameters(recurse=False)):
        if parameter.shape == (old,):
            setattr(module, name, nn.Parameter(torch.zeros(count)))
    for name, buffer in list(module.named_buffers(recurse=False)):
        if buffer.shape == (old,):
            setattr(module, name, torch.zeros(count))
    module.num_features = count  # type: ignore[assignment]
