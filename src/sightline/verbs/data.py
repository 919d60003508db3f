"""data: the datasets of the workspace: list, show, compare, divide, export, name them, and go back to an older version."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sightline.errors import UsageError
from sightline.store.records import UNSPLIT, Difference, Move, Said, Version
from sightline.types import Dataset, Failure, Made, Record
from sightline.verbs import resolve

if TYPE_CHECKING:
    from rich.console import RenderableType

Action = Literal["list", "show", "diff", "split", "export", "name", "undo"]


class Versions(Record):
    """Every version in the workspace, the newest first."""

    versions: tuple[Version, ...]


class Shown(Version):
    """One version, every move of the name it was asked by, and what models said about its pictures (`predict --keep`)."""

    history: tuple[Move, ...] = ()
    said: tuple[Said, ...] = ()


class Exported(Record):
    """What was written, and what was left out."""

    dataset: str
    out: str
    format: str
    pictures: int
    failures: tuple[Failure, ...] = ()


def data(
    action: Action = "list",
    what: str | None = None,
    other: str | None = None,
    /,
    *,
    format: str = "folders",
    out: Path | None = None,
    keep_metadata: bool = False,
    replace: bool = False,
    val: float = 0.15,
    test: float = 0.0,
    seed: int = 0,
    again: bool = False,
) -> Versions | Shown | Difference | Exported:
    """See, compare, divide, export and name the datasets of the workspace. A version never changes: a name moves to another.

    Args:
        action: list; show NAME; diff OLD NEW; split NAME; export NAME; name NAME HASH; undo NAME (what it meant before).
        what: A name, a hash or its first digits; for show and export also a folder.
        other: For diff the newer version, for name the hash.
        format: For export: folders, csv, coco, voc, yolo, ...
        out: For export: the folder to write.
        keep_metadata: For export: leave GPS and other private metadata in the pictures.
        replace: For export: replace what lies in OUT.
        val: For split: share of the pictures to validate on.
        test: For split: share of the pictures to test on.
        seed: For split: another seed, another draw.
        again: For split: forget the splits there are and draw all anew.
    """
    _check(action, what, other)
    first, second = what or "", other or ""
    if action == "list":
        return _list()
    if action == "show":
        return _show(first)
    if action == "diff":
        from sightline.store import datasets

        return datasets.diff(resolve.workspace("comparing versions"), first, second)
    if action == "split":
        return _split(first, val=val, test=test, seed=seed, again=again)
    if action == "export":
        return _export(first, format, out, keep_metadata=keep_metadata, replace=replace)
    return _name(first, second) if action == "name" else _undo(first)


_WANTED: dict[str, tuple[int, str]] = {
    "list": (0, ""),
    "show": (1, " NAME"),
    "diff": (2, " OLD NEW"),
    "split": (1, " NAME"),
    "export": (1, " NAME --out FOLDER"),
    "name": (2, " NAME HASH"),
    "undo": (1, " NAME"),
}


def _check(action: str, what: str | None, other: str | None) -> None:
    wanted, shape = _WANTED[action]
    given = sum(one is not None for one in (what, other))
    if given != wanted:
        raise UsageError(f"data {action} takes {wanted or 'no'} names, got {given}", hint=f"`sightline data {action}{shape}`")


def _list() -> Versions:
    from sightline.store import datasets

    return Versions(versions=tuple(datasets.versions(resolve.workspace("listing datasets"))))


def _show(what: str) -> Shown:
    if _is_folder(what):
        return _told(resolve.dataset(what))
    from sightline.store import datasets, names, predictions

    store = resolve.workspace(f"showing {what}")
    version = datasets.summary(store, what)
    history = tuple(names.history(store, "dataset", what))
    return Shown(**dict(version), history=history, said=predictions.beside_truth(store, version.hash))


def _is_folder(what: str) -> bool:
    """A path and no name: a name of the workspace goes before a folder of the same name here; `name/` is the folder."""
    path = Path(what).expanduser()
    if not path.exists():
        return False
    store = resolve.known() if resolve.is_word(what) else None
    if store is None:
        return True
    from sightline.store import names

    return names.target(store, "dataset", what) is None


def _told(dataset: Dataset) -> Shown:
    """A dataset that is not in the workspace, told as one that is."""
    counts: dict[str, Counter[str]] = {}
    sizes: Counter[str] = Counter()
    for item in dataset.items:
        part = item.split or UNSPLIT
        sizes[part] += 1
        counts.setdefault(part, Counter()).update(set(item.labels))
    return Shown(
        hash=dataset.hash,
        name=dataset.name,
        task=dataset.task,
        classes=dataset.classes,
        positive=dataset.positive,
        kind=dataset.kind,
        pictures=len(dataset.items),
        sizes=dict(sizes),
        counts={part: dict(sorted(labels.items())) for part, labels in counts.items()},
        source=dataset.source,
        failed=len(dataset.failures),
    )


def _split(what: str, **wishes: Any) -> Shown:
    from sightline import __version__
    from sightline.store import datasets, names

    store = resolve.workspace("dividing a dataset")
    made = Made(verb="data split", arguments={"dataset": what, **wishes}, sightline=__version__)
    named = datasets.split(store, what, made, **wishes)
    if names.target(store, "dataset", what) is not None:
        names.point(store, "dataset", what, named, "data split")
        return _show(what)
    return _show(named)


def _export(what: str, format: str, out: Path | None, *, keep_metadata: bool, replace: bool) -> Exported:
    from sightline.data.formats import export

    if out is None:
        raise UsageError("data export needs a folder to write", hint="`sightline data export NAME --out FOLDER`")
    if _is_folder(what):
        dataset = resolve.dataset(what)
    else:
        from sightline.store import datasets

        dataset = datasets.get(resolve.workspace(f"exporting {what}"), what)
    failures = tuple(export(dataset, format, out, keep_metadata=keep_metadata, replace=replace))
    written = len(dataset.items) - len({failure.picture for failure in failures})
    return Exported(dataset=dataset.hash, out=str(out.absolute()), format=format, pictures=max(written, 0), failures=failures)


def _name(name: str, reference: str) -> Shown:
    from sightline.store import datasets, names

    store = resolve.workspace("naming a dataset")
    names.point(store, "dataset", name, datasets.summary(store, reference).hash, "data name")
    return _show(name)


def _undo(name: str) -> Shown:
    from sightline.store import names

    names.undo(resolve.workspace("going back to an older version"), "dataset", name)
    return _show(name)


def show(result: Versions | Shown | Difference | Exported) -> RenderableType:
    """A table for each kind of answer."""
    from rich.text import Text

    from sightline.verbs import dataset_tables

    if isinstance(result, Versions):
        return dataset_tables.list_of(result.versions)
    if isinstance(result, Difference):
        return dataset_tables.changes(result)
    if isinstance(result, Shown):
        return dataset_tables.one(result, result.history, result.said)
    left_out = f", {len(result.failures)} left out, the first: {_first(result.failures)}" if result.failures else ""
    return Text(f"{result.pictures:,} pictures as {result.format} in {result.out}{left_out}")


def _first(failures: tuple[Failure, ...]) -> str:
    return f"{failures[0].picture}: {failures[0].error.message}"
