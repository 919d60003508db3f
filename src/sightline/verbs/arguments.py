"""A verb's arguments as a checked record, made from its own signature: for doors that get them as JSON. Knows no door."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from sightline.errors import UsageError


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


def as_json(shape: type[BaseModel], arguments: dict[str, Any]) -> dict[str, Any]:
    """Checked arguments as JSON values that `read_arguments` takes again."""
    return shape.model_construct(**arguments).model_dump(mode="json")


def call(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """Run a verb with all of its arguments by name; some of its parameters take no name."""
    named = dict(arguments)
    parameters = inspect.signature(function).parameters.values()
    first = [named.pop(one.name) for one in parameters if one.kind is inspect.Parameter.POSITIONAL_ONLY]
    return function(*first, **named)
