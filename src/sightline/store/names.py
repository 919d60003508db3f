"""Names that point at versions and models. A name can move; every move is kept, and undo is a move back.

Knows neither datasets nor models: `kind` says which, `target` is a hash or an id.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlalchemy import Connection, insert, select, update

from sightline.errors import ConflictError, NotFoundError, UsageError
from sightline.store.database import Database
from sightline.store.records import Move
from sightline.store.register import now
from sightline.store.schema import moves, names

UNDO = "undo"
ANYTHING = "anything"
_HASH = re.compile(r"[0-9a-f]{6,64}")


def point(db: Database, kind: str, name: str, target: str, why: str, *, after: str | None = ANYTHING) -> None:
    """Point `name` at `target`; nothing happens when it points there already. `why`: the verb that did it.

    With `after` (None: nothing) the name must still point there: what was made from an older version must not hide what
    somebody else has added meanwhile: ConflictError. UsageError for a name that could be taken for a path or a hash.
    """
    checked(name)
    with db.write() as connection:
        now_at = _target(connection, kind, name)
        if after is not ANYTHING and now_at not in (after, target):
            raise ConflictError(f"{name!r} points at another version since this began", hint="run it again")
        if now_at != target:
            _move(connection, kind, name, target, why)


def target(db: Database, kind: str, name: str) -> str | None:
    """What `name` points at; None when there is no such name."""
    with db.read() as connection:
        return _target(connection, kind, name)


def listed(db: Database, kind: str) -> dict[str, str]:
    """Every name of a kind and what it points at."""
    with db.read() as connection:
        rows = connection.execute(select(names.c.name, names.c.target).where(names.c.kind == kind).order_by(names.c.name))
        return {row.name: row.target for row in rows}


def history(db: Database, kind: str, name: str) -> list[Move]:
    """Every move of a name, the oldest first; empty when there is no such name."""
    with db.read() as connection:
        return _history(connection, kind, name)


def undo(db: Database, kind: str, name: str) -> str:
    """Point `name` at what it pointed at before, and return that; again goes back further.

    Raises NotFoundError, ConflictError when there is nothing before.
    """
    with db.write() as connection:
        before = _standing(_history(connection, kind, name))
        if not before:
            raise NotFoundError(
                f"there is no {kind} called {name!r}", hint=f"`sightline {_VERB.get(kind, 'data')} list` shows the names"
            )
        if len(before) == 1:
            raise ConflictError(f"{name!r} pointed at nothing before {before[0][:12]}", hint="there is nothing to undo")
        _move(connection, kind, name, before[-2], UNDO)
        return before[-2]


_VERB = {"dataset": "data", "model": "models"}


def checked(name: str) -> str:
    """The name, if it can be one; raises UsageError."""
    if not name.strip() or name != name.strip() or not name.isprintable() or len(name) > 200:
        raise UsageError(f"{name[:80]!r} cannot be a name", hint="1 to 200 printable characters, no blank at either end")
    if any(sign in name for sign in "/\\:") or name.startswith(("-", ".", "~")):
        raise UsageError(f"{name!r} looks like a path or an option, so it cannot be a name", hint="e.g. street-signs")
    if _HASH.fullmatch(name):
        raise UsageError(f"{name!r} looks like a hash, so it cannot be a name", hint="e.g. street-signs")
    return name


def fitting(text: str) -> str:
    """A name as near to `text` as one can be: for what is named after a file or folder."""
    name = "".join("-" if sign in "/\\:" or not sign.isprintable() else sign for sign in text).strip().lstrip("-.~ ")[:200]
    return f"{name or 'data'}-" if not name or _HASH.fullmatch(name) else name.strip()


def _standing(moved: Sequence[Move]) -> list[str]:
    """The targets that undo can go back through, the present one last."""
    stack: list[str] = []
    for move in moved:
        if move.why == UNDO and len(stack) > 1:
            stack.pop()
        else:
            stack.append(move.target)
    return stack


def _target(connection: Connection, kind: str, name: str) -> str | None:
    return connection.scalar(select(names.c.target).where(names.c.kind == kind, names.c.name == name))


def _history(connection: Connection, kind: str, name: str) -> list[Move]:
    query = select(moves.c.target, moves.c.why, moves.c.moved).where(moves.c.kind == kind, moves.c.name == name)
    return [Move(target=row.target, why=row.why, moved=row.moved) for row in connection.execute(query.order_by(moves.c.id))]


def _move(connection: Connection, kind: str, name: str, target: str, why: str) -> None:
    when = now()
    here = (names.c.kind == kind) & (names.c.name == name)
    if connection.execute(update(names).where(here).values(target=target, moved=when)).rowcount == 0:
        connection.execute(insert(names).values(kind=kind, name=name, target=target, moved=when))
    connection.execute(insert(moves).values(kind=kind, name=name, target=target, why=why, moved=when))
