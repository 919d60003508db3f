"""How pictures may change while a network learns, as a small text: "light", "flip,rotate:15,erase:0.2,mixup:0.2". No torch.

One table says what each change is called, how far it may go, and who does it: whole batches at once (augment.py) or each
picture by itself (transforms.py).
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sightline.errors import UsageError

Doer = Literal["batch", "picture"]


class Change(NamedTuple):
    """A change by an amount in low..high; the usual one when none is given. 0 switches it off, but for `crop`, where 1 does."""

    low: float
    high: float
    usual: float
    doer: Doer
    about: str


CHANGES: dict[str, Change] = {
    "flip": Change(0, 1, 1, "batch", "half of the pictures mirrored"),
    "crop": Change(0.05, 1, 0.5, "batch", "a part with at least this share of the picture"),
    "rotate": Change(0, 180, 15, "batch", "degrees either way"),
    "scale": Change(0, 3, 0.25, "batch", "larger or smaller by up to this share"),
    "aspect": Change(0, 1, 0.15, "batch", "one side stretched against the other by up to this share"),
    "translate": Change(0, 0.5, 0.06, "batch", "moved by up to this share of a side"),
    "perspective": Change(0, 1, 0.3, "picture", "corners moved by up to this share of half a side; half of the pictures"),
    "elastic": Change(0, 0.2, 0.02, "picture", "bent by about this share of a side; half of the pictures"),
    "colour": Change(0, 0.95, 0.3, "batch", "brightness, contrast and saturation by up to this share"),
    "hue": Change(0, 0.5, 0.05, "picture", "colours turned by up to this share of the colour circle"),
    "grey": Change(0, 1, 0.1, "picture", "this share of the pictures without colour"),
    "blur": Change(0, 0.05, 0.005, "picture", "up to this share of a side; half of the pictures"),
    "noise": Change(0, 0.5, 0.05, "batch", "up to this share of full white"),
    "randaugment": Change(0, 30, 9, "picture", "two random changes of this strength (arXiv 1909.13719)"),
    "trivialaugment": Change(0, 1, 1, "picture", "one random change of random strength (arXiv 2103.10158)"),
    "erase": Change(0, 1, 0.25, "batch", "this share of the pictures with a rectangle blanked (arXiv 1708.04896)"),
    "mixup": Change(0, 5, 0.2, "batch", "two pictures laid over each other, Beta(a, a) (arXiv 1710.09412)"),
    "cutmix": Change(0, 1, 0.5, "batch", "this share with a rectangle of another picture (arXiv 1905.04899)"),
}
MIXING = ("mixup", "cutmix")  # changes that need two pictures and give two labels

# All of them by whole batches, which is cheap. `medium` is what fine-tuning does when nothing is asked for (plan.py).
PRESETS: dict[str, str] = {
    "none": "",
    "light": "flip,rotate:5,scale:0.15,translate:0.03,colour:0.15",
    "medium": "flip,rotate:12,scale:0.35,aspect:0.15,translate:0.06,colour:0.3",
    "strong": "flip,crop:0.4,rotate:20,aspect:0.25,translate:0.06,colour:0.5,noise:0.05,erase:0.25,cutmix:0.3",
}
_OTHERWISE = {"color": "colour", "gray": "grey", "shift": "translate", "rotation": "rotate", "mirror": "flip"}


@dataclass(frozen=True, slots=True)
class Changes:
    """What a text asks for. `sure`: mirroring was asked for by its own name, not as a part of a preset."""

    text: str
    amounts: dict[str, float]  # name -> amount, in the table's order; what is off is not there
    sure: bool

    def by(self, doer: Doer) -> dict[str, float]:
        return {name: amount for name, amount in self.amounts.items() if CHANGES[name].doer == doer}


def read_recipe(text: str) -> Changes:
    """A preset, or changes with or without an amount, or both: "light", "flip,rotate:15", "medium,erase:0.3,flip:0".

    What comes later counts. Raises UsageError for an unknown word, naming the nearest, and for an impossible amount.
    """
    found: dict[str, float] = {}
    sure = False
    words = [word.strip().lower() for word in text.split(",") if word.strip()]
    if not words:
        raise UsageError("an empty recipe of changes", hint=f"presets: {', '.join(PRESETS)}; or flip,rotate:15")
    for word in words:
        if word in PRESETS:
            found |= dict(_read(part) for part in PRESETS[word].split(",") if part)
        else:
            name, amount = _read(word)
            found[name] = amount
            sure = sure or name == "flip"
    amounts = {name: found[name] for name in CHANGES if name in found and found[name] != off(name)}
    return Changes(",".join(words), amounts, sure)


def off(name: str) -> float:
    """The amount that switches a change off."""
    return 1.0 if name == "crop" else 0.0


def written(name: str, amount: float) -> str:
    """A change as it is written: "rotate:15"."""
    return f"{name}:{amount:.6g}"


def _read(word: str) -> tuple[str, float]:
    name, colon, said = word.partition(":")
    name = _OTHERWISE.get(name.strip(), name.strip())
    change = CHANGES.get(name)
    if change is None:
        near = difflib.get_close_matches(name, [*CHANGES, *PRESETS], 1)
        hint = f"did you mean {near[0]}?" if near else f"presets: {', '.join(PRESETS)}; changes: {', '.join(CHANGES)}"
        raise UsageError(f"unknown change of pictures {name!r}", hint=hint, detail={"changes": list(CHANGES)})
    try:
        amount = float(said) if colon else change.usual
    except ValueError:
        amount = math.nan
    if not change.low <= amount <= change.high:
        raise UsageError(
            f"{name} takes an amount from {change.low:g} to {change.high:g}, got {said.strip()!r}: {change.about}",
            hint=f"for example {name}:{change.usual:g}",
        )
    return name, amount
