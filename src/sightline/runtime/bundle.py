"""A model bundle on disk: a folder, or one zip of it, with `card.json`, `model.onnx` and optional `weights.safetensors`.

Reads and writes data formats only (JSON, ONNX, safetensors); never pickle. Does not know how a model answers.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from sightline.errors import BundleError, ModelNotFoundError, StorageError, UsageError
from sightline.files import new_folder, write_text
from sightline.settings import settings
from sightline.types import BUNDLE_FORMAT, Card

CARD, ONNX, WEIGHTS = "card.json", "model.onnx", "weights.safetensors"
FINGERPRINTS = "fingerprints.bin"  # perceptual hashes of the training pictures, little-endian uint64: tells leaks at evaluation
MAX_BYTES = 4 << 30  # a bundle above 4 GB is not one of ours


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a bundle holds, checked against the card; the weights for training on stay on disk."""

    path: Path
    card: Card
    files: Mapping[str, bytes]

    @property
    def onnx(self) -> bytes:
        return self.files[ONNX]


def find_bundle(name: str | os.PathLike[str]) -> Path:
    """The bundle that a path or a name means: a folder, a zip, or a model kept in SIGHTLINE_HOME/models.

    Raises ModelNotFoundError, naming what looks alike.
    """
    path = Path(name).expanduser()
    if path.is_file() and path.name == CARD:
        path = path.parent
    if (path / CARD).is_file() or (path.is_file() and zipfile.is_zipfile(path)):
        return path
    models = settings().home / "models"
    kept = sorted(folder.name for folder in models.iterdir() if (folder / CARD).is_file()) if models.is_dir() else []
    if str(name) in kept:
        return models / str(name)
    if path.exists():
        raise BundleError(f"{path} is no model: it holds no {CARD}", hint="give the folder that `sightline train` printed")
    import difflib

    near = difflib.get_close_matches(str(name), kept, 1)
    hint = (
        f"did you mean {near[0]}?" if near else "train one with `sightline train photos/`, or give the path of a model folder"
    )
    raise ModelNotFoundError(f"there is no model {str(name)!r}", hint=hint)


def read_bundle(name: str | os.PathLike[str]) -> Bundle:
    """Read a bundle and check every hash; raises ModelNotFoundError, BundleError."""
    path = find_bundle(name)
    try:
        if path.is_dir():
            card_bytes = (path / CARD).read_bytes()
            card = read_card(card_bytes, path)
            files = {file: _read(path / file, path) for file in card.files if file != WEIGHTS}
        else:
            with zipfile.ZipFile(path) as archive:
                if sum(info.file_size for info in archive.infolist()) > MAX_BYTES:
                    raise BundleError(f"{path} is larger than a model can be")
                card = read_card(_member(archive, CARD, path), path)
                files = {file: _member(archive, file, path) for file in card.files if file != WEIGHTS}
    except (OSError, zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise BundleError(f"the model {path} cannot be read: {error}", hint=_AGAIN) from error
    for file, content in files.items():
        if hashlib.sha256(content).hexdigest() != card.files[file]:
            raise BundleError(f"the model {path} is corrupt: {file} does not match its hash", hint=_AGAIN)
    if ONNX not in files:
        raise BundleError(f"the model {path} holds no {ONNX}", hint=_AGAIN)
    return Bundle(path, card, files)


def weights_of(bundle: Bundle) -> bytes | None:
    """The weights for training on (safetensors), checked against their hash; None where the bundle has none. BundleError."""
    known = bundle.card.files.get(WEIGHTS)
    if known is None:
        return None
    try:
        if bundle.path.is_dir():
            content = _read(bundle.path / WEIGHTS, bundle.path)
        else:
            with zipfile.ZipFile(bundle.path) as archive:
                content = _member(archive, WEIGHTS, bundle.path)
    except (OSError, zipfile.BadZipFile, EOFError) as error:
        raise BundleError(f"the model {bundle.path} cannot be read: {error}", hint=_AGAIN) from error
    if hashlib.sha256(content).hexdigest() != known:
        raise BundleError(f"the model {bundle.path} is corrupt: {WEIGHTS} does not match its hash", hint=_AGAIN)
    return content


_AGAIN = "copy it again, or train it again"


def read_card(content: bytes, where: object) -> Card:
    """The passport of a model from the bytes of `card.json`; raises BundleError."""
    try:
        card = Card.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"the model {where} has no valid {CARD}: {place}: {first['msg']}", hint=_AGAIN) from error
    if card.format != BUNDLE_FORMAT:
        raise BundleError(
            f"the model {where} has format {card.format}; this version reads format {BUNDLE_FORMAT}",
            hint="use the version of sightline that made it, or train it again",
        )
    if card.input.steps:
        from sightline.runtime.adjust import read_steps

        try:
            read_steps(card.input.steps)
        except UsageError as error:
            raise BundleError(
                f"the model {where} prepares pictures in a way that is not known here: {error.message}",
                hint="use the version of sightline that made it, or train it again",
            ) from error
    return card


def write_bundle(
    out: Path, card: Card, contents: Mapping[str, bytes], *, beside: Mapping[str, bytes] | None = None, replace: bool = False
) -> Path:
    """Write a bundle folder whole or not at all; the card's id and hashes are filled in. Returns `out`.

    `beside`: files that lie in the folder without being part of the model, such as its report.
    """
    if ONNX not in contents:
        raise StorageError(f"a bundle needs {ONNX}")
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    card = card.model_copy(update={"id": hashes[ONNX][:16], "files": hashes})
    with new_folder(out, replace=replace) as part:
        for name, content in (*contents.items(), *(beside or {}).items()):
            (part / name).write_bytes(content)
        (part / CARD).write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return out


def _read(path: Path, bundle: Path) -> bytes:
    if path.parent != bundle or path.is_symlink():  # a card must not reach outside its own folder
        raise BundleError(f"the model {bundle} names a file outside itself: {path.name}")
    if not path.is_file():
        raise BundleError(f"the model {bundle} lacks {path.name}", hint=_AGAIN)
    return path.read_bytes()


def _member(archive: zipfile.ZipFile, name: str, bundle: Path) -> bytes:
    found = [info for info in archive.infolist() if info.filename == name or info.filename.endswith(f"/{name}")]
    if len(found) != 1:
        raise BundleError(f"the model {bundle} holds {len(found)} files named {name}, not one", hint=_AGAIN)
    return archive.read(found[0])


def latest() -> Path:
    """The model that was trained last on this machine; raises ModelNotFoundError when there is none."""
    pointer = settings().home / "latest"
    if pointer.is_file():
        path = Path(pointer.read_text(encoding="utf-8").strip())
        if (path / CARD).is_file():
            return path
    raise ModelNotFoundError("no model has been trained yet", hint="train one with `sightline train photos/`, or give --model")


def set_latest(path: Path) -> None:
    """Remember `path` as the model that was trained last."""
    write_text(settings().home / "latest", f"{path.absolute()}\n")
