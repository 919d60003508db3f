"""From a divided dataset with outlines to a trained, exported, proved segmenter: way.py's story, pixels instead of boxes."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sightline import progress
from sightline.errors import DatasetError, UsageError
from sightline.learn.detect import way
from sightline.learn.detect.names import DETECTORS, named
from sightline.learn.detect.way import PROVED, TrainedDetector
from sightline.types import Dataset, InputSpec, Parity, Size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sightline.learn.detect.segment import Fields, Segmenter
    from sightline.learn.fit import TrainRequest

DIAL: dict[Size, str] = {"tiny": "lraspp", "small": "lraspp", "medium": "deeplabv3", "large": "deeplabv3"}
PIXELS = 2_000  # of each picture that the export is compared on


def paints(name: str | None) -> bool:
    """Whether `name`, with or without a body behind a colon, is a segmenter."""
    entry = DETECTORS.get((name or "").partition(":")[0])
    return entry is not None and entry.kind == "pixels"


def fit_segmenter(dataset: Dataset, request: TrainRequest, run: Path) -> TrainedDetector:
    """Train on the dataset's train split; goes on where an earlier run in the folder `run` was stopped.

    Raises what `way.fit_detector` raises, and DatasetError where no object has an outline.
    """
    from sightline.learn.detect.segment import Fields

    way.refuse(request)
    if request.backbone and not paints(request.backbone):
        named(request.backbone)
        raise UsageError(
            f"{request.backbone} gives boxes, --way segment pixels", hint=f"segmenters: {', '.join(sorted(set(DIAL.values())))}"
        )
    train, val = way.parts_of(dataset)
    if not any(one.polygon or one.rings or one.mask for item in train for one in item.truth):
        raise DatasetError(
            "a segmenter learns from outlines or masks, and these data have boxes only",
            hint="find objects instead, with --way detect; or label outlines",
        )
    seconds: dict[str, float] = {}
    asked = replace(request, backbone=request.backbone or DIAL[request.size])
    with progress.timed(seconds, "choosing"):
        built, wish = way.build(dataset, asked, len(train))
    with progress.timed(seconds, "preparing"):
        scenes, failures = way.scenes_of(dataset, train, val, built, masks=True)
    lesson = Fields(**{entry.name: getattr(scenes, entry.name) for entry in fields(scenes)})
    plan = way.planned(built.plan, request, lesson, dataset)
    with progress.timed(seconds, "training"):
        trained, broken = way.learn(built.network, lesson, plan, request, run)
    with progress.timed(seconds, "finishing"), progress.task("Exporting and proving"):
        onnx, parity = proved(built.network, lesson, dataset.classes, built.input)  # type: ignore[arg-type]
    recipe = way._recipe(built, wish, request, trained)
    recipe = recipe.model_copy(update={"way": "segment", "why": recipe.why.replace("data with boxes", "data with outlines")})
    history = (
        {("val_miou" if name == "val_map50" else name): said for name, said in way._told(epoch).items()}
        for epoch in trained.history
    )
    return TrainedDetector(
        onnx=onnx,
        weights=way._weights(built.network, recipe),
        input=built.input,
        recipe=recipe,
        parity=parity,
        history=tuple(history),
        failures=failures,
        seconds=seconds,
        broken=broken,
    )


def proved(network: Segmenter, lesson: Fields, classes: tuple[str, ...], spec: InputSpec) -> tuple[bytes, Parity]:
    """The exported file with its certificate: the same class for the same pixels of validation pictures. ParityError."""
    import torch

    from sightline.learn.detect.export import detector_graph
    from sightline.learn.export import certify
    from sightline.runtime.engines import open_session

    onnx = detector_graph(network, classes, spec, "segmentation")
    session, module = open_session(onnx), network.exported()
    some: NDArray[np.intp] = np.unique(np.linspace(0, len(lesson.val_images) - 1, PROVED).astype(int))
    rng = np.random.default_rng(0)
    mine, its = [], []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for place in some:
            image = np.asarray(lesson.val_images[place])[None]
            at = rng.choice(spec.size**2, min(PIXELS, spec.size**2), replace=False)
            (found,) = session.run(("classes",), {"image": image})
            with torch.inference_mode():
                known = module(torch.from_numpy(image.copy())).numpy()
            mine.append(found[0].reshape(len(classes) + 1, -1)[:, at].T)
            its.append(known[0].reshape(len(classes) + 1, -1)[:, at].T)
    finally:
        torch.set_num_threads(threads)
    parity = certify(np.concatenate(mine), np.concatenate(its), "multiclass", np.zeros(len(classes) + 1, np.float32))
    return onnx, parity.model_copy(update={"pictures": len(some)})
