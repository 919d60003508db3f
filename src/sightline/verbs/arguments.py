"""A verb's arguments as a checked record, made from its own signature: for doors that get them as JSON. Knows no door."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from sightline.errors import UsageError


def arguments_model(name: str, function: Callable[..., Any]) -> type[BaseModel]:
    """A verb's arguments as a record, from its signature."""
    hints = get_type_hints(function)
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        taken = hasattr(BaseModel, parameter.name)  # such as `copy`
        key = f"{parameter.name}_" if taken else parameter.name
        fields[key] = (hints[parameter.name], Field(default, alias=parameter.name) if taken else default)
    config = ConfigDict(extra="forbid", protected_namespaces=())
    return create_model(f"{name.title()}Arguments", __config__=config, **fields)


def parameters(shape: type[BaseModel]) -> dict[str, str]:
    """The verb's parameters -> the fields of the record that hold them."""
    return {field.alias or key: key for key, field in shape.model_fields.items()}


def read_arguments(shape: type[BaseModel], values: dict[str, Any]) -> dict[str, Any]:
    """Checked arguments; raises UsageError, naming the nearest for an unknown one."""
    known = parameters(shape)
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            raise UsageError(f"unknown argument {key[:60]!r}", hint=hint)
    try:
        record = shape.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{place}: {first['msg']}", hint="GET /docs shows the arguments") from None
    return {name: getattr(record, key) for name, key in known.items()}


def as_json(shape: type[BaseModel], arguments: dict[str, Any]) -> dict[str, Any]:
    """Checked arguments as JSON values that `read_arguments` takes again."""
    return shape.model_construct(**arguments).model_dump(mode="json", by_alias=True)


def call(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """Run a verb with all of its arguments by name; some of its parameters take no name."""
    named = dict(arguments)
    parameters = inspect.signature(function).parameters.values()
    first = [named.pop(one.name) for one in parameters if one.kind is inspect.Parameter.POSITIONAL_ONLY]
    return function(*first, **named)
