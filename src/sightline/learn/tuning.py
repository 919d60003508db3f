"""The search for better values: trials chosen by TPE, hopeless ones stopped early, all kept in an SQLite study on the disk.

The first trial is the default, so that nothing is lost by searching. A killed search goes on: a trial under way is taken up
where it was, none is counted twice. What a trial samples depends on the seed and the trials before it alone. Knows no files
of models; which values there are is said in knobs.py.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline import progress
from sightline.errors import DataError, StoppedError, UsageError, missing_extra
from sightline.learn import knobs, ways
from sightline.learn.fit import TrainRequest, material_of, prepared_for, start_of
from sightline.learn.knobs import Knob
from sightline.learn.ways import Learned, Material, loss_of, main_score
from sightline.measure.trials import Setting, TuningTrial
from sightline.types import Dataset

if TYPE_CHECKING:
    import optuna

    from sightline.learn.backbones import Start
    from sightline.learn.loop import Epoch

MINUTES = 20.0  # where nobody says how long
WAYS = ("probe", "fine-tune", "scratch", "classic")
SHARE = 0.85  # of the minutes; the rest is for finishing the best model and the default
WHOLE = 3  # trials of full length that the minutes must hold: else all trials are made shorter
WORTH = 3  # epochs below which a network's training tells nothing
RANDOM = 6  # trials, the default among them, before the estimator has something to go by
PATIENT = 4  # complete trials before one may be stopped for being below the median
MOST = 100  # trials, however much time there is: more would fit the validation pictures
ENOUGH = 20  # complete trials from which it can be said what mattered: on a made-up landscape 12 named the wrong value
TIE = 1e-3  # of the loss in the objective: it decides between equal scores
STUDY = "tuning"

Told = Callable[[Sequence["Epoch"]], None]
Attempt = Callable[[TrainRequest, Path, Told, threading.Event], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Bench:
    """What all trials of a search share."""

    way: str
    knobs: tuple[Knob, ...]
    attempt: Attempt  # (score, loss) of a request, trained in a folder
    request: Callable[[dict[str, Setting], int], TrainRequest]
    epoch_seconds: Callable[[], tuple[int, float]]  # epochs of the default, and measured seconds for one; (0, 0): no epochs


@dataclass(frozen=True, slots=True)
class Searched:
    way: str
    why: str
    trials: tuple[TuningTrial, ...]
    epochs: int
    importance: dict[str, float]
    request: Callable[[TuningTrial], TrainRequest]
    place: Callable[[TuningTrial], Path]  # where the trial's training lies; kept for the best and the default only
    minutes_left: float | None

    @property
    def best(self) -> TuningTrial | None:
        return best_of(self.trials)


def check(request: TrainRequest, trials: int | None) -> None:
    """UsageError for what cannot be searched."""
    if trials is not None and trials < 1:
        raise UsageError(f"--trials must be 1 or more, got {trials}")
    if request.way not in ("auto", *WAYS):
        raise UsageError(f"--tune knows no values of --way {request.way}", hint=f"ways that it knows: {', '.join(WAYS)}")


def best_of(trials: Sequence[TuningTrial]) -> TuningTrial | None:
    """The highest score; of equals the least loss, then the earliest."""
    there = [one for one in trials if one.state == "complete" and one.score is not None]
    return max(there, key=lambda one: (one.score or 0.0, -(one.loss or 0.0), -one.number)) if there else None


def search(dataset: Dataset, request: TrainRequest, run: Path, *, minutes: float | None, trials: int | None) -> Searched:
    """Try values within the minutes (SHARE of them) or the number of trials, whichever ends first. `run` keeps the study.

    Raises what `fit` raises, MissingExtraError without Optuna, StoppedError: the same call goes on.
    """
    material = material_of(dataset, request.seed)
    start = None if request.way == "classic" else start_of(request)
    way, why = _way(request, start)
    progress.note(f"tuning {why}")
    bench = _bench(material, start, replace(request, compare=False), way)
    with study_in(run, request.seed) as study:
        epochs = _epochs(study, bench, minutes)
        if epochs or way in ("probe", "classic"):
            run_trials(Hunt(study, bench, run, request.seed, epochs), minutes, trials)
        spent = float(study.user_attrs.get("spent", 0.0)) / 60
        return Searched(
            way,
            why,
            trials_of(study),
            epochs,
            importance_of(study),
            lambda trial: bench.request(trial.values, epochs),
            lambda trial: _place(run, trial.number),
            None if minutes is None else max(minutes - spent, 0.05 * minutes),
        )


def _way(request: TrainRequest, start: Start | None) -> tuple[str, str]:
    if request.way != "auto":
        return request.way, f"{request.way}: asked for"
    if start is None:
        return "scratch", "a network from scratch: no pretrained weights are at hand"
    from sightline.learn.reproduce import training_device

    if training_device().type != "cpu":
        return "fine-tune", f"the fine-tuning of {start.name}: there are weights and a GPU"
    return "probe", f"a head on the frozen features of {start.name}: without a GPU; --way fine-tune tunes the whole network"


# --- the study


@contextmanager
def study_in(run: Path, seed: int) -> Iterator[optuna.Study]:
    """The study in `run`, begun or gone on with."""
    try:
        import optuna
    except ImportError as error:
        raise missing_extra("deep", "--tune") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    run.mkdir(parents=True, exist_ok=True)
    storage = optuna.storages.RDBStorage(f"sqlite:///{run / 'study.db'}")
    try:
        pruner = optuna.pruners.MedianPruner(n_startup_trials=PATIENT, n_warmup_steps=2)
        sampler = optuna.samplers.RandomSampler(seed)  # replaced before each trial
        yield optuna.create_study(
            storage=storage, study_name=STUDY, direction="maximize", load_if_exists=True, pruner=pruner, sampler=sampler
        )
    finally:
        storage.remove_session()
        storage.engine.dispose()


def trials_of(study: optuna.Study) -> tuple[TuningTrial, ...]:
    """Every trial that ended, in the order of time, numbered from 0; what a kill left half chosen is not counted."""
    found: list[TuningTrial] = []
    best: float | None = None
    for number, trial in enumerate(_ended(study)):
        facts = trial.user_attrs
        score = facts.get("score")
        if score is not None and facts["state"] == "complete":
            best = score if best is None else max(best, score)
        values = {name: trial.params[name] for name in trial.params}
        found.append(
            TuningTrial(
                number=number,
                values=values,
                state=facts["state"],
                score=score,
                loss=facts.get("loss"),
                epochs=len(trial.intermediate_values),
                seconds=round(facts.get("seconds", 0.0), 2),
                best_so_far=best,
                why=facts.get("why", ""),
            )
        )
    return tuple(found)


def _ended(study: optuna.Study) -> list[Any]:
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished() and "state" in trial.user_attrs]


def importance_of(study: optuna.Study) -> dict[str, float]:
    """How much of what separates good trials from the others each value explains (PED-ANOVA, arXiv 2304.10255); sums to 1."""
    import optuna

    complete = [trial for trial in _ended(study) if trial.state == optuna.trial.TrialState.COMPLETE]
    if len(complete) < ENOUGH or len({trial.value for trial in complete}) < 2:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: round(float(share), 4) for name, share in found.items()}


def _distribution(knob: Knob) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if knob.choices:
        return CategoricalDistribution(knob.choices)
    if knob.whole:
        return IntDistribution(int(knob.low), int(knob.high), log=knob.log)
    return FloatDistribution(knob.low, knob.high, log=knob.log)


def _next(study: optuna.Study, bench: Bench, seed: int) -> optuna.Trial:
    """The trial that a kill left under way, or the next one, chosen from the seed and what has ended."""
    import optuna

    from sightline.learn.reproduce import seed_of

    space = {knob.name: _distribution(knob) for knob in bench.knobs}
    for left in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        if set(left.params) == set(space):
            return optuna.trial.Trial(study, left._trial_id)
        study.tell(left.number, state=optuna.trial.TrialState.FAIL)  # killed while its values were chosen
    done = len(_ended(study))
    drawn = seed_of(seed, "tuning", done) % 2**32
    study.sampler = optuna.samplers.TPESampler(seed=drawn, multivariate=True, n_startup_trials=RANDOM)
    if not done and not study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,)):
        study.enqueue_trial({knob.name: knob.default for knob in bench.knobs})
    return study.ask(space)


# --- trials


def _epochs(study: optuna.Study, bench: Bench, minutes: float | None) -> int:
    """Epochs of every trial, decided once: the default's, or fewer where the minutes hold less than WHOLE; 0: none fits."""
    kept = study.user_attrs.get("epochs")
    if kept is not None:
        return int(kept)
    wished, seconds = bench.epoch_seconds()
    epochs = wished
    if minutes is not None and wished:
        affordable = int(minutes * 60 * SHARE / max(seconds, 1e-6) / WHOLE)
        epochs = min(wished, affordable)
        if epochs < min(WORTH, wished):
            epochs = 0
        elif epochs < wished:
            progress.note(f"{epochs} epochs a trial instead of {wished}, so that several fit; more --minutes allow more")
    study.set_user_attr("epochs", epochs)
    return epochs


@dataclass(frozen=True, slots=True)
class Hunt:
    """A search under way."""

    study: optuna.Study
    bench: Bench
    run: Path
    seed: int
    epochs: int


def run_trials(hunt: Hunt, minutes: float | None, trials: int | None) -> None:
    study = hunt.study
    limit = None if minutes is None else minutes * 60 * SHARE
    most = min(trials or MOST, MOST) if minutes is not None else trials or MOST
    with progress.task("Tuning", most if limit is None else round(limit / 60, 2)) as work:
        while len(found := trials_of(study)) < most:
            spent = float(study.user_attrs.get("spent", 0.0))
            work.done = len(found) if limit is None else min(spent, limit) / 60
            best = best_of(found)
            said = "the default first" if best is None else f"best so far {best.score:.1%} (trial {best.number})"
            work.advance(0, f"trial {len(found)}: {said}")
            if limit is not None and found and limit - spent < 0.3 * found[0].seconds:
                break  # not even a trial that is stopped early fits
            if len(found) >= 5 and best is None:
                break  # nothing works: the default's error is told by training it
            _try(hunt, None if limit is None else limit - spent)
            _tidy(hunt.run, trials_of(study))


def _try(hunt: Hunt, seconds: float | None) -> None:
    """One trial to its end: complete, stopped because hopeless or out of time, or failed."""
    import optuna

    study, number = hunt.study, len(_ended(hunt.study))
    trial = _next(study, hunt.bench, hunt.seed)
    begun, before = time.monotonic(), float(study.user_attrs.get("spent", 0.0))
    earlier = float(trial.user_attrs.get("seconds", 0.0))
    stop, verdict = threading.Event(), [""]

    def clock() -> float:
        now = time.monotonic() - begun
        study.set_user_attr("spent", before + now)
        trial.set_user_attr("seconds", earlier + now)
        return now

    def told(history: Sequence[Epoch]) -> None:
        """Of each epoch: its score is reported once, however often the training was killed."""
        known = study.get_trials(deepcopy=False)[trial.number].intermediate_values
        for epoch in history:
            if epoch.number not in known:
                trial.report(_worth(epoch), epoch.number)
        late = seconds is not None and clock() > seconds
        if number and len(history) < hunt.epochs:  # the default is always trained to its end
            verdict[0] = "below the median of the trials before" if trial.should_prune() else "out of time" if late else ""
            if verdict[0]:
                stop.set()

    request = hunt.bench.request(dict(trial.params), hunt.epochs)
    ended: dict[str, Any]
    try:
        score, loss = hunt.bench.attempt(request, _place(hunt.run, number), told, stop)
    except StoppedError:
        clock()
        if not verdict[0]:
            raise  # Ctrl-C
        ended, state, value = {"state": "pruned", "why": verdict[0]}, optuna.trial.TrialState.PRUNED, None
    except (DataError, UsageError) as error:
        progress.note(f"trial {number} failed: {error.message}")
        ended, state, value = {"state": "failed", "why": error.message}, optuna.trial.TrialState.FAIL, None
    else:
        ended, state = {"state": "complete", "score": score, "loss": loss}, optuna.trial.TrialState.COMPLETE
        value = score - TIE * min(loss, 100.0)
    clock()
    for name, fact in ended.items():
        trial.set_user_attr(name, fact)
    study.tell(trial, value, state=state)


def _worth(epoch: Epoch) -> float:
    """One epoch's objective: the share right; without one, minus the loss."""
    loss = min(epoch.val_loss if epoch.val_loss is not None else 100.0, 100.0)
    return -loss if epoch.val_accuracy is None else epoch.val_accuracy - TIE * loss


def _place(run: Path, number: int) -> Path:
    return run / "trials" / f"{number:04d}"


def _tidy(run: Path, trials: Sequence[TuningTrial]) -> None:
    """Only the best trial's weights and the default's are kept."""
    best = best_of(trials)
    kept = {_place(run, 0)} | ({_place(run, best.number)} if best else set())
    for folder in {_place(run, trial.number) for trial in trials} - kept:
        shutil.rmtree(folder, ignore_errors=True)


# --- what is tried


def _bench(material: Material, start: Start | None, request: TrainRequest, way: str) -> Bench:
    if way == "classic":
        return _classic_bench(material, request)
    if way == "probe" and start is not None:
        return _probe_bench(material, start, request)
    return _network_bench(material, start if way == "fine-tune" else None, request, way)


def _settled(learned: Learned) -> tuple[float, float]:
    score, loss = learned.score()
    return score, -loss


def _classic_bench(material: Material, request: TrainRequest) -> Bench:
    from sightline.learn.classic import way as classic

    wish = classic.wish(request.features, request.classifier)

    def learned(asked: TrainRequest) -> Learned:
        spec = classic.spec_of(wish, asked.input_size, asked.fit).model_copy(update={"steps": asked.steps})
        return classic.by_classic(material, wish, spec, dict(asked.setting) or None)

    default = learned(request)
    found = knobs.classic_knobs(request, default.spec.size, default.values)
    return Bench(
        "classic",
        found,
        lambda asked, _place, _told, _stop: _settled(learned(asked)),
        lambda values, epochs: knobs.asked_for(request, "classic", values, "", epochs),
        lambda: (0, 0.0),
    )


def _probe_bench(material: Material, start: Start, request: TrainRequest) -> Bench:
    def learned(asked: TrainRequest) -> Learned:
        there = start_of(asked) or start
        return ways.by_probe(material, there, asked.balance, dict(asked.setting).get("C"))

    strength = float(ways.by_probe(material, start, request.balance).values["regularisation"])
    found = knobs.probe_knobs(request, material, start.input.size, strength)
    return Bench(
        "probe",
        found,
        lambda asked, _place, _told, _stop: _settled(learned(asked)),
        lambda values, epochs: knobs.asked_for(request, "probe", values, "", epochs),
        lambda: (0, 0.0),
    )


def _network_bench(material: Material, start: Start | None, request: TrainRequest, way: str) -> Bench:
    from sightline.learn.loop import train_network
    from sightline.learn.network import depth_groups
    from sightline.learn.step import epoch_seconds, logits_of

    probe = None if start is None else ways.by_probe(material, start, request.balance)
    default = prepared_for(material, start, replace(request, way=way), probe)  # type: ignore[arg-type]
    blocks = len(depth_groups(default.network)) - 1 if start else 0
    pictures, several = len(default.data.images), material.task == "multilabel"
    usual = knobs.usual_changes(default.plan)

    def attempt(asked: TrainRequest, place: Path, told: Told, stop: threading.Event) -> tuple[float, float]:
        ready = prepared_for(material, start, asked, probe)
        train_network(ready.network, ready.data, ready.plan, place / way, stop=stop, on_epoch=told)
        logits = logits_of(ready.network, ready.data.val_images)
        truth = ready.data.val_targets.astype("int64")
        return main_score(truth, logits, material.task), loss_of(truth, logits, material.task)

    return Bench(
        way,
        knobs.network_knobs(request, default.plan, blocks, pictures, several=several),
        attempt,
        lambda values, epochs: knobs.asked_for(request, way, values, usual, epochs),
        lambda: (default.plan.epochs, epoch_seconds(default.network, default.data, default.plan)),
    )
