"""Pictures that lie on this machine: a folder or archive of any layout that data.readers knows, or one picture.

Pictures without labels are welcome here: labels can come later. Files are named, not opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from sightline.data import archives
from sightline.data.listing import SPLITS, Listing, Row
from sightline.data.pictures import Tree, is_picture, scan
from sightline.data.readers import listed
from sightline.errors import DatasetError
from sightline.sources import VIDEOS, About, Arrival, Options
from sightline.sources.drawings import SUFFIXES as DRAWINGS
from sightline.types import Facts, Failure


def arrivals(source: str, options: Options) -> Iterator[Arrival | Failure]:
    """The pictures of a folder or archive in the order of their names, or the one picture that `source` is."""
    path = Path(source).expanduser().absolute()
    single = path.is_file() and (is_picture(path.name) or path.suffix.lower() in DRAWINGS)
    if single and options.labels is None:
        options.about(About(total=1))
        return iter([Arrival(name=path.name, path=path, address=str(path))])
    return laid_out(path, options)


def laid_out(
    path: Path, options: Options, *, facts: Facts | None = None, name: Path | None = None
) -> Iterator[Arrival | Failure]:
    """The pictures of the folder, archive or dataset file `path`. `facts`: said of every picture whose row says nothing.

    Raises DatasetError, ArchiveError. `name`: what a downloaded archive was called.
    """
    listing, others = _listed(path, options.labels)
    options.about(About(len(listing.rows) + len(others), listing.several, listing.placed, listing.classes))
    yield from listing.failures
    for row in listing.rows:
        address = f"{name or path}!{row.name}"
        yield Arrival(row.name, None, Path(row.uri), row.labels, row.marks, row.split, row.group, row.facts or facts, address)
    for row in others:
        if Path(row.uri).suffix.lower() in VIDEOS:
            yield from _frames(row, options)
        else:
            address = f"{name or path}!{row.name}"
            yield Arrival(row.name, None, Path(row.uri), row.labels, split=row.split, facts=facts, address=address)


def _frames(row: Row, options: Options) -> Iterator[Arrival | Failure]:
    """The frames of a video in a folder, with the folder's label."""
    from sightline.sources.video import frames

    for one in frames(row.uri, every=options.every, seconds=options.seconds, scene=options.scene, limit=options.limit):
        if isinstance(one, Failure):
            yield one
            continue
        name = f"{row.name.rpartition('.')[0]}/{one.name.rpartition('/')[2]}"
        yield replace(one, name=name, labels=row.labels, split=row.split)


def _listed(path: Path, labels: Path | None) -> tuple[Listing, list[Row]]:
    """What lies there: pictures by the layout that is recognised, and drawings and videos beside them."""
    try:
        listing = listed(path, labels)[0]
    except DatasetError as error:
        tree = _tree(path)
        others = _others(tree, None)
        unlabelled = "pictures" in error.detail and not error.detail.get("tables")
        if labels is not None or tree is None or not (unlabelled or (others and not tree.pictures())):
            raise
        return Listing(tuple(Row(f"{tree.root}/{file}", file, ()) for file in tree.pictures()), kind="pictures"), others
    return listing, _others(_tree(path), listing) if labels is None else []


def _tree(path: Path) -> Tree | None:
    """The files of the folder or (unpacked) archive; None for a single file such as a CSV."""
    if path.is_dir():
        return scan(path)
    if path.suffix.lower() in (".csv", ".tsv", ".txt", ".json", ".jsonl", ".xml", ".parquet") or archives.kind_of(path) is None:
        return None
    return scan(archives.unpacked(path))


def _others(tree: Tree | None, listing: Listing | None) -> list[Row]:
    """Drawings and videos. Their label and split are those of the pictures in the same folder; without any, of its name."""
    found = [file for file in tree.files if file[file.rfind(".") :].lower() in DRAWINGS | VIDEOS] if tree is not None else []
    if tree is None or not found:
        return []
    if listing is not None and listing.kind != "folders":
        return [Row(f"{tree.root}/{file}", file, ()) for file in found]
    beside: dict[str, Row | None] = {}  # folder -> a row that stands for all of its rows; None: they differ
    for row in listing.rows if listing is not None else ():
        folder = row.uri.rpartition("/")[0]
        first = beside.setdefault(folder, row)
        if first is not None and (first.labels, first.split) != (row.labels, row.split):
            beside[folder] = None
    rows = []
    for row in by_folders(str(tree.root), [*found, *tree.pictures()])[: len(found)]:
        like = beside.get(row.uri.rpartition("/")[0])
        rows.append(row if like is None else row._replace(labels=like.labels, split=like.split))
    return rows


def by_folders(root: str, files: Sequence[str]) -> list[Row]:
    """A row for each file, labelled by its path alone: [SPLIT/]CLASS/.../name; a file outside a folder has no label.

    The first folder is a split when all first folders are split words (train, val, test) and hold folders.
    """
    heads = {file.partition("/")[0].lower() for file in files if "/" in file}
    splits = bool(heads) and heads <= set(SPLITS) and any(file.count("/") > 1 for file in files)
    rows = []
    for file in files:
        folders = file.split("/")[:-1]
        split = SPLITS[folders[0].lower()] if splits and folders else None
        labels = folders[1:2] if splits else folders[:1]
        rows.append(Row(f"{root}/{file}", file, tuple(label.strip() for label in labels), split))
    return rows
