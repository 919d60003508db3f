"""A loaded segmenter: pictures in, a class for every pixel out. One ONNX Runtime session shared by all threads; no torch.

The graph answers `classes` float32 (1, 1 + c, size, size), the background first. What is told of a picture is one annotation a
class that is there: its pixels as a mask, the outline of its largest part, and the mean probability of its pixels as score.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.errors import BundleError
from sightline.runtime import pixels
from sightline.runtime.engines import open_session, provider_of
from sightline.runtime.geometry import Letterbox, letterbox
from sightline.runtime.masks import mask_box, outline, to_mask
from sightline.runtime.model import Recogniser, refuse_video
from sightline.settings import settings
from sightline.types import Annotation, Card, Failure, Prediction

LEAST = 0.0005  # share of a picture's pixels below which a class is not told of: a few stray pixels
USUAL = 0.5  # mean probability of a class's pixels from which it is told of, where the card says nothing

Picture = str | os.PathLike[str] | bytes | NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Field:
    """What each pixel of a picture shows."""

    classes: NDArray[np.uint8] | NDArray[np.uint16]  # (h, w): 0 the background, then 1 + index into card.classes
    scores: NDArray[np.float32]  # (h, w): the probability of that class


class Segmenter(Recogniser):
    """A painter of pixels ready to answer; safe to call from many threads."""

    def __init__(self, card: Card, onnx: bytes, threads: int | None = None, provider: str | None = None) -> None:
        """BundleError for a graph that is no segmenter of the card's classes."""
        self.card = card
        self.threads = threads or settings().threads
        self._session = open_session(onnx, provider=provider or settings().provider, threads=self.threads)
        self.provider = provider_of(self._session)
        outputs = {output.name: output.shape for output in self._session.get_outputs()}
        inputs = [entry.name for entry in self._session.get_inputs()]
        if inputs != ["image"] or "classes" not in outputs:
            raise BundleError(
                "model.onnx is no segmenter: it lacks its input image or its output classes", hint="copy the model again"
            )
        known = self._session.get_modelmeta().custom_metadata_map.get("sightline.classes")
        other = known is not None and tuple(json.loads(known)) != card.classes
        if other or outputs["classes"][1] != len(card.classes) + 1:
            raise BundleError("card.json and model.onnx name different classes", hint="copy the model again, or train it again")

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Of a prepared picture uint8 (size, size, 3): float32 (1 + classes, size, size)."""
        (found,) = self._session.run(("classes",), {"image": image[None]})
        return np.asarray(found[0], np.float32)

    def field(self, picture: Picture) -> Field:
        """What each pixel of a picture shows, in its own size. Raises PictureError and NotFoundError."""
        spec = self.card.input
        if not isinstance(picture, bytes | np.ndarray):
            refuse_video(picture)
            picture = pixels.read_picture(Path(picture))
        if isinstance(picture, bytes):
            image, size = pixels.prepare_sized(picture, spec)
        else:
            image, size = pixels.fit(picture, spec), (picture.shape[1], picture.shape[0])
        return placed(self.probabilities(image), letterbox(size, spec))

    def predict(self, picture: Picture, name: str = "", top: int | None = None) -> Prediction:
        """The classes that are in a picture, the surest first; `top`: at most so many. Raises PictureError, NotFoundError."""
        start = time.perf_counter()
        field = self.field(picture)
        labels = told(field, self.card)[:top]
        if not name and not isinstance(picture, bytes | np.ndarray):
            name = os.fspath(picture)
        return Prediction(
            picture=name,
            labels=labels,
            took_ms=round((time.perf_counter() - start) * 1000, 3),
            model=self.card.id,
            decision=tuple(label.label for label in labels),
            size=(field.classes.shape[1], field.classes.shape[0]),
        )

    def field_files(self, pictures: Sequence[str | os.PathLike[str]]) -> Iterator[Field | Failure]:
        """What each pixel of each file shows, in order, on all cores; for measuring rather than telling."""
        return self.each(self.field, pictures)


def placed(probabilities: NDArray[np.float32], box: Letterbox) -> Field:
    """Probabilities (c, size, size) of a prepared picture as a field of the picture itself, bilinear between the pixels.

    Only classes that win somewhere are enlarged, one after the other: a large picture needs no room for all of them.
    """
    from PIL import Image

    (width, height), (x, y) = box.size, box.offset
    across, down = (round(side * scale) for side, scale in zip(box.size, box.scale, strict=True))
    inner = probabilities[:, y : y + down, x : x + across]
    kind = np.uint8 if len(probabilities) <= 256 else np.uint16
    classes, best = np.zeros((height, width), kind), np.full((height, width), -1, np.float32)
    for number in np.unique(inner.argmax(axis=0)):
        own = Image.fromarray(np.ascontiguousarray(inner[number])).resize((width, height), Image.Resampling.BILINEAR)
        values = np.asarray(own, np.float32)
        better = values > best
        classes[better], best[better] = number, values[better]
    return Field(classes, best)


def told(field: Field, card: Card) -> tuple[Annotation, ...]:
    """An annotation for each class that is there, the surest first."""
    labels = []
    for number, name in enumerate(card.classes, start=1):
        here = field.classes == number
        count = int(here.sum())
        if count < max(1, LEAST * here.size):
            continue
        score = float(field.scores[here].mean())
        if score < card.thresholds.get(name, USUAL):
            continue
        score = round(min(score, 1.0), 6)
        labels.append(Annotation(label=name, score=score, box=mask_box(here), mask=to_mask(here), polygon=outline(here)))
    return tuple(sorted(labels, key=lambda label: -(label.score or 0.0)))
