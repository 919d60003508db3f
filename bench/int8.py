"""How much faster and smaller 8 bits make the usual networks, one picture at a time on one thread, beside OpenVINO.

    python bench/int8.py [--only resnet50,mobilenetv2_100] [--runs 15]

Weights are random (speed does not depend on them); the float file, its int8 file and, where installed, OpenVINO's rows run in
turn, and ratios are taken within a run. Times are processor time of the calling thread, so that neighbours weigh less.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable

import numpy as np

import harness

SIZE = 224
NETWORKS = ("mobilenetv2_100", "mobilenetv3_large_100", "resnet18", "resnet50", "squeezenet1_1")


def network_file(name: str) -> bytes:
    """A network with random weights as sightline exports it, with a head of 10 classes."""
    import timm
    import torch

    from sightline.learn.export import attach
    from sightline.learn.graph import embedding_graph
    from sightline.learn.network import Classifier
    from sightline.learn.probe import Head
    from sightline.measure.novelty import Novelty
    from sightline.types import InputSpec

    torch.manual_seed(0)
    torch.set_num_threads(1)
    if name.startswith("squeezenet"):
        import torchvision

        body = getattr(torchvision.models, name)(weights=None).features
        network = torch.nn.Sequential(body, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    else:
        network = timm.create_model(name, pretrained=False, num_classes=0)
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):  # some start as 0, and equal weights would be stored once
            torch.nn.init.uniform_(part.weight, 0.5, 1.2)
            torch.nn.init.normal_(part.bias, 0, 0.1)
    with torch.no_grad():
        width = network.eval()(torch.zeros(1, 3, SIZE, SIZE)).shape[1]
    rng = np.random.default_rng(0)
    head = Head((rng.normal(size=(10, width)) / width**0.5).astype(np.float32), np.zeros(10, np.float32))
    mixture = (rng.normal(size=(width, 128)) / width**0.5).astype(np.float32)
    novelty = Novelty(mixture, np.zeros(128, np.float32), rng.normal(size=(10, 128)).astype(np.float32))
    graph = embedding_graph(Classifier(network, width, 10).eval(), SIZE)
    classes = tuple(f"class {number}" for number in range(10))
    return attach(graph, head, novelty, temperature=1.0, classes=classes, task="multiclass", spec=InputSpec(size=SIZE))


def rivals(onnx: bytes, small: bytes, picture: np.ndarray) -> dict[str, Callable[[], object]]:
    from sightline.runtime.engines import open_session

    def run(content: bytes, provider: str) -> Callable[[], object]:
        session = open_session(content, provider=provider, threads=1)
        return lambda: session.run(["probabilities"], {"image": picture})

    found = {"ONNX Runtime float32": run(onnx, "cpu"), "ONNX Runtime int8": run(small, "cpu")}
    if importlib.util.find_spec("openvino"):
        found["OpenVINO float32"] = run(onnx, "openvino")
        try:
            found["OpenVINO bfloat16"] = run(onnx, "openvino-bf16")
        except Exception as error:
            print(f"no bfloat16 here: {error}")
        found["OpenVINO int8"] = run(small, "openvino")
    return found


def timed(works: dict[str, Callable[[], object]], runs: int) -> dict[str, list[float]]:
    """Milliseconds of processor time for a picture, of each rival in each run."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for run in range(-2, runs):
        for name, work in works.items():
            start = time.process_time()  # OpenVINO answers on a thread of its own
            for _ in range(4):
                work()
            if run >= 0:
                times[name].append((time.process_time() - start) / 4 * 1000)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(NETWORKS))
    parser.add_argument("--runs", type=int, default=15)
    given = parser.parse_args()
    from sightline.shrink.quantise import int8

    images = np.random.default_rng(0).integers(0, 256, (16, SIZE, SIZE, 3), dtype=np.uint8)
    lines = [f"n = {given.runs} runs of 4 pictures, batch 1, 1 thread; {harness.versions('onnxruntime', 'numpy', 'onnx')}"]
    lines += [
        "| network | how | share of the file | ms (lowest-highest) | speed-up (lowest-highest) |",
        "|---|---|---|---|---|",
    ]
    facts: dict[str, object] = {}
    for name in given.only.split(","):
        onnx = network_file(name)
        small = int8(onnx, images)
        times = timed(rivals(onnx, small, images[:1]), given.runs)
        reference = times["ONNX Runtime float32"]
        for how, took in times.items():
            gain, least, most = harness.ratio(reference, took)
            share = len(small) / len(onnx) if "int8" in how else 1.0
            lines.append(f"| {name} | {how} | {share:.3f} | {harness.spread(took)} | {gain:.2f} ({least:.2f}-{most:.2f}) |")
            facts[f"{name}, {how}"] = {"ms": statistics.median(took), "speed_up": gain, "share": share}
    harness.report("int8", lines, {"measured": facts})


if __name__ == "__main__":
    main()
