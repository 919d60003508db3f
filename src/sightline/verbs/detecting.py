"""train where data say where things are: what may be asked, the bundle that is written.

No verb itself. Knows neither networks nor drawing; learn/detect/way.py trains, verbs/sighted.py measures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline import __version__
from sightline.errors import DatasetError, UsageError, missing_extra
from sightline.measure.report_data import ReportData
from sightline.runtime.detector import Detector
from sightline.types import Card, Dataset, Item, Score, Split
from sightline.verbs import sighted as seeing
from sightline.verbs.sighted import Sighted
from sightline.verbs.trained import TrainResult, result_of, write

if TYPE_CHECKING:
    from sightline.data.survey import Survey
    from sightline.learn.candidates import Contender
    from sightline.learn.detect.way import TrainedDetector
    from sightline.learn.fit import TrainRequest
    from sightline.verbs.material import Work

# wishes that a detector cannot have, and the value that means nobody asked
NOT_FOR_DETECTORS: Mapping[str, object] = {
    **dict.fromkeys(("features", "classifier", "cell", "frames", "pretrain", "denoiser", "teacher", "effort", "folds"), None),
    **dict.fromkeys(("search", "trials", "max_parameters", "max_size", "max_latency"), None),
    "tune": False,
}
WHOLE = "for whole pictures, without their boxes, add --way fine-tune, probe, scratch or classic"


# --- what is asked


def places(way: str, backbone: str | None, compare: str | None, wishes: Mapping[str, Any]) -> bool | None:
    """Whether a detector is asked for: True by name, False for something else, None as the data say. UsageError."""
    from sightline.learn.detect.names import is_detector, named
    from sightline.learn.detect.segment_way import paints

    if way not in ("auto", "detect", "segment"):
        if backbone is not None and is_detector(backbone):
            raise UsageError(f"{backbone} finds objects, which --way {way} does not", hint="leave out --way")
        return False
    if compare is not None:
        parts = [part.strip() for part in compare.split(",") if part.strip()]
        finders = [part for part in parts if is_detector(part)]
        if finders and len(finders) < len(parts):
            other = next(part for part in parts if part not in finders)
            raise UsageError(
                f"{finders[0]} says where things are, {other} does not: their scores cannot be compared",
                hint="compare detectors with detectors",
            )
        painter = next((part for part in finders if paints(part)), way if way == "segment" else None)
        if painter:
            raise UsageError(f"{painter} names pixels, and a comparison is of boxes", hint="leave out --compare")
        if way == "detect" or finders:
            for part in parts:
                named(part)
            return True
        return False
    if backbone is not None and is_detector(backbone):
        named(backbone)
        return True
    if backbone is not None:
        _network(backbone)
    if way in ("detect", "segment"):
        return True
    return False if any(wishes.get(name) is not None for name in ("features", "classifier", "cell", "frames")) else None


def _network(name: str) -> None:
    """UsageError for a network that nobody knows; for one that is nearly a detector it names that."""
    from difflib import get_close_matches

    from sightline.learn.detect.names import DETECTORS, named
    from sightline.learn.zoo.names import check as known

    try:
        known(name)
    except UsageError:
        if get_close_matches(name.partition(":")[0], DETECTORS, 1, 0.7):
            named(name)
        raise


def check(wishes: Mapping[str, Any], objects: bool | None) -> None:
    """Refuse what a detector cannot have, where one is asked for (`objects`); a wanted precision elsewhere. UsageError."""
    precision = wishes.get("precision")
    if precision is not None and not 0 < precision < 1:
        raise UsageError(f"--precision is a share between 0 and 1, got {precision:g}", hint="such as --precision 0.95")
    if precision is not None and objects is False:
        raise UsageError("--precision is for detectors", hint="leave out --precision")
    if objects:
        _refuse(wishes)


def _refuse(wishes: Mapping[str, Any]) -> None:
    for name, usual in NOT_FOR_DETECTORS.items():
        if wishes.get(name, usual) != usual:
            option = "--" + name.replace("_", "-")
            raise UsageError(f"{option} does not go with a detector", hint=f"leave out {option}, or {WHOLE}")
    fit = wishes.get("fit")
    if fit not in (None, "pad"):
        raise UsageError(f"a detector sees the whole picture: --fit pad, got {fit}", hint="leave out --fit")


def request_for(request: TrainRequest, dataset: Dataset, wishes: Mapping[str, Any]) -> TrainRequest:
    """The request as a detector's. UsageError; DatasetError where the data do not say where things are."""
    from sightline.learn.detect.segment_way import paints

    if dataset.task != "detection":
        raise DatasetError(
            "a detector learns from boxes, and these data have none",
            hint="give a folder with Pascal VOC, COCO or YOLO labels; or leave out --way to learn what pictures show",
        )
    _refuse(wishes)
    if find_spec("faster_coco_eval") is None:  # said now, not after the training
        raise missing_extra("objects", "measuring a detector")
    pixels = request.way == "segment" or paints(request.backbone)
    return replace(request, way="segment" if pixels else "detect", fit="pad")


def learn(dataset: Dataset, request: TrainRequest, run: Path, *, salvage: bool = False) -> TrainedDetector:
    """Train one. Raises what learn.detect.way.fit_detector raises."""
    from sightline.learn.detect.way import fit_detector

    return fit_detector(dataset, request, run, salvage=salvage)


def contenders(compare: str, base: TrainRequest) -> tuple[Contender, ...]:
    """The detectors of a comparison, in their order; UsageError for one alone or twice."""
    from sightline.learn.candidates import Contender

    parts = [part.strip() for part in compare.split(",") if part.strip()]
    doubled = [part for part in parts if parts.count(part) > 1]
    if doubled:
        raise UsageError(f"the candidate {doubled[0]} is named twice")
    if len(parts) < 2:
        raise UsageError(
            f"a comparison needs two detectors or more, got {compare!r}", hint="such as --compare yolo-tiny,ssdlite"
        )
    return tuple(Contender(part, replace(base, way="detect", backbone=part)) for part in parts)


def said(dataset: Dataset) -> str:
    """One line about data with boxes."""
    objects = sum(not one.ignored for item in dataset.items for one in item.truth)
    empty = sum(not item.truth for item in dataset.items)
    more = f", {empty} pictures without any" if empty else ""
    return f"{len(dataset.items)} pictures, {objects:,} objects of {len(dataset.classes)} classes with places{more}"


# --- what is left


@dataclass(frozen=True, slots=True)
class Stored:
    """A detector that was measured and written."""

    result: TrainResult
    val: Sighted


def store(target: Path, work: Work, trained: TrainedDetector, *, replace: bool, precision: float | None = None) -> Stored:
    """Measure the exported file on unseen pictures, choose thresholds on the validation pictures, write bundle and report.

    With a test part the scores are about that; the thresholds still come from the validation pictures.
    """
    from sightline.verbs import outcome

    dataset, seen, findings = work.dataset, work.seen, work.findings
    card = card_of(target.name, dataset, trained)
    card = card.model_copy(update={"dataset": {**card.dataset, "picture_side": _picture_side(dataset, seen)}})
    detector, seed = Detector(card, trained.onnx), trained.recipe.seed
    scored_on: Split = "test" if dataset.part("test") else "val"
    val = seeing.seek(detector, dataset.part("val"))
    chosen = val.scores(card.classes, precision=precision, seed=seed)
    card = card.model_copy(update={"thresholds": dict(chosen.thresholds)})
    tested = seeing.seek(detector, dataset.part("test")) if scored_on == "test" else val
    scores = tested.scores(card.classes, thresholds=card.thresholds, seed=seed) if scored_on == "test" else chosen
    baselines = _baselines(dataset, seen, tested.items, seed)
    card = card.model_copy(update={"scores": dict(scores.overall), "baselines": baselines})
    advice = (*_warning(scores.overall["map50"], baselines), *seeing.said(scores, card))
    if scored_on == "val":
        advice = (*advice, "The thresholds were chosen on these pictures, too, which flatters found and right a little.")
    story = ReportData(
        title=f"{target.name}, {trained.recipe.backbone}",
        card=card,
        tested_on=f"{len(tested.items)} {'test' if scored_on == 'test' else 'validation'} pictures",
        history=trained.history,
        diagnosis=advice,
        findings=findings,
        pairs=outcome.pairs(findings, dataset.items),
        failures=(*dataset.failures, *tested.failures),
        created=card.created,
    )
    page = seeing.report_page(story, tested, scores, card, baselines=baselines)
    write(target, card, trained, dataset=dataset, seen=seen, page=page, replace=replace)
    result = result_of(target, card, dataset, scored_on=scored_on, findings=findings, advice=advice)
    return Stored(result, val)


def _picture_side(dataset: Dataset, seen: Survey) -> int:
    """The median longer side of the training pictures, in pixels: what `predict --tiles auto` takes as usual."""
    import numpy as np

    known = seen.aligned(dataset.model_copy(update={"items": dataset.part("train")}))
    return round(float(np.median(np.maximum(known.widths, known.heights)))) if len(known.uris) else 0


def _baselines(dataset: Dataset, seen: Survey, items: tuple[Item, ...], seed: int) -> dict[str, Score]:
    """What the usual places without looking would get, on the same pictures."""
    from sightline.measure.detection_baseline import NAME, usual_places

    sizes = {uri: (int(width), int(height)) for uri, width, height in zip(seen.uris, seen.widths, seen.heights, strict=True)}
    known = [(item.truth, sizes[item.uri]) for item in dataset.part("train")]
    truth, tested = [item.truth for item in items], [sizes[item.uri] for item in items]
    found = usual_places(known, truth, tested, dataset.classes, seed)
    return {} if found is None else {NAME: found}


def _warning(score: Score, baselines: Mapping[str, Score]) -> tuple[str, ...]:
    """Said where a detector is no better than one that does not look."""
    if all(score.low > one.value for one in baselines.values()):
        return ()
    return ("It is hardly better than boxes in the usual places without looking: give it more --minutes or more pictures.",)


_LIMITS = (
    "Tested only on pictures like those it was trained on: another place's light, camera or background can change the scores.",
    "It finds the classes it knows, nothing else: other objects are passed over, or given as the class they look like.",
    "Not tested against people who try to deceive it.",
)


def card_of(name: str, dataset: Dataset, trained: TrainedDetector) -> Card:
    """The passport; thresholds, hashes and scores are filled in when they are known."""
    parts: tuple[Split, ...] = ("train", "val", "test")
    counts = {part: len(dataset.part(part)) for part in parts}
    train = dataset.part("train")
    shown = Counter(label for item in train for label in set(item.labels))
    objects = Counter(one.label for item in train for one in item.truth if not one.ignored)
    skeletons = [one.points for one in dataset.skeletons.values()]
    return Card(
        id="",
        name=name,
        task=dataset.task,
        classes=dataset.classes,
        points=skeletons[0] if skeletons and "keypoint" in trained.recipe.backbone else (),
        input=trained.input,
        thresholds=trained.thresholds,
        recipe=trained.recipe,
        dataset={
            "name": dataset.name,
            "hash": dataset.hash,
            "pictures": counts,
            "train_pictures": dict(shown),
            "train_objects": dict(objects),
        },
        parity=trained.parity,
        limits=_LIMITS,
        sightline=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
