"""Commands made from verbs: the verb's own signature plus --json. `commands.train` is built when it is first asked for."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, cast, get_type_hints

from sightline.cli.run import IN_PART
from sightline.verbs import VERBS, show
from sightline.verbs import command as function_of

if TYPE_CHECKING:
    from sightline.verbs.watching import Watch

_JSON_HELP = "Print one JSON document on stdout instead of a table."


def __getattr__(name: str) -> Callable[..., int]:
    if name not in VERBS:
        raise AttributeError(name)
    command = _command(name)
    globals()[name] = command
    return command


def _command(name: str) -> Callable[..., int]:
    """The verb as a command: same parameters, defaults and help; prints the result and returns the exit code."""
    from cyclopts import Group, Parameter

    function = function_of(name)

    @functools.wraps(function)
    def command(*arguments: Any, json: bool = False, **options: Any) -> int:
        from sightline.cli.listener import listening

        with listening():
            result = function(*arguments, **options)
        if isinstance(result, Iterator):  # something that goes on until it is stopped
            from sightline.cli.live import show_live

            return show_live(cast("Watch", result), as_json=json)
        _print(name, result, json)
        return IN_PART if getattr(result, "failures", ()) else 0

    signature = inspect.signature(function)
    hints = get_type_hints(function, include_extras=True)
    json_type = Annotated[bool, Parameter(help=_JSON_HELP, negative="")]
    headings = [(Group(title, sort_key=place), names) for place, (title, names) in enumerate(VERBS[name].groups)]
    groups = {option: group for group, names in headings for option in names}

    def annotation(option: str) -> Any:
        hint = hints.get(option, Any)
        return Annotated[hint, Parameter(group=groups[option])] if option in groups else hint

    parameters = [parameter.replace(annotation=annotation(parameter.name)) for parameter in signature.parameters.values()]
    parameters.append(inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=json_type))
    command.__signature__ = signature.replace(parameters=parameters, return_annotation=int)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del command.__wrapped__  # or inspect looks through to the verb, without --json
    return command


def _print(name: str, result: Any, as_json: bool) -> None:
    if result is None:
        return
    if as_json:
        sys.stdout.write(result.model_dump_json(exclude_none=True, indent=1) + "\n")
        return
    tell(show(name)(result))


def tell(renderable: Any) -> None:
    """Print a table or text for people on stdout; wide, so that no path is broken, when it goes to a file or a pipe."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 200, highlight=False).print(renderable)
