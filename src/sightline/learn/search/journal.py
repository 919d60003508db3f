"""What a search has done, on the disk: one JSON line for each training, synchronised before it counts. Knows no networks.

A line that a kill cut off is dropped when the journal is opened again: that training is done anew.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from sightline import progress
from sightline.errors import storage_errors
from sightline.measure.searched import Tried

FILE = "journal.jsonl"


def read(folder: Path) -> list[Tried]:
    """All whole lines, in their order; what follows the last whole one is cut off the file."""
    path = folder / FILE
    if not path.exists():
        return []
    content = path.read_bytes()
    tried: list[Tried] = []
    whole = 0
    for line in content.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        try:
            tried.append(Tried.model_validate_json(line))
        except ValidationError:
            break
        whole += len(line)
    if whole < len(content):
        progress.note(f"{path.name} ends in the middle of a line: that training is done again")
        with storage_errors(path), path.open("r+b") as stream:
            stream.truncate(whole)
            os.fsync(stream.fileno())
    return tried


def append(folder: Path, one: Tried) -> None:
    """Add a line; it is on the disk when this returns. StorageError when the disk is full."""
    path = folder / FILE
    with storage_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as stream:
            stream.write(one.model_dump_json().encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
