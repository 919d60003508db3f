"""The command `collect`: the verb, or with --page the page that collects by phone. One signature made of both.

Python and REST have the verb alone; a page is opened by whoever sits at the machine.
"""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

from sightline.errors import UsageError
from sightline.verbs import collect as verb
from sightline.web.collect import collect_page

_PAGE = "page: Open a page where people photograph what is wanted with their phones, instead of taking a SOURCE."


def collect(source: str | None = None, /, *, page: bool = False, **options: Any) -> verb.Collected:
    """See `_described`: the words of the two functions together."""
    given = {name: value for name, value in options.items() if value != _DEFAULTS.get(name, inspect.Parameter.empty)}
    allowed = inspect.signature(collect_page if page else verb.collect).parameters
    for name in given:
        if name not in allowed:
            option = f"--{name.replace('_', '-')}"
            wrong = f"{option} has no meaning with --page" if page else f"{option} has a meaning only with --page"
            raise UsageError(wrong, hint="see `sightline collect --help`")
    if page:
        if source is not None:
            raise UsageError(f"--page takes no SOURCE, got {source!r}", hint="give --page or a SOURCE")
        return collect_page(**given)
    if source is None:
        raise UsageError("collect requires a SOURCE", hint="a folder, an address, ...; or --page to collect by phone")
    return verb.collect(source, **given)


def _joined() -> list[inspect.Parameter]:
    """The verb's parameters, its source no longer required, then `page` and the page's own."""
    hints = {**get_type_hints(collect_page), **get_type_hints(verb.collect)}
    source, *others = inspect.signature(verb.collect).parameters.values()
    known = {one.name for one in others}
    more = [one for one in inspect.signature(collect_page).parameters.values() if one.name not in known]
    switch = inspect.Parameter("page", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=bool)
    first = source.replace(default=None, annotation=str | None)
    return [first, *(one.replace(annotation=hints[one.name]) for one in others), switch] + [
        one.replace(annotation=hints[one.name]) for one in more
    ]


def _described(names: list[str]) -> str:
    """The verb's docstring with the lines about `page` and the page's own parameters behind its own."""
    own, theirs = inspect.getdoc(verb.collect) or "", (inspect.getdoc(collect_page) or "").splitlines()
    lines = [line.strip() for line in theirs if line.strip().partition(":")[0] in names]
    return "\n".join([own, f"    {_PAGE}", *(f"    {line}" for line in lines)])


_PARAMETERS = _joined()
_DEFAULTS = {one.name: one.default for one in _PARAMETERS}
_OWN = [one.name for one in _PARAMETERS if one.name not in inspect.signature(verb.collect).parameters and one.name != "page"]
collect.__doc__ = _described(_OWN)
collect.__signature__ = inspect.Signature(_PARAMETERS, return_annotation=verb.Collected)  # type: ignore[attr-defined]
collect.__annotations__ = {**{one.name: one.annotation for one in _PARAMETERS}, "return": verb.Collected}
