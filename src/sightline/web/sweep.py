"""What passes between the front and the application behind it: bodies limited, bare errors held back, pages given a policy.

An answer with an error status is withheld: the front gives the typed one in its place. A page gets a policy with a nonce, and
its own script tags get the nonce; data written by users never reaches a page's HTML, it is fetched as JSON.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from sightline.errors import TooLargeError
from sightline.web.gate import DATA_HEADERS, page_headers
from sightline.web.intake import Receive

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

TYPED = "sightline.typed"  # set in the scope by a part whose error answers have our shape already
_ASSETS = ("/_nicegui", "/static/")  # may come compressed; pages may not: they are rewritten on their way
_PLAIN_PAGES = ("/docs", "/login", "/collect", "/collect/owner")  # pages that compile no templates


class Request:
    """What one HTTP request needs to know about itself while it is answered."""

    __slots__ = ("id", "method", "path", "start", "started", "status")

    def __init__(self, scope: MutableMapping[str, Any], request_id: str) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.id = request_id
        self.start = time.perf_counter()
        self.started = False  # has our answer begun?
        self.status = 0


class Sweep:
    """The `scope`, `receive` and `send` for one request to the application behind."""

    def __init__(
        self,
        request: Request,
        scope: MutableMapping[str, Any],
        receive: Receive,
        send: Send,
        most: int,
        *,
        closing: bool,
    ) -> None:
        self.request, self.scope = request, scope
        self.bare = False  # did it answer with an error that is not in our shape?
        self.allow = b""  # the methods a refused address takes
        self.refusal: TooLargeError | None = None  # of its body; some parts turn it into an error of their own
        self._receive, self._send, self._most, self._closing = receive, send, most, closing
        self._size = 0
        self._nonce = ""
        self._page: list[Message] = []
        if not request.path.startswith(_ASSETS):
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]

    async def receive(self) -> Message:
        message = await self._receive()
        self._size += len(message.get("body", b""))
        if self._size > self._most:
            self.refusal = TooLargeError(f"the body is larger than {self._most / 1e6:g} MB", hint="send less at once")
            raise self.refusal
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._head(message)
        elif self.bare:
            return
        elif self._page:
            self._page.append(message)
            if not message.get("more_body", False):
                await self._whole_page()
        else:
            await self._send(message)

    async def _head(self, message: Message) -> None:
        self.request.status = message["status"]
        self.bare = self.request.status >= 400 and not self.scope.get(TYPED)
        if self.bare:
            self.allow = next((value for name, value in message["headers"] if name.lower() == b"allow"), b"")
            return
        headers = list(message["headers"])
        headers.append((b"x-request-id", self.request.id.encode()))
        if self._closing:
            headers.append((b"connection", b"close"))
        page = any(name == b"content-type" and value.startswith(b"text/html") for name, value in headers)
        if page:
            self._nonce = os.urandom(16).hex()
            headers = [
                pair for pair in headers if pair[0] not in (b"content-length", b"etag", b"last-modified", b"cache-control")
            ]
            headers += page_headers(self._nonce, evaluates=self.request.path not in _PLAIN_PAGES)
            headers.append((b"cache-control", b"no-store"))
            self._page.append({**message, "headers": headers})
            return
        headers += DATA_HEADERS
        if not any(name == b"cache-control" for name, _ in headers):
            # files may be kept, but are asked for again; answers are not kept
            headers.append((b"cache-control", b"no-cache" if self.request.path.startswith(_ASSETS) else b"no-store"))
        self.request.started = True
        await self._send({**message, "headers": headers})

    async def _whole_page(self) -> None:
        """Send a page in one piece, its script tags marked with the nonce of its policy."""
        head = self._page[0]
        content = b"".join(message.get("body", b"") for message in self._page[1:])
        content = content.replace(b"<script", f'<script nonce="{self._nonce}"'.encode())
        if self.request.method != "HEAD":
            head["headers"].append((b"content-length", str(len(content)).encode()))
        self.request.started = True
        await self._send(head)
        await self._send({"type": "http.response.body", "body": content, "more_body": False})
