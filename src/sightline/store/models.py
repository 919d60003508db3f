"""The models this workspace knows: where each lies, its passport, and the dataset version it was trained on."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, delete, insert, select

from sightline.errors import ModelNotFoundError, UsageError
from sightline.store.database import Database
from sightline.store.records import KeptModel
from sightline.store.register import now
from sightline.store.schema import models, names
from sightline.types import Card

KIND = "model"  # of the names that point here
_SHORTEST = 4  # hex digits of an id that may stand for it


def add(db: Database, card: Card, path: Path | str) -> None:
    """Remember a model: its passport and the bundle at `path`. The same model at another place is at that place now."""
    values = {
        "id": card.id,
        "name": card.name[:200],
        "path": str(Path(path).absolute()),
        "dataset": str(card.dataset.get("hash", "")),
        "card": card.model_dump(mode="json"),
        "created": card.created or now(),
    }
    with db.write() as connection:
        connection.execute(delete(models).where(models.c.id == card.id))
        connection.execute(insert(models).values(values))


def get(db: Database, reference: str) -> KeptModel:
    """The model that a name, an id or the start of one means; raises ModelNotFoundError, naming the nearest."""
    with db.read() as connection:
        target = connection.scalar(select(names.c.target).where(names.c.kind == KIND, names.c.name == reference))
        start = target or reference.lower()
        fitting: list[KeptModel] = []
        if target is not None or (len(start) >= _SHORTEST and all(digit in "0123456789abcdef" for digit in start)):
            fitting = _listed(connection, start)
        if len(fitting) > 1:
            raise UsageError(f"several models have an id that begins with {reference}", hint="give more of its digits")
        if not fitting:
            raise _not_found(connection, reference)
        return fitting[0]


def list_models(db: Database) -> list[KeptModel]:
    """Every model, the newest first."""
    with db.read() as connection:
        return _listed(connection)


def _listed(connection: Connection, start: str | None = None) -> list[KeptModel]:
    query = select(models).order_by(models.c.created.desc(), models.c.id)
    if start is not None:
        query = query.where(models.c.id >= start, models.c.id <= start + "g")
    pointing: dict[str, list[str]] = {}
    for name, target in connection.execute(select(names.c.name, names.c.target).where(names.c.kind == KIND)):
        pointing.setdefault(target, []).append(name)
    return [
        KeptModel(
            id=row.id,
            name=row.name,
            names=tuple(sorted(pointing.get(row.id, ()))),
            path=row.path,
            dataset=row.dataset,
            created=row.created,
            card=Card.model_validate(row.card),
        )
        for row in connection.execute(query)
    ]


def _not_found(connection: Connection, reference: str) -> ModelNotFoundError:
    import difflib

    known = list(connection.scalars(select(names.c.name).where(names.c.kind == KIND)))
    near = difflib.get_close_matches(reference, known, 1)
    hint = f"did you mean {near[0]}?" if near else "`sightline models list` shows what there is"
    return ModelNotFoundError(f"there is no model {reference!r}", hint=hint)
