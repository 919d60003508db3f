"""A picture that is wanted from an address, what it will be called, how it is said that it did not come. Fetches nothing."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from sightline.errors import SightlineError
from sightline.types import Annotation, ErrorInfo, Facts, Failure, Split


class Wanted(NamedTuple):
    """A picture at a web address, and what is said about it."""

    url: str
    name: str = ""
    labels: tuple[str, ...] = ()
    marks: tuple[Annotation, ...] = ()
    split: Split | None = None
    group: str | None = None
    facts: Facts | None = None


def failed(picture: str, error: SightlineError) -> Failure:
    """A picture that did not arrive, and why."""
    return Failure(picture=picture, error=ErrorInfo(code=error.code, message=error.message, hint=error.hint))


def name_of(url: str) -> str:
    """The last part of the address's path as a file name; "picture" when it says nothing."""
    last = unquote(urlsplit(url).path.rpartition("/")[2])
    plain = "".join(letter if letter.isprintable() and letter not in '\\/:*?"<>|' else "_" for letter in last).strip(". ")
    return plain[-120:] or "picture"
