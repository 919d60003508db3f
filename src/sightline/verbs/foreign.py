"""`models add FILE.onnx`: another maker's detector wrapped into a bundle, unchanged. No verb itself.

What the file says of itself (classes, size, licence) is used where nothing else is said; it is asked once about a grey picture,
so that a wrong layout or number of classes is noticed now. Needs only the base install.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from sightline import __version__
from sightline.errors import BundleError, NotFoundError, SightlineError, StorageError, UsageError
from sightline.runtime.bundle import MAX_BYTES, ONNX, write_bundle
from sightline.runtime.layouts import LAYOUTS
from sightline.settings import settings
from sightline.types import Card, InputSpec, Recipe

FOREIGN = tuple(name for name in LAYOUTS if name != "sightline")
ALIKE = {
    **dict.fromkeys(("yolov6", "yolov7"), "yolov5"),
    **dict.fromkeys(("yolov9", "yolov11", "yolov12"), "yolov8"),
}
USUAL_SIDE = 640  # where the graph takes any size and says nothing
_LONGEST = 100_000  # characters of metadata that are read


@dataclass(frozen=True, slots=True)
class _Graph:
    """What a foreign graph is: input side, shape of its first output, and its own words."""

    side: int
    output: tuple[int, ...]
    words: dict[str, str]


def added(file: Path, layout: str | None, classes: Path | None, name: str | None) -> Path:
    """The bundle made of a foreign ONNX file, in SIGHTLINE_HOME/models/NAME.

    Raises NotFoundError, UsageError (layout, class names), BundleError (no such detector), StorageError (NAME is taken).
    """
    onnx = _read(file)
    wanted = _layout(layout)
    graph = _looked(onnx)
    labels = _classes(classes, graph)
    wanted = wanted or _guessed(graph, len(labels), classes)
    called = name or file.stem
    if called != Path(called).name or called.startswith(".") or not called:
        raise UsageError(f"a model's name is one word without slashes, got {called!r}", hint="choose another with --name")
    out = settings().home / "models" / called
    if out.exists():
        raise StorageError(f"there is a model {called!r} already", hint="choose another name with --name")
    card = _card(file, called, graph, labels, wanted)
    _tried(card, onnx)
    return write_bundle(out, card, {ONNX: onnx})


def _read(file: Path) -> bytes:
    file = file.expanduser()
    if not file.is_file():
        raise NotFoundError(f"no such file: {file}", hint="check the path")
    if file.suffix.lower() in (".pt", ".pth", ".engine", ".tflite", ".pb", ".mlmodel", ".mlpackage"):
        raise UsageError(
            f"{file.name} is no ONNX file",
            hint="export it to ONNX with the program that made it: a .pt may run any code when opened",
        )
    if file.stat().st_size > MAX_BYTES:
        raise BundleError(f"{file.name} is larger than a model can be")
    return file.read_bytes()


def _layout(text: str | None) -> str | None:
    if text is None:
        return None
    word = text.strip().lower().replace("yolo1", "yolov1")
    word = ALIKE.get(word, word)
    if word not in FOREIGN:
        import difflib

        near = difflib.get_close_matches(word, [*FOREIGN, *ALIKE], 1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join([*FOREIGN, *ALIKE])}"
        raise UsageError(f"unknown layout {text!r}", hint=hint)
    return word


def _looked(onnx: bytes) -> _Graph:
    """What the graph takes and gives; BundleError when it takes no square picture as floats (1, 3, side, side)."""
    from sightline.runtime.engines import open_session

    try:
        session = open_session(onnx)
    except BundleError as error:
        hint = "is the file whole? weights kept in a second file beside it must be put into it: export it again as one file"
        raise BundleError(error.message.replace("model.onnx", "the file"), hint=hint) from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shape = list(inputs[0].shape) if len(inputs) == 1 else []
    if len(shape) != 4 or shape[1] != 3 or inputs[0].type not in ("tensor(float)", "tensor(float16)"):
        said = ", ".join(f"{one.name} {one.type[7:-1]} {tuple(one.shape)}" for one in inputs)
        raise BundleError(
            f"the graph takes {said}", hint="a detector to be added takes one picture as floats (1, 3, side, side)"
        )
    words = {key: value[:_LONGEST] for key, value in session.get_modelmeta().custom_metadata_map.items()}
    sides = [side for side in shape[2:] if isinstance(side, int)]
    stated = _literal(words.get("imgsz", ""))
    if not sides and isinstance(stated, list | tuple):
        sides = [side for side in stated if isinstance(side, int)]
    if len(set(sides)) > 1 or any(not 16 <= side <= 8192 for side in sides):
        raise BundleError(
            f"the graph takes pictures of {' x '.join(map(str, sides))}",
            hint="export it for square pictures, such as 640 x 640",
        )
    given = tuple(side if isinstance(side, int) else 0 for side in outputs[0].shape)
    return _Graph(sides[0] if sides else USUAL_SIDE, given, words)


def _literal(text: str) -> Any:
    """A Python literal (a list, a dictionary) from metadata; None for anything else. Nothing is run."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def _classes(file: Path | None, graph: _Graph) -> tuple[str, ...]:
    """Names by number: of a file with a name a line or a data.yaml, else of the graph's own metadata; UsageError."""
    if file is not None:
        from sightline.data.formats.yolonames import class_names

        if not file.expanduser().is_file():
            raise NotFoundError(f"no such file: {file}", hint="--classes takes a file with a name a line, or a data.yaml")
        found: dict[Any, Any] = dict(class_names(file.expanduser()).classes)
    else:
        stated = _literal(graph.words.get("names", ""))
        found = dict(enumerate(stated)) if isinstance(stated, list | tuple) else stated if isinstance(stated, dict) else {}
    places = sorted(int(key) for key in found if isinstance(key, int) or (isinstance(key, str) and key.isdecimal()))
    if not places or places != list(range(len(places))):
        where = file or "the file"
        raise UsageError(
            f"{where} does not name the classes 0, 1, 2, ... without gaps" if found else "the file does not name its classes",
            hint="give a text file with a name a line with --classes",
        )
    names = tuple(str(found.get(place, found.get(str(place)))).strip()[:200] for place in places)
    if len(set(names)) != len(names) or not all(names):
        twice = next((name for name in names if names.count(name) > 1), "")
        raise UsageError(f"two classes are called {twice!r}", hint="give each its own name with --classes")
    return names


def _guessed(graph: _Graph, classes: int, file: Path | None) -> str:
    """The layout that the shape of the output tells; UsageError when it does not."""
    shapes = {"yolov8": (1, classes + 4), "yolov5": (2, classes + 5), "yolov10": (2, 6)}
    fits = [name for name, (axis, size) in shapes.items() if len(graph.output) == 3 and graph.output[axis] == size]
    if len(fits) == 1 or (fits and fits[0] == "yolov8"):
        return fits[0]
    names = f"{file} names" if file else "the file names"
    raise UsageError(
        f"the output {graph.output} and {classes} classes fit no layout, or several",
        hint=f"say --layout {'|'.join(FOREIGN)}; {names} {classes} classes",
    )


def _card(file: Path, name: str, graph: _Graph, classes: tuple[str, ...], layout: str) -> Card:
    made_by = " ".join(filter(None, (graph.words.get("author"), graph.words.get("description"))))[:200]
    recipe = Recipe(
        size="medium",
        way="detect",
        why=f"made elsewhere{f' ({made_by})' if made_by else ''}, taken as it is",
        backbone=layout,
        weights=file.name,
        seed=0,
    )
    return Card(
        id="",
        name=name,
        task="detection",
        classes=classes,
        input=InputSpec(size=graph.side, fit="pad", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
        layout=layout,
        recipe=recipe,
        limits=("made elsewhere: not measured here, `sightline evaluate` on your own pictures tells how good it is",),
        licence=graph.words.get("license", "")[:200],
        sightline=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _tried(card: Card, onnx: bytes) -> None:
    """Ask about a grey picture; BundleError when the answer is not of the layout or the number of classes."""
    from sightline.runtime.detector import Detector

    side = card.input.size
    try:
        found = Detector(card, onnx, threads=1).found(np.full((side, side, 3), 128, np.uint8))
    except SightlineError as error:
        raise BundleError(
            f"{error.message} (layout {card.layout}, {len(card.classes)} classes, {side} pixels a side)",
            hint=f"check --layout ({', '.join(FOREIGN)}) and the number of names in --classes",
        ) from error
    if found.scores.size and not (np.isfinite(found.boxes).all() and found.scores.max() <= 1.001):
        raise BundleError(
            f"the scores go up to {found.scores.max():.3g}, not 1, so the file does not answer as {card.layout}",
            hint=f"check --layout ({', '.join(FOREIGN)})",
        )
