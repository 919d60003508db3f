"""The command `predict`: the verb, or with --camera the live view. One signature made of both.

Python and REST have the verb alone.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, get_type_hints

from sightline.errors import UsageError
from sightline.verbs import predict as verb
from sightline.verbs.watching import Watch, watch

_CAMERA = "camera: Look through a camera instead (its number, a video file or an address) and answer live, until Ctrl-C."
_LIVE = ("model", "top", "threshold", "tiles", "track")  # the verb's options that a live view has too


def predict(pictures: list[Path] | None = None, /, *, camera: str | None = None, **options: Any) -> verb.Predictions | Watch:
    """See below: the words of the verb, and those about `camera`."""
    if camera is None:
        if not pictures:
            raise UsageError("predict requires pictures", hint="name files or folders; or --camera 0 to look live")
        return verb.predict(pictures, **options)
    if pictures:
        raise UsageError(f"--camera takes no pictures, got {pictures[0]}", hint="give --camera or pictures")
    given = {name: value for name, value in options.items() if value != _DEFAULTS[name]}
    for name in given:
        if name not in _LIVE:
            raise UsageError(f"--{name.replace('_', '-')} has no meaning with --camera", hint="see `sightline predict --help`")
    return watch(camera, **given)


def _joined() -> list[inspect.Parameter]:
    """The verb's parameters, its pictures no longer required, and `camera`."""
    hints = get_type_hints(verb.predict)
    pictures, *others = inspect.signature(verb.predict).parameters.values()
    camera = inspect.Parameter("camera", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=str | None)
    first = pictures.replace(default=None, annotation=list[Path] | None)
    return [first, *(one.replace(annotation=hints[one.name]) for one in others), camera]


_PARAMETERS = _joined()
_DEFAULTS = {one.name: one.default for one in _PARAMETERS}
predict.__doc__ = f"{inspect.getdoc(verb.predict)}\n    {_CAMERA}"
predict.__signature__ = inspect.Signature(_PARAMETERS, return_annotation=verb.Predictions)  # type: ignore[attr-defined]
predict.__annotations__ = {**{one.name: one.annotation for one in _PARAMETERS}, "return": verb.Predictions}
