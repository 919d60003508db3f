"""Convolutions on tiny maps as matrix products while training on a CPU. Changes speed, not results; knows nothing of training.

The last stage of a deep network on small pictures works on maps of 2 x 2 or 1 x 1 positions. There oneDNN's direct kernels
take 5 x as long as the matrix product of the same size (bfloat16, 512 channels, 2 x 2, batch 64, one core: 65 ms against 12
ms, both ways together).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

POSITIONS = 4  # output positions up to which the product is faster (4 x 4 maps: no gain measured)


class _Product(nn.Conv2d):
    """A convolution that takes the product where the map is tiny; its parameters are the convolution's own."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or input.device.type != "cpu":
            return super().forward(input)
        (high, wide), (down, right) = self.kernel_size, self.stride
        pad_y, pad_x = int(self.padding[0]), int(self.padding[1])
        height = (input.shape[2] + 2 * pad_y - high) // down + 1
        width = (input.shape[3] + 2 * pad_x - wide) // right + 1
        if not 0 < height * width <= POSITIONS:
            return super().forward(input)
        padded = functional.pad(input.permute(0, 2, 3, 1), (0, 0, pad_x, pad_x, pad_y, pad_y))  # (n, h, w, c)
        taps = [
            padded[:, y : y + down * (height - 1) + 1 : down, x : x + right * (width - 1) + 1 : right]
            for y in range(high)
            for x in range(wide)
        ]
        windows = torch.cat(taps, 3).flatten(0, 2)  # (n * height * width, kernel * c)
        kernels = self.weight.permute(0, 2, 3, 1).flatten(1)  # the same memory when it lies channels_last
        out = functional.linear(windows, kernels, self.bias)
        return out.view(len(input), height, width, -1).permute(0, 3, 1, 2)


def use_products(model: nn.Module) -> None:
    """From now on the model's plain convolutions may become products in training mode."""
    for module in model.modules():
        plain = type(module) is nn.Conv2d and module.groups == 1 and module.dilation == (1, 1)
        if plain and module.padding_mode == "zeros" and not isinstance(module.padding, str):
            module.__class__ = _Product


def use_convolutions(model: nn.Module) -> None:
    """Undo `use_products`."""
    for module in model.modules():
        if type(module) is _Product:
            module.__class__ = nn.Conv2d  # type: ignore[assignment]
