"""train --folds: every picture answered once, by the exported model of the fold that has not seen it.

A story without an own command. Each fold's answers lie in the run's folder as soon as they are there; a stopped one goes on.
"""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sightline import progress
from sightline.errors import DatasetError
from sightline.files import write_bytes
from sightline.measure.standings import CrossValidation
from sightline.types import Card, Dataset, Failure, Score
from sightline.verbs.trained import Validated, card_of

if TYPE_CHECKING:
    from sightline.data.survey import Survey
    from sightline.learn.fit import TrainRequest
    from sightline.verbs.outcome import Answered


def cross_validated(dataset: Dataset, seen: Survey, request: TrainRequest, run: Path, count: int) -> Validated:
    """Train one model for each fold, score it on the fold, put the answers together.

    Raises UsageError, DatasetError, StoppedError.
    """
    from sightline.learn.crossval import folds
    from sightline.verbs import outcome
    from sightline.verbs.wording import main_score

    wanted = share(request, count)
    answered: list[Answered] = []
    scores: list[Score] = []
    card: Card | None = None
    part_of = 0.0
    for number, part in enumerate(folds(dataset, seen, count, request.seed), start=1):
        place = run / "folds" / str(number)
        progress.note(f"fold {number} of {count}")
        answers, card = _fold(part, wanted, place)
        answered.append(answers)
        overall = outcome.scores_of(answers.truth, answers.probabilities, card, request.seed).overall
        scores.append(overall[main_score(overall)])
        part_of += len(part.part("train")) / len(part.items) / count
    if card is None:
        raise DatasetError("there are no folds")
    together = outcome.Answered(
        tuple(item for one in answered for item in one.items),
        np.concatenate([one.truth for one in answered]),
        np.concatenate([one.probabilities for one in answered]),
        np.concatenate([one.novelty for one in answered]),
        tuple(failure for one in answered for failure in one.failures),
    )
    overall = outcome.scores_of(together.truth, together.probabilities, card, request.seed).overall
    pictures = len(together.items)
    about = (
        f"The scores are of a {count}-fold cross-validation: about this way of training on {pictures:,} pictures, each "
        f"answered by a model that has not seen it and learnt from {part_of:.0%} of them. They are not about the final model "
        "itself, which learnt from more of them and should be at least as good."
    )
    spread = float(np.std([score.value for score in scores], ddof=1))
    summary = CrossValidation(
        folds=tuple(scores),
        overall=overall[main_score(overall)],
        spread=spread,
        pictures=pictures,
        share=round(part_of, 3),
        about=about,
    )
    return Validated(together, summary)


def share(request: TrainRequest, count: int) -> TrainRequest:
    """The request with one fold's minutes; the final model has the same. Without baselines: those would be about the few
    validation pictures, beside scores about all."""
    return replace(request, minutes=None if request.minutes is None else request.minutes / (count + 1), compare=False)


def _fold(part: Dataset, request: TrainRequest, place: Path) -> tuple[Answered, Card]:
    """The answers of one fold's model for the fold, computed or kept, and its passport."""
    from sightline.data.targets import targets
    from sightline.learn.fit import fit
    from sightline.runtime.model import Model
    from sightline.verbs import outcome

    held, passport = place / "answers.npz", place / "card.json"
    if held.is_file() and passport.is_file():
        with np.load(io.BytesIO(held.read_bytes()), allow_pickle=False) as kept:
            uris, probabilities, novelty = kept["uris"].tolist(), kept["probabilities"], kept["novelty"]
            failures = tuple(Failure.model_validate_json(text) for text in kept["failures"].tolist())
        by_uri = {item.uri: item for item in part.items}
        items = tuple(by_uri[uri] for uri in uris)
        answers = outcome.Answered(items, targets(items, part.classes, part.task), probabilities, novelty, failures)
        return answers, Card.model_validate_json(passport.read_bytes())
    trained = fit(part, request, place / "run")
    card = card_of("fold", part, trained)
    answers = outcome.answer(Model(card, trained.onnx), part.part("test"))
    content = io.BytesIO()
    np.savez(
        content,
        uris=np.array([item.uri for item in answers.items]),
        probabilities=answers.probabilities,
        novelty=answers.novelty,
        failures=np.array([failure.model_dump_json() for failure in answers.failures], dtype=np.str_),
    )
    write_bytes(passport, card.model_dump_json().encode())
    write_bytes(held, content.getvalue())
    shutil.rmtree(place / "run", ignore_errors=True)
    return answers, card
