"""Convolutions on small maps as matrix products while training on a CPU. Changes speed, not results; knows nothing of training.

The last stages of a deep network on small pictures have many channels on few positions. On 2 x 2 positions and fewer oneDNN's
direct kernels take 5 x as long as the matrix product of the same size (bfloat16, 512 channels, batch 64, one core: 65 against
12 ms, both ways together). On somewhat larger maps only its gradients of the weights are slow (512 channels on 4 x 4: 40 ms
against 10 ms; 256 on 8 x 8: 14 against 12; 128 on 8 x 8: 3.2 against 4.9; in float32 nothing is gained). Gradients of depthwise
convolutions with strides go by those without: a step of MobileNetV2 at 224 px, batch 32, takes 1.07 s instead of 1.26.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

POSITIONS = 4  # output positions up to which the product is faster in every direction
SLOW = 32  # channels for each position of a side from which the weights' gradients are: 128 on 4 x 4, 256 on 8 x 8


class _Product(nn.Conv2d):
    """A convolution that takes the product where the map is tiny; its parameters are the convolution's own."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or input.device.type != "cpu":
            return super().forward(input)
        (high, wide), (down, right) = self.kernel_size, self.stride
        pad_y, pad_x = int(self.padding[0]), int(self.padding[1])
        height = (input.shape[2] + 2 * pad_y - high) // down + 1
        width = (input.shape[3] + 2 * pad_x - wide) // right + 1
        if height * width <= 0:
            return super().forward(input)
        if height * width > POSITIONS:
            slow = min(self.weight.shape[:2]) >= SLOW * max(height, width) and torch.is_autocast_enabled("cpu")
            if slow and self.bias is None:
                return cast(Tensor, _Gradients.apply(input, self.weight, (down, right), (pad_y, pad_x)))
            return super().forward(input)
        taps = _taps(input, (high, wide), (down, right), (pad_y, pad_x))
        windows = torch.cat([tap for _, _, tap in taps], 3).flatten(0, 2)  # (n * height * width, kernel * c)
        kernels = self.weight.permute(0, 2, 3, 1).flatten(1)  # the same memory when it lies channels_last
        out = functional.linear(windows, kernels, self.bias)
        return out.view(len(input), height, width, -1).permute(0, 3, 1, 2)


class _Sparse(nn.Conv2d):
    """A depthwise convolution with strides whose gradients go by the convolution without them."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or input.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(input)
        stride, padding = (self.stride[0], self.stride[1]), (int(self.padding[0]), int(self.padding[1]))
        return cast(Tensor, _Dense.apply(input, self.weight, stride, padding))


class _SparseSame(nn.Conv2d):
    """The same of timm's convolution that pads as TensorFlow does: so that every stride begins a window."""

    def forward(self, input: Tensor) -> Tensor:
        sides = [self._lacking(input.shape[axis + 2], axis) for axis in range(2)]
        padded = functional.pad(input, [part for lack in reversed(sides) for part in (lack // 2, lack - lack // 2)])
        stride = (self.stride[0], self.stride[1])
        if not self.training or input.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return functional.conv2d(padded, self.weight, None, stride, 0, 1, self.groups)
        return cast(Tensor, _Dense.apply(padded, self.weight, stride, (0, 0)))

    def _lacking(self, side: int, axis: int) -> int:
        windows = -(-side // self.stride[axis])
        return max(0, (windows - 1) * self.stride[axis] + self.kernel_size[axis] - side)


class _Dense(torch.autograd.Function):
    """The gradients are those of stride 1, where oneDNN is 3 x as quick, for outputs of which only some were taken."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.bfloat16)  # type: ignore[untyped-decorator]
    def forward(ctx: Any, input: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(input, weight, None, stride, padding, 1, len(weight))

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        input, weight = ctx.saved_tensors
        sides = [input.shape[2 + axis] + 2 * ctx.padding[axis] - weight.shape[2 + axis] + 1 for axis in range(2)]
        whole = torch.zeros((*grad.shape[:2], *sides), dtype=grad.dtype).contiguous(memory_format=torch.channels_last)
        whole[:, :, :: ctx.stride[0], :: ctx.stride[1]] = grad
        wanted = (ctx.needs_input_grad[0], ctx.needs_input_grad[1], False)
        into, found, _ = torch.ops.aten.convolution_backward(
            whole, input, weight, None, (1, 1), ctx.padding, (1, 1), False, (0, 0), len(weight), wanted
        )
        return into, found, None, None


class _Gradients(torch.autograd.Function):
    """A convolution whose weights' gradient is one product for each position of the kernel."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.bfloat16)  # type: ignore[untyped-decorator]  # as for convolutions
    def forward(ctx: Any, input: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(input, weight, None, stride, padding)

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        input, weight = ctx.saved_tensors
        stride, padding = ctx.stride, ctx.padding
        wanted = (ctx.needs_input_grad[0], False, False)
        into = torch.ops.aten.convolution_backward(
            grad, input, weight, None, stride, padding, (1, 1), False, (0, 0), 1, wanted
        )[0]
        flat = grad.permute(0, 2, 3, 1).flatten(0, 2).t()  # (kernels, n * height * width)
        found = torch.empty((len(weight), *weight.shape[2:], weight.shape[1]), dtype=weight.dtype)
        for y, x, tap in _taps(input, (weight.shape[2], weight.shape[3]), stride, padding):
            found[:, y, x] = flat @ tap.flatten(0, 2)
        return into, found.permute(0, 3, 1, 2), None, None


def _taps(
    input: Tensor, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]
) -> Iterator[tuple[int, int, Tensor]]:
    """What each position (y, x) of the kernel sees: views (n, height, width, c) of the padded input."""
    padded = functional.pad(input.permute(0, 2, 3, 1), (0, 0, padding[1], padding[1], padding[0], padding[0]))
    down, right = ((padded.shape[1 + axis] - kernel[axis]) // stride[axis] * stride[axis] + 1 for axis in range(2))
    for y in range(kernel[0]):
        for x in range(kernel[1]):
            yield y, x, padded[:, y : y + down : stride[0], x : x + right : stride[1]]


def use_products(model: nn.Module) -> None:
    """From now on the model's plain convolutions may become products in training mode."""
    for module in model.modules():
        plain = type(module) is nn.Conv2d and module.groups == 1 and module.dilation == (1, 1)
        if plain and module.padding_mode == "zeros" and not isinstance(module.padding, str):
            module.__class__ = _Product
        elif type(module) is nn.Conv2d and not isinstance(module.padding, str) and _strided(module):
            module.__class__ = _Sparse
        elif type(module).__name__ == "Conv2dSame" and _strided(module):
            module.__dict__["plain"], module.__class__ = type(module), _SparseSame


def _strided(module: nn.Module) -> bool:
    """Whether it is a depthwise convolution that skips positions, without bias."""
    if not isinstance(module, nn.Conv2d) or module.bias is not None:
        return False
    depthwise = module.groups == module.in_channels == module.out_channels and module.groups > 1
    return depthwise and max(module.stride) > 1 and module.dilation == (1, 1) and module.padding_mode == "zeros"


def use_convolutions(model: nn.Module) -> None:
    """Undo `use_products`."""
    for module in model.modules():
        if type(module) is _SparseSame:
            module.__class__ = module.__dict__.pop("plain")
        elif type(module) in (_Product, _Sparse):
            module.__class__ = nn.Conv2d
