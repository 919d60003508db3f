"""`predict video.mp4` with a detector: an annotated video and a JSON lines file of its objects. No verb itself.

Frames are looked at on all cores, followed in order (`runtime/tracking.py`), drawn and written as they come.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from sightline.errors import ConflictError, PictureError
from sightline.files import new_file
from sightline.progress import task
from sightline.runtime.detector import USUAL, Detector
from sightline.runtime.drawing import drawn
from sightline.runtime.footage import Frame, film, footage
from sightline.runtime.found import Found
from sightline.runtime.model import in_order
from sightline.runtime.tasks import object_to_wire
from sightline.runtime.tracking import Tracker
from sightline.types import Annotation, Record


class VideoAnswer(Record):
    """What was found in a video, and where it is written."""

    video: str
    annotated: str = Field(description="the video with its objects drawn (MP4, without sound)")
    objects: str = Field(description="JSON lines: frame, time, track, label, score, box of every object in every frame")
    frames: int
    seconds: float = Field(description="length of the video")
    counts: dict[str, int] = Field(description="different objects of each class; without tracking: the most in one frame")
    took_seconds: float


def answer_video(detector: Detector, video: Path, folder: Path | None, *, track: bool = True) -> VideoAnswer:
    """Look for objects in every frame. `folder`: where the two files go, by default beside the video.

    Raises NotFoundError, PictureError (no video, damaged), ConflictError (its files are there already), MissingExtraError.
    """
    start = time.perf_counter()
    place = (folder or video.parent) / f"{video.stem}.found.mp4"
    lines = place.with_suffix(".jsonl")
    for path in (place, lines):
        if path.exists():
            raise ConflictError(f"{path} is there already", hint="move it away, or give a folder with --save-pictures")
    counts: Counter[str] = Counter()
    seen: set[tuple[str, int]] = set()
    number, last = 0, 0.0
    with footage(video) as clip, new_file(place) as film_part, new_file(lines) as lines_part:
        tracker = Tracker(sure=_sure(detector), frames=max(1, round(clip.rate))) if track else None
        with (
            film(film_part, clip.rate) as out,
            lines_part.open("w", encoding="utf-8") as text,
            task(f"Looking through {video.name}", clip.length) as work,
        ):
            for frame, found in in_order(lambda one: (one, detector.find(one.pixels)), clip.frames, detector.threads, 2):
                objects = _followed(detector, found, tracker)
                text.writelines(_lines(frame, objects))
                out.add(drawn(frame.pixels, objects, detector.card.classes), frame.time)
                seen |= {(one.label, one.track) for one in objects if one.track is not None}
                counts |= Counter(one.label for one in objects)  # the larger of both
                number, last = number + 1, frame.time
                work.advance()
        if not number:
            raise PictureError("the video holds no frame that can be decoded", hint="play it in another program")
    if tracker is not None:
        counts = Counter(label for label, _ in seen)
    return VideoAnswer(
        video=str(video),
        annotated=str(place),
        objects=str(lines),
        frames=number,
        seconds=round(last + 1 / clip.rate, 3),
        counts=dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))),
        took_seconds=round(time.perf_counter() - start, 2),
    )


def _sure(detector: Detector) -> list[float]:
    """The score from which a box of each class may begin a track: the one from which it is given."""
    return [detector.card.thresholds.get(name, USUAL) for name in detector.card.classes]


def _followed(detector: Detector, found: Found, tracker: Tracker | None) -> tuple[Annotation, ...]:
    return detector.objects(found, tracks=tracker.follow(found).tolist() if tracker is not None else None)


def _lines(frame: Frame, objects: tuple[Annotation, ...]) -> Iterator[str]:
    """A line for each object: {"frame", "time", "track", "label", "score", "box", ...}; track is null until it is sure."""
    for one in objects:
        wire = object_to_wire(one)
        line = {"frame": frame.number, "time": frame.time, "track": wire.pop("track", None), **wire}
        yield json.dumps(line, ensure_ascii=False) + "\n"
