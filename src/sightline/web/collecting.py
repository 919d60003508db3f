"""Collecting pictures from people over REST, and the two pages above it: /collect for givers, /collect/owner for the owner.

Every picture is decoded by the guard. Whoever came in with a key for collecting only may give, and take back what is theirs;
any other key, and this machine's own user, is the owner. Knows HTTP; what a picture becomes is in `verbs/contributions.py`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import RedirectResponse

from sightline.errors import ForbiddenError, NotFoundError, UsageError
from sightline.runtime.limits import standard_limits
from sightline.types import Record
from sightline.verbs.collect import Collected
from sightline.verbs.contributions import Contributions, Given, Receipt, Standing, checked_gift
from sightline.verbs.glances import as_jpeg, received
from sightline.web.api import (
    ONE_PICTURE,
    PICTURE_FAULTS,
    STATIC,
    assembled,
    counts_router,
    documents_router,
    faults_of,
    health_router,
    page_file,
    session_router,
)
from sightline.web.gate import KEY, Gate
from sightline.web.predict import content_type, read_query, uploads
from sightline.web.service import Service

T = TypeVar("T")

MOST_THUMBNAILS = 4000  # in memory, about 8 kB each

_SAYS = {
    "label": "which class it shows, one of those wanted",
    "terms": "the version of the text that was agreed to, from GET /v1/collect",
    "ticket": "a secret of the sender, up to 64 letters and digits; with it the picture can be taken back",
    "author": "the sender's name, if they want it kept",
    "taken_at": "when it was taken (ISO 8601), if they want it kept",
}
_CONFLICT = (409, "conflict", "the text to agree to is another one now", "read it again")
_FOREIGN = (403, "forbidden", "only the owner may do this", "open the page with a key that opens everything")


class Collections(Record):
    """What is collected here, and whether whoever asks is the owner."""

    collections: tuple[Standing, ...]
    owner: bool


class Pictures(Record):
    """Some pictures of the collection, the newest first; `count` is how many there are in all."""

    count: int
    pictures: tuple[Given, ...]


class Removed(Record):
    removed: int


def create_collecting(service: Service, gate: Gate, collection: Contributions) -> FastAPI:
    """The application behind the front of a server that collects."""
    parts = [
        collect_router(service, collection),
        health_router(service),
        session_router(gate),
        counts_router(service),
        documents_router(),
        pages_router(),
    ]
    return assembled(service, parts)


def pages_router() -> APIRouter:
    """The pages as plain files: they hold nothing of the collection, and need no framework that would reload them."""
    router = APIRouter(include_in_schema=False)
    router.add_api_route("/collect", page_file(STATIC / "collect.html"), methods=["GET"])
    router.add_api_route("/collect/owner", page_file(STATIC / "collect-owner.html"), methods=["GET"])

    @router.get("/")
    def first() -> RedirectResponse:
        return RedirectResponse("/collect", 307)

    return router


def collect_router(service: Service, collection: Contributions) -> APIRouter:
    """Giving, looking, taking back, and making a version."""
    router = APIRouter(prefix="/v1/collect", tags=["collect"])
    desk = _Desk(service, collection)

    @router.get("", summary="What is collected here, how far it is, and what to agree to")
    async def list_collections(request: Request) -> Collections:
        return Collections(collections=(await desk.blocking(collection.standing),), owner=is_owner(request))

    @router.get("/{dataset}", summary="How many pictures of each class there are and how many are wanted")
    async def show_collection(dataset: str) -> Standing:
        desk.known(dataset)
        return await desk.blocking(collection.standing)

    @router.post(
        "/{dataset}/pictures",
        summary="Give one picture; it is on the disk when the answer comes",
        status_code=201,
        response_model=Receipt,
        responses={200: {"model": Receipt, "description": "it was there already"}, **faults_of(*PICTURE_FAULTS, _CONFLICT)},
        openapi_extra={"requestBody": ONE_PICTURE, "parameters": [_parameter(name) for name in _SAYS]},
    )
    async def give_picture(dataset: str, request: Request) -> Response:
        desk.known(dataset)
        receipt, fresh = await desk.given(request)
        return Response(receipt.model_dump_json(), 201 if fresh else 200, media_type="application/json")

    @router.get("/{dataset}/pictures", summary="The pictures given so far, for the owner", responses=faults_of(_FOREIGN))
    async def list_pictures(
        dataset: str,
        request: Request,
        label: str | None = None,
        start: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Pictures:
        desk.known(dataset)
        owners_only(request)
        count, found = await desk.blocking(collection.pictures, label, start, limit)
        return Pictures(count=count, pictures=tuple(found))

    @router.get(
        "/{dataset}/pictures/{picture}",
        summary="A small JPEG of one picture, for the owner",
        response_class=Response,
        responses={200: {"content": {"image/jpeg": {}}}, **faults_of(_FOREIGN)},
    )
    async def show_picture(dataset: str, picture: str, request: Request) -> Response:
        desk.known(dataset)
        owners_only(request)
        return Response(await desk.thumbnail(picture), media_type="image/jpeg")

    @router.delete("/{dataset}/pictures/{picture}", summary="Take a picture back, with its ticket, or out, as the owner")
    async def remove_picture(dataset: str, picture: str, request: Request, ticket: str | None = None) -> Removed:
        desk.known(dataset)
        if ticket is not None:
            await desk.blocking(collection.withdraw, picture, ticket[:100])
            return Removed(removed=1)
        owners_only(request)
        return Removed(removed=await desk.blocking(collection.remove, [picture]))

    @router.post("/{dataset}/version", summary="Make a version of all that came, as the owner", responses=faults_of(_FOREIGN))
    async def make_version(dataset: str, request: Request) -> Collected:
        desk.known(dataset)
        owners_only(request)
        return await desk.blocking(collection.version)

    return router


def is_owner(request: Request) -> bool:
    """Whether the request came from this machine's own user, or with a key that opens everything."""
    key = request.scope.get(KEY)
    return key is None or not key.only


def owners_only(request: Request) -> None:
    if not is_owner(request):
        raise ForbiddenError("only the owner may do this", hint="open the page with a key that opens everything")


class _Desk:
    """Between the event loop and the collection: the guard for pixels, threads for what waits for the disk."""

    def __init__(self, service: Service, collection: Contributions) -> None:
        self.service, self.collection = service, collection
        self._thumbnails: OrderedDict[str, bytes] = OrderedDict()

    def known(self, dataset: str) -> None:
        if dataset != self.collection.name:
            raise NotFoundError(
                f"nothing is collected into {dataset[:80]!r} here", hint=f"this page collects into {self.collection.name!r}"
            )

    async def blocking(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.to_thread(work, *arguments)

    async def given(self, request: Request) -> tuple[Receipt, bool]:
        """The receipt for one picture, and whether it is a new one."""
        scope, service, collection = request.scope, self.service, self.collection
        values = read_query(scope["query_string"], tuple(_SAYS))
        if "label" not in values:
            raise UsageError("no label was given", hint=f"say what it shows: label={next(iter(collection.wanted))}")
        terms = values.get("terms", "")
        gift = checked_gift(*(values.get(name, "") for name in ("label", "ticket", "author", "taken_at")))
        collection.check(gift.label, terms)
        service.admission.check()
        body = await service.intake.read(request.receive, scope["headers"])
        found = uploads(content_type(scope["headers"]), body, "")
        if len(found) != 1:
            raise UsageError(f"one picture at a time, got {len(found)}", hint="send each in a request of its own")
        with service.admission.enter():
            limits = standard_limits()
            came = await service.guarded(lambda guard: received(found[0].data, guard.decode, limits))
            receipt, fresh = await service.in_thread(collection.take, came, gift, terms)
            if fresh:
                self._keep(receipt.picture, as_jpeg(came.pixels, 80))
        return receipt, fresh

    async def thumbnail(self, picture: str) -> bytes:
        """A small JPEG; those of the latest pictures are at hand, others are made by the guard."""
        place = await self.blocking(self.collection.where, picture)
        if picture not in self._thumbnails:
            from sightline.runtime.pixels import read_picture

            limits = standard_limits()
            data = await self.blocking(lambda: read_picture(Path(place), limits))
            came = await self.service.guarded(lambda guard: received(data, guard.decode, limits))
            self._keep(picture, as_jpeg(came.pixels, 80))
        return self._thumbnails[picture]

    def _keep(self, picture: str, thumbnail: bytes) -> None:
        self._thumbnails[picture] = thumbnail
        while len(self._thumbnails) > MOST_THUMBNAILS:
            self._thumbnails.popitem(last=False)


def _parameter(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": name in ("label", "terms"),
        "schema": {"type": "string"},
        "description": _SAYS[name],
    }
