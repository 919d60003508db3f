"""Datasets of clips: class folders of short videos, or of folders of numbered frames; a clip is one item, however long.

Copies and clips that look the same from beginning to end become one group, so that a split keeps them on one side. Goes by
names until a clip is looked at.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.data.duplicates import merged
from sightline.data.listing import SPLITS, Listing, Row, in_split, joined, left_out
from sightline.data.manifest import in_threads, with_hashes, without
from sightline.data.pictures import Tree, near_names, scan
from sightline.data.readers import dataset_of
from sightline.data.survey import LOOK, Survey, chained
from sightline.errors import DatasetError, NotFoundError, SightlineError, UsageError
from sightline.files import sha256_file
from sightline.runtime.clips import MOVING, STILLS, VIDEOS, numbered, prepare_clip
from sightline.types import Dataset, ErrorInfo, Failure, InputSpec

LAYOUT = "expected FOLDER/CLASS/clip.mp4, or FOLDER/CLASS/CLIP/0001.jpg with a folder of numbered frames for each clip"
LOOK_AT = InputSpec(size=32, fit="squash", frames=8)  # what is compared of two clips
SAME = 0.3  # two clips are one when they differ by less than this share of what moves inside them
STILL = 0.5  # mean difference (0..255) up to which clips in which nothing moves are one
MIXED = "is a picture beside clips"


def holds_clips(path: Path) -> bool:
    """Whether a folder of class folders holds videos and no pictures, so that nobody has to say that clips are meant.

    GIFs and folders of frames are pictures until `--way clip` says otherwise.
    """
    root, found = str(path.expanduser()), False
    for folder, _, names in os.walk(root):  # ends at the first picture: asked of every folder that is trained on
        for name in names if folder != root else ():
            if _ends(name, STILLS):
                return False
            found = found or _ends(name, VIDEOS)
    return found


def read_clips(path: Path) -> Dataset:
    """The clips of a folder, without hashes. Pictures directly in a class folder are left out, each with the reason.

    Raises NotFoundError, UsageError (no folder), DatasetError (no clips).
    """
    source = path.expanduser().absolute()
    if not source.exists():
        raise NotFoundError(f"no such folder: {path}", hint=near_names(source), detail={"path": str(path)})
    if not source.is_dir():
        raise UsageError(f"clips are read from a folder, and {source.name} is none", hint=f"unpack it; {LAYOUT}")
    tree = scan(source)
    children = tree.children()
    if children and all(name.lower() in SPLITS for name in children):
        parts = [in_split(_classes(tree.below(name)), SPLITS[name.lower()]) for name in children]
        listing = joined(parts, "clips")
    else:
        listing = _classes(tree)
    if not listing.rows and not any(MIXED in failure.error.message for failure in listing.failures):
        raise DatasetError(f"{source.name} holds no clips", hint=LAYOUT, detail={"path": str(source)})
    return dataset_of(listing, source.name, source)


def _classes(tree: Tree) -> Listing:
    rows: list[Row] = []
    failures: list[Failure] = []
    for folder in tree.children():
        below = tree.below(folder)
        clips, stray = _clips(below)
        if not clips and not stray:
            failures.append(left_out(below.prefix, "class_empty", "the folder holds no clips"))
        rows += [Row(uri=str(below.root / clip), name=below.prefix + clip, labels=(folder.strip(),)) for clip in clips]
        hint = "put the frames of a clip into a folder of their own"
        failures += [left_out(below.prefix + name, "stray", MIXED, hint) for name in stray]
    return Listing(tuple(rows), tuple(failures), kind="clips")


def _clips(tree: Tree) -> tuple[list[str], list[str]]:
    """Videos at any depth and folders with frames in them, by their paths; and pictures that lie beside them."""
    videos = [file for file in tree.files if _ends(file, MOVING)]
    stills = [file for file in tree.files if _ends(file, STILLS)]
    folders = sorted({file.rpartition("/")[0] for file in stills if "/" in file})
    return [*videos, *folders], [file for file in stills if "/" not in file]


def _ends(file: str, suffixes: frozenset[str]) -> bool:
    return f".{file.rpartition('.')[2].lower()}" in suffixes


def look_at_clips(dataset: Dataset) -> tuple[Dataset, Survey]:
    """The dataset with hashes and groups, without clips that cannot be read (they are in `failures`); and a survey of it.

    The survey says nothing about looks: perceptual hashes are about single pictures, and clips of one camera share those.
    """
    uris = [item.uri for item in dataset.items]
    hashes = in_threads("Reading clips", uris, lambda files: [_hash(Path(file)) for file in files])
    dataset = with_hashes(dataset, hashes)
    looked = in_threads("Looking at clips", uris, lambda files: [_look(file) for file in files])
    failures = tuple(
        Failure(picture=item.name, error=found)
        for item, found in zip(dataset.items, looked, strict=True)
        if isinstance(found, ErrorInfo)
    )
    seen = [found for found in looked if not isinstance(found, ErrorInfo)]
    if not seen:
        first = failures[0].error if failures else None
        raise DatasetError("none of the clips can be read", hint=first.message if first else LAYOUT)
    dataset = without(dataset, {failure.picture for failure in failures})
    dataset = dataset.model_copy(update={"failures": (*dataset.failures, *failures)})
    dataset = _grouped(dataset, np.stack(seen))
    return dataset, _survey(dataset)


def _hash(path: Path) -> str:
    """SHA-256 of a video; of a folder, over its frames' in order. "" where it cannot be read: looking at it says why."""
    try:
        if path.is_file():
            return sha256_file(path)
        return hashlib.sha256("".join(sha256_file(frame) for frame in numbered(path)).encode()).hexdigest()
    except OSError:
        return ""


def _look(uri: str) -> NDArray[np.uint8] | ErrorInfo:
    """Miniatures (8, 8, 8, 3) of eight frames."""
    try:
        frames, _ = prepare_clip(uri, LOOK_AT)
    except SightlineError as error:
        if error.code == "extra_missing":
            raise
        return ErrorInfo(code=error.code, message=error.message, hint=error.hint)
    t, s = frames.shape[:2]
    return np.asarray(frames.reshape(t, 8, s // 8, 8, s // 8, 3).mean(axis=(2, 4)).round(), np.uint8)


def alike(looks: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Pairs (k, 2) of clips that are the same from beginning to end, saved again or not. looks: uint8 (n, 8, 8, 8, 3).

    The measure is what moves: two takes before one camera share every background pixel, and are two clips all the same.
    """
    flat = looks.reshape(len(looks), looks.shape[1], -1).astype(np.float32)
    motion = np.abs(flat - flat.mean(axis=1, keepdims=True)).mean(axis=(1, 2))
    bright = flat.mean(axis=(1, 2))
    limit = np.maximum(SAME * motion, STILL)
    order = np.argsort(bright, kind="stable")
    found: list[tuple[int, int]] = []
    rising = bright[order]
    for place, one in enumerate(order):  # brightness differs by no more than the clips do: only a window is compared
        end = int(np.searchsorted(rising, bright[one] + limit[one], side="right"))
        others = order[place + 1 : end]
        apart = np.abs(flat[others] - flat[one]).mean(axis=(1, 2))
        found += [(int(one), int(other)) for other in others[apart <= np.minimum(limit[one], limit[others])]]
    return np.array(sorted((min(pair), max(pair)) for pair in found), np.int64).reshape(-1, 2)


def _grouped(dataset: Dataset, looks: NDArray[np.uint8]) -> Dataset:
    """Every clip of a family of two or more has the family's group."""
    copies = chained([item.sha256 for item in dataset.items])
    family = merged(np.arange(len(dataset.items)), np.concatenate([copies, alike(looks)]))
    counts = np.bincount(family)
    first: dict[int, str] = {}
    for item, number in zip(dataset.items, family.tolist(), strict=True):
        first.setdefault(number, f"like {item.name}")
    items = tuple(
        item.model_copy(update={"group": first[number]}) if counts[number] > 1 else item
        for item, number in zip(dataset.items, family.tolist(), strict=True)
    )
    return with_hashes(dataset.model_copy(update={"items": items}), [item.sha256 for item in items])


def _survey(dataset: Dataset) -> Survey:
    """Contents only: a hash of 0 is similar to nothing."""
    rows = {name: np.zeros((len(dataset.items), *LOOK[name].shape), LOOK[name].base) for name in LOOK.names or ()}
    return Survey(
        uris=tuple(item.uri for item in dataset.items),
        sha256=tuple(item.sha256 for item in dataset.items),
        hashes=rows["hash"],
        miniatures=rows["colours"],
        failures=(),
        greys=rows["greys"],
        widths=rows["width"],
        heights=rows["height"],
        formats=rows["format"],
    )


def told(dataset: Dataset) -> str:
    """One line about the clips, for the person who waits."""
    groups = len({item.group for item in dataset.items if item.group})
    alikes = f"; {groups} groups of clips that look the same stay together" if groups else ""
    return f"{len(dataset.items)} clips, {len(dataset.classes)} classes{alikes}"
