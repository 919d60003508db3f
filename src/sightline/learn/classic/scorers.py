"""What a trained classifier is: arrays that give scores to features, in numpy and as a piece of an ONNX graph.

Knows neither pictures nor how the arrays were found; the two ways to compute one are compared on every export.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sightline.learn.logistic import Floats

SHORT = 1e-9  # added to squared lengths before they divide
LEAST = 0.003  # the smallest share of votes that a label can have, so that no answer is certain


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a graph from `embedding` to `scores`: nodes as (operator, inputs, outputs, attributes, domain)."""

    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    nodes: tuple[tuple[str, list[str], list[str], dict[str, Any], str], ...] = ()


class Scorer(Protocol):
    """features (n, d) to logits (n, classes); softmax or, for several labels, sigmoid makes them probabilities."""

    @property
    def width(self) -> int: ...
    @property
    def classes(self) -> int: ...
    def logits(self, features: Floats) -> Floats: ...
    def piece(self) -> Piece: ...


@dataclass(frozen=True, slots=True)
class Scaling:
    """(features - middle) * factor; both (d,)."""

    middle: Floats
    factor: Floats

    def __call__(self, features: Floats) -> Floats:
        return (features - self.middle) * self.factor

    def piece(self) -> Piece:
        constants = {"head.middle": self.middle.astype(np.float32), "head.factor": self.factor.astype(np.float32)}
        return Piece(
            constants,
            (
                ("Sub", ["embedding", "head.middle"], ["head.away"], {}, ""),
                ("Mul", ["head.away", "head.factor"], ["head.scaled"], {}, ""),
            ),
        )


@dataclass(frozen=True, slots=True)
class Turned:
    """(features - middle) @ turn, then made 1 long: distances between what comes out are those of directions (cosine)."""

    middle: Floats  # (d,)
    turn: Floats  # (d, k)

    def __call__(self, features: Floats) -> Floats:
        turned = (features - self.middle) @ self.turn
        return np.asarray(turned / np.sqrt((turned * turned).sum(axis=1, keepdims=True) + SHORT), np.float32)

    def piece(self) -> Piece:
        constants: dict[str, NDArray[Any]] = {
            "head.middle": self.middle,
            "head.turn": self.turn,
            "head.short": np.array(SHORT, np.float32),
            "head.rows": np.array([1], np.int64),
        }
        nodes: tuple[tuple[str, list[str], list[str], dict[str, Any], str], ...] = (
            ("Sub", ["embedding", "head.middle"], ["head.away"], {}, ""),
            ("MatMul", ["head.away", "head.turn"], ["head.turned"], {}, ""),
            ("Mul", ["head.turned", "head.turned"], ["head.turned.square"], {}, ""),
            ("ReduceSum", ["head.turned.square", "head.rows"], ["head.turned.length"], {"keepdims": 1}, ""),
            ("Add", ["head.turned.length", "head.short"], ["head.turned.whole"], {}, ""),
            ("Sqrt", ["head.turned.whole"], ["head.turned.root"], {}, ""),
            ("Div", ["head.turned", "head.turned.root"], ["head.scaled"], {}, ""),
        )
        return Piece(constants, nodes)


def after(
    scaling: Scaling | Turned, constants: dict[str, NDArray[Any]], *nodes: tuple[str, list[str], str, dict[str, Any]]
) -> Piece:
    """Scaling, then the nodes (operator, inputs, output, attributes)."""
    first = scaling.piece()
    more = tuple((kind, inputs, [output], attributes, "") for kind, inputs, output, attributes in nodes)
    return Piece({**first.constants, **constants}, (*first.nodes, *more))


@dataclass(frozen=True, slots=True)
class Quadratic:
    """scores = x^2 @ squares + x @ linear + bias on scaled features: a Gaussian of its own spread for each class."""

    scaling: Scaling
    squares: Floats  # (d, classes)
    linear: Floats  # (d, classes)
    bias: Floats  # (classes,)

    @property
    def width(self) -> int:
        return len(self.squares)

    @property
    def classes(self) -> int:
        return len(self.bias)

    def logits(self, features: Floats) -> Floats:
        x = self.scaling(features)
        return np.asarray((x * x) @ self.squares + x @ self.linear + self.bias)

    def piece(self) -> Piece:
        constants = {"head.squares": self.squares, "head.linear": self.linear, "head.bias": self.bias}
        return after(
            self.scaling,
            constants,
            ("Mul", ["head.scaled", "head.scaled"], "head.squared", {}),
            ("Gemm", ["head.squared", "head.squares", "head.bias"], "head.first", {}),
            ("MatMul", ["head.scaled", "head.linear"], "head.second", {}),
            ("Add", ["head.first", "head.second"], "scores", {}),
        )


@dataclass(frozen=True, slots=True)
class Layers:
    """A network of fully connected layers with ReLU between them (MLP)."""

    scaling: Scaling
    weights: tuple[Floats, ...]  # (in, out) each
    biases: tuple[Floats, ...]

    @property
    def width(self) -> int:
        return len(self.weights[0])

    @property
    def classes(self) -> int:
        return len(self.biases[-1])

    def logits(self, features: Floats) -> Floats:
        x = self.scaling(features)
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = (np.maximum(x, 0) if number else x) @ weight + bias
        return x

    def piece(self) -> Piece:
        constants: dict[str, NDArray[Any]] = {}
        nodes: list[tuple[str, list[str], str, dict[str, Any]]] = []
        last = len(self.weights) - 1
        source = "head.scaled"
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            constants |= {f"head.weight.{number}": weight, f"head.bias.{number}": bias}
            target = "scores" if number == last else f"head.hidden.{number}"
            nodes.append(("Gemm", [source, f"head.weight.{number}", f"head.bias.{number}"], target, {}))
            if number != last:
                source = f"head.active.{number}"
                nodes.append(("Relu", [target], source, {}))
        return after(self.scaling, constants, *nodes)


def from_shares(share: NDArray[np.floating], *, several: bool) -> Floats:
    """Shares of votes (n, classes) as logits."""
    if several:
        held = np.clip(share, LEAST, 1 - LEAST)
        return np.asarray(np.log(held) - np.log(1 - held), np.float32)
    return np.asarray(np.log(np.maximum(share, LEAST)), np.float32)


def shares_nodes(*, several: bool) -> Piece:
    """The same as `from_shares`, from `head.share` to `scores`."""
    constants: dict[str, NDArray[Any]] = {
        "head.least": np.array(LEAST, np.float32),
        "head.most": np.array(1 - LEAST, np.float32),
    }
    nodes: list[tuple[str, list[str], list[str], dict[str, Any], str]] = [
        ("Clip", ["head.share", "head.least", *(["head.most"] if several else [])], ["head.held"], {}, ""),
        ("Log", ["head.held"], ["head.log" if several else "scores"], {}, ""),
    ]
    if several:
        constants["head.whole"] = np.array(1, np.float32)
        nodes += [
            ("Sub", ["head.whole", "head.held"], ["head.rest"], {}, ""),
            ("Log", ["head.rest"], ["head.other"], {}, ""),
            ("Sub", ["head.log", "head.other"], ["scores"], {}, ""),
        ]
    return Piece(constants, tuple(nodes))
