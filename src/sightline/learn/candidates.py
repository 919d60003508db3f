"""Candidates of a comparison, written as words: what each means, which ones an effort picks, how a time budget is shared.

Trains nothing and knows no files of models but for counting their parameters.
"""

from __future__ import annotations

import difflib
import json
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any, Literal, get_args

from sightline.errors import UsageError
from sightline.learn import backbones
from sightline.learn.fit import TrainRequest
from sightline.learn.zoo import names
from sightline.settings import settings
from sightline.types import Size, Way

Effort = Literal["quick", "thorough"]
PLACED = ("detect", "segment")  # ways of pictures with places: verbs/detecting.py compares them
WAYS: tuple[str, ...] = ("auto", *(way for way in get_args(Way) if way not in PLACED))
SIZES: tuple[str, ...] = get_args(Size)
CHEAP = ("probe", "classic")  # seconds to a few minutes, whatever the budget: never stopped early
MINUTES = 20.0  # for all candidates, where nobody says how long
LOOK = 0.25  # of its share of the budget: what a network gets before it is compared with the others
LEFT = 0.2  # of the budget: what networks share at least, however long the cheap ones took
MANY = 2_000  # training pictures from which a network from scratch has a chance against pretrained ones


@dataclass(frozen=True, slots=True)
class Contender:
    """A candidate by the name that a person wrote, and what is asked of the training."""

    name: str
    request: TrainRequest

    @property
    def folder(self) -> str:
        """The name as a folder's."""
        return re.sub(r"[^\w.+-]+", "-", self.name)

    @property
    def cheap(self) -> bool:
        return self.request.way in CHEAP


def candidate(text: str, base: TrainRequest | None = None) -> TrainRequest:
    """WAY, WAY:NETWORK, WAY:SIZE or NETWORK as a request, other wishes as in `base`: "probe", "fine-tune:resnet18",
    "probe:medium", "scratch:mobilenet_v2:0.35", "classic:hog+svm", "resnet18". Raises UsageError naming the nearest.
    """
    base = base or TrainRequest()
    way, _, what = text.strip().partition(":")
    if way not in WAYS:
        return _bare(text.strip(), base)
    wishes: dict[str, Any] = {"way": way, "backbone": None}
    if way == "classic":
        from sightline.learn.classic.way import wish

        features, _, classifier = what.rpartition("+") if "+" in what else (what, "", "")
        wish(features or None, classifier or None)  # said to be unknown before anything is computed
        wishes |= {"features": features or None, "classifier": classifier or None}
    elif what in SIZES:
        wishes["size"] = what
    elif what:
        names.check(what)
        wishes["backbone"] = what
    return replace(base, **wishes)


def _bare(text: str, base: TrainRequest) -> TrainRequest:
    """A network without a way: fine-tuned or its frozen features where there are weights, else from scratch."""
    near = difflib.get_close_matches(text.partition(":")[0], WAYS, 1)
    if near:
        hint = f"did you mean {text.replace(text.partition(':')[0], near[0], 1)}?"
        raise UsageError(f"no way of training is called {text.partition(':')[0]!r}", hint=hint)
    try:
        names.check(text)
    except UsageError as error:
        raise UsageError(
            f"no candidate is called {text!r}",
            hint=f"{error.hint} a candidate is {', '.join(WAYS)}, WAY:NETWORK, or a network's name".strip(),
        ) from error
    return replace(base, way="auto", backbone=text)


def candidates(text: str, base: TrainRequest) -> tuple[Contender, ...]:
    """Names between commas, in their order; UsageError for one that is unknown, twice there, or alone."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    doubled = [part for part in parts if parts.count(part) > 1]
    if doubled:
        raise UsageError(f"the candidate {doubled[0]} is named twice")
    if len(parts) < 2:
        raise UsageError(
            f"a comparison needs two candidates or more, got {text!r}", hint="such as --compare probe,fine-tune,scratch"
        )
    return tuple(Contender(part, candidate(part, base)) for part in parts)


def chosen(effort: Effort, pictures: int, *, gpu: bool) -> tuple[tuple[str, ...], str]:
    """The candidates that an effort means for so many training pictures, weights at hand and hardware; and why."""
    here = [size for size in get_args(Size) if backbones.at_hand(backbones.DIAL[size][0]) != "none"]
    folder = settings().weights
    ours = here == ["tiny"]  # nothing of the dial is at hand but the backbone in the package
    tiny = {name for one in backbones.DIAL["tiny"] for name in backbones.file_names(one)}
    others = ours and folder is not None and any(path.stem not in tiny for path in folder.glob("*.safetensors"))
    wide = pictures >= MANY
    found: list[str] = [] if "classic" not in WAYS else ["classic:hog+svm"]
    affordable = [size for size in here if size in ("tiny", "small") or (effort == "thorough" and (size != "large" or gpu))]
    found += [f"probe:{size}" for size in affordable]
    if others:
        found.append("probe")
    if effort == "thorough" or gpu:
        tuned = [size for size in affordable if size == "small" or (gpu and size != "tiny")]
        found += [f"fine-tune:{size}" for size in tuned] or (["fine-tune"] if others else [])
    if ours and not others:
        found += ["scratch:tiny", "scratch:small"] if effort == "quick" or not gpu else ["scratch:small", "scratch:medium"]
    elif wide and (effort == "thorough" or gpu):
        found.append("scratch:small")
    weights = f"weights for {', '.join(here)}{' and others in SIGHTLINE_WEIGHTS' if others else ''}"
    machine = "a GPU" if gpu else "no GPU"
    return tuple(found), f"{effort}: {pictures:,} training pictures, {weights}, {machine}: {', '.join(found)}"


def first_look(minutes: float, spent: float, networks: int, rivals: int) -> float | None:
    """Minutes of each network's first look, or None when there is nothing to compare it with."""
    if networks == 0 or rivals < 2:
        return None
    return max(minutes - spent, LEFT * minutes) / networks * LOOK


def rest(minutes: float, spent: float, networks: int) -> float:
    """Minutes for each network that is trained to its end."""
    return max(minutes - spent, LEFT * minutes) / max(networks, 1)


def parameters(weights: Path, onnx: Path) -> int:
    """Trained numbers of a model: from its safetensors file, without running averages; else the constants of its ONNX file."""
    if weights.is_file():
        with weights.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            entries = json.loads(stream.read(length))
        return sum(prod(entry["shape"]) for name, entry in entries.items() if _trained(name))
    import onnx as library

    return sum(prod(tensor.dims) for tensor in library.load(onnx).graph.initializer)


def _trained(name: str) -> bool:
    return name != "__metadata__" and not name.endswith(("running_mean", "running_var", "num_batches_tracked"))


def names_of(contenders: Sequence[Contender]) -> str:
    return ", ".join(one.name for one in contenders)
