"""Target `onnx`: the bundle's own model.onnx with its classes, card and a page that says how to feed it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sightline.runtime.bundle import CARD, ONNX, Bundle
from sightline.runtime.engines import open_session
from sightline.targets.readme import onnx_runtime, readme
from sightline.targets.target import Engine, Made, Wishes

CLASSES, README = "classes.txt", "README.md"


def write(bundle: Bundle, folder: Path, _: Wishes) -> Made:
    """Write model.onnx, classes.txt, card.json and README.md."""
    (folder / ONNX).write_bytes(bundle.onnx)
    write_beside(bundle, folder, readme(bundle, ONNX, onnx_runtime(bundle, ONNX)))
    return Made(ONNX, engine((folder / ONNX).read_bytes()))


def write_beside(bundle: Bundle, folder: Path, text: str) -> None:
    """What lies beside every exported model: class names one a line, the card, and how to feed it."""
    names = [" ".join(name.split()) for name in bundle.card.classes]  # one line each, whatever a name holds
    (folder / CLASSES).write_text("\n".join(names) + "\n", encoding="utf-8")
    (folder / CARD).write_text(bundle.card.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (folder / README).write_text(text, encoding="utf-8")


def engine(content: bytes) -> Engine:
    """A file of ONNX Runtime (ONNX, or its mobile format) as a function; BundleError when it cannot be loaded."""
    session = open_session(content, provider="cpu")
    names = [output.name for output in session.get_outputs()]

    def run(values: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return dict(zip(names, session.run(names, dict(values)), strict=True))

    return run
