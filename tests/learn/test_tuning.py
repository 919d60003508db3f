"""The search for better values on a landscape: the default first, repeatable, stopped early, gone on with when killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("optuna")

from sightline.errors import DataError, StoppedError, UsageError
from sightline.learn import knobs, tuning
from sightline.learn.fit import TrainRequest
from sightline.learn.knobs import Knob
from sightline.learn.loop import Epoch
from sightline.learn.plan import FINE_TUNE, SCRATCH
from sightline.learn.recipes import read_recipe
from sightline.learn.values import read_values, written
from sightline.measure.trials import TuningTrial

pytestmark = pytest.mark.deep
KNOBS = (
    Knob("lr", 0.01, 0.001, 0.1, log=True),
    Knob("batch", 32, choices=(16, 32, 64)),
    Knob("frozen", 2, 0, 6, whole=True),
)
EPOCHS = 4


def quality(values: dict[str, Any]) -> float:
    """The best is at lr 0.03, 16 pictures, 4 blocks."""
    import math

    rate = abs(math.log10(float(values["lr"]) / 0.03))
    return 0.9 - 0.2 * rate - 0.001 * int(values["batch"]) - 0.01 * abs(int(values["frozen"]) - 4)


def bench(attempt: Any, knobs: tuple[Knob, ...] = KNOBS) -> tuning.Bench:
    """Values travel in the request's plan; `attempt(values, place, told, stop)` answers (score, loss)."""

    def tried(request: TrainRequest, place: Path, told: tuning.Told, stop: threading.Event) -> tuple[float, float]:
        found: tuple[float, float] = attempt(dict(request.values), place, told, stop)
        return found

    def request(values: dict[str, Any], epochs: int) -> TrainRequest:
        return TrainRequest(way="scratch", values=tuple((name, str(value)) for name, value in values.items()))

    return tuning.Bench("scratch", knobs, tried, request, lambda: (EPOCHS, 1.0))


def learning(values: dict[str, Any], place: Path, told: tuning.Told, stop: threading.Event) -> tuple[float, float]:
    """Like the training loop: told of every epoch, stopped between two of them."""
    place.mkdir(parents=True, exist_ok=True)
    history: list[Epoch] = []
    for number in range(1, EPOCHS + 1):
        history.append(Epoch(number, 1.0, 0.5, 0.5, quality(values) * number / EPOCHS, 0.1))
        told(history)
        if stop.is_set() and number < EPOCHS:
            raise StoppedError("stopped")
    return quality(values), 0.5


def searched(
    run: Path, made: tuning.Bench, trials: int, minutes: float | None = None, seed: int = 0
) -> tuple[TuningTrial, ...]:
    with tuning.study_in(run, seed) as study:
        tuning.run_trials(tuning.Hunt(study, made, run, seed, EPOCHS), minutes, trials)
        return tuning.trials_of(study)


def told_apart(trials: Sequence[TuningTrial]) -> list[Any]:
    return [(one.number, one.values, one.state, one.score, one.epochs) for one in trials]


def test_the_default_goes_first_and_the_best_is_found_again(tmp_path: Path) -> None:
    first = searched(tmp_path / "a", bench(learning), 9)
    assert len(first) == 9
    assert first[0].values == {knob.name: knob.default for knob in KNOBS}
    best = tuning.best_of(first)
    assert best is not None
    assert best.score is not None
    assert best.score >= quality(first[0].values)
    assert [one.number for one in first] == list(range(9))
    assert told_apart(searched(tmp_path / "b", bench(learning), 9)) == told_apart(first), "same seed, same trials"
    assert told_apart(searched(tmp_path / "c", bench(learning), 3, seed=1))[1:] != told_apart(first)[1:3]
    kept = {folder.name for folder in (tmp_path / "a" / "trials").iterdir()}
    assert kept == {"0000", f"{best.number:04d}"}, "the weights of the others are dropped"
    assert first[-1].best_so_far == best.score


def test_hopeless_trials_are_stopped_early_and_the_default_never(tmp_path: Path) -> None:
    trials = searched(tmp_path, bench(learning), 12)
    stopped = [one for one in trials if one.state == "pruned"]
    assert stopped
    assert all(one.score is None and 0 < one.epochs < EPOCHS and "median" in one.why for one in stopped)
    assert trials[0].state == "complete"


def test_a_search_goes_on_in_slices_as_if_it_had_not_been_stopped(tmp_path: Path) -> None:
    whole = searched(tmp_path / "whole", bench(learning), 7)
    for most in (2, 7):
        parts = searched(tmp_path / "parts", bench(learning), most)
        assert len(parts) == most
    assert told_apart(parts) == told_apart(whole)


def test_ctrl_c_in_a_trial_keeps_its_place(tmp_path: Path) -> None:
    presses = iter([False, False, True])

    def pressed(values: dict[str, Any], place: Path, told: tuning.Told, stop: threading.Event) -> tuple[float, float]:
        if next(presses, False):
            told([Epoch(1, 1.0, 0.5, 0.5, 0.1, 0.1)])
            raise StoppedError("Ctrl-C")
        return learning(values, place, told, stop)

    with pytest.raises(StoppedError):
        searched(tmp_path / "a", bench(pressed), 6)
    gone_on = searched(tmp_path / "a", bench(learning), 6)
    assert len(gone_on) == 6
    whole = searched(tmp_path / "b", bench(learning), 6)
    assert [one.values for one in gone_on] == [one.values for one in whole]


def test_a_failing_trial_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    def sometimes(values: dict[str, Any], place: Path, told: tuning.Told, stop: threading.Event) -> tuple[float, float]:
        if float(values["lr"]) > 0.02:
            raise DataError("the loss is not a number")
        return quality(values), 0.1

    trials = searched(tmp_path, bench(sometimes), 10)
    failed = [one for one in trials if one.state == "failed"]
    assert failed
    assert all("not a number" in one.why and one.score is None for one in failed)
    best = tuning.best_of(trials)
    assert best is not None
    assert best.state == "complete"


def test_when_nothing_works_it_ends(tmp_path: Path) -> None:
    def never(*_: Any) -> tuple[float, float]:
        raise DataError("broken")

    trials = searched(tmp_path, bench(never), 50)
    assert len(trials) == 5
    assert tuning.best_of(trials) is None


def test_no_time_left_means_no_further_trial(tmp_path: Path) -> None:
    def slow(values: dict[str, Any], place: Path, told: tuning.Told, stop: threading.Event) -> tuple[float, float]:
        time.sleep(0.05)
        return quality(values), 0.1

    trials = searched(tmp_path, bench(slow), 50, minutes=0.0001)
    assert [one.state for one in trials] == ["complete"], "the default alone"


def test_epochs_are_fitted_to_the_minutes_once(tmp_path: Path) -> None:
    with tuning.study_in(tmp_path, 0) as study:
        made = bench(learning)
        assert tuning._epochs(study, made, 1.0) == EPOCHS
        assert tuning._epochs(study, made, 0.001) == EPOCHS, "decided when it began"
    with tuning.study_in(tmp_path / "short", 0) as study:
        assert tuning._epochs(study, bench(learning), 0.2) == 3
    with tuning.study_in(tmp_path / "none", 0) as study:
        assert tuning._epochs(study, bench(learning), 0.05) == 0


def test_of_equal_scores_the_least_loss_then_the_earliest() -> None:
    def made(number: int, score: float | None, loss: float) -> TuningTrial:
        return TuningTrial(
            number=number, values={}, state="complete" if score is not None else "pruned", score=score, loss=loss
        )

    trials = [made(0, 0.8, 0.5), made(1, None, 0.0), made(2, 0.9, 0.4), made(3, 0.9, 0.3), made(4, 0.9, 0.3)]
    best = tuning.best_of(trials)
    assert best is not None
    assert best.number == 3
    assert tuning.best_of(trials[1:2]) is None


def test_importance_is_a_share_of_each_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def only_rate(values: dict[str, Any], place: Path, told: tuning.Told, stop: threading.Event) -> tuple[float, float]:
        return quality({**values, "batch": 16, "frozen": 4}), 0.1

    with tuning.study_in(tmp_path, 0) as study:
        hunt = tuning.Hunt(study, bench(only_rate), tmp_path, 0, EPOCHS)
        tuning.run_trials(hunt, None, 9)
        assert tuning.importance_of(study) == {}, "nine are too few: on this landscape twelve named the wrong value"
        monkeypatch.setattr(tuning, "ENOUGH", 8)
        found = tuning.importance_of(study)
    assert set(found) == {knob.name for knob in KNOBS}
    assert sum(found.values()) == pytest.approx(1, abs=0.01)


KILLED = """
import sys, time
from pathlib import Path
sys.path[:0] = [{here!r}, {tests!r}]
import test_tuning as t

def slow(values, place, told, stop):
    (Path({run!r}) / "begun").open("a").write("x")
    time.sleep({seconds})
    return t.learning(values, place, told, stop)

for one in t.searched(Path({run!r}), t.bench(slow), 6):
    print(one.number, sorted(one.values.items()), one.state, one.score)
"""


def test_killed_it_goes_on_and_counts_nothing_twice(tmp_path: Path) -> None:
    here = Path(__file__).parent

    def started(run: Path, seconds: float) -> subprocess.Popen[str]:
        run.mkdir(exist_ok=True)
        code = KILLED.format(here=str(here), tests=str(here.parent), run=str(run), seconds=seconds)
        return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)

    run = tmp_path / "killed"
    process = started(run, 0.4)
    until = time.monotonic() + 120
    while not (run / "begun").exists() or (run / "begun").stat().st_size < 3:
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with tuning.study_in(run, 0) as study:
        states = [trial.state.name for trial in study.get_trials()]
        assert len(tuning.trials_of(study)) == 2
    assert states == ["COMPLETE", "COMPLETE", "RUNNING"]
    again, _ = started(run, 0).communicate()
    whole, _ = started(tmp_path / "whole", 0).communicate()
    assert len(again.splitlines()) == 6
    assert again == whole


def test_values_of_a_network_mean_a_request_with_the_default_as_it_is() -> None:
    found = knobs.network_knobs(TrainRequest(), FINE_TUNE, 8, 1000, several=False)
    named = {knob.name for knob in found}
    assert named >= {"lr", "weight_decay", "layer_decay", "label_smoothing", "ema", "batch", "augment", "mixup", "frozen"}
    values = {knob.name: knob.default for knob in found}
    request = knobs.asked_for(TrainRequest(minutes=3), "fine-tune", values, "", 7)
    assert (request.way, request.minutes, request.augment) == ("fine-tune", None, None)
    assert dict(request.values)["lr"] == "0.001"
    assert dict(request.values)["epochs"] == "7"
    assert read_values(written(request.values)) == request.values, "what --plan would take"
    for knob in found:
        assert knob.default in knob.choices if knob.choices else knob.low <= float(knob.default) <= knob.high
    mixed = knobs.asked_for(TrainRequest(), "scratch", {**values, "mixup": 0.3}, knobs.usual_changes(SCRATCH), 7)
    assert mixed.augment is not None
    assert read_recipe(mixed.augment).amounts["mixup"] == 0.3
    assert "flip" not in mixed.augment


def test_what_a_person_names_is_not_searched() -> None:
    asked = TrainRequest(values=(("batch", "8"), ("lr", "0.5")), augment="light")
    found = knobs.network_knobs(asked, SCRATCH, 0, 1000, several=True)
    assert {knob.name for knob in found} == {"weight_decay", "ema"}
    request = knobs.asked_for(asked, "scratch", {"weight_decay": 0.01, "ema": 0.9}, "", 4)
    assert (request.augment, dict(request.values)["batch"]) == ("light", "8")
    classic = knobs.classic_knobs(TrainRequest(classifier="knn", input_size=64), 64, {"k": 5})
    assert [(knob.name, knob.default, knob.whole) for knob in classic] == [("k", 5, True)]
    told = knobs.asked_for(TrainRequest(classifier="knn"), "classic", {"k": 7, "input_size": 96}, "", 0)
    assert (told.setting, told.input_size) == ((("k", 7.0),), 96)


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(UsageError, match="--trials"):
        tuning.check(TrainRequest(), 0)
    with pytest.raises(UsageError, match="clip"):
        tuning.check(TrainRequest(way="clip"), None)  # type: ignore[arg-type]
