"""Training on frozen features: `sightline train` against a plain torch loop, both in fresh processes with empty caches.

The rival is what one writes in an afternoon: torchvision ImageFolder and DataLoader (2 workers), the same network in eager mode
with the same weights, input and letterboxing, scikit-learn's logistic regression with five folds over the strengths that
sightline tries. It ends with a number; `sightline train` also looks for duplicates, measures baselines, exports with proof and
writes a report.

    SIGHTLINE_WEIGHTS=weights python bench/probe.py photos/train photos/validation [--runs 3] [--per-class 100]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import ratio, report, spread, versions

RIVAL = """
import sys, numpy as np, timm, torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

train, val, weights = sys.argv[1:4]

class Letterbox:
    def __call__(self, picture):
        ratio = 224 / max(picture.size)
        inner = picture.resize([max(1, round(side * ratio)) for side in picture.size], Image.BICUBIC)
        ground = Image.new("RGB", (224, 224), (124, 116, 104))
        ground.paste(inner, ((224 - inner.width) // 2, (224 - inner.height) // 2))
        return ground

def features(folder):
    prepare = transforms.Compose([Letterbox(), transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)])
    loader = DataLoader(ImageFolder(folder, prepare), batch_size=32, num_workers=2)
    with torch.inference_mode():
        found = [(network(images).numpy(), labels.numpy()) for images, labels in loader]
    return [np.concatenate(part) for part in zip(*found)]

if __name__ == "__main__":
    network = timm.create_model("mobilenetv2_100", num_classes=0, pad_type="same").eval()
    state = load_file(weights)
    network.load_state_dict({name: tensor for name, tensor in state.items() if not name.startswith("classifier")})
    (x, y), (vx, vy) = features(train), features(val)
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    strengths = {"logisticregression__C": [0.001, 0.003, 0.01, 0.03]}
    search = GridSearchCV(head, strengths, cv=folds, scoring="neg_log_loss", n_jobs=2).fit(x, y)
    print((search.predict(vx) == vy).mean())
"""

FIT = """
import json, sys
from pathlib import Path
from sightline.data.readers import read
from sightline.learn.fit import TrainRequest, fit
train, val, home = sys.argv[1:4]
parts = [read(folder) for folder in (train, val)]
items = tuple(item.model_copy(update={"split": name}) for part, name in zip(parts, ("train", "val")) for item in part.items)
dataset = parts[0].model_copy(update={"items": items})
trained = fit(dataset, TrainRequest(way="probe", compare=False), Path(home) / "run")
print((trained.val.probabilities.argmax(axis=1) == trained.val.truth).mean())
"""


Run = tuple[float, float, float]  # wall seconds, processor seconds, validation top-1


def timed(command: list[str], home: str) -> tuple[float, float, str]:
    """Wall and processor seconds, and the last line that a fresh process with its own empty cache printed."""
    environment = {**os.environ, "SIGHTLINE_HOME": home, "SIGHTLINE_OFFLINE": "1"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    took, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{command[:3]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return took, busy, done.stdout.strip().splitlines()[-1]


def sightline(train: Path, val: Path, *extra: str) -> Run:
    """The whole command."""
    with tempfile.TemporaryDirectory() as home:
        program = str(Path(sys.executable).parent / "sightline")
        options = ["--val", str(val), "--out", f"{home}/model", "--way", "probe", "--json", *extra]
        took, busy, _ = timed([program, "train", str(train), *options], home)
        return took, busy, json.loads((Path(home) / "model/card.json").read_text())["scores"]["top1"]["value"]


def script(text: str, *arguments: str) -> Run:
    with tempfile.TemporaryDirectory() as home:
        file = Path(home) / "script.py"
        file.write_text(text)
        took, busy, last = timed([sys.executable, str(file), *arguments, home], home)
        return took, busy, float(last)


def fewer(folder: Path, per_class: int, target: Path) -> Path:
    """Copies of `per_class` random pictures of each class."""
    for group in sorted(path for path in folder.iterdir() if path.is_dir()):
        (target / group.name).mkdir(parents=True)
        pictures = sorted(group.iterdir())
        for picture in random.Random(0).sample(pictures, min(per_class, len(pictures))):
            shutil.copy(picture, target / group.name / picture.name)
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("val", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--per-class", type=int, default=0, help="train on so many pictures of each class")
    parser.add_argument("--alone", action="store_true", help="without the rival")
    options = parser.parse_args()
    weights = Path(os.environ["SIGHTLINE_WEIGHTS"]) / "mobilenetv2_100.safetensors"
    with tempfile.TemporaryDirectory() as folder:
        train = fewer(options.train, options.per_class, Path(folder) / "few") if options.per_class else options.train
        found: dict[str, list[Run]] = {"sightline train": [], "learn.fit alone": [], "plain torch loop": []}
        for _ in range(options.runs):
            found["sightline train"].append(sightline(train, options.val))
            found["learn.fit alone"].append(script(FIT, str(train), str(options.val)))
            if not options.alone:
                found["plain torch loop"].append(script(RIVAL, str(train), str(options.val), str(weights)))
    lines = [f"median (lowest-highest) of {options.runs} cold runs; {versions('torch', 'timm', 'onnxruntime', 'scikit-learn')}"]
    for name, runs in found.items():
        if runs:
            wall, busy, scores = (list(values) for values in zip(*runs, strict=True))
            top1 = spread([100 * score for score in scores])
            lines.append(f"{name:>18}: {spread(wall)} s, {spread(busy)} s of processor, validation top-1 {top1} %")
    if not options.alone:
        for name in ("sightline train", "learn.fit alone"):
            for place, what in enumerate(("seconds", "processor seconds")):
                middle, low, high = ratio(*([run[place] for run in found[one]] for one in ("plain torch loop", name)))
                lines.append(f"{name}: the plain torch loop takes {middle:.2f} ({low:.2f}-{high:.2f}) times its {what}")
    report("probe", lines, {"runs": found, "per_class": options.per_class})


if __name__ == "__main__":
    main()
