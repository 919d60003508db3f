"""Changing a batch of training pictures: all at once (learn/augment.py) against torchvision.transforms.v2 picture by picture.

The same recipe, `medium`, in both; on one thread, processor seconds, rivals in turn. Then what each change of single pictures
costs, and a copy as `sightline augment` writes it.

    python bench/augment.py
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from harness import report, versions
from sightline.learn.augment import asked_for, augment
from sightline.learn.recipes import CHANGES, MIXING, read_recipe
from sightline.learn.reproduce import seed_of
from sightline.learn.transforms import each, pipeline, varied

BATCH = 32


def pictures(n: int, side: int) -> torch.Tensor:
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.integers(0, 256, (n, 3, 9, 9), np.uint8)).float()
    fine = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 255)
    return fine.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def milliseconds(work: Callable[[int], object], runs: int) -> list[float]:
    """Processor milliseconds of each run; the first is not counted."""
    found = []
    for run in range(runs + 1):
        begun = time.process_time()
        work(run)
        found.append(1000 * (time.process_time() - begun))
    return found[1:]


def told(values: list[float], n: int) -> str:
    values = sorted(value / n for value in values)
    return f"{statistics.median(values):.2f} ({values[0]:.2f}-{values[-1]:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    torch.set_num_threads(1)
    lines, facts = ["processor milliseconds a picture, median (lowest-highest), one thread", ""], {}
    medium = read_recipe("medium")
    for side in (64, 224):
        images, targets = pictures(BATCH, side), torch.eye(BATCH)
        how, single = asked_for(medium), pipeline(medium.amounts)

        def at_once(run: int, how=how, images=images, targets=targets, side=side) -> object:
            return augment(images, targets, how, side, torch.Generator().manual_seed(run))

        def one_by_one(run: int, single=single, images=images) -> object:
            return [varied(image.numpy(), single, seed_of(run, "bench", place)) for place, image in enumerate(images)]

        fast, slow = milliseconds(at_once, runs), milliseconds(one_by_one, runs)
        facts[f"medium {side}"] = {"at once": fast, "one by one": slow}
        share = statistics.median(slow) / statistics.median(fast)
        lines.append(f"medium, {side} px: at once {told(fast, BATCH)}, v2 one by one {told(slow, BATCH)}: {share:.1f} x")
    images = pictures(BATCH, 224)
    for name, change in CHANGES.items():
        if change.doer == "picture":
            word = (f"{name}:{change.usual:g}",)
            took = milliseconds(lambda run, word=word: each(images, word, run, 0), runs)
            facts[name] = took
            lines.append(f"{name}, 224 px: {told(took, BATCH)}")
    large = pictures(1, 800)[0, :600].numpy()
    for name in ("medium", "strong"):
        how = pipeline({one: amount for one, amount in read_recipe(name).amounts.items() if one not in MIXING})
        took = milliseconds(lambda run, how=how: varied(large, how, run), runs)
        facts[f"copy {name}"] = took
        lines.append(f"a copy of 800 x 600, {name}: {told(took, 1)}")
    report("augment", [*lines, "", versions("torch", "torchvision")], facts)


if __name__ == "__main__":
    main()
