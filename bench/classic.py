"""Classic recognisers (hand-made features + a textbook classifier) on the drawn road signs and on a folder of class folders.

    python bench/classic.py [--data FOLDER] [--pictures N] [--only hog+svm ...]

Each is trained by `learn.fit`, exported, and scored on the test split by its exported file. Printed: share right with its 95 %
interval, chance, seconds of training, size of model.onnx, milliseconds a picture on one core (pixels in, answer out).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from harness import report

PAIRS = (
    "hog:vlad+svm",
    "hog+svm",
    "sift+svm",
    "surf+knn",
    "sift:vlad+svm",
    "surf:vlad+knn",
    "surf:vlad+svm",
    "hog:vlad+knn",
    "hog:words+svm",
    "sift:vlad+knn",
    "sift+svm-rbf",
    "colour+forest",
    "colour+svm-rbf",
    "texture+svm-rbf",
    "texture+tree",
    "hog:vlad+bayes",
    "hog+logistic",
    "hog+svm-rbf",
    "hog+knn",
    "hog+mlp",
    "colour+tree",
    "texture+forest",
)


def dataset_of(folder: Path | None, pictures: int, place: Path):
    import numpy as np

    from sightline.data.readers import read
    from sightline.data.roadsigns import draw_road_signs
    from sightline.data.splits import split
    from sightline.data.survey import survey

    made = read(folder or draw_road_signs(place / "signs", pictures, 0))
    if len(made.items) > pictures:
        some = np.sort(np.random.default_rng(0).permutation(len(made.items))[:pictures])
        made = made.model_copy(update={"items": tuple(made.items[i] for i in some)})
    return split(made, survey(made), test=0.0 if made.part("test") else 0.2)


def measured(pair: str, dataset, place: Path, minutes: float | None) -> str:
    import numpy as np

    from sightline.learn.fit import TrainRequest, fit
    from sightline.runtime.model import Model
    from sightline.types import Card
    from sightline.verbs import outcome

    features, _, classifier = pair.partition("+")
    begun = time.perf_counter()
    request = TrainRequest(way="classic", features=features, classifier=classifier, compare=False, minutes=minutes)
    trained = fit(dataset, request, place / pair)
    took = time.perf_counter() - begun
    card = Card(
        id="",
        name=pair,
        task=dataset.task,
        classes=dataset.classes,
        input=trained.input,
        recipe=trained.recipe,
        parity=trained.parity,
    )
    model = Model(card, trained.onnx, 1)
    answered = outcome.answer(Model(card, trained.onnx), dataset.part("test"))
    score = outcome.scores_of(answered.truth, answered.probabilities, card).overall["top1"]
    image = np.random.default_rng(0).integers(0, 255, (1, card.input.size, card.input.size, 3), dtype=np.uint8)
    once = []
    for _ in range(20):
        start = time.perf_counter()
        model.answer(image)
        once.append(time.perf_counter() - start)
    said = ", ".join(f"{name}={value:g}" for name, value in trained.recipe.values.items() if isinstance(value, float | int))
    return (
        f"| {pair} | {score.value:.1%} ({100 * score.low:.0f}-{100 * score.high:.0f}) | {took:.0f} "
        f"| {len(trained.onnx) / 1e6:.1f} | {1000 * sorted(once)[10]:.1f} | {trained.parity.largest_difference:.1e} | {said} |"
    )


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--data", type=Path)
    asked.add_argument("--pictures", type=int, default=2_400)
    asked.add_argument("--only", nargs="*", default=PAIRS)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dataset = dataset_of(given.data, given.pictures, Path(folder))
        counts = {part: len(dataset.part(part)) for part in ("train", "val", "test")}
        lines = [f"{counts}, chance {1 / len(dataset.classes):.1%}"]
        lines += ["| way | right | training, s | MB | ms | parity | setting |", "|---|---|---|---|---|---|---|"]
        for pair in given.only:
            lines.append(measured(pair, dataset, Path(folder), None))
            print(lines[-1], flush=True)
        report(f"classic-{given.data.name if given.data else 'roadsigns'}", lines, {"pictures": counts})


if __name__ == "__main__":
    main()
