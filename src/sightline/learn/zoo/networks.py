"""Networks built by name at a size: as published, for pretrained weights; or fitted to small pictures, to train from scratch.

Knows timm and torchvision, not weights' files and not training.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from sightline.errors import UsageError, missing_extra
from sightline.learn import own
from sightline.learn.search.cells import build
from sightline.learn.search.space import is_cell, read
from sightline.learn.zoo import stems
from sightline.learn.zoo.names import LEAST, Entry, check, find, timm
from sightline.learn.zoo.speed import SpeedNet
from sightline.learn.zoo.stacks import stack

SIZES = (32, 48, 64, 96, 128, 160, 192, 224, 256, 288, 320, 384, 448, 512)  # tried to say what the least input is
_REFUSALS = (RuntimeError, ValueError, TypeError, AssertionError, IndexError, ZeroDivisionError)
_TRANSFORMERS = ("timm.models.vision_transformer", "timm.models.deit")


class Backbone(nn.Module):
    """(n, 3, size, size) normalised to (n, width): the network's own pooled features, which its classifier would get.

    A transformer's picture is padded with zeros (the mean colour) to whole patches.
    """

    def __init__(self, network: nn.Module, padding: int = 0) -> None:
        super().__init__()
        self.network = network
        self.padding = nn.ZeroPad2d((0, padding, 0, padding)) if padding else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.network(self.padding(x)))


def from_scratch(name: str, size: int) -> tuple[nn.Module, int]:
    """A network without pretrained weights, fitted to `size` pixels a side: (module (n, 3, size, size) -> (n, width), width).

    Below 96 px the stem is that of stems.py. Auxiliary heads (GoogLeNet, Inception) are left out. Raises UsageError for a name
    nobody knows (with the nearest) and for a size below the network's least.
    """
    check(name)
    entry = find(name)
    if (entry is not None or is_cell(name)) and size < LEAST:
        raise too_small(name, size, LEAST)
    if is_cell(name):
        return build(read(name))
    try:
        return _fitted(name, entry, size)
    except _REFUSALS as error:
        raise _refused(name, entry, size, error) from error


def _fitted(name: str, entry: Entry | None, size: int) -> tuple[nn.Module, int]:
    """Built, fitted and tried once with a blank picture."""
    options, padding = _sizes(entry.architecture if entry else name, size)
    network = _made(name, entry, {**options, **({"drop_rate": entry.dropout} if entry and entry.dropout else {})})
    _begin(network, entry.architecture if entry else name)
    stems.adapt(network, size)
    stems.fix_pooling(network, size)
    module = Backbone(network, padding).eval()
    device = next(network.parameters()).device
    with torch.no_grad():
        width = int(module(torch.zeros(1, 3, size, size, device=device)).shape[1])
    return module, width


def _begin(network: nn.Module, name: str) -> None:
    """Draw the first weights after He et al. 2015 (arXiv 1502.01852) where the library's own make signals vanish or explode,
    or where there are none yet.

    That would show as an export that cannot be compared: after a short training batch norm has not yet seen the true scale.
    """
    if name != own.NAME and type(network).__name__ not in ("AlexNet", "GoogLeNet", "InceptionV3"):
        return
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()


def as_published(name: str, size: int, options: Mapping[str, str] | None = None) -> nn.Module:
    """The network without its classifier, in the layout of its published weights; `options` is said by a weights file.

    Raises UsageError for a size that the network does not take.
    """
    check(name)
    entry = find(name)
    if entry is not None and size < entry.least:
        raise too_small(name, size, entry.least)
    architecture = entry.architecture if entry else name
    sized = {"img_size": size} if _fixed(architecture) else {}
    try:
        return _made(name, entry, {**sized, **(options or {})})
    except _REFUSALS as error:
        raise UsageError(
            f"{name} cannot be built for {size} px: {_line(error)}", hint="choose the size that its weights were trained with"
        ) from error


def classifiers(network: Any) -> tuple[str, ...]:
    """Beginnings of the names of weights that a published file holds beside those of `as_published`."""
    kind = type(network).__name__
    ours: dict[str, tuple[str, ...]] = {
        "AlexNet": ("classifier.6.",),
        "SqueezeNet": ("classifier.",),
        "GoogLeNet": ("fc.", "aux1.", "aux2."),
        "Stack": (),
        "SpeedNet": (),
    }
    if kind in ours and not hasattr(network, "pretrained_cfg"):
        return ours[kind]
    head = network.pretrained_cfg.get("classifier") or ()
    heads = [head] if isinstance(head, str) else list(head)
    extra = ("AuxLogits.",) if kind == "InceptionV3" else ()
    return (*(f"{name.rpartition('.')[0] or name}." for name in heads), *extra)  # "head.fc" -> "head."


def _made(name: str, entry: Entry | None, options: Mapping[str, Any]) -> nn.Module:
    if entry is None:
        return cast(nn.Module, timm().create_model(name.partition(".")[0], pretrained=False, num_classes=0, **options))
    if entry.architecture == own.NAME:
        return own.network()
    if entry.maker == "sightline":
        return SpeedNet() if entry.architecture == "speednet" else stack(entry.architecture)
    if entry.maker == "torchvision":
        return _torchvisions(entry)
    if entry.width == 1 or ":" not in entry.architecture:
        return cast(nn.Module, timm().create_model(entry.architecture, pretrained=False, num_classes=0, **options))
    return _of_width(entry, options)


def _of_width(entry: Entry, options: Mapping[str, Any]) -> nn.Module:
    """A MobileNet with all channels multiplied; timm's functions for it have no public name."""
    from timm.models import efficientnet, mobilenetv3

    plain = entry.name.partition(":")[0]
    makers: dict[str, tuple[Any, str]] = {
        "mobilenet_v1": (efficientnet._gen_mobilenet_v1, "mobilenetv1_100"),
        "mobilenet_v2": (efficientnet._gen_mobilenet_v2, "mobilenetv2_100"),
        "mobilenet_v3_small": (mobilenetv3._gen_mobilenet_v3, "mobilenetv3_small_100"),
        "mobilenet_v3_large": (mobilenetv3._gen_mobilenet_v3, "mobilenetv3_large_100"),
        "mobilenet_v4_small": (mobilenetv3._gen_mobilenet_v4, "mobilenetv4_conv_small"),
        "mobilenet_v4_medium": (mobilenetv3._gen_mobilenet_v4, "mobilenetv4_conv_medium"),
    }
    make, variant = makers[plain]
    return cast(nn.Module, make(variant, entry.width, num_classes=0, **options))


def _torchvisions(entry: Entry) -> nn.Module:
    """torchvision's network with its last layer, and auxiliary heads, taken off; its dropout stays."""
    try:
        from torchvision import models
    except ImportError as error:
        raise missing_extra("deep", f"building {entry.name}") from error
    if entry.name.startswith("googlenet"):
        return _googlenet(entry.width)
    network: Any = getattr(models, entry.architecture)(weights=None, num_classes=1)
    if entry.name == "alexnet":
        network.classifier[6] = nn.Identity()
    else:  # SqueezeNet's classifier is a convolution before the pooling: a linear head behind it answers the same
        network.classifier = nn.Sequential(nn.Dropout(entry.dropout), nn.AdaptiveAvgPool2d(1))
    return cast(nn.Module, network)


def _googlenet(width: float) -> nn.Module:
    """torchvision's GoogLeNet, its channels times `width` in sixteenths: so every sum of branches stays whole."""
    from functools import partial

    from torchvision.models.googlenet import BasicConv2d, GoogLeNet, Inception, InceptionAux

    share = max(1, round(16 * width))

    def conv(channels: int, out: int, **options: Any) -> nn.Module:
        return cast(nn.Module, BasicConv2d(channels if channels == 3 else channels * share // 16, out * share // 16, **options))

    blocks = [conv, partial(Inception, conv_block=conv), InceptionAux] if width != 1 else None
    network = GoogLeNet(num_classes=1, aux_logits=False, init_weights=True, blocks=blocks)
    network.fc = nn.Identity()
    return cast(nn.Module, network)


def _sizes(architecture: str, size: int) -> tuple[dict[str, Any], int]:
    """What a network must be told about the input when it is made, and by how many pixels a picture must be padded."""
    plain = architecture.partition(".")[0]
    if not timm().is_model(plain):  # torchvision's, or a width that timm has no name for
        return {}, 0
    maker = timm().model_entrypoint(plain).__module__
    found = [part for part in architecture.split("_") if part.startswith("patch") and part[5:].isdigit()]
    if maker in _TRANSFORMERS and found:
        usual = int(found[0][5:])
        side = stems.patch(size, usual)
        padding = -size % side
        return {"img_size": size + padding, **({"patch_size": side} if side != usual else {})}, padding
    return ({"img_size": size}, 0) if _fixed(architecture) else ({}, 0)


def _fixed(architecture: str) -> bool:
    """Whether timm builds this network for one input size."""
    plain = architecture.partition(".")[0]
    config = timm().get_pretrained_cfg(plain) if timm().is_model(plain) else None
    return bool(config and config.fixed_input_size)


def too_small(name: str, size: int, least: int) -> UsageError:
    return UsageError(
        f"{name} needs pictures of at least {least} px, got {size}", hint=f"choose an input size of {least} or more"
    )


def _refused(name: str, entry: Entry | None, size: int, error: Exception) -> UsageError:
    """What to say when a network does not take a size: the least larger one that it takes, found by trying."""
    for larger in (one for one in SIZES if one > size):
        try:
            with torch.device("meta"):
                _fitted(name, entry, larger)
        except _REFUSALS:
            continue
        return too_small(name, size, larger)
    return UsageError(f"{name} cannot be built for {size} px: {_line(error)}", hint="choose another network or size")


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
