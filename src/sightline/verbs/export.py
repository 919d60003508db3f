"""export: a model in the form that another program runs: a phone's, a board's, a browser's; proved to answer alike first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from sightline.errors import StorageError, UsageError
from sightline.types import Parity, Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import RenderableType

    from sightline.types import Card

MOST = 64  # pictures that are compared
RECORD = "export.json"  # in every export: what it is and its certificate


class Written(Record):
    """One file of an export."""

    name: str
    bytes: int


class Exported(Record):
    """What was written, and the proof that it answers like the model."""

    path: str
    target: str
    main: str = Field(description="the file that the other program opens")
    files: tuple[Written, ...] = ()
    bytes: int = Field(default=0, description="of all files")
    parity: Parity | None = Field(default=None, description="None: the target cannot be run here, `why` says why")
    compared_on: str = ""
    why: str = ""
    notes: tuple[str, ...] = ()
    next: str = Field(description="what runs it, and how to begin")


def export(
    model: str,
    /,
    *,
    to: Literal["onnx", "ort", "openvino", "web", "tflite", "coreml", "c"],
    out: Path | None = None,
    data: Path | None = None,
    half: bool = False,
    runtime: Path | None = None,
    replace: bool = False,
) -> Exported:
    """Write a model in the form that another program runs.

    Args:
        model: A model's folder, zip or name.
        to: onnx for any ONNX runtime; ort for ONNX Runtime on phones; openvino; web for a page that computes in the browser, on
            the device, also without network; tflite (LiteRT); coreml; c for a C header.
        out: The new folder; by default NAME-TARGET in the current folder.
        data: Pictures to compare the answers on, labelled or not; by default a few drawn ones.
        half: Weights as 16-bit floats, half the file (openvino, coreml).
        runtime: For web: a folder with onnxruntime-web, or the archive that npm packs; by default the cache, then npm.
        replace: Replace what is at `out`.
    """
    from sightline.data.formats.names import safe
    from sightline.files import new_folder
    from sightline.runtime.bundle import read_bundle
    from sightline.targets import parity
    from sightline.targets.target import Wishes, target, writer
    from sightline.verbs import resolve

    chosen = target(to)
    for wish, given in (("half", half), ("runtime", runtime is not None)):
        if given and wish not in chosen.wishes:
            raise UsageError(f"--{wish} does not go with --to {to}", hint="leave it out")
    bundle = read_bundle(resolve.model(model))
    place = (out or Path(f"{safe(bundle.card.name)}-{to}")).expanduser().resolve()
    _check_place(place, bundle.path.resolve(), replace=replace)
    pictures, compared_on = _pictures(bundle.card, data)  # before anything is made: a wrong --data is said at once
    write = writer(to)
    with new_folder(place, replace=replace) as part:
        made = write(bundle, part, Wishes(half=half, runtime=runtime))
        certificate = parity.compared(bundle, made.engine, pictures) if made.engine is not None else None
        told = Exported(
            path=str(place),
            target=to,
            main=made.main,
            parity=certificate,
            compared_on=compared_on if certificate else "",
            why=made.why,
            notes=made.notes,
            next=_next(to, place, chosen.runs),
        )
        lasting = told.model_dump_json(indent=1, include={"target", "main", "parity", "compared_on", "why", "notes"})
        (part / RECORD).write_text(f"{lasting}\n", encoding="utf-8")
        files = tuple(_written(file, part) for file in sorted(part.rglob("*")) if file.is_file())
    return told.model_copy(update={"files": files, "bytes": sum(file.bytes for file in files)})


def _check_place(place: Path, bundle: Path, *, replace: bool) -> None:
    """Only an earlier export is overwritten, when that is asked for; never the model itself or a folder around it."""
    if place == bundle or place in bundle.parents:
        raise UsageError(f"{place} holds the model itself", hint="choose another place with --out")
    if place.exists() and not replace:
        raise StorageError(f"{place} exists already", hint="choose another place with --out, or replace it with --replace")
    if place.exists() and not place.is_dir():
        raise StorageError(f"{place} is a file, and an export is a folder", hint="choose another place with --out")
    if place.exists() and any(place.iterdir()) and not (place / RECORD).is_file():
        raise StorageError(f"{place} is not an export, so it is not replaced", hint="choose another place with --out")


def _pictures(card: Card, data: Path | None) -> tuple[NDArray[np.uint8], str]:
    """Prepared pictures to compare on, at most MOST, evenly spread over the data; and what they are in words."""
    import numpy as np

    from sightline.errors import DatasetError
    from sightline.runtime.model import in_order
    from sightline.settings import settings
    from sightline.targets import parity

    if data is None:
        return parity.drawn(card), f"{parity.DRAWN} drawn {'clips' if card.input.frames else 'pictures'}"
    paths = _paths(data, clips=bool(card.input.frames))
    step = max(1, -(-len(paths) // MOST))
    ready = [one for one in in_order(lambda path: _prepared(card, path), paths[::step], settings().threads) if one is not None]
    if not ready:
        raise DatasetError(f"no picture in {data} can be read", hint="give another folder with --data, or none")
    return np.stack(ready), f"{len(ready)} {'clips' if card.input.frames else 'pictures'} of {Path(data).name}"


def _paths(data: Path, *, clips: bool) -> list[str]:
    if clips:
        from sightline.verbs import clip_training

        return [item.uri for item in clip_training.tested(data).items]
    from sightline.data.found import read_as_found

    return [item.uri for item in read_as_found(data).items]


def _prepared(card: Card, path: str) -> NDArray[np.uint8] | None:
    from sightline.errors import SightlineError
    from sightline.runtime.model import prepared

    try:
        return prepared(path, card.input)
    except SightlineError:  # one bad picture must not keep a model from being exported
        return None


def _written(file: Path, folder: Path) -> Written:
    return Written(name=file.relative_to(folder).as_posix(), bytes=file.stat().st_size)


def _next(to: str, place: Path, runs: str) -> str:
    if to == "web":
        return f"python -m http.server --bind 127.0.0.1 --directory {place} 8000, then open http://127.0.0.1:8000"
    return f"run by {runs}; {place / 'README.md'} says how"


def show(result: Exported) -> RenderableType:
    """Where it is, what it holds, the certificate, what to do next."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for file in sorted(result.files, key=lambda one: -one.bytes)[:8]:
        table.add_row(Text(file.name, "bold" if file.name == result.main else ""), _size(file.bytes))
    if len(result.files) > 8:
        table.add_row(Text(f"and {len(result.files) - 8} more", "dim"), "")
    rows: list[RenderableType] = [Text(f"{result.path}  {_size(result.bytes)}", "bold"), table, Text()]
    if result.parity is not None:
        one = result.parity
        shift = f", boxes within {one.largest_shift:.2g} px" if one.largest_shift is not None else ""
        rows.append(
            Text(
                f"answers like the model: the same in {one.agreement:.1%} of {result.compared_on}, scores within "
                f"{one.largest_difference:.2g}{shift}"
            )
        )
        if one.objects == 0:
            rows.append(Text("they show no object, so none was compared: give pictures that do with --data", "yellow"))
        elif "drawn" in result.compared_on:
            rows.append(Text("compared on drawn pictures only: give your own with --data", "dim"))
    else:
        rows.append(Text(f"not compared here: {result.why}", "yellow"))
    rows += [Text(note, "dim") for note in result.notes]
    return Group(*rows, Text(f"next: {result.next}"))


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"
