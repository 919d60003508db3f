"""Models that benchmarks need and training would not make: the ImageNet classifier of the weights folder, a detector that has
learnt nothing."""

from __future__ import annotations

import os
from pathlib import Path


def imagenet_mobilenet(out: Path) -> Path:
    """MobileNetV2 with its 1,000 ImageNet classes, prepared as torchvision does: short side to 256, centre crop of 224."""
    import numpy as np
    from safetensors.numpy import load_file

    from sightline.learn.backbones import named
    from sightline.learn.export import attach
    from sightline.learn.graph import backbone_graph
    from sightline.learn.probe import Head
    from sightline.measure.novelty import Novelty
    from sightline.runtime.bundle import write_bundle
    from sightline.runtime.model import open_session
    from sightline.types import Card, Recipe

    start = named("mobilenetv2_100", fit="crop")
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


def untrained_detector(out: Path, name: str = "yolo-tiny", size: int = 320, classes: int = 20) -> Path:
    """A detector of our own as it is before its first step: as fast as a trained one."""
    import io
    import json
    import warnings

    import torch

    from sightline.learn.detect.names import Wish, named
    from sightline.runtime.bundle import write_bundle
    from sightline.types import Card, Recipe

    names = tuple(f"class {number:02d}" for number in range(classes))
    entry, backbone = named(name)
    from importlib import import_module

    module, _, function = entry.build.partition(":")
    built = getattr(import_module(module), function)(Wish(entry=entry, classes=names, size=size, backbone=backbone))
    network = built.network.eval()
    stream = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.exported().eval(),
            (torch.zeros(1, size, size, 3, dtype=torch.uint8),),
            stream,
            dynamo=False,
            input_names=["image"],
            output_names=list(network.outputs),
            opset_version=17,
        )
    recipe = Recipe(size="tiny", way="detect", why="for a benchmark", backbone=name, weights=built.weights, seed=0)
    card = Card(id="", name=name, task="detection", classes=names, input=built.input, recipe=recipe)
    import onnx

    model = onnx.load_from_string(stream.getvalue())
    onnx.helper.set_model_props(model, {"sightline.classes": json.dumps(names), "sightline.task": "detection"})
    return write_bundle(out, card, {"model.onnx": model.SerializeToString()})


if __name__ == "__main__":
    import sys

    print(imagenet_mobilenet(Path(sys.argv[1])))
