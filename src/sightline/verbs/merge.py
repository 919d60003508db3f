"""New pictures added to a dataset: none doubled, every name once, the task that all labels together mean. Stores nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from sightline.data.classes import ordered, positive
from sightline.data.manifest import manifest_hash, said
from sightline.types import Dataset, Failure, Item, Split, Task

if TYPE_CHECKING:
    from sightline.sources import About

FAILURES = 10_000  # that a version remembers


class Merged(NamedTuple):
    dataset: Dataset
    added: int
    doubled: int


def merged(
    name: str,
    before: Dataset | None,
    items: Sequence[Item],
    abouts: Sequence[About],
    *,
    failures: Sequence[Failure],
    source: str,
) -> Merged:
    """`before` with the new pictures. One with the same content and truth is there once, unless given splits keep two apart."""
    found = list(before.items) if before else []
    seen: dict[tuple[str, tuple[str, ...]], set[Split | None]] = {}
    names = set()
    for item in found:
        seen.setdefault(_said(item), set()).add(item.split)
        names.add(item.name)
    doubled = 0
    for item in sorted(items, key=lambda item: (item.name, item.sha256, item.split or "")):
        splits = seen.setdefault(_said(item), set())
        if splits and (item.split is None or None in splits or item.split in splits):
            doubled += 1
            continue
        splits.add(item.split)
        fresh = _free(item, names)
        names.add(fresh)
        found.append(item if fresh == item.name else item.model_copy(update={"name": fresh}))
    found.sort(key=lambda item: item.name)
    classes = _classes(before, found, abouts)
    task = _task(before, found, abouts, classes)
    dataset = Dataset(
        name=name,
        task=task,
        classes=classes,
        items=tuple(found),
        positive=positive(classes) if task == "binary" else None,
        hash=manifest_hash(found),
        source=source,
        kind="collected",
        failures=tuple(failures[:FAILURES]),
    )
    return Merged(dataset, len(items) - doubled, doubled)


def _said(item: Item) -> tuple[str, tuple[str, ...]]:
    """What two pictures must share to be one: content and truth, whoever gave it and in whatever order."""
    return item.sha256, tuple(sorted(map(said, item.truth)))


def _free(item: Item, names: set[str]) -> str:
    """The item's name; when another picture has it, with the start of its hash: the same one in every run."""
    name, path = item.name, PurePosixPath(item.name)
    number = 0
    while name in names:
        number += 1
        mark = item.sha256[:8] + (f"-{number}" if number > 1 else "")
        name = str(path.with_name(f"{path.stem}-{mark}{path.suffix}"))
    return name


def _classes(before: Dataset | None, items: Iterable[Item], abouts: Iterable[About]) -> tuple[str, ...]:
    labels = {mark.label for item in items for mark in item.truth}
    labels.update(before.classes if before else (), *(about.classes for about in abouts))
    return ordered(labels)


def _task(before: Dataset | None, items: Iterable[Item], abouts: Iterable[About], classes: tuple[str, ...]) -> Task:
    """Places make a detection, several labels a multilabel task; one class or none yet is a multiclass task that waits."""
    earlier = before.task if before else None
    counts = [len(item.truth) for item in items]
    if earlier == "detection" or any(about.placed for about in abouts):
        return "detection"
    if earlier == "multilabel" or any(about.several for about in abouts) or max(counts, default=0) > 1:
        return "multilabel"
    return "binary" if len(classes) == 2 and min(counts, default=0) == 1 else "multiclass"
