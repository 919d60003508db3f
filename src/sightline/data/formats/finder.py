"""Which picture a document means, and which split a path or a list says. Never leaves the tree, whatever a document names."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping

from sightline.data.formats.documents import text_of
from sightline.data.listing import SPLITS, Listing, Row, left_out
from sightline.data.pictures import Tree, is_picture
from sightline.data.place import Place
from sightline.errors import DatasetError
from sightline.types import Annotation, Facts, Failure, Skeleton, Split

_MOST_NAMESAKES = 64  # pictures of one name that are compared: more say nothing, and would take quadratic time
_FILLERS = frozenset({"", "images", "image", "imgs", "img", "jpegimages", "pictures", "set", "data", "labels", "annotations"})


class Pictures:
    """The pictures of a tree, found by whatever a document calls them: a path, an absolute path of another machine, a name."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._known = frozenset(tree.pictures())
        self._names: dict[str, list[str]] = {}
        self._stems: dict[str, list[str]] = {}
        for file in tree.pictures():
            base = file.rpartition("/")[2].casefold()
            self._names.setdefault(base, []).append(file)
            self._stems.setdefault(base.rpartition(".")[0], []).append(file)

    def find(self, name: str, near: Iterable[str] = ()) -> str | None:
        """The picture's path in the tree, or None. `near`: folders of the tree (`""`: its root) to start from, best first."""
        plain = name.replace("\\", "/").strip()
        if not plain or "\0" in plain or len(plain) > 4096:
            return None
        for folder in (*near, ""):
            path = posixpath.normpath(f"{folder}/{plain}" if folder else plain)
            if path in self._known:
                return path
        base = plain.rpartition("/")[2].casefold()
        stem = base.rpartition(".")[0] if is_picture(base) else base
        for found in (self._names.get(base), self._stems.get(stem)):
            if found:
                return self._closest(plain, found, tuple(near))
        return None

    def _closest(self, wanted: str, found: list[str], near: tuple[str, ...]) -> str | None:
        """Of pictures of one name, the only one that shares most folders with the path, or that lies in a near folder."""
        if len(found) == 1:
            return found[0]
        if len(found) > _MOST_NAMESAKES:
            return None
        parts = wanted.casefold().split("/")[::-1]

        def shared(path: str) -> tuple[bool, int]:
            ours = path.casefold().split("/")[::-1]
            same = next(
                (n for n, (a, b) in enumerate(zip(ours[1:], parts[1:], strict=False)) if a != b), min(len(ours), len(parts))
            )
            return any(folder and path.startswith(f"{folder}/") for folder in near), same

        ranked = sorted(found, key=shared)
        return ranked[-1] if shared(ranked[-1]) != shared(ranked[-2]) else None

    def row(
        self,
        file: str,
        split: Split | None,
        marks: tuple[Annotation, ...] = (),
        group: str | None = None,
        facts: Facts | None = None,
    ) -> Row:
        """The row of a picture of the tree."""
        return Row(f"{self.tree.root}/{file}", self.tree.prefix + file, (), split, group, marks, facts)


def listing(
    kind: str,
    rows: Iterable[Row],
    failures: Iterable[Failure],
    *,
    placed: bool = False,
    several: bool = False,
    classes: Iterable[str] = (),
    skeletons: Mapping[str, Skeleton] | None = None,
) -> Listing:
    """Rows of marks as a listing. Where nothing has a place the marks become labels.

    A picture without a label then shows none of the classes where pictures can have several labels; else it is left out.
    """
    found, left = list(rows), list(failures)
    if placed or any(mark.placed for row in found for mark in row.marks):
        return Listing(
            tuple(found), tuple(left), several=True, kind=kind, placed=True, classes=tuple(classes), skeletons=skeletons or {}
        )
    plain = [row._replace(labels=tuple(dict.fromkeys(mark.label for mark in row.marks)), marks=()) for row in found]
    if not several and not any(len(row.labels) > 1 for row in plain):
        left += [left_out(row.name, "label_missing", "it has no label") for row in plain if not row.labels]
        plain = [row for row in plain if row.labels]
    return Listing(tuple(plain), tuple(left), several=several, kind=kind)


def split_word(text: str) -> Split | None:
    """The split that one folder is called by: train, val2017, train_images; None for anything else."""
    words = [part for part in re.split(r"[^a-z]+", text.lower()) if part not in _FILLERS]
    return SPLITS.get(words[0]) if len(words) == 1 else None


def split_of(path: str) -> Split | None:
    """The split that the innermost folder of a path says."""
    return next((split for part in reversed(path.split("/")[:-1]) if (split := split_word(part))), None)


def split_in(name: str) -> Split | None:
    """The split that the name of a document says: instances_val2017.json, train-annotations-bbox.csv; else its folder."""
    stem = name.rpartition("/")[2].rpartition(".")[0]
    found = {SPLITS[part] for part in re.split(r"[^a-z]+", stem.lower()) if part in SPLITS}
    return found.pop() if len(found) == 1 else None if found else split_of(name)


def listed_splits(place: Place, pictures: Pictures) -> dict[str, Split]:
    """Pictures by the split that a list says: train.txt, val.txt, ImageSets/Main/test.txt with a name or path a line.

    The first list that names a picture decides. `trainval.txt` counts only where there is no train.txt and no val.txt.
    """
    lists = {file: split for file in place.tree.files if (split := _list_split(file))}
    parts = set(lists.values())
    if not parts & {"train", "val"}:
        lists |= {file: "train" for file in place.tree.files if file.lower() in ("trainval.txt", "imagesets/main/trainval.txt")}
    found: dict[str, Split] = {}
    for file, split in lists.items():
        folder = file.rpartition("/")[0]
        for name in _lines(place, file):
            picture = pictures.find(name, (folder,)) or pictures.find(name.rpartition(" ")[0].strip(), (folder,))
            if picture is not None:
                found.setdefault(picture, split)
    return found


def _list_split(file: str) -> Split | None:
    """The split of a list, None for a file that is none: lists lie at the top, in `data`, or in a folder of lists."""
    folder, _, name = file.rpartition("/")
    if not name.lower().endswith(".txt") or folder.lower() not in (
        "",
        "data",
        "imagesets",
        "imagesets/main",
        "splits",
        "lists",
    ):
        return None
    return SPLITS.get(name[:-4].lower())


def _lines(place: Place, file: str) -> Iterator[str]:
    try:
        text = text_of(place.tree.root / file, most=1 << 28)
    except DatasetError:
        return
    yield from (line.strip() for line in text.splitlines() if 0 < len(line) < 4096)
