"""The outermost ASGI application: request id, gate, the quick route, and one shape for every error of every part behind it.

Everything else goes to the application behind (FastAPI, with the pages mounted in it); its bare error answers are replaced.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from sightline.errors import SightlineError, UnavailableError
from sightline.web import faults
from sightline.web.gate import DATA_HEADERS, KEY, Gate
from sightline.web.intake import Body, ClientGone, Receive, drain
from sightline.web.keys import Key
from sightline.web.predict import PATH, predict
from sightline.web.service import Service
from sightline.web.sweep import Request, Send, Sweep

App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_START = os.urandom(4).hex()
_numbers = itertools.count(1)
_WHEN_STOPPING = ("/health/live", "/health/ready", "/metrics")


class Front:
    """`app` is the application behind; `service` is None for pages that stand before a server elsewhere."""

    def __init__(self, app: App, service: Service | None, gate: Gate, *, max_body: int) -> None:
        self.app, self.service, self.gate, self.max_body = app, service, gate, max_body
        self.stopping = False
        self.open = 0  # requests that are not answered yet
        self._tasks: set[asyncio.Future[None]] = set()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _http(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        request, body = Request(scope, _request_id(scope["headers"])), Body(receive)
        service = self.service
        self.open += 1
        try:
            scope[KEY] = self.gate.admit(request.method, request.path, scope["headers"])
            self._touch(scope[KEY])
            if self.stopping and request.path not in _WHEN_STOPPING:
                raise UnavailableError("the server is stopping", hint="send the request again in a moment")
            if service is not None and request.path == PATH and request.method == "POST":
                content = await predict(service, scope["query_string"], scope["headers"], body)
                await self._answer(request, send, 200, content)
            else:
                await self._behind(request, scope, body, send)
        except ClientGone:
            pass
        except Exception as error:  # the one place where the web door catches everything
            await self._refuse(request, scope, body, send, error)
        finally:
            self.open -= 1
            if service is not None and request.status:
                service.metrics.answered(_route(scope, request), request.status, time.perf_counter() - request.start)

    async def _answer(
        self, request: Request, send: Send, status: int, content: bytes, extra: faults.Headers | None = None
    ) -> None:
        request.started, request.status = True, status
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
            (b"x-request-id", request.id.encode()),
            (b"cache-control", b"no-store"),
            *DATA_HEADERS,
            *(extra or ()),
        ]
        if self.stopping:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content, "more_body": False})

    async def _refuse(
        self, request: Request, scope: MutableMapping[str, Any], body: Body, send: Send, error: Exception
    ) -> None:
        typed = faults.from_exception(error)
        faults.record(typed, request.id, request.method, request.path, error)
        if request.started:  # too late for a status: break the connection, so that nobody takes half an answer for a whole one
            raise error
        if typed.status == 401 and request.method == "GET" and _wants_html(scope):
            await self._to_login(request, send)
            return
        content = faults.body(typed, request.id)
        extra = faults.headers(typed)
        if body.ended or (typed.status not in (408, 413) and not _large(scope)):
            await self._answer(request, send, typed.status, content, extra)
            return
        # more of the body is coming: answer, let the client read the answer, then close
        request.started, request.status = True, typed.status
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
            (b"x-request-id", request.id.encode()),
            (b"connection", b"close"),
            *DATA_HEADERS,
            *extra,
        ]
        await send({"type": "http.response.start", "status": typed.status, "headers": headers})
        await send({"type": "http.response.body", "body": content, "more_body": True})
        if typed.status != 408:
            await drain(body)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _to_login(self, request: Request, send: Send) -> None:
        request.started, request.status = True, 303
        headers = [(b"location", b"/login"), (b"content-length", b"0"), (b"x-request-id", request.id.encode()), *DATA_HEADERS]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _behind(self, request: Request, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Run the application behind; raises the typed error for its bare one, and ours that pass through it."""
        sweep = Sweep(request, scope, receive, send, self.max_body, closing=self.stopping)
        failed: Exception | None = None
        try:
            await self.app(sweep.scope, sweep.receive, sweep.send)
        except (ClientGone, SightlineError):
            raise
        except Exception as error:  # Starlette has sent a bare 500 and raises again
            failed = error
        if sweep.refusal is not None and not request.started:
            raise sweep.refusal
        if failed is not None:
            raise failed
        if sweep.bare:
            raise faults.from_status(request.status, request.method, request.path, sweep.allow)

    async def _websocket(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        try:
            self._touch(self.gate.admit("GET", scope["path"], scope["headers"], socket=True))
            if self.stopping:
                raise UnavailableError("the server is stopping")
        except SightlineError as error:
            faults.record(error, _request_id(scope["headers"]), "WEBSOCKET", scope["path"])
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": error.code})
            return
        await self.app(scope, receive, send)

    def _touch(self, key: Key | None) -> None:
        """Note the day a key was used, at most once a day for each, beside the request."""
        store = self.gate.store
        if key is None or store is None or not store.used(key):
            return
        task = asyncio.get_running_loop().run_in_executor(None, store.touch, key)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _request_id(headers: list[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == b"x-request-id" and _ID.fullmatch(value):
            return value.decode()
    return f"{_START}-{next(_numbers):06x}"


def _route(scope: MutableMapping[str, Any], request: Request) -> str:
    """The route's own text for the counters, so that a client cannot make new ones."""
    if request.path == PATH:
        return PATH
    route = scope.get("route")
    path = getattr(route, "path", None)
    return path if isinstance(path, str) and path else "other"


def _large(scope: MutableMapping[str, Any]) -> bool:
    """Does the client announce a body that is not worth reading only to keep the connection?"""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return not value.isdigit() or int(value) > 1_000_000
        if name == b"transfer-encoding":
            return True
    return False


def _wants_html(scope: MutableMapping[str, Any]) -> bool:
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])
