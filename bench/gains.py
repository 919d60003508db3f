"""What --teacher, --pretrain and --tune are worth: few labelled pictures, the same training with the option and without it,
several seeds, tested on pictures kept apart. A table with the mean difference and its range over the seeds.

    python bench/gains.py CIFAR               # a folder with train/ and test/, in both a folder for each class
    python bench/gains.py CIFAR --only teacher --each 200 --epochs 12 --seeds 3
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import machine, report, versions
from sightline.verbs.evaluate import evaluate
from sightline.verbs.train import train

Arm = Callable[[Path], dict[str, Any]]  # the folder of all parts -> what train is asked for


def links(source: Path, target: Path, first: int, last: int, *, labels: bool = True) -> Path:
    """Pictures first to last of each class as links; without labels all of them lie in one folder."""
    for of_class in sorted(path for path in source.iterdir() if path.is_dir()):
        place = target / of_class.name if labels else target
        place.mkdir(parents=True, exist_ok=True)
        for picture in sorted(of_class.iterdir())[first:last]:
            os.link(picture.resolve(), place / f"{of_class.name}-{picture.name}")
    return target


def scores(name: str, arm: Arm, parts: Path, seeds: int) -> list[float]:
    """Top-1 on the pictures kept apart, for each seed."""
    found = []
    for seed in range(seeds):
        model = parts / "models" / f"{name}-{seed}"
        train(parts / "train", out=model, seed=seed, replace=True, **arm(parts))
        found.append(evaluate(parts / "test", model=str(model), report=parts / "report").scores["top1"].value)
        print(f"  {name} seed {seed}: {found[-1]:.1%}", flush=True)
    return found


def arms(epochs: int, trials: int) -> dict[str, tuple[Arm, Arm]]:
    """Option -> the training without it and with it."""
    network = {"way": "scratch", "size": "tiny", "input_size": 32, "plan": f"epochs={epochs}"}

    def taught(parts: Path) -> dict[str, Any]:
        teacher = parts / "models" / "teacher"
        if not teacher.exists():  # taught by no more pictures than its pupil
            train(parts / "train", out=teacher, way="probe", size="tiny", input_size=96)
            print(f"  the teacher itself: {evaluate(parts / 'test', model=str(teacher)).scores['top1'].value:.1%}", flush=True)
        return {**network, "teacher": str(teacher)}

    def layers(way: str) -> tuple[Arm, Arm]:
        return (
            lambda _: {"way": way, "input_size": 32},
            lambda parts: {"way": way, "input_size": 32, "pretrain": str(parts / "unlabelled")},
        )

    return {
        "teacher": (lambda _: network, taught),
        "tune": (lambda _: network, lambda _: {**network, "tune": True, "trials": trials}),
        "pretrain:autoencoder": layers("autoencoder"),
        "pretrain:dbn": layers("dbn"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", default="teacher,tune,pretrain:autoencoder,pretrain:dbn")
    parser.add_argument("--each", type=int, default=100, help="labelled pictures of each class, a fifth of them to validate on")
    parser.add_argument("--unlabelled", type=int, default=1000, help="further pictures of each class, for --pretrain")
    parser.add_argument("--tests", type=int, default=200, help="pictures of each class to test on")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    known = arms(given.epochs, given.trials)
    lines = [f"{machine()}; {versions('torch', 'onnxruntime')}; {given.each} labelled pictures a class, {given.seeds} seeds"]
    lines += ["| option | without | with | points gained (least to most) |", "|---|---|---|---|"]
    facts: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=given.data) as folder:  # beside the pictures: links stay on one disk
        parts = Path(folder)
        links(given.data / "train", parts / "train", 0, given.each)
        links(given.data / "train", parts / "unlabelled", given.each, given.each + given.unlabelled, labels=False)
        links(given.data / "test", parts / "test", 0, given.tests)
        for option in given.only.split(","):
            without, added = (
                scores(f"{option.replace(':', '-')}-{kind}", arm, parts, given.seeds)
                for kind, arm in zip(("without", "with"), known[option], strict=True)
            )
            gains = [100 * (after - before) for before, after in zip(without, added, strict=True)]
            means = f"{statistics.mean(without):.1%} | {statistics.mean(added):.1%}"
            lines.append(f"| {option} | {means} | {statistics.mean(gains):+.1f} ({min(gains):+.1f} to {max(gains):+.1f}) |")
            facts[option] = {"without": without, "with": added}
    report("gains", lines, facts)


if __name__ == "__main__":
    main()
