"""Accuracy over cost for students of one model: widths 0.25 to 1 by inputs of 96 to 224 px, all taught for equal epochs.

Every cell is a training of `learn/shrinking/width.py`, measured on the pictures that no training saw, or else on the validation
pictures. A finished cell is a JSON file in bench/results/width_curve/, one under way lies in SIGHTLINE_HOME: the same command
goes on after a kill, and ends with a table and docs/pictures/width-curve.svg.

    python bench/width_curve.py MODEL DATA --epochs 10
    python bench/width_curve.py MODEL DATA --minutes 5 --widths 0.5,1 --inputs 96,224     # minutes for each cell
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from claims import charts
from harness import RESULTS, machine, seconds, versions
from sightline import progress
from sightline.errors import StoppedError, UsageError
from sightline.files import write_text
from sightline.learn.finish import Trained
from sightline.learn.shrinking.width import narrower
from sightline.runtime.bundle import read_bundle
from sightline.runtime.model import Model
from sightline.settings import settings
from sightline.types import Dataset
from sightline.verbs import outcome
from sightline.verbs.material import material
from sightline.verbs.trained import card_of

PLOT = Path(__file__).parent.parent / "docs" / "pictures" / "width-curve.svg"
RUNS, WARM = 30, 5  # answers of which the median is taken


@dataclass(frozen=True, slots=True)
class Cell:
    """One student; `score` is its top-1 (several labels: mean average precision) with its interval, times are of one thread."""

    width: float
    size: int
    score: float
    low: float
    high: float
    pictures: int
    multiply_adds: int
    bytes: int
    latency_ms: float
    epochs: int
    seconds: float
    machine: str = ""
    failed: str = ""


def measured(width: float, size: int, trained: Trained, dataset: Dataset) -> Cell:
    """What the exported file says of unseen pictures, and what it costs."""
    card = card_of("student", dataset, trained)
    model = Model(card, trained.onnx, threads=1)
    unseen = dataset.part("test") or dataset.part("val")
    answered = outcome.answer(model, unseen)
    scores = outcome.scores_of(answered.truth, answered.probabilities, card, trained.recipe.seed).overall
    score = scores["map" if card.task == "multilabel" else "top1"]
    picture = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
    times = [seconds(lambda: model.answer(picture)) for _ in range(WARM + RUNS)][WARM:]
    return Cell(
        width=width,
        size=size,
        score=score.value,
        low=score.low,
        high=score.high,
        pictures=score.n,
        multiply_adds=trained.recipe.values["multiply_adds"][1],
        bytes=len(trained.onnx),
        latency_ms=1000 * statistics.median(times),
        epochs=len(trained.history),
        seconds=sum(trained.seconds.values()),
        machine=machine(),
    )


def cell(options: argparse.Namespace, dataset: Dataset, width: float, size: int, folder: Path) -> Cell:
    """The cell as it was kept, or trained now."""
    kept = folder / f"w{width:g}-{size}.json"
    if kept.is_file():
        return Cell(**json.loads(kept.read_text()))
    run = settings().home / "runs" / "width-curve" / folder.name / kept.stem
    wish = {"minutes": options.minutes or None, "epochs": options.epochs or None, "seed": options.seed}
    try:
        trained = narrower(options.model, dataset, run, width=width, input_size=size, **wish)
        found = measured(width, size, trained, dataset)
    except UsageError as error:  # a width or an input that this network does not have
        found = Cell(width, size, *[0.0] * 3, *[0] * 3, 0.0, 0, 0.0, failed=error.message)
    write_text(kept, json.dumps(asdict(found), indent=1) + "\n")
    shutil.rmtree(run, ignore_errors=True)
    return found


def table(cells: list[Cell]) -> list[str]:
    """Rows in Markdown, the largest first."""
    rows = ["| width | input | right (95 %) | multiply-adds | file | ms a picture |", "|---" * 6 + "|"]
    for one in cells:
        if one.failed:
            rows.append(f"| {one.width:g} | {one.size} | {one.failed} | | | |")
            continue
        right = f"{one.score:.1%} ({100 * one.low:.1f}-{100 * one.high:.1f})"
        cost = f"{one.multiply_adds / 1e6:,.1f} M | {one.bytes / 1e6:.2f} MB | {one.latency_ms:.2f}"
        rows.append(f"| {one.width:g} | {one.size} | {right} | {cost} |")
    return rows


def plot(cells: list[Cell], path: Path, name: str) -> None:
    """A line for each width over the inputs; each point is named by its input."""
    good = [one for one in cells if not one.failed]
    if not good:
        return
    widths = sorted({one.width for one in good})
    trails = [
        charts.Trail(
            f"width {width:g}",
            tuple(
                charts.Dot(str(one.size), one.multiply_adds, one.score, ink)
                for one in sorted(good, key=lambda one: one.size)
                if one.width == width
            ),
        )
        for ink, width in enumerate(widths)
    ]
    write_text(path, charts.trails(f"Students of {name}", trails, "multiply-adds a picture", "right"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="the bundle that teaches; made for the largest input")
    parser.add_argument("data", type=Path)
    parser.add_argument("--val", type=Path)
    parser.add_argument("--widths", default="1,0.75,0.5,0.25")
    parser.add_argument("--inputs", default="224,160,128,96", help="those above the model's own input are left out")
    parser.add_argument("--epochs", type=int, default=0, help="of every cell; without it, and without --minutes, the plan's")
    parser.add_argument("--minutes", type=float, default=0.0, help="of every cell")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", type=Path, default=PLOT)
    options = parser.parse_args()
    card = read_bundle(options.model).card
    dataset = material(options.data, options.val, options.seed, whole=True).dataset
    wish = f"{options.minutes:g}min" if options.minutes else f"{options.epochs or 'own'}epochs"
    folder = RESULTS / "width_curve" / f"{card.id}-{dataset.hash[:8]}-{wish}-seed{options.seed}"
    cells: list[Cell] = []
    print(f"{machine()}, {settings().threads} threads, {versions('torch', 'onnxruntime')}; {card.name}, {wish} a cell")
    inputs = [int(size) for size in options.inputs.split(",") if int(size) <= card.input.size]
    try:
        with progress.listen(lambda event: print(event.note, flush=True) if event.finished and event.note else None):
            for width in map(float, options.widths.split(",")):
                for size in inputs:
                    cells.append(cell(options, dataset, width, size, folder))
                    print(table(cells)[-1], flush=True)
                    plot(cells, options.plot, card.name)
    except StoppedError as stopped:
        raise SystemExit(f"{stopped}: the same command goes on") from stopped
    print("\n".join(["", *table(cells)]))


if __name__ == "__main__":
    main()
