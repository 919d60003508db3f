"""The backbone in the package: pictures a second at 128 px on two threads, decoding excluded, beside the full MobileNetV2.

Both answer through ONNX Runtime, one session shared by the threads, in turn, 5 runs; the peer is float32 with the same input.

    SIGHTLINE_WEIGHTS=weights python bench/backbone.py [--threads 2] [--pictures 600]
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from harness import in_turn, machine, ratio, report, spread, versions
from sightline.learn import graph, own
from sightline.learn.backbones import named
from sightline.runtime.engines import open_session


def answered(session: object, images: np.ndarray, threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda image: session.run(["embedding"], {"image": image[None]}), images))  # type: ignore[attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pictures", type=int, default=600)
    options = parser.parse_args()
    images = np.random.default_rng(0).integers(0, 256, (options.pictures, own.SIZE, own.SIZE, 3), np.uint8)
    rivals = {"ours, 8 bits": own.graph(own.SIZE)}
    full = named("mobilenetv2_100", own.SIZE)
    if full:
        rivals["MobileNetV2, float32"] = graph.backbone_graph(full)[0]
    times = in_turn(
        {name: partial(answered, open_session(content), images, options.threads) for name, content in rivals.items()}
    )
    lines = [f"{machine()}, {versions('onnxruntime')}, {options.threads} threads, {options.pictures} pictures of {own.SIZE} px"]
    lines += [f"{name}: {spread([options.pictures / one for one in found])} pictures/s" for name, found in times.items()]
    if full:
        middle, low, high = ratio(times["MobileNetV2, float32"], times["ours, 8 bits"])
        lines.append(f"ours {middle:.2f} times as quick ({low:.2f}-{high:.2f})")
    report("backbone", lines, {"seconds": times})


if __name__ == "__main__":
    main()
