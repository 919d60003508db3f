"""Reading what a client sends: a limit that holds while bytes arrive, a deadline for slow senders, multipart split by hand.

Knows ASGI's `receive`; does not know what the bytes mean. The limit is on what really arrives: a missing or lying
Content-Length changes nothing.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any

from sightline.errors import OverloadError, SlowRequestError, TooLargeError, UsageError
from sightline.web.faults import shown

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Headers = Iterable[tuple[bytes, bytes]]

GRACE_S = 10.0  # a body may take this long,
SLOWEST_BYTES_S = 32_000  # and a second more for each of these many bytes that came
PICTURE_FIELDS = ("file", "files", "image", "images", "imageData", "picture", "pictures")
MOST_PARTS = 1000
MOST_HEADER_BYTES = 16_000  # of one part


class ClientGone(Exception):  # noqa: N818 - an event, not an error
    """The client closed the connection before its request was complete; nobody is there to be answered."""


class Body:
    """A `receive` that remembers whether the body has ended."""

    __slots__ = ("_receive", "ended")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.ended = False

    async def __call__(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        self.ended = not message.get("more_body", False)  # true for a disconnect as well
        return message


@dataclass(frozen=True, slots=True)
class Upload:
    name: str  # for display only, never a path
    data: bytes


class Intake:
    """Reads bodies of at most `limit` bytes; all that are being read together hold at most `most_held` bytes."""

    def __init__(self, limit: int, most_held: int = 512 << 20, grace_s: float = GRACE_S) -> None:
        self.limit, self.most_held, self.grace_s = limit, most_held, grace_s
        self.held = 0
        self.readers = 0

    async def read(self, receive: Receive, headers: Headers, limit: int | None = None) -> bytes:
        """The whole body. Raises TooLargeError, SlowRequestError, OverloadError, UsageError, ClientGone."""
        limit = self.limit if limit is None else limit
        self._check_headers(headers, limit)
        loop = asyncio.get_running_loop()
        start, parts, size = loop.time(), [], 0
        self.readers += 1
        try:
            while True:
                try:
                    async with asyncio.timeout_at(start + self.grace_s + size / SLOWEST_BYTES_S):
                        message = await receive()
                except TimeoutError:
                    raise SlowRequestError(
                        f"the body came too slowly: {size} bytes in {loop.time() - start:.0f} s",
                        hint=f"send at least {SLOWEST_BYTES_S // 1000} kB a second",
                    ) from None
                if message["type"] == "http.disconnect":
                    raise ClientGone
                part = message.get("body", b"")
                if part:
                    size += len(part)
                    self.held += len(part)
                    parts.append(part)
                    if size > limit:
                        raise _too_large(limit)
                    if self.held > self.most_held:
                        raise OverloadError("too many large bodies at once", hint="send it again in a moment")
                if not message.get("more_body", False):
                    return parts[0] if len(parts) == 1 else b"".join(parts)
        finally:
            self.readers -= 1
            self.held -= size

    def _check_headers(self, headers: Headers, limit: int) -> None:
        for name, value in headers:
            if name == b"content-length" and value.isdigit() and int(value) > limit:
                raise _too_large(limit)
            if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
                raise UsageError(
                    "a compressed body is not taken", hint="send the picture's own bytes, without Content-Encoding"
                )


async def drain(body: Body, seconds: float = 1.0, most: int = 64 << 20) -> None:
    """Throw away what a refused client still sends, for a while, so that it can read our answer before the connection closes.

    Closing at once would reset the connection (RFC 9112, section 9.6).
    """
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while size < most and not body.ended:
                size += len((await body()).get("body", b""))
    except TimeoutError:
        return


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(
        f"the body is larger than {limit / 1e6:g} MB",
        hint="send a smaller picture, or start the server with a larger --max-body-mb",
        detail={"limit_bytes": limit},
    )


def split_form(body: bytes, content_type: str) -> list[Upload]:
    """The pictures of a multipart/form-data body (RFC 7578), in order; raises UsageError.

    Done here because common parsers hand over a part without a file name as text, and cap it at 1 MB; some clients send
    pictures that way.
    """
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise UsageError("the multipart body names no boundary", hint="let your HTTP client set the Content-Type itself")
    form = _Form()
    callbacks: Any = {
        "on_part_begin": form.begin,
        "on_part_data": form.data,
        "on_part_end": form.end,
        "on_header_field": form.field,
        "on_header_value": form.value,
        "on_header_end": form.header,
        "on_end": form.finish,
    }
    try:
        parser = MultipartParser(boundary, callbacks)
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise UsageError("the multipart body is broken", hint="send it with `curl -F file=@picture.jpg`") from error
    if not form.finished:
        raise UsageError("the multipart body ends early", hint="send it again")
    return [_upload(headers, bytes(data), parse_options_header) for headers, data in form.parts]


class _Form:
    """What the push parser tells, gathered part by part."""

    def __init__(self) -> None:
        self.parts: list[tuple[dict[str, bytes], bytearray]] = []
        self.finished = False
        self._name, self._text, self._size = bytearray(), bytearray(), 0

    def begin(self) -> None:
        if len(self.parts) >= MOST_PARTS:
            raise UsageError(f"more than {MOST_PARTS} pictures in one request", hint="send them in several requests")
        self.parts.append(({}, bytearray()))
        self._size = 0

    def field(self, data: bytes, start: int, end: int) -> None:
        self._count(end - start)
        self._name += data[start:end]

    def value(self, data: bytes, start: int, end: int) -> None:
        self._count(end - start)
        self._text += data[start:end]

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > MOST_HEADER_BYTES:
            raise UsageError("the headers of a form part are too long")

    def header(self) -> None:
        self.parts[-1][0][self._name.decode("latin-1").lower()] = bytes(self._text)
        self._name.clear()
        self._text.clear()

    def data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1][1].extend(memoryview(data)[start:end])

    def end(self) -> None:
        pass

    def finish(self) -> None:
        self.finished = True


def _upload(headers: dict[str, bytes], data: bytes, parse_options: Callable[[bytes], Any]) -> Upload:
    _, options = parse_options(headers.get("content-disposition", b""))
    field = options.get(b"name", b"").decode("utf-8", "replace")
    named = options.get(b"filename")
    kind = headers.get("content-type", b"").split(b";")[0].strip().lower()
    if named is None and field not in PICTURE_FIELDS and not kind.startswith((b"image/", b"application/octet-stream")):
        near = difflib.get_close_matches(field, PICTURE_FIELDS, 1)
        raise UsageError(
            f"unknown form field {shown(field, 60)!r}",
            hint=f"did you mean {near[0]}?" if near else "send pictures as `file`; give `top` and `model` in the address",
        )
    return Upload(display_name(named.decode("utf-8", "replace") if named else field), data)


def display_name(name: str) -> str:
    """A client's file name made fit for showing: its last part, printable, at most 200 characters."""
    return shown(name.replace("\\", "/").rsplit("/", 1)[-1])
