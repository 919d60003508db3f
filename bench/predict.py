"""Pictures a second over a folder of 1,000 photographs: ours against torchvision ImageFolder + DataLoader + eager torch.

Same MobileNetV2 (ImageNet weights, 1,000 classes), same pictures, both cores for everyone. Each rival runs in a process of its
own, in turn; the clock starts when the model is loaded and stops at the last answer, start-up is printed beside it.

    SIGHTLINE_WEIGHTS=../shared/weights python bench/predict.py ../shared/data/clothing/train
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RIVALS = ("sightline", "eager", "eager channels-last")


def pictures(folder: Path, count: int) -> list[Path]:
    """The same `count` files for everyone, spread over the classes."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg"})
    step = max(1, len(files) // count)
    return files[::step][:count]


def ours(folder: Path, bundle: str) -> tuple[float, dict[str, int]]:
    from sightline import load
    from sightline.types import Failure

    model = load(bundle)
    index = {name: number for number, name in enumerate(model.card.classes)}
    files = sorted(folder.rglob("*.jpg"))
    start = time.perf_counter()
    answers = list(model.predict_many(files, top=1))
    took = time.perf_counter() - start
    bad = [answer for answer in answers if isinstance(answer, Failure)]
    if bad:
        raise SystemExit(f"{len(bad)} pictures failed: {bad[0]}")
    return took, {Path(answer.picture).name: index[answer.labels[0].label] for answer in answers}


def eager(folder: Path, weights: str, channels_last: bool) -> tuple[float, dict[str, int]]:
    """What a careful user writes with torchvision: ImageFolder, DataLoader with 2 workers, eval mode, no gradients."""
    import timm
    import torch
    from safetensors.torch import load_file
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    torch.set_num_threads(2)
    network = timm.create_model("mobilenetv2_100", pad_type="same")  # what the metadata of these weights says
    network.load_state_dict(load_file(weights))
    network.eval()
    if channels_last:
        network = network.to(memory_format=torch.channels_last)
    steps = [
        transforms.Resize(256, transforms.InterpolationMode.BICUBIC),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ]
    data = ImageFolder(str(folder), transforms.Compose(steps))
    loader = torch.utils.data.DataLoader(data, batch_size=32, num_workers=2)
    best: list[int] = []
    start = time.perf_counter()
    with torch.inference_mode():
        for images, _ in loader:
            if channels_last:
                images = images.contiguous(memory_format=torch.channels_last)  # noqa: PLW2901
            best += network(images).argmax(1).tolist()
    took = time.perf_counter() - start
    return took, {Path(path).name: answer for (path, _), answer in zip(data.samples, best, strict=True)}


def alone(rival: str, folder: Path, model: str) -> None:
    took, best = ours(folder, model) if rival == "sightline" else eager(folder, model, rival.endswith("channels-last"))
    print(json.dumps({"seconds": took, "best": best}))


def measure(rival: str, folder: Path, model: str) -> dict[str, object]:
    command = [sys.executable, __file__, str(folder), "--alone", rival, "--model", model]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout.splitlines()[-1])
    return {**answer, "process": time.perf_counter() - start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--alone", choices=RIVALS, help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        alone(options.alone, options.folder, options.model)
        return

    from harness import ratio, report, spread, versions
    from models import imagenet_mobilenet

    weights = os.environ["SIGHTLINE_WEIGHTS"] + "/mobilenetv2_100.safetensors"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "pictures"
        for file in pictures(options.folder, options.count):
            target = folder / file.parent.name / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(file.resolve())
        bundle = str(imagenet_mobilenet(Path(scratch) / "model"))
        runs: dict[str, list[dict[str, object]]] = {rival: [] for rival in RIVALS}
        for _ in range(options.runs):
            for rival in RIVALS:
                runs[rival].append(measure(rival, folder, bundle if rival == "sightline" else weights))
    count = len(runs["sightline"][0]["best"])  # type: ignore[arg-type]
    seconds = {rival: [float(run["seconds"]) for run in runs[rival]] for rival in RIVALS}  # type: ignore[arg-type]
    lines = [
        f"{count} photographs, {options.runs} runs in turn; {versions('torch', 'torchvision', 'onnxruntime', 'simplejpeg')}"
    ]
    for rival in RIVALS:
        same = sum(runs["sightline"][0]["best"][name] == best for name, best in runs[rival][0]["best"].items())  # type: ignore[index,attr-defined]
        median, low, high = ratio(seconds[rival], seconds["sightline"])
        lines.append(
            f"{rival:>20}: {spread([count / took for took in seconds[rival]])} pictures/s, ours is {median:.2f}x "
            f"({low:.2f}-{high:.2f}), same top-1 {same / count:.1%}, whole process "
            f"{spread([float(run['process']) for run in runs[rival]])} s"  # type: ignore[arg-type]
        )
    report("predict", lines, {"seconds": seconds})


if __name__ == "__main__":
    main()
