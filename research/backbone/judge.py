"""How good features are: a logistic head on them, fitted to few or many pictures of tasks that were not trained for.

    python research/backbone/judge.py RUN --shared ../shared [--cifar CIFAR] [--signs SIGNS] student=RUN/student.pt teacher

Judged are `teacher` (at the same resolution), `student=FILE.pt` (as train.py keeps it), `graph=FILE.onnx`, `random` (the
teacher's network with its first weights) and `hog` (HOG and a linear SVM). Every picture is prepared as the product does,
128 px on grey. Scores go to RUN/scores.json, with 5 draws of the training pictures where not all are taken.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photographs import in_classes, unlabelled
from sightline.learn.probe import fit_probe
from sightline.measure.bootstrap import resampled_sums, score
from sightline.runtime.engines import open_session
from sightline.runtime.pixels import prepare
from sightline.types import InputSpec

SEEDS = 5
SPEC = InputSpec(size=128, fit="pad", interpolation="bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
Pictures = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Task:
    """Pictures (n, 128, 128, 3) with class numbers; `few`: pictures of each class that a head is fitted to, None: all."""

    name: str
    few: int | None
    train: Pictures
    truth: NDArray[np.int64]
    test: Pictures
    expected: NDArray[np.int64]


def tasks(shared: Path, cifar: Path | None, signs: Path | None, kept: Path, only: str = "") -> Iterator[Task]:
    """The tasks whose data are there; prepared pictures are kept in `kept`."""
    made: dict[str, tuple[list[int | None], Callable[[], tuple[Any, ...]]]] = {
        "clothing": ([100, None], lambda: _folders(shared / "data/clothing/train", shared / "data/clothing/validation")),
        "kept-out photographs": ([None], lambda: _sources(shared / "data/unlabelled")),
        "cells": ([None], lambda: _cells(shared / "data/bccd")),
    }
    if signs:
        made["road signs"] = ([20, None], lambda: _folders(signs / "train", signs / "test"))
    if cifar:
        made["cifar"] = ([1000], lambda: _folders(cifar / "train", cifar / "test", 12_000, 5_000))
    for name, (few, make) in made.items():
        if only and name not in only.split(","):
            continue
        path = kept / f"{name.replace(' ', '-')}.npz"
        if not path.exists():
            kept.mkdir(parents=True, exist_ok=True)
            np.savez(path, **dict(zip(("train", "truth", "test", "expected"), make(), strict=True)))
        with np.load(path) as held:
            parts = [held[key] for key in ("train", "truth", "test", "expected")]
        for count in few:
            yield Task(name if count is None else f"{name}, {count} a class", count, *parts)


def _folders(train: Path, test: Path, most: int | None = None, tested: int | None = None) -> tuple[Any, ...]:
    classes = sorted(path.name for path in train.iterdir() if path.is_dir())
    found: list[Any] = []
    for folder, count in ((train, most), (test, tested)):
        pictures = list(in_classes(folder, "", count))
        found += [
            np.stack([prepare(one.data, SPEC) for one in pictures]),
            _numbers(classes, [one.name.partition("/")[0] for one in pictures]),
        ]
    return tuple(found)


def _numbers(classes: list[str], names: list[str]) -> NDArray[np.int64]:
    return np.array([classes.index(name) for name in names], np.int64)


def _sources(folder: Path) -> tuple[Any, ...]:
    """Which collection a photograph that was kept out is from: those with 20 and more, every other one to test."""
    held = list(unlabelled(folder, kept_out=True))
    names = sorted({one.source for one in held})
    classes = [name for name in names if sum(one.source == name for one in held) >= 20]
    held = [one for one in held if one.source in classes]
    pictures, truth = np.stack([prepare(one.data, SPEC) for one in held]), _numbers(classes, [one.source for one in held])
    return pictures[::2], truth[::2], pictures[1::2], truth[1::2]


def _cells(folder: Path, most: int = 600) -> tuple[Any, ...]:
    """Blood cells cut out by their boxes, at most `most` of a class; train.txt to learn, val.txt to test."""
    import io
    from xml.etree import ElementTree

    from PIL import Image

    classes, found = ["Platelets", "RBC", "WBC"], []
    for part in ("train", "val"):
        rows: dict[str, list[Pictures]] = {name: [] for name in classes}
        for name in (folder / f"{part}.txt").read_text().split():
            document = ElementTree.parse(folder / "annotations" / f"{name}.xml")
            with Image.open(next((folder / "images").glob(f"{name}.*"))) as opened:
                picture = opened.convert("RGB")
            for one in document.iter("object"):
                box = one.find("bndbox")
                assert box is not None
                left, top, right, bottom = (int(float(box.findtext(side) or 0)) for side in ("xmin", "ymin", "xmax", "ymax"))
                label = one.findtext("name") or ""
                if right - left > 4 and bottom - top > 4 and len(rows[label]) < most:
                    buffer = io.BytesIO()
                    picture.crop((left, top, right, bottom)).save(buffer, "PNG")
                    rows[label].append(prepare(buffer.getvalue(), SPEC))
        found += [np.concatenate([np.stack(rows[name]) for name in classes])]
        found += [np.concatenate([np.full(len(rows[name]), number) for number, name in enumerate(classes)])]
    return tuple(found)


def graph_of(who: str, weights: Path) -> bytes:
    """ONNX from prepared pictures to features, as the product makes it: last features beside the stage before."""
    import timm
    import torch

    import student
    import teacher
    from sightline.learn.graph import embedding_graph
    from sightline.learn.network import Classifier
    from sightline.learn.pooled import Pooled

    kind, _, path = who.partition("=")
    if kind == "graph":
        return Path(path).read_bytes()
    if kind == "student":
        network, _ = student.load(Path(path))
    elif kind == "random":
        torch.manual_seed(0)
        network = timm.create_model(teacher.NAME, num_classes=0, pad_type="same").eval()
    else:
        network = teacher.body(weights)
    pooled = Pooled(network, SPEC.size)
    return embedding_graph(Classifier(pooled, pooled.width, 1, mean=SPEC.mean, std=SPEC.std), SPEC.size)


def features(graph: bytes, pictures: Pictures) -> NDArray[np.float32]:
    """(n, d); pictures are made smaller for a graph that takes another size."""
    from PIL import Image

    session = open_session(graph)
    given = session.get_inputs()[0]
    side = given.shape[1] if isinstance(given.shape[1], int) else SPEC.size

    def one(picture: Pictures) -> Pictures:
        fits = len(picture) == side
        return picture if fits else np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC))

    return np.concatenate([session.run(["embedding"], {given.name: one(picture)[None]})[0] for picture in pictures])


def hog(pictures: Pictures) -> NDArray[np.float32]:
    """HOG of the grey picture at 64 px: 9 directions, cells of 8 px (Dalal and Triggs 2005)."""
    from skimage.feature import hog as gradients

    grey = pictures[:, ::2, ::2].astype(np.float32).mean(3)
    return np.stack([gradients(one, 9, (8, 8), (2, 2)) for one in grey]).astype(np.float32)


def scores(task: Task, seen: NDArray[np.float32], unseen: NDArray[np.float32], *, svm: bool = False) -> dict[str, Any]:
    """Share of the test pictures that are right: the mean over draws, and a 95 % interval over test pictures."""
    classes, strength, right = int(task.truth.max()) + 1, 1.0, []
    for seed in range(SEEDS if task.few else 1):
        draws = np.random.default_rng(seed)
        rows = np.arange(len(task.truth))
        if task.few:
            each = [draws.permutation(np.flatnonzero(task.truth == one))[: task.few] for one in range(classes)]
            rows = np.concatenate(each)
        if svm:
            if not seed:
                strength = _strength(seen[rows], task.truth[rows])
            answer = _svm(strength).fit(seen[rows], task.truth[rows]).predict(unseen)
        else:
            probe = fit_probe(seen[rows], task.truth[rows], classes, "multiclass", seed=seed)
            answer = probe.head.logits(unseen).argmax(1)
        right.append(answer == task.expected)
    each = np.array(right).mean(1)
    found, n = np.array(right).mean(0), len(task.expected)
    said = score(float(each.mean()), resampled_sums(found, 0) / n, n)
    return {
        "accuracy": round(said.value, 4),
        "low": round(said.low, 4),
        "high": round(said.high, 4),
        "draws": each.round(4).tolist(),
        "pictures": n,
    }


def _svm(strength: float) -> Any:
    from sklearn.svm import LinearSVC

    return LinearSVC(C=strength, dual=True, max_iter=2000)


def _strength(seen: NDArray[np.float32], truth: NDArray[np.int64], most: int = 2000) -> float:
    """C by cross-validation, on at most so many pictures."""
    from sklearn.model_selection import cross_val_score

    some = np.random.default_rng(0).permutation(len(truth))[:most]
    tried = {c: cross_val_score(_svm(c), seen[some], truth[some], cv=3).mean() for c in (0.01, 0.1, 1.0, 10.0)}
    return max(tried, key=lambda c: tried[c])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("who", nargs="+")
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--cifar", type=Path)
    parser.add_argument("--signs", type=Path)
    parser.add_argument("--only", default="", help="tasks, with commas")
    options = parser.parse_args()
    path = options.run / "scores.json"
    book = json.loads(path.read_text()) if path.exists() else {}
    for who in options.who:
        graph = b"" if who == "hog" else graph_of(who, options.shared / "weights")
        last: tuple[Any, ...] = ()
        for task in tasks(options.shared, options.cifar, options.signs, options.run / "judged", options.only):
            if not last or last[0] is not task.train:
                sides = (task.train, task.test)
                last = (task.train, *(hog(side) if who == "hog" else features(graph, side) for side in sides))
            found = scores(task, last[1], last[2], svm=who == "hog")
            book.setdefault(who, {})[task.name] = found
            print(f"{who}: {task.name}: {found['accuracy']:.1%} ({found['low']:.1%}-{found['high']:.1%})", flush=True)
            path.write_text(json.dumps(book, indent=1))


if __name__ == "__main__":
    main()
