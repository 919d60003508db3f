"""What a person's word means: a path, or else a name or hash of the workspace; and what a training leaves in the workspace.

No verb itself. Without the extra `store`, or before anything was kept, words are paths only and nothing is imported.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.errors import ModelNotFoundError, NotFoundError, SightlineError, missing_extra
from sightline.settings import settings
from sightline.types import Card, Dataset, Made

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sightline.store.database import Database


def dataset(
    reference: Path | str, labels: Path | str | None = None, *, format: str | None = None, hashed: bool = True
) -> Dataset:
    """The dataset that a person means: what lies at an existing path, else a version in the workspace by name or hash.

    `labels`, `format`, `hashed`: of `data.readers.read`; a version of the workspace has its hashes always. Raises what `read`
    raises; NotFoundError when it is neither.
    """
    from sightline.data.readers import read

    store = None if Path(reference).expanduser().exists() else known()
    if store is None or labels is not None or format is not None:
        try:
            return read(reference, labels, format=format, hashed=hashed)
        except NotFoundError as error:
            if is_word(reference) and not installed():
                hint = f"{error.hint}; names of datasets need the extra: pip install 'sightline[store]'"
                raise NotFoundError(error.message, hint=hint, detail=error.detail) from None
            raise
    from sightline.store import datasets

    try:
        return datasets.get(store, str(reference))
    except NotFoundError as unknown:
        try:
            return read(reference)
        except NotFoundError as error:
            if not is_word(reference):
                raise
            near = unknown.hint if unknown.hint.startswith("did you mean") else error.hint
            message = f"no such folder or file, and no dataset of that name: {reference}"
            raise NotFoundError(message, hint=near, detail=error.detail) from None


def model(reference: str | None) -> Path:
    """The bundle that a person means: a path, a model in SIGHTLINE_HOME/models, a name or id of the workspace, None the latest.

    Raises ModelNotFoundError, BundleError.
    """
    from sightline.runtime.bundle import find_bundle, latest, read_bundle

    if reference is None:
        return latest()
    try:
        return find_bundle(reference)
    except ModelNotFoundError as error:
        store = known() if is_word(reference) else None
        if store is None:
            raise
        from sightline.store import models

        try:
            kept = models.get(store, reference)
        except ModelNotFoundError as unknown:
            raise (unknown if unknown.hint.startswith("did you mean") else error) from None
    path = Path(kept.path)
    try:
        card = read_bundle(path).card
    except SightlineError as error:
        raise ModelNotFoundError(f"the model {reference!r} is not at {path} any more", hint="train it again") from error
    if card.id != kept.id:
        raise ModelNotFoundError(
            f"the model {reference!r} is {kept.id}, and {path} holds {card.id} now",
            hint="another training replaced it; `sightline models list` shows what there is",
        )
    return path


def is_word(reference: Path | str) -> bool:
    """Whether it may be a name or a hash: one word without folders."""
    text = str(reference)
    return "/" not in text and "\\" not in text and text not in ("", ".", "..")


def installed() -> bool:
    """Whether the extra `store` is there."""
    return find_spec("sqlalchemy") is not None and find_spec("alembic") is not None


def known() -> Database | None:
    """The workspace when there is one already; None without the extra, or when nothing was ever kept."""
    file = settings().database.partition("sqlite:///")[2].partition("?")[0]
    if not installed() or (file and not Path(file).exists()):
        return None
    return workspace("names of datasets")


def workspace(needs: str) -> Database:
    """The workspace, made when there is none yet; `needs` says who asks, for MissingExtraError."""
    if not installed():
        raise missing_extra("store", needs)
    from sightline.store.database import database

    return database()


def remember(trained_on: Dataset, path: Path, arguments: dict[str, Any], parents: Sequence[str]) -> None:
    """Keep what a model was trained on, split included, and where the model lies. A workspace that cannot be written is said
    in a note: the model is there all the same. Nothing happens without the extra `store`."""
    if not installed():
        return
    from sightline import __version__, progress
    from sightline.runtime.bundle import CARD
    from sightline.store import datasets, models, names

    made = Made(
        verb="train", arguments={name: value for name, value in arguments.items() if value is not None}, sightline=__version__
    )
    try:
        card = Card.model_validate_json((path / CARD).read_bytes())
        store = workspace("remembering a training")
        with store.read() as connection:
            above = [parent for parent in parents if datasets.there(connection, parent)]
        datasets.add(store, trained_on, made, above)
        models.add(store, card, path)
        names.point(store, models.KIND, names.fitting(card.name), card.id, "train")
    except (SightlineError, OSError) as error:
        progress.note(f"the workspace does not know of this training: {error}")
