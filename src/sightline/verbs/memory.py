"""What a collection remembers while it is under way, so that a kill costs at most the last second. Knows no source.

Without a database nothing is remembered: reading files of this machine again is cheap.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sightline.types import Failure, Item

if TYPE_CHECKING:
    from sightline.sources import Arrival
    from sightline.store.blobs import Blobs
    from sightline.store.database import Database

BATCH, EVERY_S = 64, 0.5  # a commit after so many pictures or seconds


class Memory:
    """`knows`: whether an address came home in an earlier run; `keep`: note one that did now."""

    def __init__(self, db: Database | None, run: str, held: Blobs) -> None:
        self._db, self._run = db, run
        self._pending: dict[str, Item | Failure] = {}
        self._last = time.monotonic()
        self._known: dict[str, Item | Failure] = {}
        self.count = 0
        if db is not None:
            from sightline.store import arrivals

            found = arrivals.known(db, run)
            self._known = {key: one for key, one in found.items() if isinstance(one, Failure) or held.has(one.sha256)}
            self.count = len(self.items())

    def knows(self, address: str) -> bool:
        if not self._known:
            return False
        from sightline.store import arrivals

        return arrivals.key_of(address) in self._known

    def items(self) -> list[Item]:
        return [one for one in self._known.values() if isinstance(one, Item)]

    def failures(self) -> list[Failure]:
        return [one for one in self._known.values() if isinstance(one, Failure)]

    def keep(self, arrival: Arrival | Failure, result: Item | Failure) -> None:
        """Note what became of a fetched picture. What could not be fetched is not noted: next time it may work."""
        if self._db is None or isinstance(arrival, Failure) or arrival.data is None or not arrival.address:
            return
        self._pending[arrival.address] = result
        if len(self._pending) >= BATCH or time.monotonic() - self._last > EVERY_S:
            self.close()

    def close(self) -> None:
        """Bring to the disk what is pending."""
        if self._db is not None and self._pending:
            from sightline.store import arrivals

            arrivals.put(self._db, self._run, self._pending)
            self.count += sum(isinstance(one, Item) for one in self._pending.values())
            self._pending = {}
        self._last = time.monotonic()

    def clear(self) -> None:
        """The collection is done."""
        if self._db is not None:
            from sightline.store import arrivals

            arrivals.clear(self._db, self._run)
