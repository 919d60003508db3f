"""compress: candidates made one after the other, each measured beside the model as it was, and kept in the run's folder.

A story without an own command. A compression that was stopped goes on where it was, and one with other limits finds again what
was made before. Knows how a candidate is described (shrink/how.py), not how limits are chosen.
"""

from __future__ import annotations

import importlib.util
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from sightline import progress
from sightline.errors import DataError, DatasetError, MissingExtraError, SightlineError, UsageError, missing_extra
from sightline.files import new_folder, write_text
from sightline.measure.compressed import FLOAT, Candidate
from sightline.runtime.bundle import FINGERPRINTS, ONNX, WEIGHTS, Bundle, read_bundle, write_bundle
from sightline.shrink.how import How, Step
from sightline.types import Card, Certificate, Item, Split
from sightline.verbs.examined import Examined, beside, check, examine
from sightline.verbs.material import Material

if TYPE_CHECKING:
    from sightline.learn.finish import Trained
    from sightline.shrink.ranges import Method

POOL = 1024  # training pictures that calibration pictures are chosen from
_DONE, _MODEL, _RUN = "candidate.json", "model", "run"


@dataclass(frozen=True)
class Work:
    """What all candidates share. folder: of the run; calibrate: how many pictures ranges of int8 come from."""

    bundle: Bundle
    material: Material
    folder: Path
    seed: int
    calibrate: int
    minutes: float | None = None  # of each training
    epochs: int | None = None

    @property
    def scored_on(self) -> Split:
        return "test" if self.material.dataset.part("test") else "val"

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """The pictures that everything is measured on: of single labels those that have one."""
        items = self.material.dataset.part(self.scored_on)
        if self.bundle.card.task in ("binary", "multiclass"):
            items = tuple(item for item in items if len(item.labels) == 1)
        return items

    @cached_property
    def examined(self) -> Examined:
        """The model as it was, on these pictures."""
        return examine(self.bundle.card, self.bundle.onnx, self.items, self.seed)

    @cached_property
    def calibration(self) -> tuple[Item, ...]:
        """Training pictures that differ as much as they can, for the ranges of activations."""
        from sightline.runtime.model import Model
        from sightline.shrink.calibration import diverse
        from sightline.types import Failure

        items = self.material.dataset.part("train")
        some = np.unique(np.linspace(0, len(items) - 1, POOL).astype(int)) if items else np.zeros(0, int)
        pool = [items[place] for place in some]
        if self.bundle.card.task == "detection" or len(pool) <= self.calibrate:
            return tuple(pool[: self.calibrate])
        model = Model(self.bundle.card, self.bundle.onnx)
        told = progress.track(model.answer_files([item.uri for item in pool]), "Choosing calibration pictures", len(pool))
        rows = [(item, given.embedding[0]) for item, given in zip(pool, told, strict=True) if not isinstance(given, Failure)]
        chosen = diverse(np.stack([row for _, row in rows]), self.calibrate, self.seed)
        return tuple(rows[place][0] for place in chosen)

    def pictures(self, card: Card) -> NDArray[np.uint8]:
        """The calibration pictures as a model with this input sees them: (n, size, size, 3)."""
        from sightline.runtime.model import in_order, prepared
        from sightline.settings import settings

        def seen(item: Item) -> NDArray[np.uint8] | None:
            try:
                return prepared(item.uri, card.input)
            except SightlineError:
                return None  # a survey could read it; calibration does without it

        found = [image for image in in_order(seen, self.calibration, settings().threads) if image is not None]
        return np.stack(found) if found else np.zeros((0, card.input.size, card.input.size, 3), np.uint8)

    def place(self, how: How) -> Path:
        return self.folder / (how.text.replace(":", "-") or FLOAT)


def material_for(bundle: Bundle, data: Path, val: Path | None, seed: int) -> Material:
    """The data, divided as the model's training divided them. Raises DatasetError, UsageError for what does not go together."""
    from sightline.verbs import material, outcome

    card = bundle.card
    check(card)
    found = material.material(data, val, seed, whole=card.task != "detection")
    outcome.check_labels(found.dataset.items, card)
    if (found.dataset.task == "detection") != (card.task == "detection"):
        needs = "boxes" if card.task == "detection" else "pictures with labels, not boxes"
        raise DatasetError(f"the model {card.name} needs {needs}", hint="give the data that it was trained on")
    dataset = found.dataset.model_copy(update={"task": card.task, "classes": card.classes})
    part = dataset.part("test") or dataset.part("val")
    seen = found.seen.aligned(dataset.model_copy(update={"items": part}))
    for leak in outcome.seen_before(bundle, seen, part):
        progress.note(f"{leak.message}: what is lost may look smaller than it is")
    return found._replace(dataset=dataset)


def before(work: Work) -> Candidate:
    """The model as it was, measured like every candidate."""
    return _measured(work, FLOAT, work.bundle.card, work.bundle.onnx, work.bundle.path, seconds=0.0)


def attempt(work: Work, how: How) -> Candidate:
    """Make one candidate and measure it, or take what was made before; what cannot be made is told as failed."""
    place = work.place(how)
    if (place / _DONE).is_file():
        return Candidate.model_validate_json((place / _DONE).read_bytes())
    begun = time.perf_counter()
    progress.note(f"candidate {how.text}")
    try:
        base = trained(work, how.base)
        onnx = coded(work, base, how.coding)
        card, examined = _recalibrated(work, base.card, onnx)
        contents = {ONNX: onnx, **{name: base.files[name] for name in base.files if name not in (ONNX, WEIGHTS)}}
        if not how.coding:
            contents |= {WEIGHTS: content} if (content := _weights(base)) else {}
        with_model = place / _MODEL
        write_bundle(with_model, card, contents, replace=with_model.exists())
        one = _measured(work, how.text, card, onnx, with_model, seconds=time.perf_counter() - begun, examined=examined)
    except (DataError, UsageError, MissingExtraError) as error:
        progress.note(f"candidate {how.text} cannot be made: {error.message}")
        one = Candidate(how=how.text, state="failed", why=error.message, fits=False)
        if not isinstance(error, DataError):  # weights or an extra that may be there when it is asked for again
            return one
    write_text(place / _DONE, one.model_dump_json(indent=1))
    return one


def _measured(
    work: Work, how: str, card: Card, onnx: bytes, path: Path, *, seconds: float, examined: Examined | None = None
) -> Candidate:
    from sightline.runtime.speed import measured
    from sightline.shrink.weights import download_bytes
    from sightline.verbs.outcome import main_score

    same = how == FLOAT
    found = work.examined if same else examined or examine(card, onnx, work.items, work.seed)
    gap = None if same else beside(work.examined, found, work.seed)
    speed = measured(path)
    main = main_score(found.scores)
    if gap and main not in work.examined.scores:
        raise DataError(f"{how} is scored by {main}, which the model as it was is not")
    return Candidate(
        how=how,
        bytes=len(onnx),
        download_bytes=download_bytes(onnx),
        latency_ms=round(speed.latency_ms, 3),
        latency_p95_ms=round(speed.latency_p95_ms, 3),
        per_second=round(speed.per_second, 1),
        peak_mb=speed.peak_mb or 0.0,
        input_size=card.input.size,
        scores=found.scores,
        drop=gap.drop.value if gap else 0.0,
        drop_low=gap.drop.low if gap else 0.0,
        drop_high=gap.drop.high if gap else 0.0,
        class_drops={name: round(was - found.by_class.get(name, 0.0), 4) for name, was in work.examined.by_class.items()},
        agreement=gap.agreement if gap else 1.0,
        largest_difference=gap.largest_difference if gap else 0.0,
        seconds=round(seconds, 1),
        model=str(path),
    )


def _recalibrated(work: Work, card: Card, onnx: bytes) -> tuple[Card, Examined]:
    """The passport of a coded file: from which novelty on a picture is unknown is found again, its sums have moved a little."""
    from sightline.measure.novelty import choose_unknown
    from sightline.verbs.outcome import Answered

    found = examine(card, onnx, work.items, work.seed)
    change: dict[str, Any] = {"scores": found.scores}
    if isinstance(found.answers, Answered) and card.unknown:
        change["unknown"] = choose_unknown(found.answers.novelty, seed=work.seed)
    return card.model_copy(update=change), found


# --- codings


def coded(work: Work, base: Bundle, coding: str) -> bytes:
    """The bundle's graph in another coding; DataError where it cannot be had."""
    if not coding:
        return base.onnx
    from sightline.shrink import quantise, sensitivity, weights

    name, _, variant = coding.partition(":")
    if name == "int8":
        images = work.pictures(base.card)
        method = cast("Method", "minmax" if variant in ("", "mixed") else variant)
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
    if not (place / _MODEL).exists():
        *first, last = _joined(how.steps)
        parent = trained(work, How(tuple(step for group in first for step in group)))
        named = "+".join(step.text for step in last)
        progress.note(f"training on for {named}" + (f", {work.minutes:.1f} minutes" if work.minutes else ""))
        _keep(work, parent, _step(work, parent.path, last, place / _RUN), place / _MODEL)
        shutil.rmtree(place / _RUN, ignore_errors=True)
    return read_bundle(place / _MODEL)


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
    write_bundle(place, card, contents)


def _weights(bundle: Bundle) -> bytes | None:
    from sightline.runtime.bundle import weights_of

    return weights_of(bundle)


# --- the end


def certificate(work: Work, was: Candidate, now: Candidate, measure: str) -> Certificate:
    """What the chosen model carries about where it comes from."""
    card = work.bundle.card
    return Certificate(
        how=now.how,
        parent=card.id,
        parent_name=card.name,
        scored_on=work.scored_on,
        pictures=len(work.items),
        agreement=now.agreement,
        largest_difference=now.largest_difference,
        measure=measure,
        before=was.scores[measure],
        after=now.scores[measure],
        drop=now.drop,
        drop_low=now.drop_low,
        drop_high=now.drop_high,
        bytes_before=was.bytes,
        bytes_after=now.bytes,
        latency_before_ms=was.latency_ms,
        latency_after_ms=now.latency_ms,
    )


def store(chosen: Candidate, given: Certificate, target: Path, beside: dict[str, bytes], *, replace: bool) -> None:
    """The chosen bundle as `target`, with its certificate and what lies beside it; whole or not at all."""
    made = read_bundle(Path(chosen.model))
    card = made.card.model_copy(update={"name": target.name, "compressed": given, "recipe": _recipe(made.card, chosen)})
    contents = dict(made.files)
    if content := _weights(made):
        contents[WEIGHTS] = content
    if target.is_dir() and not any(target.iterdir()):
        target.rmdir()
    write_bundle(target, card, contents, beside=beside, replace=replace)


def _recipe(card: Card, chosen: Candidate) -> Any:
    return card.recipe.model_copy(update={"values": {**card.recipe.values, "compressed": chosen.how}})


def kept(folder: Path, beside: dict[str, bytes]) -> Path:
    """What is told where no model could be written, in a folder of its own."""
    with new_folder(folder, replace=folder.exists()) as part:
        for name, content in beside.items():
            (part / name).write_bytes(content)
    return folder
