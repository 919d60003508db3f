"""What a search may turn, for each way of training: names, ranges, defaults, and the request that a choice of them means.

Knows nothing of how a choice is made (tuning.py) nor of trainings.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from sightline.learn.fit import TrainRequest
from sightline.learn.plan import Plan
from sightline.learn.probe import STRENGTHS
from sightline.learn.ways import Material
from sightline.measure.trials import Setting

SIDES = (96, 128, 160, 192, 224, 256, 288, 320)  # inputs of a pretrained network, near the one that it was trained with
CLASSIC_SIDES = (32, 48, 64, 80, 96, 128)
UNEQUAL = 1.5  # the largest class over the smallest, from which balancing is worth a look
PRESETS = ("default", "none", "light", "medium", "strong")
_HEAD = "C"  # of the linear head and of the support vector machines

# classifier -> name, lowest, highest, whole number; what cross-validation picks among a few values of otherwise
CLASSIFIERS: dict[str, tuple[tuple[str, float, float, bool], ...]] = {
    "logistic": ((_HEAD, 1e-4, 10, False),),
    "sgd": (("alpha", 1e-4, 1, False),),
    "bayes": (("smoothing", 1e-3, 10, False),),
    "svm": ((_HEAD, 1e-6, 1e-1, False),),
    "svm-rbf": ((_HEAD, 1e-1, 100, False), ("gamma", 0.1, 5, False)),
    "tree": (("leaf", 1, 30, True),),
    "forest": (("leaf", 1, 10, True),),
    "knn": (("k", 1, 30, True),),
    "mlp": (("alpha", 1e-4, 10, False),),
}


@dataclass(frozen=True, slots=True)
class Knob:
    """One value: a number from `low` to `high`, or one of `choices`."""

    name: str
    default: Setting
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    choices: tuple[Setting, ...] = ()


def network_knobs(request: TrainRequest, plan: Plan, blocks: int, pictures: int, *, several: bool) -> tuple[Knob, ...]:
    """For a network's training. plan: the default's; blocks: of the pretrained backbone, 0 from scratch. What the request names
    itself is left as it is.
    """
    batches = tuple(size for size in (16, 32, 64, 128) if size <= pictures // 4 or size == plan.batch)
    found = [
        _number("lr", plan.lr, plan.lr / 5, plan.lr * 5, log=True),
        _number("weight_decay", plan.weight_decay, 1e-3, 0.3, log=True),
        Knob("ema", plan.ema, choices=_with(plan.ema, (0.0, 0.9, 0.99, 0.999))),
        Knob("batch", plan.batch, choices=_with(plan.batch, batches)),
    ]
    if not several:
        found.append(_number("label_smoothing", plan.label_smoothing, 0, 0.2))
    if blocks:
        found.append(_number("layer_decay", plan.layer_decay, 0.6, 1.0))
        found.append(Knob("frozen", plan.frozen, 0, max(blocks - 1, plan.frozen), whole=True))
    if request.augment is None:
        found.append(Knob("augment", "default", choices=PRESETS))
        found.append(Knob("mixup", 0.0, choices=(0.0, 0.1, 0.3)))
    named = {name for name, _ in request.values}
    return tuple(knob for knob in found if knob.name not in named)


def probe_knobs(request: TrainRequest, material: Material, side: int, strength: float) -> tuple[Knob, ...]:
    """For a head on frozen features. side: pixels the network was trained with; strength: C as cross-validation chose it."""
    found = [_number(_HEAD, strength, STRENGTHS[0] / 10, STRENGTHS[-1] * 10, log=True)]
    if request.input_size is None:
        near = tuple(size for size in SIDES if 0.55 * side <= size <= 1.3 * side)
        found.append(Knob("input_size", side, choices=_with(side, near)))
    counts = Counter(label for item in material.train for label in item.labels)
    if request.balance == "auto" and max(counts.values()) > UNEQUAL * min(counts.values()):
        found.append(Knob("balance", "auto", choices=("auto", "none", "weights", "sampler-full")))
    return tuple(found)


def classic_knobs(request: TrainRequest, side: int, setting: dict[str, Any]) -> tuple[Knob, ...]:
    """For hand-made features and a classifier. setting: as cross-validation chose it."""
    found = [
        Knob(name, setting[name], min(low, setting[name]), max(high, setting[name]), log=True, whole=whole)
        for name, low, high, whole in CLASSIFIERS.get(request.classifier or "svm", ())
    ]
    if request.input_size is None:
        found.append(Knob("input_size", side, choices=_with(side, CLASSIC_SIDES)))
    return tuple(found)


def asked_for(request: TrainRequest, way: Any, values: dict[str, Setting], usual: str, epochs: int) -> TrainRequest:
    """The request that a trial's values mean. usual: the default changes of pictures as a recipe, to add mixing to."""
    wishes: dict[str, Any] = {"way": way, "minutes": None}
    for name in ("input_size", "balance"):
        if name in values:
            wishes[name] = values[name]
    if way in ("probe", "classic"):
        setting = {name: value for name, value in values.items() if name not in wishes}
        return replace(request, **wishes, setting=tuple((name, float(value)) for name, value in sorted(setting.items())))
    plan = {name: repr(value) for name, value in values.items() if name not in ("augment", "mixup", "balance", "input_size")}
    wishes["values"] = tuple(sorted({**plan, "epochs": str(epochs), **dict(request.values)}.items()))
    if "augment" in values:
        wishes["augment"] = _recipe(str(values["augment"]), float(values["mixup"]), usual)
    return replace(request, **wishes)


def usual_changes(plan: Plan) -> str:
    """The plan's own changes as a recipe."""
    how = plan.augment
    flip = "flip," if how.flip else ""
    return (
        f"{flip}rotate:{how.degrees:g},scale:{how.scale:g},aspect:{how.aspect:g},translate:{how.shift:g},colour:{how.colour:g}"
    )


def _recipe(preset: str, mixup: float, usual: str) -> str | None:
    if not mixup:
        return None if preset == "default" else preset
    return f"{usual if preset == 'default' else preset},mixup:{mixup:g}"


def _number(name: str, default: float, low: float, high: float, *, log: bool = False) -> Knob:
    """A range that holds the default."""
    safe = max(default, low) if log else default
    return Knob(name, safe, min(low, safe), max(high, safe), log=log)


def _with(default: Any, choices: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(sorted({*choices, default}))
