"""compress: how one candidate comes about, its coding and the trainings before it; each training is kept and done once.

No verb itself: `compressing` asks it and measures what comes out.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sightline import progress
from sightline.errors import SightlineError, missing_extra
from sightline.runtime.bundle import FINGERPRINTS, ONNX, WEIGHTS, Bundle, read_bundle, write_bundle
from sightline.shrink.how import How, Step

if TYPE_CHECKING:
    from sightline.learn.finish import Trained
    from sightline.shrink.ranges import Method
    from sightline.verbs.compressing import Work

MODEL, _RUN = "model", "run"


def coded(work: Work, base: Bundle, coding: str) -> bytes:
    """The bundle's graph in another coding; DataError where it cannot be had."""
    if not coding:
        return base.onnx
    from sightline.shrink import quantise, sensitivity, weights

    name, _, variant = coding.partition(":")
    if name == "int8":
        images = work.pictures(base.card)
        method = cast("Method", "percentile" if variant in ("", "mixed") else variant)
        keep: Sequence[str] = ()
        if variant == "mixed":
            with progress.task("Looking for sensitive layers"):
                keep = sensitivity.sensitive(base.onnx, images, method)
        with progress.task(f"Quantising, {coding}"):
            return quantise.int8(base.onnx, images, method, keep=keep)
    codings: dict[str, Callable[[bytes], bytes]] = {
        "fp16": weights.fp16,
        "weights8": weights.weights8,
        "weights4": weights.weights4,
        "clustered": weights.clustered,
    }
    return codings[name](base.onnx)


# --- trainings


def trained(work: Work, how: How) -> Bundle:
    """The float model after all steps, each of them trained once and kept; the model itself where there are none."""
    if not how.steps:
        return work.bundle
    place = work.folder / "trained" / how.text.replace(":", "-")
    if (kept := readable(place / MODEL)) is None:
        *first, last = _joined(how.steps)
        parent = trained(work, How(tuple(step for group in first for step in group)))
        named = "+".join(step.text for step in last)
        progress.note(f"training on for {named}" + (f", {work.minutes:.1f} minutes" if work.minutes else ""))
        _keep(work, parent, _step(work, parent.path, last, place / _RUN), place / MODEL)
        shutil.rmtree(place / _RUN, ignore_errors=True)
    return kept or read_bundle(place / MODEL)


def readable(place: Path) -> Bundle | None:
    """The model kept there; None where there is none or a broken one, which is made again."""
    try:
        return read_bundle(place)
    except (OSError, SightlineError):
        return None


def _joined(steps: Sequence[Step]) -> list[tuple[Step, ...]]:
    """Width and input that follow each other are one training."""
    groups: list[tuple[Step, ...]] = []
    for step in steps:
        names = {one.name for one in groups[-1]} if groups else set()
        if step.name in ("width", "input") and names and names <= {"width", "input"} - {step.name}:
            groups[-1] = (*groups[-1], step)
        else:
            groups.append((step,))
    return groups


def _step(work: Work, parent: Path, steps: tuple[Step, ...], run: Path) -> Trained:
    """One training that makes the parent smaller; raises what a training raises."""
    if importlib.util.find_spec("torch") is None:
        raise missing_extra("deep", "making a network smaller by training")
    data, by_name = work.material.dataset, {step.name: step.value for step in steps}
    time_for: dict[str, Any] = {"minutes": work.minutes, "epochs": work.epochs, "seed": work.seed}
    if "prune" in by_name:
        from sightline.learn.shrinking.pruning import pruned

        return pruned(parent, data, by_name["prune"], run, **time_for)
    if "sparse" in by_name:
        from sightline.learn.shrinking.sparse import sparse

        return sparse(parent, data, by_name["sparse"], run, **time_for)
    if "qat" in by_name:
        from sightline.learn.shrinking.aware import aware

        return aware(parent, data, run, **time_for)
    from sightline.learn.shrinking.width import narrower

    size = by_name.get("input")
    return narrower(parent, data, run, width=by_name.get("width", 1.0), input_size=int(size) if size else None, **time_for)


def _keep(work: Work, parent: Bundle, made: Trained, place: Path) -> None:
    from sightline.verbs.trained import card_of

    card = card_of(work.bundle.card.name, work.material.dataset, made)
    card = card.model_copy(update={"dataset": parent.card.dataset, "licence": parent.card.licence})
    contents = {ONNX: made.onnx, **made.parts}
    if FINGERPRINTS in parent.files:
        contents[FINGERPRINTS] = parent.files[FINGERPRINTS]
    if made.weights is not None:
        contents[WEIGHTS] = made.weights
    write_bundle(place, card, contents, replace=place.exists())
