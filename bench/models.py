"""Models that benchmarks need and training would not make: the ImageNet classifier of the weights folder as a bundle."""

from __future__ import annotations

import os
from pathlib import Path


def imagenet_mobilenet(out: Path) -> Path:
    """MobileNetV2 with its 1,000 ImageNet classes, prepared as torchvision does: short side to 256, centre crop of 224."""
    import numpy as np
    from safetensors.numpy import load_file

    from sightline.learn.backbones import choose
    from sightline.learn.export import attach
    from sightline.learn.graph import backbone_graph
    from sightline.learn.probe import Head
    from sightline.measure.novelty import Novelty
    from sightline.runtime.bundle import write_bundle
    from sightline.runtime.model import open_session
    from sightline.types import Card, Recipe

    start = choose(backbone="mobilenetv2_100", fit="crop")
    if start is None:
        raise SystemExit("set SIGHTLINE_WEIGHTS to a folder with mobilenetv2_100.safetensors")
    weights = load_file(os.environ["SIGHTLINE_WEIGHTS"] + "/mobilenetv2_100.safetensors")
    graph, _ = backbone_graph(start)
    width = open_session(graph).get_outputs()[0].shape[1]  # our features hold an earlier stage too; ImageNet's head knows none
    matrix = weights["classifier.weight"]
    head = Head(np.pad(matrix, ((0, 0), (0, width - matrix.shape[1]))), weights["classifier.bias"])
    classes = tuple(f"class {number:04d}" for number in range(len(head.bias)))
    novelty = Novelty(np.zeros((head.weight.shape[1], 1), np.float32), np.zeros(1, np.float32), np.zeros((1, 1), np.float32))
    onnx = attach(graph, head, novelty, temperature=1.0, classes=classes, task="multiclass", spec=start.input)
    recipe = Recipe(size="small", way="probe", why="the weights' own head", backbone=start.name, weights=start.weights, seed=0)
    card = Card(id="", name="imagenet", task="multiclass", classes=classes, input=start.input, recipe=recipe)
    return write_bundle(out, card, {"model.onnx": onnx})


if __name__ == "__main__":
    import sys

    print(imagenet_mobilenet(Path(sys.argv[1])))
