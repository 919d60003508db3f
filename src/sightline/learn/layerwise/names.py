"""Names and numbers of the layered ways, and which wishes go together with them. Knows no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sightline.errors import UsageError

FILE = "denoiser.onnx"  # in the bundle of an autoencoder
HALVED = 8  # sides of pictures must be a multiple of it: the encoder halves them three times
WAYS = ("dbn", "autoencoder")
SIZES = {"dbn": 32, "autoencoder": 64}  # pixels a side, unless asked otherwise


def layered(
    way: str, *, pretrain: str | None, denoiser: str | None, backbone: str | None, input_size: int | None
) -> dict[str, Any]:
    """What of --pretrain and --denoiser was asked; UsageError for wishes that do not go together with the way."""
    if pretrain is not None and way not in WAYS:
        raise UsageError(
            f"--pretrain is for pictures without labels, which --way {way} cannot learn from",
            hint="add --way dbn or --way autoencoder",
        )
    if pretrain is not None and not Path(pretrain).expanduser().is_dir():
        raise UsageError(f"--pretrain names no folder: {pretrain}", hint="give a folder of pictures; labels are ignored")
    if denoiser is not None and way in ("classic", "clip"):
        raise UsageError(f"--denoiser stands in front of a network; --way {way} cannot have one", hint="leave out --denoiser")
    if way in WAYS:
        _own_network(way, backbone, input_size or SIZES[way])
    given = {"pretrain": pretrain, "denoiser": denoiser}
    return {name: str(Path(value).expanduser()) for name, value in given.items() if value is not None}


def _own_network(way: str, backbone: str | None, side: int) -> None:
    if backbone is not None:
        raise UsageError(
            f"--way {way} has a network of its own, got --backbone {backbone}",
            hint="leave out --backbone; --size makes it larger or smaller",
        )
    if side % HALVED or side < SIZES["dbn"]:
        raise UsageError(
            f"--way {way} takes sides from 32 px on that are multiples of {HALVED}, got {side}",
            hint=f"the usual size is {SIZES[way]}",
        )
