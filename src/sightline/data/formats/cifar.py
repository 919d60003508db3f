"""CIFAR-10 and CIFAR-100 in their binary version: records of a class byte (or two) and 32 x 32 pixels, plane by plane.

The Python version is a pickle, which would run code from the file, and is refused. Krizhevsky, Learning Multiple Layers of
Features from Tiny Images (2009); the layout is described on the data set's page.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightline.data.containers import Sample, unpacked
from sightline.data.formats.format import Export, Format
from sightline.data.formats.lines import names, one_a_line
from sightline.data.listing import Listing, Row, left_out
from sightline.data.place import Place
from sightline.errors import DatasetError, PictureError
from sightline.progress import note
from sightline.types import Failure, InputSpec, Split

SIDE, BATCH = 32, 10_000
_PIXELS = 3 * SIDE * SIDE
_SPEC = InputSpec(size=SIDE, fit="squash", interpolation="box")
_TEN = re.compile(r"^(data_batch_\d+|test_batch|val_batch)\.bin$")
_HUNDRED = re.compile(r"^(train|test|val)\.bin$")
_PICKLES = re.compile(r"^(data_batch_\d+|test_batch|batches\.meta|train|test|meta)$")
_HINT = "download the binary version: cifar-10-binary.tar.gz or cifar-100-binary.tar.gz"


class _Layout(NamedTuple):
    """`before`: bytes before the pixels, the last of which is the class."""

    folder: str
    files: tuple[str, ...]
    before: int
    words: str


def _recognised(place: Place) -> bool:
    return place.given is None and (_layout(place) is not None or _pickled(place) is not None)


def _layout(place: Place) -> _Layout | None:
    """The folder highest up with the files of CIFAR-10 or of CIFAR-100."""
    folders: dict[str, list[str]] = {}
    for file in place.documents(".bin", ".txt"):
        folder, _, name = file.rpartition("/")
        folders.setdefault(folder, []).append(name)
    for folder in sorted(folders, key=lambda folder: (folder.count("/") + bool(folder), folder)):
        found = folders[folder]
        ten = tuple(name for name in found if _TEN.match(name))
        if ten:
            return _Layout(folder, ten, 1, "batches.meta.txt")
        hundred = tuple(name for name in found if _HUNDRED.match(name))
        if hundred and "fine_label_names.txt" in found:
            return _Layout(folder, hundred, 2, "fine_label_names.txt")
    return None


def _pickled(place: Place) -> str | None:
    """A file of the Python version: its name without a suffix, and a pickle's first bytes."""
    for file in place.tree.files:
        if _PICKLES.match(file.rpartition("/")[2]) and file.count("/") <= 3:
            try:
                with (place.tree.root / file).open("rb") as stream:
                    head = stream.read(2)
            except OSError:
                continue
            if head[:1] == b"\x80" and head[1:] in (b"\x02", b"\x03", b"\x04", b"\x05"):
                return file
    return None


def _read(place: Place) -> Listing:
    layout = _layout(place)
    if layout is None:
        pickled = _pickled(place)
        if pickled is None:
            raise DatasetError(f"there are no CIFAR batches in {place.tree.root.name}", hint=_HINT)
        raise DatasetError(
            f"{pickled} is a pickle (the Python version of CIFAR): reading it would run code from the file", hint=_HINT
        )
    root = place.tree.root / layout.folder if layout.folder else place.tree.root
    classes = names(root / layout.words, 256) if (root / layout.words).is_file() else ()
    rows: list[Row] = []
    failures: list[Failure] = []
    for file in layout.files:
        path, kind = root / file, f"cifar{layout.before}"
        stored, refused = unpacked(path, kind, lambda path=path: _samples(path, layout.before))  # type: ignore[misc]
        failures += refused
        word = file.partition(".")[0]
        split: Split = "test" if word.startswith("test") else "val" if word.startswith("val") else "train"
        for one in stored:
            number = one.about["label"]
            if classes and number >= len(classes):
                message = f"{file} gives it class {number}, {layout.words} names {len(classes)}"
                failures.append(left_out(one.name, "label_unknown", message))
            else:
                rows.append(Row(one.uri, one.name, (classes[number] if classes else str(number),), split))
    return Listing(tuple(rows), tuple(failures), kind="cifar")


def _samples(path: Path, before: int) -> Iterator[Sample | Failure]:
    """The records as PNG, streamed. A part of a record at the end is a failure."""
    stem = re.sub(r"_(\d)$", r"_0\1", path.stem)  # data_batch_02 stands before data_batch_10
    number = 0
    with path.open("rb") as stream:
        while record := stream.read(before + _PIXELS):
            if len(record) < before + _PIXELS:
                message = f"{path.name} ends within record {number + 1}: {len(record):,} bytes of {before + _PIXELS:,}"
                yield left_out(path.name, "container", message, "copy it again")
                return
            planes = np.frombuffer(record, np.uint8, offset=before).reshape(3, SIDE, SIDE)
            yield Sample(_png(planes.transpose(1, 2, 0)), f"{stem}-{number:05d}.png", {"label": record[before - 1]})
            number += 1


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """uint8 (32, 32, 3) as PNG."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _write(work: Export) -> None:
    classes = work.dataset.classes
    if len(classes) > 256:
        raise DatasetError(
            f"{work.dataset.name} has {len(classes):,} classes; a CIFAR record has one byte for the class",
            hint="choose another format: folders, csv, parquet",
        )
    ten = len(classes) <= 10
    numbers = {label: number for number, label in enumerate(classes)}
    counts: dict[str, int] = {}
    resized = 0
    with ExitStack() as stack:
        streams: dict[str, BinaryIO] = {}
        for picture in work.pictures():
            try:
                pixels, changed = _small(picture.data)
            except PictureError as error:
                work.fail(picture.item, error)
                work.written -= 1
                continue
            split = picture.item.split or "train"
            counts[split] = counts.get(split, 0) + 1
            file = _file(split, counts[split], ten=ten)
            if file not in streams:
                streams[file] = stack.enter_context((work.out / file).open("wb"))
            label = bytes([numbers[picture.item.labels[0]]])
            streams[file].write((label if ten else b"\0" + label) + pixels.transpose(2, 0, 1).tobytes())
            resized += changed
    work.put("batches.meta.txt" if ten else "fine_label_names.txt", one_a_line(classes))
    if not ten:
        work.put("coarse_label_names.txt", "all\n")
    if resized:
        note(f"{resized:,} pictures were resized to {SIDE} x {SIDE}: CIFAR holds no other size")


def _file(split: str, number: int, *, ten: bool) -> str:
    """The file of the `number`th picture of a split. CIFAR knows no validation part: it gets a file of its own."""
    if not ten:
        return f"{split}.bin"
    return f"data_batch_{(number - 1) // BATCH + 1}.bin" if split == "train" else f"{split}_batch.bin"


def _small(data: bytes) -> tuple[NDArray[np.uint8], bool]:
    """(uint8 (32, 32, 3), whether it had another size). Raises PictureError."""
    from sightline.runtime.pixels import decode, fit

    pixels = decode(data, shorter=SIDE)
    return (pixels, False) if pixels.shape == (SIDE, SIDE, 3) else (fit(pixels, _SPEC), True)


FORMAT = Format("CIFAR binary", _recognised, _read, _write, frozenset({"labels", "splits"}))
