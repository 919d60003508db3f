"""Preprocessing that belongs to a model: named steps on the resized picture, the same wherever the model looks at one.

Written "white-balance,denoise,sharpen:0.5"; done in this order. Knows pixels only: neither files nor models.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightline.errors import UsageError

if TYPE_CHECKING:
    from PIL import ImageFilter

Pixels = NDArray[np.uint8]
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's mode L
LONGEST = 12  # steps of one model


class Step(NamedTuple):
    """What a step does to pixels uint8 (h, w, 3) by an amount in low..high; the usual amount when none is given."""

    change: Callable[[Pixels, float], Pixels]
    low: float
    high: float
    usual: float
    about: str


def adjusted(pixels: Pixels, steps: tuple[str, ...]) -> Pixels:
    """The picture uint8 (h, w, 3) after all steps, in their order. UsageError for one that is not known."""
    for change, amount in _resolved(steps):
        pixels = change(pixels, amount)
    return pixels


def read_steps(text: str | Iterable[str]) -> tuple[str, ...]:
    """The steps of "white-balance, sharpen:0.5" (or of several texts), each with its amount where it is not the usual one.

    Raises UsageError for an unknown step, naming the nearest, and for an impossible amount.
    """
    words = [word.strip() for part in ([text] if isinstance(text, str) else text) for word in part.split(",")]
    found = tuple(_written(*_read(word)) for word in words if word)
    if len(found) > LONGEST:
        raise UsageError(f"at most {LONGEST} steps prepare a picture, got {len(found)}", hint="leave some out")
    return found


@lru_cache(maxsize=64)
def _resolved(steps: tuple[str, ...]) -> tuple[tuple[Callable[[Pixels, float], Pixels], float], ...]:
    return tuple((STEPS[name].change, amount) for name, amount in map(_read, steps))


def _read(word: str) -> tuple[str, float]:
    name, colon, said = word.partition(":")
    name = name.strip().lower().replace("_", "-").replace(" ", "-")
    step = STEPS.get(_OTHERWISE.get(name, name))
    if step is None:
        near = difflib.get_close_matches(name, STEPS, 1)
        hint = f"did you mean {near[0]}?" if near else f"steps: {', '.join(STEPS)}"
        raise UsageError(f"unknown step {name!r} to prepare a picture", hint=hint, detail={"steps": list(STEPS)})
    try:
        amount = float(said) if colon else step.usual
    except ValueError:
        amount = math.nan
    if not step.low <= amount <= step.high:
        raise UsageError(
            f"{name} takes an amount from {step.low:g} to {step.high:g}, got {said.strip()!r}",
            hint=f"for example {name}:{step.usual:g}",
        )
    return _OTHERWISE.get(name, name), amount


def _written(name: str, amount: float) -> str:
    return name if amount == STEPS[name].usual else f"{name}:{amount:.6g}"


# --- the steps


def _white_balance(pixels: Pixels, amount: float) -> Pixels:
    """Shades of grey (Finlayson and Trezzi 2004): the Minkowski mean (p = 6) of each channel is made the same.

    Gains stay within a factor of 2: a picture of one colour is that colour. On the stored, gamma-coded values.
    """
    counts = np.stack([np.bincount(pixels[..., channel].ravel(), minlength=256) for channel in range(3)])
    levels = np.arange(256) / 255
    light = (counts @ levels**6 / max(1, pixels.shape[0] * pixels.shape[1])) ** (1 / 6)
    if light.min() <= 0:
        return pixels
    gains = np.clip(light.mean() / light, 0.5, 2.0) ** amount
    tables = _table(np.arange(256) * gains[:, None])
    return np.stack([tables[channel][pixels[..., channel]] for channel in range(3)], axis=-1)


def _equalise(pixels: Pixels, amount: float) -> Pixels:
    """The histogram of the light (Y of YCbCr) made flat; hue stays. `amount` mixes with the picture as it was."""
    from PIL import Image, ImageOps

    picture = Image.fromarray(pixels)
    light, blue, red = picture.convert("YCbCr").split()
    flat = Image.merge("YCbCr", (ImageOps.equalize(light), blue, red)).convert("RGB")
    return np.array(Image.blend(picture, flat, amount))


def _denoise(pixels: Pixels, amount: float) -> Pixels:
    """The median of the 3 x 3 (amount 1), 5 x 5 (2) or 7 x 7 (3) pixels around each: takes specks, keeps edges."""
    from PIL import ImageFilter

    return _filtered(pixels, ImageFilter.MedianFilter(2 * round(amount) + 1))


def _sharpen(pixels: Pixels, amount: float) -> Pixels:
    """Unsharp mask: the difference from a blur of 1 pixel is added `amount` times."""
    from PIL import ImageFilter

    return _filtered(pixels, ImageFilter.UnsharpMask(radius=1, percent=round(100 * amount), threshold=0))


def _brightness(pixels: Pixels, amount: float) -> Pixels:
    return _table(np.arange(256) * amount)[pixels]


def _contrast(pixels: Pixels, amount: float) -> Pixels:
    """Distances from the picture's mean light, `amount` times as large."""
    middle = float(pixels.reshape(-1, 3).mean(axis=0) @ np.array(LUMA))
    table = _table(middle + (np.arange(256) - middle) * amount)
    return np.asarray(table[pixels], np.uint8)


def _grey(pixels: Pixels, amount: float) -> Pixels:
    """Without colour: the light in all three channels. `amount` below 1 leaves some of the colour."""
    from PIL import Image

    picture = Image.fromarray(pixels)
    return np.array(Image.blend(picture, picture.convert("L").convert("RGB"), amount))


def _table(values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _filtered(pixels: Pixels, how: ImageFilter.Filter) -> Pixels:
    from PIL import Image

    return np.array(Image.fromarray(pixels).filter(how))


STEPS: dict[str, Step] = {
    "white-balance": Step(_white_balance, 0, 1, 1, "takes out the colour of the light"),
    "equalise": Step(_equalise, 0, 1, 1, "spreads light and dark over the whole range"),
    "denoise": Step(_denoise, 1, 3, 1, "takes out specks, keeps edges (radius in pixels)"),
    "sharpen": Step(_sharpen, 0, 5, 0.5, "makes edges stronger"),
    "brightness": Step(_brightness, 0.1, 10, 1.2, "light times this"),
    "contrast": Step(_contrast, 0.1, 10, 1.2, "distance from the mean light times this"),
    "grey": Step(_grey, 0, 1, 1, "takes out colour"),
}
_OTHERWISE = {"equalize": "equalise", "gray": "grey", "greyscale": "grey", "grayscale": "grey", "whitebalance": "white-balance"}
