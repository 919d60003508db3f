"""Which detectors there are: names, what each is for, its licence and needs, and who builds it. Imports no torch to tell.

A builder is a function of detect/*.py from a Wish to a Built; it is imported when it is asked for.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, NamedTuple

from sightline.errors import UsageError, missing_extra
from sightline.types import InputSpec, Size

if TYPE_CHECKING:
    from sightline.learn.detect.network import DetectorNetwork
    from sightline.learn.plan import Plan


class Entry(NamedTuple):
    """A detector by name. `build` is "module:function"; `needs` an extra beside `deep`, and the module that must be there."""

    name: str
    about: str
    build: str
    licence: str
    size: int  # pixels a side, unless --input-size says otherwise
    least: int = 64
    every: int = 1  # its side must be a multiple of this
    backbones: bool = False  # NAME:BACKBONE takes any timm network with maps
    kind: Literal["boxes", "masks", "keypoints", "pixels"] = "boxes"  # what it answers beside classes and scores
    needs: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What a builder is asked for."""

    entry: Entry
    classes: tuple[str, ...]
    size: int  # pixels a side
    backbone: str | None = None  # of timm, where the entry takes one
    points: int = 0  # keypoints of an object
    pictures: int = 0  # to train on
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Built:
    """A network to train, its values, its input, and where its first weights are from ("none": nowhere)."""

    network: DetectorNetwork
    plan: Plan
    input: InputSpec
    weights: str
    why: str = ""  # when it is not what was meant: one clause that says so


_YOLO = "sightline.learn.detect.recipes:build_yolo"
_SEGMENT = "sightline.learn.detect.segment:build"
_PUBLISHED = "sightline.learn.detect.published:build"  # on torchvision
_QUERIES = "sightline.learn.detect.transformer:build"


def _query(name: str, about: str) -> Entry:
    needs = ("transformers", "transformers")
    return Entry(name, about, _QUERIES, "Apache-2.0", 416, every=32, backbones=True, needs=needs)


def _more(name: str, about: str, kind: Literal["masks", "keypoints"]) -> Entry:
    return Entry(name, about, _PUBLISHED, "BSD-3-Clause", 512, every=32, backbones=True, kind=kind)


DETECTORS: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry("yolo-tiny", "one stage, anchor-free, for speed", _YOLO, "Apache-2.0", 320, every=32, backbones=True),
        Entry("yolo-small", "one stage, anchor-free: the usual one", _YOLO, "Apache-2.0", 416, every=32, backbones=True),
        Entry("yolo-medium", "one stage, anchor-free, wider and finer", _YOLO, "Apache-2.0", 640, every=32, backbones=True),
        Entry("ssdlite", "one stage with default boxes, light", _PUBLISHED, "BSD-3-Clause", 320, every=32, backbones=True),
        Entry("ssd300", "one stage with default boxes, on VGG-16", _PUBLISHED, "BSD-3-Clause", 300, backbones=True),
        Entry("faster-rcnn", "two stages: slower, careful", _PUBLISHED, "BSD-3-Clause", 416, every=32, backbones=True),
        Entry("faster-rcnn-mobilenet", "two stages on MobileNetV3", _PUBLISHED, "BSD-3-Clause", 416, every=32),
        Entry("faster-rcnn-resnet50", "two stages on ResNet-50", _PUBLISHED, "BSD-3-Clause", 640, every=32),
        Entry("retinanet", "one stage with anchors and focal loss", _PUBLISHED, "BSD-3-Clause", 512, every=32, backbones=True),
        Entry("fcos", "one stage without anchors", _PUBLISHED, "BSD-3-Clause", 512, every=32, backbones=True),
        _query("rt-detr", "queries instead of places, nothing to suppress"),
        _query("d-fine", "queries, whose boxes are refined as distributions"),
        _more("mask-rcnn", "boxes and the object's pixels", "masks"),
        _more("keypoint-rcnn", "boxes and the object's keypoints", "keypoints"),
        Entry("lraspp", "a class for every pixel, light", _SEGMENT, "BSD-3-Clause", 320, 64, 32, backbones=True, kind="pixels"),
        Entry(
            "deeplabv3",
            "a class for every pixel, careful",
            _SEGMENT,
            "BSD-3-Clause",
            416,
            64,
            32,
            backbones=True,
            kind="pixels",
        ),
    )
}
DIAL: dict[Size, str] = {"tiny": "yolo-tiny", "small": "yolo-small", "medium": "yolo-medium", "large": "yolo-medium"}


def is_detector(text: str) -> bool:
    """Whether `text` names one, with or without a backbone."""
    return text.partition(":")[0] in DETECTORS


def named(text: str) -> tuple[Entry, str | None]:
    """The detector of "yolo-small" or "yolo-small:resnet18" and its backbone. UsageError names the nearest;
    MissingExtraError.
    """
    name, _, backbone = text.strip().partition(":")
    entry = DETECTORS.get(name)
    if entry is None:
        near = difflib.get_close_matches(name, DETECTORS, 2, 0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"detectors: {', '.join(DETECTORS)}"
        raise UsageError(f"no detector is called {name!r}", hint=hint, detail={"detectors": list(DETECTORS)})
    if backbone and not entry.backbones:
        some = ", ".join(other.name for other in DETECTORS.values() if other.backbones)
        raise UsageError(f"{name} has a backbone of its own, got {backbone!r}", hint=f"others can be chosen for {some}")
    if entry.needs and find_spec(entry.needs[1]) is None:
        raise missing_extra(entry.needs[0], f"the detector {name}")
    return entry, backbone or None


def side(entry: Entry, wished: int | None) -> int:
    """Pixels a side of the input; UsageError for one that this detector cannot have."""
    size = wished or entry.size
    if size < entry.least or size % entry.every:
        nearest = max(-(-entry.least // entry.every) * entry.every, round(size / entry.every) * entry.every)
        of = f"a multiple of {entry.every}" if entry.every > 1 else "a number of pixels"
        raise UsageError(
            f"the input of {entry.name} is {of} from {entry.least}, got {size}", hint=f"give --input-size {nearest}"
        )
    return size


def build(wish: Wish) -> Built:
    """The network. Errors of its builder: UsageError for a backbone without maps, DataError for weights that do not fit."""
    module, _, function = wish.entry.build.partition(":")
    built: Built = getattr(import_module(module), function)(wish)
    return built
