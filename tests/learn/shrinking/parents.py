"""Trained models for tests of what makes them smaller: a few drawn pictures, one epoch, written as a bundle."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

from pictures import class_folders
from sightline.data.readers import read
from sightline.learn.finish import Trained
from sightline.learn.fit import TrainRequest, fit
from sightline.runtime.bundle import write_bundle
from sightline.types import Dataset
from sightline.verbs.trained import card_of

COLOURS = ("red", "green", "blue")


def divided(folder: Path, *classes: str, per_class: int = 12, seed: int = 0) -> Dataset:
    """Every fourth picture validates."""
    found = read(class_folders(folder, per_class, classes or COLOURS, seed))
    items = (item.model_copy(update={"split": "train" if place % 4 else "val"}) for place, item in enumerate(found.items))
    return found.model_copy(update={"items": tuple(items)})


def kept(out: Path, dataset: Dataset, trained: Trained) -> Path:
    """The bundle that `sightline train` would write, without its report."""
    contents = {"model.onnx": trained.onnx}
    if trained.weights is not None:
        contents["weights.safetensors"] = trained.weights
    return write_bundle(out, card_of(out.name, dataset, trained), contents)


def parent(out: Path, dataset: Dataset, run: Path, epochs: int = 1, **wishes: object) -> Path:
    """A model of these pictures, by default our smallest network from scratch at 32 px."""
    asked = {"way": "scratch", "size": "tiny", "input_size": 32, "compare": False, **wishes}
    if asked["way"] in ("scratch", "fine-tune", "dbn", "autoencoder"):
        asked["values"] = (("batch", "9"), ("epochs", str(epochs)))
    return kept(out, dataset, fit(dataset, TrainRequest(**asked), run))  # type: ignore[arg-type]


_MADE: list[tuple[Path, Dataset]] = []


def plain(folder: Path, epochs: int = 6) -> tuple[Path, Dataset]:
    """A copy of the one plain model that all tests of a process share, and its pictures."""
    if not _MADE:
        place = Path(tempfile.mkdtemp())
        atexit.register(shutil.rmtree, place, ignore_errors=True)
        dataset = divided(place / "photos")
        _MADE.append((parent(place / "plain", dataset, place / "run", epochs), dataset))
    made, dataset = _MADE[0]
    return Path(shutil.copytree(made, folder / made.name)), dataset


def published(folder: Path, name: str) -> None:
    """Random weights of one of timm's networks, in its layout, with norms that tell channels apart."""
    import timm
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = timm.create_model(name)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
                torch.nn.init.uniform_(module.bias, -0.2, 0.2)
        save_file(network.state_dict(), folder / f"{name}.safetensors")
