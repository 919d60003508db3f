"""Frames of videos and cameras through PyAV: every Nth, every S seconds, or where the scene changes; near-equal ones dropped.

Frames arrive upright, as JPEG or PNG bytes without metadata. Knows no store; what is in a frame is not looked at.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sightline.data.duplicates import DISAGREEMENT, DISTANCE, disagreement
from sightline.data.looks import NO_HASH, look, perceptual
from sightline.errors import DataError, NotFoundError, PictureError, UsageError, missing_extra
from sightline.files import sha256_file
from sightline.runtime.limits import standard_limits
from sightline.sources import Arrival
from sightline.sources.camera import open_camera
from sightline.types import ErrorInfo, Facts, Failure

# Only containers of videos, only from files: a playlist or a list of parts would have others fetched or opened
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,m4v,ogg,asf,flv,gif,h264,hevc,mjpeg"
_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
_LOOK = 64  # pixels a side of what is compared
_FLAT = 4.0  # mean difference of miniatures (0..255) up to which flat frames are one
_BROKEN = 50  # undecodable packets in a row after which a video is given up
_SHARE = 0.95  # a video whose frames end before this share of its stated length was cut

Form = Literal["jpeg", "png"]


@dataclass(frozen=True, slots=True)
class _Clip:
    name: str
    stem: str
    address: str
    group: str
    camera: bool


def frames(
    source: str | Path,
    *,
    every: int | None = None,
    seconds: float | None = None,
    scene: float | None = None,
    near: int = DISTANCE,
    limit: int | None = None,
    form: Form = "jpeg",
) -> Iterator[Arrival | Failure]:
    """Frames of a video file, or of a camera ("camera:0", with `limit`), one after the other.

    every: each Nth frame. seconds: one in so many seconds; 1.0 when nothing else is said. scene: those that differ from the
    last one taken by more than this mean difference of their 8 x 8 miniatures, 0..1 (0.1 is a cut). Together, all must agree.
    near: a frame whose perceptual hash lies within so many bits of an earlier one, same colours, is dropped; -1 keeps all.
    limit: at most so many. All frames of a clip share a `group`. A broken video gives what could be read, then one Failure.
    Raises at once: UsageError, NotFoundError (no such file, no camera), MissingExtraError.
    """
    _check(every, seconds, scene, limit)
    try:
        import av
    except ModuleNotFoundError as error:
        raise missing_extra("media", "reading videos") from error
    av.logging.set_level(av.logging.PANIC)  # FFmpeg speaks to the terminal; errors come as exceptions
    if every is None and scene is None and seconds is None:
        seconds = 1.0
    clip, camera = _clip(str(source)), re.fullmatch(r"camera:?(\d*)", str(source))
    if camera:
        if limit is None:
            raise UsageError("a camera never ends: say how many frames", hint="for example --limit 100")
        container = open_camera(int(camera[1] or 0))
    else:
        try:
            container = av.open(clip.address, options=dict(_OPTIONS), metadata_errors="ignore")
        except (av.error.FFmpegError, OSError, ValueError) as error:
            return iter([_failure(clip, f"cannot be opened: {_reason(error)}")])
    wanted = _Wanted(every, seconds, scene, near)
    return _taken(container, clip, wanted, form, limit)


def _check(every: int | None, seconds: float | None, scene: float | None, limit: int | None) -> None:
    for name, value in (("every", every), ("seconds", seconds), ("limit", limit)):
        if value is not None and not value > 0:
            raise UsageError(f"{name} must be above 0, got {value}")
    if scene is not None and not 0 < scene < 1:
        raise UsageError(f"scene must lie between 0 and 1, got {scene}", hint="0.1 takes one frame a cut")


def _clip(source: str) -> _Clip:
    if re.fullmatch(r"camera:?\d*", source):
        return _Clip(source, "camera", source, "", True)
    path = Path(source).expanduser()
    if not path.is_file():
        from sightline.data.pictures import near_names

        raise NotFoundError(f"no such video: {source}", hint=near_names(path), detail={"path": source})
    return _Clip(path.name, path.stem, str(path.resolve()), f"{path.name}:{sha256_file(path)[:16]}", False)


class _Wanted:
    """Decides frame by frame; remembers what was taken."""

    def __init__(self, every: int | None, seconds: float | None, scene: float | None, near: int) -> None:
        self.every, self.seconds, self.scene, self.near = every, seconds, scene, near
        self.next_time = float("-inf")
        self.last: NDArray[np.uint8] | None = None
        self.count = 0
        self.hashes, self.miniatures = np.empty(64, np.uint64), np.empty((64, 8, 8, 3), np.uint8)

    def takes(self, number: int, at: float, frame: Any) -> bool:
        """Whether frame `number`, `at` so many seconds, is taken; `frame` is a PyAV frame."""
        if self.every and number % self.every:
            return False
        if self.seconds and at < self.next_time:
            return False
        small = frame.reformat(width=_LOOK, height=_LOOK, format="rgb24", interpolation="AREA").to_ndarray()
        grey, miniature = look(small)
        if self.scene and self.last is not None and _difference(miniature, self.last) / 255 <= self.scene:
            return False
        if self.seconds:
            first = self.next_time == float("-inf")
            self.next_time = (at if first else max(self.next_time, at - self.seconds)) + self.seconds
        (found,) = perceptual(grey[None])
        if self._known(found, miniature):
            return False
        self._remember(found, miniature)
        return True

    def _known(self, found: np.uint64, miniature: NDArray[np.uint8]) -> bool:
        if self.near < 0 or not self.count:
            return False
        hashes, miniatures = self.hashes[: self.count], self.miniatures[: self.count]
        if found == NO_HASH:  # flat: black, a title's ground
            flat = miniatures[hashes == NO_HASH]
            return bool(len(flat)) and min(_difference(miniature, one) for one in flat) <= _FLAT
        alike = np.flatnonzero((np.bitwise_count(hashes ^ found) <= self.near) & (hashes != NO_HASH))
        if not len(alike):
            return False
        return bool((disagreement(np.repeat(miniature[None], len(alike), 0), miniatures[alike]) < DISAGREEMENT).any())

    def _remember(self, found: np.uint64, miniature: NDArray[np.uint8]) -> None:
        if self.count == len(self.hashes):
            self.hashes = np.concatenate([self.hashes, np.empty_like(self.hashes)])
            self.miniatures = np.concatenate([self.miniatures, np.empty_like(self.miniatures)])
        self.hashes[self.count], self.miniatures[self.count] = found, miniature
        self.last, self.count = miniature, self.count + 1


def _difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    return float(np.abs(first.astype(np.int16) - second).mean())


def _taken(container: Any, clip: _Clip, wanted: _Wanted, form: Form, limit: int | None) -> Iterator[Arrival | Failure]:
    """The frames that are wanted, and at the end at most one Failure that says what was lost."""
    with container:
        stream = next(iter(container.streams.video), None)
        if stream is None:
            yield _failure(clip, "holds no moving picture")
            return
        stream.thread_type = "AUTO"
        lost: list[str] = []
        taken, count, last = 0, 0, 0.0
        for number, (frame, at) in enumerate(decoded(container, stream, lost)):
            count, last = number + 1, at
            try:
                if not wanted.takes(number, at, frame):
                    continue
                data = _encoded(frame, float(stream.sample_aspect_ratio or 1), form)
            except (DataError, OSError, ValueError) as error:
                lost.append(_reason(error))
                continue
            yield _arrival(clip, number, at, data, form)
            taken += 1
            if taken == limit:
                return
        cut = "" if clip.camera else _cut(container, stream, count, last)
        if lost or cut:
            what = f"is damaged: {len(lost)} parts could not be read ({lost[0]})" if lost else cut
            yield _failure(clip, f"{what}; {taken} frames were taken")


def _cut(container: Any, stream: Any, count: int, last: float) -> str:
    """What is missing of what the file says it holds, in words; empty for a whole one."""
    if stream.frames and count < _SHARE * stream.frames:
        return f"is cut off: {count} of {stream.frames} frames are there"
    length = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
    length = length or (container.duration or 0) / 1e6
    missing = length - last > max(1.0, (1 - _SHARE) * length)
    return f"is cut off: its frames end after {last:.1f} of {length:.1f} s" if missing else ""


def decoded(
    container: Any, stream: Any, lost: list[str], stopped: Callable[[], bool] = lambda: False
) -> Iterator[tuple[Any, float]]:
    """(frame, seconds from the first one) of every frame that can be decoded; reasons of the others are appended to `lost`.

    Ends with the video, where too much of it is damaged, or when `stopped` says so.
    """
    import av

    rate = float(stream.average_rate or 0) or 25.0
    start: float | None = None
    number = broken = 0
    packets = container.demux(stream)
    while broken < _BROKEN and not stopped():
        try:
            packet = next(packets, None)
        except BlockingIOError:  # a camera has no frame yet
            time.sleep(0.005)
            packets = container.demux(stream)
            continue
        except (av.error.FFmpegError, OSError, ValueError) as error:
            lost.append(_reason(error))
            broken += 1
            packets = container.demux(stream)  # a generator that has raised is at its end
            continue
        if packet is None:
            return
        try:
            found = packet.decode()
            broken = 0
        except (av.error.FFmpegError, OSError, ValueError) as error:
            lost.append(_reason(error))
            broken += 1
            continue
        for frame in found:
            at = float(frame.time) if frame.time is not None else number / rate
            start = at if start is None else start
            yield frame, max(0.0, at - start)
            number += 1


def _encoded(frame: Any, aspect: float, form: Form) -> bytes:
    """Upright, square pixels of a frame, encoded without metadata."""
    width, height = frame.width, frame.height
    standard_limits().check_size(width, height)
    if 0.2 < aspect < 5 and aspect != 1:  # how wide a pixel is for its height
        width = round(width * aspect)
    pixels = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
    turns = round(frame.rotation / 90) % 4  # counterclockwise
    return encoded(np.ascontiguousarray(np.rot90(pixels, turns)), form)


def encoded(pixels: NDArray[np.uint8], form: Form) -> bytes:
    """JPEG of quality 95, or PNG, of uint8 (h, w, 3)."""
    if form == "jpeg":
        import simplejpeg

        return bytes(simplejpeg.encode_jpeg(pixels, quality=95, colorsubsampling="420"))
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=4)
    return stream.getvalue()


def _arrival(clip: _Clip, number: int, at: float, data: bytes, form: Form) -> Arrival:
    suffix = ".jpg" if form == "jpeg" else ".png"
    group = clip.group or f"{clip.name}:{datetime.now(UTC):%Y-%m-%dT%H}"  # an hour before a camera is one scene
    return Arrival(
        name=f"{clip.stem}/{number:06d}{suffix}",
        data=data,
        group=group,
        facts=Facts(source=f"{clip.name}#t={at:.3f}"),  # media fragment (W3C)
        address=f"{clip.address}#frame={number}",
    )


def _failure(clip: _Clip, what: str) -> Failure:
    error = PictureError(f"the video {what}", hint="play it in another program, or save it again")
    return Failure(picture=clip.address, error=ErrorInfo(code=error.code, message=error.message, hint=error.hint))


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)[:200]
