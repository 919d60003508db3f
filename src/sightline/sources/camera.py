"""Opens the cameras of this machine by number, through PyAV. Knows neither frames nor what they are for."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Any

from sightline.errors import ConflictError, NotFoundError, SightlineError, UsageError, missing_extra

DEVICES = Path("/dev")


def open_camera(number: int) -> Any:
    """A PyAV container that never ends. NotFoundError, ConflictError (it is held), UsageError, MissingExtraError."""
    address, form = camera_address(number)
    return opened(address, form, f"camera {number}")


def opened(address: str, form: str, name: str) -> Any:
    """A camera by what FFmpeg calls it; errors as `open_camera`."""
    try:
        import av
    except ModuleNotFoundError as error:
        raise missing_extra("media", "reading cameras") from error
    av.logging.set_level(av.logging.PANIC)  # FFmpeg speaks to the terminal; errors come as exceptions
    try:
        return av.open(address, format=form)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise _refused(name, error) from error


def camera_address(number: int) -> tuple[str, str]:
    """What FFmpeg calls a camera on this system: (address, format)."""
    if sys.platform == "darwin":
        return str(number), "avfoundation"
    if sys.platform == "win32":
        raise UsageError("cameras cannot be opened by number on Windows", hint="record a video and give the file")
    return f"{DEVICES}/video{number}", "v4l2"


def _refused(name: str, error: Exception) -> SightlineError:
    code = getattr(error, "errno", None)
    if code == errno.EBUSY:
        return ConflictError(f"{name} is held by another program", hint="close that one, then run this again")
    if code in (errno.EACCES, errno.EPERM):
        return NotFoundError(
            f"{name} may not be opened", hint="on Linux the group `video` may: add yourself, then log in again"
        )
    there = ", ".join(sorted(path.name.removeprefix("video") for path in DEVICES.glob("video*"))) if DEVICES.is_dir() else ""
    reason = getattr(error, "strerror", None) or error
    hint = f"there are: {there}" if there else "is it plugged in? a video file or an address can stand for a camera"
    return NotFoundError(f"no {name}: {reason}"[:300], hint=hint)
