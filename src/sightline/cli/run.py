"""One run of a command: parse, catch what goes wrong (one of the three places that do), give the exit code."""

from __future__ import annotations

import json
import sys
import traceback
from typing import TYPE_CHECKING, Any

from sightline.errors import SightlineError, StoppedError, UsageError

if TYPE_CHECKING:
    from cyclopts import App

IN_PART = 5


def run(app: App, arguments: list[str]) -> int:
    """Run `arguments`; errors become one line on stderr, or {"error": ...} on stdout when --json was asked for."""
    as_json = "--json" in arguments
    try:
        code = app(_parsed(app, arguments), result_action="return_value", exit_on_error=False, print_error=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except SightlineError as error:
        _tell(error, as_json)
        return error.exit_code
    except KeyboardInterrupt:
        stopped = StoppedError("stopped", hint="run the same command again to go on where it was")
        _tell(stopped, as_json)
        return stopped.exit_code
    except BrokenPipeError:  # `sightline predict ... | head`
        sys.stderr.close()
        return 0
    except Exception as error:
        _tell(_fault(error), as_json)
        return 1


def _parsed(app: App, arguments: list[str]) -> list[str]:
    """Check the arguments before anything runs; raises UsageError with the nearest name."""
    from cyclopts import CycloptsError

    try:
        app.parse_args(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise _usage(error, arguments) from error
    return arguments


def _usage(error: Any, arguments: list[str]) -> UsageError:
    text = " ".join(str(error).split())
    command = next((word for word in arguments if not word.startswith("-")), "")
    return UsageError(text or type(error).__name__, hint=f"see `sightline {command} --help`".replace("  ", " "))


def _tell(error: SightlineError, as_json: bool) -> None:
    if as_json:
        content = {"code": error.code, "message": error.message, "hint": error.hint, "detail": error.detail}
        print(json.dumps({"error": content}, ensure_ascii=False, default=str))
        return
    line = f"sightline: {error.message}"
    if error.hint:
        line += f"\n  -> {error.hint}"
    print(line, file=sys.stderr)


def _fault(error: Exception) -> SightlineError:
    """An error nobody foresaw: keep the traceback in a file, show one line."""
    from sightline.files import write_text
    from sightline.settings import settings

    text = "".join(traceback.format_exception(error))
    try:
        file = settings().home / "fault.txt"
        write_text(file, text)
        hint = f"the details are in {file}; please report them"
    except (OSError, SightlineError):
        hint = "please report this"
        print(text, file=sys.stderr)
    return SightlineError(f"a fault of sightline: {type(error).__name__}: {error}", hint=hint)
