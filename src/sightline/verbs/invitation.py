"""What people are asked for when pictures are collected from them: how many of what, and what they agree to. Stores nothing."""

from __future__ import annotations

import hashlib

from pydantic import Field

from sightline.errors import UsageError
from sightline.types import Record

MOST_CLASSES, MOST_EACH = 200, 100_000
MOST_TEXT = 4000  # characters
_TEXT = (
    "I took these pictures myself, or may pass them on. Whoever can be recognised in them has agreed. "
    "They may be kept, shown to those who work on this collection, and used to train and test image recognition{licence}. "
    "Place, camera and owner are taken out of every picture; my name and the time are kept only if I say so."
)
_LICENCE = ", and passed on under the licence {name}"
# what the usual licences mean, for people; SPDX names
LICENCES = {
    "CC0-1.0": "anybody may use them for anything",
    "CC-BY-4.0": "anybody may use them who names whose they are",
    "CC-BY-SA-4.0": "anybody may use them who names whose they are and passes them on under the same terms",
    "CC-BY-NC-4.0": "anybody may use them who names whose they are and earns nothing with them",
}


class Wanted(Record):
    label: str
    number: int


class Terms(Record):
    """What people agree to once, before they send pictures."""

    text: str
    version: str = Field(description="names text and licence; sent with each picture")
    licence: str = ""
    meaning: str = Field(default="", description="what the licence means, in a few words")


def read_wanted(text: str) -> list[Wanted]:
    """`cat:50,dog:50` as records; raises UsageError."""
    found: dict[str, Wanted] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        label, _, number = (piece.strip() for piece in part.rpartition(":"))
        if not label or not number.isascii() or not number.isdigit() or not 1 <= int(number[:9]) <= MOST_EACH:
            raise UsageError(f"--wanted says {part[:80]!r}", hint="each class with the number of pictures, e.g. cat:50,dog:50")
        if len(label) > 100 or not label.isprintable() or any(sign in label for sign in "/\\") or label.startswith("."):
            raise UsageError(f"{label[:80]!r} cannot be a class here", hint="up to 100 letters, without / or \\")
        if label in found:
            raise UsageError(f"--wanted names {label!r} twice", hint="name each class once")
        found[label] = Wanted(label=label, number=int(number))
    if not 1 <= len(found) <= MOST_CLASSES:
        raise UsageError(
            f"--wanted must name 1 to {MOST_CLASSES} classes, got {len(found)}", hint="each with a number, e.g. cat:50,dog:50"
        )
    return list(found.values())


def terms(text: str = "", licence: str = "") -> Terms:
    """What is agreed to: the given text, or ours. Raises UsageError for one that is too long."""
    for name, value, longest in (("--consent", text, MOST_TEXT), ("--licence", licence, 100)):
        if len(value) > longest:
            raise UsageError(f"{name} has {len(value)} characters; the limit is {longest}", hint="say it in fewer words")
    licence = licence.strip()
    said = text.strip() or _TEXT.format(licence=_LICENCE.format(name=licence) if licence else "")
    version = hashlib.sha256(f"{licence}\n{said}".encode()).hexdigest()[:12]
    return Terms(text=said, version=version, licence=licence, meaning=LICENCES.get(licence, ""))


def most(wanted: int) -> int:
    """How many pictures are taken of a class of which so many are wanted: people send in parallel, and some are taken out."""
    return 2 * wanted + 10
