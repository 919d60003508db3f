"""Which pictures the backbone learns from: photographs without labels, and training parts of the tasks that it is judged on,
without their labels. Some photographs are kept out, to judge by; nothing that looks like a judged picture is learned from.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

KEPT_OUT = 20  # of so many photographs one is kept out of the training, by the hash of its name
CIFAR = 10_000  # of CIFAR-10's training pictures, the same of each class; the others would outnumber the photographs
PICTURES = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True, slots=True)
class Photograph:
    """A picture's bytes as they lie in its file. `source` is where it is from, such as `clothing` or `unsplash`."""

    name: str
    source: str
    data: bytes


def unlabelled(folder: Path, *, kept_out: bool = False) -> Iterator[Photograph]:
    """The photographs of photos-NN.tar, named SOURCE__NUMBER.jpg: those to learn from, or those kept out."""
    for path in sorted(folder.glob("photos-*.tar")):
        with tarfile.open(path) as tar:
            for member in sorted((one for one in tar.getmembers() if one.isfile()), key=lambda one: one.name):
                name = Path(member.name).name
                if Path(name).suffix.lower() in PICTURES and is_kept_out(name) == kept_out:
                    stream = tar.extractfile(member)
                    assert stream is not None
                    yield Photograph(name, name.partition("__")[0], stream.read())


def is_kept_out(name: str) -> bool:
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % KEPT_OUT == 0


def in_classes(folder: Path, source: str, most: int | None = None) -> Iterator[Photograph]:
    """Pictures of class folders; with `most` the first of each class, as many of each."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    for one in classes:
        files = sorted(path for path in one.iterdir() if path.suffix.lower() in PICTURES)
        for path in files[: most and most // len(classes)]:
            yield Photograph(f"{one.name}/{path.name}", source, path.read_bytes())


def smaller(photograph: Photograph, side: int = 192) -> Photograph:
    """With a shorter side of at most `side` px, as JPEG: large ones would be decoded again for every crop."""
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(photograph.data)) as opened:
        if min(opened.size) <= side and opened.format == "JPEG":
            return photograph
        opened.draft("RGB", (2 * side, 2 * side))
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    scale = min(1.0, side / min(picture.size))
    small = picture.resize([max(1, round(one * scale)) for one in picture.size], Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=90)
    return Photograph(photograph.name, photograph.source, buffer.getvalue())


def difference_hash(data: bytes) -> int:
    """64 bits: whether each of 8 x 8 fields is darker than its right neighbour (dHash)."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as opened:
        opened.draft("L", (64, 64))
        grey = np.asarray(opened.convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
    return int.from_bytes(np.packbits(grey[:, :-1] < grey[:, 1:]).tobytes(), "big")


def learned_from(shared: Path, signs: Path | None, cifar: Path | None) -> list[Photograph]:
    """Everything that is learned from, in a fixed order, without look-alikes of clothing's validation photographs."""
    judged = [difference_hash(path.read_bytes()) for path in sorted((shared / "data/clothing/validation").rglob("*.jpg"))]
    found = list(unlabelled(shared / "data/unlabelled"))
    found += [smaller(one) for one in in_classes(shared / "data/clothing/train", "clothing-train")]
    if cifar:
        found += [smaller(one) for one in in_classes(cifar / "train", "cifar", CIFAR)]
    if signs:
        found += [smaller(one) for one in in_classes(signs / "train", "signs", 1000)]
    alike = _alike([difference_hash(one.data) for one in found], judged)
    return [one for one, leaks in zip(found, alike, strict=True) if not leaks]


def _alike(hashes: list[int], judged: list[int], distance: int = 4) -> NDArray[np.bool_]:
    """Of each hash whether a judged one differs in at most `distance` bits."""
    ours, theirs = np.array(hashes, np.uint64), np.array(judged, np.uint64)
    return np.array([bool((np.bitwise_count(theirs ^ one) <= distance).any()) for one in ours])
