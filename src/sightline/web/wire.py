"""The JSON of the doors: the shapes OpenAPI documents, and the quick writer of answers.

The writer gives the same text as `runtime.tasks.to_wire`, without making a record for each of a thousand classes.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from sightline.errors import SightlineError
from sightline.runtime import tasks
from sightline.types import Card, Flag, Score, Task, Unknown


class Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class PixelMask(Shape):
    size: tuple[int, int] = Field(description="height and width of the picture")
    counts: str = Field(description="run lengths as COCO writes them")


class LabelScore(Shape):
    label: str = Field(examples=["cat"])
    score: float = Field(ge=0, le=1, description="probability", examples=[0.93])
    box: tuple[float, float, float, float] | None = Field(
        default=None,
        description="an object: x0, y0, x1, y1 in pixels of the upright picture",
        examples=[[12.5, 30.0, 96.0, 88.25]],
    )
    polygon: list[tuple[float, float]] | None = Field(default=None, description="its outline, where the model draws one")
    mask: PixelMask | None = None
    keypoints: list[tuple[float, float]] | None = Field(default=None, description="its points, where the model finds them")
    visibility: list[int] | None = Field(default=None, description="of each keypoint: 1 hidden, 2 seen")


class Result(Shape):
    picture: str = Field(description="the file name that was sent, for showing", examples=["cat.jpg"])
    labels: list[LabelScore] = Field(
        description="best first; every class unless `top` is given; of a detector every object from its threshold on"
    )
    flags: list[Flag] = Field(description="unknown: unlike the training pictures; unsure: the best score is low", examples=[[]])
    took_ms: float = Field(description="decoding and inference, without waiting", examples=[4.2])
    size: tuple[int, int] | None = Field(default=None, description="of a detector: width and height that boxes are in")


class PictureFault(Shape):
    code: str = Field(examples=["picture_unreadable"])
    message: str = Field(examples=["the picture ends early"])
    hint: str = ""


class Refusal(Shape):
    picture: str = Field(examples=["broken.jpg"])
    error: PictureFault


class Answers(Shape):
    """Answers in the order of the pictures. A bad picture among several is a failure and stops nothing; a request with one
    picture that cannot be used is answered with that error."""

    results: list[Result]
    failures: list[Refusal]


class FaultInfo(Shape):
    code: str = Field(description="stable; see docs/errors.md", examples=["picture_unreadable"])
    message: str = Field(description="what is wrong", examples=["the picture ends early"])
    hint: str = Field(description="the next step", examples=["send the whole file"])
    detail: dict[str, Any] = Field(default_factory=dict, description="facts for machines")
    id: str = Field(description="names this request in the log; also in X-Request-ID", examples=["5f0a9c1e-000001"])


class Fault(Shape):
    error: FaultInfo


class ModelCard(Shape):
    """A model's passport, trimmed to what a caller needs."""

    id: str
    name: str
    default: bool = Field(description="answers when no model is named")
    task: Task
    classes: list[str]
    positive: str | None = None
    size: int = Field(description="pixels a side that the model sees")
    thresholds: dict[str, float] = Field(default_factory=dict)
    unsure_below: float
    unknown: Unknown | None = None
    scores: dict[str, Score] = Field(default_factory=dict)
    limits: list[str] = Field(default_factory=list)
    licence: str = ""
    created: str = ""


class Models(Shape):
    models: list[ModelCard]


class Region(Shape):
    """A part of the upright picture, as shares of its width and height; may reach outside when the model sees a border."""

    x0: float
    y0: float
    x1: float
    y1: float


class Explanation(Shape):
    """Where the model looked: how much each cell of a grid over `region` matters for `label`, 0..1, by covering it."""

    picture: str
    label: str
    grid: list[list[float]]
    region: Region
    took_ms: float


class Health(Shape):
    status: str = Field(examples=["ok"])
    models: list[str] = Field(default_factory=list)


class Login(Shape):
    key: str = Field(max_length=200, examples=["sl_..."])


def trimmed(card: Card, *, default: bool) -> ModelCard:
    return ModelCard(
        id=card.id,
        name=card.name,
        default=default,
        task=card.task,
        classes=list(card.classes),
        positive=card.positive,
        size=card.input.size,
        thresholds=card.thresholds,
        unsure_below=card.unsure_below,
        unknown=card.unknown,
        scores=card.scores,
        limits=list(card.limits),
        licence=card.licence,
        created=card.created,
    )


class Writer:
    """Writes answers of one model as JSON; the parts that never change are made once.

    The labels are put together as bytes by numpy: for 1,000 classes a Python loop costs 0.6 ms of a core in a busy server.
    """

    def __init__(self, card: Card) -> None:
        self.card = card
        records = [f'{{"label": {json.dumps(name)}, "score": 0.000000}}, '.encode() for name in card.classes]
        width = max(map(len, records))
        filled = b"".join(record.rjust(width, b"\0") for record in records)  # json.dumps gives ASCII without control characters
        self._rows = np.frombuffer(filled, np.uint8).reshape(len(records), width)

    def result(
        self, picture: str, probabilities: NDArray[np.float32], novelty: float, took_ms: float, top: int | None
    ) -> tuple[str, tuple[Flag, ...]]:
        """The JSON of one result, and its flags. `probabilities` has shape (classes,)."""
        labels = self._labels(probabilities, np.argsort(-probabilities, kind="stable")[:top])
        flags = tasks.flags(self.card, probabilities, novelty)
        text = (
            f'{{"picture": {json.dumps(picture)}, "labels": [{labels}], '
            f'"flags": {json.dumps(flags)}, "took_ms": {round(took_ms, 3)!r}}}'
        )
        return text, flags

    def _labels(self, probabilities: NDArray[np.float32], order: NDArray[np.intp]) -> str:
        """The records of the classes in `order`, with their scores to six places written over the zeros."""
        rows = self._rows[order]
        millionths = np.rint(probabilities[order].astype(np.float64) * 1_000_000).astype(np.intp)
        front, rest = np.divmod(millionths, 1000)
        rows[:, -11:-6] = _FRONT[front]
        rows[:, -6:-3] = _REST[rest]
        return rows.tobytes().translate(None, b"\0")[:-2].decode("ascii")


# the text of 0.000 to 1.000, and of 000 to 999, a row each
_FRONT = np.array([list(b"%d.%03d" % divmod(value, 1000)) for value in range(1001)], np.uint8)
_REST = np.array([list(b"%03d" % value) for value in range(1000)], np.uint8)


def refusal(picture: str, error: SightlineError) -> str:
    """The JSON of one picture that could not be used."""
    return json.dumps({"picture": picture, "error": {"code": error.code, "message": error.message, "hint": error.hint}})


def answers(results: list[str], failures: list[str]) -> bytes:
    return f'{{"results": [{", ".join(results)}], "failures": [{", ".join(failures)}]}}'.encode()
