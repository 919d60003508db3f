"""From a divided dataset with boxes to a trained, exported, proved detector: what `learn/fit.py` is for whole pictures.

The test split is never looked at. `verbs/detecting.py` measures and stores the result; nothing here knows files of models.
"""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline import progress
from sightline.errors import DataError, DatasetError, SightlineError, UsageError, missing_extra
from sightline.learn.detect import names
from sightline.learn.detect.names import Built, Wish
from sightline.learn.recipes import read_recipe
from sightline.learn.values import written
from sightline.types import Dataset, Failure, InputSpec, Item, Parity, Recipe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sightline.learn.detect.data import Scenes
    from sightline.learn.detect.network import DetectorNetwork
    from sightline.learn.fit import TrainRequest
    from sightline.learn.loop import Epoch
    from sightline.learn.loop import Trained as Run
    from sightline.learn.plan import Plan

SHARE = 0.85  # of --minutes; the rest is for decoding, export and measuring
PROVED = 200  # validation pictures that the export is compared on
LOOKS = ("hue", "grey", "blur")  # changes of single pictures that leave everything at its place
MOVES = ("flip", "rotate", "scale", "aspect", "translate", "colour", "noise")
SMALL = 12.0  # pixels of the prepared picture that the shorter sides of three quarters of the objects should have
WIDER = 1.6  # times that an input becomes larger for it, at most
LOOKED = 300  # pictures whose objects are looked at for it
UNEVEN = 10  # classes are drawn more evenly where the commonest is in so many times more pictures than the rarest


@dataclass(frozen=True, slots=True)
class TrainedDetector:
    """All that a bundle needs but its scores. `thresholds` are chosen by whoever measures."""

    onnx: bytes
    weights: bytes | None  # safetensors of the network
    input: InputSpec
    recipe: Recipe
    parity: Parity
    history: tuple[dict[str, float | None], ...]  # number, train_loss, val_map50, seconds, rate
    thresholds: dict[str, float] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    broken: DataError | None = None  # why training ended before its time
    parts: Mapping[str, bytes] = field(default_factory=dict)  # further files of the bundle


def fit_detector(dataset: Dataset, request: TrainRequest, run: Path, *, salvage: bool = False) -> TrainedDetector:
    """Train on the dataset's train split. `run` is the folder of this training: a stopped one goes on when called again. With
    `salvage` a training that broke down after an epoch ends as its best weights, and `broken` says so.

    Raises DatasetError (no boxes, too few pictures), DataError (weights, a loss that is not a number), UsageError (wishes that
    a detector cannot have), ParityError, StoppedError, MissingExtraError.
    """
    refuse(request)
    for library in ("torch", "torchvision", "timm", "onnx", "safetensors"):
        if importlib.util.find_spec(library) is None:
            raise missing_extra("deep", "training a detector")
    train, val = parts_of(dataset)
    seconds: dict[str, float] = {}
    with progress.timed(seconds, "choosing"):
        built, asked = build(dataset, request, len(train))
    with progress.timed(seconds, "preparing"):
        data, failures = scenes_of(dataset, train, val, built, points=asked.points, masks=asked.entry.kind == "masks")
    plan = planned(built.plan, request, data, dataset)
    with progress.timed(seconds, "training"):
        trained, broken = learn(built.network, data, plan, request, run)
    if broken and not salvage:
        raise broken
    with progress.timed(seconds, "finishing"), progress.task("Exporting and proving"):
        onnx, parity = proved(built.network, data, dataset.classes, built.input)
    recipe = _recipe(built, asked, request, trained)
    return TrainedDetector(
        onnx=onnx,
        weights=_weights(built.network, recipe),
        input=built.input,
        recipe=recipe,
        parity=parity,
        history=tuple(_told(epoch) for epoch in trained.history),
        failures=failures,
        seconds=seconds,
        broken=broken,
    )


def refuse(request: TrainRequest) -> None:
    """UsageError for wishes that only classifiers have."""
    alien: dict[str, Any] = {
        "--teacher": request.teacher,
        "--features": request.features,
        "--classifier": request.classifier,
        "--pretrain": request.pretrain,
        "--denoiser": request.denoiser,
    }
    for option, value in alien.items():
        if value is not None:
            raise UsageError(f"{option} is for pictures without boxes, not for a detector", hint=f"leave {option} out")
    if request.fit not in (None, "pad"):
        raise UsageError(f"a detector sees the whole picture: --fit pad, got {request.fit}", hint="leave --fit out")
    if request.balance == "focal":
        raise UsageError("a detector has its own loss: --balance focal is for classifiers", hint="use --balance sampler")
    compile_ = dict(request.values).get("compile", "off")
    if compile_ == "on":
        raise UsageError("detectors are not compiled: their pictures change in size", hint="leave out --plan compile=on")


def parts_of(dataset: Dataset) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """Pictures to train on and to validate on; DatasetError where nothing can be learnt from them."""
    from sightline.learn.detect.data import box_of

    train, val = dataset.part("train"), dataset.part("val")
    counts = Counter(one.label for item in train for one in item.truth if not one.ignored and box_of(one) is not None)
    if not counts:
        raise DatasetError("no training picture has a box", hint="label some objects, or train a classifier: --way fine-tune")
    untaught = [name for name in dataset.classes if not counts[name]]
    if untaught:
        raise DatasetError(
            f"no training picture has a box of {', '.join(untaught[:5])}", hint="move some of its pictures into the train part"
        )
    if len(train) < 4 or not val:
        raise DatasetError(
            f"too few pictures: {len(train)} to train and {len(val)} to validate", hint="add pictures, 50 or more with objects"
        )
    if not any(not one.ignored and box_of(one) is not None for item in val for one in item.truth):
        raise DatasetError("no validation picture has a box", hint="move some pictures with objects into the validation part")
    return train, val


def build(dataset: Dataset, request: TrainRequest, pictures: int) -> tuple[Built, Wish]:
    """The network that a request means: its name, or the dial's."""
    asked = request.backbone or names.DIAL[request.size]
    entry, backbone = names.named(asked if names.is_detector(asked) else f"{names.DIAL[request.size]}:{asked}")
    points = 0
    if entry.kind == "keypoints":
        most = (len(one.keypoints) for item in dataset.items for one in item.truth if one.keypoints)
        points = max((*(len(one.points) for one in dataset.skeletons.values()), *most), default=0)
        if not points:
            raise DatasetError(f"{entry.name} learns keypoints, and these data have none", hint="use --backbone yolo-small")
    size, because = names.side(entry, request.input_size), ""
    if request.input_size is None:
        size, because = roomy(dataset.part("train"), size)
    wish = Wish(entry, dataset.classes, size, backbone, points, pictures, request.seed)
    built = names.build(wish)
    if because:
        progress.note(because)
        built = replace(built, why="; ".join(filter(None, (built.why, because))))
    if request.steps:
        built = replace(built, input=built.input.model_copy(update={"steps": request.steps}))
    return built, wish


def roomy(items: Sequence[Item], size: int) -> tuple[int, str]:
    """The input's side, larger where a quarter of the objects would be smaller than SMALL pixels in it; and why."""
    from sightline.learn.detect.data import box_of
    from sightline.runtime.dimensions import dimensions

    sides: list[float] = []
    for item in items[:: max(1, len(items) // LOOKED)]:
        try:
            longer = max(dimensions(item.uri).upright)
        except SightlineError:
            continue  # named when the pictures are prepared
        boxes = (box_of(one) for one in item.truth if not one.ignored)
        sides += [min(box[2] - box[0], box[3] - box[1]) / longer for box in boxes if box is not None]
    smaller = float(np.quantile(sides, 0.25)) * size if sides else SMALL
    if smaller >= SMALL:
        return size, ""
    wider = min(round(size * SMALL / max(smaller, 1e-3) / 32) * 32, round(size * WIDER / 32) * 32)
    return (wider, f"{wider} px instead of {size}, as objects are small") if wider > size else (size, "")


def scenes_of(
    dataset: Dataset, train: tuple[Item, ...], val: tuple[Item, ...], built: Built, *, points: int = 0, masks: bool = False
) -> tuple[Scenes, tuple[Failure, ...]]:
    """Both sides as a lesson, and the pictures that cannot be read."""
    from sightline.learn.detect.data import Kind, Scenes, gather

    kind = Kind(masks, points)
    learnt, held = gather(train, dataset.classes, built.input, kind), gather(val, dataset.classes, built.input, kind)
    if len(learnt.images) < 2 or not len(held.images):
        raise DatasetError("none of the training (or validation) pictures can be read", hint="the files may be damaged")
    skeletons = tuple(dataset.skeletons.values())
    swaps = _swaps(skeletons[0].points) if points and skeletons else None
    scenes = Scenes(learnt.images, learnt.truth, held.images, held.truth, len(dataset.classes), swaps=swaps)
    return scenes, (*learnt.failures, *held.failures)


def _swaps(points: tuple[str, ...]) -> tuple[int, ...] | None:
    """For each keypoint the one that it becomes in a mirror: left and right change places; None where no name says so."""
    other = {"left": "right", "right": "left"}
    found = []
    for place, name in enumerate(points):
        mirrored = next((name.replace(side, its) for side, its in other.items() if side in name), name)
        found.append(points.index(mirrored) if mirrored in points else place)
    return tuple(found) if found != list(range(len(points))) else None


def planned(plan: Plan, request: TrainRequest, data: Scenes, dataset: Dataset) -> Plan:
    """The recipe's plan with what these classes, these data and this person change in it."""
    from sightline.learn.augment import asked_for
    from sightline.learn.balance import POWER
    from sightline.learn.plan import changed
    from sightline.learn.ways import LEFT_RIGHT

    augment, sure = plan.augment, request.flip is not None
    if request.augment is not None:
        changes = read_recipe(request.augment)
        alien = [name for name in changes.amounts if name not in (*MOVES, *LOOKS)]
        if alien:
            raise UsageError(
                f"--augment {alien[0]} does not know where things are", hint=f"with boxes: {', '.join((*MOVES, *LOOKS))}"
            )
        augment, sure = asked_for(changes), sure or changes.sure
        plan = replace(plan, mosaic=plan.mosaic if augment.scale else 0.0)
    flip = augment.flip if request.flip is None else request.flip
    points = any(one.keypoints is not None for one in data.truth)
    if not sure and (any(LEFT_RIGHT.search(name) for name in dataset.classes) or (points and data.swaps is None)):
        flip = False
    sampling = POWER.get(request.balance, 0.0)
    if request.balance == "auto":
        shown = Counter(int(label) for one in data.truth for label in np.unique(one.labels))
        sampling = 0.5 if shown and max(shown.values()) > UNEVEN * min(shown.values()) else plan.sampling
    plan = replace(plan, augment=replace(augment, flip=flip), sampling=sampling, seed=request.seed)
    return changed(plan, request.values, scenes=True)


def learn(network: DetectorNetwork, data: Scenes, plan: Plan, request: TrainRequest, run: Path) -> tuple[Run, DataError | None]:
    """Train; goes on where an earlier run in `run` was stopped. What broke it comes back where an epoch was kept."""
    from sightline.learn import parallel, writers
    from sightline.learn.loop import kept_so_far, train_network

    crew = parallel.crew()
    crew.let_in()
    minutes = None if request.minutes is None else request.minutes * SHARE
    broken: DataError | None = None
    with writers.opened(request.log if crew.first else None, {"minutes": minutes, **plan.values()}) as on_epoch:
        try:
            trained = train_network(network, data, plan, run / "detect", minutes=minutes, on_epoch=on_epoch)
        except DataError as error:
            if not error.detail.get("best_epoch"):
                raise
            trained, broken = kept_so_far(run / "detect"), error
    if not crew.first:
        raise SystemExit(0)  # the first process exports and tells: the others have done their part
    network.to("cpu").float().eval()
    return trained, broken


def proved(network: DetectorNetwork, data: Scenes, classes: tuple[str, ...], spec: InputSpec) -> tuple[bytes, Parity]:
    """The exported file with its certificate, on validation pictures, in float32. Raises ParityError."""
    import torch

    from sightline.learn.detect import export
    from sightline.learn.detect.data import found_in

    onnx = export.detector_graph(network, classes, spec)
    some: NDArray[np.intp] = np.unique(np.linspace(0, len(data.val_images) - 1, PROVED).astype(int))
    images = np.asarray(data.val_images[some])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # torch's threads wait for each other busily, which costs much on a machine with other work
    try:
        trained = found_in(network, images, batch=1)
    finally:
        torch.set_num_threads(threads)
    return onnx, export.certify(export.found_by(onnx, images), trained)


def _told(epoch: Epoch) -> dict[str, float | None]:
    """An epoch for people: the measure by its name."""
    names_ = {"val_accuracy": "val_map50"}
    left_out = ("train_accuracy", "val_loss")
    return {names_.get(name, name): value for name, value in asdict(epoch).items() if name not in left_out}


def _weights(network: DetectorNetwork, recipe: Recipe) -> bytes:
    """The network as safetensors, for training on."""
    from safetensors.torch import save

    said = {"sightline": json.dumps({"architecture": recipe.backbone})}
    content: bytes = save({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, said)
    return content


def _recipe(built: Built, asked: Wish, request: TrainRequest, trained: Run) -> Recipe:
    values: dict[str, Any] = {
        **trained.plan.values(),
        "best_epoch": trained.best_epoch,
        "stopped_early": trained.stopped_early,
    }
    if request.augment is not None:
        values["changes"] = request.augment
    if request.values:
        values["plan"] = written(request.values)
    if request.balance != "auto":
        values["balance"] = request.balance
    if request.steps:
        values["prepare"] = list(request.steps)
    name = asked.entry.name + (f":{asked.backbone}" if asked.backbone else "")
    because = "asked for" if request.backbone else f"what --size {request.size} means for data with boxes"
    why = f"{name}, {asked.entry.about}: {because}" + (f" ({built.why})" if built.why else "")
    return Recipe(
        size=request.size,
        way="detect",
        why=why,
        backbone=name,
        weights=built.weights,
        seed=request.seed,
        minutes=request.minutes,
        values=values,
    )
