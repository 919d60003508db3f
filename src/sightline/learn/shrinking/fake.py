"""A network that already feels, while it is trained, the steps that 8-bit weights and activations will have.

After Jacob et al. 2018 (arXiv 1712.05877): rounding in the forward pass, within the range gradients as if there were none
(straight through). Activations are rounded where ONNX Runtime will: convolution, batch norm and ReLU are one step there.
Knows torch modules, not data and not training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sightline.errors import UsageError
from sightline.learn.network import Classifier

LAYERS = ("conv2d", "linear")  # their weights are rounded, too
CUTS = ("relu", "relu_", "relu6", "hardtanh", "hardtanh_")  # nothing but a range: what comes before them is not rounded itself
# as torch calls the functions whose answers become 8-bit numbers; taking the largest of such numbers gives no new ones
ROUNDED = (
    *LAYERS,
    *CUTS,
    *("batch_norm", "hardswish", "silu", "gelu", "sigmoid", "sigmoid_", "hardsigmoid"),
    *("add", "add_", "__add__", "__iadd__", "mul", "mul_", "__mul__", "__imul__", "cat", "concat"),
    *("mean", "adaptive_avg_pool2d", "avg_pool2d"),
)
PAIRS = ("add", "add_", "__add__", "__iadd__", "mul", "mul_", "__mul__", "__imul__")
LEAST = 1e-8  # a step is no smaller
FOLLOW = 0.05  # share by which a range follows the extremes of a training batch
NOWHERE = -1


@dataclass(frozen=True, slots=True)
class Call:
    """One of the network's own calls in order; `slot` is the row of its answer's range, NOWHERE: it is not rounded."""

    name: str
    slot: int


class Aware(Classifier):
    """The classifier with rounding around `network`'s own modules, which `released` gives back.

    `ranges` (k, 2): lowest and highest value of the picture (row 0) and of every answer that is rounded. In training they
    follow the batches; afterwards they stay.
    """

    ranges: Tensor

    def __init__(self, network: Classifier, size: int) -> None:
        """`size`: pixels a side of the input. UsageError for a network that answers by other steps when it learns."""
        mean, std = network.mean.flatten().tolist(), network.std.flatten().tolist()
        super().__init__(network.backbone, network.head.in_features, network.head.out_features, mean=mean, std=std)
        self.head, self.dropout = network.head, network.dropout
        self.calls = _calls(network, size)
        self.rounding = True
        self.register_buffer("ranges", torch.zeros(1 + max(call.slot for call in self.calls), 2))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                module.__class__ = _watched(type(module))
        self.train(network.training)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised (n, 3, h, w) to logits (n, classes)."""
        with _Rounding(self) as mode:
            return super().forward(mode.rounded(x, 0))

    @torch.inference_mode()
    def observe(self, images: Tensor, batch: int = 32) -> None:
        """Take the ranges from prepared pictures uint8 (n, size, size, 3): the mean of each batch's extremes."""
        was_training, seen = self.training, []
        self.eval()
        self.rounding = False
        for start in range(0, len(images), batch):
            self.ranges.zero_()
            self(self.normalise(images[start : start + batch]))
            seen.append(self.ranges.clone())
        self.ranges.copy_(torch.stack(seen).mean(0))
        self.rounding = True
        self.train(was_training)

    def released(self) -> Classifier:
        """The trained network without rounding, its modules as they were before; this one must not be used any more."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                module.__class__ = getattr(type(module), "unwatched", type(module))
        mean, std = self.mean.flatten().tolist(), self.std.flatten().tolist()
        plain = Classifier(
            self.backbone, self.head.in_features, self.head.out_features, mean=mean, std=std, dropout=self.dropout.p
        )
        plain.head = self.head
        return plain.train(self.training)


def _watched(kind: type[nn.Conv2d]) -> type[nn.Conv2d]:
    """The same kind of convolution by another name: smallmaps.py then leaves it alone, whose products no one could watch."""
    return type(f"Watched{kind.__name__}", (kind,), {"unwatched": kind})


class _Rounding(TorchFunctionMode):
    """Rounds weights and answers of the network's calls, which come in the same order every time."""

    def __init__(self, network: Aware) -> None:
        super().__init__()
        self.network, self.place = network, 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name, kwargs, network = _name(func), dict(kwargs or {}), self.network
        if not _counts(name, args) or self.place >= len(network.calls):
            return func(*args, **kwargs)
        call = network.calls[self.place]
        self.place += 1
        if name in LAYERS and network.rounding:
            if "weight" in kwargs:
                kwargs["weight"] = weights(kwargs["weight"])
            else:
                args = (args[0], weights(args[1]), *args[2:])
        answer = func(*args, **kwargs)
        return answer if call.slot == NOWHERE else self.rounded(answer, call.slot)

    def rounded(self, x: Tensor, slot: int) -> Tensor:
        network = self.network
        own = network.ranges[slot]
        if not network.rounding or network.training:
            with torch.no_grad():
                extremes = torch.stack(torch.aminmax(x.detach())).to(own.dtype)
                own.lerp_(extremes, FOLLOW) if network.rounding else own.copy_(extremes)
        return activations(x, own) if network.rounding else x


def weights(x: Tensor) -> Tensor:
    """Weights (out, ...) on 255 steps around zero for each output channel, as int8 -127 to 127."""
    most = x.detach().abs().flatten(1).amax(1)
    scale = (most / 127).clamp_min(LEAST)
    return torch.fake_quantize_per_channel_affine(x, scale, torch.zeros_like(scale, dtype=torch.int32), 0, -127, 127)


def activations(x: Tensor, extremes: Tensor) -> Tensor:
    """Values on the 256 steps of uint8 between `extremes` (2,), which are widened so that zero is one of the steps."""
    low, high = extremes[0].clamp_max(0), extremes[1].clamp_min(0)
    scale = ((high - low) / 255).clamp_min(LEAST)
    zero = (-low / scale).round().clamp(0, 255).to(torch.int32)
    return torch.fake_quantize_per_tensor_affine(x.float(), scale, zero, 0, 255).to(x.dtype)


def _name(func: Callable[..., Any]) -> str:
    return getattr(func, "__name__", "")


def _counts(name: str, args: Sequence[Any]) -> bool:
    """Whether a call is one of the network's own: sums and products only of two tensors."""
    if name in PAIRS:
        return len(args) > 1 and isinstance(args[0], Tensor) and isinstance(args[1], Tensor)
    return name in ROUNDED


@dataclass(slots=True)
class _Seen:
    """A call as it was watched. The tensors are kept, so that no two of them can share an identity."""

    name: str
    counted: bool
    given: list[Tensor]
    answer: Any


class _Watching(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[_Seen] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        answer, name = func(*args, **(kwargs or {})), _name(func)
        if isinstance(answer, Tensor):  # the others ask for shapes and the like
            parts = [value if isinstance(value, list | tuple) else [value] for value in (*args, *(kwargs or {}).values())]
            given = [one for part in parts for one in part if isinstance(one, Tensor)]
            self.seen.append(_Seen(name, _counts(name, args), given, answer))
        return answer


def _calls(network: Classifier, size: int) -> tuple[Call, ...]:
    """The network's calls with a row of `ranges` for each answer that becomes 8-bit numbers; row 0 is the picture's."""
    found = {mode: _watch(network, size, mode) for mode in ("eval", "train")}
    if [call.name for call in found["eval"]] != [call.name for call in found["train"]]:
        raise UsageError(
            "this network takes other steps when it learns than when it answers: it cannot be made ready for 8 bits",
            hint="int8 without training, or another --backbone: see `sightline models zoo`",
        )
    return found["eval"]


def _watch(network: Classifier, size: int, mode: Literal["eval", "train"]) -> tuple[Call, ...]:
    was_training = network.training
    network.train(mode == "train")
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()  # a blank picture must not move its statistics
    with torch.no_grad(), torch.random.fork_rng(devices=[]), _Watching() as watching:
        device = network.head.weight.device
        network(torch.zeros(2, 3, size, size, device=device))
    network.train(was_training)
    calls: list[Call] = []
    rows = 1
    for place, one in enumerate(watching.seen):
        if one.counted:
            rounded = _becomes(one, watching.seen[place + 1 :])
            calls.append(Call(one.name, rows if rounded else NOWHERE))
            rows += rounded
    return tuple(calls)


def _becomes(call: _Seen, later: Sequence[_Seen]) -> bool:
    """Whether the answer of a call stands in memory as 8-bit numbers: not where the next step is computed together with it, and
    not the logits.
    """
    takers: list[_Seen] = []
    for one in later:
        if any(given is call.answer for given in one.given):
            takers.append(one)
            if one.answer is call.answer:  # in place: from here on it is that call's answer
                break
    if not takers:
        return False
    if len(takers) > 1:
        return True
    after = takers[0].name
    return not (after in CUTS or (after == "batch_norm" and call.name in LAYERS))
