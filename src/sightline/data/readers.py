"""From a path to a dataset: finds out which layout lies there, which task the labels mean, and what had to be left out.

`LAYOUTS` is the whole list of layouts; the first whose recogniser says yes reads. Pictures are not opened here, only hashed.
What is in a file of one of the formats (COCO, YOLO, ...) is known in formats/ alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from sightline.data import archives
from sightline.data.classes import ordered, task_of
from sightline.data.folders import LAYOUT, has_classes, has_splits, read_classes
from sightline.data.formats import FORMATS, Format, format_named
from sightline.data.listing import SPLITS, Listing, Row, in_split, joined, left_out, summary
from sightline.data.manifest import with_hashes
from sightline.data.pictures import Tree, is_picture, near_names, read_pictures, scan
from sightline.data.place import Place
from sightline.data.tables import has_table, header_of, read_table
from sightline.errors import DatasetError, NotFoundError, UsageError
from sightline.types import Annotation, Dataset, Item

__all__ = ["LAYOUTS", "Place", "listed", "read", "read_pictures"]


def read(path: Path | str, labels: Path | str | None = None, *, format: str | None = None, hashed: bool = True) -> Dataset:
    """Read pictures and their labels.

    Args:
        path: Class folders, train/val/test folders of them, a folder with a CSV, a CSV, a folder or file of one of the FORMATS
            (COCO, VOC, YOLO, ...), or a zip or tar of any of these.
        labels: A CSV with the labels of the pictures in `path`, when it does not lie there.
        format: The name of one of the FORMATS, when what lies there is not to be guessed.
        hashed: False leaves the contents unread: no item has a sha256 and the dataset no hash (see `manifest.with_hashes`).

    Raises NotFoundError, DatasetError, ArchiveError, UsageError, each with the next step. Single pictures that cannot be used
    are listed in `failures`.
    """
    listing, name, source = listed(path, labels, format=format)
    dataset = dataset_of(listing, name, source)
    return with_hashes(dataset) if hashed else dataset


def listed(path: Path | str, labels: Path | str | None = None, *, format: str | None = None) -> tuple[Listing, str, Path]:
    """What lies at `path` before it is judged (one class only is no error yet): rows, name of the whole, absolute path.

    Arguments and errors as `read`.
    """
    source = Path(path).expanduser().absolute()
    chosen = format_named(format) if format is not None else None
    if not source.exists():
        raise NotFoundError(f"no such folder or file: {path}", hint=near_names(source), detail={"path": str(path)})
    table = Path(labels).expanduser().absolute() if labels is not None else None
    if table is not None and chosen is not None:
        raise UsageError("a table of labels and a format are two answers to one question", hint="give only one of the two")
    if table is not None and not table.is_file():
        raise NotFoundError(f"no such table of labels: {labels}", hint=near_names(table))
    place, name = _open(source, chosen)
    if place is None:
        if table is not None:
            raise DatasetError(f"{source.name} is a table, and so is {table.name}", hint="give the folder of the pictures")
        table, place = source, Place(scan(source.parent))
    if table is not None:
        listing = read_table(table, _unwrapped(place.tree), inside=place.inside)
    else:
        listing = chosen.read(_stepped(place, chosen)) if chosen is not None else _read(place, source)
    return listing, name, source


# --- layouts: what they are called, how they are recognised, how they are read


def _is_table(place: Place) -> bool:
    return has_table(place.tree) is not None


def _table(place: Place) -> Listing:
    path = has_table(place.tree)
    if path is None:
        raise DatasetError(f"no table in {place.tree.root}", hint=LAYOUT)
    return read_table(path, place.tree, inside=place.inside)


def _split_tables(place: Place) -> dict[str, Path]:
    """train.csv, test.csv, ... by their split word; empty unless there are two of them."""
    files = [file for file in place.tree.here() if file.lower().endswith((".csv", ".tsv"))]
    found = {file: place.tree.root / file for file in files if file.rpartition(".")[0].lower() in SPLITS}
    fitting = {
        file: path for file, path in found.items() if (head := header_of(path)).file is not None and head.label is not None
    }
    return fitting if len(fitting) > 1 else {}


def _tables(place: Place) -> Listing:
    tables = _split_tables(place).items()
    parts = [
        in_split(read_table(path, place.tree, inside=place.inside), SPLITS[file.rpartition(".")[0].lower()])
        for file, path in tables
    ]
    return joined(parts, "table")


def _split_folders(place: Place) -> Listing:
    """train / val / test folders: each is a folder of class folders or of a table."""
    parts: list[Listing] = []
    for name, files in place.tree.children().items():
        if not any(map(is_picture, files)):
            continue
        split = SPLITS.get(name.lower())
        part = replace(place, tree=place.tree.below(name))
        if split is None:
            count = sum(map(is_picture, files))
            failure = left_out(f"{part.tree.prefix} ({count} pictures)", "stray", "is neither train, val nor test")
            parts.append(Listing((), (failure,)))
        elif _is_table(part):
            parts.append(in_split(_table(part), split))
        else:
            parts.append(in_split(read_classes(part.tree), split))
    return joined(parts, "folders")


def _split_archives(place: Place) -> dict[str, Path]:
    """train.tar.xz, test.zip, ... by their split word; archives inside archives stay closed."""
    if place.inside:
        return {}
    names = {file: archives.stem(file) for file in place.tree.here()}
    return {stem: place.tree.root / file for file, stem in names.items() if stem and stem.lower() in SPLITS}


def _archives(place: Place) -> Listing:
    parts = []
    for stem, path in _split_archives(place).items():
        tree = _unwrapped(replace(scan(archives.unpacked(path)), prefix=f"{stem}/"), keep=frozenset())
        if tree.prefix.startswith(f"{stem}/{stem}/"):  # train.tar.xz that holds one folder called train
            tree = replace(tree, prefix=tree.prefix[len(stem) + 1 :])
        part = Place(tree, inside=True)
        parts.append(in_split(_table(part) if _is_table(part) else read_classes(tree), SPLITS[stem.lower()]))
    return joined(parts, "folders")


class Layout(NamedTuple):
    """`outer`: it is asked about the whole folder; the others about the one folder of folders inside it, where there is one."""

    title: str
    recognised: Callable[[Place], bool]
    read: Callable[[Place], Listing]
    outer: bool = False


def _of(name: str) -> Layout:
    return Layout(
        f"the format {name}",
        lambda place: format_named(name).recognised(place),
        lambda place: format_named(name).read(place),
        True,
    )


# Tables come before the formats: a CSV that names the pictures says which labels are meant. An image folder's metadata.csv may
# hold boxes, which a plain table would lose. Folders come last: nearly everything looks like class folders.
_PLAIN = ("imagefolder", "csv", "folders")
LAYOUTS: tuple[Layout, ...] = (
    _of("imagefolder"),
    Layout("a table for each of train, val, test", lambda place: bool(_split_tables(place)), _tables),
    Layout("a table beside the pictures", _is_table, _table),
    *(_of(name) for name in FORMATS if name not in _PLAIN),
    Layout("train, val and test folders", lambda place: has_splits(place.tree), _split_folders),
    Layout("train and test archives", lambda place: bool(_split_archives(place)), _archives),
    Layout("class folders", lambda place: has_classes(place.tree), lambda place: read_classes(place.tree)),
)


def _open(source: Path, chosen: Format | None) -> tuple[Place | None, str]:
    """The place to read and the dataset's name; no place for a CSV file."""
    if source.is_dir():
        return Place(scan(source)), source.name
    own = [chosen] if chosen is not None else [format_named(name) for name in FORMATS]
    if any(source.name.lower().endswith(format.files) for format in own if format.files):
        place = _beside(source)
        if chosen is not None or any(format.files and format.recognised(place) for format in own):
            return place, source.stem
    kind = archives.kind_of(source)
    if kind is not None:
        return Place(scan(archives.unpacked(source)), inside=True), archives.stem(source.name) or source.stem
    if source.suffix.lower() in (".csv", ".tsv", ".txt") and chosen is None:
        return None, source.stem
    what = "a picture" if is_picture(source.name) else "neither a folder, a CSV, a zip nor a tar, nor a file of a known format"
    raise DatasetError(f"{source.name} is {what}", hint=LAYOUT)


def _beside(source: Path) -> Place:
    """The place of a file that was given itself: its folder; of one in a folder of annotations, the folder above."""
    root = source.parent
    if any(word in root.name.lower() for word in ("annotation", "label")) and root.parent != root:
        root = root.parent
    return Place(scan(root), given=source.relative_to(root).as_posix())


def _stepped(place: Place, format: Format | None = None) -> Place:
    """The place inside folders that hold nothing but one folder, as archives often have around everything."""
    for _ in range(8):
        if place.given is not None or place.tree.here() or (format is not None and format.recognised(place)):
            break
        filled = [name for name, files in place.tree.children().items() if files]
        if len(filled) != 1 or filled[0].lower() in SPLITS:
            break
        place = replace(place, tree=place.tree.below(filled[0]))
    return place


def _unwrapped(tree: Tree, keep: frozenset[str] = frozenset(SPLITS)) -> Tree:
    """Step into a folder that holds nothing but one folder of folders (or of a table), as archives often do.

    One of the names in `keep` is not stepped into: a lone `test/` says that all its pictures are test pictures.
    """
    for _ in range(8):
        children = {name: files for name, files in tree.children().items() if any(map(is_picture, files))}
        if len(children) != 1 or any(is_picture(file) or file.lower().endswith((".csv", ".tsv")) for file in tree.here()):
            break
        ((name, files),) = children.items()
        if name.lower() in keep or any("/" not in file and is_picture(file) for file in files):
            below = tree.below(name)
            if name.lower() in keep or has_table(below) is None:
                break
        tree = tree.below(name)
    return tree


def _read(place: Place, source: Path) -> Listing:
    outer, place = _stepped(place), replace(place, tree=_unwrapped(place.tree))
    for layout in LAYOUTS:
        at = outer if layout.outer else place
        if (layout.outer or place.given is None) and layout.recognised(at):
            return layout.read(at)
    tree = place.tree
    pictures = tree.pictures()
    if not pictures:
        kinds = "no pictures" if tree.files else "no files"
        raise DatasetError(f"{source.name} is empty: it holds {kinds}", hint=LAYOUT, detail={"path": str(source)})
    tables = [file for file in tree.here() if file.lower().endswith((".csv", ".tsv"))]
    if len(tables) == 1:  # a table that fits nothing: reading it says why
        return read_table(tree.root / tables[0], tree, inside=place.inside)
    raise DatasetError(
        f"the {len(pictures):,} pictures in {source.name} have no labels",
        hint=f"{LAYOUT} (labels elsewhere: --labels table.csv)",
        detail={"pictures": len(pictures), "tables": tables},
    )


def dataset_of(listing: Listing, name: str, source: Path) -> Dataset:
    """The dataset that the rows make: the task and the classes follow from their labels. DatasetError when no row is left."""
    rows, failures = _named_once(listing.rows), listing.failures
    if not rows and failures:
        raise DatasetError(
            f"none of the pictures in {source.name} can be used ({summary(failures)}); first: {failures[0].error.message}",
            hint=LAYOUT,
        )
    labels = [tuple(mark.label for mark in row.marks) or row.labels for row in rows]
    task, classes, positive = (
        ("detection", ordered((*listing.classes, *(label for row in labels for label in row))), None)
        if listing.placed
        else task_of(labels, several=listing.several)
    )
    origin = f"import:{listing.kind}"
    known = {label: Annotation(label=label, origin=origin) for label in classes}
    items = tuple(
        Item(
            uri=row.uri,
            name=row.name,
            truth=row.marks or tuple(known[label] for label in row.labels),
            split=row.split,
            group=row.group,
            facts=row.facts,
        )
        for row in rows
    )
    return Dataset(
        name=name,
        task=task,
        classes=classes,
        items=items,
        positive=positive,
        source=str(source),
        kind=listing.kind,
        skeletons={name: one for name, one in listing.skeletons.items() if name in classes},
        failures=failures,
    )


def _named_once(rows: tuple[Row, ...]) -> list[Row]:
    """Rows sorted by name; a file that two tables name (train.csv and test.csv) keeps both rows, the later ones marked."""
    seen: set[str] = set()
    found: list[Row] = []
    for row in sorted(rows, key=lambda row: (row.name, row.split or "", row.labels)):
        name = row.name if row.name not in seen else f"{row.name} [{row.split or 'again'}]"
        while name in seen:
            name += "+"
        seen.add(name)
        found.append(row._replace(name=name))
    return found
