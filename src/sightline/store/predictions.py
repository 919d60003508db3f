"""What models said about pictures, by the picture's content. Kept apart from the truth, which stands in `items`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping

from sqlalchemy import delete, insert, select

from sightline.store import bulk
from sightline.store.database import Database
from sightline.store.records import Said
from sightline.store.register import find, now
from sightline.store.schema import items, members, predictions
from sightline.types import Annotation, Prediction

_KEPT = 20  # labels of a prediction that are kept, best first


def put(db: Database, model: str, rows: Mapping[str, Prediction]) -> None:
    """Keep what `model` (its id) says: SHA-256 of the picture -> prediction; what it said before is replaced."""
    when = now()
    for portion in bulk.portions(rows.items(), bulk.PORTION // 4):
        contents = [bytes.fromhex(sha256) for sha256, _ in portion]
        values = [
            {
                "sha256": content,
                "model": model,
                "labels": [label.model_dump(mode="json", exclude_defaults=True) for label in one.labels[:_KEPT]],
                "flags": {"flags": list(one.flags), "decision": list(one.decision)},
                "created": when,
            }
            for content, (_, one) in zip(contents, portion, strict=True)
        ]
        with db.write() as connection:
            connection.execute(delete(predictions).where(predictions.c.model == model, predictions.c.sha256.in_(contents)))
            connection.execute(insert(predictions), values)


def read(db: Database, model: str, hashes: Iterable[str] | None = None) -> dict[str, Prediction]:
    """SHA-256 -> what `model` said, for the pictures it has seen; all of them without `hashes`. `picture` is the SHA-256."""
    found: dict[str, Prediction] = {}
    query = select(predictions).where(predictions.c.model == model)
    with db.read() as connection:
        asked = [None] if hashes is None else list(bulk.portions(map(bytes.fromhex, hashes), bulk.PORTION // 4))
        for portion in asked:
            wanted = query if portion is None else query.where(predictions.c.sha256.in_(portion))
            for row in connection.execute(wanted):
                sha256 = row.sha256.hex()
                found[sha256] = Prediction(
                    picture=sha256,
                    labels=tuple(Annotation.model_validate(label) for label in row.labels),
                    flags=tuple(row.flags["flags"]),
                    decision=tuple(row.flags["decision"]),
                    model=model,
                )
    return found


def beside_truth(db: Database, reference: str) -> tuple[Said, ...]:
    """What each model has said about the pictures of a dataset version, by model; empty when none was asked."""
    answered: Counter[str] = Counter()
    labelled: Counter[str] = Counter()
    agree: Counter[str] = Counter()
    with db.read() as connection:
        if connection.execute(select(predictions.c.id).limit(1)).first() is None:
            return ()
        version = find(connection, reference)
        query = (
            select(predictions.c.model, predictions.c.flags, items.c.labels)
            .join(items, items.c.sha256 == predictions.c.sha256)
            .join(members, members.c.item == items.c.id)
            .where(members.c.dataset == version.id)
        )
        for model, flags, labels in connection.execute(query.execution_options(yield_per=bulk.PORTION)):
            truth = set(json.loads(labels))
            answered[model] += 1
            labelled[model] += bool(truth)
            agree[model] += bool(truth) and truth == set(flags["decision"])
    return tuple(
        Said(model=model, pictures=answered[model], labelled=labelled[model], agree=agree[model]) for model in sorted(answered)
    )
