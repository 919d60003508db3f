"""What a detector did on pictures with boxes: everything it found beside the truth, told by scores and a report.

No verb itself: the part of the stories of train, evaluate and a comparison that is the same for detectors.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sightline import progress
from sightline.errors import DatasetError, SightlineError
from sightline.measure.bootstrap import score as bounded
from sightline.measure.detection import DetectionScores, advice, detection_scores
from sightline.measure.detection_curves import draws, matched_map50
from sightline.measure.detection_matching import matched
from sightline.measure.detection_page import DetectionReport, detection_page
from sightline.measure.detection_pictures import Pixels, examples, views
from sightline.measure.report_data import ReportData
from sightline.runtime.detector import Detector
from sightline.runtime.found import Found
from sightline.types import Card, Dataset, Failure, Item, Score

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Sighted:
    """What was found in pictures, all from the score 0.01 on, in their pixels."""

    items: tuple[Item, ...]
    found: tuple[Found, ...]
    failures: tuple[Failure, ...] = ()

    def scores(self, classes: Sequence[str], **more: object) -> DetectionScores:
        """The scores of these answers; `more`: thresholds, precision, seed of detection_scores."""
        return detection_scores([item.truth for item in self.items], self.found, classes, **more)  # type: ignore[arg-type]


def usable(dataset: Dataset) -> Dataset:
    """The dataset without the failures that are none: places that were mended are said, and used."""
    from sightline.data.formats.marks import CHANGED

    changed = [one for one in dataset.failures if one.error.code in CHANGED]
    if not changed:
        return dataset
    progress.note(f"places mended in {len(changed)} pictures, the first: {changed[0].picture}: {changed[0].error.message}")
    return dataset.model_copy(update={"failures": tuple(one for one in dataset.failures if one not in changed)})


def seek(detector: Detector, items: Sequence[Item], what: str = "Testing") -> Sighted:
    """Look for objects in every picture; those that cannot be read are listed in `failures`. DatasetError when none can."""
    kept: list[Item] = []
    found: list[Found] = []
    failures: list[Failure] = []
    answers = detector.find_files([item.uri for item in items])
    for item, given in progress.track(zip(items, answers, strict=True), what, len(items)):
        if isinstance(given, Failure):
            failures.append(given.model_copy(update={"picture": item.name}))
            continue
        kept.append(item)
        found.append(given.found)
    if not kept:
        raise DatasetError(f"none of the {len(items)} pictures can be read", hint=failures[0].error.message if failures else "")
    return Sighted(tuple(kept), tuple(found), tuple(failures))


def packed(sighted: Sighted) -> bytes:
    """Answers as one npz file, to be compared with another detector's; without masks and keypoints."""
    content = io.BytesIO()
    np.savez(
        content,
        uris=np.array([item.uri for item in sighted.items], np.str_),
        counts=np.array([len(one) for one in sighted.found], np.int64),
        boxes=np.concatenate([one.boxes for one in sighted.found]),
        scores=np.concatenate([one.scores for one in sighted.found]),
        labels=np.concatenate([one.labels for one in sighted.found]),
    )
    return content.getvalue()


def unpacked(content: bytes) -> dict[str, Found]:
    """Picture's uri -> what was found in it."""
    with np.load(io.BytesIO(content), allow_pickle=False) as held:
        ends = np.cumsum(held["counts"])[:-1]
        parts = [np.split(held[name], ends) for name in ("boxes", "scores", "labels")]
        uris = held["uris"].tolist()
    return {uri: Found(*rows) for uri, *rows in zip(uris, *parts, strict=True)}


def report_page(
    story: ReportData,
    sighted: Sighted,
    scores: DetectionScores,
    card: Card,
    *,
    baselines: Mapping[str, Score] | None = None,
) -> str:
    """The report as one HTML page, completed with pictures of what was found and of every kind of error."""
    names = [item.name for item in sighted.items]
    kept: dict[int, Pixels | None] = {}

    def read(place: int) -> Pixels | None:
        if place not in kept:
            if len(kept) > 24:
                kept.clear()
            kept[place] = _pixels(sighted.items[place])
        return kept[place]

    with progress.task("Drawing the report"):
        close = examples(scores, names, read, card.classes)
        whole = views(scores, names, read)
    return detection_page(DetectionReport(story, scores, story.diagnosis, close, whole, baselines or {}))


def _pixels(item: Item) -> Pixels | None:
    """The upright picture; None where it cannot be read any more."""
    from sightline.runtime.pixels import decode, read_picture

    try:
        return decode(read_picture(Path(item.uri)))
    except SightlineError:
        return None


def said(scores: DetectionScores, card: Card) -> tuple[str, ...]:
    """Advice, with the objects of each class that the model was trained on."""
    return advice(scores, card.dataset.get("train_objects"))


# --- beside another detector


def score(items: Sequence[Item], classes: Sequence[str], held: bytes) -> float:
    """mAP@.5 of kept answers for these pictures."""
    found = unpacked(held)
    there = [item for item in items if item.uri in found]
    return matched_map50(matched([item.truth for item in there], [found[item.uri] for item in there], classes))


def behind(items: Sequence[Item], classes: Sequence[str], best: bytes, other: bytes, seed: int = 0) -> Score:
    """mAP@.5 of `best` minus that of `other` with its 95 % interval, paired: both answer the same resampled pictures."""
    mine, its = unpacked(best), unpacked(other)
    there = [item for item in items if item.uri in mine and item.uri in its]
    truth = [item.truth for item in there]
    sides = [matched(truth, [found[item.uri] for item in there], classes) for found in (mine, its)]
    value = matched_map50(sides[0]) - matched_map50(sides[1])
    ones, others = (draws(side, len(classes), seed).map50 for side in sides)
    least = min(len(ones), len(others))  # the same pictures in the same order, however many resamples each could afford
    return bounded(value, ones[:least] - others[:least], len(there))
