"""The way of clips: features of frames, a recurrent network and the frame average beside it, the better one finished.

The frame average is what a recurrent network must beat: it sees the same frames without their order. Ends as the same
`Trained` as every way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from sightline import progress
from sightline.data.targets import targets
from sightline.errors import DatasetError
from sightline.learn import graph
from sightline.learn.backbones import Start
from sightline.learn.clips.frames import Frames, Mean, Whole, compute
from sightline.learn.clips.recurrent import PLAN, Cell, embedded, train_recurrent
from sightline.learn.finish import Trained, finish
from sightline.learn.logistic import Floats
from sightline.learn.network import Classifier, small_resnet
from sightline.learn.plan import balanced, changed
from sightline.learn.probe import Head, fit_probe
from sightline.learn.reproduce import seed_of
from sightline.learn.ways import Learned, Material, Side
from sightline.measure.calibration import to_probabilities
from sightline.measure.scores import classification_scores
from sightline.settings import settings
from sightline.types import Failure, InputSpec, Recipe, Score

if TYPE_CHECKING:
    from sightline.learn.fit import TrainRequest

OWN = InputSpec(size=64, fit="pad")  # of the small network that there is without pretrained weights
AVERAGE = "frame average"


def fit_clips(material: Material, start: Start | None, request: TrainRequest, run: Path) -> Trained:
    """Train both on clips and finish the better one. Raises DatasetError, StoppedError, ParityError."""
    cell, spec = request.cell, _spec(start, request)
    frames = Frames(graph.classifier(start, 1) if start else own_network(spec, material.seed)).eval()
    example = torch.zeros(1, 2, spec.size, spec.size, 3, dtype=torch.uint8)
    frozen = graph.exported(frames, example, "clip", free=2)
    train, val, failures = _sides(material, frozen, start.key if start else f"own-{material.seed}", spec)
    average = by_average(material, spec, train, val)
    trained = by_recurrent(material, spec, (train, val), request, run / "clip")
    scores = {AVERAGE: average.score(), cell: trained.score()}
    best = cell if scores[cell] > scores[AVERAGE] else AVERAGE
    said = ", ".join(f"{name} {score:.1%}" for name, (score, _) in scores.items())
    why = f"{_because(best, cell, scores)} ({said} of the validation clips)"
    progress.note(why)
    learned = trained if best == cell else average
    over = _over(learned)
    learned = replace(
        learned,
        graph=graph.exported(Whole(frames, over).eval(), example, "clip", free=2),
        reference=_reference(frames, over, learned.head),
        failures=failures,
        start=start,
        values={
            **learned.values,
            "frames": spec.frames,
            "cell": cell,
            "validated": {n: round(s, 4) for n, (s, _) in scores.items()},
        },
    )
    done = finish(learned, material, _recipe(learned, request, best, why))
    other = average if best == cell else trained
    beaten = AVERAGE if best == cell else f"{cell} over frames"
    return replace(done, baselines={beaten: _scored(other, material)} if request.compare else {})


def _spec(start: Start | None, request: TrainRequest) -> InputSpec:
    own = OWN.model_copy(update={"size": request.input_size or OWN.size, "fit": request.fit or OWN.fit})
    return (start.input if start else own).model_copy(update={"frames": request.frames, "steps": request.steps})


def own_network(spec: InputSpec, seed: int) -> Classifier:
    """Without pretrained weights: a small network as it begins, never trained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "frames", 0))
        body, width = small_resnet("tiny")
        return Classifier(body, width, 1, mean=spec.mean, std=spec.std).eval()


def _sides(material: Material, frozen: bytes, key: str, spec: InputSpec) -> tuple[Side, Side, tuple[Failure, ...]]:
    """Both parts with vectors (n, t, d) as embeddings, and the clips that could not be read."""
    sides: list[Side] = []
    failures: list[Failure] = []
    for items in (material.train, material.val):
        found = compute(items, frozen, key, spec)
        good = tuple(items[place] for place in found.kept)
        failures += found.failures
        if not good:
            raise DatasetError(
                "none of the training (or validation) clips can be read", hint="play some of them: the files may be damaged"
            )
        sides.append(Side(good, targets(good, material.classes, material.task), found.values))
    return sides[0], sides[1], tuple(failures)


def by_average(material: Material, spec: InputSpec, train: Side, val: Side) -> Learned:
    """A linear head on the mean of a clip's vectors."""
    means = [replace(side, embedding=side.embedding.mean(axis=1)) for side in (train, val)]
    groups = [item.group or item.sha256 for item in train.items]
    probe = fit_probe(
        means[0].embedding,
        train.truth,
        len(material.classes),
        material.task,
        groups=groups,
        seed=material.seed,
        threads=settings().threads,
    )
    held = (probe.out_of_fold, train.truth)
    values = {"features": means[0].embedding.shape[1], "regularisation": probe.strength}
    return Learned("clip", material.task, spec, b"", probe.head, means[0], means[1], held, values)


def by_recurrent(material: Material, spec: InputSpec, sides: tuple[Side, Side], request: TrainRequest, run: Path) -> Learned:
    """A GRU or LSTM over a clip's vectors."""
    train, val = sides
    plan = balanced(changed(PLAN, request.values), request.balance)
    network, trained = train_recurrent(
        (train.embedding, train.truth),
        (val.embedding, val.truth),
        len(material.classes),
        request.cell,
        run,
        seed=material.seed,
        minutes=request.minutes,
        plan=plan,
    )
    head = Head(network.head.weight.detach().numpy().copy(), network.head.bias.detach().numpy().copy())
    seen, unseen = (replace(side, embedding=embedded(network.backbone, side.embedding)) for side in (train, val))
    return Learned(
        "clip",
        material.task,
        spec,
        b"",
        head,
        seen,
        unseen,
        (head.logits(unseen.embedding), val.truth),
        {**trained.plan.values(), "best_epoch": trained.best_epoch, "stopped_early": trained.stopped_early},
        history=tuple(asdict(epoch) for epoch in trained.history),
        network=network,
    )


def _over(learned: Learned) -> torch.nn.Module:
    return Mean() if learned.network is None else learned.network.backbone


def _because(best: str, cell: Cell, scores: dict[str, tuple[float, float]]) -> str:
    if best == AVERAGE:
        return f"the average of the frames is taken: a {cell.upper()} over them was not better"
    gain = scores[cell][0] - scores[AVERAGE][0]
    if gain <= 0:
        return f"a {cell.upper()} over the frames is taken: as often right as their average, and surer"
    return f"a {cell.upper()} over the frames is taken: {gain * 100:.1f} points better than their average, so their order tells"


def _reference(frames: Frames, over: torch.nn.Module, head: Any) -> Callable[[NDArray[np.uint8]], Floats]:
    """What torch answers for clips uint8 (n, t, s, s, 3): logits (n, classes)."""

    def logits(clips: NDArray[np.uint8]) -> Floats:
        whole = Whole(frames, over).eval()
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with torch.inference_mode():
                found = [whole(torch.from_numpy(clip[None])).numpy() for clip in clips]
        finally:
            torch.set_num_threads(threads)
        return np.asarray(head.logits(np.concatenate(found)))

    return logits


def _scored(learned: Learned, material: Material) -> Score:
    probabilities = to_probabilities(learned.head.logits(learned.val.embedding), material.task)
    return classification_scores(learned.val.truth, probabilities, material.task, material.classes).overall["top1"]


def _recipe(learned: Learned, request: TrainRequest, best: str, why: str) -> Recipe:
    start = learned.start
    body = start.name if start else "sightline-tiny, untrained"
    return Recipe(
        size=request.size,
        way="clip",
        why=why,
        backbone=f"{body} + {best}",
        weights=start.weights if start else "none",
        seed=request.seed,
        minutes=request.minutes,
        values={"input_size": learned.spec.size, "fit": learned.spec.fit, **learned.values},
    )
