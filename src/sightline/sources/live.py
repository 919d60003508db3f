"""A camera, an address or a video file looked at live: always the newest frame, those that nobody had time for dropped.

Through PyAV (extra `media`). Of a file, here or at an address, every frame is given, as fast as they are taken. Knows neither
models nor labels.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sightline.errors import FetchError, NotFoundError, PictureError, missing_extra
from sightline.runtime.clips import upright
from sightline.runtime.footage import Frame, footage
from sightline.sources import camera
from sightline.sources.video import decoded

_ADDRESS = re.compile(r"(https?|rtsps?|rtmps?|tcp|udp)://", re.IGNORECASE)
_REASONS = 20  # that are kept: a camera may be looked at for months
_PATIENCE = 10.0  # seconds to wait for an address to answer, or to go on
# Only streams of pictures: a playlist or a list of parts would have others fetched or opened
_STREAMS = {
    "format_whitelist": "mpjpeg,mjpeg,jpeg_pipe,rtsp,rtp,sdp,mpegts,h264,hevc,flv,mov,matroska,webm,avi,ogg,live_flv",
    "protocol_whitelist": "http,https,tcp,tls,udp,rtp,rtmp,rtmps,rtsp,crypto",
}


class Live:
    """What is being looked at: `take` gives the newest frame that was not taken yet."""

    def __init__(self, name: str, *, live: bool) -> None:
        self.name, self.live = name, live
        self.dropped = 0
        self.ended = False
        self.stopped = False
        self.lost: list[str] = []  # the last things that could not be read, and why
        self.broke = ""  # why a camera ended by itself
        self._frames: Iterator[Frame] | None = None  # of a file
        self._newest: tuple[int, float, Any] | None = None
        self._changed = threading.Condition()
        self._stream: Any = None

    def take(self, seconds: float) -> Frame | None:
        """The next frame; None when none has come within `seconds`, or `ended`. `time`: seconds since the first one."""
        if self._frames is not None:
            frame = next(self._frames, None)
            self.ended = frame is None
            return frame
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self.ended, seconds)
            newest, self._newest = self._newest, None
        if newest is None:
            return None
        number, at, picture = newest
        return Frame(number, round(at, 4), upright(picture, self._stream))

    def read(self, container: Any, stream: Any) -> None:
        """Run by a thread of its own: every frame takes the place of the one before it."""
        self._stream = stream
        start: float | None = None
        try:
            for number, (picture, _) in enumerate(decoded(container, stream, self.lost, lambda: self.stopped)):
                start = time.monotonic() if start is None else start
                del self.lost[:-_REASONS]
                with self._changed:
                    self.dropped += self._newest is not None
                    self._newest = (number, time.monotonic() - start, picture)
                    self._changed.notify()
                if self.stopped:
                    return
            if not self.stopped:
                self.broke = self.lost[-1] if self.lost else "it sends no more"
        finally:
            with self._changed:
                self.ended = True
                self._changed.notify()


@contextmanager
def watching(source: str) -> Iterator[Live]:
    """A camera ("0", "camera:0", /dev/video0), an address (http, rtsp: MJPEG, H.264) or a video file, while the block runs.

    NotFoundError, ConflictError (the camera is held), FetchError (the address), PictureError (no video), MissingExtraError.
    """
    number = re.fullmatch(r"(?:camera:?)?(\d+)", source)
    if number is None and not _ADDRESS.match(source) and not _is_device(source):
        found = Live(Path(source).name, live=False)
        with footage(_film(source)) as clip:
            found._frames = clip.frames
            yield found
        return
    if number is not None:
        name, container = f"camera {number[1]}", camera.open_camera(int(number[1]))
    elif _ADDRESS.match(source):
        name = nameable(source)
        container = _address(source, name)
    else:
        name, container = source, camera.opened(source, "v4l2", source)
    stream = next(iter(container.streams.video), None)
    if stream is None:
        container.close()
        raise PictureError(f"{name} sends no moving picture", hint="give the address of the pictures themselves")
    ends = container.duration is not None or container.format.name.endswith("_pipe")  # a video, or one picture
    found = Live(name, live=not ends)
    if not found.live:  # a file, which somebody serves
        found._frames = (
            Frame(place, round(at, 4), upright(picture, stream))
            for place, (picture, at) in enumerate(decoded(container, stream, found.lost))
        )
        with container:
            yield found
        return
    reader = threading.Thread(target=found.read, args=(container, stream), daemon=True, name="sightline-camera")
    reader.start()
    try:
        yield found
    finally:
        found.stopped = True
        reader.join(2 * _PATIENCE if not number else 2.0)
        if not reader.is_alive():  # a container must not be closed under the thread that reads it
            container.close()


def nameable(url: str) -> str:
    """An address as it may be shown: without name, password and what comes after a question mark."""
    return re.sub(r"//.*@", "//", url.partition("?")[0])


def _is_device(source: str) -> bool:
    return _film(source).is_char_device()


def _film(source: str) -> Path:
    path = Path(source).expanduser()
    try:
        path.stat()
    except FileNotFoundError:
        pass  # which is said better later
    except OSError as error:  # a name that no file can have
        raise NotFoundError(f"no such video: {source[:100]}: {error.strerror}", hint="check the path") from error
    return path


def _address(url: str, name: str) -> Any:
    """What an address that a person has named sends; it may be in their own network, where cameras are."""
    try:
        import av
    except ModuleNotFoundError as error:
        raise missing_extra("media", "reading cameras") from error
    av.logging.set_level(av.logging.PANIC)
    try:
        return av.open(url, options=dict(_STREAMS), timeout=_PATIENCE, metadata_errors="ignore")
    except av.error.FileNotFoundError as error:
        raise NotFoundError(f"nothing at {name}", hint="check the address") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error).replace(url, name)
        raise FetchError(f"{name} cannot be watched: {reason}"[:300], hint="does a browser or a player show it?") from error
