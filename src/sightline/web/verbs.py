"""POST /v1/verbs/{verb}: a verb over REST, made from the verb's own signature; only with --root, only inside it.

Every text argument is taken as a path below the root, symbolic links resolved, unless it is a fixed choice or the table of
verbs says otherwise. A long verb becomes a job. The others are answered at once, one at a time, in a thread of their own, so
that they do not hold up the pictures.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

from fastapi import APIRouter, Body, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from sightline.errors import ForbiddenError, OverloadError
from sightline.types import Job
from sightline.verbs import VERBS, Verb, verb
from sightline.verbs.arguments import arguments_model, as_json, call, read_arguments
from sightline.web.jobs import Desk, idempotency_key, wants_job
from sightline.web.service import Service

_NAME = re.compile(r"\w(?:[\w -]{0,198}\w)?")  # of a dataset, without anything that a path could have


def verb_router(service: Service, root: Path, desk: Desk) -> APIRouter:
    """A route for each verb that the table offers to REST. `root` must be an existing folder."""
    router = APIRouter(prefix="/v1/verbs", tags=["verbs"])
    base = root.resolve(strict=True)
    for name, entry in VERBS.items():
        if entry.rest:
            function = verb(name)
            shape = arguments_model(name, function)
            router.add_api_route(
                f"/{name}",
                _route(service, desk, name, shape, base),
                methods=["POST"],
                summary=entry.help,
                name=name,
                status_code=202 if entry.long else 200,
                response_model=None,
                responses=_answers(entry),
                openapi_extra=_request(shape, entry),
            )
    return router


def inside(value: Any, base: Path) -> Any:
    """`value` with every text or path in it resolved below `base`; raises ForbiddenError for one that leads out."""
    if isinstance(value, (str, Path)):
        text = str(value)
        if "\0" in text:
            raise ForbiddenError("a path holds a NUL character")
        resolved = (base / text).resolve()
        if not resolved.is_relative_to(base):
            raise ForbiddenError("a path leads outside the folder that this server may use", hint="give a path below --root")
        return Path(resolved) if isinstance(value, Path) else str(resolved)
    if isinstance(value, (list, tuple)):
        return type(value)(inside(one, base) for one in value)
    return value


def _route(service: Service, desk: Desk, name: str, shape: type[BaseModel], base: Path) -> Callable[..., Any]:
    entry, function = VERBS[name], verb(name)
    hints = get_type_hints(function)
    free = {key for key, hint in hints.items() if key in entry.words or "Literal" in str(hint)}
    served = {known: one for one in service.models for known in (one.card.name, one.card.id)}

    def checked(values: dict[str, Any], *, job: bool) -> dict[str, Any]:
        arguments = read_arguments(shape, values)
        for key, value in arguments.items():
            if key in entry.withheld and key in values:
                raise ForbiddenError(f"{key} is not for requests", hint="use the command line on the server")
            if key == "model" and isinstance(value, str) and value in served:
                arguments[key] = served[value].path
            elif not (key in free or _named(entry, key, value, base, job) or _addressed(entry, key, value)):
                arguments[key] = inside(value, base)
        if "model" in arguments and arguments["model"] is None:
            arguments["model"] = service.models[0].path
        return arguments

    async def run(request: Request, values: dict[str, Any] = Body()) -> Response:  # noqa: B008 - FastAPI's idiom
        service.admission.check()
        job = entry.long or wants_job(request)
        arguments = checked(values, job=job)
        if job:
            answer = await desk.take(name, as_json(shape, arguments), idempotency_key(request))
            if not entry.long:
                answer.headers["Preference-Applied"] = "respond-async"
            return answer
        if desk.turn.locked():
            raise OverloadError(
                "another verb is running",
                hint="send it again when that one is done, or with `Prefer: respond-async` to have it queued",
                detail={"retry_after_s": 5},
            )
        async with desk.turn:
            result = await asyncio.to_thread(call, function, arguments)
        return JSONResponse(result.model_dump(mode="json", exclude_none=True))

    return run


def _named(entry: Verb, key: str, value: Any, base: Path, job: bool) -> bool:
    """Is it a name of the workspace? A job runs in an empty folder, so there no file can be meant by one."""
    text = str(value)
    return job and key in entry.names and bool(_NAME.fullmatch(text)) and not (base / text).exists()


def _addressed(entry: Verb, key: str, value: Any) -> bool:
    return key in entry.places and isinstance(value, str) and value.lower().startswith(("http://", "https://"))


_JOB: dict[str, Any] = {
    "model": Job,
    "description": "taken in as a job; Location says where to look",
    "headers": {"Location": {"schema": {"type": "string"}, "description": "/v1/jobs/ID"}},
}


def _answers(entry: Verb) -> dict[int | str, dict[str, Any]]:
    if entry.long:
        return {202: _JOB}
    return {200: {"description": "the verb's result"}, 202: _JOB}


def _request(shape: type[BaseModel], entry: Verb) -> dict[str, Any]:
    """OpenAPI's words for the body and the headers."""
    schema = shape.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    for key in entry.withheld:
        schema.get("properties", {}).pop(key, None)
    text = {"type": "string"}
    headers = [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "schema": text,
            "description": "sent again with the same key, it is the same job",
        }
    ]
    if not entry.long:
        headers.append(
            {"name": "Prefer", "in": "header", "schema": text, "description": "respond-async: make it a job, do not wait"}
        )
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}, "parameters": headers}
