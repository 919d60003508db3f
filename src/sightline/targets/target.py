"""What a target is: a form of the model that another program runs. The record of each, what a writer is asked and says.

Knows neither pictures nor how any target is written.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

from numpy.typing import NDArray

from sightline.errors import TargetError, UsageError
from sightline.runtime.bundle import Bundle

# what the written file answers here: the graph's inputs by name -> its outputs by name
Engine = Callable[[Mapping[str, NDArray[Any]]], Mapping[str, NDArray[Any]]]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person may ask for beside the target. `half`: weights as 16-bit floats; `runtime`: where onnxruntime-web lies."""

    half: bool = False
    runtime: Path | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """What a writer has written. `engine` runs it here; where it cannot, `why` says why."""

    main: str  # the file that the other program opens
    engine: Engine | None = None
    why: str = ""
    notes: tuple[str, ...] = ()


# writes the model into a folder that is new and empty; raises TargetError, MissingExtraError
Writer = Callable[[Bundle, Path, Wishes], Made]


class Target(NamedTuple):
    """A target: its title, the module whose `write` makes it, the wishes it knows, and what runs it."""

    title: str
    module: str
    wishes: tuple[str, ...]
    runs: str


TARGETS: dict[str, Target] = {
    "onnx": Target("ONNX", "sightline.targets.onnxfile", (), "any ONNX runtime: phones, boards, servers, other languages"),
    "ort": Target("ONNX Runtime's mobile format", "sightline.targets.ortfile", (), "ONNX Runtime's small builds for phones"),
    "openvino": Target("OpenVINO", "sightline.targets.openvinofile", ("half",), "OpenVINO on Intel's and ARM's processors"),
    "web": Target("a web page", "sightline.targets.web", ("runtime",), "any browser, on the device, without network"),
    "tflite": Target("LiteRT (TFLite)", "sightline.targets.tflite", (), "LiteRT on Android, boards, microcontrollers"),
    "coreml": Target("Core ML", "sightline.learn.targets.coreml", ("half",), "Core ML on iPhones, iPads, Macs"),
    "c": Target("a C header", "sightline.targets.cheader", (), "a program with ONNX Runtime linked in, without files"),
}


def target(name: str) -> Target:
    """The target of that name; UsageError names the nearest."""
    if name not in TARGETS:
        near = difflib.get_close_matches(name.lower(), TARGETS, 1)
        hint = f"did you mean {near[0]}?" if near else f"targets: {', '.join(TARGETS)}"
        raise UsageError(f"unknown target {name!r}", hint=hint, detail={"targets": list(TARGETS)})
    return TARGETS[name]


def writer(name: str) -> Writer:
    """The function that writes a target."""
    return cast(Writer, importlib.import_module(target(name).module).write)


def lacks(title: str, operators: Sequence[str], model: str) -> TargetError:
    """The one wording for operators of the model that a target does not have."""
    shown = ", ".join(sorted(set(operators)))
    return TargetError(
        f"{title} lacks what {model} computes with: {shown}",
        hint="choose another target, such as --to ort, or train a network (--way fine-tune)",
        detail={"operators": sorted(set(operators))},
    )
