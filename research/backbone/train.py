"""Train the backbone: the student answers for each view what the teacher answered. Goes on after any kill.

    python research/backbone/train.py RUN --shared ../shared [--cifar CIFAR] [--signs SIGNS] [--samples 600000] [--threads 1]

RUN keeps the teacher's answers (SET.f16), the student (student.pt), and the curve (curve.jsonl). The rate stays the same until
the last fifth of --samples, in which it falls to nothing: a run that ended goes on with more of --samples.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import student
import teacher
from crops import render, view
from photographs import Photograph, learned_from
from sightline.learn.optimise import Average
from sightline.learn.smallmaps import use_convolutions, use_products

BATCH = 64
RATE, DECAY, WARM = 1e-3, 0.02, 200  # AdamW; steps until the full rate
FALL = 0.2  # share of the samples in which the rate falls
SIZES, LATE = (96, 96, 128, 128), (96, 128, 128, 160)  # px a side, one for each batch; while the rate falls
KEEP = 180  # seconds between two states on the disk
WARMTH, SHARE = 2.0, 0.25  # temperature of the logits and what they weigh beside the features


class Lesson:
    """The loss: squared differences of the features in units of their spread, and of the logits that follow from them."""

    def __init__(self, features: NDArray[np.float16], weights: Path) -> None:
        some = torch.from_numpy(features[:: max(1, len(features) // 8000)].astype(np.float32))
        self.spread = some.std(0).clamp_min(1e-2)
        self.weight, self.bias = teacher.classifier(weights)

    def __call__(self, found: Tensor, truth: Tensor) -> tuple[Tensor, float]:
        """The loss, and of it what the features are."""
        features = ((found - truth) / self.spread).square().mean()
        ours, theirs = (nn.functional.linear(x, self.weight, self.bias) / WARMTH for x in (found, truth))
        logits = nn.functional.kl_div(ours.log_softmax(1), theirs.log_softmax(1), log_target=True, reduction="batchmean")
        return features + SHARE * WARMTH**2 * logits, float(features.detach())


def rate(sample: int, samples: int) -> float:
    """Share of the full rate."""
    return min(1.0, sample / (WARM * BATCH), max(0.0, (samples - sample) / (FALL * samples)))


class Run:
    """A training that lies in a folder."""

    def __init__(self, folder: Path, photographs: Sequence[Photograph], weights: Path) -> None:
        self.folder, self.photographs = folder, photographs
        self.path = folder / "student.pt"
        if self.path.exists():
            kept = torch.load(self.path, weights_only=True)
            self.network, self.removed = student.built(kept["state"], kept["removed"]), kept["removed"]
        else:
            self.network, self.removed = student.pruned(teacher.body(weights), photographs)
            kept = {}
        self.network = self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = Average(self.network, 0.999)  # type: ignore[arg-type]
        flat = [one for one in self.network.parameters() if one.ndim < 2]
        deep = [one for one in self.network.parameters() if one.ndim >= 2]
        groups = [{"params": deep, "weight_decay": DECAY}, {"params": flat, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, RATE, betas=(0.9, 0.99))
        self.sample, self.seconds = int(kept.get("sample", 0)), float(kept.get("seconds", 0.0))
        if kept:
            self.average.model.load_state_dict(kept["average"])
            self.optimiser.load_state_dict(kept["optimiser"])

    def keep(self, name: str = "") -> None:
        state: dict[str, Any] = {
            "state": self.network.state_dict(),
            "average": self.average.model.state_dict(),
            "removed": self.removed,
            "sample": self.sample,
            "seconds": self.seconds,
        }
        if name:  # to look at later, without what only going on needs
            torch.save({key: value for key, value in state.items() if key != "state"}, self.folder / name)
            return
        part = self.path.with_suffix(".part")
        torch.save(state | {"optimiser": self.optimiser.state_dict()}, part)
        part.replace(self.path)

    def batch(self, sets: int, first: int, sizes: Sequence[int]) -> tuple[NDArray[np.uint8], int, NDArray[np.int64]]:
        """Views (n, size, size, 3) of the samples `first` on, their set, and their numbers in it."""
        count = len(self.photographs)
        epoch, place = divmod(first, count // BATCH * BATCH)
        order = np.random.default_rng(epoch).permutation(count)[place : place + BATCH]
        set_, size = epoch % sets, sizes[np.random.default_rng((epoch, place)).integers(len(sizes))]
        return np.stack([render(self.photographs, view(int(n), count, set_), size) for n in order]), set_, order

    def train(self, sets: Sequence[NDArray[np.float16]], lesson: Lesson, samples: int, states: int) -> None:
        use_products(self.network)
        self.network.train()
        begun, kept, said, running = time.perf_counter(), time.perf_counter(), time.perf_counter(), []
        with ThreadPoolExecutor(1) as pool:
            coming: Future[Any] = pool.submit(self.batch, len(sets), self.sample, SIZES)
            while self.sample < samples:
                images, set_, order = coming.result()
                late = samples - self.sample < FALL * samples
                coming = pool.submit(self.batch, len(sets), self.sample + BATCH, LATE if late else SIZES)
                truth = torch.from_numpy(sets[set_][order].astype(np.float32))
                for group in self.optimiser.param_groups:
                    group["lr"] = RATE * rate(self.sample, samples)
                with torch.autocast("cpu", torch.bfloat16):
                    found = self.network(student.normalised(torch.from_numpy(images)))
                loss, part = lesson(found.float(), truth)
                self.optimiser.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
                self.optimiser.step()
                before, self.sample = self.sample, self.sample + BATCH
                self.average.update(self.sample // BATCH)
                running.append((float(loss.detach()), part))
                now = time.perf_counter()
                self.seconds, begun = self.seconds + now - begun, now
                if before // states != self.sample // states:
                    self.keep(f"at-{self.sample // states * states:09d}.pt")
                if now - said > 60 or self.sample >= samples:
                    row = {"sample": self.sample, "seconds": round(self.seconds), "loss": np.mean(running, 0).round(4).tolist()}
                    with (self.folder / "curve.jsonl").open("a") as out:
                        out.write(json.dumps(row) + "\n")
                    print(row, f"{BATCH * len(running) / (now - said):.0f} samples/s", flush=True)
                    said, running = now, []
                if now - kept > KEEP:
                    self.keep()
                    kept = now
        use_convolutions(self.network)
        self.keep()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--shared", type=Path, required=True, help="the folder with data/ and weights/")
    parser.add_argument("--cifar", type=Path, help="CIFAR-10 as class folders in train/ and test/")
    parser.add_argument("--signs", type=Path, help="road signs of `sightline demo`, train/ and test/")
    parser.add_argument("--sets", type=int, default=2, help="views of each picture; each is answered by the teacher once")
    parser.add_argument("--samples", type=int, default=600_000)
    parser.add_argument("--states", type=int, default=50_000, help="samples between two students that stay, for the curve")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.run.mkdir(parents=True, exist_ok=True)
    weights = options.shared / "weights"
    photographs = learned_from(options.shared, options.signs, options.cifar)
    print(f"{len(photographs)} photographs", flush=True)
    model = teacher.graph(weights)
    sets = [teacher.answers(photographs, model, options.run, set_, options.threads) for set_ in range(options.sets)]
    run = Run(options.run, photographs, weights)
    print(f"{sum(one.numel() for one in run.network.parameters()) / 1e6:.2f} M parameters, sample {run.sample}", flush=True)
    run.train(sets, Lesson(sets[0], weights), options.samples, options.states)


if __name__ == "__main__":
    main()
