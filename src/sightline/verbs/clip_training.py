"""What training and testing on clips does beside the story of pictures: reading, looking, refusing what does not go together.

No verb itself: `train`, `evaluate` and `predict` ask it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline import progress
from sightline.errors import DatasetError, NotFoundError, UsageError
from sightline.types import Dataset, Finding

if TYPE_CHECKING:
    from sightline.data.survey import Survey

FRAMES = range(1, 129)
_NOT = ("compare", "effort", "folds", "tune", "search", "teacher", "plan", "explain", "log")


def wishes(data: Path, way: str, cell: str | None, frames: int | None) -> dict[str, Any]:
    """What clips are asked for with: nothing where pictures are meant. UsageError.

    Clips are meant when `--way clip` (or `--cell`, `--frames`) says so, or when nothing but videos lies there.
    """
    named = next((f"--{name}" for name, value in (("cell", cell), ("frames", frames)) if value is not None), "")
    if way not in ("auto", "clip"):
        if named:
            raise UsageError(f"{named} belongs to --way clip, not {way}", hint="leave out --way")
        return {}
    if way == "auto" and not named:
        from sightline.data.clips import holds_clips

        if not holds_clips(data):
            return {}
    return {"way": "clip", "cell": cell or "gru", "frames": 16 if frames is None else frames}


def check(asked: dict[str, Any], bench: dict[str, Any]) -> None:
    """Refuse what clips cannot have, before any is read; UsageError."""
    if asked["frames"] not in FRAMES:
        raise UsageError(f"--frames must be {FRAMES[0]} to {FRAMES[-1]}, got {asked['frames']}")
    for option in ("augment", "features", "classifier"):
        if asked.get(option) is not None:
            raise UsageError(f"--{option} is for pictures: the way of clips has none", hint=f"leave out --{option}")
    for option in _NOT:
        if bench.get(option):
            raise UsageError(f"--{option} does not go with clips yet", hint=f"leave out --{option}")


def read(data: Path, val: Path | None, seed: int) -> tuple[Dataset, Survey, tuple[Finding, ...], list[str]]:
    """Clips divided into train and val, those that look the same on one side; a survey, findings (none), the version before."""
    from sightline.data.clips import look_at_clips, read_clips, told
    from sightline.data.splits import split, with_val

    dataset = read_clips(data)
    if val is not None:
        dataset = with_val(dataset, read_clips(val))
    if dataset.task not in {"multiclass", "binary"}:
        raise DatasetError("clips have one label each", hint="put every clip into one class folder")
    dataset, seen = look_at_clips(dataset)
    for label, count in Counter(label for item in dataset.items for label in item.labels).items():
        if count < 2:
            raise DatasetError(
                f"the class {label} has {count} clip that can be read", hint="add clips, 20 or more of each class"
            )
    progress.note(told(dataset))
    for failure in dataset.failures[:5]:
        progress.note(f"left out: {failure.picture}: {failure.error.message}")
    return split(dataset, seen, seed=seed), seen, (), [dataset.hash]


def tested(data: Path) -> Dataset:
    """Labelled clips to measure a model on, with hashes; those that cannot be read are in `failures`."""
    from sightline.data.clips import look_at_clips, read_clips

    return look_at_clips(read_clips(data))[0]


def named(paths: Sequence[Path]) -> list[Path]:
    """The clips that a person means: files as they are, a folder of frames as one clip, other folders by what lies in them."""
    from sightline.data.pictures import scan
    from sightline.runtime.clips import MOVING, numbered

    found: dict[Path, None] = {}
    for path in (Path(given).expanduser() for given in paths):
        if not path.exists():
            raise NotFoundError(f"no such file or folder: {path}", hint="check the spelling", detail={"path": str(path)})
        if not path.is_dir() or numbered(path):
            found[path] = None
            continue
        tree = scan(path)
        found.update(dict.fromkeys(path / file for file in tree.files if (path / file).suffix.lower() in MOVING))
        found.update(dict.fromkeys(path / folder for folder in tree.folders if numbered(path / folder)))
    if not found:
        raise NotFoundError(
            f"no clips in {', '.join(map(str, paths)) or 'nothing'}", hint="a clip is a video or a folder of numbered frames"
        )
    return list(found)
