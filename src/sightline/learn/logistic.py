"""Regularised logistic regression on features, quickly and often: softmax or one-vs-rest, several strengths and folds.

Knows arrays only, neither pictures nor networks. Minimises sum of w_i loss_i + |W|^2 / (2 C), as scikit-learn's
LogisticRegression does (tests/learn/test_logistic.py compares them), in a tenth of its steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
CURVATURE = 0.15  # typical p (1 - p) of a class among several; the bound is 1/4, and only the number of steps depends on it
STEPS = 200  # a well-posed problem needs 10-40


@dataclass(frozen=True, slots=True)
class Problem:
    """Features in a basis where the problem is round, with the truth; every strength and every fold shares it.

    The curvature of the loss is at most a quarter (softmax: half) of the features' second moments (Boehning 1992,
    doi:10.1007/BF00048682): along their eigenvectors, each axis scaled by its own bound, L-BFGS needs few steps.
    """

    rotated: Floats  # (n, r): features @ vectors
    vectors: Floats  # (d, r): orthonormal
    moments: NDArray[np.float64]  # (r,): mean square of each column of `rotated`
    targets: Floats  # (n, classes): one-hot for softmax, else 0/1
    weights: Floats  # (n,): how much each picture counts
    softmax: bool


@dataclass(frozen=True, slots=True)
class Solution:
    """A head in the rotated basis."""

    weight: Floats  # (classes, r)
    bias: Floats  # (classes,)
    steps: int


def problem(features: Floats, targets: Floats, weights: Floats, *, softmax: bool) -> Problem:
    """Rotate standardised features (n, d) once; r <= min(n, d) axes carry everything that a linear head can use."""
    n, d = features.shape
    if n < d:  # the small side decides the cost
        values, left = np.linalg.eigh(features @ features.T / n)
        keep = values > max(float(values[-1]), 1e-12) * 1e-6
        vectors = features.T @ (left[:, keep] / np.sqrt(values[keep] * n))
    else:
        values, right = np.linalg.eigh(features.T @ features / n)  # float32: the basis only has to be about right
        keep = values > max(float(values[-1]), 1e-12) * 1e-6
        vectors = right[:, keep]
    vectors = np.ascontiguousarray(vectors)
    return Problem(features @ vectors, vectors, values[keep].astype(np.float64), targets, weights, softmax)


def solve(
    given: Problem, rows: NDArray[np.intp], strength: float, start: Solution | None = None, tolerance: float = 1e-7
) -> Solution:
    """The head for the pictures `rows` at strength C; `start` (a neighbour's solution) saves steps. Deterministic."""
    from scipy.optimize import minimize

    whole = len(rows) == len(given.targets)
    features = given.rotated if whole else given.rotated[rows]
    targets, weights = given.targets[rows], given.weights[rows]
    total = float(weights.sum())
    classes, r = targets.shape[1], features.shape[1]
    ridge = 1.0 / (strength * total)
    scale = 1 / np.sqrt(CURVATURE * given.moments + ridge)  # (r,)
    bias_scale = 1 / np.sqrt(CURVATURE)

    def loss_and_slope(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        point = flat.reshape(classes, r + 1)
        weight, bias = point[:, :r] * scale, point[:, r] * bias_scale
        logits = features @ weight.T.astype(np.float32)
        logits += bias.astype(np.float32)
        losses, errors = _loss(logits, targets, softmax=given.softmax)
        errors *= (weights / total)[:, None]
        slope = np.empty_like(point)
        slope[:, :r] = (errors.T @ features + ridge * weight) * scale
        slope[:, r] = errors.sum(axis=0, dtype=np.float64) * bias_scale
        value = float(losses @ weights.astype(np.float64)) / total + 0.5 * ridge * float((weight * weight).sum())
        return value, slope.ravel()

    first = np.zeros((classes, r + 1))
    if start is not None:
        first[:, :r], first[:, r] = start.weight / scale, start.bias / bias_scale
    found = minimize(
        loss_and_slope, first.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": STEPS, "ftol": tolerance, "gtol": 1e-5}
    )
    point = found.x.reshape(classes, r + 1)
    return Solution((point[:, :r] * scale).astype(np.float32), (point[:, r] * bias_scale).astype(np.float32), int(found.nit))


def _loss(logits: Floats, targets: Floats, *, softmax: bool) -> tuple[NDArray[np.float64], Floats]:
    """The loss of each picture (n,) and the error of each logit, d loss / d logit (n, classes)."""
    if softmax:
        logits = logits - logits.max(axis=1, keepdims=True)
        powers = np.exp(logits)
        sums = powers.sum(axis=1, keepdims=True)
        losses = np.log(sums[:, 0].astype(np.float64)) - (logits * targets).sum(axis=1, dtype=np.float64)
        powers /= sums
        powers -= targets
        return losses, powers
    losses = (np.logaddexp(0, logits) - logits * targets).sum(axis=1, dtype=np.float64)
    return losses, np.asarray(sigmoid(logits) - targets, dtype=np.float32)


def losses_of(logits: Floats, targets: Floats, *, softmax: bool) -> NDArray[np.float64]:
    """The loss of each picture (n,): cross-entropy, or for several labels the sum over the labels."""
    return _loss(logits, targets, softmax=softmax)[0]


def logits_of(given: Problem, rows: NDArray[np.intp], solution: Solution) -> Floats:
    """Logits (len(rows), classes) of pictures of the problem."""
    return given.rotated[rows] @ solution.weight.T + solution.bias


def in_features(given: Problem, solution: Solution) -> tuple[Floats, Floats]:
    """The head for the features themselves: weight (classes, d), bias (classes,)."""
    return solution.weight @ given.vectors.T, solution.bias


def sigmoid(logits: Floats) -> Floats:
    """1 / (1 + exp(-x)) without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)), dtype=np.float32)


def softmax(logits: Floats) -> Floats:
    """Probabilities (n, classes) whose rows sum to 1."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


def one_hot(truth: Sequence[int] | NDArray[np.intp], classes: int) -> Floats:
    """Indices (n,) to float32 (n, classes)."""
    return np.eye(classes, dtype=np.float32)[np.asarray(truth, dtype=np.intp)]
