"""The small text files of a dataset (class names, lists, JSON lines), read with bounds. Knows no format and no pictures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sightline.errors import DatasetError

LONGEST = 16 << 20  # characters of a line


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, text without its end) of every line that is not blank, streamed. Bytes that are not UTF-8 are replaced.

    Raises DatasetError when the file cannot be read or has a line longer than any list of names.
    """
    number = 0
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline=None) as stream:
            while line := stream.readline(LONGEST):
                number += 1
                if len(line) == LONGEST:
                    raise DatasetError(
                        f"{path.name} line {number} is longer than {LONGEST:,} characters", hint="check the file"
                    )
                if text := line.strip():
                    yield number, text
    except OSError as error:
        raise DatasetError(f"not able to read {path.name}: {error.strerror}", hint="check its permissions") from error


def names(path: Path, most: int = 100_000) -> tuple[str, ...]:
    """The lines of a list of class names; DatasetError for a file of more than `most`."""
    found = []
    for _, text in lines(path):
        found.append(text)
        if len(found) > most:
            raise DatasetError(f"{path.name} names more than {most:,} classes", hint="check that it is a list of class names")
    return tuple(found)


def one_a_line(classes: Iterable[str]) -> str:
    """The list that `names` reads: a line for each class, also for one whose own name has line breaks in it."""
    return "".join(f"{' '.join(name.split())}\n" for name in classes)


def parsed(text: str | bytes) -> Any:
    """JSON as values; ValueError for whatever is wrong with it, also nesting that is too deep."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
