"""What a format is, and the work of writing one: pictures without private metadata under safe names, failures, progress.

Knows no single format. What a format has no place for is taken out here (`fitted`), so that its writer never meets it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sightline.data.formats.geometry import area, bounds
from sightline.data.formats.names import stems
from sightline.data.listing import Listing
from sightline.data.place import Place
from sightline.errors import DatasetError, PictureError, SightlineError
from sightline.progress import track
from sightline.runtime.dimensions import dimensions
from sightline.runtime.masks import mask_box, outline, pixels_of
from sightline.types import Annotation, Dataset, ErrorInfo, Failure, Item, Trait

# what a format may hold, and how people call it in "has no place for ..."
HOLDINGS = {
    "labels": "labels of whole pictures",
    "several": "several labels of one picture",
    "boxes": "boxes",
    "polygons": "polygons",
    "masks": "masks",
    "parts": "outlines in several parts",
    "keypoints": "keypoints",
    "skeletons": "names of keypoints",
    "hidden": "hidden and missing keypoints",
    "traits": "marks such as crowd or difficult",
    "text": "texts",
    "splits": "train, val and test",
    "groups": "groups",
    "facts": "sources and licences",
    "unlabelled": "pictures without a label",
}


class Format(NamedTuple):
    """One format: module constant FORMAT of its module."""

    title: str  # "COCO JSON"
    recognised: Callable[[Place], bool]  # cheap: names and first bytes only
    read: Callable[[Place], Listing]  # rows with labels or marks; problems of single rows are its failures
    write: Callable[[Export], None]  # into export.out, an empty temporary folder
    holds: frozenset[str]  # of HOLDINGS
    files: tuple[str, ...] = ()  # suffixes of files a person may give instead of a folder: (".json",)
    traits: frozenset[Trait] = frozenset()
    holding: Callable[[Dataset], frozenset[str]] | None = None  # where it can hold less of some datasets: what of this one


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture on its way out: a safe name, unique in the whole export, and the bytes to write."""

    item: Item
    name: str  # stem + suffix, no folder
    data: bytes
    size: tuple[int, int]  # (width, height) upright

    @property
    def stem(self) -> str:
        return self.name.rpartition(".")[0]


class Export:
    """One dataset on its way into `out`. A picture that cannot be written is a failure and never stops the others."""

    def __init__(self, dataset: Dataset, out: Path, *, keep_metadata: bool = False) -> None:
        self.dataset, self.out, self.keep_metadata = dataset, out, keep_metadata
        self.failures: list[Failure] = []
        self.written = 0
        self._stems = stems([item.name for item in dataset.items])

    def picture(self, item: Item) -> tuple[bytes, str]:
        """The bytes to write and their suffix (".jpg"), without private metadata unless it is wanted; PictureError."""
        from sightline.runtime.metadata import stripped
        from sightline.runtime.pixels import read_picture, sniff

        data = read_picture(item.uri)
        if item.sha256 and hashlib.sha256(data).hexdigest() != item.sha256:
            raise PictureError(f"{item.name} has changed since it was read", hint="read the dataset again")
        if self.keep_metadata:
            kind = sniff(data)
            return data, {"jpeg": ".jpg", "tiff": ".tif"}.get(kind, f".{kind}")
        return stripped(data)

    def pictures(self) -> Iterator[Picture]:
        """Every picture that can be read, by name; those that cannot are added to `failures`. Tells progress."""
        order = sorted(range(len(self._stems)), key=self._stems.__getitem__)
        for index in track(order, f"Writing {self.dataset.name}"):
            item = self.dataset.items[index]
            try:
                data, suffix = self.picture(item)
                size = dimensions(data).upright
            except SightlineError as error:
                self.fail(item, error)
                continue
            yield Picture(item, self._stems[index] + suffix, data, size)
            self.written += 1

    def fail(self, item: Item, error: SightlineError) -> None:
        """Note that `item` is left out."""
        info = ErrorInfo(code=error.code, message=error.message, hint=error.hint)
        self.failures.append(Failure(picture=item.name, error=info))

    def put(self, name: str, data: bytes | str) -> None:
        """Write one file below `out`; folders are made. (The whole folder is brought to the disk at the end.)"""
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)


def fitted(dataset: Dataset, format: Format) -> tuple[Dataset, tuple[str, ...]]:
    """The dataset with no more than the format can hold, and a sentence for each kind of thing that is left out.

    A thing that loses its place stays as a label of its picture where the format takes those. Raises DatasetError when nothing
    would be left, and for pictures with several labels where only one fits: which one to drop is not ours to choose.
    """
    lost = dict.fromkeys(HOLDINGS, 0)
    holds = format.holds if format.holding is None else format.holding(dataset)
    items = [_reduced(item, holds, format.traits, lost) for item in dataset.items]
    if "skeletons" not in holds and "keypoints" in holds:
        lost["skeletons"] = len(dataset.skeletons)
    several = [item for item in items if len(item.labels) > 1]
    if several and "several" not in format.holds:
        raise DatasetError(
            f"{format.title} holds one label a picture; {len(several):,} pictures of {dataset.name} have several, "
            f"first: {several[0].name}",
            hint="choose another format: csv",
        )
    if "unlabelled" not in format.holds:
        lost["unlabelled"] = sum(not item.truth for item in items)
        items = [item for item in items if item.truth]
    notes = tuple(
        f"{format.title} has no place for {words}: {_count(kind, lost[kind], words)}"
        for kind, words in HOLDINGS.items()
        if lost[kind]
    )
    if not items or (any(item.truth for item in dataset.items) and not any(item.truth for item in items)):
        raise DatasetError(
            f"nothing of {dataset.name} would be left as {format.title}" + (f": {notes[0]}" if notes else ""),
            hint="choose another format: csv for labels of whole pictures, coco for boxes",
        )
    return dataset.model_copy(update={"items": tuple(items)}), notes


def _count(kind: str, count: int, words: str) -> str:
    if kind in ("splits", "groups", "facts"):
        return f"left out of {count:,} pictures"
    if kind == "skeletons":
        return f"left out of {count:,} classes"
    if kind in ("hidden", "traits"):
        return f"left out of {count:,} objects"
    stays = {"polygons": "; their boxes stay", "masks": "; their outlines or boxes stay", "parts": "; the largest part stays"}
    return f"{count:,} {'pictures' if kind == 'unlabelled' else words} are left out{stays.get(kind, '')}"


def _reduced(item: Item, holds: frozenset[str], traits: frozenset[Trait], lost: dict[str, int]) -> Item:
    change: dict[str, object] = {}
    truth = tuple(mark for one in item.truth if (mark := _mark(one, holds, traits, lost)) is not None)
    if not holds & {"boxes", "polygons", "keypoints"}:
        truth = tuple({one.label: one for one in reversed(truth)}.values())[::-1]
    if truth != item.truth:
        change["truth"] = truth
    for kind, field in (("splits", "split"), ("groups", "group"), ("facts", "facts")):
        if kind not in holds and getattr(item, field) is not None:
            lost[kind] += 1
            change[field] = None
    return item.model_copy(update=change) if change else item


def _mark(one: Annotation, holds: frozenset[str], traits: frozenset[Trait], lost: dict[str, int]) -> Annotation | None:
    """The annotation with what can be held; an outline that cannot be held leaves its box. None: nothing is left."""
    change = _outline(one, holds, lost) | _lesser(one, holds, traits, lost)
    box = one.box
    if box is None and (points := one.polygon or tuple(point for ring in one.rings or () for point in ring)):
        change["box"] = box = bounds(points)
    elif box is None and one.mask is not None:
        change["box"] = box = mask_box(pixels_of(one.mask))
    for kind, field in (("boxes", "box"), ("keypoints", "keypoints"), ("text", "text")):
        if kind not in holds and (box if field == "box" else getattr(one, field)) is not None:
            lost[kind] += 1 if getattr(one, field) is not None else 0
            change[field] = None
    left = one.model_copy(update=change) if change else one
    if not left.placed and "labels" not in holds:
        lost["labels"] += 0 if one.placed else 1
        return None
    return left


def _outline(one: Annotation, holds: frozenset[str], lost: dict[str, int]) -> dict[str, object]:
    """What changes about polygon, rings and mask. Of several parts the largest stays, of a mask its outline."""
    change: dict[str, object] = {}
    if one.rings is not None and "parts" not in holds:
        lost["parts"] += "polygons" in holds
        change = {"rings": None, "polygon": max(one.rings, key=area) if "polygons" in holds else None}
    if one.mask is not None and "masks" not in holds:
        change["mask"] = None
        if one.rings is None:
            lost["masks"] += 1
            if one.polygon is None and "polygons" in holds:
                change["polygon"] = outline(pixels_of(one.mask))
    if (one.polygon or one.rings) and "polygons" not in holds:
        lost["polygons"] += 1
        change["polygon"] = None
    return change


def _lesser(one: Annotation, holds: frozenset[str], traits: frozenset[Trait], lost: dict[str, int]) -> dict[str, object]:
    change: dict[str, object] = {}
    if one.visibility is not None and "hidden" not in holds:
        lost["hidden"] += "keypoints" in holds
        seen = [point for point, visible in zip(one.keypoints or (), one.visibility, strict=False) if visible]
        change = {"visibility": None, "keypoints": tuple(seen) or None}
    if not traits.issuperset(one.traits):
        lost["traits"] += 1
        change["traits"] = tuple(trait for trait in one.traits if trait in traits)
    return change
