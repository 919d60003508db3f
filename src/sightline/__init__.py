"""Sightline: from a folder of pictures to a recogniser that people can trust, on their own machine.

Names below load on first use, so `import sightline` brings in neither numpy nor torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

# public name -> module that defines it
_PUBLIC = {
    "train": "sightline.verbs.train",
    "evaluate": "sightline.verbs.evaluate",
    "compress": "sightline.verbs.compress",
    "predict": "sightline.verbs.predict",
    "serve": "sightline.web.serve",
    "doctor": "sightline.verbs.doctor",
    "demo": "sightline.cli.demo",
    "Model": "sightline.runtime.model",
    "load": "sightline.runtime.model",
    "decode": "sightline.runtime.pixels",
    "read": "sightline.data.readers",
    "SightlineError": "sightline.errors",
    "Annotation": "sightline.types",
    "Card": "sightline.types",
    "Dataset": "sightline.types",
    "Item": "sightline.types",
    "Prediction": "sightline.types",
}

__all__ = ["__version__", *sorted(_PUBLIC)]  # noqa: PLE0604

if TYPE_CHECKING:
    from sightline.cli.demo import demo as demo
    from sightline.data.readers import read as read
    from sightline.errors import SightlineError as SightlineError
    from sightline.runtime.model import Model as Model
    from sightline.runtime.model import load as load
    from sightline.runtime.pixels import decode as decode
    from sightline.types import Annotation as Annotation
    from sightline.types import Card as Card
    from sightline.types import Dataset as Dataset
    from sightline.types import Item as Item
    from sightline.types import Prediction as Prediction
    from sightline.verbs.compress import compress as compress
    from sightline.verbs.doctor import doctor as doctor
    from sightline.verbs.evaluate import evaluate as evaluate
    from sightline.verbs.predict import predict as predict
    from sightline.verbs.train import train as train
    from sightline.web.serve import serve as serve


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'sightline' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
