"""Decision trees and forests as arrays: walked in numpy, exported as one TreeEnsemble of ai.onnx.ml. Knows no pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.learn.classic.scorers import Piece, from_shares, shares_nodes
from sightline.learn.logistic import Floats

ML = "ai.onnx.ml"


@dataclass(frozen=True, slots=True)
class Tree:
    """Nodes of one tree; a leaf has left = -1. Goes left where features[feature] <= threshold."""

    feature: NDArray[np.int64]
    threshold: Floats
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    share: Floats  # (nodes, classes): what the pictures in a leaf are


@dataclass(frozen=True, slots=True)
class Forest:
    """The mean of the trees' shares; one tree is a small forest."""

    trees: tuple[Tree, ...]
    width: int
    classes: int
    several: bool

    def logits(self, features: Floats) -> Floats:
        rows = np.arange(len(features))
        total = np.zeros((len(features), self.classes))
        for tree in self.trees:
            at = np.zeros(len(features), np.int64)
            while True:
                inside = tree.left[at] >= 0
                if not inside.any():
                    break
                goes = features[rows, tree.feature[at]] <= tree.threshold[at]
                at = np.where(inside, np.where(goes, tree.left[at], tree.right[at]), at)
            total += tree.share[at]
        return from_shares(total / len(self.trees), several=self.several)

    def piece(self) -> Piece:
        after = shares_nodes(several=self.several)
        node = ("TreeEnsembleRegressor", ["embedding"], ["head.share"], self._attributes(), ML)
        return Piece(after.constants, (node, *after.nodes))

    def _attributes(self) -> dict[str, Any]:
        """The trees as ai.onnx.ml wants them: one flat list for all nodes, one for all votes of leaves."""
        nodes: dict[str, list[Any]] = {
            name: [] for name in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")
        }
        votes: dict[str, list[Any]] = {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
        for number, tree in enumerate(self.trees):
            leaf = tree.left < 0
            nodes["treeids"] += [number] * len(leaf)
            nodes["nodeids"] += range(len(leaf))
            nodes["featureids"] += np.where(leaf, 0, tree.feature).tolist()
            nodes["values"] += np.where(leaf, 0, tree.threshold).tolist()
            nodes["modes"] += np.where(leaf, "LEAF", "BRANCH_LEQ").tolist()
            nodes["truenodeids"] += np.where(leaf, 0, tree.left).tolist()
            nodes["falsenodeids"] += np.where(leaf, 0, tree.right).tolist()
            where, what = np.nonzero((tree.share > 0) & leaf[:, None])
            votes["treeids"] += [number] * len(where)
            votes["nodeids"] += where.tolist()
            votes["ids"] += what.tolist()
            votes["weights"] += (tree.share[where, what] / len(self.trees)).tolist()
        told = {f"nodes_{name}": values for name, values in nodes.items()}
        told |= {f"target_{name}": values for name, values in votes.items()}
        return {**told, "n_targets": self.classes, "post_transform": "NONE", "aggregate_function": "SUM"}


def from_sklearn(tree: Any, columns: NDArray[np.int64], classes: int, *, several: bool) -> Tree:
    """A fitted scikit-learn tree. `columns`: the class number of each of its classes (one label), or of each of its outputs
    (several). Its thresholds are float64 and its features float32: rounding a threshold down keeps every decision.
    """
    inner = tree.tree_
    rounded = inner.threshold.astype(np.float32)
    rounded = np.where(rounded > inner.threshold, np.nextafter(rounded, np.float32(-np.inf)), rounded).astype(np.float32)
    values = inner.value / np.maximum(inner.value.sum(axis=2, keepdims=True), 1e-12)  # (nodes, outputs, classes)
    share = np.zeros((len(rounded), classes), np.float32)
    if several:
        for output, column in enumerate(columns):
            share[:, column] = values[:, output, 1]
    else:
        share[:, columns] = values[:, 0, :]
    left, right = inner.children_left.astype(np.int64), inner.children_right.astype(np.int64)
    return Tree(np.maximum(inner.feature, 0).astype(np.int64), rounded, left, right, share)
