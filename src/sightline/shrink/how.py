"""The language of `compress`: prune:0.5+int8 is a network pruned to half its multiply-adds whose file then is quantised.

A way is any number of steps that train again, and at most one coding of the file, last. Knows words, not how a step is done.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from sightline.errors import UsageError

# steps that train: name -> (what its number must be, an example, what it does)
TRAINED: dict[str, tuple[Callable[[float], bool], str, str]] = {
    "prune": (lambda share: 0 < share < 1, "prune:0.5", "channels taken away until this share of the multiply-adds is left"),
    "sparse": (
        lambda share: 0 < share < 1,
        "sparse:0.8",
        "this share of the weights set to zero: a smaller download, no speed",
    ),
    "width": (lambda factor: 0.1 <= factor < 1, "width:0.5", "a narrower network of the same family, taught by the model"),
    "input": (
        lambda pixels: 32 <= pixels <= 2048 and pixels == int(pixels),
        "input:160",
        "smaller pictures, taught by the model",
    ),
    "qat": (lambda _: True, "qat+int8", "trained on with the roundings of int8 in place; right before int8"),
}
USUAL = "percentile"  # what int8 without a variant means
PLAIN = ("qat",)  # steps without a number
# codings of a file: name -> (variants, what it does)
CODED: dict[str, tuple[tuple[str, ...], str]] = {
    "int8": (("minmax", "entropy", "percentile", "mixed"), "weights and sums of 8 bits; ranges from your pictures"),
    "fp16": ((), "weights of 16 bits, half the file"),
    "weights8": ((), "weights of 8 bits, sums as before: a quarter of the file"),
    "weights4": ((), "weights of 4 bits, sums as before: an eighth of the file"),
    "clustered": ((), "32 different weights a layer: the file packs well for downloads"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step that trains: its name and number (0 where it has none)."""

    name: str
    value: float = 0.0

    @property
    def text(self) -> str:
        return self.name if self.name in PLAIN else f"{self.name}:{self.value:g}"


@dataclass(frozen=True, slots=True)
class How:
    """One way to a smaller model. coding: "" or a name of CODED, with a variant of int8 behind a colon."""

    steps: tuple[Step, ...] = ()
    coding: str = ""

    @property
    def text(self) -> str:
        return "+".join([*(step.text for step in self.steps), *([self.coding] if self.coding else [])])

    @property
    def base(self) -> How:
        """The same without the coding: what is trained."""
        return How(self.steps)


def read_how(text: str) -> tuple[How, ...]:
    """int8,prune:0.5+int8 -> two ways; each once, in the order given. UsageError names what is not known, and the nearest."""
    ways = [_read(part.strip()) for part in text.lower().split(",") if part.strip()]
    if not ways:
        raise UsageError(
            "--how names no way to make a model smaller", hint=f"such as --how int8,prune:0.5+int8; there are {_all()}"
        )
    once: dict[str, How] = {}
    for way in ways:
        once.setdefault(way.text.replace(f"int8:{USUAL}", "int8"), way)  # int8 and int8:percentile are one way
    return tuple(once.values())


def _read(text: str) -> How:
    steps: list[Step] = []
    coding = ""
    for part in text.split("+"):
        name, _, number = part.strip().partition(":")
        if coding:
            raise UsageError(
                f"in --how {text} something follows {coding}, which writes the file",
                hint=f"put {coding} last, and only one such",
            )
        if name in CODED:
            variants = CODED[name][0]
            if number and number not in variants:
                kinds = f"{name} has the kinds {', '.join(variants)}" if variants else f"{name} takes no number"
                raise UsageError(f"--how does not know {part.strip()!r}", hint=kinds)
            coding = f"{name}:{number}" if number else name
        elif name in TRAINED:
            steps.append(_step(name, number))
        else:
            near = difflib.get_close_matches(name, [*TRAINED, *CODED], 1)
            raise UsageError(
                f"--how does not know {name!r}", hint=f"did you mean {near[0]}?" if near else f"there are {_all()}"
            )
    _in_order(text, [step.name for step in steps], coding)
    return How(tuple(steps), coding)


def _in_order(text: str, names: list[str], coding: str) -> None:
    """UsageError for steps whose work the next one would undo."""
    last = names[-1] if names else ""
    if "qat" in names and (last != "qat" or names.count("qat") > 1 or not coding.startswith("int8")):
        raise UsageError(f"in --how {text} qat must stand once, right before int8", hint="it trains for int8: such as qat+int8")
    if "sparse" in names and last != "sparse":
        raise UsageError(
            f"in --how {text} {last} would fill the zeros of sparse again",
            hint="put sparse behind the other steps that train: such as prune:0.5+sparse:0.8+int8",
        )


def _step(name: str, number: str) -> Step:
    allowed, such, _ = TRAINED[name]
    if name in PLAIN:
        if number:
            raise UsageError(f"--how {name} takes no number, got {number!r}", hint=f"write {such}")
        return Step(name)
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if not allowed(value):
        raise UsageError(f"--how {name} needs another number than {number or 'none'!r}", hint=f"such as {such}")
    return Step(name, value)


def _all() -> str:
    return ", ".join([*(such for _, such, _ in TRAINED.values()), *CODED])
