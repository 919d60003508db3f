"""Videos frame by frame, in and out: every frame upright with its time, and annotated frames written as a new video.

Through PyAV (extra `media`). Knows neither labels nor models.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import NotFoundError, PictureError, missing_extra
from sightline.runtime.clips import decoded, length_of, opened, upright

Pixels = NDArray[np.uint8]
CODECS = (("libx264", {"crf": "23", "preset": "veryfast"}), ("mpeg4", {"q:v": "4"}))  # the first that is there
MOST_RATE = 240  # frames a second beyond which a video's own word is not believed


@dataclass(frozen=True, slots=True)
class Frame:
    """`time`: seconds from the start of the video. `pixels`: upright RGB uint8 (h, w, 3)."""

    number: int
    time: float
    pixels: Pixels


@dataclass(frozen=True, slots=True)
class Footage:
    """An opened video: `rate` frames a second; `length`: about how many frames, None when it does not say."""

    rate: float
    length: int | None
    frames: Iterator[Frame]


@contextmanager
def footage(path: Path) -> Iterator[Footage]:
    """A video to be read once, in order. NotFoundError, PictureError (with the reason), MissingExtraError."""
    if not path.is_file():
        raise NotFoundError(f"no such video: {path}", hint="check the spelling", detail={"path": str(path)})
    with opened(path) as (container, stream):
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        rate = rate if 0.01 <= rate <= MOST_RATE else 25.0
        yield Footage(rate, round(length_of(container, stream)[0]) or None, _frames(container, stream, rate))


def _frames(container: Any, stream: Any, rate: float) -> Iterator[Frame]:
    """Every frame with its own time; where a file gives none, counted by the rate."""
    start: float | None = None
    for number, frame in enumerate(decoded(container, stream)):
        given = None if frame.time is None else float(frame.time)
        if start is None:
            start = given or 0.0
        time = number / rate if given is None else max(0.0, given - start)
        yield Frame(number, round(time, 4), upright(frame, stream))


class Film:
    """A video under way: frames of one size go in, at their times."""

    def __init__(self, path: Path, rate: float) -> None:
        self._path, self._rate = path, rate
        self._container: Any = None
        self._stream: Any = None
        self._last = -1

    def add(self, pixels: Pixels, time: float) -> None:
        """One more frame uint8 (h, w, 3); sides are cut to even numbers, as codecs want them."""
        import av

        height, width = (side - side % 2 or side for side in pixels.shape[:2])
        if self._container is None:
            self._open(width, height)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[:height, :width]), format="rgb24")
        if (width, height) != (self._stream.width, self._stream.height):
            frame = frame.reformat(width=self._stream.width, height=self._stream.height)
        self._last = max(self._last + 1, round(time * _CLOCK))
        frame.pts, frame.time_base = self._last, Fraction(1, _CLOCK)
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def _open(self, width: int, height: int) -> None:
        import av

        self._container = av.open(str(self._path), "w", format="mp4")
        for codec, options in CODECS:
            try:
                self._stream = self._container.add_stream(
                    codec, rate=Fraction(self._rate).limit_denominator(1001), options=options
                )
                break
            except (av.error.FFmpegError, ValueError):
                continue
        else:
            raise PictureError("this PyAV writes neither H.264 nor MPEG-4 video", hint="install PyAV from PyPI")
        self._stream.width, self._stream.height = max(2, width), max(2, height)
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, _CLOCK)

    def close(self) -> None:
        """Write what is left; nothing for a film without frames."""
        if self._container is None:
            return
        for packet in self._stream.encode():
            self._container.mux(packet)
        self._container.close()


_CLOCK = 12_000  # ticks a second: 24, 25, 30 and 60 frames a second fall on whole ticks


@contextmanager
def film(path: Path, rate: float) -> Iterator[Film]:
    """A new video at `path` (MP4), of about `rate` frames a second. MissingExtraError, OSError."""
    try:
        import av
    except ModuleNotFoundError as error:
        raise missing_extra("media", "writing videos") from error
    av.logging.set_level(av.logging.PANIC)
    made = Film(path, rate)
    try:
        yield made
    finally:
        made.close()
