"""models: what was trained on this machine: list, show, name, point a name at an older one again; zoo: what can be trained;
add: another maker's detector."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from sightline.errors import ConflictError, ModelNotFoundError, NotFoundError, SightlineError, UsageError
from sightline.settings import settings
from sightline.store.records import Move, Version
from sightline.types import Card, Certificate, Record, Score, Task
from sightline.verbs import resolve, zoo

if TYPE_CHECKING:
    from rich.console import RenderableType

Action = Literal["list", "show", "name", "undo", "add", "zoo"]


class ModelLine(Record):
    """A model in a list."""

    id: str
    name: str
    names: tuple[str, ...] = Field(default=(), description="names that point at it")
    path: str
    there: bool = Field(description="whether its bundle still lies at `path`")
    task: Task
    classes: int
    score: Score | None = None
    dataset: str = Field(description="hash of the dataset version it was trained on")
    created: str


class Models(Record):
    """Every model, the newest first."""

    models: tuple[ModelLine, ...]


class ModelShown(Record):
    """A model's passport, where it lies, what it was trained on, and the moves of the name it was asked by."""

    card: Card
    path: str
    names: tuple[str, ...] = ()
    dataset: Version | None = Field(default=None, description="the version it was trained on, when this workspace has it")
    history: tuple[Move, ...] = ()


def models(
    action: Action = "list",
    which: str | None = None,
    target: str | None = None,
    /,
    *,
    size: int = 224,
    layout: str | None = None,
    classes: Path | None = None,
    name: str | None = None,
) -> Models | ModelShown | zoo.Zoo:
    """See and name the models trained on this machine, and what each was trained on; see which networks can be trained.

    Args:
        action: list; show NAME; name NAME ID; undo NAME (back to the model it meant before); add FILE.onnx; zoo [PART].
        which: A name, an id or its first digits; for show also a folder; for add a file; for zoo a part of networks' names.
        target: For name: the id or path of the model.
        size: For zoo: pixels a side that the multiply-adds are counted for.
        layout: For add: how the file answers, yolov5, yolov8 (v9, v11 too) or yolov10; by default what its output tells.
        classes: For add: a file with a class name a line, or a data.yaml; by default the names that the file holds.
        name: For add: what the model is called here; by default the file's name.
    """
    if action == "zoo" and target is None:
        return zoo.listed(which or "", size)
    if action != "add" and (layout is not None or classes is not None or name is not None):
        raise UsageError(f"--layout, --classes and --name are for models add, not {action}", hint="leave them out")
    wanted = {"list": 0, "show": 1, "name": 2, "undo": 1, "add": 1, "zoo": 1}[action]
    given = sum(one is not None for one in (which, target))
    if given != wanted:
        shape = {0: "", 1: " FILE.onnx" if action == "add" else " NAME", 2: " NAME ID"}[wanted]
        raise UsageError(
            f"models {action} takes {wanted or 'no'} names, got {given}", hint=f"`sightline models {action}{shape}`"
        )
    if action == "list":
        return Models(models=tuple(_lines()))
    first, second = which or "", target or ""
    if action == "add":
        return _shown(_added(Path(first), layout, classes, name))
    if action == "name":
        _name(first, second)
    elif action == "undo":
        from sightline.store import names

        names.undo(resolve.workspace("going back to an older model"), "model", first)
    return _shown(first)


def _added(file: Path, layout: str | None, classes: Path | None, name: str | None) -> str:
    """Wrap another maker's file; the workspace, where there is one, learns of it too. Returns the bundle's folder."""
    from sightline.runtime.bundle import read_bundle
    from sightline.verbs.foreign import added

    path = added(file, layout, classes, name)
    store = resolve.known()
    if store is not None:
        from sightline.store import models as kept
        from sightline.store import names

        card = read_bundle(path).card
        kept.add(store, card, path)
        names.point(store, "model", names.fitting(card.name), card.id, "models add")
    return str(path)


def _lines() -> list[ModelLine]:
    """The models that the workspace knows, and those in SIGHTLINE_HOME/models that it does not."""
    from sightline.runtime.bundle import CARD, read_card

    lines: list[ModelLine] = []
    store = resolve.known()
    if store is not None:
        from sightline.store import models as kept

        lines = [_line(one.card, one.path, one.names) for one in kept.list_models(store)]
    seen = {line.id for line in lines}
    for file in sorted((settings().home / "models").glob(f"*/{CARD}")):
        try:
            card = read_card(file.read_bytes(), file.parent)
        except SightlineError:
            continue
        if card.id not in seen:
            lines.append(_line(card, str(file.parent), ()))
    return sorted(lines, key=lambda line: line.created, reverse=True)


def _line(card: Card, path: str, names: tuple[str, ...]) -> ModelLine:
    from sightline.verbs.wording import main_score

    return ModelLine(
        id=card.id,
        name=card.name,
        names=names,
        path=path,
        there=_holds(Path(path), card.id),
        task=card.task,
        classes=len(card.classes),
        score=card.scores[main_score(card.scores)] if card.scores else None,
        dataset=str(card.dataset.get("hash", "")),
        created=card.created,
    )


def _holds(path: Path, wanted: str) -> bool:
    """Whether the bundle of this id lies there; only its passport is read."""
    from sightline.runtime.bundle import CARD, read_card

    try:
        return path.is_file() or read_card((path / CARD).read_bytes(), path).id == wanted
    except (OSError, SightlineError):
        return False


def _shown(name: str) -> ModelShown:
    from sightline.runtime.bundle import read_bundle

    store = resolve.known()
    names: tuple[str, ...] = ()
    if store is None:
        bundle = read_bundle(resolve.model(name))
        return ModelShown(card=bundle.card, path=str(bundle.path))
    from sightline.store import datasets
    from sightline.store import models as kept
    from sightline.store import names as pointers

    try:
        known = kept.get(store, name)
        card, path, names = known.card, known.path, known.names
    except ModelNotFoundError:
        bundle = read_bundle(resolve.model(name))
        card, path = bundle.card, str(bundle.path)
    version = None
    if card.dataset.get("hash"):
        try:
            version = datasets.summary(store, str(card.dataset["hash"]))
        except NotFoundError:
            version = None
    history = tuple(pointers.history(store, "model", name))
    return ModelShown(card=card, path=path, names=names, dataset=version, history=history)


def _name(name: str, target: str) -> None:
    from sightline.runtime.bundle import CARD, read_bundle

    store = resolve.workspace("naming a model")
    from sightline.store import models as kept
    from sightline.store import names

    names.checked(name)
    try:
        known = kept.get(store, target).id
    except ModelNotFoundError:
        bundle = read_bundle(resolve.model(target))
        kept.add(store, bundle.card, bundle.path)
        known = bundle.card.id
    folder = settings().home / "models" / name
    if (folder / CARD).is_file() and not _holds(folder, known):
        raise ConflictError(f"another model lies in {folder}, so the name {name!r} would mean two", hint="choose another name")
    names.point(store, "model", name, known, "models name")


# --- for people


def show(result: Models | ModelShown | zoo.Zoo) -> RenderableType:
    """The list, one model's passport in short, or the zoo."""
    if isinstance(result, zoo.Zoo):
        return zoo.show(result)
    return _list(result) if isinstance(result, Models) else _passport(result)


def _list(result: Models) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    from sightline.verbs.wording import score_text

    if not result.models:
        return Text("no model has been trained yet; train one with `sightline train photos/`")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("name", "id", "task", "classes", "score", "dataset", "when", "path"):
        table.add_column(heading, justify="right" if heading == "classes" else "left", overflow="fold")
    for one in result.models:
        name = ", ".join(dict.fromkeys((*one.names, one.name) if not one.names else one.names))
        table.add_row(
            Text(name, "bold" if one.names else ""),
            one.id,
            one.task,
            str(one.classes),
            score_text("", one.score) if one.score else "-",
            one.dataset[:12],
            one.created[:16].replace("T", " "),
            Text(one.path) if one.there else Text(f"{one.path} (gone)", "red"),
        )
    return table


def certificate_text(one: Certificate) -> str:
    """Where a compressed model comes from and what that cost, in one sentence."""
    return (
        f"{one.how} of {one.parent_name} ({one.parent}): {one.bytes_before / 1e6:.3g} to {one.bytes_after / 1e6:.3g} MB, "
        f"{one.latency_before_ms:.2f} to {one.latency_after_ms:.2f} ms, {100 * one.drop:.1f} points lost "
        f"({100 * one.drop_low:.1f} to {100 * one.drop_high:.1f}), same answer in {one.agreement:.1%} of {one.pictures}"
    )


def _passport(result: ModelShown) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from sightline.verbs.wording import score_text

    card = result.card
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    table.add_row("id", card.id)
    if result.names:
        table.add_row("names", Text(", ".join(result.names)))
    table.add_row("task", f"{card.task}, {len(card.classes)} classes: {', '.join(card.classes[:12])}")
    for name, score in card.scores.items():
        table.add_row(name, score_text(name, score))
    table.add_row("network", Text(f"{card.recipe.backbone}, {card.recipe.way}: {card.recipe.why}"))
    trained_on = str(card.dataset.get("hash", ""))[:12]
    here = "" if result.dataset else " (not in this workspace)"
    if trained_on or card.layout == "sightline":
        table.add_row("trained on", Text(f"{card.dataset.get('name', '')} {trained_on}{here}"))
    if card.compressed:
        table.add_row("made smaller", Text(certificate_text(card.compressed)))
    if card.layout != "sightline":
        table.add_row("sees", f"{card.input.size} x {card.input.size} pixels")
        table.add_row("licence", Text(card.licence or "not stated in the file"))
        table.add_row("not tested", Text("; ".join(card.limits)))
    if result.dataset:
        table.add_row("", "  ".join(f"{part} {count:,}" for part, count in result.dataset.sizes.items()))
    table.add_row("when", card.created[:16].replace("T", " "))
    table.add_row("path", Text(result.path))
    rows: list[RenderableType] = [Text(", ".join(result.names) or card.name, "bold"), table]
    if len(result.history) > 1:
        moves = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("when", "moved to", "by"):
            moves.add_column(heading)
        for move in reversed(result.history):
            moves.add_row(move.moved[:16].replace("T", " "), move.target, Text(move.why))
        rows += [Text(), Text("the name's moves, the last one first", "dim"), moves]
    if trained_on and result.dataset:
        rows += [Text(), Text(f"its pictures, as they were divided: sightline data export {trained_on} --out FOLDER")]
    return Group(*rows)
