"""A classifier's network as the body of a detector: maps of a picture at strides 4 to 32, of any network of timm that has them.

Knows neither heads nor losses. Weights come in the order of backbones.py: folder, hub, none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from torch import Tensor, nn

from sightline.errors import UsageError
from sightline.learn.backbones import Start, build
from sightline.learn.zoo.networks import as_published


class Body(nn.Module):
    """(n, 3, h, w) normalised to maps (n, channels[i], h / strides[i], w / strides[i]), finest first."""

    channels: tuple[int, ...]
    strides: tuple[int, ...]

    def __init__(self, network: Any, strides: Sequence[int], last: int | None = None) -> None:
        """`network` of timm; what comes after the last map is cut off. `last`: the stage of the last map, where its kernels
        were spread and its maps are as large as those of the stage before.
        """
        super().__init__()
        from timm.models._features import FeatureGetterNet

        found = {info["reduction"]: place for place, info in enumerate(network.feature_info)}
        places = [found[stride] for stride in strides]
        if last is not None:
            places[-1] = last
        self.maps = FeatureGetterNet(network, out_indices=places, norm=False)
        self.channels = tuple(self.maps.feature_info.channels())
        self.strides = tuple(strides)

    def forward(self, x: Tensor) -> list[Tensor]:
        return cast("list[Tensor]", self.maps(x))


def body_of(
    name: str, start: Start | None, size: int, strides: Sequence[int] = (8, 16, 32), *, dilated: int | None = None
) -> Body:
    """The network `name` (of the zoo or timm) as a body, with the weights of `start` when there are some.

    From the stride `dilated` on it does not shrink its maps any more, its kernels are spread out instead (arXiv 1606.00915).

    Raises UsageError for a network without a pyramid of maps (AlexNet, transformers of one resolution), DataError for weights
    that do not fit.
    """
    if start is None:
        network: Any = as_published(name, size)
    else:
        network = cast(Any, build(start)[0]).network
    reductions = [info.get("reduction") for info in getattr(network, "feature_info", None) or ()]
    missing = [stride for stride in strides if stride not in reductions]
    if missing or not hasattr(network, "forward_intermediates"):
        raise UsageError(
            f"{name} has no maps at strides {', '.join(map(str, strides))}, which a detector needs",
            hint="choose a network with stages, such as mobilenetv2_100, resnet18 or convnext_tiny",
        )
    last = _dilate(network, dilated) if dilated else None
    return Body(network, strides, last).train()


def _dilate(network: Any, stride: int) -> int | None:
    """Spread the kernels behind the last map of `stride` instead of shrinking further; the stage that then is the last."""
    stages = network.feature_info
    place = next(place for place, info in enumerate(stages) if info["reduction"] == stride)
    if place + 1 == len(stages):
        return None
    kept, behind, spread = str(stages[place]["module"]), False, False
    for name, module in network.named_modules():
        if behind and not name.startswith(f"{kept}.") and isinstance(module, nn.Conv2d):
            if max(module.stride) > 1:
                module.stride, spread = (1, 1), True
            elif spread and max(module.kernel_size) > 1:
                module.dilation = (2, 2)
                if not isinstance(module.padding, str):
                    module.padding = (2 * module.padding[0], 2 * module.padding[1])
        elif behind and not name.startswith(f"{kept}.") and isinstance(module, nn.AvgPool2d | nn.MaxPool2d):
            module.kernel_size, module.stride, module.padding = 1, 1, 0  # the short cut of a block that does not shrink now
        behind = behind or name == kept
    return place + 1
