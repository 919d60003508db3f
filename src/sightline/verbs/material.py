"""What a training or a compression works on: pictures read, looked over once, freed of what cannot be read, divided.

No verb itself: the first part of the stories of train and compress.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sightline import progress
from sightline.errors import DatasetError
from sightline.types import Dataset, Finding
from sightline.verbs import resolve

if TYPE_CHECKING:
    from sightline.data.survey import Survey


class Material(NamedTuple):
    """A divided dataset, what is known of its pictures, what is wrong with them, and the versions it comes from."""

    dataset: Dataset
    seen: Survey
    findings: tuple[Finding, ...]
    parents: list[str]


@dataclass(frozen=True, slots=True)
class Work:
    """What every story of a training works with. folder: of the run; name: the model's."""

    dataset: Dataset
    seen: Survey
    findings: tuple[Finding, ...]
    folder: Path
    name: str
    precision: float | None = None  # of a detector's thresholds

    @property
    def objects(self) -> bool:
        return self.dataset.task == "detection"


def material(data: Path, val: Path | None, seed: int, *, whole: bool) -> Material:
    """Read, look at every picture once, say what is wrong, leave out what cannot be read, divide.

    whole: what pictures show, not where. Raises DatasetError for what cannot be worked with.
    """
    from sightline.data.classes import whole_pictures
    from sightline.data.health import check
    from sightline.data.manifest import with_hashes, without
    from sightline.data.splits import split, with_val
    from sightline.data.survey import survey

    dataset = resolve.dataset(data, hashed=False)
    parents = [dataset.hash]
    if val is not None:
        apart = resolve.dataset(val, hashed=False)
        parents.append(apart.hash)
        dataset = with_val(dataset, apart)
    if dataset.task == "detection" and whole:
        progress.note(_PLACES)
        dataset = whole_pictures(dataset)
    if dataset.task == "detection":
        from sightline.verbs.sighted import usable

        dataset = usable(dataset)
    progress.note(_said(dataset))
    seen = survey(dataset)
    dataset = with_hashes(dataset, seen.sha256)
    findings = tuple(check(whole_pictures(dataset), seen))  # counts pictures, not boxes
    for finding in findings:
        if finding.severity == "error":
            raise DatasetError(finding.message, hint=finding.fix)
    _warn(findings)
    if seen.failures:
        unreadable = {failure.picture for failure in seen.failures}
        dataset = without(dataset, unreadable)
        others = (failure for failure in dataset.failures if failure.picture not in unreadable)
        dataset = dataset.model_copy(update={"failures": (*others, *seen.failures)})
    return Material(split(dataset, seen, seed=seed), seen, findings, [parent for parent in parents if parent])


def _warn(findings: tuple[Finding, ...]) -> None:
    """Say the warnings: of each kind the first few."""
    kinds = Counter(finding.kind for finding in findings if finding.severity == "warning")
    for kind, count in kinds.items():
        for finding in [one for one in findings if one.kind == kind and one.severity == "warning"][:SAID]:
            progress.note(f"{kind}: {finding.message}")
        if count > SAID:
            progress.note(f"{kind}: and {count - SAID} more; the report lists them, `sightline clean` mends a copy")


_TASKS = {"binary": "one of two classes", "multiclass": "one class for each picture", "multilabel": "several labels a picture"}
SAID = 3  # warnings of a kind that are told one by one
_PLACES = "the boxes are left out: the model will say which things a picture shows, not where"


def _said(dataset: Dataset) -> str:
    if dataset.task == "detection":
        from sightline.verbs.detecting import said

        return said(dataset)
    yes = f", {dataset.positive} means yes" if dataset.positive else ""
    return f"{len(dataset.items)} pictures, {len(dataset.classes)} classes: {_TASKS[dataset.task]}{yes}"
