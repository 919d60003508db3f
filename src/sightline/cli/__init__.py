"""The command line: verbs become commands from their own signatures; results become tables or one JSON document.

Verbs are imported when they are called, and the first page of help is made from the table of verbs alone, so it is instant.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclopts import App

_HELP = """\
sightline: from a folder of pictures to a recogniser you can trust, on your own machine

Usage: sightline COMMAND ...

{commands}

Each command explains itself with --help, and prints JSON with --json.
New here? `sightline demo` needs nothing. With pictures of your own: one folder for each
class inside photos/, then `sightline train photos/` and `sightline predict cat.jpg`.
"""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code.

    0 ok, 1 our fault, 2 usage, 3 not found, 4 invalid data or refused, 5 done in part, 130 stopped.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if words in ([], ["--help"], ["-h"], ["help"]):
        print(help_text(), end="")
        sys.exit(0)
    from sightline.cli.run import run

    sys.exit(run(build_app(), words))


def help_text() -> str:
    """The first page of help."""
    from sightline.verbs import VERBS

    width = max(map(len, VERBS)) + 2
    return _HELP.format(commands="\n".join(f"  {name:<{width}}{verb.help}" for name, verb in VERBS.items()))


def build_app() -> App:
    """The cyclopts application made from the table of verbs; nothing of a verb is imported yet."""
    from cyclopts import App

    from sightline import __version__
    from sightline.verbs import VERBS

    app = App(name="sightline", version=__version__, version_flags=["--version"], help_format="plaintext")
    for name, verb in VERBS.items():
        app.command(f"sightline.cli.commands:{name}", name=name, help=verb.help)
    return app
