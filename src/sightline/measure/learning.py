"""What more pictures would bring, and whether a model learned too little or learned by heart, in plain sentences.

Knows measured scores, not how they came about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError
from sightline.measure.scores import ClassScores
from sightline.types import Score

_MAIN = ("top1", "map")  # the score that answers "how good is it", one label or several
OVERFIT_GAP = 0.05  # points between known and new pictures that are worth a word
UNDERFIT_BELOW = 0.85  # a network that does not even know its training pictures this well learned too little
_WEAK_CLASSES = 3


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Measured (pictures, score) points and the power law through them: error = scale * pictures ** -decay + floor.

    `doubled` is what the law expects of twice as many pictures; None where one point allows no law.
    """

    points: tuple[tuple[int, float], ...]
    scale: float = 0.0
    decay: float = 0.0
    floor: float = 0.0
    doubled: float | None = None

    @property
    def gain(self) -> float:
        """What doubling the pictures is expected to add to the score of the last point; 0 when unknown."""
        return max(0.0, self.doubled - self.points[-1][1]) if self.doubled is not None else 0.0

    def expected(self, pictures: float) -> float:
        """The law's score for `pictures`."""
        error = self.scale * float(pictures) ** -self.decay + self.floor
        return float(min(1.0, max(0.0, 1 - error)))


def learning_curve(points: Sequence[tuple[int, float]]) -> LearningCurve:
    """Fit the power law of learning (Hestness et al. 2017, arXiv 1712.00409) to (pictures, score in 0..1) points.

    Least squares in the score, larger trainings counting more. With four points or more the error may level off at a floor
    above 0. A law that would get worse with more pictures becomes a flat line at the last score.
    Raises: DataError for no points, a count below 1 or a score outside 0..1.
    """
    if not points or any(count < 1 or not 0 <= score <= 1 for count, score in points):
        raise DataError(f"a learning curve needs (pictures, score) points with scores in 0..1, got {list(points)}")
    best = dict(sorted(points))  # one score a count
    ordered = tuple((int(count), float(score)) for count, score in best.items())
    if len(ordered) < 2:
        return LearningCurve(ordered)
    counts = np.array([count for count, _ in ordered], np.float64)
    errors = 1 - np.array([score for _, score in ordered])
    floors = np.linspace(0, 0.95, 39) * errors.min() if len(ordered) >= 4 else np.zeros(1)
    fits = [_power_law(counts, errors, floor) for floor in floors]
    _, scale, decay, floor = min(fits, key=lambda fit: fit[0])
    if decay <= 0:
        return LearningCurve(ordered, scale=0.0, decay=0.0, floor=float(errors[-1]), doubled=ordered[-1][1])
    # the law says how the error shrinks; the last measured score says from where
    law = LearningCurve(ordered, scale, decay, floor)
    step = law.expected(2 * counts[-1]) - law.expected(counts[-1])
    return LearningCurve(ordered, scale, decay, floor, doubled=min(1.0, ordered[-1][1] + max(0.0, step)))


def _power_law(counts: NDArray[np.float64], errors: NDArray[np.float64], floor: float) -> tuple[float, float, float, float]:
    """(misfit, scale, decay, floor): a straight line through log error - against log count, weighted by count."""
    above = np.maximum(errors - floor, 1e-4)
    weight = counts / counts.sum()
    x, y = np.log(counts), np.log(above)
    centre_x, centre_y = float(weight @ x), float(weight @ y)
    spread = float(weight @ (x - centre_x) ** 2)
    slope = float(weight @ ((x - centre_x) * (y - centre_y))) / spread
    scale = float(np.exp(centre_y - slope * centre_x))
    misfit = float(weight @ (scale * counts**slope + floor - errors) ** 2)
    return misfit, scale, -slope, float(floor)


def diagnose(
    train_scores: Mapping[str, Score] | None,
    val_scores: Mapping[str, Score],
    curve: LearningCurve | None = None,
    per_class: Mapping[str, ClassScores] | None = None,
    *,
    pictures: Mapping[str, int] | None = None,
) -> list[str]:
    """Plain sentences about a model: did it learn by heart, too little or well, what more pictures bring, which class is weak.

    Args:
        train_scores, val_scores: Scores.overall on training and on new pictures; `top1` is compared, or `map`.
        curve: from `learning_curve`.
        per_class: Scores.classes on new pictures.
        pictures: training pictures of each class, for "more pictures of X".
    Overfitting: training above the new pictures' 95 % interval and by 5 points or more. Underfitting: below 85 % on the
    training pictures themselves.
    """
    name = next((name for name in _MAIN if name in val_scores), None)
    if name is None:
        return []
    val = val_scores[name]
    sentences = []
    if train_scores is not None and name in train_scores:
        sentences.append(_fit_sentence(train_scores[name].value, val))
    if curve is not None and curve.doubled is not None:
        sentences.append(_curve_sentence(curve))
    if per_class:
        sentences += _class_sentences(per_class, pictures or {})
    return sentences


def _fit_sentence(train: float, val: Score) -> str:
    known, new = f"{train:.0%}".replace("%", " %"), f"{val.value:.0%}".replace("%", " %")
    if train < UNDERFIT_BELOW and train - val.value < 2 * OVERFIT_GAP:
        return (
            f"The model knows even its training pictures only in part ({known}, new ones {new}): it underfits. A longer "
            "training, a larger network or larger pictures would help; so would checking the labels."
        )
    if train - val.value >= OVERFIT_GAP and train > val.high:
        return (
            f"The model knows its training pictures much better ({known}) than new ones ({new}): it overfits. More, or more "
            "varied, pictures would help most."
        )
    return f"The model does about as well on new pictures ({new}) as on its training pictures ({known}): a good fit."


def _curve_sentence(curve: LearningCurve) -> str:
    count, score = curve.points[-1]
    if curve.gain < 0.005:
        return f"The learning curve is flat at {count:,} pictures: more pictures of the same kind would hardly help."
    return (
        f"With twice as many training pictures ({2 * count:,}) expect about {score + curve.gain:.1%} instead of {score:.1%}, "
        "if the learning curve goes on as measured."
    ).replace("%", " %")


def _class_sentences(per_class: Mapping[str, ClassScores], pictures: Mapping[str, int]) -> list[str]:
    """The weakest classes, where recall lies clearly below the rest: its upper bound under the mean recall."""
    shown = {name: one for name, one in per_class.items() if one.support}
    if len(shown) < 2:
        return []
    mean = sum(one.recall.value for one in shown.values()) / len(shown)
    weak = sorted((one.recall.value, name) for name, one in shown.items() if one.recall.value < mean - 0.05)
    clear = [(recall, name) for recall, name in weak if shown[name].recall.high < mean] or weak[:1]
    sentences = []
    for recall, name in clear[:_WEAK_CLASSES]:
        had = f" from {pictures[name]:,} training pictures" if name in pictures else ""
        sentences.append(
            f"It finds only {100 * recall:.0f} of 100 pictures of {name} (recall {recall:.2f}{had}; {mean:.2f} on average): "
            f"more pictures of {name} would help most."
        )
    return sentences[:1] + [line.replace("would help most", "would help too", 1) for line in sentences[1:]]
