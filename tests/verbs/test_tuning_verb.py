"""train --tune on drawn pictures: the best trial is the model, the default beside it, a page, honest words; refusals."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("optuna")

from pictures import class_folders
from sightline.errors import UsageError
from sightline.measure.trials import Choice, Tuning, TuningTrial
from sightline.measure.tuning_page import tuning_page, verdict
from sightline.runtime.bundle import read_bundle
from sightline.settings import settings
from sightline.types import Score
from sightline.verbs.train import show, train

pytestmark = pytest.mark.deep


def test_a_classic_recogniser_is_tuned(tmp_path: Path) -> None:
    class_folders(tmp_path / "photos" / "train", per_class=12)
    class_folders(tmp_path / "photos" / "test", per_class=3, seed=500)
    result = train(
        tmp_path / "photos",
        tune=True,
        trials=3,
        way="classic",
        features="colour",
        classifier="knn",
        input_size=32,
        out=tmp_path / "m",
    )
    tuning = result.tuning
    assert tuning is not None
    assert (tuning.way, tuning.measure, tuning.scored_on, len(tuning.trials)) == ("classic", "top1", "test", 3)
    assert tuning.best is not None
    assert tuning.default is not None
    assert tuning.default.trial == 0
    assert set(tuning.best.values) == {"k"}, "what was asked for is left alone"
    assert tuning.best.score == result.scores["top1"]
    assert tuning.best.validation >= tuning.default.validation
    assert "took no part in the choice" in tuning.about
    card = read_bundle(tmp_path / "m").card
    assert card.limits[0] == tuning.about
    assert card.recipe.values["k"] == tuning.best.values["k"]
    assert "the best of 3" in card.recipe.why
    kept = json.loads((tmp_path / "m" / "tuning.json").read_text())
    assert {"trials", "best", "default"} <= set(kept)
    page = (tmp_path / "m" / "tuning.html").read_text()
    assert "All trials" in page
    assert not list((settings().home / "runs").iterdir()), "nothing is left behind"
    from rich.console import Console

    console = Console(width=150, file=io.StringIO())
    console.print(show(result))
    assert "Tuning, 3 trials" in console.file.getvalue()


def test_too_few_minutes_give_the_default_and_say_so(tmp_path: Path) -> None:
    photos = class_folders(tmp_path / "photos", per_class=8)
    result = train(
        photos, tune=True, minutes=0.0005, way="scratch", size="tiny", input_size=32, plan="epochs=2", out=tmp_path / "m"
    )
    assert result.tuning is not None
    assert (result.tuning.trials, result.tuning.best) == ((), None)
    assert "too few for one trial" in result.tuning.about
    assert "Not one trial" in verdict(result.tuning)
    assert (tmp_path / "m" / "model.onnx").is_file()


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"compare": "probe,scratch"}, "--compare"),
        ({"effort": "quick"}, "--effort"),
        ({"folds": 3}, "--folds"),
        ({"search": "random"}, "--search"),
        ({"trials": 0}, "--trials"),
    ],
)
def test_what_does_not_go_together_is_refused(wishes: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        train(tmp_path, tune=True, **wishes)  # type: ignore[arg-type]


def made(states: str) -> Tuning:
    """Trials by a letter each: complete, pruned, failed."""
    trials = []
    best = None
    for number, letter in enumerate(states):
        score = 0.6 + 0.03 * ((number * 7) % 5) if letter == "c" else None
        best = max(best or 0.0, score) if score else best
        trials.append(
            TuningTrial(
                number=number,
                values={"lr": 0.001 * (number + 1) ** 2, "augment": ("none", "light")[number % 2]},
                state={"c": "complete", "p": "pruned", "f": "failed"}[letter],  # type: ignore[arg-type]
                score=score,
                epochs=2,
                seconds=10.0,
                best_so_far=best,
                why="<b>" if letter == "f" else "",
            )
        )
    top = max((one for one in trials if one.score), key=lambda one: one.score or 0)
    score = Score(value=0.7, low=0.6, high=0.8, n=100)
    return Tuning(
        way="scratch",
        measure="top1",
        scored_on="val",
        pictures=100,
        chosen_on=100,
        minutes=5,
        epochs=4,
        trials=tuple(trials),
        best=Choice(trial=top.number, values=top.values, validation=top.score or 0, score=score),
        default=Choice(trial=0, values=trials[0].values, validation=0.6, score=score),
        gain=Score(value=0.05, low=-0.01, high=0.1, n=100),
        importance={"lr": 0.8, "augment": 0.2},
        about="Chosen among them.",
    )


def test_the_page_tells_every_trial_and_escapes(tmp_path: Path) -> None:
    page = tuning_page(made("cccpcfcccc"), "signs: 10 trials", "2026-11-23")
    for word in (
        "best so far",
        "Importance",
        "score by lr",
        "Complete trials by augment",
        "stopped after 2 epochs",
        "&lt;b&gt;",
    ):
        assert word in page, word
    assert "<b>" not in page
    assert "Not distinguishable" in page
    assert "Better than the default by +5.0 points" in verdict(
        made("ccc").model_copy(update={"gain": Score(value=0.05, low=0.01, high=0.1, n=100)})
    )
    assert "failed" in tuning_page(made("fpc"), "few", "")
