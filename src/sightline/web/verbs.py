"""POST /v1/verbs/{verb}: a verb over REST, made from the verb's own signature; only with --root, only inside it.

Every text argument that is not a fixed choice is taken as a path below the root, symbolic links resolved. One verb runs at a
time, in a thread of its own, so that long work does not hold up the pictures.
"""

from __future__ import annotations

import asyncio
import difflib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from sightline.errors import ForbiddenError, OverloadError, UsageError
from sightline.verbs import VERBS, verb
from sightline.web.service import Service


def verb_router(service: Service, root: Path) -> APIRouter:
    """A route for each verb that the table offers to REST. `root` must be an existing folder."""
    router = APIRouter(prefix="/v1/verbs", tags=["verbs"])
    base = root.resolve(strict=True)
    turn = asyncio.Semaphore(1)
    for name, entry in VERBS.items():
        if entry.rest:
            function = verb(name)
            shape = arguments_model(name, function)
            path, route = f"/{name}", _route(service, function, shape, base, turn)
            router.add_api_route(path, route, methods=["POST"], summary=entry.help, openapi_extra=_body(shape), name=name)
    return router


def arguments_model(name: str, function: Callable[..., Any]) -> type[BaseModel]:
    """A verb's arguments as a record, from its signature."""
    hints = get_type_hints(function)
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    config = ConfigDict(extra="forbid", protected_namespaces=())
    return create_model(f"{name.title()}Arguments", __config__=config, **fields)


def read_arguments(shape: type[BaseModel], values: dict[str, Any]) -> dict[str, Any]:
    """Checked arguments; raises UsageError, naming the nearest for an unknown one."""
    for key in values:
        if key not in shape.model_fields:
            near = difflib.get_close_matches(key, shape.model_fields, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(shape.model_fields)}"
            raise UsageError(f"unknown argument {key[:60]!r}", hint=hint)
    try:
        record = shape.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{place}: {first['msg']}", hint="GET /docs shows the arguments") from None
    return {key: getattr(record, key) for key in shape.model_fields}


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


def _route(
    service: Service, function: Callable[..., Any], shape: type[BaseModel], base: Path, turn: asyncio.Semaphore
) -> Callable[..., Any]:
    positional = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY
    ]
    hints = get_type_hints(function)
    served = {name: one for one in service.models for name in (one.card.name, one.card.id)}

    async def run(values: dict[str, Any] = Body()) -> dict[str, Any]:  # noqa: B008 - FastAPI's idiom
        service.admission.check()
        arguments = read_arguments(shape, values)
        for name, value in arguments.items():
            if name == "model" and isinstance(value, str) and value in served:
                arguments[name] = served[value].path
            elif "Literal" not in str(hints[name]):
                arguments[name] = inside(value, base)
        if "model" in arguments and arguments["model"] is None:
            arguments["model"] = service.models[0].path
        if turn.locked():
            raise OverloadError(
                "another verb is running", hint="send it again when that one is done", detail={"retry_after_s": 5}
            )
        async with turn:
            first = [arguments.pop(name) for name in positional]
            result = await asyncio.to_thread(function, *first, **arguments)
        return result.model_dump(mode="json", exclude_none=True)  # type: ignore[no-any-return]

    return run


def _body(shape: type[BaseModel]) -> dict[str, Any]:
    schema = shape.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
