"""A dataset as it is found: labelled, with one class only, or no labels at all. What `clean` looks at before anybody tidied up.

Knows no pixels. What can be trained on is decided in readers.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from sightline import progress
from sightline.data import archives
from sightline.data.listing import Row
from sightline.data.pictures import Tree, scan
from sightline.data.readers import listed, read
from sightline.errors import DatasetError
from sightline.types import Annotation, Dataset, ErrorInfo, Failure, Item


def read_as_found(path: Path | str, labels: Path | str | None = None) -> Dataset:
    """Read what `readers.read` reads, and pictures of one class or without labels as well (then `kind` is "pictures").

    The dataset has no hashes yet. Pictures below a folder that no label reaches are failures of code label_missing, one each.
    Raises what `read` raises when there is no picture at all.
    """
    try:
        dataset = read(path, labels, hashed=False)
    except DatasetError as error:
        found = _one_class(path, labels) or _unlabelled(Path(path).expanduser().absolute())
        if found is None:
            raise
        if found.kind == "pictures":
            progress.note(f"{error.message}: looking at the pictures alone")
        return found
    return _with_strays(dataset)


def _one_class(path: Path | str, labels: Path | str | None) -> Dataset | None:
    try:
        listing, name, source = listed(path, labels)
    except DatasetError:
        return None
    classes = {label for row in listing.rows for label in row.labels}
    stray = any(failure.error.code == "stray" for failure in listing.failures)  # a pile with a folder in it, no class
    if not listing.rows or len(classes) != 1 or listing.placed or stray:
        return None
    items = tuple(_item(row, f"import:{listing.kind}") for row in _once(listing.rows))
    return _with_strays(
        Dataset(
            name=name,
            task="multilabel" if listing.several else "multiclass",
            classes=tuple(classes),
            items=items,
            source=str(source),
            kind=listing.kind,
            failures=listing.failures,
        )
    )


def _once(rows: Iterable[Row]) -> Iterator[Row]:
    """Each name once; a table may name a file twice."""
    seen: set[str] = set()
    for row in sorted(rows, key=lambda row: row.name):
        name = row.name
        while name in seen:
            name += " [again]" if name == row.name else "+"
        seen.add(name)
        yield row._replace(name=name)


def _item(row: Row, origin: str) -> Item:
    truth = tuple(Annotation(label=label, origin=origin) for label in row.labels)
    return Item(uri=row.uri, name=row.name, truth=truth, split=row.split, group=row.group, facts=row.facts)


def _unlabelled(source: Path) -> Dataset | None:
    """Every picture at any depth, without a label; None when there is none."""
    if source.is_dir():
        tree, name = scan(source), source.name
    elif archives.kind_of(source) is not None:
        tree, name = scan(archives.unpacked(source)), archives.stem(source.name) or source.stem
    else:
        return None
    pictures = tree.pictures()
    if not pictures:
        return None
    good = [picture for picture in pictures if _is_text(picture)]
    items = tuple(Item(uri=f"{tree.root}/{picture}", name=picture) for picture in good)
    failures = tuple(_not_text(picture) for picture in pictures if not _is_text(picture))
    return Dataset(
        name=name, task="multiclass", classes=(), items=items, source=str(source), kind="pictures", failures=failures
    )


def _with_strays(dataset: Dataset) -> Dataset:
    """The dataset whose failures name every picture that no label reaches, instead of counting them by the folder."""
    source = Path(dataset.source)
    if not source.is_dir():
        return dataset
    tree = scan(source)
    known = {item.uri for item in dataset.items}
    told = {failure.picture for failure in dataset.failures}
    strays = [picture for picture in _left_over(tree, known) if picture not in told]
    kept = tuple(failure for failure in dataset.failures if failure.error.code != "stray")
    lost = ErrorInfo(code="label_missing", message="no label says what it is", hint="label it, or move it into a class folder")
    return dataset.model_copy(
        update={"failures": (*kept, *(Failure(picture=picture, error=lost) for picture in strays if _is_text(picture)))}
    )


def _left_over(tree: Tree, known: set[str]) -> Iterator[str]:
    for picture in tree.pictures():
        if f"{tree.root}/{picture}" not in known:
            yield picture


def _not_text(name: str) -> Failure:
    info = ErrorInfo(code="name", message="the file name is not UTF-8", hint="rename the file")
    return Failure(picture=repr(name), error=info)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
