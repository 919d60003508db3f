"""predict: say what is in pictures, with a score for every class. Needs only the base install."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import field_serializer

from sightline.errors import UsageError
from sightline.types import Failure, Prediction, Record

if TYPE_CHECKING:
    from rich.console import RenderableType


class Predictions(Record):
    """Answers in the order of the pictures, and the pictures that could not be answered."""

    results: tuple[Prediction, ...]
    failures: tuple[Failure, ...]

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
) -> Predictions:
    """Say what is in pictures.

    Args:
        pictures: Picture files, or folders of them.
        model: A model's folder, zip or name; by default the one trained last.
        top: How many labels to give for each picture; by default all of them.
        keep: Keep the answers in the workspace, beside the truth: `sightline data show NAME` compares the two.
        explain: Draw on what the answer for one picture rests, and what a classic recogniser sees, into this PNG file.
    """
    from sightline.data.readers import read_pictures
    from sightline.progress import track
    from sightline.runtime.model import load
    from sightline.verbs import clip_training, resolve

    if top is not None and top < 1:
        raise UsageError(f"--top must be at least 1, got {top}")
    store = resolve.workspace("keeping answers") if keep else None
    recogniser = load(resolve.model(model))
    paths = clip_training.named(pictures) if recogniser.card.input.frames else read_pictures(pictures)
    if explain is not None:
        from sightline.verbs import explaining

        if len(paths) != 1:
            raise UsageError(f"--explain draws one picture, got {len(paths)}", hint="name one picture file")
        explaining.explain(recogniser, Path(paths[0]), explain)
    results: list[Prediction] = []
    failures: list[Failure] = []
    for answer in track(recogniser.predict_many(paths, top), "Predicting", len(paths)):
        if isinstance(answer, Prediction):
            results.append(answer)
        else:
            failures.append(answer)
    if store is not None:
        from sightline.store import predictions

        predictions.put(store, recogniser.card.id, dict(zip(_contents(results), results, strict=True)))
    return Predictions(results=tuple(results), failures=tuple(failures))


def _contents(results: list[Prediction]) -> list[str]:
    """The SHA-256 of each picture that was answered."""
    from sightline.data.manifest import hashes_of

    return hashes_of([result.picture for result in results])


def show(result: Predictions) -> RenderableType:
    """A table for people: the answer, its score, the runners-up and the flags; columns that would be empty are left out."""
    from rich.table import Table
    from rich.text import Text

    rows = [*map(_row, result.results)]
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
    scores = {label.label: label.score or 0.0 for label in answer.labels}
    given = answer.decision or ("none",)
    score = scores.get(given[0], answer.labels[0].score or 0.0)
    others = [f"{name} {value:.0%}" for name, value in scores.items() if name not in given and value >= 0.01][:3]
    remarks = ", ".join(_REMARKS[flag] for flag in answer.flags)
    return answer.picture, ", ".join(given), f"{score:.1%}", ", ".join(others), remarks


_REMARKS = {"unknown": "unlike anything it was trained on", "unsure": "unsure: the score is low"}
