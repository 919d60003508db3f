"""Pictures that people give one by one, as from a phone: each is on the disk before it is acknowledged, none is there twice.

A version of the dataset is made from them when somebody asks. Knows consent, counts and who may take a picture back; neither
HTTP nor how pictures are decoded.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field

from sightline.errors import ConflictError, NotFoundError, UsageError
from sightline.store import arrivals, datasets, names
from sightline.types import Annotation, Dataset, Facts, Item, Made, Record
from sightline.verbs.collect import Collected, recorded
from sightline.verbs.glances import Glances, Hint, Received
from sightline.verbs.invitation import Terms, Wanted, most

if TYPE_CHECKING:
    from sightline.store.blobs import Blobs
    from sightline.store.database import Database

_PHONE = "phone:"  # how the source of such a picture begins
_SHOWN = 16  # hex digits of a picture's mark in its source


class Gift(Record):
    """What a person says about a picture. `ticket`: a secret of whoever sends it; with it the picture can be taken back."""

    label: str
    ticket: str = ""
    author: str = ""
    taken_at: str = ""


class Receipt(Record):
    """The picture is on the disk. `doubled`: it was there before, given by somebody else or under another label."""

    picture: str = Field(description="SHA-256 of the picture as it is kept, without metadata")
    label: str = Field(description="what it is kept as")
    doubled: bool = False
    hints: tuple[Hint, ...] = ()
    have: int = Field(description="pictures of this label now")
    wanted: int


class ClassCount(Record):
    label: str
    wanted: int
    have: int


class Standing(Record):
    """How far a collection is, and what people agree to."""

    dataset: str
    count: int = Field(description="pictures, of all labels")
    waiting: int = Field(description="of these, pictures that are in no version yet")
    classes: tuple[ClassCount, ...]
    terms: Terms


class Given(Record):
    """A picture of the collection, for its owner."""

    picture: str
    label: str
    author: str = ""
    waiting: bool = Field(description="in no version yet")


class _Base(NamedTuple):
    """The version that the name points at: by content, and its pictures of each label."""

    hash: str | None
    items: dict[str, Item]
    counts: Counter[str]


class Contributions:
    """One collection under way. May be used from many threads, and by several processes at once."""

    def __init__(self, db: Database, held: Blobs, name: str, wanted: Sequence[Wanted], terms: Terms) -> None:
        self.name, self.wanted, self.terms = names.checked(name), {one.label: one.number for one in wanted}, terms
        self._db, self._held = db, held
        self._run = arrivals.run_of("page", name)
        self._turn = threading.Lock()  # of what is in memory
        self._making = threading.Lock()  # of versions; taken before `_turn`
        self._glances = Glances()
        self._pending: dict[str, tuple[str, Item]] = {}  # content -> the row's key and the picture
        self._base = _Base(None, {}, Counter())

    def open(self) -> Collected | None:
        """Take up where an earlier page ended; pictures that it left in no version become one now."""
        found = arrivals.known(self._db, self._run)
        lost = [key for key, item in found.items() if not isinstance(item, Item) or not self._held.has(item.sha256)]
        arrivals.remove(self._db, self._run, lost)  # never acknowledged, or deleted by hand
        self._pending = {one.sha256: (key, one) for key, one in found.items() if key not in lost and isinstance(one, Item)}
        self._base = self._read()
        return self.version() if self._pending else None

    def check(self, label: str, terms: str) -> None:
        """Raise NotFoundError for a label nobody wants, ConflictError for other terms: before the picture is there."""
        if label not in self.wanted:
            raise NotFoundError(f"no pictures of {label[:80]!r} are collected here", hint=f"wanted: {', '.join(self.wanted)}")
        if terms != self.terms.version:
            raise ConflictError(
                "the text to agree to is another one now", hint="read it again", detail={"terms": self.terms.version}
            )

    def take(self, received: Received, gift: Gift, terms: str) -> tuple[Receipt, bool]:
        """Keep a picture; on the disk when this returns. Also says whether it is new: sent again it is the same one.

        Raises NotFoundError for a label nobody wants, ConflictError (other terms; more than enough), StorageError.
        """
        import hashlib

        self.check(gift.label, terms)
        sha256 = hashlib.sha256(received.data).hexdigest()
        key = arrivals.key_of(f"{sha256}:{gift.ticket}")
        with self._turn:
            there = self._find(sha256)
            if there is not None:
                mine = there.facts is not None and there.facts.source == _source(key) and there.labels == (gift.label,)
                return self._receipt(there, doubled=not mine, hints=()), False
            if self._have(gift.label) >= most(self.wanted[gift.label]):
                raise ConflictError(
                    f"there are more than enough pictures of {gift.label!r}", hint="thank you; choose another one"
                )
            hints = received.hints + self._glances.like(received)
            self._held.put(received.data)
            item = self._item(sha256, key, received.suffix, gift)
            arrivals.put(self._db, self._run, {f"{sha256}:{gift.ticket}": item})
            self._pending[sha256] = (key, item)
            self._glances.add(sha256, received)
            return self._receipt(item, doubled=False, hints=hints), True

    def withdraw(self, sha256: str, ticket: str) -> None:
        """Take back a picture that was sent with this ticket; NotFoundError when there is none."""
        key = arrivals.key_of(f"{sha256}:{ticket}")
        with self._turn:
            there = self._find(sha256)
        if not ticket or there is None or there.facts is None or there.facts.source != _source(key):
            raise NotFoundError("there is no such picture of yours", hint="it may have been taken out already")
        self.remove([sha256], "taken back")

    def remove(self, pictures: Sequence[str], why: str = "removed") -> int:
        """Take pictures out; those that are in a version already are left out of a new one. Returns how many there were.

        What no version holds is deleted from the workspace.
        """
        with self._making:
            with self._turn:
                waiting = [sha256 for sha256 in pictures if sha256 in self._pending]
                arrivals.remove(self._db, self._run, [self._pending[sha256][0] for sha256 in waiting])
                for sha256 in waiting:
                    del self._pending[sha256]
                    self._glances.forget(sha256)
                    if not arrivals.needed(self._db, sha256):
                        self._held.drop(sha256)
            return len(set(waiting) | self._left_out(set(pictures), why))

    def version(self) -> Collected:
        """Make a version of all that came since the last one, and point the name at it."""
        with self._making:
            with self._turn:
                pending = dict(self._pending)
            done = None
            if pending:
                done = recorded([item for _, item in pending.values()], [], [], self._db, self._arguments())
            base = self._read()
            with self._turn:
                arrivals.remove(self._db, self._run, [key for key, _ in pending.values()])
                self._base = base
                for sha256 in pending:
                    del self._pending[sha256]
            return done or Collected(dataset=base.hash or "", name=self.name, count=len(base.items), added=0)

    def standing(self) -> Standing:
        """How far it is. A version that somebody else made under the name counts from now on."""
        if names.target(self._db, "dataset", self.name) != self._base.hash:
            with self._making:
                base = self._read()
                with self._turn:
                    self._base = base
        with self._turn:
            fresh = Counter(item.labels[0] for sha256, (_, item) in self._pending.items() if sha256 not in self._base.items)
            have = self._base.counts + fresh
            waiting = fresh.total()
            count = len(self._base.items) + waiting
        classes = tuple(ClassCount(label=one, wanted=number, have=have[one]) for one, number in self.wanted.items())
        return Standing(dataset=self.name, count=count, waiting=waiting, classes=classes, terms=self.terms)

    def pictures(self, label: str | None = None, start: int = 0, limit: int = 100) -> tuple[int, list[Given]]:
        """How many pictures there are, and some of them: the newest of those in no version first, then the others by name."""
        with self._turn:
            found = [(item, True) for _, item in reversed(self._pending.values())]
            found += [(item, False) for item in self._base.items.values() if item.sha256 not in self._pending]
        if label is not None:
            found = [pair for pair in found if label in pair[0].labels]
        return len(found), [
            Given(
                picture=item.sha256,
                label=", ".join(item.labels),
                author=item.facts.author if item.facts else "",
                waiting=waiting,
            )
            for item, waiting in found[start : start + limit]
        ]

    def where(self, sha256: str) -> str:
        """The place of a picture; NotFoundError when it is none of this collection."""
        with self._turn:
            there = self._find(sha256)
        if there is None:
            raise NotFoundError("there is no such picture in the collection", hint="it may have been taken out")
        return there.uri

    # --- in memory, with `_turn` held

    def _find(self, sha256: str) -> Item | None:
        pending = self._pending.get(sha256)
        return pending[1] if pending else self._base.items.get(sha256)

    def _have(self, label: str) -> int:
        fresh = sum(item.labels == (label,) for sha256, (_, item) in self._pending.items() if sha256 not in self._base.items)
        return self._base.counts[label] + fresh

    def _receipt(self, item: Item, *, doubled: bool, hints: tuple[Hint, ...]) -> Receipt:
        label = ", ".join(item.labels)
        return Receipt(
            picture=item.sha256,
            label=label,
            doubled=doubled,
            hints=hints,
            have=self._have(label),
            wanted=self.wanted.get(label, 0),
        )

    # --- on the disk

    def _item(self, sha256: str, key: str, suffix: str, gift: Gift) -> Item:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return Item(
            uri=self._held.placed(sha256),
            name=f"{gift.label}/{sha256[:16]}{suffix}",
            truth=(Annotation(label=gift.label, origin=f"human:{gift.author or 'phone'}"),),
            sha256=sha256,
            facts=Facts(
                source=_source(key),
                licence=self.terms.licence,
                author=gift.author,
                consent=f"{now}, text {self.terms.version}: {self.terms.text}",
                taken_at=gift.taken_at,
            ),
        )

    def _read(self) -> _Base:
        target = names.target(self._db, "dataset", self.name)
        if target is None:
            return _Base(None, {}, Counter())
        found = datasets.get(self._db, target)
        counts = Counter(label for item in found.items for label in set(item.labels))
        return _Base(found.hash, {item.sha256: item for item in found.items}, counts)

    def _left_out(self, pictures: set[str], why: str) -> set[str]:
        """Make a version without these pictures, where one holds any of them; returns which. With `_making` held."""
        from sightline import __version__
        from sightline.data.manifest import without

        target = names.target(self._db, "dataset", self.name)
        if target is None or (target == self._base.hash and not pictures & self._base.items.keys()):
            return set()
        before = datasets.get(self._db, target)
        gone = {item.name: item.sha256 for item in before.items if item.sha256 in pictures}
        if not gone:
            return set()
        arguments: dict[str, Any] = {"into": self.name, why: sorted(pictures)}
        after: Dataset = without(before, gone)
        made = Made(verb="collect", arguments=arguments, sightline=__version__)
        names.point(self._db, "dataset", self.name, datasets.add(self._db, after, made, [before.hash]), "collect")
        base = self._read()
        with self._turn:
            self._base = base
        return set(gone.values())

    def _arguments(self) -> dict[str, Any]:
        wanted = ",".join(f"{label}:{number}" for label, number in self.wanted.items())
        terms = {"licence": self.terms.licence, "consent": self.terms.version}
        return {"source": "page", "into": self.name, "page": True, "wanted": wanted, **terms}


def checked_gift(label: str, ticket: str, author: str, taken_at: str) -> Gift:
    """What a stranger says about a picture, judged; raises UsageError."""
    if len(ticket) > 64 or not ticket.isascii() or (ticket and not ticket.isalnum()):
        raise UsageError("a ticket has at most 64 letters and digits", hint="32 random hex digits do well")
    author = " ".join(author.split())
    if len(author) > 100 or not author.isprintable():
        raise UsageError("a name has at most 100 printable characters", hint="leave it out, or give a shorter one")
    return Gift(label=label, ticket=ticket, author=author, taken_at=_time(taken_at))


def _time(text: str) -> str:
    """ISO 8601 in UTC, to the second."""
    if not text:
        return ""
    try:
        return datetime.fromisoformat(text[:40]).astimezone(UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        raise UsageError(f"{text[:40]!r} is no time", hint="e.g. 2026-11-23T08:30:00Z") from None


def _source(key: str) -> str:
    """Where the picture came from, in a way that only the holder of its ticket can make up."""
    return f"{_PHONE}{key[:_SHOWN]}"
