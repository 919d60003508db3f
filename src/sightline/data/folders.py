"""Class folders: the name of the folder directly below the root is the label of every picture in it, at any depth.

Knows neither tables nor archives; which layout a folder has is decided in readers.py.
"""

from __future__ import annotations

from sightline.data.listing import SPLITS, Listing, Row, left_out
from sightline.data.pictures import Tree, is_picture
from sightline.types import Failure

LAYOUT = "expected FOLDER/CLASS/picture.jpg with a folder for each class, or one CSV file with columns file,label"


def has_classes(tree: Tree) -> bool:
    """Whether some folder directly below the root holds pictures."""
    return any(any(map(is_picture, files)) for files in tree.children().values())


def has_splits(tree: Tree) -> bool:
    """Whether the folders directly below are train / val / test, and hold folders or tables of their own.

    A class may be called `train` (the vehicle) too: then its pictures lie directly in it, or other classes stand beside it.
    """
    children = {name: files for name, files in tree.children().items() if any(map(is_picture, files))}
    words = {SPLITS[name.lower()] for name in children if name.lower() in SPLITS}
    deep = any(
        "/" in file or file.lower().endswith(".csv") for name in children if name.lower() in SPLITS for file in children[name]
    )
    alone = all(name.lower() in SPLITS for name in children)
    return bool(words) and deep and (alone or ("train" in words and len(words) > 1))


def read_classes(tree: Tree) -> Listing:
    """One row for every picture in a class folder; pictures beside the class folders and empty class folders are left out."""
    rows: list[Row] = []
    failures: list[Failure] = []
    root = str(tree.root)
    for folder, files in tree.children().items():
        label = folder.strip()
        pictures = [file for file in files if is_picture(file)]
        if not pictures:
            failures.append(left_out(f"{tree.prefix}{folder}/", "class_empty", "the folder holds no pictures"))
        for file in pictures:
            name = f"{tree.prefix}{folder}/{file}"
            if not name.isprintable() and not _text(name):
                failures.append(left_out(repr(name), "name", "the file name is not UTF-8", "rename the file"))
                continue
            rows.append(Row(uri=f"{root}/{folder}/{file}", name=name, labels=(label,)))
    stray = [file for file in tree.here() if is_picture(file)]
    if stray:
        failures.append(stray_pictures(tree, stray))
    return Listing(rows=tuple(rows), failures=tuple(failures), kind="folders")


def stray_pictures(tree: Tree, pictures: list[str]) -> Failure:
    """One entry for all pictures that lie beside the class folders, and so have no label."""
    where = tree.prefix or tree.root.name + "/"
    return left_out(
        f"{where}{pictures[0]}" if len(pictures) == 1 else f"{where} ({len(pictures)} pictures)",
        "stray",
        "lies outside a class folder, so its class is not known",
        "move it into a class folder",
    )


def _text(name: str) -> bool:
    """False for names whose bytes are not UTF-8 (Python marks those with surrogates)."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
