"""A loaded model: pictures in, answers out. One ONNX Runtime session shared by all threads; no torch, no scikit-learn.

Measured on CPUs: one session with intra_op = 1 called from as many threads as there are cores gives twice one thread's
throughput, more than intra_op = cores does, and batching gains nothing (docs/log.md).
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sightline.errors import PictureFormatError, SightlineError
from sightline.runtime import keypoints, pixels, tasks
from sightline.runtime.bundle import read_bundle
from sightline.runtime.engines import OUTPUTS, open_session, provider_of
from sightline.settings import settings
from sightline.types import Card, ErrorInfo, Failure, InputSpec, Prediction

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Answers:
    """A batch of answers, before they become records."""

    probabilities: NDArray[np.float32]  # (n, classes)
    embedding: NDArray[np.float32]  # (n, d)
    novelty: NDArray[np.float32]  # (n,)


class Recogniser(ABC):
    """What every loaded model can do, whatever its task: Model (whole pictures, clips), Detector (objects), Segmenter."""

    card: Card
    threads: int
    provider: str  # what computes: a key of engines.TITLES

    @abstractmethod
    def predict(
        self, picture: str | os.PathLike[str] | bytes | NDArray[np.uint8], name: str = "", top: int | None = None
    ) -> Prediction:
        """The answer for one picture: a path, an encoded file's bytes, or upright RGB pixels uint8 (h, w, 3).

        `top`: how many labels or objects the answer names at most; by default all.
        Raises PictureError when it cannot be decoded and NotFoundError when it is not there.
        """

    def predict_many(
        self, pictures: Sequence[str | os.PathLike[str]], top: int | None = None
    ) -> Iterator[Prediction | Failure]:
        """Answers in the order of `pictures`, computed on all cores; a bad picture gives a Failure and stops nothing."""
        return self.each(lambda path: self.predict(path, top=top), pictures)

    def each(self, answer: Callable[[str], A], pictures: Sequence[str | os.PathLike[str]]) -> Iterator[A | Failure]:
        """What `answer` gives for each file, in order, on all cores; a Failure where it raises one of our errors."""

        def one(path: str) -> A | Failure:
            try:
                return answer(path)
            except SightlineError as error:
                return failure(path, error)

        return in_order(one, [os.fspath(picture) for picture in pictures], self.threads)


class Model(Recogniser):
    """A recogniser of whole pictures ready to answer; safe to call from many threads."""

    def __init__(self, card: Card, onnx: bytes, threads: int | None = None, provider: str | None = None) -> None:
        self.card = card
        self.threads = threads or settings().threads
        self._session = open_session(onnx, card, provider or settings().provider, self.threads)
        self.provider = provider_of(self._session)
        self._given = keypoints.feed(self._session)

    def answer(self, images: NDArray[np.uint8]) -> Answers:
        """Scores for prepared pictures, uint8 (n, size, size, 3); of a clip model for clips (n, frames, size, size, 3)."""
        return self.answer_given(self._given(images))

    def answer_given(self, given: dict[str, NDArray[Any]]) -> Answers:
        """Scores for what the graph itself takes: {"image": pixels}, or {"keypoints": rows} (`runtime/keypoints.py`)."""
        return Answers(*self._session.run(OUTPUTS, given))

    def predict(
        self, picture: str | os.PathLike[str] | bytes | NDArray[np.uint8], name: str = "", top: int | None = None
    ) -> Prediction:
        start = time.perf_counter()
        if self.card.input.frames:
            clip, frames = self._clip(picture)
            name = name or ("" if isinstance(picture, bytes | np.ndarray) else os.fspath(picture))
            return self.predict_prepared(clip, name, start, top).model_copy(update={"frames": frames})
        if isinstance(picture, np.ndarray):
            image = pixels.fit(picture, self.card.input)
        elif isinstance(picture, bytes):
            image = pixels.prepare(picture, self.card.input)
        else:
            name = name or os.fspath(picture)
            image = prepared(picture, self.card.input)
        return self.predict_prepared(image, name, start, top)

    def _clip(self, clip: str | os.PathLike[str] | bytes | NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
        """What a clip model sees, and of how many frames: a path, frames uint8 (t, h, w, 3), or one picture as one frame."""
        from sightline.runtime import clips

        spec = self.card.input
        if isinstance(clip, np.ndarray) and clip.ndim == 4 and len(clip):
            return clips.together([pixels.fit(frame, spec) for frame in clip], spec.frames or 1)
        if isinstance(clip, np.ndarray):
            return clips.still(pixels.fit(clip, spec), spec), 1
        if isinstance(clip, bytes):
            return clips.still(pixels.prepare(clip, spec), spec), 1
        return clips.prepare_clip(clip, spec)

    def predict_prepared(self, image: NDArray[np.uint8], name: str, start: float, top: int | None = None) -> Prediction:
        """The answer for one prepared picture (size, size, 3); `start` is `perf_counter` when work on it began."""
        probabilities, novelty = self._session.run(("probabilities", "novelty"), self._given(image[None]))
        took_ms = (time.perf_counter() - start) * 1000
        return tasks.to_prediction(self.card, name, probabilities[0], novelty=float(novelty[0]), took_ms=took_ms, top=top)

    def answer_files(self, pictures: Sequence[str | os.PathLike[str]]) -> Iterator[Answers | Failure]:
        """The raw scores of each file (n = 1), in order, computed on all cores; for measuring rather than telling."""
        return self.each(lambda path: self.answer(prepared(path, self.card.input)[None]), pictures)


def prepared(path: str | os.PathLike[str], spec: InputSpec) -> NDArray[np.uint8]:
    """What a model with this input sees of a file: a picture (size, size, 3), or a clip (frames, size, size, 3).

    Raises PictureError and NotFoundError; PictureFormatError for a video where a picture is wanted.
    """
    from sightline.runtime import clips

    if spec.frames:
        return clips.prepare_clip(path, spec)[0]
    refuse_video(path)
    return pixels.prepare(pixels.read_picture(Path(path)), spec)


def refuse_video(path: str | os.PathLike[str]) -> None:
    """PictureFormatError for a video where a picture is wanted."""
    from sightline.runtime import clips

    if clips.is_video(path):
        raise PictureFormatError(
            f"{Path(path).name} is a video, and this model answers for pictures",
            hint="take pictures out of it with `sightline collect VIDEO --into FOLDER --seconds 1`; or train on clips: "
            "`sightline train CLIPS --way clip`",
        )


def load(model: str | os.PathLike[str], threads: int | None = None, provider: str | None = None) -> Recogniser:
    """Load a model by path or name: a Model, a Detector, a Segmenter.

    threads, provider: by default SIGHTLINE_THREADS and SIGHTLINE_PROVIDER. Raises ModelNotFoundError, BundleError, and for a
    provider that is not there MissingExtraError.
    """
    bundle = read_bundle(model)
    return opened(bundle.card, bundle.onnx, threads, provider)


def opened(card: Card, onnx: bytes, threads: int | None = None, provider: str | None = None) -> Recogniser:
    """The recogniser that answers the card's task; raises BundleError."""
    if card.task == "detection":
        from sightline.runtime.detector import Detector

        return Detector(card, onnx, threads, provider)
    if card.task == "segmentation":
        from sightline.runtime.segmenter import Segmenter

        return Segmenter(card, onnx, threads, provider)
    return Model(card, onnx, threads, provider)


def failure(picture: str, error: SightlineError) -> Failure:
    return Failure(picture=picture, error=ErrorInfo(code=error.code, message=error.message, hint=error.hint))


def in_order(work: Callable[[A], B], items: Iterable[A], threads: int, waiting_each: int = 8) -> Iterator[B]:
    """`work` on each item by `threads` threads, results in the order of the items, never more than a few waiting."""
    if threads == 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="sightline") as pool:
        waiting: deque[Future[B]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= waiting_each * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:  # the reader stopped early, or Ctrl-C
                future.cancel()
