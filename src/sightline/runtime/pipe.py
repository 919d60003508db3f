"""The conversation with a decoder process: a 4-byte length, a JSON header, raw bytes. No pickle, nothing is executed.

Both ends of the conversation are here, and the errors that may cross it; what is asked and answered is not.
"""

from __future__ import annotations

import json
import os
import select
import time
from typing import Any

from sightline.errors import PictureError, PictureFormatError, PictureTimeoutError, PictureTooLargeError, SightlineError

ERRORS: dict[str, type[SightlineError]] = {
    kind.__name__: kind for kind in (PictureError, PictureFormatError, PictureTimeoutError, PictureTooLargeError)
}
_MAX_HEADER = 1 << 20


class Gone(Exception):  # noqa: N818 - a turn of events, not an error of the user's
    """The other end has closed the pipe, died or talks nonsense."""


class Late(Exception):  # noqa: N818
    """The deadline has passed."""


def pack(header: dict[str, Any], body: bytes | memoryview = b"") -> bytes:
    """The bytes that go before `body`; the body itself is sent without a copy."""
    text = json.dumps({**header, "bytes": len(body)}).encode()
    return len(text).to_bytes(4, "big") + text


def pack_error(error: SightlineError) -> dict[str, Any]:
    detail = {key: value for key, value in error.detail.items() if isinstance(value, (str, int, float))}
    kind = type(error).__name__
    return {"error": kind if kind in ERRORS else "PictureError", "message": error.message, "hint": error.hint, "detail": detail}


def unpack_error(header: dict[str, Any]) -> SightlineError:
    kind = ERRORS.get(str(header.get("error")), PictureError)
    detail = header.get("detail")
    return kind(str(header.get("message")), hint=str(header.get("hint")), detail=detail if isinstance(detail, dict) else {})


def write(handle: int, parts: list[bytes | memoryview], deadline: float | None = None) -> None:
    """Write all parts; `deadline` is on time.monotonic's clock and needs a non-blocking handle."""
    for part in parts:
        view = memoryview(part).cast("B")
        while view:
            try:
                view = view[os.write(handle, view) :]
            except BlockingIOError:
                _wait(handle, select.POLLOUT, deadline)
            except OSError as error:
                raise Gone(str(error)) from error


def read(handle: int, deadline: float | None = None, max_body: int = 1 << 33) -> tuple[dict[str, Any], bytearray]:
    """The next header and its body; Gone at the end of the pipe."""
    length = int.from_bytes(_exactly(handle, 4, deadline), "big")
    if length > _MAX_HEADER:
        raise Gone("a header without sense")
    try:
        header = json.loads(_exactly(handle, length, deadline))
        size = int(header["bytes"])
    except (ValueError, KeyError, TypeError) as error:
        raise Gone("a header without sense") from error
    if not 0 <= size <= max_body:
        raise Gone("a body without sense")
    return header, _exactly(handle, size, deadline)


def _exactly(handle: int, count: int, deadline: float | None) -> bytearray:
    data = bytearray(count)
    view = memoryview(data)
    while view:
        try:
            got = os.readv(handle, [view])
        except BlockingIOError:
            _wait(handle, select.POLLIN, deadline)
            continue
        except OSError as error:
            raise Gone(str(error)) from error
        if got == 0:
            raise Gone("end of the pipe")
        view = view[got:]
    return data


def _wait(handle: int, event: int, deadline: float | None) -> None:
    """Until a non-blocking handle is ready or closed; Late when the deadline comes first."""
    poll = select.poll()
    poll.register(handle, event)
    left = None if deadline is None else deadline - time.monotonic()
    if left is not None and (left <= 0 or not poll.poll(max(1.0, left * 1000))):
        raise Late
