"""What an evaluation tells, whatever the task. Values only."""

from __future__ import annotations

from pydantic import Field

from sightline.measure.detection import ClassDetection, Fault
from sightline.measure.scores import ClassScores
from sightline.measure.segmentation import ClassPixels
from sightline.types import Failure, Finding, Record, Score

# what a health check of test pictures has to say that matters for their scores
WORTH_SAYING = frozenset({"unreadable", "label_conflict", "exact_duplicate", "near_duplicate"})


class Evaluation(Record):
    """Scores with their intervals, overall and for each class."""

    scores: dict[str, Score]
    classes: dict[str, ClassScores | ClassDetection | ClassPixels]
    report: str
    model: str
    pictures: int
    unknown_rate: float = Field(description="share of these pictures that the model flags as unlike its training set")
    errors: dict[str, Fault] = Field(default_factory=dict, description="of a detector: how often each kind, and what it costs")
    count_error: float | None = Field(default=None, description="of a detector: objects that a picture's count is off")
    advice: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    failures: tuple[Failure, ...] = ()
