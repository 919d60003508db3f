"""What a clip's frames are to a recurrent network: features of a frozen network, and a small map of where the clip moves.

Pooled features of a network hardly say where a thing is; the map does. Knows neither labels nor how anything is trained.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sightline import progress
from sightline.data.kept import kept
from sightline.errors import SightlineError
from sightline.learn.logistic import Floats
from sightline.learn.network import Classifier
from sightline.runtime.clips import prepare_clip
from sightline.runtime.engines import open_session
from sightline.runtime.model import failure, in_order
from sightline.settings import settings
from sightline.types import Failure, InputSpec, Item

MAP = 8  # cells a side of the map of motion
FAINT = 2.0  # motion (0..255) that counts as none
VERSION = "1"  # raise it when the same frames give other vectors


class Frames(nn.Module):
    """clip uint8 (n, t, size, size, 3) to (n, t, d + 64): the network's features of each frame, then the map of motion."""

    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, clip: Tensor) -> Tensor:
        frames = clip.flatten(0, 1)
        seen = self.network.embed(self.network.normalise(frames))
        grey = frames.float().mean(dim=3).unsqueeze(1)  # (n t, 1, s, s)
        cell = frames.shape[1] // MAP
        small = functional.avg_pool2d(grey, cell)[:, :, :MAP, :MAP]
        t = clip.shape[1]
        return torch.cat([seen.reshape(-1, t, seen.shape[1]), moved(small.reshape(-1, t, MAP * MAP))], dim=2)


def moved(small: Tensor) -> Tensor:
    """(n, t, cells) grey values to how far each differs from its mean over the clip, as a share of the clip's average motion:
    so neither the background nor how bright a thing is counts.
    """
    away = (small - small.mean(dim=1, keepdim=True)).abs()
    return away / (away.mean(dim=(1, 2), keepdim=True) + FAINT)


class Whole(nn.Module):
    """clip to embedding: frames, then `over`, which makes one vector (n, e) of vectors (n, t, d)."""

    def __init__(self, frames: Frames, over: nn.Module) -> None:
        super().__init__()
        self.frames, self.over = frames, over

    def forward(self, clip: Tensor) -> Tensor:
        found: Tensor = self.over(self.frames(clip))
        return found


class Mean(nn.Module):
    """The frame average: (n, t, d) to (n, d). Whatever the order of the frames, the same."""

    def forward(self, vectors: Tensor) -> Tensor:
        return vectors.mean(dim=1)


@dataclass(frozen=True, slots=True)
class Vectors:
    """`values` float32 (n, t, d) of the clips that could be read; `kept` (n,) their places among the items."""

    values: NDArray[np.float32]
    kept: NDArray[np.intp]
    failures: tuple[Failure, ...]


def compute(items: Sequence[Item], graph: bytes, key: str | None, spec: InputSpec) -> Vectors:
    """Vectors of every clip by `graph` (a `Frames` as ONNX), on all cores, kept by content under `key` where one is given."""
    told = hashlib.sha256(spec.model_dump_json().encode()).hexdigest()[:12]
    store = kept(settings().cache / "features" / f"{key}-clips{VERSION}-{told}" if key else None)
    session = open_session(graph)
    frames = spec.frames or 1

    def one(item: Item) -> Floats | Failure:
        known = store.get(item.sha256)
        if known is not None:
            return np.asarray(known).reshape(frames, -1)
        try:
            clip, _ = prepare_clip(item.uri, spec)
        except SightlineError as error:
            return failure(item.name, error)
        (found,) = session.run(["embedding"], {"clip": clip[None]})
        if item.sha256:
            store.add(item.sha256, found[0].ravel())
        return np.asarray(found[0])

    values: list[Floats] = []
    places: list[int] = []
    failures: list[Failure] = []
    with store:
        answers = in_order(one, items, settings().threads)
        for place, found in enumerate(progress.track(answers, "Computing features of frames", len(items))):
            if isinstance(found, Failure):
                failures.append(found)
            else:
                values.append(found)
                places.append(place)
    stacked = np.stack(values) if values else np.zeros((0, frames, 0), np.float32)
    return Vectors(stacked, np.array(places, np.intp), tuple(failures))
