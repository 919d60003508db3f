"""What a trained classifier is: arrays that give scores to features, in numpy and as a piece of an ONNX graph.

Knows neither pictures nor how the arrays were found; the two ways to compute one are compared on every export.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sightline.learn.logistic import Floats

ROWS = 512  # pictures whose distances to all stored ones are in memory at once
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


def _after(scaling: Scaling, constants: dict[str, NDArray[Any]], *nodes: tuple[str, list[str], str, dict[str, Any]]) -> Piece:
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
        return _after(
            self.scaling,
            constants,
            ("Mul", ["head.scaled", "head.scaled"], "head.squared", {}),
            ("Gemm", ["head.squared", "head.squares", "head.bias"], "head.first", {}),
            ("MatMul", ["head.scaled", "head.linear"], "head.second", {}),
            ("Add", ["head.first", "head.second"], "scores", {}),
        )


@dataclass(frozen=True, slots=True)
class Kernel:
    """decisions = exp(-gamma |x - v|^2) @ weight + bias, and where `votes` is given, scores = clip(decisions, -1, 1) @ votes:
    the one-against-one machines of a support vector machine, each voting as far as it is sure.
    """

    scaling: Scaling
    vectors: Floats  # (m, d), scaled
    gamma: float
    weight: Floats  # (m, machines)
    bias: Floats  # (machines,)
    votes: Floats | None = None  # (machines, classes)

    @property
    def width(self) -> int:
        return int(self.vectors.shape[1])

    @property
    def classes(self) -> int:
        return len(self.bias) if self.votes is None else int(self.votes.shape[1])

    def logits(self, features: Floats) -> Floats:
        x = self.scaling(features)
        near = [np.exp(-self.gamma * apart(x[at : at + ROWS], self.vectors)) for at in range(0, len(x), ROWS)]
        return self.combined(np.concatenate(near) if near else np.zeros((0, len(self.vectors)), np.float32))

    def combined(self, near: Floats) -> Floats:
        """Scores from kernel values (n, m)."""
        decisions = near @ self.weight + self.bias
        return np.asarray(decisions if self.votes is None else np.clip(decisions, -1, 1) @ self.votes)

    def piece(self) -> Piece:
        constants: dict[str, NDArray[Any]] = {
            **_distance_constants(self.vectors),
            "head.gamma": np.array(-self.gamma, np.float32),
            "head.weight": self.weight,
            "head.bias": self.bias,
        }
        last: list[tuple[str, list[str], str, dict[str, Any]]] = []
        decisions = "scores"
        if self.votes is not None:
            constants |= {"head.low": np.array(-1, np.float32), "head.high": np.array(1, np.float32), "head.votes": self.votes}
            last = [
                ("Clip", ["head.decisions", "head.low", "head.high"], "head.sure", {}),
                ("MatMul", ["head.sure", "head.votes"], "scores", {}),
            ]
            decisions = "head.decisions"
        return _after(
            self.scaling,
            constants,
            *_distance_nodes(),
            ("Mul", ["head.apart", "head.gamma"], "head.exponent", {}),
            ("Exp", ["head.exponent"], "head.near", {}),
            ("Gemm", ["head.near", "head.weight", "head.bias"], decisions, {}),
            *last,
        )


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The k nearest stored pictures vote, each the more the nearer it is compared with the first one left out, whose vote would
    be 0: w = 1 - (d / d_{k+1})^2. So no picture's vote jumps when two are equally far.
    """

    scaling: Scaling
    vectors: Floats  # (m, d), scaled
    truth: Floats  # (m, classes) 0/1
    k: int
    several: bool  # labels a picture

    @property
    def width(self) -> int:
        return int(self.vectors.shape[1])

    @property
    def classes(self) -> int:
        return int(self.truth.shape[1])

    def logits(self, features: Floats) -> Floats:
        x = self.scaling(features)
        found = [self.voted(apart(x[at : at + ROWS], self.vectors)) for at in range(0, len(x), ROWS)]
        return np.concatenate(found) if found else np.zeros((0, self.classes), np.float32)

    def voted(self, squares: Floats) -> Floats:
        """Scores from squared distances (n, m)."""
        order = np.argsort(squares, axis=1, kind="stable")[:, : self.k + 1]
        chosen = np.take_along_axis(squares, order, axis=1)
        weight = 1 - chosen / (chosen[:, -1:] + 1e-6)
        weight[:, -1] = 0
        weight += 1e-6  # all equally far: equal votes
        share = np.einsum("nk,nkc->nc", weight, self.truth[order]) / weight.sum(axis=1, keepdims=True)
        return from_shares(share, several=self.several)

    def piece(self) -> Piece:
        constants: dict[str, NDArray[Any]] = {
            **_distance_constants(self.vectors),
            "head.k": np.array([self.k + 1], np.int64),
            "head.truth": self.truth,
            "head.last": np.array([self.k], np.int64),
            "head.end": np.array([self.k + 1], np.int64),
            "head.axis": np.array([1], np.int64),
            "head.tiny": np.array(1e-6, np.float32),
            "head.one": np.array(1, np.float32),
            "head.mask": np.array([1.0] * self.k + [0.0], np.float32),
        }
        after = shares_nodes(several=self.several)
        first = _after(
            self.scaling,
            {**constants, **after.constants},
            *_distance_nodes(),
        )
        nodes: tuple[tuple[str, list[str], list[str], dict[str, Any], str], ...] = (
            ("TopK", ["head.apart", "head.k"], ["head.chosen", "head.order"], {"axis": 1, "largest": 0, "sorted": 1}, ""),
            ("Slice", ["head.chosen", "head.last", "head.end", "head.axis"], ["head.border"], {}, ""),
            ("Add", ["head.border", "head.tiny"], ["head.bordered"], {}, ""),
            ("Div", ["head.chosen", "head.bordered"], ["head.ratio"], {}, ""),
            ("Sub", ["head.one", "head.ratio"], ["head.closer"], {}, ""),
            ("Mul", ["head.closer", "head.mask"], ["head.masked"], {}, ""),
            ("Add", ["head.masked", "head.tiny"], ["head.votes"], {}, ""),  # (n, k + 1)
            ("Gather", ["head.truth", "head.order"], ["head.named"], {"axis": 0}, ""),  # (n, k + 1, classes)
            ("Unsqueeze", ["head.votes", "head.axis"], ["head.row"], {}, ""),
            ("MatMul", ["head.row", "head.named"], ["head.sums"], {}, ""),  # (n, 1, classes)
            ("Squeeze", ["head.sums", "head.axis"], ["head.sum"], {}, ""),
            ("ReduceSum", ["head.votes", "head.axis"], ["head.all"], {"keepdims": 1}, ""),
            ("Div", ["head.sum", "head.all"], ["head.share"], {}, ""),
        )
        return Piece(first.constants, (*first.nodes, *nodes, *after.nodes))


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
        return _after(self.scaling, constants, *nodes)


def apart(x: Floats, y: Floats) -> Floats:
    """Squared distances (n, m), never negative."""
    return np.asarray(np.maximum((x * x).sum(axis=1)[:, None] - 2 * x @ y.T + (y * y).sum(axis=1), 0))


def _distance_constants(vectors: Floats) -> dict[str, NDArray[Any]]:
    return {
        "head.vectors": np.ascontiguousarray(-2 * vectors.T, np.float32),
        "head.lengths": (vectors.astype(np.float64) ** 2).sum(axis=1).astype(np.float32),
        "head.features": np.array([1], np.int64),
    }


def _distance_nodes() -> tuple[tuple[str, list[str], str, dict[str, Any]], ...]:
    return (
        ("Mul", ["head.scaled", "head.scaled"], "head.square", {}),
        ("ReduceSum", ["head.square", "head.features"], "head.length", {"keepdims": 1}),
        ("Gemm", ["head.scaled", "head.vectors", "head.lengths"], "head.cross", {}),
        ("Add", ["head.cross", "head.length"], "head.signed", {}),
        ("Relu", ["head.signed"], "head.apart", {}),
    )


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
