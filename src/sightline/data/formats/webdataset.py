"""WebDataset: tar shards in which the files of one picture stand together: key.jpg with key.cls, key.txt or key.json.

Shards are read as streams and never unpacked by the names in them. Numbers in key.cls are the lines of a classes.txt beside.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from sightline.data.archives import tar_members
from sightline.data.containers import Sample, plain_name, unpacked
from sightline.data.formats.fields import Entry, listing, split_of, told
from sightline.data.formats.format import Export, Format, Picture
from sightline.data.formats.lines import lines, names, one_a_line, parsed
from sightline.data.listing import Listing, left_out
from sightline.data.pictures import is_picture
from sightline.data.place import Place
from sightline.errors import DataError, DatasetError
from sightline.runtime.limits import Limits
from sightline.types import Failure

PICTURES, BYTES = 10_000, 1_000_000_000  # in one shard that is written
_SHARD = re.compile(r"\d\.(tar|tar\.gz|tgz)$", re.IGNORECASE)  # their names end in a number: train-000000.tar
_SAID = ("json", "cls", "txt")  # the files that say something about a picture, the most telling first
_TEXT = 1 << 20  # bytes of such a file
_MOST = Limits().max_bytes


def _recognised(place: Place) -> bool:
    shards = _shards(place)
    return _is_shard(place.tree.root / shards[0]) if shards else bool(_loose(place))


def _shards(place: Place) -> tuple[str, ...]:
    found = (file for file in place.documents(".tar", ".tar.gz", ".tgz") if _SHARD.search(file))
    return tuple(file for file in found if not place.inside or _grows_not(place.tree.root / file))


def _grows_not(path: Path) -> bool:
    """Whether it is a plain tar: what came out of an archive may not grow a second time."""
    with path.open("rb") as stream:
        return stream.read(262)[257:] == b"ustar"


def _loose(place: Place) -> list[str]:
    """The key.cls files of a shard that was unpacked already: each beside a picture of its key."""
    marks = [file for file in place.tree.files if file.lower().endswith(".cls")]
    return marks if marks and any(map(is_picture, place.tree.files)) else []


def _is_shard(path: Path) -> bool:
    """Whether a picture and what is said about it are among its first files."""
    kinds: dict[str, set[str]] = {}
    try:
        for _, (name, _, _) in zip(range(6), tar_members(path), strict=False):
            key, kind = _parts(name)
            kinds.setdefault(key, set()).add(kind)
    except (DataError, OSError):
        pass
    return any(found & set(_SAID) and any(map(_is_picture, found)) for found in kinds.values())


def _parts(name: str) -> tuple[str, str]:
    """(key, extension): the key ends at the first dot of the last part, as WebDataset does it."""
    folder, slash, file = name.rpartition("/")
    key, _, kind = file.partition(".")
    return folder + slash + key, kind.lower()


def _is_picture(kind: str) -> bool:
    """Whether an extension is a picture's; `seg.png` is something else about the picture, such as a mask."""
    return "." not in kind and is_picture(f"x.{kind}")


def _read(place: Place) -> Listing:
    shards = _shards(place)
    if not shards:
        return _read_loose(place)
    entries: list[Entry] = []
    failures: list[Failure] = []
    for file in shards:
        path = place.tree.root / file
        stored, refused = unpacked(path, "webdataset", lambda path=path: _samples(path))  # type: ignore[misc]
        failures += refused
        classes = _classes(place, file)
        entries += [Entry(one.uri, one.name, one.about, split_of(file), classes, classes) for one in stored]
    return listing("webdataset", entries, failures)


def _classes(place: Place, shard: str) -> tuple[str, ...]:
    """The class names beside the shard or at the root; without them a number is its own name."""
    for folder in (shard.rpartition("/")[0], ""):
        for name in ("classes.txt", "labels.txt"):
            file = f"{folder}/{name}".lstrip("/")
            if file in place.tree.files:
                return names(place.tree.root / file)
    return ()


def _samples(path: Path) -> Iterator[Sample | Failure]:
    """Files of one key stand together; a new key closes the picture before."""
    key, files = "", dict[str, bytes]()
    for name, size, data in tar_members(path):
        now, kind = _parts(name)
        if now != key:
            yield from _sample(path, key, files)
            key, files = now, {}
        wanted = _is_picture(kind) and not any(map(_is_picture, files))
        if size > (_MOST if wanted else _TEXT):
            yield left_out(plain_name(name, path.name), "picture_too_large", f"{path.name}: {size:,} bytes are too many")
        elif wanted or kind in _SAID:
            files[kind] = data()
    yield from _sample(path, key, files)


def _sample(path: Path, key: str, files: dict[str, bytes]) -> Iterator[Sample | Failure]:
    if not files:
        return
    name = plain_name(key, path.name)
    picture = next((kind for kind in files if _is_picture(kind)), None)
    if picture is None:
        yield left_out(name, "picture_missing", f"{path.name} says something about {name!r}, but holds no picture of it")
        return
    try:
        fields = _fields(files)
    except ValueError as error:
        yield left_out(name, "row_broken", f"{path.name}: what is said about {name!r} cannot be read: {error}")
        return
    told_name = fields.pop("file_name", None)
    shown = plain_name(told_name, name) if isinstance(told_name, str) else name
    yield Sample(files[picture], shown if is_picture(shown) else f"{shown}.{picture}", fields)


def _fields(files: dict[str, bytes]) -> dict[str, Any]:
    """Of JSON, class and text those that are there; the JSON's own label counts most. ValueError."""
    fields: dict[str, Any] = {}
    if "cls" in files or "txt" in files:
        text = files.get("cls", files.get("txt", b"")).decode().strip()
        number = "cls" in files and re.fullmatch(r"-?\d{1,9}", text)
        fields["label"] = int(text) if number else text
    if "json" in files:
        about = parsed(files["json"])
        if isinstance(about, dict):
            fields |= about
        elif "label" not in fields:
            fields["label"] = about
    return fields


def _read_loose(place: Place) -> Listing:
    tree, failures = place.tree, list[Failure]()
    pictures = {_parts(file)[0]: file for file in reversed(tree.pictures())}
    classes = names(tree.root / "classes.txt") if "classes.txt" in tree.files else ()
    entries: list[Entry] = []
    for file in _loose(place):
        key = _parts(file)[0]
        text = next((text for _, text in lines(tree.root / file)), "")
        if key not in pictures:
            failures.append(left_out(tree.prefix + file, "picture_missing", f"there is no picture beside {file}"))
            continue
        fields: dict[str, Any] = {"label": int(text) if re.fullmatch(r"-?\d{1,9}", text) else text}
        uri, name = f"{tree.root}/{pictures[key]}", tree.prefix + pictures[key]
        entries.append(Entry(uri, name, fields, split_of(file), classes))
    if not entries and not failures:
        hint = "shards are called 000000.tar, train-000000.tar, ..."
        raise DatasetError(f"there are no tar shards of pictures in {place.tree.root.name}", hint=hint)
    return listing("webdataset", entries, failures)


class _Shards:
    """The shards of one split while they are written: a new one after 10,000 pictures or 1 GB. Equal bytes for equal data."""

    def __init__(self, out: Path, prefix: str) -> None:
        self._out, self._prefix, self._number, self._count, self._bytes = out, prefix, 0, 0, 0
        self._tar: tarfile.TarFile | None = None

    def add(self, files: list[tuple[str, bytes]]) -> None:
        if self._tar is None or self._count >= PICTURES or self._bytes >= BYTES:
            self.close()
            path = self._out / f"{self._prefix}{self._number:06d}.tar"
            self._tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed by close
            self._number, self._count, self._bytes = self._number + 1, 0, 0
        for name, data in files:
            entry = tarfile.TarInfo(name)  # time, owner and mode are the same constants for every file
            entry.size = len(data)
            stream: BinaryIO = io.BytesIO(data)
            self._tar.addfile(entry, stream)
            self._bytes += len(data)
        self._count += 1

    def close(self) -> None:
        if self._tar is not None:
            self._tar.close()


def _write(work: Export) -> None:
    classes = work.dataset.classes
    numbers = {label: number for number, label in enumerate(classes)}
    shards: dict[str, _Shards] = {}
    keys: set[str] = set()
    try:
        for picture in work.pictures():
            prefix = f"{picture.item.split}-" if picture.item.split else ""
            key = _key(picture.stem, keys)
            shards.setdefault(prefix, _Shards(work.out, prefix)).add(_files(work, picture, key, numbers))
    finally:
        for shard in shards.values():
            shard.close()
    work.put("classes.txt", one_a_line(classes))


def _key(stem: str, taken: set[str]) -> str:
    """The stem without dots, at which a key would end, and not a key that was given already."""
    plain = key = stem.replace(".", "_")
    number = 1
    while key.casefold() in taken:
        number += 1
        key = f"{plain}-{number}"
    taken.add(key.casefold())
    return key


def _files(work: Export, picture: Picture, key: str, numbers: dict[str, int]) -> list[tuple[str, bytes]]:
    """key.jpg, key.cls for one label of a whole picture, key.json for anything more."""
    item, task = picture.item, work.dataset.task
    files = [(f"{key}{picture.name[len(picture.stem) :]}", picture.data)]
    about = told(item, several=task == "multilabel", placed=task == "detection")
    if "label" in about:
        files.append((f"{key}.cls", str(numbers[about.pop("label")]).encode()))
    if key != picture.stem:
        about["file_name"] = picture.name
    if about or len(files) == 1:
        files.append((f"{key}.json", json.dumps(about, ensure_ascii=False).encode()))
    return files


FORMAT = Format(
    "WebDataset",
    _recognised,
    _read,
    _write,
    frozenset({"labels", "several", "boxes", "splits", "groups", "facts", "unlabelled"}),
)
