"""A loaded detector: pictures in, objects with places out. One ONNX Runtime session shared by all threads; no torch.

The graph sees the whole picture on a grey ground (letterbox), one at a time; boxes come back in pixels of the upright picture.
Knows neither training nor measuring.
"""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import BundleError, UsageError
from sightline.runtime import pixels
from sightline.runtime.engines import open_session, provider_of
from sightline.runtime.found import Found
from sightline.runtime.geometry import letterbox
from sightline.runtime.layouts import LAYOUTS
from sightline.runtime.masks import outline, pasted, to_mask
from sightline.runtime.model import Recogniser, refuse_video
from sightline.runtime.tiles import Tiles, find_in_tiles
from sightline.settings import settings
from sightline.types import Annotation, Card, Failure, Prediction

USUAL = 0.25  # the score from which an object is given, where the card says nothing of its class
SEEN = 0.3  # keypoints below this score are told of as hidden: where they should be

Picture = str | os.PathLike[str] | bytes | NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Sought:
    """All that was found in a file, for measuring."""

    picture: str
    found: Found


class Detector(Recogniser):
    """A finder of objects ready to answer; safe to call from many threads."""

    def __init__(self, card: Card, onnx: bytes, threads: int | None = None, provider: str | None = None) -> None:
        """BundleError for a graph that is no detector of the card's layout."""
        self.card = card
        self.threads = threads or settings().threads
        self.tiles: Tiles | None = None
        self._session = open_session(onnx, provider=provider or settings().provider, threads=self.threads)
        self.provider = provider_of(self._session)
        self._layout = LAYOUTS.get(card.layout)
        if self._layout is None:
            raise BundleError(
                f"the detector answers in the layout {card.layout!r}, which is not known here",
                hint="use the version of sightline that made it",
            )
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._input = self._session.get_inputs()[0]
        self._check()

    def _check(self) -> None:
        missing = [name for name in ("boxes", "scores", "labels") if name not in self._outputs]
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or (self.card.layout == "sightline" and (missing or self._input.name != "image")):
            lacks = ", ".join(missing) or "its one input, image"
            raise BundleError(f"model.onnx is no detector: it lacks {lacks}", hint="copy the model again, or train it again")
        classes = self._session.get_modelmeta().custom_metadata_map.get("sightline.classes")
        if classes is not None and tuple(json.loads(classes)) != self.card.classes:
            raise BundleError("card.json and model.onnx name different classes", hint="copy the model again, or train it again")

    def at(self, threshold: float) -> Detector:
        """The same detector that gives every object from this score on, whatever its class; UsageError."""
        if not 0 <= threshold <= 1:
            raise UsageError(f"a threshold is a score from 0 to 1, got {threshold:g}")
        other = copy.copy(self)
        other.card = self.card.model_copy(update={"thresholds": dict.fromkeys(self.card.classes, threshold)})
        return other

    def tiled(self, tiles: Tiles | None) -> Detector:
        """The same detector that looks at large pictures in overlapping tiles (None: never)."""
        other = copy.copy(self)
        other.tiles = tiles
        return other

    def found(self, image: NDArray[np.uint8]) -> Found:
        """What is in a prepared picture uint8 (size, size, 3), in its pixels: all from the score 0.01 on, best first."""
        given: NDArray[Any] = self._layout.feed(image)  # type: ignore[union-attr]
        if self._input.type == "tensor(float16)":
            given = given.astype(np.float16)
        try:
            values = self._session.run(None, {self._input.name: given})
        except Exception as error:  # onnxruntime raises its own types; our graphs never do, foreign ones may
            raise BundleError(f"the detector's graph refuses its input: {error}"[:300], hint=_FOREIGN) from error
        outputs = dict(zip(self._outputs, values, strict=True))
        found = self._layout.read(outputs, len(self.card.classes))  # type: ignore[union-attr]
        return replace(found, size=(image.shape[1], image.shape[0]))

    def find(self, picture: Picture) -> Found:
        """What is in a picture (a path, a file's bytes, or upright RGB pixels), in its pixels: all from 0.01 on, best first.

        Raises PictureError and NotFoundError.
        """
        if not isinstance(picture, bytes | np.ndarray):
            refuse_video(picture)
            picture = pixels.read_picture(Path(picture))
        if self.tiles is not None and (whole := self.tiles.pixels(picture)) is not None:
            return find_in_tiles(self._find, whole, self.tiles)
        return self._find(picture)

    def _find(self, picture: bytes | NDArray[np.uint8]) -> Found:
        if isinstance(picture, bytes):
            image, size = pixels.prepare_sized(picture, self.card.input)
        else:
            image, size = pixels.fit(picture, self.card.input), (picture.shape[1], picture.shape[0])
        return self.placed(self.found(image), size)

    def placed(self, found: Found, size: tuple[int, int]) -> Found:
        """What was found in a prepared picture, in pixels of the upright picture of `size` (width, height)."""
        box = letterbox(size, self.card.input)
        boxes, points = box.back(found.boxes), found.keypoints
        if points is not None:
            flat = box.back(points[..., :2].reshape(-1, 2)).reshape(points.shape[0], points.shape[1], 2)
            points = np.concatenate([flat, points[..., 2:]], axis=2)
        kept = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])  # not those that lie on the grey ground alone
        return replace(found, boxes=boxes, keypoints=points, size=size).rows(kept)

    def predict(self, picture: Picture, name: str = "", top: int | None = None) -> Prediction:
        """The objects of one picture that reach their class's threshold, best first; `top`: at most so many.

        Raises PictureError when it cannot be decoded and NotFoundError when it is not there.
        """
        start = time.perf_counter()
        found = self.find(picture)
        if not name and not isinstance(picture, bytes | np.ndarray):
            name = os.fspath(picture)
        return self.told(found, name, start, top)

    def told(
        self, found: Found, name: str, start: float, top: int | None = None, tracks: Sequence[int] | None = None
    ) -> Prediction:
        """The answer made of what was found in a picture's pixels; `start` is `perf_counter` when work on it began."""
        labels = self.objects(found, top, tracks)
        return Prediction(
            picture=name,
            labels=labels,
            took_ms=round((time.perf_counter() - start) * 1000, 3),
            model=self.card.id,
            decision=tuple(dict.fromkeys(label.label for label in labels)),
            size=found.size,
        )

    def objects(self, found: Found, top: int | None = None, tracks: Sequence[int] | None = None) -> tuple[Annotation, ...]:
        """The objects at or above their class's threshold as records; `tracks`: of each row of `found`, 0 for none.

        What belongs to a track is told below the threshold too: the track was sure of it before.
        """
        wanted = np.array([self.card.thresholds.get(name, USUAL) for name in self.card.classes], np.float32)
        given = found.scores >= wanted[found.labels]
        if tracks is not None:
            given |= np.asarray(tracks) > 0
        rows = np.flatnonzero(given)[:top]
        return tuple(self._object(found, int(row), tracks) for row in rows)

    def _object(self, found: Found, row: int, tracks: Sequence[int] | None) -> Annotation:
        x0, y0, x1, y1 = (round(value, 2) for value in found.boxes[row].tolist())
        mask = polygon = points = seen = None
        if found.masks is not None:
            drawn = pasted(found.masks[row], found.boxes[row], (found.size[1], found.size[0]))
            mask, polygon = to_mask(drawn), outline(drawn)
        if found.keypoints is not None:
            rows = found.keypoints[row].tolist()
            points = tuple((round(x, 2), round(y, 2)) for x, y, _ in rows)
            seen = tuple(2 if score >= SEEN else 1 for _, _, score in rows)
        return Annotation(
            label=self.card.classes[int(found.labels[row])],
            score=round(min(float(found.scores[row]), 1.0), 6),
            box=(x0, y0, x1, y1),
            mask=mask,
            polygon=polygon,
            keypoints=points,
            visibility=seen,
            track=(tracks[row] or None) if tracks is not None else None,
        )

    def find_files(self, pictures: Sequence[str | os.PathLike[str]]) -> Iterator[Sought | Failure]:
        """All that is found in each file, in order, on all cores; for measuring rather than telling."""
        return self.each(lambda path: Sought(path, self.find(path)), pictures)


_FOREIGN = "check that it takes one float picture (1, 3, size, size), and --layout"
