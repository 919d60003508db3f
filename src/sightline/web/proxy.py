"""The page in a process of its own: REST paths are passed on to a server elsewhere, so the page works the same, without CORS.

Only the paths of the REST surface are passed on, only to the one address given at the start; redirects are not followed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from sightline import __version__
from sightline.errors import UnavailableError
from sightline.web import wire
from sightline.web.api import documents_router, mount_static, without_422
from sightline.web.front import Front
from sightline.web.gate import Gate
from sightline.web.intake import Intake
from sightline.web.pages import add_pages
from sightline.web.sweep import TYPED

if TYPE_CHECKING:
    import httpx

LOOK_S = 0.5  # between two looks whether this server stops
_PASSED_ON = frozenset(
    {"content-type", "authorization", "x-api-key", "cookie", "accept", "x-request-id", "prefer", "idempotency-key"}
    | {"last-event-id"}
)
_PASSED_BACK = frozenset({"content-type", "retry-after", "set-cookie", "www-authenticate", "location", "preference-applied"})


def create_pages_front(address: str, gate: Gate, *, max_body: int) -> Front:
    """The ASGI application of the page alone, for the REST server at `address`."""
    import httpx

    client = httpx.AsyncClient(base_url=address, timeout=httpx.Timeout(60, connect=5), follow_redirects=False, trust_env=False)
    intake = Intake(max_body)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await client.aclose()

    app = FastAPI(title="Sightline", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    router = APIRouter()

    @router.get("/health/live")
    @router.get("/health/ready")
    async def alive() -> wire.Health:
        return wire.Health(status="ok")

    @router.api_route("/openapi.json", methods=["GET"])
    @router.api_route("/v1/{path:path}", methods=["GET", "POST", "DELETE"])
    async def pass_on(request: Request) -> Response:
        body = await intake.read(request.receive, request.scope["headers"])
        headers = {name: value for name, value in request.headers.items() if name in _PASSED_ON}
        raw_path = request.scope["raw_path"] + (b"?" + request.scope["query_string"] if request.scope["query_string"] else b"")
        try:
            url = client.base_url.copy_with(raw_path=raw_path)
            answer = await client.send(client.build_request(request.method, url, content=body, headers=headers), stream=True)
            events = answer.headers.get("content-type", "").startswith("text/event-stream")
            if not events:
                await answer.aread()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise UnavailableError(
                "the server behind this page does not answer", hint=f"is it running at {address}?"
            ) from error
        request.scope[TYPED] = True
        response = (
            StreamingResponse(_streamed(answer, lambda: front.stopping), answer.status_code)
            if events
            else Response(answer.content, answer.status_code)
        )
        for name, value in answer.headers.multi_items():
            if name in _PASSED_BACK:
                response.headers.append(name, value)
        return response

    app.include_router(router)
    app.include_router(documents_router())
    mount_static(app)
    without_422(app)
    add_pages(app)
    front = Front(app, None, gate, max_body=max_body)
    return front


async def _streamed(answer: httpx.Response, stopping: Callable[[], bool]) -> AsyncIterator[bytes]:
    """The events of a job as they come, until either side goes or this one stops; the client connects again."""
    import httpx

    parts = answer.aiter_raw()
    coming = asyncio.ensure_future(anext(parts))
    try:
        while not stopping():
            if not (await asyncio.wait({coming}, timeout=LOOK_S))[0]:
                continue
            try:
                part = coming.result()
            except (StopAsyncIteration, httpx.HTTPError):
                return
            yield part
            coming = asyncio.ensure_future(anext(parts))
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        await answer.aclose()
