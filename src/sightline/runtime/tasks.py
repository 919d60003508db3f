"""From a model's scores to an answer: order, decision and flags. Plain functions; knows neither pictures nor ONNX."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightline.types import Annotation, Card, Flag, Prediction


def to_prediction(
    card: Card, picture: str, probabilities: NDArray[np.float32], *, novelty: float, took_ms: float, top: int | None = None
) -> Prediction:
    """The answer for one picture. `probabilities` has shape (classes,) in the order of `card.classes`.

    `top`: how many labels to give; records for all of a thousand classes take half as long as a small network.
    """
    order = np.argsort(-probabilities, kind="stable")[:top].tolist()
    scores = probabilities.tolist()
    labels = tuple(Annotation(label=card.classes[i], score=round(scores[i], 6)) for i in order)
    return Prediction(
        picture=picture,
        labels=labels,
        flags=flags(card, probabilities, novelty),
        took_ms=round(took_ms, 3),
        model=card.id,
        decision=decision(card, probabilities),
    )


def decision(card: Card, probabilities: NDArray[np.float32]) -> tuple[str, ...]:
    """The labels that the model gives: the best one, or for several labels all that reach their threshold."""
    if card.task != "multilabel":
        return (card.classes[int(probabilities.argmax())],)
    given = [
        (score, name)
        for name, score in zip(card.classes, probabilities.tolist(), strict=True)
        if score >= card.thresholds.get(name, 0.5)
    ]
    return tuple(name for _, name in sorted(given, key=lambda pair: -pair[0]))


def flags(card: Card, probabilities: NDArray[np.float32], novelty: float) -> tuple[Flag, ...]:
    """`unknown`: unlike the training pictures. `unsure`: the best score is too low to rely on."""
    found: list[Flag] = []
    if card.unknown is not None and novelty > card.unknown.threshold:
        found.append("unknown")
    if card.task != "multilabel" and float(probabilities.max()) < card.unsure_below:
        found.append("unsure")
    return tuple(found)


def to_wire(prediction: Prediction, top: int | None = None) -> dict[str, object]:
    """The documented JSON of one answer: {"picture", "labels": [{"label", "score"}], "flags", "took_ms"}."""
    known = {name: value for name in ("frames", "size") if (value := getattr(prediction, name)) is not None}
    return {
        "picture": prediction.picture,
        "labels": [object_to_wire(label) for label in prediction.labels[:top]],
        "flags": list(prediction.flags),
        "took_ms": prediction.took_ms,
        **known,
    }


def object_to_wire(label: Annotation) -> dict[str, object]:
    """{"label", "score"}, and of an object its places in pixels: "box" and what else is known of it."""
    entry: dict[str, object] = {"label": label.label, "score": label.score}
    if label.track is not None:
        entry["track"] = label.track
    for name in ("box", "polygon", "keypoints", "visibility"):
        if (value := getattr(label, name)) is not None:
            entry[name] = value
    if label.mask is not None:
        entry["mask"] = {"size": label.mask.size, "counts": label.mask.counts}
    return entry
