"""Features of pictures from a frozen backbone, computed on all cores and kept: a grown folder costs only what is new.

They are kept in settings().cache/features/KEY by the SHA-256 of the picture's bytes (`data/kept.py`). Knows neither labels nor
torch.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline import progress
from sightline.data.kept import kept
from sightline.errors import SightlineError
from sightline.runtime.engines import open_session
from sightline.runtime.keypoints import feed
from sightline.runtime.model import failure, in_order
from sightline.runtime.pixels import prepare, read_picture
from sightline.settings import settings
from sightline.types import Failure, InputSpec, Item


@dataclass(frozen=True, slots=True)
class Features:
    """`vectors` float32 (n, d) of the pictures that could be read; `kept` (n,) their places among the items."""

    vectors: NDArray[np.float32]
    kept: NDArray[np.intp]
    failures: tuple[Failure, ...]
    computed: int  # how many were not in the store


def compute(items: Sequence[Item], graph: bytes, key: str | None, spec: InputSpec) -> Features:
    """Features of the items by `graph` (uint8 (n, size, size, 3) -> float32 (n, d)); unreadable pictures become failures.

    `key` names the graph: features are shared among all datasets that hold a picture; None keeps nothing. Stopping (Ctrl-C)
    keeps what is done.
    """
    store = kept(settings().cache / "features" / f"{key}-{_spec_key(spec)}" if key else None)
    found: dict[int, NDArray[np.float32]] = {}
    failures: dict[int, Failure] = {}
    for place, item in enumerate(items):
        vector = store.get(item.sha256)
        if vector is not None:
            found[place] = vector
    missing = [place for place in range(len(items)) if place not in found]
    if missing:
        session = open_session(graph)
        given = feed(session)
        claimed: dict[str, int] = {}  # of several equal pictures one is computed
        lock = threading.Lock()

        def one(place: int) -> tuple[int, str, NDArray[np.float32] | int | Failure]:
            try:
                data = read_picture(items[place].uri)
                sha256 = hashlib.sha256(data).hexdigest()
                with lock:
                    known = store.get(sha256)
                    first = claimed.setdefault(sha256, place)
                if known is not None or first != place:
                    return place, sha256, first if known is None else known
                return place, sha256, session.run(["embedding"], given(prepare(data, spec)[None]))[0][0]
            except SightlineError as error:
                return place, "", failure(items[place].name, error)

        twins: dict[int, int] = {}
        with store, progress.task("Computing features", len(missing)) as work:
            for place, sha256, result in in_order(one, missing, settings().threads):
                if isinstance(result, Failure):
                    failures[place] = result
                elif isinstance(result, int):
                    twins[place] = result
                else:
                    found[place] = result
                    store.add(sha256, result)
                work.advance()
        for place, first in twins.items():
            if first in found:
                found[place] = found[first]
            else:
                failures[place] = failures[first].model_copy(update={"picture": items[place].name})
    places = np.array(sorted(found), np.intp)
    width = len(next(iter(found.values()))) if found else 0
    vectors = np.stack([found[place] for place in places]) if found else np.zeros((0, width), np.float32)
    return Features(vectors, places, tuple(failures[place] for place in sorted(failures)), len(missing) - len(failures))


def _spec_key(spec: InputSpec) -> str:
    return hashlib.sha256(spec.model_dump_json().encode()).hexdigest()[:12]
