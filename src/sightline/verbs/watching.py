"""`predict --camera`: what a model says of each frame as it comes, several at work at once, answers in order. No verb itself.

A camera's frames that nobody has time for are dropped; of a file every frame is answered. Knows no terminal.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from pydantic import Field, field_serializer

from sightline.errors import UsageError
from sightline.progress import note
from sightline.runtime.detector import USUAL, Detector
from sightline.runtime.engines import TITLES
from sightline.runtime.footage import Frame
from sightline.runtime.model import Recogniser, load
from sightline.runtime.tracking import Tracker
from sightline.sources.live import Live, watching
from sightline.types import Prediction, Record

KEPT = 30  # frames for which an object that is not seen keeps its number
OVER = 2.0  # seconds over which frames a second are counted
_WAIT = 0.005  # seconds to wait for a frame while answers are under way
_Told = Callable[[], Prediction]  # what is left to do in the order of the frames


class Seen(Record):
    """One frame and what the model says of it, with how the whole goes until now."""

    frame: int = Field(description="number of the frame; numbers that are left out were dropped")
    time: float = Field(description="seconds since the first frame")
    answer: Prediction
    per_second: float = Field(description="frames answered a second, over the last two seconds")
    answered: int
    dropped: int
    seconds: float = Field(description="since the first answer was asked for")
    counts: dict[str, int] = Field(description="frames with each answer; of objects how many different ones")
    camera: str
    model: str
    provider: str
    live: bool = Field(description="False: a file, nothing is dropped")

    @field_serializer("answer")
    def _wire(self, answer: Prediction) -> dict[str, Any]:
        from sightline.runtime.tasks import to_wire

        return to_wire(answer)

    def line(self) -> dict[str, Any]:
        """The documented JSON of one frame."""
        wire = self._wire(self.answer)
        del wire["picture"]
        return {"frame": self.frame, "time": self.time, **wire, "per_second": self.per_second, "dropped": self.dropped}

    def summary(self) -> dict[str, Any]:
        """The documented JSON of the whole, when this was the last frame."""
        return {
            "camera": self.camera,
            "model": self.model,
            "frames": self.answered,
            "seconds": self.seconds,
            "per_second": round(self.answered / self.seconds, 2) if self.seconds else 0.0,
            "dropped": self.dropped,
            "counts": self.counts,
        }


def watch(
    camera: str,
    model: str | None = None,
    *,
    top: int | None = None,
    threshold: float | None = None,
    tiles: str = "auto",
    track: bool = True,
) -> Watch:
    """What the model says of each frame, until the camera ends or `stop` is called; the options are those of `predict`.

    Raises at once what `load` raises and UsageError; at the first frame what `sources.live.watching` raises, and PictureError
    when no frame came at all; FetchError after the last frame of a camera that ended by itself.
    """
    from sightline.verbs import resolve
    from sightline.verbs.predict import set_up

    if top is not None and top < 1:
        raise UsageError(f"--top must be at least 1, got {top}")
    recogniser = set_up(load(resolve.model(model)), threshold, tiles)
    if recogniser.card.input.frames:
        raise UsageError(
            f"{recogniser.card.name} answers for clips, and a camera gives single pictures",
            hint="record a clip, then `sightline predict CLIP`; or train on pictures for a camera",
        )
    note(f"computing with {TITLES.get(recogniser.provider, recogniser.provider)}, {recogniser.threads} threads")
    return Watch(camera, recogniser, top, track)


class Watch(Iterator[Seen]):
    """The frames as they are answered. `stop` may be called from anywhere, also while the next one is awaited."""

    def __init__(self, source: str, recogniser: Recogniser, top: int | None, track: bool) -> None:
        self._stopped = threading.Event()
        self._frames: Generator[Seen, None, None] = _seen(source, recogniser, top, track, self._stopped)

    def __next__(self) -> Seen:
        return next(self._frames)

    def stop(self) -> None:
        """No further frame is answered."""
        self._stopped.set()

    def close(self) -> None:
        """Let the camera go."""
        self._frames.close()


def _seen(
    source: str, recogniser: Recogniser, top: int | None, track: bool, stopped: threading.Event
) -> Generator[Seen, None, None]:
    look = _looker(recogniser, top, track)
    waiting: deque[tuple[Frame, Future[_Told]]] = deque()
    meter = _Meter(recogniser)
    with watching(source) as camera, ThreadPoolExecutor(recogniser.threads, thread_name_prefix="sightline") as pool:
        try:
            while not stopped.is_set():
                if waiting and (waiting[0][1].done() or len(waiting) >= recogniser.threads or camera.ended):
                    frame, future = waiting.popleft()
                    yield meter.seen(frame, future.result()(), camera)
                    continue
                fresh = camera.take(_WAIT if waiting else 0.2)
                if fresh is not None:
                    waiting.append((fresh, pool.submit(look, fresh)))
                elif camera.ended and not waiting:
                    break
        finally:
            for _, future in waiting:
                future.cancel()
        if stopped.is_set():
            return
        if not meter.answered:
            from sightline.errors import PictureError

            said = f": {camera.lost[0]}" if camera.lost else ""
            raise PictureError(f"{camera.name} gave no frame that can be read{said}", hint="does another program show it?")
        if camera.broke:
            from sightline.errors import FetchError

            raise FetchError(f"{camera.name} was lost: {camera.broke}", hint="look after the camera, then run this again")


def _looker(recogniser: Recogniser, top: int | None, track: bool) -> Callable[[Frame], _Told]:
    """What is done with a frame in any order; it returns what has to be done in the order of the frames: following."""
    if not isinstance(recogniser, Detector):
        return lambda frame: _kept(recogniser.predict(frame.pixels, str(frame.number), top))
    detector = recogniser
    sure = [detector.card.thresholds.get(name, USUAL) for name in detector.card.classes]
    tracker = Tracker(sure=sure, frames=KEPT) if track else None

    def look(frame: Frame) -> _Told:
        start = time.perf_counter()
        found = detector.find(frame.pixels)

        def told() -> Prediction:
            tracks = tracker.follow(found).tolist() if tracker is not None else None
            return detector.told(found, str(frame.number), start, top, tracks)

        return told

    return look


def _kept(answer: Prediction) -> _Told:
    return lambda: answer


class _Meter:
    """Counts as the answers come."""

    def __init__(self, recogniser: Recogniser) -> None:
        self.recogniser = recogniser
        self.answered = 0
        self.counts: Counter[str] = Counter()
        self._start = time.monotonic()
        self._times: deque[float] = deque()
        self._tracks: set[tuple[str, int]] = set()

    def seen(self, frame: Frame, answer: Prediction, camera: Live) -> Seen:
        now = time.monotonic()
        self.answered += 1
        self._times.append(now)
        while now - self._times[0] > OVER and len(self._times) > 2:
            self._times.popleft()
        between = self._times[-1] - self._times[0]
        if isinstance(self.recogniser, Detector):
            tracks = {(one.label, one.track) for one in answer.labels if one.track is not None} - self._tracks
            self._tracks |= tracks
            self.counts.update(label for label, _ in tracks)
        else:
            self.counts.update(answer.decision)
        return Seen(
            frame=frame.number,
            time=frame.time,
            answer=answer,
            per_second=round((len(self._times) - 1) / between, 2) if between else 0.0,
            answered=self.answered,
            dropped=camera.dropped,
            seconds=round(now - self._start, 3),
            counts=dict(self.counts.most_common()),
            camera=camera.name,
            model=self.recogniser.card.name,
            provider=self.recogniser.provider,
            live=camera.live,
        )
