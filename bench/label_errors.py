"""Label errors: random human labels on CIFAR-10, how many of the most suspicious are wrong, and what cleaning is worth.

Needs crowd_labels.csv (image, true_label, label_1, ...) and the pictures it names; 2,000 training pictures of every class carry
the first person's label. The test pictures carry the truth. A picture's features come from frozen pretrained weights.

    SIGHTLINE_WEIGHTS=weights python bench/label_errors.py CIFAR10-FOLDER(train/, test/) crowd_labels.csv [--each 2000]
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import Counter
from pathlib import Path

import numpy as np

from harness import report, versions
from sightline.data.manifest import with_hashes
from sightline.learn import suspects
from sightline.learn.probe import fit_probe
from sightline.types import Annotation, Dataset, Item


def read(folder: Path, table: Path, each: int) -> tuple[Dataset, list[str]]:
    taken: Counter[str] = Counter()
    items, truth = [], []
    with table.open(newline="") as stream:
        for row in csv.DictReader(stream):
            if taken[row["true_label"]] < each:
                taken[row["true_label"]] += 1
                said = (Annotation(label=row["label_1"]),)
                items.append(Item(uri=str(folder / row["image"]), name=row["image"], truth=said, split="train"))
                truth.append(row["true_label"])
    return with_hashes(Dataset(name="crowd", task="multiclass", classes=tuple(sorted(taken)), items=tuple(items))), truth


def tested(folder: Path, classes: tuple[str, ...]) -> Dataset:
    files = sorted((folder / "test").rglob("*.jpg"))
    items = [Item(uri=str(file), name=str(file), truth=(Annotation(label=file.parent.name),), split="test") for file in files]
    return with_hashes(Dataset(name="test", task="multiclass", classes=classes, items=tuple(items)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--each", type=int, default=2000)
    given = parser.parse_args()
    dataset, truth = read(given.folder, given.table, given.each)
    test = tested(given.folder, dataset.classes)
    number = {name: place for place, name in enumerate(dataset.classes)}
    right = np.array([number[name] for name in truth])
    said = np.array([number[item.labels[0]] for item in dataset.items])
    wrong = right != said

    seen, unseen = suspects.embedded(dataset), suspects.embedded(test)
    if seen is None or unseen is None:
        raise SystemExit("no pretrained weights: set SIGHTLINE_WEIGHTS")
    begun = time.process_time()
    findings = suspects.label_errors(dataset, seen=seen)
    seconds = time.process_time() - begun
    place = {item.name: row for row, item in enumerate(seen.items)}
    order = np.array([place[finding.items[0]] for finding in findings])

    answers = np.array([number[item.labels[0]] for item in unseen.items])

    def accuracy(rows: np.ndarray, labels: np.ndarray) -> float:
        probe = fit_probe(seen.vectors[rows], labels[rows], len(dataset.classes), "multiclass", threads=2)
        return float((probe.head.logits(unseen.vectors).argmax(axis=1) == answers).mean())

    everyone = np.arange(len(said))
    first = order[:2000]
    lines = [
        versions("cleanlab", "scikit-learn", "onnxruntime"),
        f"{len(said):,} pictures, {wrong.mean():.1%} of the labels wrong; {len(order):,} found in {seconds:.1f} s of processor",
        "",
        "| the most suspicious | of them wrong | of all wrong ones found |",
        "|---|---|---|",
        *[
            f"| {len(part):,} | {wrong[part].mean():.1%} | {wrong[part].sum() / wrong.sum():.1%} |"
            for part in (order[:500], order[:1000], first, order)
        ],
        "",
        f"| the probe learns from | top-1 on {len(answers):,} test pictures |",
        "|---|---|",
        f"| all labels as people gave them | {accuracy(everyone, said):.2%} |",
        f"| without the 2,000 most suspicious | {accuracy(np.setdiff1d(everyone, first), said):.2%} |",
        f"| without all {len(order):,} found | {accuracy(np.setdiff1d(everyone, order), said):.2%} |",
        f"| the 2,000 corrected by a person | {accuracy(everyone, np.where(np.isin(everyone, first), right, said)):.2%} |",
        f"| the truth | {accuracy(everyone, right):.2%} |",
    ]
    report("label_errors", lines, {"found": len(order), "precision_2000": float(wrong[first].mean())})


if __name__ == "__main__":
    main()
