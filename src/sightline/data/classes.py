"""From labels to a task: which kind of question the labels answer, in which order the classes stand, which one means yes.

Knows label names only: no files, no pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sightline.errors import DatasetError
from sightline.types import Annotation, Dataset, Task

_YES = frozenset(
    {"yes", "y", "true", "t", "1", "pos", "positive", "present", "on", "defect", "defective", "abnormal", "faulty"}
)
_NO = frozenset(
    {
        "no",
        "n",
        "false",
        "f",
        "0",
        "neg",
        "negative",
        "absent",
        "off",
        "none",
        "nothing",
        "other",
        "others",
        "rest",
        "background",
    }
    | {"ok", "okay", "good", "normal", "healthy", "fine", "clean", "intact", "pass", "passed", "benign"}
)
_NOT = re.compile(r"^(?:not|non|no|without)[\s_\-]+(.+)$|^(?:non)(.+)$")


def whole_pictures(dataset: Dataset) -> Dataset:
    """A dataset with places as one of several labels a picture: which things a picture shows, not where. Others as they are."""
    if dataset.task != "detection":
        return dataset

    def plain(truth: tuple[Annotation, ...]) -> tuple[Annotation, ...]:
        return tuple(Annotation(label=one.label, origin=one.origin) for one in {one.label: one for one in truth}.values())

    items = tuple(item.model_copy(update={"truth": plain(item.truth)}) for item in dataset.items)
    return dataset.model_copy(update={"items": items, "task": "multilabel"})


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts `class 2` before `class 10`, without regard to case."""
    parts = re.split(r"(\d+)", name.casefold())
    return tuple((0, int(part[:4000]), part) if part.isdecimal() else (1, 0, part) for part in parts if part)


def ordered(labels: Iterable[str]) -> tuple[str, ...]:
    """The distinct class names in natural order."""
    return tuple(sorted(set(labels), key=lambda name: (natural(name), name)))


def task_of(labels: Iterable[tuple[str, ...]], *, several: bool = False) -> tuple[Task, tuple[str, ...], str | None]:
    """The task, its classes in order and, for a yes/no task, the class that means yes (None: the names do not tell).

    `several`: the source can give a picture more than one label. Raises DatasetError for fewer than two classes.
    """
    rows = list(labels)
    classes = ordered(label for row in rows for label in row)
    if not classes:
        raise DatasetError("no picture has a label", hint="give every class a folder, or add a CSV with columns file,label")
    if len(classes) == 1:
        raise DatasetError(
            f"there is one class only: {classes[0]!r}",
            hint="a recogniser needs something to tell apart: add a second class, for example a folder of other pictures",
            detail={"classes": list(classes)},
        )
    if several or any(len(row) > 1 for row in rows):
        return "multilabel", classes, None
    if len(classes) == 2:
        return "binary", classes, positive(classes)
    return "multiclass", classes, None


def positive(classes: tuple[str, ...]) -> str | None:
    """Which of two class names means yes: yes/no, 1/0, defect/ok, duck/no duck, x/not_x; None when the names do not tell.

    >>> positive(("ok", "scratch")), positive(("cat", "not-cat")), positive(("cat", "dog"))
    ('scratch', 'cat', None)
    """
    if len(classes) != 2:
        return None
    plain = [name.strip().casefold() for name in classes]
    for this, other in ((0, 1), (1, 0)):
        found = _NOT.match(plain[other])
        if found and (found.group(1) or found.group(2)).strip(" _-") == plain[this]:
            return classes[this]
    for words, meaning in ((_YES, True), (_NO, False)):
        hits = [name in words for name in plain]
        if hits[0] != hits[1]:
            return classes[hits.index(meaning)]
    return None
