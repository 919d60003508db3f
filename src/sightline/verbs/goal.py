"""Where a new model goes, and how a stopped training that has written it already is known again.

No verb itself. Knows folders and keys, not trainings.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from sightline import __version__
from sightline.errors import StorageError
from sightline.files import write_text
from sightline.settings import settings
from sightline.types import Dataset

GOAL = "goal"  # in the run's folder: where the model goes, from the moment that it is written


def name_for(data: Path, dataset: Dataset) -> str:
    """The data's name; of a folder called train its parent's."""
    return data.absolute().parent.name or "model" if dataset.name == "train" else dataset.name


def target_for(out: Path | None, name: str, *, replace: bool) -> Path:
    """Where the model goes; said to be impossible before anything is computed."""
    if out is not None:
        if out.exists() and not replace and not (out.is_dir() and not any(out.iterdir())):
            raise StorageError(f"{out} exists already", hint="choose another folder with --out, or add --replace")
        if replace and out.exists() and not (out / "card.json").is_file() and (not out.is_dir() or any(out.iterdir())):
            raise StorageError(f"{out} is not a model, so it is not replaced", hint="choose another folder with --out")
        return out
    models = settings().home / "models"
    stem, number = models / name, 1
    while stem.exists():
        number += 1
        stem = models / f"{name}-{number}"
    return stem


def aimed(run: Path, target: Path) -> None:
    """Remember where the model of this run goes, just before it is written."""
    write_text(run / GOAL, str(target.absolute()))


def left_by(run: Path, out: Path | None, dataset: Dataset) -> Path | None:
    """The model that this same training wrote before it was killed, when it was killed before its end: it is written again."""
    from sightline.runtime.bundle import CARD

    goal = run / GOAL
    if not goal.is_file():
        return None
    target = Path(goal.read_text())
    card = target / CARD
    if (out is not None and out.absolute() != target) or not card.is_file():
        return None
    return target if json.loads(card.read_bytes()).get("dataset", {}).get("hash") == dataset.hash else None


def key_of(dataset: Dataset, asked: dict[str, Any]) -> str:
    """What names a training: the same data and the same wishes go on where they were stopped."""
    return hashlib.sha256(json.dumps([dataset.hash, asked, __version__], sort_keys=True).encode()).hexdigest()[:16]
