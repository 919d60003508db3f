"""The REST surface as FastAPI sees it: an ordered list of small routers, OpenAPI with examples, a docs page without a CDN.

Errors are raised and shaped in `front.py`; the picture route is documented here and run there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

from sightline import __version__
from sightline.errors import AccessError, UnavailableError, UsageError
from sightline.web import metrics, wire
from sightline.web.gate import COOKIE, Gate
from sightline.web.predict import content_type, predict, read_query, uploads
from sightline.web.service import Service

if TYPE_CHECKING:
    from sightline.web.jobs import Desk

STATIC = Path(__file__).parent / "static"
SHARED = Path(__file__).parent.parent / "targets" / "page"
_DESCRIPTION = "Send a picture, get a score for every class. Every error has one shape: see the Fault schema."

_PICTURE = {"schema": {"type": "string", "format": "binary"}}
ONE_PICTURE: dict[str, Any] = {
    "required": True,
    "content": {
        "application/octet-stream": _PICTURE,
        "image/jpeg": _PICTURE,
        "image/png": _PICTURE,
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                "required": ["file"],
            }
        },
    },
}
_NAMES = [
    {
        "name": "model",
        "in": "query",
        "schema": {"type": "string"},
        "description": "a model's name or id; the default one if left out",
    },
    {"name": "name", "in": "query", "schema": {"type": "string"}, "description": "the file name of a raw picture, for showing"},
]
_TOP = {
    "name": "top",
    "in": "query",
    "schema": {"type": "integer", "minimum": 1},
    "description": "how many labels; all if left out",
}
_THRESHOLD = {
    "name": "threshold",
    "in": "query",
    "schema": {"type": "number", "minimum": 0, "maximum": 1},
    "description": "of a detector: the score from which an object is given; each class has its own if left out",
}
_LABEL = {
    "name": "label",
    "in": "query",
    "schema": {"type": "string"},
    "description": "the label to explain; the best one if left out",
}


def faults_of(*entries: tuple[int, str, str, str]) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's answers for errors: (status, code, message, hint)."""
    return {
        status: {
            "model": wire.Fault,
            "description": message,
            "content": {
                "application/json": {
                    "example": {
                        "error": {"code": code, "message": message, "hint": hint, "detail": {}, "id": "5f0a9c1e-000001"}
                    }
                }
            },
        }
        for status, code, message, hint in entries
    }


_ALWAYS = (
    (401, "access_denied", "this server asks for a key", "send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`"),
    (403, "forbidden", "requests from other web sites are refused", "open the server's own page, or use an API key"),
    (404, "not_found", "there is nothing there", "GET /docs lists what is there"),
    (405, "method_not_allowed", "the address does not take this method", "GET /docs lists the methods"),
    (500, "internal", "something went wrong on our side", "the log names the cause under this id"),
    (503, "unavailable", "the server is stopping", "send the request again in a moment"),
)
PICTURE_FAULTS = (
    (400, "usage", "unknown query key 'topp'", "did you mean top?"),
    (408, "request_timeout", "the body came too slowly", "send at least 32 kB a second"),
    (413, "body_too_large", "the body is larger than 25 MB", "send a smaller picture"),
    (
        415,
        "picture_format",
        "this is no picture of a format we read",
        "JPEG, PNG, WebP, HEIC, AVIF, TIFF, GIF and BMP are read",
    ),
    (422, "picture_unreadable", "the picture ends early", "send the whole file"),
    (429, "overloaded", "all 18 places are taken", "wait for the seconds in Retry-After and send it again"),
)


def create_api(service: Service, gate: Gate, root: Path | None = None, desk: Desk | None = None) -> FastAPI:
    """The application behind the front, for serving models; verbs and jobs only with a root."""
    return assembled(service, routers(service, gate, root, desk), desk)


def mount_static(app: FastAPI) -> None:
    """The scripts and styles of the pages, with those that an exported page brings along, too."""
    app.mount("/static/page", StaticFiles(directory=SHARED))  # before /static, which would answer for it
    app.mount("/static", StaticFiles(directory=STATIC))


def assembled(service: Service, parts: Iterable[APIRouter], desk: Desk | None = None) -> FastAPI:
    """An application: routers in order, static files, the start and end of the service and its jobs."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        import asyncio

        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, service.start)
        if desk is not None:
            desk.open()
        yield
        service.close()
        if desk is not None:
            await loop.run_in_executor(None, desk.close)

    app = FastAPI(
        title="Sightline",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        responses=faults_of(*_ALWAYS),
    )
    app.add_exception_handler(RequestValidationError, _invalid)
    for router in parts:
        app.include_router(router)
    mount_static(app)
    without_422(app)
    return app


def routers(service: Service, gate: Gate, root: Path | None, desk: Desk | None) -> list[APIRouter]:
    """The list of routers, in order; verbs and jobs only with a root."""
    found = [
        _pictures(service),
        _models(service),
        health_router(service),
        session_router(gate),
        counts_router(service),
        documents_router(),
    ]
    if root is not None and desk is not None:  # imported here: without a root no database is needed
        from sightline.web.jobs import job_router
        from sightline.web.verbs import verb_router

        found += [verb_router(service, root, desk), job_router(desk)]
    return found


def _pictures(service: Service) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["pictures"])

    @router.post(
        "/predict",
        summary="Say what is in one picture, or in several",
        response_model=wire.Answers,
        responses=faults_of(*PICTURE_FAULTS),
        openapi_extra={"requestBody": ONE_PICTURE, "parameters": [_TOP, _THRESHOLD, *_NAMES]},
    )
    async def predict_pictures(request: Request) -> Response:
        scope = request.scope
        content = await predict(service, scope["query_string"], scope["headers"], request.receive)
        return Response(content, media_type="application/json")

    @router.post(
        "/explain",
        summary="Say where the model looked",
        responses=faults_of(*PICTURE_FAULTS),
        openapi_extra={"requestBody": ONE_PICTURE, "parameters": [_LABEL, *_NAMES]},
    )
    async def explain_picture(request: Request) -> wire.Explanation:
        scope = request.scope
        values = read_query(scope["query_string"], ("label", "model", "name"))
        served = service.model(values.get("model"))
        service.admission.check()
        body = await service.intake.read(request.receive, scope["headers"])
        found = uploads(content_type(scope["headers"]), body, values.get("name", ""))
        if len(found) != 1:
            raise UsageError(f"one picture can be explained at a time, got {len(found)}")
        with service.admission.enter():
            return await service.explain(found[0], served, values.get("label"))

    @router.post(
        "/preview",
        summary="A small JPEG of a picture whose format a browser may not know",
        response_class=Response,
        responses={200: {"content": {"image/jpeg": _PICTURE}}, **faults_of(*PICTURE_FAULTS)},
        openapi_extra={"requestBody": ONE_PICTURE},
    )
    async def preview_picture(request: Request) -> Response:
        scope = request.scope
        read_query(scope["query_string"], ())
        service.admission.check()
        body = await service.intake.read(request.receive, scope["headers"])
        found = uploads(content_type(scope["headers"]), body, "")
        if len(found) != 1:
            raise UsageError(f"one picture at a time, got {len(found)}")
        with service.admission.enter():
            return Response(await service.preview(found[0].data), media_type="image/jpeg")

    return router


def _models(service: Service) -> APIRouter:
    router = APIRouter(prefix="/v1/models", tags=["models"])

    @router.get("", summary="The models that answer here")
    async def list_models() -> wire.Models:
        default = service.models[0]
        return wire.Models(models=[wire.trimmed(one.card, default=one is default) for one in service.models])

    @router.get("/{name}", summary="One model's passport, by name or id")
    async def show_model(name: str) -> wire.ModelCard:
        served = service.model(name)
        return wire.trimmed(served.card, default=served is service.models[0])

    return router


def health_router(service: Service) -> APIRouter:
    router = APIRouter(prefix="/health", tags=["health"])

    @router.get("/live", summary="Is the process alive?")
    async def live() -> wire.Health:
        return wire.Health(status="ok")

    @router.get("/ready", summary="Will a picture be answered now?")
    async def ready() -> wire.Health:
        if service.admission.stopping:
            raise UnavailableError("the server is stopping", hint="send requests to another server")
        if not service.ready:
            raise UnavailableError("the server is not ready yet", hint="ask again in a second")
        return wire.Health(status="ok", models=[one.card.name for one in service.models])

    return router


def session_router(gate: Gate) -> APIRouter:
    """Logging a browser in: the key goes into a cookie that scripts and other sites cannot use."""
    router = APIRouter(prefix="/v1/session", tags=["session"])

    @router.post("", summary="Log a browser in with a key", status_code=200)
    async def log_in(login: wire.Login, request: Request) -> JSONResponse:
        if gate.store is not None and gate.store.check(login.key.strip()) is None:
            raise AccessError("the key is not valid here", hint="make one on the server: `sightline keys --new NAME`")
        response = JSONResponse({"status": "ok"})
        secure = request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
        response.set_cookie(COOKIE, login.key.strip(), httponly=True, samesite="strict", secure=secure, path="/")
        return response

    @router.delete("", summary="Log a browser out")
    async def log_out() -> JSONResponse:
        response = JSONResponse({"status": "ok"})
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return response

    return router


def counts_router(service: Service) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/metrics", summary="Counts and times for Prometheus", response_class=Response)
    async def counts() -> Response:
        return Response(service.metrics.text(), media_type=metrics.CONTENT_TYPE)

    return router


def documents_router() -> APIRouter:
    """Pages that are plain files."""
    router = APIRouter(include_in_schema=False)
    pages: dict[str, str] = {"/docs": "docs.html", "/login": "login.html"}
    for path, file in pages.items():
        router.add_api_route(path, page_file(STATIC / file), methods=["GET"])
    return router


def page_file(path: Path) -> Callable[[], FileResponse]:
    def page() -> FileResponse:
        return FileResponse(path, media_type="text/html")

    return page


def _invalid(_request: Request, error: Exception) -> Never:
    """FastAPI's validation error as ours; never echoes the value, which may be a key."""
    first = error.errors()[0] if isinstance(error, RequestValidationError) and error.errors() else {"loc": (), "msg": "invalid"}
    place = ".".join(str(part) for part in first["loc"][1:]) or "the body"
    raise UsageError(f"{place}: {first['msg']}", hint="GET /docs shows what a request looks like") from None


def without_422(app: FastAPI) -> None:
    """FastAPI documents its own validation answer (422) for every route; ours is 400 in our shape."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = made()
            for methods in schema["paths"].values():
                for operation in methods.values():
                    found = operation["responses"].get("422", {}).get("content", {}).get("application/json", {})
                    if "HTTPValidationError" in str(found.get("schema")):
                        del operation["responses"]["422"]
                        operation["responses"].setdefault("400", {"description": "the request itself is wrong", **_shape()})
            for name in ("HTTPValidationError", "ValidationError"):
                schema.get("components", {}).get("schemas", {}).pop(name, None)
        return app.openapi_schema or schema

    app.openapi = openapi  # type: ignore[method-assign]


def _shape() -> dict[str, Any]:
    return {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Fault"}}}}
