"""Which channels of a network belong together: found by sending one picture through it and following every channel by number.

What is not known to keep channels apart (a layer norm, attention, shuffling) is locked: none of its channels may go, so that
what may go can go without any other change. Knows torch's functions, not networks' names, and not which channels matter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sightline.learn.shrinking.channels import Channels, Layer, Numbers

BENT = {"relu", "relu_", "relu6", "hardtanh", "hardtanh_", "leaky_relu", "elu", "elu_", "silu", "gelu", "mish", "hardswish"}
SQUASHED = {"sigmoid", "sigmoid_", "hardsigmoid", "logsigmoid", "tanh", "tanh_", "softplus", "clamp", "clamp_", "exp", "erf"}
COUNTED = {"abs", "neg", "sqrt", "rsqrt", "pow", "square", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout"}
POOLED = {"max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "interpolate", "amax"}
HELD = {"contiguous", "to", "clone", "detach", "type", "float", "half", "bfloat16"}
KEEPING = BENT | SQUASHED | COUNTED | POOLED | HELD  # one tensor in, the same channels out, each made of itself alone
SUMS = {"add", "add_", "__add__", "__radd__", "__iadd__", "sub", "sub_", "__sub__"}
PRODUCTS = {"mul", "mul_", "__mul__", "__rmul__", "__imul__", "div", "div_", "true_divide"}
JOINING = SUMS | PRODUCTS
SHAPING = {"flatten", "view", "reshape", "squeeze", "unsqueeze", "transpose"}


def traced(network: nn.Module, size: int) -> Channels:
    """Follow the channels of `network` (in evaluation mode) from a picture (1, 3, size, size) to its answer."""
    trace = _Trace(network)
    x = torch.zeros(1, 3, size, size, device=next(network.parameters()).device)
    with torch.no_grad(), trace.watched(network), trace:
        answer = network(x)
    trace.lock(answer)
    return trace.found()


@dataclass(slots=True)
class _Inside:
    """A module that is being computed."""

    name: str
    given: Tensor | None
    adds: bool = False  # something was added to what it was given


@dataclass(frozen=True, slots=True)
class _Tag:
    """Numbers of a tensor's channels, which lie along the dimension `axis`."""

    numbers: Numbers
    axis: int


@dataclass(slots=True)
class _Book:
    """What is written down while the picture goes through."""

    layers: dict[str, Layer] = field(default_factory=dict)
    outs: dict[str, Numbers] = field(default_factory=dict)
    ins: dict[str, Numbers] = field(default_factory=dict)
    norms: dict[str, Numbers] = field(default_factory=dict)
    blocks: dict[str, tuple[str, ...]] = field(default_factory=dict)


class _Trace(TorchFunctionMode):
    """Sees every function of torch that the network calls, and says what becomes of the channels."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        layers = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
        norms = [
            (name, module) for name, module in network.named_modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)
        ]
        self.names = {id(module.weight): name for name, module in layers}
        self.norm_names = {id(module.running_mean): name for name, module in norms if module.running_mean is not None}
        self.tags: dict[int, _Tag] = {}
        self.alive: list[Tensor] = []  # so that no tensor takes another's identity
        self.parents: list[int] = []  # of numbers that became one: union-find
        self.locked: set[int] = set()
        self.stack: list[_Inside] = []
        self.book = _Book()

    # --- numbers

    def fresh(self, count: int, *, locked: bool = False) -> Numbers:
        first = len(self.parents)
        self.parents.extend(range(first, first + count))
        if locked:
            self.locked.update(range(first, first + count))
        return np.arange(first, first + count)

    def root(self, number: int) -> int:
        while self.parents[number] != number:
            self.parents[number] = self.parents[self.parents[number]]
            number = self.parents[number]
        return number

    def join(self, one: Numbers, other: Numbers) -> None:
        """The channels at the same places are the same from now on."""
        for a, b in zip(one.tolist(), other.tolist(), strict=True):
            self.parents[self.root(b)] = self.root(a)

    def lock(self, value: object) -> None:
        """None of the channels of the tensors in `value` may go."""
        for tensor in _tensors(value):
            tag = self.tags.get(id(tensor))
            if tag is not None:
                self.locked.update(tag.numbers.tolist())

    def tag(self, tensor: Tensor, axis: int) -> Numbers:
        """The numbers along `axis`; new ones that may not go where nothing is known of them."""
        known = self.tags.get(id(tensor))
        if known is not None and known.axis == axis:
            return known.numbers
        self.lock(tensor)
        return self.fresh(tensor.shape[axis], locked=True)

    def mark(self, tensor: Tensor, numbers: Numbers, axis: int) -> None:
        if len(numbers) != tensor.shape[axis]:
            raise ValueError(f"{len(numbers)} channels for the shape {tuple(tensor.shape)}")
        self.tags[id(tensor)] = _Tag(numbers, axis)
        self.alive.append(tensor)

    # --- modules

    @contextmanager
    def watched(self, network: nn.Module) -> Iterator[None]:
        """Know which module is being computed, and with what."""
        with ExitStack() as handles:
            for name, module in network.named_modules():
                for handle in (
                    module.register_forward_pre_hook(self._entered(name)),
                    module.register_forward_hook(self._left),
                ):
                    handles.callback(handle.remove)
            yield

    def _entered(self, name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def hook(_module: nn.Module, args: tuple[Any, ...]) -> None:
            self.stack.append(_Inside(name, args[0] if args and isinstance(args[0], Tensor) else None))

        return hook

    def _left(self, _module: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
        inside = self.stack.pop()
        layers = tuple(name for name in self.book.layers if name.startswith(f"{inside.name}."))
        same = isinstance(output, Tensor) and inside.given is not None and output.shape == inside.given.shape
        if inside.adds and same and layers:
            self.book.blocks[inside.name] = layers

    def added(self, pair: list[Tensor]) -> None:
        """Two tensors are summed: note it for the innermost module that was given one of them."""
        for inside in reversed(self.stack):
            if inside.given is not None and any(tensor is inside.given for tensor in pair):
                inside.adds = inside.adds or len(pair) == 2
                return

    # --- functions

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        before = [self.tags.get(id(tensor)) for tensor in _tensors((args, kwargs))]
        if name in SUMS:
            self.added([value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)])
        result = func(*args, **kwargs)
        if not _tensors(result) or not (any(before) or name in ("conv2d", "linear")):
            return result
        handler = _HANDLERS.get(name) or (_keeping if name in KEEPING else _joining if name in JOINING else None)
        if handler is None and name in SHAPING:
            handler = _shaping
        try:
            known = handler is not None and handler(self, result, args, kwargs)
        except (ValueError, IndexError, TypeError, KeyError):
            known = False
        if not known:
            self.lock((args, kwargs))
            for tensor in _tensors(result):
                self.tags.pop(id(tensor), None)
        return result

    # --- the end

    def found(self) -> Channels:
        """What was written down, with small numbers, and what may go."""
        book = self.book
        roots = np.array([self.root(number) for number in range(len(self.parents))], np.int64)
        _, small = np.unique(roots, return_inverse=True)
        count = int(small.max()) + 1
        still = np.zeros(count, bool)
        still[small[list(self.locked)]] = True
        outs, ins, norms = (
            {name: small[numbers] for name, numbers in side.items()} for side in (book.outs, book.ins, book.norms)
        )
        places: dict[int, set[tuple[str, str]]] = defaultdict(set)
        for side, numbered in (("out", outs), ("in", ins)):
            for name, numbers in numbered.items():
                for number in set(numbers.tolist()):
                    places[number].add((side, name))
        together: dict[frozenset[tuple[str, str]], list[int]] = defaultdict(list)
        for number in sorted(places):
            if not still[number] and any(side == "out" for side, _ in places[number]):
                together[frozenset(places[number])].append(number)
        groups = tuple(np.array(numbers, np.int64) for numbers in together.values())
        return Channels(book.layers, outs, ins, norms, count, groups, book.blocks)


def _tensors(value: object) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        return [tensor for one in value.values() for tensor in _tensors(one)]
    return [tensor for one in value for tensor in _tensors(one)] if isinstance(value, tuple | list) else []


# --- what becomes of the channels: each returns whether it is known


def _written(trace: _Trace, name: str, layer: Layer, outs: Numbers, ins: Numbers) -> Numbers:
    """Write a layer down; one that is computed several times has the same channels each time."""
    book = trace.book
    if name in book.layers:
        trace.join(book.outs[name], outs)
        trace.join(book.ins[name], ins)
        before = book.layers[name]
        layer = Layer(before.cost + layer.cost, layer.depthwise, before.places + layer.places)
    else:
        book.outs[name], book.ins[name] = outs, ins
    book.layers[name] = layer
    return outs


def _conv2d(trace: _Trace, result: Tensor, args: Any, kwargs: Any) -> bool:
    x, weight = args[0], args[1]
    groups = int(args[6] if len(args) > 6 else kwargs.get("groups", 1))
    name = trace.names.get(id(weight))
    if name is None or x.ndim != 4:
        return False
    places = result.shape[2] * result.shape[3]
    cost = weight.shape[2] * weight.shape[3] * places
    ins = trace.tag(x, 1)
    if groups == 1:
        trace.mark(result, _written(trace, name, Layer(cost, places=places), trace.fresh(len(weight)), ins), 1)
    elif groups == len(ins) == len(weight):
        trace.mark(result, _written(trace, name, Layer(cost, depthwise=True, places=places), ins, ins), 1)
    else:  # whole groups could go; a few networks would gain by it
        trace.locked.update(ins.tolist())
        outs = trace.fresh(len(weight), locked=True)
        trace.mark(result, _written(trace, name, Layer(cost * weight.shape[1], depthwise=True, places=places), outs, ins), 1)
    return True


def _linear(trace: _Trace, result: Tensor, args: Any, _kwargs: Any) -> bool:
    x, weight = args[0], args[1]
    name = trace.names.get(id(weight))
    if name is None:
        return False
    cost = result.numel() // result.shape[-1]
    ins = trace.tag(x, x.ndim - 1)
    trace.mark(result, _written(trace, name, Layer(cost, places=cost), trace.fresh(len(weight)), ins), result.ndim - 1)
    return True


def _batch_norm(trace: _Trace, result: Tensor, args: Any, kwargs: Any) -> bool:
    mean = args[1] if len(args) > 1 else kwargs.get("running_mean")
    name = trace.norm_names.get(id(mean))
    if name is None:
        return False
    numbers = trace.tag(args[0], 1)
    if name in trace.book.norms:
        trace.join(trace.book.norms[name], numbers)
    trace.book.norms[name] = numbers
    trace.mark(result, numbers, 1)
    return True


def _keeping(trace: _Trace, result: Any, args: Any, kwargs: Any) -> bool:
    tag = trace.tags.get(id(args[0]))
    if tag is None or not isinstance(result, Tensor) or result.ndim != args[0].ndim:
        return False
    if any(tensor is not args[0] and tensor.numel() > 1 for tensor in _tensors((args, kwargs))):
        return False
    trace.mark(result, tag.numbers, tag.axis)
    return True


def _mean(trace: _Trace, result: Tensor, args: Any, kwargs: Any) -> bool:
    """Over places, not over channels."""
    x, tag = args[0], trace.tags.get(id(args[0]))
    axes = args[1] if len(args) > 1 else kwargs.get("dim")
    if tag is None or axes is None:
        return False
    over = {axis % x.ndim for axis in ([axes] if isinstance(axes, int) else axes)}
    if tag.axis in over:
        return False
    gone = 0 if result.ndim == x.ndim else sum(axis < tag.axis for axis in over)
    trace.mark(result, tag.numbers, tag.axis - gone)
    return True


def _joining(trace: _Trace, result: Tensor, args: Any, kwargs: Any) -> bool:
    """Sum, product and the like of two tensors: where both have channels, these become the same."""
    pair = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
    wide = [tensor for tensor in pair if tensor.numel() > 1]
    known = [(tensor, trace.tags[id(tensor)]) for tensor in wide if id(tensor) in trace.tags]
    if not known:
        return False
    axis = known[0][1].axis - known[0][0].ndim  # from the end: what is broadcast may have fewer dimensions
    full = [(tensor, tag) for tensor, tag in known if len(tag.numbers) == result.shape[axis]]
    if not full or any(tag.axis - tensor.ndim != axis for tensor, tag in known):
        return False
    for tensor in wide:
        there = tensor.shape[axis] if -axis <= tensor.ndim else 1
        if id(tensor) not in trace.tags and there > 1:
            trace.lock(full[0][0])
        if id(tensor) in trace.tags and there == 1:
            trace.lock(tensor)  # one channel that touches all: it stays
    for _, tag in full[1:]:
        trace.join(full[0][1].numbers, tag.numbers)
    trace.mark(result, full[0][1].numbers, result.ndim + axis)
    return True


def _cat(trace: _Trace, result: Tensor, args: Any, kwargs: Any) -> bool:
    parts = list(args[0])
    axis = int(args[1] if len(args) > 1 else kwargs.get("dim", 0)) % result.ndim
    tags = [trace.tags.get(id(part)) for part in parts]
    first = next(tag for tag in tags if tag is not None)
    if any(tag is not None and tag.axis != first.axis for tag in tags):
        return False
    numbers = [trace.tag(part, first.axis) for part in parts]
    if axis == first.axis:
        trace.mark(result, np.concatenate(numbers), axis)
        return True
    for other in numbers[1:]:
        trace.join(numbers[0], other)
    trace.mark(result, numbers[0], first.axis)
    return True


def _pad(trace: _Trace, result: Tensor, args: Any, kwargs: Any) -> bool:
    """Channels that are put beside the others are always there."""
    x, tag = args[0], trace.tags.get(id(args[0]))
    sides = list(args[1] if len(args) > 1 else kwargs["pad"])
    if tag is None:
        return False
    place = 2 * (x.ndim - 1 - tag.axis)
    before, after = sides[place : place + 2] if len(sides) > place else (0, 0)
    if before < 0 or after < 0:
        return False
    numbers = (trace.fresh(before, locked=True), tag.numbers, trace.fresh(after, locked=True))
    trace.mark(result, np.concatenate(numbers), tag.axis)
    return True


def _getitem(trace: _Trace, result: Tensor, args: Any, _kwargs: Any) -> bool:
    x, tag = args[0], trace.tags.get(id(args[0]))
    index = args[1] if isinstance(args[1], tuple) else (args[1],)
    if tag is None or not all(isinstance(one, slice) for one in index) or result.ndim != x.ndim:
        return False
    numbers = tag.numbers[index[tag.axis]] if len(index) > tag.axis else tag.numbers
    if len(numbers) != len(tag.numbers):
        return False  # a slice with fixed ends would take others when some are gone
    trace.mark(result, numbers, tag.axis)
    return True


def _shaping(trace: _Trace, result: Tensor, args: Any, _kwargs: Any) -> bool:
    """The same numbers in another shape: channels that stay a dimension of their own, or places that are told one by one."""
    x, tag = args[0], trace.tags.get(id(args[0]))
    if tag is None or not isinstance(result, Tensor):
        return False
    if result.shape == x.shape and len({*x.shape}) == x.ndim:
        trace.mark(result, tag.numbers, tag.axis)
        return True
    if tag.axis != 1 or result.ndim < 2 or result.shape[0] != x.shape[0]:
        return False
    if result.shape[1] == x.shape[1] and set(result.shape[2:]) <= {1} and set(x.shape[2:]) <= {1}:
        trace.mark(result, tag.numbers, 1)  # (n, c, 1, 1) to (n, c), and back
        return True
    if result.ndim == 2 and result.shape[1] == x[0].numel():
        trace.mark(result, np.repeat(tag.numbers, result.shape[1] // x.shape[1]), 1)
        return True
    return False


def _permute(trace: _Trace, result: Tensor, args: Any, kwargs: Any) -> bool:
    x, tag = args[0], trace.tags.get(id(args[0]))
    if tag is None:
        return False
    order = args[1] if len(args) == 2 else args[1:]
    order = kwargs.get("dims", order)
    trace.mark(result, tag.numbers, [axis % x.ndim for axis in order].index(tag.axis))
    return True


_HANDLERS: dict[str, Callable[[_Trace, Any, Any, Any], bool]] = {
    "conv2d": _conv2d,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "mean": _mean,
    "cat": _cat,
    "concat": _cat,
    "pad": _pad,
    "__getitem__": _getitem,
    "permute": _permute,
}
