"""The values of a training that a person may set by name, with their ranges: "lr=0.003,epochs=20,ema=0.999". No torch.

Knows what may be written, not what the values do: that is plan.py and whoever reads the plan.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

from sightline.errors import UsageError

Precision = Literal["auto", "bf16", "float32"]
Optimiser = Literal["adamw", "sgd", "muon"]
Loss = Literal["cross-entropy", "focal"]
Schedule = Literal["cosine", "one-cycle", "step", "linear", "constant"]
Compile = Literal["off", "auto", "on"]

Values = tuple[tuple[str, str], ...]  # names and texts as written, sorted by name


class Value(NamedTuple):
    """What may be written for one value: a word, yes or no, or a number from `low` to `high`; `open` names ends left out."""

    kind: Literal["whole", "number", "switch", "word"]
    about: str
    low: float = 0
    high: float = math.inf
    open: str = ""  # "low", "high" or "low high"
    words: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """For people: "a whole number of 1 or more", "a number from 0 to below 1"."""
        if self.kind == "word":
            return " or ".join(self.words)
        if self.kind == "switch":
            return "yes or no"
        noun = "a whole number" if self.kind == "whole" else "a number"
        if self.high == math.inf:
            return f"{noun} above {self.low:g}" if "low" in self.open else f"{noun} of {self.low:g} or more"
        low = f"above {self.low:g}" if "low" in self.open else f"from {self.low:g}"
        return f"{noun} {low} {'to below' if 'high' in self.open else 'to'} {self.high:g}"

    def allows(self, value: float) -> bool:
        low = value > self.low if "low" in self.open else value >= self.low
        high = value < self.high if "high" in self.open else value <= self.high
        return low and high and math.isfinite(value)


_SHARE = (0.0, 1.0, "high")

VALUES: dict[str, Value] = {
    "epochs": Value("whole", "times that every picture is seen; with --minutes the most", 1, 100_000),
    "batch": Value("whole", "pictures that a step learns from", 1, 65_536),
    "accumulate": Value("whole", "parts in which a step's pictures are computed: less memory, the same step", 1, 1024),
    "lr": Value("number", "learning rate of the head at its highest", open="low"),
    "optimiser": Value("word", "what makes steps of gradients", words=get_args(Optimiser)),
    "momentum": Value("number", "of sgd and muon (Nesterov)", *_SHARE),
    "bias_rate": Value("number", "learning rate of biases and norms before the head = lr times this", open="low"),
    "weight_decay": Value("number", "of matrices and kernels; biases and norms have none"),
    "layer_decay": Value("number", "rate of a block = rate of the next one towards the head times this", 0, 1, "low"),
    "frozen": Value("whole", "so many blocks, counted from the stem, keep their weights"),
    "freeze_norm": Value("switch", "batch norm uses the statistics it came with"),
    "schedule": Value("word", "how the rate falls after the warm-up", words=get_args(Schedule)),
    "warmup": Value("number", "share of all steps in which the rate rises", *_SHARE),
    "loss": Value("word", "what answers are measured by", words=get_args(Loss)),
    "gamma": Value("number", "focal loss: how little sure answers count", 0, 10),
    "dropout": Value("number", "share of the head's inputs left out at random; -1: as the network was built", -1, 1, "high"),
    "drop_path": Value("number", "stochastic depth: probability that the last residual branch is left out", *_SHARE),
    "label_smoothing": Value("number", "share of a label that is spread over all classes", *_SHARE),
    "ema": Value("number", "how slowly averaged weights follow; 0: no averaging", *_SHARE),
    "clip": Value("number", "largest norm of the gradient; 0: no limit"),
    "balance": Value("number", "classes are weighted when the largest has more than so many times the smallest's; 0: never"),
    "sampling": Value("number", "pictures are drawn by the inverse frequency of their class to this power", 0, 1),
    "patience": Value("whole", "epochs without a better validation score before training ends; 0: never"),
    "precision": Value("word", "what is computed in", words=get_args(Precision)),
    "compile": Value("word", "torch.compile; auto: on a GPU", words=get_args(Compile)),
    "distill": Value("number", "share of the loss that follows a teacher's answers", 0, 1),
    "temperature": Value("number", "by which a teacher's answers are softened", open="low"),
    "mosaic": Value("number", "detectors: share of the pictures that are made of four", 0, 1),
    "closing": Value("number", "detectors: share of the last steps that see no mosaics", 0, 1),
    "scales": Value("number", "detectors: pictures of a step are up to this share smaller or larger", *_SHARE),
}
ELSEWHERE = {"size": "--input-size", "seed": "--seed", "augment": "--augment", "threads": "the setting SIGHTLINE_THREADS"}


def read_values(text: str) -> Values:
    """ "lr=0.003,epochs=20" as names and texts, sorted. UsageError names the field and its range, or the nearest names."""
    found: dict[str, str] = {}
    for word in (part.strip() for part in text.split(",") if part.strip()):
        name, equals, said = (part.strip() for part in word.partition("="))
        if not equals:
            raise UsageError(f"{word!r} is not NAME=VALUE", hint="such as --plan lr=0.003,epochs=20")
        name = name.replace("-", "_")
        if name in found:
            raise UsageError(f"{name} is given twice: {found[name]} and {said}")
        read_value(name, said)
        found[name] = said
    if not found:
        raise UsageError("an empty --plan", hint=f"such as --plan lr=0.003,epochs=20; values: {', '.join(VALUES)}")
    return tuple(sorted(found.items()))


def written(values: Iterable[tuple[str, str]]) -> str:
    """Values as a person writes them: the inverse of `read_values`."""
    return ",".join(f"{name}={said}" for name, said in values)


def read_value(name: str, said: str) -> int | float | str | bool:
    """One value by its name, as its type; UsageError."""
    value = VALUES.get(name)
    if value is None:
        raise _unknown(name)
    read = _read(value, said.strip().lower())
    if read is None or (value.kind in ("whole", "number") and not value.allows(float(read))):
        raise UsageError(f"{name} must be {value.allowed}, got {said!r}", hint=f"{name}: {value.about}")
    return read


def _read(value: Value, said: str) -> int | float | str | bool | None:
    """The text as the value's type; None where it is not of that type."""
    if value.kind == "word":
        return said if said in value.words else None
    if value.kind == "switch":
        return {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}.get(said)
    try:
        number = float(said)
    except ValueError:
        return None
    if value.kind == "whole":
        return int(number) if math.isfinite(number) and number == int(number) else None
    return number


def _unknown(name: str) -> UsageError:
    if name in ELSEWHERE:
        return UsageError(f"{name} is not set by --plan", hint=f"use {ELSEWHERE[name]}")
    near = difflib.get_close_matches(name, [*VALUES, *ELSEWHERE], 3, 0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"values: {', '.join(VALUES)}"
    return UsageError(f"a training has no value {name!r}", hint=hint, detail={"values": list(VALUES)})
