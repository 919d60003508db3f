"""From a divided dataset to a trained, calibrated, exported model: checks the data, chooses the way, tells the story.

The test split is never looked at; validation pictures choose and are scored, they are not trained on. `verbs/train.py` stores
the result; nothing here knows files of models.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from sightline import progress
from sightline.data.targets import targets
from sightline.errors import DatasetError, UsageError, missing_extra
from sightline.learn import own, ways
from sightline.learn import teacher as teaching
from sightline.learn.backbones import Fit, Start, can_build, choose, missing, named
from sightline.learn.balance import Balance
from sightline.learn.baseline import baselines
from sightline.learn.finish import Trained, finish
from sightline.learn.layerwise import denoiser as denoising
from sightline.learn.layerwise.names import layered
from sightline.learn.recipes import read_recipe
from sightline.learn.values import Values, written
from sightline.learn.ways import Learned, Material, Prepared
from sightline.learn.writers import Log
from sightline.learn.zoo import names
from sightline.types import Dataset, InputSpec, Recipe, Score, Size, Way

TRAINING_SHARE = 0.8  # of --minutes; the rest is for decoding, calibration and export


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """What a person asks for. None: decided from data, hardware and time, and written into the recipe."""

    size: Size = "small"
    way: Literal["auto"] | Way = "auto"
    minutes: float | None = None
    seed: int = 0
    backbone: str | None = None  # a name of the zoo, or any of timm's
    input_size: int | None = None  # pixels a side
    fit: Fit | None = None  # how a picture becomes square
    flip: bool | None = None  # mirrored copies while a network trains
    features: str | None = None  # way "classic": what is looked at; hog
    classifier: str | None = None  # way "classic": who decides; svm
    steps: tuple[str, ...] = ()  # the model's own preprocessing (runtime/adjust.py)
    augment: str | None = None  # a recipe of changes while a network trains (recipes.py)
    balance: Balance = "auto"  # small classes beside large ones
    setting: tuple[tuple[str, float], ...] = ()  # of the head (C) or the classifier, instead of choosing by cross-validation
    compare: bool = True  # with the simple baselines
    cell: Literal["gru", "lstm"] = "gru"  # way "clip": what remembers
    frames: int = 16  # way "clip": how many of a clip are looked at
    teacher: Path | None = None  # a bundle whose answers a network learns from, too (teacher.py)
    log: Log | None = None  # who is told of every epoch of a network (writers.py)
    pretrain: str | None = None  # ways "dbn", "autoencoder": a folder of pictures without labels
    denoiser: str | None = None  # a bundle of way "autoencoder", in front of the network (layerwise/denoiser.py)
    values: Values = ()  # of a network's training, by name and as written, sorted (values.py): ("lr", "0.003")


def fit(dataset: Dataset, request: TrainRequest, run: Path, *, salvage: bool = False) -> Trained:
    """Train on the dataset's train split. `run` is the folder of this training: a stopped one goes on when called again. With
    `salvage` a network's training that broke down after an epoch ends as its best weights, and `Trained.broken` says so.

    Raises DatasetError (one class, too few pictures), DataError (weights), ParityError, StoppedError, MissingExtraError.
    """
    seconds: dict[str, float] = {}
    material = material_of(dataset, request.seed)
    layered(
        request.way,
        pretrain=request.pretrain,
        denoiser=request.denoiser,
        backbone=request.backbone,
        input_size=request.input_size,
    )
    if request.augment is not None:
        read_recipe(request.augment)  # said to be impossible before anything is computed
    if request.teacher is not None:
        teaching.check(request.teacher, material.classes, material.task, request.steps)
    if not can_build() and not _frozen(request):
        raise missing_extra("deep", "training a network")
    if request.way == "classic":
        return _classic(material, request, seconds)
    if request.denoiser is not None:
        material = replace(material, denoiser=denoising.read(request.denoiser))
    if request.way in ("dbn", "autoencoder"):
        return _layerwise(material, request, run, seconds)
    if request.backbone:
        names.check(request.backbone)
    with progress.timed(seconds, "choosing"):
        start = start_of(request)
    if request.way == "clip":
        from sightline.learn.clips.way import fit_clips

        with progress.timed(seconds, "training"):
            trained = fit_clips(material, start, request, run)
        return replace(trained, seconds=seconds)
    with progress.timed(seconds, "training"):
        learned, why = _learn(material, start, request, run)
    if learned.broken and not salvage:
        raise learned.broken
    if start is not None and start.why:
        why += f" ({start.why})"
    return _finished(learned, material, _recipe(learned, request, why), request, seconds)


def _frozen(request: TrainRequest) -> bool:
    """Whether nothing but a head is trained, on frozen features of the backbone in the package: that needs no torch."""
    other = request.teacher or request.denoiser or request.values or request.log
    return request.way in ("auto", "probe") and request.backbone in (None, own.NAME) and not other


def start_of(request: TrainRequest) -> Start | None:
    """The pretrained network to start from; None: from scratch. UsageError where the way needs weights and has none."""
    if request.way == "scratch":
        return None
    size, fit = request.input_size, request.fit or "pad"
    start = named(request.backbone, size, fit) if request.backbone else choose(request.size, size, fit)
    if start is None and request.backbone and request.way in ("probe", "fine-tune"):
        raise UsageError(
            f"--way {request.way} needs pretrained weights, and {missing(request.backbone)}",
            hint="put a NAME.safetensors into the folder SIGHTLINE_WEIGHTS, let the hub be asked, or use --way scratch",
        )
    if start is not None and request.steps:
        start = replace(start, input=start.input.model_copy(update={"steps": request.steps}))
    return start


def _classic(material: Material, request: TrainRequest, seconds: dict[str, float]) -> Trained:
    """Hand-made features and a classifier of the textbooks."""
    from sightline.learn.classic import way as classic

    asked = classic.wish(request.features, request.classifier)
    spec = classic.spec_of(asked, request.input_size, request.fit).model_copy(update={"steps": request.steps})
    with progress.timed(seconds, "training"):
        learned = classic.by_classic(material, asked, spec, dict(request.setting) or None)
    why = f"{asked.classifier} on {asked.features} features: asked for"
    recipe = _recipe(learned, request, why).model_copy(update={"backbone": f"{asked.features} + {asked.classifier}"})
    return _finished(learned, material, recipe, request, seconds)


def _layerwise(material: Material, request: TrainRequest, run: Path, seconds: dict[str, float]) -> Trained:
    """Layers that learn without labels first."""
    from sightline.learn.layerwise import way as layerwise

    with progress.timed(seconds, "training"):
        learned, why = layerwise.by_layers(material, request, run, _wishes(request))
    recipe = _recipe(learned, request, why).model_copy(update={"backbone": f"{request.way}-{request.size}"})
    return _finished(learned, material, recipe, request, seconds)


def _finished(
    learned: Learned, material: Material, recipe: Recipe, request: TrainRequest, seconds: dict[str, float]
) -> Trained:
    """Calibrated, exported, proved, and with the yardsticks beside it."""
    with progress.timed(seconds, "finishing"):
        trained = finish(learned, material, recipe)
    with progress.timed(seconds, "baselines"):
        lower = _baselines(learned, material, request)
    return replace(trained, baselines=lower, seconds=seconds, broken=learned.broken)


def material_of(dataset: Dataset, seed: int) -> Material:
    """The pictures to learn from; refuses data that no recogniser can be made of."""
    train, val = dataset.part("train"), dataset.part("val")
    if dataset.task != "multilabel":
        train, val = (tuple(item for item in part if item.labels) for part in (train, val))
        if len(dataset.classes) < 2:
            only = f" ({dataset.classes[0]})" if dataset.classes else ""
            raise DatasetError(
                f"all pictures have one label{only}: there is nothing to tell apart",
                hint="add a folder of pictures of something else, such as other/",
            )
    counts = Counter(label for item in (*train, *val) for label in set(item.labels))
    rare = [name for name in dataset.classes if counts[name] < 2]
    if rare:
        names = ", ".join(f"{name} ({counts[name]})" for name in rare[:5])
        raise DatasetError(
            f"{len(rare)} of {len(dataset.classes)} classes have fewer than 2 pictures: {names}",
            hint="add pictures of them (20 or more of each is a good start), or leave these classes out",
            detail={"classes": rare},
        )
    learnt = {label for item in train for label in item.labels}
    untaught = [name for name in dataset.classes if name not in learnt]
    if untaught:
        raise DatasetError(
            f"no training picture shows {', '.join(untaught[:5])}", hint="move some of its pictures into the train part"
        )
    if len(train) < 4 or not val:
        raise DatasetError(
            f"too few pictures: {len(train)} to train and {len(val)} to validate", hint="add pictures, 20 or more of each class"
        )
    return Material(train, val, dataset.classes, dataset.task, seed)


def _learn(material: Material, start: Start | None, request: TrainRequest, run: Path) -> tuple[Learned, str]:
    """The way, gone; with the sentence that says why it was this one."""
    minutes = None if request.minutes is None else request.minutes * TRAINING_SHARE
    if start is None:
        prepared = prepared_for(material, None, request, None)
        asked = "asked for" if request.way == "scratch" else "no pretrained weights are at hand"
        named = request.backbone or "a small network"
        learned = ways.by_network(material, prepared, minutes, run / "scratch", request.log, salvage=True)
        return learned, f"{named} from scratch: {asked}"
    probe = ways.by_probe(material, start, request.balance, dict(request.setting).get("C"))
    because = _instead(request)
    if request.way == "probe" or because:
        if request.augment is not None:
            progress.note("--augment has no effect: a head on frozen features learns from unchanged pictures")
        if request.balance == "focal":
            progress.note("--balance focal has no effect: a head on frozen features weighs classes where they differ much")
        if request.values:
            progress.note("--plan has no effect: a head on frozen features has no such values")
        asked = "asked for" if request.way == "probe" else because
        return probe, f"a linear head on the frozen features of {start.name}: {asked}"
    prepared = prepared_for(material, start, request, probe)
    begun = (run / "fine-tune" / "plan.json").exists()
    if request.way == "auto" and minutes is not None and not begun:
        epochs = ways.epochs_within(prepared, minutes)
        if epochs < ways.WORTH:
            left = f"{request.minutes:g} minutes are enough for {epochs} epochs of fine-tuning, which needs {ways.WORTH}"
            return probe, f"a linear head on the frozen features of {start.name}: {left}"
    tuned = ways.by_network(material, prepared, minutes, run / "fine-tune", request.log, salvage=True)
    learned, why = _better(tuned, probe, start)
    return (replace(learned, broken=tuned.broken) if request.way == "fine-tune" else learned), why


def prepared_for(material: Material, start: Start | None, request: TrainRequest, probe: Learned | None) -> Prepared:
    """The network that the request means, with its data and plan; from scratch without a `start`."""
    if start is not None:
        prepared = ways.prepare_network(material, start, request.size, spec=None, probe=probe, **_wishes(request))
        return ways.taught(prepared, material, request.teacher)
    spec = InputSpec(
        size=request.input_size or names.scratch_size(request.backbone) or 64, fit=request.fit or "pad", steps=request.steps
    )
    prepared = ways.prepare_network(
        material, None, request.size, spec=spec, probe=None, backbone=request.backbone, **_wishes(request)
    )
    return ways.taught(prepared, material, request.teacher)


def _wishes(request: TrainRequest) -> dict[str, Any]:
    """What a network's training is asked for, beside its data and size."""
    changes = None if request.augment is None else read_recipe(request.augment)
    return {"flip": request.flip, "changes": changes, "balance": request.balance, "values": request.values}


def _instead(request: TrainRequest) -> str:
    """Why `auto` does without fine-tuning from the outset; empty when it is worth a try."""
    if request.way != "auto":
        return ""
    if not can_build():
        return "what can be trained without the extra 'deep'"
    if request.minutes is not None or request.teacher is not None:
        return ""
    import torch

    return "" if torch.cuda.is_available() else "without a GPU the best that seconds buy; --minutes buys fine-tuning"


def _better(tuned: Learned, probe: Learned, start: Start) -> tuple[Learned, str]:
    """Fine-tuning must beat the head it started from, on the validation pictures; else that head is the model."""
    mine, its = tuned.score(), probe.score()
    said = f"{mine[0]:.1%} against {its[0]:.1%} on the validation pictures"
    if mine > its:
        return tuned, f"{start.name} fine-tuned: better than a head on its frozen features, {said}"
    progress.note(f"fine-tuning has not helped ({said}): the head on frozen features is kept")
    why = f"a linear head on the frozen features of {start.name}: fine-tuning did not help, {said}"
    return replace(probe, history=tuned.history), why


def _baselines(learned: Learned, material: Material, request: TrainRequest) -> dict[str, Score]:
    """The yardsticks, on the same validation pictures as the model."""
    if not request.compare:
        return {}
    items, truth = material.train, targets(material.train, material.classes, material.task)
    val = learned.val
    return baselines(items, truth, val.items, val.truth, task=material.task, classes=material.classes, seed=request.seed)


def _recipe(learned: Learned, request: TrainRequest, why: str) -> Recipe:
    start, spec = learned.start, learned.spec
    asked: dict[str, Any] = {"prepare": list(spec.steps)} if spec.steps else {}
    if request.augment is not None and learned.way != "probe":
        asked["changes"] = request.augment
    if request.values and learned.way in ("fine-tune", "scratch", "dbn", "autoencoder"):
        asked["plan"] = written(request.values)
    if request.balance != "auto":
        asked["balancing"] = request.balance
    if learned.denoiser:
        asked["denoiser"] = learned.denoiser.model
    return Recipe(
        size=request.size,
        way=learned.way,
        why=why,
        backbone=start.name if start else request.backbone or f"sightline-{request.size}",
        weights=start.weights if start else "none",
        seed=request.seed,
        minutes=request.minutes,
        values={"input_size": spec.size, "fit": spec.fit, **asked, **learned.values},
    )
