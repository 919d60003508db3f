"""uvicorn's HTTP protocol with manners for bad clients: a deadline and a size for headers, a cap on connections, typed errors.

Half-open connections cost a socket each and nothing else: they wait at most HEADER_S seconds, and when all places are taken the
one that has waited longest makes room.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from sightline.errors import SightlineError, SlowRequestError, TooLargeError, UnavailableError, UsageError
from sightline.web import faults

HEADER_S = 10.0
MOST_HEADER_BYTES = 64_000
MOST_CONNECTIONS = 2000
LINGER_S = 1.0  # a refused client may go on sending for this long; it is thrown away


class Protocol(HttpToolsProtocol):
    """One connection. `header_s`, `most_connections` are class attributes, so that tests can make them small."""

    header_s = HEADER_S
    most_connections = MOST_CONNECTIONS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._in_headers = True
        self._header_bytes = 0
        self._refused = False
        self._waiting_since = self.loop.time()
        self._deadline: asyncio.TimerHandle | None = self.loop.call_later(self.header_s, self._too_late)
        if len(self.connections) > self.most_connections and not self._make_room():
            self._answer(UnavailableError("too many connections", hint="close some, or try again in a moment"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused or self.transport.is_closing():
            return
        if self._in_headers:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._in_headers and self._header_bytes > MOST_HEADER_BYTES and not self._refused:
            self._answer(TooLargeError(f"the headers are larger than {MOST_HEADER_BYTES} bytes"), status=431)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers = True
        if self._deadline is None:
            self._waiting_since = self.loop.time()
            self._deadline = self.loop.call_later(self.header_s, self._too_late)

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._header_bytes = 0
        self._disarm()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's text is not ours
        if not self._refused:
            self._answer(UsageError("this is no valid HTTP request", hint="check the request line and the headers"))

    def _too_late(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        if self._header_bytes:
            self._answer(SlowRequestError(f"the headers took longer than {self.header_s:g} s"))
        else:
            self.transport.close()  # it never asked anything

    def _make_room(self) -> bool:
        """Close the half-open connection that has waited longest; False when there is none."""
        waiting = [
            other
            for other in cast("set[Any]", self.connections)
            if other is not self and isinstance(other, Protocol) and other._in_headers and other._deadline is not None
        ]
        if not waiting:
            return False
        oldest = min(waiting, key=lambda other: other._waiting_since)
        oldest.transport.abort()
        return True

    def _answer(self, error: SightlineError, status: int | None = None) -> None:
        """Write a typed error below ASGI, then close; not at once, or what still arrives would reset the connection first."""
        self._disarm()
        self._refused = True
        request_id = os.urandom(6).hex()
        content = faults.body(error, request_id)
        lines = [
            STATUS_LINE[status or error.status],
            b"content-type: application/json\r\nconnection: close\r\nx-content-type-options: nosniff\r\n",
            b"x-request-id: %s\r\ncontent-length: %d\r\n" % (request_id.encode(), len(content)),
            *[name + b": " + value + b"\r\n" for name, value in faults.headers(error)],
            b"\r\n",
            content,
        ]
        faults.record(error, request_id, "-", "-")
        self.transport.write(b"".join(lines))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_S, self.transport.close)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
