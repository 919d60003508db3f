"""compress: candidates made one after the other, each measured beside the model as it was, and kept in the run's folder.

A story without an own command. A compression that was stopped goes on where it was, and one with other limits finds again what
was made before. Knows how a candidate is described (shrink/how.py), not how limits are chosen.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline import progress
from sightline.errors import DataError, DatasetError, MissingExtraError, SightlineError, UsageError
from sightline.files import new_folder, write_text
from sightline.measure.compressed import ORIGINAL, Candidate
from sightline.runtime.bundle import ONNX, WEIGHTS, Bundle, read_bundle, write_bundle
from sightline.shrink.how import How
from sightline.types import Card, Certificate, ErrorInfo, Item, Score, Split
from sightline.verbs.examined import Examined, beside, check, examine
from sightline.verbs.material import Material
from sightline.verbs.smaller import MODEL, coded, readable, trained

if TYPE_CHECKING:
    from sightline.runtime.speed import Speed

POOL = 1024  # training pictures that calibration pictures are chosen from
_DONE = "candidate.json"


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

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """The validation pictures: what candidates are measured and chosen on."""
        return self.part("val")

    def part(self, split: Split) -> tuple[Item, ...]:
        """The pictures of a split; of single labels those that have one."""
        items = self.material.dataset.part(split)
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
        some = np.unique(np.linspace(0, len(items) - 1, max(POOL, self.calibrate)).astype(int)) if items else np.zeros(0, int)
        pool = [items[place] for place in some]
        if self.bundle.card.task == "detection" or len(pool) <= self.calibrate:  # objects: of the whole data, evenly
            places = np.linspace(0, len(pool) - 1, min(self.calibrate, len(pool))).astype(int) if pool else ()
            return tuple(pool[place] for place in places)
        model = Model(self.bundle.card, self.bundle.onnx)
        told = progress.track(model.answer_files([item.uri for item in pool]), "Choosing calibration pictures", len(pool))
        rows = [(item, given.embedding[0]) for item, given in zip(pool, told, strict=True) if not isinstance(given, Failure)]
        chosen = diverse(np.stack([row for _, row in rows]), self.calibrate, self.seed)
        return tuple(rows[place][0] for place in chosen)

    @cached_property
    def speed(self) -> Speed:
        """Of the model as it was."""
        from sightline.runtime.speed import measured

        return measured(self.bundle.path, seconds=2.0)

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
        ranges = f" of {self.calibrate}" if how.coding.startswith("int8") else ""
        return self.folder / ((how.text.replace(":", "-") or ORIGINAL) + ranges)


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
    return _measured(work, ORIGINAL, work.bundle.card, work.bundle.onnx, work.bundle.path, seconds=0.0)


def attempt(work: Work, how: How) -> Candidate:
    """Make one candidate and measure it, or take what was made before; what cannot be made is told as failed."""
    place = work.place(how)
    begun = time.perf_counter()
    progress.note(f"candidate {how.text}")
    try:
        if (done := _made_before(work, place)) is not None:
            return done
        base = trained(work, how.base)
        onnx = coded(work, base, how.coding)
        card, examined = _recalibrated(work, base.card, onnx)
        contents = {ONNX: onnx, **{name: base.files[name] for name in base.files if name not in (ONNX, WEIGHTS)}}
        if not how.coding:
            contents |= {WEIGHTS: content} if (content := _weights(base)) else {}
        with_model = place / MODEL
        write_bundle(with_model, card, contents, replace=with_model.exists())
        one = _measured(work, how.text, card, onnx, with_model, seconds=time.perf_counter() - begun, examined=examined)
        if how.coding.startswith("int8"):
            one = one.model_copy(update={"calibrated_on": len(work.calibration)})
    except (DataError, UsageError, MissingExtraError) as error:  # told, not kept: what was missing may be there the next time
        progress.note(f"candidate {how.text} cannot be made: {error.message}")
        least = error.detail.get("smallest") if "prune" in how.text else None
        return Candidate(how=how.text, state="failed", why=error.message, hint=error.hint, smallest=least, fits=False)
    write_text(place / _DONE, one.model_dump_json(indent=1))
    return one


def _made_before(work: Work, place: Path) -> Candidate | None:
    """What an earlier compression made, timed again beside the model as it was; None: to be made."""
    try:
        one = Candidate.model_validate_json((place / _DONE).read_bytes())
    except (OSError, ValueError):
        return None
    if readable(place / MODEL) is None:
        return None
    return one.model_copy(update={**_times(_paced(work, place / MODEL)), "model": str(place / MODEL)})


def _times(speed: Speed) -> dict[str, float]:
    return {
        "latency_ms": round(speed.latency_ms, 3),
        "latency_p95_ms": round(speed.latency_p95_ms, 3),
        "per_second": round(speed.per_second, 1),
        "peak_mb": speed.peak_mb or 0.0,
    }


def _measured(
    work: Work, how: str, card: Card, onnx: bytes, path: Path, *, seconds: float, examined: Examined | None = None
) -> Candidate:
    from sightline.shrink.weights import download_bytes
    from sightline.verbs.wording import main_score

    same = how == ORIGINAL
    found = work.examined if same else examined or examine(card, onnx, work.items, work.seed)
    gap = None if same else beside(work.examined, found, work.seed)
    main = main_score(found.scores)
    if gap and main not in work.examined.scores:
        raise DataError(f"{how} is scored by {main}, which the model as it was is not")
    speed = work.speed if same else _paced(work, path)
    return Candidate(
        how=how,
        bytes=len(onnx),
        download_bytes=download_bytes(onnx),
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
    ).model_copy(update=_times(speed))


def _paced(work: Work, path: Path) -> Speed:
    """The candidate's speed, in turns with the model as it was and told in its pace: whatever else the machine did meanwhile
    slowed both, and candidates measured an hour apart can be compared.
    """
    from sightline.runtime.speed import Rival, compared, times_as_fast

    old, new = compared([Rival(work.bundle.path), Rival(path)])
    if isinstance(old, ErrorInfo):
        raise DataError(old.message, hint=old.hint)
    if isinstance(new, ErrorInfo):
        raise DataError(new.message, hint=new.hint)
    pace = work.speed.latency_ms / times_as_fast(new, old).value / new.latency_ms
    rate = work.speed.per_second * times_as_fast(new, old, together=True).value
    paced = {"latency_ms": pace * new.latency_ms, "latency_p95_ms": pace * new.latency_p95_ms, "per_second": rate}
    return new.model_copy(update=paced)


def _recalibrated(work: Work, card: Card, onnx: bytes) -> tuple[Card, Examined]:
    """The passport of a coded file: from which novelty on a picture is unknown is found again, its sums have moved a little."""
    from sightline.measure.novelty import choose_unknown
    from sightline.verbs.outcome import Answered

    found = examine(card, onnx, work.items, work.seed)
    change: dict[str, Any] = {"scores": found.scores}
    if isinstance(found.answers, Answered) and card.unknown:
        change["unknown"] = choose_unknown(found.answers.novelty, seed=work.seed)
    return card.model_copy(update=change), found


def _weights(bundle: Bundle) -> bytes | None:
    from sightline.runtime.bundle import weights_of

    return weights_of(bundle)


# --- the end


def certified(work: Work, was: Candidate, now: Candidate, measure: str) -> tuple[Certificate, dict[str, Score]]:
    """What the chosen model carries about where it comes from, and its scores: of test pictures, which took no part in the
    choice; where there are none, of those that it was chosen on.
    """
    card = work.bundle.card
    tested = work.part("test")
    scored_on: Split = "test" if tested else "val"
    old = examine(card, work.bundle.onnx, tested, work.seed) if tested else work.examined
    made = read_bundle(Path(now.model))
    new = examine(made.card, made.onnx, tested or work.items, work.seed)
    gap = beside(old, new, work.seed)
    given = Certificate(
        how=now.how,
        parent=card.id,
        parent_name=card.name,
        scored_on=scored_on,
        pictures=len(tested or work.items),
        agreement=gap.agreement,
        largest_difference=gap.largest_difference,
        measure=measure,
        before=old.scores[measure],
        after=new.scores[measure],
        drop=gap.drop.value,
        drop_low=gap.drop.low,
        drop_high=gap.drop.high,
        bytes_before=was.bytes,
        bytes_after=now.bytes,
        latency_before_ms=was.latency_ms,
        latency_after_ms=now.latency_ms,
    )
    return given, new.scores


def store(
    chosen: Candidate, given: Certificate, scores: dict[str, Score], target: Path, beside: dict[str, bytes], *, replace: bool
) -> None:
    """The chosen bundle as `target`, with its certificate, scores and what lies beside it; whole or not at all."""
    made = read_bundle(Path(chosen.model))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    recipe = made.card.recipe.model_copy(update={"values": {**made.card.recipe.values, "compressed": chosen.how}})
    changes = {"name": target.name, "compressed": given, "scores": scores, "recipe": recipe, "created": now}
    card = made.card.model_copy(update=changes)
    contents = dict(made.files)
    if content := _weights(made):
        contents[WEIGHTS] = content
    if target.is_dir() and not any(target.iterdir()):
        target.rmdir()
    write_bundle(target, card, contents, beside=beside, replace=replace)


def kept(folder: Path, beside: dict[str, bytes]) -> Path:
    """What is told where no model could be written, in a folder of its own."""
    with new_folder(folder, replace=folder.exists()) as part:
        for name, content in beside.items():
            (part / name).write_bytes(content)
    return folder
