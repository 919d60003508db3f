"""`predict --save-pictures FOLDER`: every answered picture again with its objects drawn, as JPEG. No verb itself."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from sightline.errors import SightlineError, StorageError, storage_errors
from sightline.files import write_bytes
from sightline.types import Failure, Prediction

QUALITY = 90


def prepare_folder(folder: Path) -> Path:
    """The folder, made when it is not there; StorageError when it holds something: nothing is written over."""
    folder = folder.expanduser()
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise StorageError(f"{folder} is not empty", hint="choose a new folder with --save-pictures")
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def saved(
    answers: Iterable[Prediction | Failure], folder: Path, classes: Sequence[str], threads: int
) -> Iterator[Prediction | Failure]:
    """The answers as they come, each one's picture written to `folder` as the picture's name + .jpg."""
    from sightline.runtime.model import in_order

    taken: set[str] = set()

    def named(answer: Prediction | Failure) -> tuple[Prediction | Failure, Path]:
        stem = Path(answer.picture).stem or "picture"
        name, number = stem, 2
        while name.lower() in taken:
            name, number = f"{stem}-{number}", number + 1
        taken.add(name.lower())
        return answer, folder / f"{name}.jpg"

    def save(one: tuple[Prediction | Failure, Path]) -> Prediction | Failure:
        answer, path = one
        return answer if isinstance(answer, Failure) else _save(answer, path, classes)

    yield from in_order(save, map(named, answers), threads, waiting_each=2)


def _save(answer: Prediction, path: Path, classes: Sequence[str]) -> Prediction | Failure:
    from PIL import Image

    from sightline.runtime.drawing import captioned, drawn
    from sightline.runtime.model import failure
    from sightline.runtime.pixels import decode, read_picture

    try:
        pixels = decode(read_picture(Path(answer.picture)))
    except SightlineError as error:  # it was there a moment ago
        return failure(answer.picture, error)
    objects = [label for label in answer.labels if label.placed]
    if objects or not answer.labels:
        shown = drawn(pixels, objects, classes)
    else:
        scores = {label.label: label.score or 0.0 for label in answer.labels}
        given = answer.decision or ("none",)
        shown = captioned(pixels, ", ".join(f"{name} {scores[name]:.0%}" if name in scores else name for name in given))
    stream = io.BytesIO()
    Image.fromarray(shown).save(stream, "JPEG", quality=QUALITY)
    write_bytes(path, stream.getvalue(), sync=False)
    return answer
