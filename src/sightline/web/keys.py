"""API keys: `sl_<id>_<secret><crc>`, shown once; only their SHA-256 is kept, in SIGHTLINE_HOME/keys.json (mode 0600).

A key has 190 random bits, so a plain fast hash is enough. The checksum lets secret scanners and typing errors be told apart
from real keys without asking us. Does not know HTTP. The function `keys` is the housekeeping verb.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from sightline.errors import DataError, NotFoundError, UsageError, storage_errors
from sightline.files import write_bytes
from sightline.settings import settings
from sightline.types import Record

if TYPE_CHECKING:
    from rich.console import RenderableType

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET, _CRC = 32, 6  # characters


class Key(Record):
    """What is kept about a key; never the key itself."""

    id: str
    name: str
    sha256: str
    created: str
    last_used: str = ""  # the day, UTC
    revoked: str = ""
    only: str = ""  # what it opens, a name in gate.ONLY; empty: everything


class Keys(Record):
    """The keys of this home; `secret` is the new key, shown this once."""

    keys: tuple[Key, ...]
    secret: str | None = None


def keys(*, new: str | None = None, revoke: str | None = None) -> Keys:
    """List, make and revoke the API keys that a server on the network asks for.

    Args:
        new: Make a key with this name; it is shown once and cannot be shown again.
        revoke: The id of a key that shall not work any more.
    """
    if new is not None and revoke is not None:
        raise UsageError("give --new or --revoke, not both")
    store = KeyStore(settings().home / "keys.json")
    secret = store.new(new) if new is not None else None
    if revoke is not None:
        store.revoke(revoke)
    return Keys(keys=tuple(store.all()), secret=secret)


def show(result: Keys) -> RenderableType:
    """A table of the keys, and the new one."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    if not result.keys:
        return Text("no API keys; make one with `sightline keys --new NAME`")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("id", "name", "made", "last used", "state"):
        table.add_column(heading)
    for key in result.keys:
        works = f"works for {key.only} only" if key.only else "works"
        state = Text("revoked " + key.revoked[:10], style="red") if key.revoked else Text(works, style="green")
        table.add_row(Text(key.id), Text(key.name), Text(key.created[:10]), Text(key.last_used or "never"), state)
    if result.secret is None:
        return table
    return Group(table, Text(), Text("The new key, shown only now:"), Text(result.secret, style="bold"))


class KeyStore:
    """The file of keys. A change by another process (a revocation) is seen at the next check."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int, int] | None = None
        self._keys: dict[str, Key] = {}

    def all(self) -> list[Key]:
        """Every key, revoked ones too, oldest first; raises DataError when the file is broken."""
        self._refresh()
        return list(self._keys.values())

    def any(self) -> bool:
        """Is there a key that works and opens everything?"""
        return any(not key.revoked and not key.only for key in self.all())

    def new(self, name: str, only: str = "") -> str:
        """Make a key and return it: the only time it is seen."""
        if not name.strip() or not name.isprintable() or len(name) > 100:
            raise UsageError("a key needs a printable name of 1 to 100 characters", hint="e.g. --new camera-3")
        key_id = secrets.token_hex(4)
        secret = "".join(secrets.choice(_DIGITS) for _ in range(_SECRET))
        text = f"sl_{key_id}_{secret}"
        text += _checksum(text)
        with self._changing() as kept:
            kept[key_id] = Key(id=key_id, name=name.strip(), sha256=_hash(text), created=_now(), only=only)
        return text

    def revoke(self, key_id: str) -> None:
        with self._changing() as kept:
            if key_id not in kept:
                raise NotFoundError(f"there is no key {key_id[:40]!r}", hint="`sightline keys` lists their ids")
            kept[key_id] = kept[key_id].model_copy(update={"revoked": kept[key_id].revoked or _now()})

    def forget(self, name: str, only: str) -> None:
        """Take the keys of this name that open nothing but `only` out of the file: they were made for a while."""
        with self._changing() as kept:
            for key in [key for key in kept.values() if key.name == name and key.only == only]:
                del kept[key.id]

    def check(self, text: str) -> Key | None:
        """The key that `text` is, or None when it is none, a wrong one or a revoked one."""
        if len(text) > 100 or not text.isascii() or not text.startswith("sl_"):
            return None
        if not hmac.compare_digest(_checksum(text[:-_CRC]), text[-_CRC:]):
            return None
        self._refresh()
        key = self._keys.get(text.split("_")[1])
        # compare even without a key, so that the time taken does not tell which ids exist
        matches = hmac.compare_digest(key.sha256 if key else "0" * 64, _hash(text))
        return key if key and matches and not key.revoked else None

    def used(self, key: Key) -> bool:
        """Does the day of the last use need writing? `touch` writes it."""
        return self._keys.get(key.id, key).last_used != _now()[:10]

    def touch(self, key: Key) -> None:
        """Write today as the day the key was last used."""
        with self._changing() as kept:
            if key.id in kept:
                kept[key.id] = kept[key.id].model_copy(update={"last_used": _now()[:10]})

    def _refresh(self) -> None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._stamp, self._keys = None, {}
            return
        stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
        if stamp != self._stamp:
            self._keys = _read(self.path)
            self._stamp = stamp

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Key]]:
        """The keys for changing; written when the block ends well, with no other process changing them meanwhile."""
        with storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept = _read(self.path) if self.path.exists() else {}
            yield kept
            content = {"keys": [key.model_dump() for key in kept.values()]}
            write_bytes(self.path, json.dumps(content, indent=1).encode(), mode=0o600)
        finally:
            os.close(lock)
        self._refresh()


def _read(path: Path) -> dict[str, Key]:
    try:
        return {key.id: key for key in map(Key.model_validate, json.loads(path.read_bytes())["keys"])}
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise DataError(f"{path} is broken", hint="restore it, or delete it and make new keys") from error


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _checksum(text: str) -> str:
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(_CRC):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
