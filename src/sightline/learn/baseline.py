"""What a model must beat: always naming the most frequent class, and a linear model on gradient histograms (HOG).

Knows pictures only as files; uses neither torch nor pretrained weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline import progress
from sightline.errors import SightlineError
from sightline.learn.logistic import Floats, sigmoid, softmax
from sightline.learn.probe import fit_head
from sightline.measure.scores import classification_scores
from sightline.runtime.model import in_order
from sightline.runtime.pixels import prepare, read_picture
from sightline.settings import settings
from sightline.types import InputSpec, Item, Score, Task

SPEC = InputSpec(size=64, fit="pad", interpolation="bilinear")
TRAINING, TESTING = 1_500, 500  # pictures at most: enough to know the level to beat
STRENGTH = 0.003  # C of the linear model on 1,764 standardised gradients


def baselines(
    train: Sequence[Item],
    train_truth: NDArray[Any],
    val: Sequence[Item],
    val_truth: NDArray[Any],
    *,
    task: Task,
    classes: tuple[str, ...],
    seed: int = 0,
) -> dict[str, Score]:
    """Scores of simple ways on (a sample of) the validation pictures: top-1, for several labels mean average precision.

    Truths: class numbers (n,), or 0/1 (n, classes). Without scikit-image only the majority class is measured.
    """
    rng = np.random.default_rng(seed)
    chosen, asked = _some(len(train), TRAINING, rng), _some(len(val), TESTING, rng)
    truth, tested = train_truth[chosen], val_truth[asked]
    share = train_truth.mean(axis=0) if task == "multilabel" else np.bincount(train_truth, minlength=len(classes)) / len(train)
    found = {"majority class": _score(val_truth, np.tile(share, (len(val), 1)), task, classes)}
    try:
        import skimage.feature  # noqa: F401
    except ImportError:
        progress.note("HOG baseline left out: scikit-image is not installed (pip install 'sightline[features]')")
        return found
    with progress.task("Measuring what is to beat", len(chosen) + len(asked)) as work:
        learnt = _gradients([train[place] for place in chosen], work)
        seen = _gradients([val[place] for place in asked], work)
    good, readable = ~np.isnan(learnt[:, 0]), ~np.isnan(seen[:, 0])
    if good.sum() < 2 or not readable.any():
        return found
    logits = fit_head(learnt[good], truth[good], len(classes), task, STRENGTH).logits(seen[readable])
    probabilities = sigmoid(logits) if task == "multilabel" else softmax(logits)
    found["HOG + linear"] = _score(tested[readable], probabilities, task, classes)
    return found


def _some(count: int, most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    return np.sort(rng.permutation(count)[:most])


def _gradients(items: Sequence[Item], work: progress.Task) -> Floats:
    """Histograms of oriented gradients (Dalal and Triggs 2005, doi:10.1109/CVPR.2005.177): (n, 1764); broken: NaN."""
    from skimage.feature import hog

    def one(item: Item) -> Floats:
        work.advance()
        try:
            pixels = prepare(read_picture(item.uri), SPEC)
        except SightlineError:
            return np.full(1764, np.nan, np.float32)
        grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)  # (64, 64)
        return np.asarray(hog(grey, orientations=9, pixels_per_cell=(8, 8), cells_per_block=(2, 2)), np.float32)

    return np.stack(list(in_order(one, items, settings().threads)))


def _score(truth: NDArray[Any], probabilities: NDArray[np.floating], task: Task, classes: tuple[str, ...]) -> Score:
    overall = classification_scores(truth, probabilities, task, classes).overall
    return overall["map" if task == "multilabel" else "top1"]
