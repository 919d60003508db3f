"""predict: say what is in pictures, with a score for every class, or what is where. Needs only the base install."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_serializer

from sightline.errors import UsageError
from sightline.types import Failure, Prediction, Record
from sightline.verbs.video_answers import VideoAnswer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sightline.runtime.model import Recogniser


class Predictions(Record):
    """Answers in the order of the pictures, and the pictures that could not be answered."""

    results: tuple[Prediction, ...]
    failures: tuple[Failure, ...]
    videos: tuple[VideoAnswer, ...] | None = Field(default=None, description="videos that a detector has looked through")

    @field_serializer("results")
    def _wire(self, results: tuple[Prediction, ...]) -> list[dict[str, Any]]:
        from sightline.runtime.tasks import to_wire

        return [to_wire(result) for result in results]


def predict(
    pictures: list[Path],
    /,
    *,
    model: str | None = None,
    top: int | None = None,
    keep: bool = False,
    explain: Path | None = None,
    threshold: float | None = None,
    tiles: str = "auto",
    save_pictures: Path | None = None,
    track: bool = True,
) -> Predictions:
    """Say what is in pictures.

    Args:
        pictures: Picture files, or folders of them; for a detector also videos.
        model: A model's folder, zip or name; by default the one trained last.
        top: How many labels (or objects) to give for each picture; by default all of them.
        keep: Keep the answers in the workspace, beside the truth: `sightline data show NAME` compares the two.
        explain: Draw on what the answer for one picture rests, and what a classic recogniser sees, into this PNG file.
        threshold: Objects: give all from this score on; by default each class has its own.
        tiles: Objects in large pictures: look at overlapping tiles of so many pixels too; auto or off.
        save_pictures: Write every picture with its objects drawn to this new folder, and the annotated videos.
        track: Objects in videos: follow each from frame to frame and give it a number.
    """
    from sightline.progress import note
    from sightline.progress import track as tracked
    from sightline.runtime.engines import TITLES
    from sightline.runtime.model import load
    from sightline.verbs import resolve

    if top is not None and top < 1:
        raise UsageError(f"--top must be at least 1, got {top}")
    store = resolve.workspace("keeping answers") if keep else None
    recogniser = set_up(load(resolve.model(model)), threshold, tiles)
    if recogniser.provider != "cpu":
        note(f"computing with {TITLES.get(recogniser.provider, recogniser.provider)}, {recogniser.threads} threads")
    paths, videos = _meant(recogniser, pictures)
    if explain is not None:
        _explained(recogniser, paths, explain)
    folder = None
    if save_pictures is not None:
        from sightline.verbs.saved_pictures import prepare_folder

        folder = prepare_folder(save_pictures)
    answers = recogniser.predict_many(paths, top)
    if folder is not None:
        from sightline.verbs.saved_pictures import saved

        answers = saved(answers, folder, recogniser.card.classes, recogniser.threads)
    results: list[Prediction] = []
    failures: list[Failure] = []
    for answer in tracked(answers, "Predicting", len(paths)) if paths else ():
        if isinstance(answer, Prediction):
            results.append(answer)
        else:
            failures.append(answer)
    watched = _watched(recogniser, videos, folder, failures, follow=track)
    if store is not None:
        from sightline.store import predictions

        predictions.put(store, recogniser.card.id, dict(zip(_contents(results), results, strict=True)))
    return Predictions(results=tuple(results), failures=tuple(failures), videos=watched)


def set_up(recogniser: Recogniser, threshold: float | None, tiles: str) -> Recogniser:
    """The recogniser as it is asked for; UsageError for what only a detector can do."""
    if recogniser.card.task == "detection":
        from sightline.runtime.detector import Detector
        from sightline.runtime.tiles import read_tiles

        if isinstance(recogniser, Detector):
            chosen = recogniser if threshold is None else recogniser.at(threshold)
            return chosen.tiled(read_tiles(tiles, recogniser.card))
    named = "--threshold" if threshold is not None else "--tiles" if tiles not in ("auto", "off") else ""
    if named:
        raise UsageError(
            f"{named} is for models that find objects, and {recogniser.card.name} answers for whole pictures",
            hint=f"leave out {named}",
        )
    return recogniser


def _meant(recogniser: Recogniser, given: list[Path]) -> tuple[list[Path], list[Path]]:
    """The pictures (or clips) and the videos that a person means."""
    from sightline.data.readers import read_pictures
    from sightline.runtime.clips import is_video
    from sightline.verbs import clip_training

    if recogniser.card.input.frames:
        return clip_training.named(given), []
    if recogniser.card.task != "detection":
        return read_pictures(given), []
    videos = [path for path in map(Path, given) if is_video(path) and not path.is_dir()]
    pictures = [path for path in map(Path, given) if path not in videos]
    return (read_pictures(pictures) if pictures or not videos else []), videos


def _explained(recogniser: Recogniser, paths: list[Path], out: Path) -> None:
    from sightline.runtime.model import Model
    from sightline.verbs import explaining

    if not isinstance(recogniser, Model):
        raise UsageError(
            f"--explain is for models that answer for whole pictures, and {recogniser.card.name} says itself what is where",
            hint="draw its answers with --save-pictures FOLDER",
        )
    if len(paths) != 1:
        raise UsageError(f"--explain draws one picture, got {len(paths)}", hint="name one picture file")
    explaining.explain(recogniser, Path(paths[0]), out)


def _watched(
    recogniser: Recogniser, videos: list[Path], folder: Path | None, failures: list[Failure], *, follow: bool
) -> tuple[VideoAnswer, ...] | None:
    """What a detector finds in each video; None without any. A bad one becomes a failure."""
    from sightline.errors import ConflictError, DataError, NotFoundError
    from sightline.runtime.detector import Detector
    from sightline.runtime.model import failure
    from sightline.verbs.video_answers import answer_video

    if not videos or not isinstance(recogniser, Detector):
        return None
    found = []
    for video in videos:
        try:
            found.append(answer_video(recogniser, video, folder, track=follow))
        except (ConflictError, DataError, NotFoundError) as error:
            failures.append(failure(str(video), error))
    return tuple(found)


def _contents(results: list[Prediction]) -> list[str]:
    """The SHA-256 of each picture that was answered."""
    from sightline.data.manifest import hashes_of

    return hashes_of([result.picture for result in results])


def show(result: Predictions) -> RenderableType:
    """A table for people: the answer, its score, the runners-up and the flags; columns that would be empty are left out."""
    from rich.table import Table
    from rich.text import Text

    rows = [*map(_row, result.results), *map(_video_row, result.videos or ())]
    rows += [(failure.picture, "failed", "", failure.error.message, failure.error.hint) for failure in result.failures]
    table = Table(box=None, pad_edge=False, header_style="bold")
    styles = {"answer": "bold", "remarks": "yellow"}
    headings = ("picture", "answer", "score", "next best", "remarks")
    shown = [place for place, _ in enumerate(headings) if place < 3 or any(row[place] for row in rows)]
    for place in shown:
        heading = headings[place]
        table.add_column(heading, justify="right" if heading == "score" else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(row[place], style=styles.get(headings[place], "")) for place in shown))
    return table


def _row(answer: Prediction) -> tuple[str, str, str, str, str]:
    """Picture, answer, score, next best, remarks."""
    if not answer.labels or answer.labels[0].placed:
        scores_of = [label.score or 0.0 for label in answer.labels]
        best = f"{max(scores_of):.1%}" if scores_of else ""
        return answer.picture, _counted(Counter(label.label for label in answer.labels)), best, "", ""
    scores = {label.label: label.score or 0.0 for label in answer.labels}
    given = answer.decision or ("none",)
    score = scores.get(given[0], answer.labels[0].score or 0.0)
    others = [f"{name} {value:.0%}" for name, value in scores.items() if name not in given and value >= 0.01][:3]
    remarks = ", ".join(_REMARKS[flag] for flag in answer.flags)
    return answer.picture, ", ".join(given), f"{score:.1%}", ", ".join(others), remarks


def _video_row(answer: VideoAnswer) -> tuple[str, str, str, str, str]:
    took = f"{answer.frames:,} frames; {answer.annotated}, {Path(answer.objects).name}"
    return answer.video, _counted(answer.counts), "", "", took


def _counted(counts: Mapping[str, int]) -> str:
    """ "3 red, 1 blue"."""
    return ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "nothing found"


_REMARKS = {"unknown": "unlike anything it was trained on", "unsure": "unsure: the score is low"}
