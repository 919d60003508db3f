"""collect: bring pictures together from anywhere, into a named dataset of the workspace or into a folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.errors import ConflictError, DatasetError, StoppedError, StorageError, UsageError, missing_extra
from sightline.types import Dataset, Facts, Failure, Item, Made, Record

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sightline.sources import About, Options
    from sightline.store.blobs import Blobs
    from sightline.store.database import Database
    from sightline.verbs.intake import Handling
    from sightline.verbs.memory import Memory

_REMEMBERED = ("web", "list", "table", "bucket")  # kinds of source whose pictures cost more than reading a file


class Collected(Record):
    """What came together. `dataset` is the new version's hash, or the folder; `count` its pictures, `added` the new ones."""

    dataset: str
    name: str
    count: int
    added: int
    doubled: int = 0
    failures: tuple[Failure, ...] = ()


def collect(
    source: str,
    /,
    *,
    into: str,
    format: str | None = None,
    labels: Path | None = None,
    label: str | None = None,
    group: str | None = None,
    licence: str = "",
    author: str = "",
    origin: str = "",
    limit: int | None = None,
    copy: bool = False,
    keep_metadata: bool = False,
    blur: str | None = None,
    every: int | None = None,
    seconds: float | None = None,
    scene: float | None = None,
    side: int = 512,
    eps: bool = False,
    rate: float = 1.0,
    allow_private: bool = False,
) -> Collected:
    """Bring pictures together from anywhere.

    Args:
        source: A folder, zip, tar or dataset of any known format; a CSV, JSON-lines or Parquet table of paths or addresses; a
            text file of addresses; an http(s) page, picture or archive; a bucket (s3://, gs://, az://); a video; camera:0.
        into: A name in the workspace (collecting again adds to it), or a folder: a path with a /, an empty folder, or a
            name with a suffix.
        format: For a folder: how to write it (folders, csv, coco, yolo, ...); by default one that holds all that is known.
        labels: A CSV with the labels of the pictures, when it does not lie beside them.
        label: One label for every picture.
        group: One leak key for every picture: pictures of a group stay on one side of a split.
        licence: The licence of the pictures, where the source states none.
        author: Who made the pictures, where the source does not say.
        origin: Where the pictures come from, where no address says it.
        limit: At most so many pictures.
        copy: Copy local pictures into the workspace; otherwise they stay where they are and are referred to.
        keep_metadata: Keep position, camera and owner in pictures that are copied; otherwise they are taken out.
        blur: Labels whose boxes are made unrecognisable, with commas between (face,plate); `all` for every box.
        every: Of a video, take every Nth frame.
        seconds: Of a video, take a frame each so many seconds; 1 when neither --every nor --scene is given.
        scene: Of a video, take the frames where the picture changes by more than this (0 to 1).
        side: Pixels of the longer side at which drawings (SVG, EPS) and medical pictures are rendered.
        eps: Render EPS files, which are programs, through Ghostscript.
        rate: Requests a second to one host.
        allow_private: Also fetch from this machine and its own network.
    """
    given: dict[str, Any] = {name: value for name, value in locals().items() if not _silent(value)}
    folder = _folder(into)
    _check(into, folder, given)
    from sightline.settings import settings
    from sightline.sources import kind_of
    from sightline.verbs.memory import Memory

    run = hashlib.sha256(json.dumps([str(Path.cwd()), given], default=str, sort_keys=True).encode()).hexdigest()
    workspace = settings().cache / "collect" / run[:24]
    with ExitStack() as stack:
        db = _database(None if folder is not None else into, needed=kind_of(source) in _REMEMBERED)
        held = _blobs(workspace if folder is not None else None)
        memory = Memory(db if kind_of(source) in _REMEMBERED else None, run, held)
        handling = _handling(given, held, workspace, stack)
        items, failures, about = _brought(source, _options(given, workspace, memory), handling, memory)
        if folder is not None:
            done = _written(items, failures, about, folder, given)
        else:
            done = recorded(items, failures, about, db, given)
        memory.clear()
    shutil.rmtree(workspace, ignore_errors=True)
    return done


# --- what was asked for


def _silent(value: object) -> bool:
    """Whether an option was left as it is."""
    return value is None or value is False or value == ""


def _folder(into: str) -> Path | None:
    """The folder that `into` means; None when it is a name in the workspace.

    A plain word beside a folder that holds something is a name: collecting into that folder could not be meant.
    """
    path = Path(into).expanduser()
    written = "/" in into or "\\" in into or into in (".", "..") or path.suffix != ""
    return path.absolute() if written or (path.is_dir() and not any(path.iterdir())) else None


def _check(into: str, folder: Path | None, given: dict[str, Any]) -> None:
    """Refuse at once what would fail after an hour of fetching."""
    if folder is None:
        if "format" in given:
            raise UsageError(
                "--format says how to write a folder; a named dataset has none",
                hint=f"collect first, then `sightline data export {into} --format {given['format']} --out DIR`",
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StorageError(f"{folder} exists already and is not empty", hint="choose another place with --into")
    if "format" in given:
        from sightline.data.formats import format_named

        format_named(given["format"])
    for name, least in (("limit", 1), ("every", 1), ("side", 8)):
        if name in given and given[name] < least:
            raise UsageError(f"--{name} must be at least {least}, got {given[name]}")
    if not given.get("seconds", 1) > 0:
        raise UsageError("--seconds must be above 0", hint="seconds of a video from one frame to the next, for example 2")
    if not 0 < given.get("scene", 0.1) < 1:
        raise UsageError(f"--scene must lie between 0 and 1, got {given['scene']}", hint="0.1 takes one frame a cut")
    if not given.get("rate", 0) > 0:
        raise UsageError("--rate must be above 0", hint="requests a second to one host, for example 0.5")


def _options(given: dict[str, Any], workspace: Path, memory: Memory) -> Options:
    from sightline.sources import Options

    names = ("labels", "limit", "rate", "allow_private", "every", "seconds", "scene")
    return Options(workspace=workspace, known=memory.knows, **{name: given[name] for name in names if name in given})


def _handling(given: dict[str, Any], held: Blobs, workspace: Path, stack: ExitStack) -> Handling:
    from sightline.runtime.limits import standard_limits
    from sightline.settings import settings
    from sightline.sources.drawings import Drawings
    from sightline.verbs.intake import Handling

    blur: str | None = given.get("blur")
    words = frozenset(word.strip() for word in blur.split(",") if word.strip()) if blur else frozenset()
    return Handling(
        held=held,
        drawings=stack.enter_context(closing(Drawings(given["side"], eps="eps" in given))),
        limits=standard_limits(),
        passing=(workspace, settings().cache),
        copy="copy" in given,
        keep_metadata="keep_metadata" in given,
        blur=(frozenset() if words == {"all"} else words) if blur else None,
        label=given.get("label"),
        group=given.get("group"),
        facts=Facts(source=given.get("origin", ""), licence=given.get("licence", ""), author=given.get("author", "")),
    )


# --- the work


def _brought(
    source: str, options: Options, handling: Handling, memory: Memory
) -> tuple[list[Item], list[Failure], list[About]]:
    """Everything that arrives; what came home in an earlier, interrupted run counts too. DatasetError when nothing came."""
    from dataclasses import replace

    from sightline.progress import task
    from sightline.settings import settings
    from sightline.sources import arrive, kind_of
    from sightline.verbs.intake import taken

    items, failures = memory.items(), memory.failures()
    abouts: list[About] = []
    most = options.limit or 1 << 62
    try:
        with task("Collecting", None) as progress, closing(memory):

            def told(about: About) -> None:
                abouts.append(about)
                progress.total = None if about.total is None else float(min(most, len(items) + about.total))

            progress.advance(len(items))
            stream = taken(arrive(source, replace(options, about=told)), handling, settings().threads)
            with closing(stream):
                for arrival, result in stream if len(items) < most else ():
                    if isinstance(result, Failure):
                        failures.append(result)
                    else:
                        items.append(result)
                    memory.keep(arrival, result)
                    progress.advance(1)
                    if len(items) >= most:
                        break
    except KeyboardInterrupt:
        if kind_of(source) != "camera":  # a camera has no other end
            kept = f"; {memory.count:,} fetched pictures are kept" if memory.count else ""
            raise StoppedError(f"stopped{kept}", hint="run the same command again to go on where it was") from None
    if not items:
        first = failures[0].error if failures else None
        raise DatasetError(
            f"no picture came from {source}" + (f": {first.message}" if first else ""),
            hint=(first.hint if first else "") or "check what lies there",
            detail={"failures": [failure.model_dump() for failure in failures[:20]]},
        )
    return items, failures, abouts


def recorded(
    items: list[Item], failures: list[Failure], abouts: list[About], db: Database | None, given: dict[str, Any]
) -> Collected:
    """A new version under the name, with the version it had as its parent."""
    from sightline import __version__
    from sightline.store import datasets, names
    from sightline.verbs.merge import merged

    if db is None:
        raise missing_extra("store", "a dataset under a name")
    name = str(given["into"])
    made = Made(verb="collect", arguments=json.loads(json.dumps(given, default=str)), sightline=__version__)
    while True:
        target = names.target(db, "dataset", name)
        before = datasets.get(db, target) if target else None
        whole = merged(name, before, items, abouts, failures=failures, source=str(given["source"]))
        dataset = whole.dataset
        if before is not None and dataset.hash == before.hash:
            break
        reference = datasets.add(db, dataset, made, [before.hash] if before else [])
        try:
            names.point(db, "dataset", name, reference, "collect", after=target)
            break
        except ConflictError:  # another collection into this name ended meanwhile: add to what it made
            continue
    return Collected(
        dataset=dataset.hash,
        name=name,
        count=len(dataset.items),
        added=whole.added,
        doubled=whole.doubled,
        failures=tuple(failures),
    )


def _written(items: list[Item], failures: list[Failure], abouts: list[About], folder: Path, given: dict[str, Any]) -> Collected:
    """The pictures as a folder in the wanted format: all of it or nothing."""
    from sightline.data.formats import export
    from sightline.verbs.merge import merged

    whole = merged(folder.name, None, items, abouts, failures=failures, source=str(given["source"]))
    format = given.get("format") or _fitting(whole.dataset)
    if folder.is_dir():
        folder.rmdir()  # it is empty, and the new one is moved into its place whole
    lost = export(whole.dataset, format, folder, keep_metadata="keep_metadata" in given)
    count = len(whole.dataset.items) - len(lost)
    return Collected(
        dataset=str(folder),
        name=folder.name,
        count=count,
        added=count,
        doubled=whole.doubled,
        failures=(*failures, *lost),
    )


def _fitting(dataset: Dataset) -> str:
    """The plainest format that holds all that is known."""
    if dataset.task == "detection":
        return "coco"
    if any(item.facts or not item.truth for item in dataset.items):
        return "imagefolder"
    several = dataset.task == "multilabel" or any(item.group for item in dataset.items)
    return "csv" if several else "folders"


def _has_store() -> bool:
    from importlib.util import find_spec

    return find_spec("sqlalchemy") is not None and find_spec("alembic") is not None


def _database(name: str | None, *, needed: bool) -> Database | None:
    """The workspace's database, where a name is kept or much is fetched. Raises UsageError for an impossible name."""
    if not _has_store():
        if name is not None:
            raise missing_extra("store", "a dataset under a name")
        return None
    if name is None and not needed:
        return None
    from sightline.store import names
    from sightline.store.database import database

    if name is not None:
        names.checked(name)
    return database()


def _blobs(workspace: Path | None) -> Blobs:
    """Where copies are kept: the workspace's blobs, or for a collection into a folder one that goes away."""
    from sightline.store.blobs import blobs

    return blobs(str(workspace / "pictures") if workspace else None)


def show(result: Collected) -> RenderableType:
    """What came together, and the reasons for what did not."""
    from collections import Counter

    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    where = result.name if result.dataset.isalnum() or not result.dataset else result.dataset
    version = f" (version {result.dataset[:12]})" if result.dataset.isalnum() else ""
    doubled = f", {result.doubled:,} were there already" if result.doubled else ""
    lines: list[RenderableType] = [
        f"{result.count:,} pictures in [bold]{escape(where)}[/bold]{version}: {result.added:,} new{doubled}"
    ]
    if result.failures:
        reasons = Counter(failure.error.code for failure in result.failures)
        told = ", ".join(f"{count} {code}" for code, count in reasons.most_common())
        lines.append(f"[yellow]{len(result.failures):,} left out[/yellow]: {told}")
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("left out", overflow="fold")
        table.add_column("why", overflow="fold")
        for failure in result.failures[:20]:
            table.add_row(escape(failure.picture), escape(failure.error.message))
        lines.append(table)
    return Group(*lines)
