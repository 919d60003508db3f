"""A long verb for tests of jobs: it writes a file for each step, goes on where it was, and can end badly in every way.

Run as a script it is the process of a job (`dawdle.py child`) or the command line (`dawdle.py serve ...`), with this verb.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Literal

from sightline import progress
from sightline.errors import DatasetError, StoppedError
from sightline.types import Record
from sightline.verbs import VERBS, Verb


class Dawdled(Record):
    made: int
    found: int
    ratio: float


Ending = Literal["well", "typed", "fault", "die", "die once", "talk", "deaf", "nothing"]


def dawdle(out: Path, /, *, steps: int = 3, seconds: float = 0.0, ending: Ending = "well") -> Dawdled | None:
    """Write `steps` files into `out`, one every `seconds`; those that are there already are left alone."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "processes").open("a").write(f"{os.getpid()}\n")
    found = len(list(out.glob("step-*")))
    progress.note(f"{found} steps are there")
    if ending == "deaf":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if ending == "talk":
        sys.stdout.write("this is no JSON\n")
        sys.stdout.flush()
        os.write(1, b"nor is this\n")
    try:
        for step in progress.track(range(found, steps), "Dawdling"):
            time.sleep(seconds)
            (out / f"step-{step}").touch()
            _end(ending, step, out)
    except KeyboardInterrupt:
        done = len(list(out.glob("step-*")))
        raise StoppedError(f"stopped after {done} steps; they are kept", hint="run it again") from None
    return None if ending == "nothing" else Dawdled(made=steps - found, found=found, ratio=float("nan"))


def _end(ending: str, step: int, out: Path) -> None:
    if ending == "typed":
        raise DatasetError("these data are no data", hint="bring others")
    if ending == "fault":
        raise ValueError("secret inside")
    if ending == "die" or (ending == "die once" and step == 0):
        os.kill(os.getpid(), signal.SIGKILL)


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(Path(__file__)), *arguments]


def offer() -> None:
    VERBS["dawdle"] = Verb("dawdle", "Write files, slowly.", rest=True, long=True)


def install() -> None:
    """Make the verb known to this process and to the processes of its jobs."""
    from sightline.jobs import runner

    offer()
    runner.CHILD[:] = command("child")


def show(result: Dawdled) -> str:
    return str(result)


if __name__ == "__main__":
    if sys.argv[1] == "child":
        offer()
        from sightline.jobs.child import main

        sys.exit(main())
    install()
    from sightline.cli import main as command_line

    command_line(sys.argv[1:])
