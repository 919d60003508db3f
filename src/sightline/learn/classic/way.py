"""The classic way: hand-made features, a classifier of the textbooks, and the same `Learned` in the end as every other way.

Knows which features and classifiers there are by name. SIFT and SURF cannot be in the graph: their graphs begin at keypoints,
which `runtime/keypoints.py` finds wherever the model answers.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.data.targets import targets
from sightline.errors import DatasetError, UsageError
from sightline.learn import features as computed
from sightline.learn import graph
from sightline.learn.classic import classifiers
from sightline.learn.classic.choose import again, fit_classifier
from sightline.learn.classic.classifiers import Given, Setting
from sightline.learn.classic.words import find_words
from sightline.learn.logistic import Floats
from sightline.learn.ways import Learned, Material, Side, main_score
from sightline.runtime import keypoints
from sightline.types import Failure, InputSpec, Item

VERSION = "2"  # raise it when the same features give other numbers
SIZES = {"hog": 64, "colour": 64, "texture": 64, "sift": 96, "surf": 96}  # pixels a side, unless asked otherwise
WINDOWED = 96  # of hog:words and hog:vlad
LEAST = 32
FEATURES = (*SIZES, "hog:words", "hog:vlad", "sift:vlad", "surf:vlad")
WORDS, VLAD_WORDS = 400, 64


@dataclass(frozen=True, slots=True)
class Wish:
    """What to look at and who decides: checked names."""

    features: str
    classifier: str

    @property
    def kind(self) -> str:
        return self.features.partition(":")[0]


def wish(features: str | None, classifier: str | None) -> Wish:
    """The names, checked; HOG and a linear support vector machine where nothing is asked. Raises UsageError."""
    return Wish(
        _named("--features", features or "hog", FEATURES), _named("--classifier", classifier or "svm", classifiers.NAMES)
    )


def _named(option: str, name: str, known: tuple[str, ...]) -> str:
    name = name.lower().replace("_", "-").replace("color", "colour")
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        raise UsageError(f"{option} {name!r} is not known", hint=hint, detail={"known": list(known)})
    return name


def spec_of(asked: Wish, size: int | None, fit: Any = None) -> InputSpec:
    """How pictures are prepared. Raises UsageError for a size below the features' least."""
    usual = WINDOWED if asked.features in ("hog:words", "hog:vlad") else SIZES[asked.kind]
    side = size or usual
    if side < LEAST or side % 8:
        raise UsageError(
            f"--features {asked.features} needs pictures of at least {LEAST} pixels a side and a multiple of 8, got {side}",
            hint=f"the usual size is {usual}",
        )
    return InputSpec(size=side, fit=fit or "pad")


def by_classic(material: Material, asked: Wish, spec: InputSpec, setting: Setting | None = None) -> Learned:
    """Features of every picture, the classifier with `setting` or one chosen by cross-validation. Same seed, same model.

    Raises MissingExtraError for SIFT and SURF without the extra `features`, DatasetError.
    """
    module = _module(asked, material, spec)
    exported, key = _graph(asked, module, spec)
    sides: list[Side] = []
    failures: list[Failure] = []
    for items in (material.train, material.val):
        found = computed.compute(items, exported, key, spec)
        sides.append(_side(material, items, found.kept, found.vectors))
        failures.extend(found.failures)
    train, val = sides
    several = material.task == "multilabel"
    given = Given(train.embedding, train.truth, len(material.classes), several, material.seed)
    chosen = fit_classifier(asked.classifier, given, [item.group or item.sha256 for item in train.items], setting)
    curve = []
    for rows in _quarters(len(train.items), material.seed):
        if not several and len(np.unique(train.truth[rows])) < given.classes:
            continue
        less = again(asked.classifier, given.part(rows), chosen.setting)
        curve.append((len(rows), main_score(val.truth, less.logits(val.embedding), material.task)))
    score = main_score(val.truth, chosen.scorer.logits(val.embedding), material.task)
    return Learned(
        "classic",
        material.task,
        spec,
        exported,
        chosen.scorer,
        train,
        val,
        chosen.held_out,
        {
            "features": asked.features,
            "classifier": asked.classifier,
            "numbers": train.embedding.shape[1],
            **chosen.setting,
            "cross_validated": chosen.tried,
        },
        curve=(*curve, (len(train.items), score)),
        failures=tuple(failures),
        reference=_reference(asked, module, chosen.scorer),
    )


def _quarters(count: int, seed: int) -> list[NDArray[np.intp]]:
    mixed = np.random.default_rng(seed).permutation(count)
    return [np.sort(mixed[: count // part]) for part in (4, 2) if count // part >= 20]


def _module(asked: Wish, material: Material, spec: InputSpec) -> Any:
    """The features as a torch module; visual words are made from training pictures."""
    import torch

    from sightline.learn.classic.bags import Bag
    from sightline.learn.classic.features import Colour, Hog, Texture
    from sightline.learn.classic.windows import Windows

    plain = {"hog": Hog, "colour": Colour, "texture": Texture}
    if asked.features in plain:
        return plain[asked.features]().eval()
    vlad = asked.features.endswith(":vlad")

    def bag(describe: Callable[[NDArray[np.uint8]], Floats]) -> Any:
        return Bag(find_words(describe, material, spec, VLAD_WORDS if vlad else WORDS), vlad=vlad).eval()

    if asked.kind in keypoints.LIBRARIES:
        keypoints.check(asked.kind)
        return bag(partial(keypoints.describe, asked.kind))
    windows = Windows().eval()

    def rows(images: NDArray[np.uint8]) -> Floats:
        with torch.inference_mode():
            found: Floats = windows(torch.from_numpy(images)).numpy()
        return found

    return torch.nn.Sequential(windows, bag(rows)).eval()


def _graph(asked: Wish, module: Any, spec: InputSpec) -> tuple[bytes, str]:
    """The features as ONNX, and the key under which what they give is kept."""
    import torch

    if asked.kind not in keypoints.LIBRARIES:
        example: Any = torch.zeros(2, spec.size, spec.size, 3, dtype=torch.uint8)
        made = f"-{_fingerprint(module[1])}" if ":" in asked.features else ""
        key = f"classic-{asked.features.replace(':', '-')}-{VERSION}-{spec.size}{made}"
        return graph.exported(module, example, "image"), key
    example = torch.zeros(2, 5, 3 + keypoints.WIDTHS[asked.kind])
    content = graph.exported(module, example, "keypoints", free=2, facts={keypoints.METADATA: asked.kind})
    return content, f"classic-{asked.features.replace(':', '-')}-{VERSION}-{_fingerprint(module)}"


def _fingerprint(bag: Any) -> str:
    return hashlib.sha256(b"".join(part.numpy().tobytes() for part in (bag.mean, bag.turn, bag.words))).hexdigest()[:16]


def _reference(asked: Wish, module: Any, scorer: Any) -> Any:
    """Logits of prepared pictures, computed without the exported graph: what the export is compared with."""
    import torch

    def logits(images: NDArray[np.uint8]) -> Floats:
        found = []
        with torch.inference_mode():
            for start in range(0, len(images), 16):
                some = images[start : start + 16]
                given = keypoints.describe(asked.kind, some) if asked.kind in keypoints.LIBRARIES else some
                found.append(module(torch.from_numpy(np.ascontiguousarray(given))).numpy())
        answered: Floats = scorer.logits(np.concatenate(found))
        return answered

    return logits


def _side(material: Material, items: tuple[Item, ...], kept: NDArray[np.intp], vectors: Floats) -> Side:
    good = tuple(items[place] for place in kept)
    if not good:
        raise DatasetError(
            "none of the training (or validation) pictures can be read",
            hint="open some of them in another program: the files may be damaged",
        )
    return Side(good, targets(good, material.classes, material.task), vectors)
