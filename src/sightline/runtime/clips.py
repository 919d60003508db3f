"""Clips: a video, a folder of numbered frames, or one picture, as T frames spread evenly over it and prepared for a model.

Videos are decoded by PyAV (extra `media`). Knows neither labels nor models.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import NotFoundError, PictureError, missing_extra
from sightline.runtime.limits import standard_limits
from sightline.runtime.pixels import fit, prepare, read_picture

if TYPE_CHECKING:
    from sightline.types import InputSpec

VIDEOS = frozenset({".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ogv", ".wmv", ".flv", ".3gp"})
MOVING = VIDEOS | {".gif"}  # what is opened as a video; a GIF is a picture to everything else
STILLS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})  # frames in a folder
LONG = 1_000  # frames above which a video is asked for its frames by seeking: 16 of ten hours cost 16 short decodes
MOST = 20_000  # frames decoded of a video that cannot be sought in and does not say how long it is
AFTER_KEY = 300  # frames decoded after one seek: key frames farther apart than that are taken as they are
_ROOM = 4  # this many times the frames that are wanted are held while the length is not known
_BROKEN = 50  # undecodable packets in a row after which a video is given up
# Only containers of videos, only from files: a playlist or a list of parts would have others fetched or opened
_OPTIONS = {
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,m4v,ogg,asf,flv,gif",
    "protocol_whitelist": "file",
}

Pixels = NDArray[np.uint8]
Fitted = Callable[[Pixels], Pixels]


def is_video(path: str | os.PathLike[str]) -> bool:
    """Whether the name ends like a video's; a GIF does not."""
    return os.path.splitext(os.fspath(path))[1].lower() in VIDEOS  # noqa: PTH122 - called for every file of a folder


def spread(there: int, wanted: int) -> NDArray[np.intp]:
    """`wanted` places spread evenly over 0..there - 1, both ends included; a short clip repeats frames."""
    return np.rint(np.linspace(0, there - 1, wanted)).astype(np.intp)


def prepare_clip(path: str | os.PathLike[str], spec: InputSpec) -> tuple[Pixels, int]:
    """What a clip model sees: uint8 (spec.frames, size, size, 3), and how many different frames are in it.

    `path`: a video, a folder of numbered frames, or a picture, which is a clip of one frame. NotFoundError, PictureError (with
    the reason), MissingExtraError (videos without the extra `media`).
    """
    file, wanted = Path(path), spec.frames or 1
    if file.is_dir():
        stills = numbered(file)
        if not stills:
            raise PictureError(f"the folder {file.name} holds no frames", hint="frames are pictures with numbers as names")
        places = spread(len(stills), wanted)
        found = {int(place): prepare(read_picture(stills[place]), spec) for place in np.unique(places)}
        return np.stack([found[int(place)] for place in places]), len(found)
    if not file.exists():
        raise NotFoundError(f"no such file: {path}", hint="check the spelling", detail={"path": str(path)})
    if file.suffix.lower() not in MOVING:
        return still(prepare(read_picture(file), spec), spec), 1
    return together(_frames(file, wanted, lambda pixels: fit(pixels, spec)), wanted)


def together(frames: list[Pixels], wanted: int) -> tuple[Pixels, int]:
    """`wanted` of the frames, evenly spread, as one array; and how many of them are different frames."""
    places = spread(len(frames), wanted)
    return np.stack([frames[place] for place in places]), len(np.unique(places))


def still(image: Pixels, spec: InputSpec) -> Pixels:
    """A prepared picture (size, size, 3) as the clip in which nothing moves: (spec.frames, size, size, 3)."""
    return np.repeat(image[None], spec.frames or 1, axis=0)


def numbered(folder: Path) -> list[Path]:
    """The frames in a folder, by their numbers: frame2 comes before frame10."""
    stills = [path for path in folder.iterdir() if path.suffix.lower() in STILLS and not path.name.startswith(".")]
    return sorted(stills, key=lambda path: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)])


def middle(path: str | os.PathLike[str]) -> Pixels:
    """One frame from the middle of a clip, for showing: uint8 (h, w, 3). Errors as `prepare_clip`."""
    from sightline.runtime.pixels import decode

    file = Path(path)
    if file.is_dir():
        stills = numbered(file)
        if not stills:
            raise PictureError(f"the folder {file.name} holds no frames")
        return decode(read_picture(stills[len(stills) // 2]))
    frames = _frames(file, 3, lambda pixels: pixels)
    return frames[len(frames) // 2]


@contextmanager
def opened(file: Path) -> Iterator[tuple[Any, Any]]:
    """A video's container and its stream of pictures; PictureError with the reason, MissingExtraError."""
    try:
        import av
    except ModuleNotFoundError as error:
        raise missing_extra("media", "reading videos") from error
    av.logging.set_level(av.logging.PANIC)  # FFmpeg speaks to the terminal; errors come as exceptions
    if file.stat().st_size == 0:
        raise PictureError("the video is empty (0 bytes)", hint="copy the file again")
    try:
        container = av.open(str(file), options=dict(_OPTIONS), metadata_errors="ignore")
    except _errors() as error:
        raise _unreadable(f"cannot be opened: {_reason(error)}") from error
    with container:
        stream = next(iter(container.streams.video), None)
        if stream is None:
            raise _unreadable("holds no moving picture")
        yield container, stream


def length_of(container: Any, stream: Any) -> tuple[float, float]:
    """About how many frames, and how many seconds, a video says it has; 0 where it does not."""
    seconds = float(stream.duration * stream.time_base) if stream.duration else (container.duration or 0) / 1e6
    return float(stream.frames or seconds * float(stream.average_rate or 25)), seconds


def _frames(file: Path, wanted: int, fitted: Fitted) -> list[Pixels]:
    """At least `wanted` frames evenly spread over a video, where it has so many; PictureError with the reason."""
    with opened(file) as (container, stream):
        length, seconds = length_of(container, stream)
        found: list[Pixels] = []
        if length > LONG and seconds:
            found = _sought(container, stream, seconds, wanted, fitted)
        if not found:
            if length > LONG:
                container.seek(0)
            found = _passed(container, stream, wanted, fitted)
    if not found:
        raise _unreadable("holds no frame that can be decoded")
    return found


def _passed(container: Any, stream: Any, wanted: int, fitted: Fitted) -> list[Pixels]:
    """One pass over a video whose length nobody has to know: when the room is full every second frame goes."""
    held: list[Pixels] = []
    step = 1
    for number, frame in enumerate(decoded(container, stream)):
        if number >= MOST:
            break
        if number % step:
            continue
        held.append(fitted(upright(frame, stream)))
        if len(held) > _ROOM * wanted:
            held, step = held[::2], 2 * step
    return held


def _sought(container: Any, stream: Any, seconds: float, wanted: int, fitted: Fitted) -> list[Pixels]:
    """Frames of a long video by seeking: at the middle of each of `wanted` equal parts. None where seeking does not work."""
    found: dict[float, Pixels] = {}
    for place in range(wanted):
        target = seconds * (place + 0.5) / wanted
        try:
            container.seek(int(target * 1_000_000), backward=True)
        except _errors():
            return []
        latest = None
        for number, frame in enumerate(decoded(container, stream)):
            latest = frame
            if number >= AFTER_KEY or frame.time is None or frame.time >= target:
                break
        if latest is not None:
            found[float(latest.time or place)] = fitted(upright(latest, stream))
    times = sorted(found)
    return [found[time] for time in times] if len(times) > 1 and all(a < b for a, b in pairwise(times)) else []


def decoded(container: Any, stream: Any) -> Iterator[Any]:
    """Every frame that can be decoded; damaged parts are passed over."""
    lost = 0
    packets = container.demux(stream)
    while lost < _BROKEN:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            frames = packet.decode()
        except _errors():
            lost += 1
            packets = container.demux(stream)  # a generator that has raised is at its end
            continue
        if frames:
            lost = 0
        yield from frames


def upright(frame: Any, stream: Any) -> Pixels:
    """RGB of a frame with square pixels, uint8 (h, w, 3)."""
    width, height = frame.width, frame.height
    standard_limits().check_size(width, height)
    aspect = float(stream.sample_aspect_ratio or 1)
    if 0.2 < aspect < 5 and aspect != 1:  # how wide a pixel is for its height
        width = round(width * aspect)
    pixels = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90) % 4))


def _errors() -> tuple[type[Exception], ...]:
    """What PyAV raises for damaged videos."""
    import av

    return av.error.FFmpegError, OSError, ValueError


def _unreadable(what: str) -> PictureError:
    return PictureError(f"the video {what}", hint="play it in another program, or save it again")


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)[:200]
