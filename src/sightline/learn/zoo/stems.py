"""Networks made for 224 px fitted to small pictures: stems that shrink less, and pooling that can be exported.

Every network here divides the side by 32 (AlexNet and SqueezeNet by 16 or more) before it decides, so a picture of 32 px would
end as one position. Below SMALL the stem keeps more of it. Knows networks, not weights: pretrained weights keep their stem.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

SMALL = 96  # pixels a side below which the stem is changed: the side is divided by 16 in all,
TINY = 48  # and up to here by 8


def adapt(network: nn.Module, size: int) -> None:
    """Fit the stem to pictures of `size` pixels, in place; nothing happens from SMALL on and to networks not named below.

    As He et al. 2015 (arXiv 1512.03385, 4.2) did for CIFAR-10: kernels of 3 x 3, no pooling before the first block.
    """
    fitted = _FITTED.get(type(network).__name__)
    if fitted is not None and size < SMALL:
        fitted(network, size <= TINY)


def patch(size: int, usual: int) -> int:
    """Side of a vision transformer's patches: as many as are usual at 224 px need smaller ones on small pictures."""
    return usual if size >= SMALL else min(usual, 4 if size <= TINY else 8)


def _resnet(network: Any, tiny: bool) -> None:
    first = _first(network.conv1)
    if network.conv1 is first:
        network.conv1 = _conv(first, 3, 1 if tiny else 2)
    elif tiny:
        first.stride = (1, 1)
    network.maxpool = nn.Identity()


def _mobile(network: Any, tiny: bool) -> None:
    network.conv_stem.stride = (1, 1)
    if tiny:
        _first(network.blocks, 2).stride = (1, 1)  # a block that shrinks has no short cut: nothing else must follow


def _regnet(network: Any, tiny: bool) -> None:
    network.stem.conv.stride = (1, 1)
    if tiny:
        for module in network.s1.modules():  # the short cut, too
            if isinstance(module, nn.Conv2d):
                module.stride = (1, 1)


def _convnext(network: Any, tiny: bool) -> None:
    if isinstance(network.stem[0], nn.Conv2d):
        network.stem[0] = _conv(network.stem[0], 3, 1 if tiny else 2)


def _vgg(network: Any, _tiny: bool) -> None:
    network.pre_logits = nn.Identity()  # 103 of its 138 million weights look at 7 x 7 positions that are not there


def _alexnet(network: Any, tiny: bool) -> None:
    network.features[0] = _conv(network.features[0], 5, 1 if tiny else 2)
    network.features[2] = nn.Identity()


def _squeezenet(network: Any, tiny: bool) -> None:
    network.features[0] = _conv(network.features[0], 3, 1 if tiny else 2)


def _googlenet(network: Any, tiny: bool) -> None:
    network.conv1.conv = _conv(network.conv1.conv, 3, 1 if tiny else 2)
    network.maxpool1 = nn.Identity()


def _inception(network: Any, tiny: bool) -> None:
    network.Conv2d_1a_3x3.conv.stride = (1, 1) if tiny else (2, 2)
    for block in (network.Conv2d_1a_3x3, network.Conv2d_2a_3x3, network.Conv2d_4a_3x3):
        block.conv.padding = (1, 1)  # these lose a position on each side otherwise
    network.Pool1 = nn.Identity()


_FITTED = {
    "ResNet": _resnet,
    "EfficientNet": _mobile,
    "MobileNetV3": _mobile,
    "RegNet": _regnet,
    "ConvNeXt": _convnext,
    "VGG": _vgg,
    "AlexNet": _alexnet,
    "SqueezeNet": _squeezenet,
    "GoogLeNet": _googlenet,
    "InceptionV3": _inception,
}


def _first(module: nn.Module, stride: int | None = None) -> nn.Conv2d:
    """The first convolution inside, or the first that has this stride."""
    every = (inner for inner in module.modules() if isinstance(inner, nn.Conv2d))
    return next(inner for inner in every if stride is None or inner.stride[0] == stride)


def _conv(old: nn.Conv2d, kernel: int, stride: int) -> nn.Conv2d:
    """A fresh convolution of another kernel with the channels of the old one."""
    new = nn.Conv2d(old.in_channels, old.out_channels, kernel, stride, kernel // 2, bias=old.bias is not None)
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    if new.bias is not None:
        nn.init.zeros_(new.bias)
    return new


class FixedPool(nn.Module):
    """(n, c, given, given) to (n, c, wanted, wanted): adaptive average pooling as two matrix products.

    The exporter refuses adaptive pooling where `wanted` does not divide `given`; the products it takes, with equal answers.
    """

    matrix: Tensor

    def __init__(self, given: int, wanted: int) -> None:
        super().__init__()
        matrix = torch.zeros(wanted, given)
        for row in range(wanted):
            start, end = row * given // wanted, -(-(row + 1) * given // wanted)
            matrix[row, start:end] = 1 / (end - start)
        self.register_buffer("matrix", matrix, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.matrix @ x @ self.matrix.T


def fix_pooling(network: Any, size: int) -> None:
    """Replace pooling to a fixed number of positions (AlexNet 6 x 6, VGG 7 x 7) where the maps have another at this size."""
    kind = type(network).__name__
    hidden = kind == "VGG" and not isinstance(network.pre_logits, nn.Identity)
    if kind != "AlexNet" and not hidden:
        return
    weight = next(network.features.parameters())
    with torch.no_grad():
        side = int(network.features(torch.zeros(1, 3, size, size, device=weight.device)).shape[-1])
    if kind == "AlexNet" and side != 6:
        network.avgpool = FixedPool(side, 6)
    elif hidden and side < 7:
        network.features.append(FixedPool(side, 7))
