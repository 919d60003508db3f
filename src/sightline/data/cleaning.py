"""Everything that is wrong with pictures, names, labels and parts, as findings of the kinds that `clean` promises.

Puts together what health, quality, names and duplicates see. Changes nothing; what `--fix` does is in mend.py.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sightline.data import boxes, quality
from sightline.data.formats.marks import CHANGED, REFUSED
from sightline.data.health import check
from sightline.data.kept import Kept, kept
from sightline.data.manifest import in_threads
from sightline.data.matches import Matches
from sightline.data.names import Spelling, label_spellings, wrong_name
from sightline.data.survey import Survey
from sightline.errors import SightlineError
from sightline.settings import settings
from sightline.types import Dataset, Failure, Finding, Item

# kind -> what it is called in a table, the gravest first
KINDS = {
    "unreadable": "cannot be decoded",
    "leak": "shared by training and test",
    "label_conflict": "one picture, two labels",
    "label_error": "label is probably wrong",
    "label_spelling": "labels that differ in spelling",
    "missing_label": "no label",
    "bad_box": "a place that makes no sense",
    **boxes.KINDS,
    "blank": "one colour all over",
    "exact_duplicate": "the same file again",
    "near_duplicate": "looks the same",
    "private_metadata": "place, owner, time inside the file",
    "wrong_name": "wrong suffix or odd name",
    "dark": "too dark",
    "bright": "burnt out",
    "blurred": "blurred",
    "tiny": "too small",
    "odd_aspect": "very long or very high",
    "outlier": "unlike all others",
    "imbalance": "classes of very different size",
}
Severity = Literal["error", "warning", "info"]
_SEVERITY: dict[str, Severity] = {
    "unreadable": "error",
    "blank": "error",
    **dict.fromkeys(
        ("leak", "label_conflict", "label_error", "label_spelling", "missing_label", "bad_box", "imbalance"), "warning"
    ),
}
_ADVICE = {
    "tiny": "leave it out, or find the original",
    "blank": "it shows nothing",
    "dark": "look whether anything can be seen; brighten it or leave it out",
    "bright": "look whether anything can be seen; leave it out",
    "blurred": "look whether what matters can be seen; leave it out",
    "odd_aspect": "look whether it is a strip, a banner or a bad cut",
}
_FAILED = {"name": "wrong_name", "label_conflict": "label_conflict", "row_repeated": "exact_duplicate"}
_FAILED |= dict.fromkeys(REFUSED | CHANGED, "bad_box")
_PRIVATE = "S200"


def look_over(dataset: Dataset, seen: Survey, matches: Matches | None = None) -> list[Finding]:
    """All findings that need no network of neurons, gravest kinds first. `seen`: the survey with quality numbers.

    `matches`: what `matches.pairs` found, with mirrored, turned and cropped copies; without it only look-alikes are known.
    Raises ValueError when the survey has none (a mistake of the caller).
    """
    if seen.quality is None:
        raise ValueError("the survey must be made with quality=True")
    groups = spellings(dataset)
    merged = {other: group.right for group in groups if group.sure for other in group.others}
    judged = respelt(dataset, merged)
    found = [*_left_out(dataset.failures), *_health(judged, seen)]
    found += _hidden_copies(judged, seen, matches) if matches is not None else []
    names = [item.name for item in dataset.items]
    for spot, kind, score, message in quality.remarks(seen.quality, seen.widths, seen.heights):
        found.append(_one(kind, names[spot], message, _ADVICE[kind], score))
    found += _names(dataset.items, seen.formats)
    found += (_spelling(group, dataset.items) for group in groups)
    found += boxes.remarks(judged, seen.widths, seen.heights) if judged.task == "detection" else ()
    found += _private(dataset, seen)
    return ordered(found)


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """Gravest kinds first, within a kind the surest first."""
    kinds = list(KINDS)
    return sorted(findings, key=lambda one: (kinds.index(one.kind), -one.score, one.items))


def spellings(dataset: Dataset) -> list[Spelling]:
    """Groups of labels of the dataset that are probably one."""
    return label_spellings(dict.fromkeys(dataset.classes, 0) | Counter(_labels(dataset.items)))


def respelt(dataset: Dataset, labels: Mapping[str, str]) -> Dataset:
    """The dataset with other labels (old -> new); a label that a picture has twice then stands once."""
    if not labels:
        return dataset

    def changed(item: Item) -> Item:
        if not any(label in labels for label in item.labels):
            return item
        truth = [one.model_copy(update={"label": labels.get(one.label, one.label)}) for one in item.truth]
        return item.model_copy(update={"truth": tuple(dict.fromkeys(truth))})

    classes = tuple(label for label in dataset.classes if label not in labels)
    return dataset.model_copy(update={"items": tuple(map(changed, dataset.items)), "classes": classes})


def _labels(items: Iterable[Item]) -> Iterator[str]:
    for item in items:
        yield from dict.fromkeys(item.labels)


def _one(kind: str, name: str, message: str, fix: str, score: float = 1.0) -> Finding:
    said = message if name in message else f"{name}: {message}"
    severity = _SEVERITY.get(kind, "info")
    return Finding(kind=kind, items=(name,), message=said, fix=fix, score=round(score, 4), severity=severity)


def _left_out(failures: Sequence[Failure]) -> Iterator[Finding]:
    """Rows and files that the reader could not use."""
    for failure in failures:
        code = failure.error.code
        kind = "missing_label" if code in ("label_missing", "stray") else _FAILED.get(code, "unreadable")
        if code != "class_empty":
            advice = "draw it again" if kind == "bad_box" else "correct the table"
            yield _one(kind, failure.picture, failure.error.message, failure.error.hint or advice)


def _health(dataset: Dataset, seen: Survey) -> Iterator[Finding]:
    for finding in check(dataset, seen):
        if finding.kind in KINDS and finding.kind != "missing_label":  # those are named one by one
            yield finding.model_copy(update={"severity": _SEVERITY.get(finding.kind, "info")})


_COPY = {"mirrored": "a mirrored copy", "rotated": "a turned copy", "cropped": "a cropped copy"}


def _hidden_copies(dataset: Dataset, seen: Survey, matches: Matches) -> Iterator[Finding]:
    """Pairs that only a closer look finds: mirrored, turned, cropped ones."""
    families = seen.families()
    for a, b, kind, score in zip(*(column.tolist() for column in matches), strict=True):
        if families[a] == families[b]:
            continue
        one, other = dataset.items[a], dataset.items[b]
        said = f"{other.name} is {_COPY.get(kind, 'another version')} of {one.name}"
        sure = round(min(float(score), 1.0), 4)
        yield Finding(
            kind="near_duplicate",
            items=(one.name, other.name),
            message=f"one is {_COPY.get(kind, 'another version')} of the other: {one.name} and {other.name}",
            fix="keep one of them if that is not wanted",
            score=0.9 * sure,
            severity="info",
        )
        if one.split and other.split and one.split != other.split:
            yield Finding(
                kind="leak",
                items=(one.name, other.name),
                message=f"{one.split} and {other.split} share a picture: {said}",
                fix=f"delete one of them: scores on {other.split if one.split == 'train' else one.split} are too good with it",
                score=0.8 * sure,
                severity="warning",
            )
        if dataset.task != "detection" and one.labels and other.labels and set(one.labels) != set(other.labels):
            yield Finding(
                kind="label_conflict",
                items=(one.name, other.name),
                message=f"{said}, with another label: {' | '.join(one.labels)} and {' | '.join(other.labels)}",
                fix="decide which label is right",
                score=0.6 * sure,
                severity="warning",
            )


def _names(items: Sequence[Item], formats: NDArray[np.bytes_]) -> Iterator[Finding]:
    for item, raw in zip(items, formats.tolist(), strict=True):
        kind = raw.decode()
        if fault := wrong_name(item.name, kind):
            sure = 1.0 if kind and kind.upper() in fault else 0.8
            yield _one("wrong_name", item.name, fault, "rename it", sure)


def _spelling(group: Spelling, items: Sequence[Item]) -> Finding:
    counts = Counter(_labels(items))
    said = ", ".join(f"{label!r} ({counts[label]:,})" for label in (group.right, *group.others))
    return Finding(
        kind="label_spelling",
        items=tuple(item.name for item in items if not set(item.labels).isdisjoint(group.others)),
        message=f"the labels {said} {group.why}",
        fix=f"call them all {group.right!r}" + ("" if group.sure else ", if they mean the same"),
        score=group.score,
        severity="warning",
    )


def _private(dataset: Dataset, seen: Survey) -> Iterator[Finding]:
    """What the files tell: a finding for each that tells a place or a person, one for the others together.

    What was read of a content once is kept.
    """
    from sightline.runtime.metadata import PERSONAL

    with kept(settings().cache / "private", _PRIVATE) as store:
        spots = [spot for spot, sha in enumerate(seen.sha256) if sha and store.get(sha) is None]
        first = {seen.sha256[spot]: dataset.items[spot].uri for spot in spots}
        pairs = [f"{sha} {uri}" for sha, uri in first.items()]
        if pairs:
            in_threads("Reading metadata", pairs, partial(_read_private, store))
        told = {item.name: _words(store, sha) for item, sha in zip(dataset.items, seen.sha256, strict=True)}
    others = {name: words for name, words in told.items() if words and PERSONAL.isdisjoint(words)}
    fix = "take it out: exports of Sightline never hold it"
    for name, words in told.items():
        if words and name not in others:
            yield _one("private_metadata", name, f"the file holds {', '.join(words)}", fix)
    if others:
        counts = Counter(word for words in others.values() for word in words)
        said = ", ".join(f"{word} ({count:,})" for word, count in counts.most_common())
        message = f"nothing that is known to tell a place or a person, but more than the picture: {said}"
        yield Finding(kind="private_metadata", items=tuple(others), message=message, fix=fix, score=0.5, severity="info")


def _words(store: Kept, sha: str) -> tuple[str, ...]:
    row = store.get(sha)
    return tuple(word for word in bytes(row).decode("utf-8", "ignore").split("|") if word) if row is not None else ()


def _read_private(store: Kept, pairs: Sequence[str]) -> list[None]:
    from sightline.runtime.metadata import private
    from sightline.runtime.pixels import read_picture

    for pair in pairs:
        sha, _, uri = pair.partition(" ")
        try:
            words = private(read_picture(Path(uri)))
        except SightlineError:  # gone since it was surveyed
            continue
        store.add(sha, np.bytes_("|".join(words).encode()[:200]))
    return [None] * len(pairs)


def by_kind(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Findings of each kind that was found, in the order of KINDS."""
    groups: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        groups[finding.kind].append(finding)
    return {kind: groups[kind] for kind in KINDS if kind in groups}
