"""Finding files: one walk over a folder, sorted, without the junk that systems leave behind, and the pictures a person named.

Goes by names only: whether a file really is a picture is decided when its bytes are read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sightline.errors import DatasetError, NotFoundError

# what runtime.pixels decodes; a file with another suffix is used only when it is named explicitly
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".heic", ".heif", ".avif"}
)
_JUNK = frozenset({"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin", "@eadir"})


@dataclass(frozen=True, slots=True)
class Tree:
    """The files below `root`: paths relative to it with `/`, sorted. `prefix` stands before them in the names people see."""

    root: Path
    files: tuple[str, ...]
    folders: tuple[str, ...] = ()
    prefix: str = ""

    def pictures(self) -> tuple[str, ...]:
        return tuple(file for file in self.files if is_picture(file))

    def here(self) -> tuple[str, ...]:
        """Files directly in `root`."""
        return tuple(file for file in self.files if "/" not in file)

    def children(self) -> dict[str, tuple[str, ...]]:
        """Folder directly in `root` -> its files at any depth, relative to that folder."""
        found: dict[str, list[str]] = {folder: [] for folder in self.folders if "/" not in folder}
        for file in self.files:
            head, slash, rest = file.partition("/")
            if slash:
                found[head].append(rest)
        return {name: tuple(files) for name, files in found.items()}

    def below(self, folder: str) -> Tree:
        """The part of the tree under the child `folder`, with names that still start at the old root."""
        cut = f"{folder}/"
        return Tree(
            root=self.root / folder,
            files=tuple(file[len(cut) :] for file in self.files if file.startswith(cut)),
            folders=tuple(name[len(cut) :] for name in self.folders if name.startswith(cut)),
            prefix=self.prefix + cut,
        )


def is_picture(name: str) -> bool:
    """Whether the name ends like a picture's."""
    return os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 - called for every file of a large folder


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is left behind by a system (dotfiles, __MACOSX, Thumbs.db)."""
    return name.startswith(".") or name.lower() in _JUNK


def scan(root: Path) -> Tree:
    """Every file below `root` in sorted order; links are followed, loops of links are not. DatasetError: not readable."""
    files: list[str] = []
    folders: list[str] = []
    for path, is_folder in _walk(str(root), "", (os.path.realpath(root),)):
        (folders if is_folder else files).append(path)
    return Tree(root=root, files=tuple(sorted(files)), folders=tuple(sorted(folders)))


def _walk(folder: str, prefix: str, above: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not is_junk(entry.name)]
    except OSError as error:
        raise DatasetError(
            f"not able to read the folder {folder}: {error.strerror}", hint="check its permissions", detail={"folder": folder}
        ) from error
    for entry in found:
        name = prefix + entry.name
        if not entry.is_dir():
            if entry.is_file():  # no sockets, no links into nothing
                yield name, False
            continue
        real = os.path.realpath(entry.path) if entry.is_symlink() else os.path.join(above[-1], entry.name)  # noqa: PTH118
        if real in above:
            continue
        yield name, True
        yield from _walk(entry.path, f"{name}/", (*above, real))


def read_pictures(paths: Sequence[Path | str]) -> list[Path]:
    """The pictures a person means: named files as they are, folders by suffix at any depth in sorted order, each file once.

    Raises NotFoundError for a path that is not there, or when nothing but folders without pictures was given.
    """
    chosen: dict[Path, None] = {}
    for given in paths:
        path = Path(given).expanduser()
        if path.is_dir():
            chosen.update(dict.fromkeys(path / name for name in scan(path).pictures()))
        elif path.exists():
            chosen[path] = None
        else:
            raise NotFoundError(f"no such file or folder: {given}", hint=near_names(path), detail={"path": str(given)})
    if not chosen:
        where = ", ".join(str(path) for path in paths) or "nothing"
        kinds = " ".join(sorted(suffix[1:] for suffix in SUFFIXES))
        raise NotFoundError(f"no pictures in {where}", hint=f"pictures are looked for by their suffix: {kinds}")
    return list(chosen)


def near_names(path: Path) -> str:
    """A hint for a path that is not there: the most similar name beside it."""
    import difflib

    parent = path.parent
    if not parent.is_dir():
        return f"the folder {parent} does not exist either"
    near = difflib.get_close_matches(path.name, [entry.name for entry in os.scandir(parent)], 1)
    return f"did you mean {parent / near[0]}?" if near else "check the spelling"
