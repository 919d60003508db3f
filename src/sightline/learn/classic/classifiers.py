"""The classifiers of the textbooks on given features: scikit-learn finds them, what is kept are arrays (`scorers`, `trees`).

Knows arrays only. Each takes one setting, which `choose.py` picks by cross-validation.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.learn.classic.discriminant import discriminant
from sightline.learn.classic.distances import Kernel, Neighbours, apart
from sightline.learn.classic.scorers import Layers, Quadratic, Scaling, Scorer, Turned
from sightline.learn.classic.trees import Forest, from_sklearn
from sightline.learn.logistic import Floats
from sightline.learn.probe import Head, scaling

STORED = 4_000  # pictures that `knn` keeps and `svm-rbf` learns from: more make the file larger, not the answers better
TREES = 150
HIDDEN = 128  # units of the MLP's one hidden layer
ABSENT = -6.0  # logit of a label that no training picture has


@dataclass(frozen=True, slots=True)
class Given:
    """Features (n, d) and truth: class numbers (n,), or with several labels a picture 0/1 (n, classes)."""

    features: Floats
    truth: NDArray[np.int64]
    classes: int
    several: bool
    seed: int

    def part(self, rows: NDArray[np.intp]) -> Given:
        return Given(self.features[rows], self.truth[rows], self.classes, self.several, self.seed)

    def hot(self) -> Floats:
        """Truth as 0/1 (n, classes)."""
        return self.truth.astype(np.float32) if self.several else np.eye(self.classes, dtype=np.float32)[self.truth]


Setting = dict[str, float]
Fit = Callable[[Given, Setting], Scorer | Head]


@contextmanager
def _quiet() -> Iterator[None]:
    """scikit-learn warns when a search ends at its limit of steps; cross-validation judges the outcome anyway."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _each(given: Given) -> Scaling:
    """Every feature standardised by itself: for machines that weigh features."""
    middle, spread = scaling(given.features)
    return Scaling(middle, (1 / spread).astype(np.float32))


def _together(given: Given) -> Scaling:
    """All features in one unit, in which a picture is about 1 from the mean: for machines that measure distances."""
    middle = given.features.mean(axis=0, dtype=np.float64)
    unit = float(np.sqrt(((given.features - middle) ** 2).sum(axis=1).mean()))
    return Scaling(middle.astype(np.float32), np.full(len(middle), 1 / max(unit, 1e-9), np.float32))


def _some(given: Given) -> Given:
    """At most STORED pictures, chosen by the seed."""
    if len(given.features) <= STORED:
        return given
    return given.part(np.sort(np.random.default_rng(given.seed).permutation(len(given.features))[:STORED]))


def _folded(scale: Scaling, weight: NDArray[Any], bias: NDArray[Any]) -> Head:
    """A linear machine on scaled features as one on the features themselves; a machine of two classes gets its mirror."""
    if len(weight) == 1:
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    weight = weight * scale.factor
    return Head(weight.astype(np.float32), (bias - weight @ scale.middle).astype(np.float32))


def _linear(machine: Callable[[], Any], given: Given) -> Head:
    """One linear machine for each class against the rest (scikit-learn's way for both kinds of truth)."""
    scale = _each(given)
    x = scale(given.features)
    if not given.several:
        with _quiet():
            fitted = machine().fit(x, given.truth)
        return _folded(scale, fitted.coef_, fitted.intercept_)
    weight, bias = np.zeros((given.classes, x.shape[1])), np.full(given.classes, ABSENT)
    for label in range(given.classes):
        shown = given.truth[:, label]
        if shown.min() == shown.max():
            bias[label] = ABSENT if shown.max() == 0 else -ABSENT
            continue
        with _quiet():
            fitted = machine().fit(x, shown)
        weight[label], bias[label] = fitted.coef_[0], fitted.intercept_[0]
    weight = weight * scale.factor
    return Head(weight.astype(np.float32), (bias - weight @ scale.middle).astype(np.float32))


def sgd(given: Given, setting: Setting) -> Head:
    """Logistic regression by averaged stochastic gradient descent."""
    from sklearn.linear_model import SGDClassifier

    return _linear(
        partial(SGDClassifier, loss="log_loss", alpha=setting["alpha"], average=True, random_state=given.seed, max_iter=60),
        given,
    )


def svm(given: Given, setting: Setting) -> Head:
    """Linear support vector machines, one against the rest."""
    from sklearn.svm import LinearSVC

    return _linear(partial(LinearSVC, C=setting["C"], dual=True, random_state=given.seed, max_iter=100, tol=1e-2), given)


def bayes(given: Given, setting: Setting) -> Quadratic:
    """Gaussian naive Bayes. Features hang together, so its answers are far too sure: they are divided by the root of their
    number, and the temperature does the rest.
    """
    scale = _each(given)
    x, hot = scale(given.features).astype(np.float64), given.hot()
    floor = setting["smoothing"]

    def gaussian(weight: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], float]:
        share = max(float(weight.mean()), 1e-6)
        total = max(float(weight.sum()), 1e-9)
        mean = weight @ x / total
        variance = np.maximum(weight @ (x * x) / total - mean**2, 0) + floor
        constant = np.log(share) - 0.5 * (np.log(variance).sum() + (mean**2 / variance).sum())
        return -0.5 / variance, mean / variance, float(constant)

    found = []
    for label in range(given.classes):
        shown = hot[:, label].astype(np.float64)
        squares, linear, bias = gaussian(shown)
        if given.several:
            other = gaussian(1 - shown)
            squares, linear, bias = squares - other[0], linear - other[1], bias - other[2]
            if shown.max() == 0:
                squares, linear, bias = squares * 0, linear * 0, ABSENT
        found.append((squares, linear, bias))
    root = np.sqrt(x.shape[1])
    columns = [np.stack([np.asarray(one[place]) for one in found], axis=-1) / root for place in range(3)]
    columns[2] -= columns[2].max() if not given.several else 0
    return Quadratic(scale, *(np.ascontiguousarray(column, np.float32) for column in columns))


def svm_rbf(given: Given, setting: Setting) -> Kernel:
    """Support vector machines with a Gaussian kernel: one against one, for several labels each against the rest."""
    given = _some(given)
    scale = _together(given)
    x = scale(given.features)
    gamma = setting["gamma"]
    near = np.exp(-gamma * apart(x, x)).astype(np.float64)
    n, classes = len(x), given.classes
    if given.several:
        weight, bias = np.zeros((n, classes)), np.full(classes, ABSENT)
        for label in range(classes):
            shown = given.truth[:, label]
            if shown.min() != shown.max():
                weight[:, label], bias[label] = _machine(near, shown, setting["C"])
        return _kernel(scale, x, gamma, (weight, bias), None)
    pairs = [(one, other) for one in range(classes) for other in range(one + 1, classes)]
    weight, bias = np.zeros((n, len(pairs))), np.zeros(len(pairs))
    votes = np.zeros((len(pairs), classes), np.float32)
    for place, (one, other) in enumerate(pairs):
        rows = np.flatnonzero((given.truth == one) | (given.truth == other))
        shown = (given.truth[rows] == one).astype(np.int64)
        votes[place, one], votes[place, other] = 1, -1
        if len(rows) and shown.min() != shown.max():
            weight[rows, place], bias[place] = _machine(near[np.ix_(rows, rows)], shown, setting["C"])
    return _kernel(scale, x, gamma, (weight, bias), votes)


def _machine(near: NDArray[Any], shown: NDArray[np.int64], strength: float) -> tuple[NDArray[Any], float]:
    """Weight of every picture (0 for those that are no support vectors) and bias of one support vector machine."""
    from sklearn.svm import SVC

    fitted = SVC(kernel="precomputed", C=strength, class_weight="balanced", cache_size=100, tol=1e-3).fit(near, shown)
    weight = np.zeros(len(near))
    weight[fitted.support_] = fitted.dual_coef_[0]
    return weight, float(fitted.intercept_[0])


def _kernel(
    scale: Scaling, x: Floats, gamma: float, machines: tuple[NDArray[Any], NDArray[Any]], votes: Floats | None
) -> Kernel:
    weight, bias = machines
    used = np.flatnonzero(np.abs(weight).max(axis=1) > 0)
    used = used if len(used) else np.arange(1)
    return Kernel(scale, x[used], gamma, weight[used].astype(np.float32), bias.astype(np.float32), votes)


def tree(given: Given, setting: Setting) -> Forest:
    """One decision tree (CART)."""
    from sklearn.tree import DecisionTreeClassifier

    fitted = DecisionTreeClassifier(
        min_samples_leaf=int(setting["leaf"]), max_depth=int(setting.get("depth", 30)), random_state=given.seed
    )
    columns, truth = _outputs(given)
    fitted.fit(given.features, truth)
    return Forest(_trees([fitted], columns, given), given.features.shape[1], given.classes, given.several)


def forest(given: Given, setting: Setting) -> Forest:
    """Random forest (Breiman 2001, doi:10.1023/A:1010933404324)."""
    from sklearn.ensemble import RandomForestClassifier

    fitted = RandomForestClassifier(TREES, min_samples_leaf=int(setting["leaf"]), max_features="sqrt", random_state=given.seed)
    columns, truth = _outputs(given)
    fitted.fit(given.features, truth)
    return Forest(_trees(fitted.estimators_, columns, given), given.features.shape[1], given.classes, given.several)


def _outputs(given: Given) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The classes a tree can be asked for (those that occur, and for several labels do not always occur), and their truth."""
    if not given.several:
        return np.unique(given.truth), given.truth
    columns = np.flatnonzero(given.truth.min(axis=0) != given.truth.max(axis=0))
    return columns, np.column_stack([given.truth[:, columns], np.arange(len(given.truth)) % 2])  # two outputs at least


def _trees(fitted: Any, columns: NDArray[np.int64], given: Given) -> tuple[Any, ...]:
    return tuple(from_sklearn(one, columns, given.classes, several=given.several) for one in fitted)


def knn(given: Given, setting: Setting) -> Neighbours:
    """The k nearest neighbours: among the features as they are, or (`discriminant`) along the directions that tell the classes
    apart, as in fisherfaces; several labels have no such directions.
    """
    plain = given.several or not setting.get("discriminant")
    scale: Scaling | Turned = _together(given) if plain else discriminant(given.features, given.truth, given.classes)
    given = _some(given)
    k = max(1, min(int(setting["k"]), len(given.features) - 1))
    return Neighbours(scale, scale(given.features), given.hot(), k, given.several)


def mlp(given: Given, setting: Setting) -> Layers:
    """A multilayer perceptron with one hidden layer."""
    from sklearn.neural_network import MLPClassifier

    scale = _each(given)
    fitted = MLPClassifier((HIDDEN,), alpha=setting["alpha"], random_state=given.seed, max_iter=40, batch_size=64)
    with _quiet():
        fitted.fit(scale(given.features), given.truth)
    weights = [weight.astype(np.float32) for weight in fitted.coefs_]
    biases = [bias.astype(np.float32) for bias in fitted.intercepts_]
    if not given.several and weights[-1].shape[1] == 1:  # two classes: one unit, for the second of them
        weights[-1] = np.concatenate([-weights[-1], weights[-1]], axis=1) / 2
        biases[-1] = np.concatenate([-biases[-1], biases[-1]]) / 2
    return Layers(scale, tuple(weights), tuple(biases))


def _settings(**values: tuple[float, ...]) -> tuple[Setting, ...]:
    """Every combination, the most cautious first."""
    found: list[Setting] = [{}]
    for name, each in values.items():
        found = [{**one, name: value} for one in found for value in each]
    return tuple(found)


# name -> how it is fitted, and the settings that cross-validation chooses from. `logistic` is the probe's own (probe.py)
CLASSIFIERS: dict[str, tuple[Fit, tuple[Setting, ...]]] = {
    "sgd": (sgd, _settings(alpha=(0.1, 0.01, 0.001))),
    "bayes": (bayes, _settings(smoothing=(1.0, 0.1, 0.01))),
    "svm": (svm, _settings(C=(1e-5, 1e-4, 1e-3))),
    "svm-rbf": (svm_rbf, _settings(C=(1, 10), gamma=(0.5, 1.5))),
    "tree": (tree, _settings(leaf=(10, 3, 1), depth=(8, 30))),
    "forest": (forest, _settings(leaf=(3, 1))),
    "knn": (knn, _settings(k=(20, 10, 5), discriminant=(0, 1))),
    "mlp": (mlp, _settings(alpha=(1.0, 0.01))),
}
NAMES = ("logistic", *CLASSIFIERS)
