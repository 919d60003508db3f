"""A trained detector as one ONNX file, suppression inside; and the proof that it finds what the torch network finds.

Knows any network of `network.py`; writes no files.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ParityError
from sightline.learn.detect.judging import Answer
from sightline.learn.graph import OPSET
from sightline.runtime.geometry import iou
from sightline.types import InputSpec, Parity, Task

if TYPE_CHECKING:
    from torch import nn

    from sightline.learn.detect.network import DetectorNetwork

AGREEMENT = 0.99  # share of pictures where both find the same objects
SHIFT = 1.0  # pixels of the input that a side may move
DIFFERENCE = 0.01  # of a score
SURE = 0.05  # objects below this score are not compared: a hair's breadth decides whether they are suppressed
SAME = 0.9  # IoU from which two boxes mean the same


def detector_graph(network: DetectorNetwork, classes: Sequence[str], spec: InputSpec, task: Task = "detection") -> bytes:
    """model.onnx of a detector: `image` uint8 (1, size, size, 3) to `network.outputs`; metadata as those of classifiers.

    Raises ParityError for a network that cannot be exported, or a graph that ONNX finds invalid.
    """
    free = {name: {0: "objects"} for name in network.outputs} if task == "detection" else {}
    return graph_of(network.exported(), network.outputs, free, classes=classes, spec=spec, task=task)


def graph_of(
    module: nn.Module,
    outputs: Sequence[str],
    free: dict[str, dict[int, str]],
    *,
    classes: Sequence[str],
    spec: InputSpec,
    task: Task,
) -> bytes:
    """The same for any module on the CPU; `free` are the sides of outputs that have any length."""
    import onnx
    import onnx.checker
    import torch

    example = torch.randint(0, 256, (1, spec.size, spec.size, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    with torch.no_grad(), warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        warnings.simplefilter("ignore")  # the exporter is called deprecated, and warns of every constant that it folds
        try:
            torch.onnx.export(
                module.eval(),
                (example,),
                file,
                input_names=["image"],
                output_names=list(outputs),
                dynamic_axes=free,
                opset_version=OPSET,
                dynamo=False,
            )
        except Exception as error:  # the exporter raises a dozen classes
            raise ParityError(
                f"this network cannot be exported to ONNX: {str(error)[:300]}", hint="report this; nothing was written"
            ) from error
        model = onnx.load(file)
    facts = {"classes": list(classes), "task": task, "input": spec.model_dump()}
    del model.metadata_props[:]
    onnx.helper.set_model_props(
        model, {f"sightline.{name}": json.dumps(value, ensure_ascii=False) for name, value in facts.items()}
    )
    model.graph.name, model.producer_name, model.doc_string = "sightline", "", ""
    content: bytes = model.SerializeToString()
    try:
        onnx.checker.check_model(content)
    except Exception as error:
        raise ParityError(
            f"the exported model is not valid ONNX: {str(error)[:300]}", hint="report this; nothing was written"
        ) from error
    return content


def found_by(onnx: bytes, images: NDArray[np.uint8]) -> list[Answer]:
    """What the exported file finds in prepared pictures uint8 (n, s, s, 3), as the light runtime runs it."""
    from sightline.runtime.engines import open_session

    session = open_session(onnx)
    names = ["boxes", "scores", "labels"]
    return [Answer(*session.run(names, {"image": image[None]})) for image in images]


def certify(exported: Sequence[Answer], trained: Sequence[Answer]) -> Parity:
    """The certificate: objects of both matched by class and place. Raises ParityError where they differ too much."""
    differences, shifts, same = [0.0], [0.0], []
    best = max((float(one.scores.max()) for one in trained if len(one.scores)), default=0.0)
    bar = SURE if best >= SURE else best / 2  # of a network that is sure of nothing the best ones: else nothing is compared
    for mine, its in zip(exported, trained, strict=True):
        alike, moved, changed = _compared(mine, its, bar)
        same.append(alike)
        shifts += moved
        differences += changed
    parity = Parity(
        pictures=len(same),
        agreement=float(np.mean(same)) if same else 1.0,
        largest_difference=max(differences),
        largest_shift=max(shifts),
    )
    largest = parity.largest_shift or 0.0
    # "not <=" refuses NaN, too
    if parity.agreement < AGREEMENT or not parity.largest_difference <= DIFFERENCE or not largest <= SHIFT:
        raise ParityError(
            f"the exported model finds something else than the trained one: the same objects in {parity.agreement:.1%} of "
            f"{parity.pictures} pictures, boxes up to {largest:.2f} px apart, scores up to {parity.largest_difference:.3f}",
            hint="nothing was written; report this with the name of the network",
            detail=parity.model_dump(),
        )
    return parity


def _compared(mine: Answer, its: Answer, bar: float) -> tuple[bool, list[float], list[float]]:
    """(same objects, moves of sides in pixels, differences of scores) of one picture's two answers, from the score `bar` on."""
    alike = True
    shifts: list[float] = []
    differences: list[float] = []
    for one, other in ((mine, its), (its, mine)):
        sure = np.flatnonzero(one.scores >= bar)
        pairs = iou(one.boxes[sure], other.boxes) * (one.labels[sure, None] == other.labels[None, :])
        for row, near in zip(sure, pairs, strict=True):
            best = int(near.argmax()) if len(near) else -1
            if best < 0 or near[best] < SAME:
                # a score just at the floor of comparison may be just below it there
                alike = alike and bool(one.scores[row] < bar + DIFFERENCE)
                continue
            shifts.append(float(np.abs(one.boxes[row] - other.boxes[best]).max()))
            differences.append(float(abs(one.scores[row] - other.scores[best])))
    return alike, shifts, differences
