"""What a report can show: plain values, each optional; a section whose values are absent is left out. Knows no HTML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sightline.measure.calibration import Bin
from sightline.measure.learning import LearningCurve
from sightline.measure.scores import Scores
from sightline.types import Card, Failure, Finding, Parity, Recipe, Score, Unknown


@dataclass(frozen=True, slots=True)
class Mistake:
    """A picture that was answered wrongly; `picture` is a small JPEG or PNG, see thumbnails.py."""

    picture: bytes
    name: str
    truth: str
    answer: str
    score: float


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures that look alike on both sides of a split, so that the test is easier than the truth."""

    left: bytes
    left_name: str
    right: bytes
    right_name: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Sight:
    """A drawing of what a model looks at on a picture; `picture` is a small JPEG or PNG."""

    picture: bytes
    name: str
    caption: str


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything one report shows.

    Args:
        title: the page's heading, such as "clothing, small".
        card: the model's passport; recipe, parity, unknown and baselines are taken from it where not given here.
        scores: of the test that the page is about.
        tested_on: which pictures were tested, in words: "341 validation pictures".
        train_scores: Scores.overall on training pictures, for the training and learning sections.
        history: one mapping an epoch: `epoch` or `number` (from 1), *loss, and scores in 0..1 (*accuracy, *score, *map).
        baselines: top-1 (several labels: map) of simpler ways, by name.
        curve: from `learning_curve`; `diagnosis`: from `diagnose`.
        findings: of the health check; `pairs`: look-alikes between training and test with both pictures.
        failures: pictures that could not be read.
        sights: what a model of hand-made features looks at, drawn on some pictures.
    """

    title: str
    card: Card | None = None
    scores: Scores | None = None
    tested_on: str = ""
    train_scores: Mapping[str, Score] | None = None
    history: tuple[Mapping[str, float | None], ...] = ()
    reliability: tuple[Bin, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    unknown: Unknown | None = None
    baselines: Mapping[str, Score] = field(default_factory=dict)
    curve: LearningCurve | None = None
    diagnosis: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    pairs: tuple[Pair, ...] = ()
    recipe: Recipe | None = None
    parity: Parity | None = None
    failures: tuple[Failure, ...] = ()
    sights: tuple[Sight, ...] = ()
    created: str = ""
