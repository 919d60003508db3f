"""Classifiers that measure how far a picture is from stored ones: kernel machines and nearest neighbours, as arrays.

In numpy and as a piece of an ONNX graph, like all of `scorers.py`. Knows no pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.learn.classic.scorers import Piece, Scaling, Turned, after, from_shares, shares_nodes
from sightline.learn.logistic import Floats

ROWS = 512  # pictures whose distances to all stored ones are in memory at once


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
        return after(
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

    scaling: Scaling | Turned
    vectors: Floats  # (m, k), scaled or turned
    truth: Floats  # (m, classes) 0/1
    k: int
    several: bool  # labels a picture

    @property
    def width(self) -> int:
        return len(self.scaling.middle)

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
        last = shares_nodes(several=self.several)
        first = after(self.scaling, {**constants, **last.constants}, *_distance_nodes())
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
        return Piece(first.constants, (*first.nodes, *nodes, *last.nodes))


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
