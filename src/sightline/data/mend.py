"""What `clean --fix` does to a dataset: which pictures it leaves out, which names and labels it corrects. Touches no file.

Doubtful things stay as they are and are listed: only what is certain is mended without being asked.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sightline.data import boxes
from sightline.data.classes import ordered, positive
from sightline.data.cleaning import KINDS, respelt, spellings
from sightline.data.duplicates import alike, disagreement
from sightline.data.manifest import manifest_hash, said, without
from sightline.data.matches import Matches
from sightline.data.names import right_name
from sightline.data.survey import Survey
from sightline.errors import UsageError
from sightline.types import Annotation, Dataset, Finding, Item

# kind -> what --fix does, in words; kinds that are not here are listed only, and can be left out with --drop
DONE = {
    "unreadable": "left out",
    "blank": "left out",
    "leak": "the copy in training left out",
    "exact_duplicate": "one kept",
    "near_duplicate": "the largest kept, where certain",
    "label_spelling": "one spelling for all, where certain",
    "wrong_name": "renamed",
    "private_metadata": "taken out",
    "missing_label": "left out",
    "bad_box": "cut at the edge, put in order, else left out",
    "doubled_box": "one kept, where certain",
}
DROPPABLE = (
    "label_conflict",
    "label_error",
    "near_duplicate",
    "dark",
    "bright",
    "blurred",
    "tiny",
    "odd_aspect",
    "outlier",
    "tiny_box",
)
_BOXES = frozenset({"tiny_box"})  # of DROPPABLE those of which a box is left out, not its picture
_RANK = {"test": 0, "val": 1, "train": 2, None: 2}  # of two copies the one that is tested on stays
# Two files are certainly one picture when it was only saved or scaled again: nearly the same hash, colours and shape.
CERTAIN_BITS = 4
CERTAIN_COLOURS = 0.004
CERTAIN_SHAPE = 0.02  # difference of the two ratios of width to height
# Garments photographed the same way reach 0.994; mirrored, turned and smaller copies have 0.998 and more, cropped ones half of
# the time
CERTAIN_COPY = 0.995


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done. dropped: picture -> the kind of finding it is left out for; the others: old -> new."""

    dropped: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    truths: Mapping[str, tuple[Annotation, ...]] = field(default_factory=dict)  # picture -> its truth without bad boxes

    def counts(self) -> dict[str, int]:
        """Pictures left out by kind, in the order of KINDS."""
        found = Counter(self.dropped.values())
        return {kind: found[kind] for kind in KINDS if kind in found}


def chosen(drop: str) -> frozenset[str]:
    """The kinds of `--drop blurred,outlier`; UsageError names the nearest."""
    import difflib

    kinds = [word.strip() for word in drop.split(",") if word.strip()]
    for kind in kinds:
        if kind not in DROPPABLE:
            near = difflib.get_close_matches(kind, DROPPABLE, 1)
            hint = f"did you mean {near[0]}?" if near else "kinds: " + ", ".join(DROPPABLE)
            what = "is mended by --fix as it is" if kind in DONE else "is no kind that can be left out"
            raise UsageError(f"--drop {kind!r} {what}", hint=hint)
    return frozenset(kinds)


def plan(
    dataset: Dataset, seen: Survey, findings: Sequence[Finding], drop: Collection[str] = (), matches: Matches | None = None
) -> Plan:
    """What to do about `findings`; the kinds in `drop` are left out as well (of pictures that look the same: all but one).

    `matches`: as of `cleaning.look_over`. A hidden copy in training of what is tested on goes; others are listed only.
    """
    parts = {item.name: item.split for item in dataset.items}
    dropped: dict[str, str] = {}
    for finding in findings:
        if finding.kind in ("unreadable", "blank"):
            dropped.update(dict.fromkeys(finding.items, finding.kind))
    for finding in findings:
        if finding.kind in drop and finding.kind not in _BOXES:
            several = finding.kind == "near_duplicate"
            names = sorted(finding.items, key=lambda name: _RANK[parts.get(name)])[1:] if several else finding.items
            for name in names:
                dropped.setdefault(name, finding.kind)
    _copies(dataset, seen, matches, dropped)
    renamed = {
        item.name: better
        for item, kind in zip(dataset.items, seen.formats.tolist(), strict=True)
        if item.name not in dropped and (better := right_name(item.name, kind.decode())) != item.name
    }
    return Plan(
        dropped={name: kind for name, kind in dropped.items() if name in parts},
        labels={other: group.right for group in spellings(dataset) if group.sure for other in group.others},
        names=_unique(renamed, parts.keys() - dropped.keys()),
        truths=_truths(dataset, seen, findings, drop, dropped),
    )


def _truths(
    dataset: Dataset, seen: Survey, findings: Sequence[Finding], drop: Collection[str], dropped: Collection[str]
) -> dict[str, tuple[Annotation, ...]]:
    """Of the pictures with a doubled (or dropped) box the truth that is left."""
    named = {finding.items[0] for finding in findings if finding.kind == "doubled_box" or finding.kind in _BOXES & set(drop)}
    found = {}
    for spot, item in enumerate(dataset.items):
        if item.name in named and item.name not in dropped:
            truth = boxes.mended(item, drop, int(seen.widths[spot]), int(seen.heights[spot]))
            if truth != item.truth:
                found[item.name] = truth
    return found


def mended(dataset: Dataset, plan: Plan) -> Dataset:
    """The dataset after the plan: fewer pictures, corrected names and labels; classes that lost their last picture are gone."""
    held = tuple(
        item.model_copy(update={"truth": plan.truths[item.name]}) if item.name in plan.truths else item
        for item in dataset.items
    )
    dataset = dataset.model_copy(update={"items": held})
    left = without(respelt(dataset, plan.labels), plan.dropped.keys())
    items = tuple(
        item.model_copy(update={"name": plan.names[item.name]}) if item.name in plan.names else item for item in left.items
    )
    used = {label for item in items for label in item.labels}
    lost = {plan.labels.get(one, one) for item in dataset.items if item.name in plan.dropped for one in item.labels} - used
    classes = ordered([label for label in left.classes if label not in lost])
    task, yes = dataset.task, dataset.positive
    if task in ("binary", "multiclass"):
        task, yes = ("binary", positive(classes)) if len(classes) == 2 else ("multiclass", None)
    return left.model_copy(
        update={"items": items, "classes": classes, "task": task, "positive": yes, "hash": manifest_hash(items)}
    )


def _unique(names: Mapping[str, str], taken: Collection[str]) -> dict[str, str]:
    """New names that no other picture has: cat.jpg becomes cat-2.jpg where there is a cat.jpg."""
    used = {name.casefold() for name in taken if name not in names}
    found = {}
    for old, new in sorted(names.items()):
        stem, dot, suffix = new.rpartition(".")
        name, number = new, 1
        while name.casefold() in used:
            number += 1
            name = f"{stem}-{number}{dot}{suffix}"
        used.add(name.casefold())
        found[old] = name
    return found


# --- copies: which of them stays


def _copies(dataset: Dataset, seen: Survey, matches: Matches | None, dropped: dict[str, str]) -> None:
    """Adds to `dropped`: copies in training of what is tested on, equal files, smaller versions of the same picture."""
    items = dataset.items
    ranks = [_RANK[item.split] for item in items]
    gone = {spot for spot, item in enumerate(items) if item.name in dropped}

    def leave_out(spots: Iterable[int], kind: str) -> None:
        fresh = set(spots) - gone
        gone.update(fresh)
        dropped.update({items[spot].name: kind for spot in fresh})

    groups = _equal_contents(seen, gone)
    for spots in groups:
        given = [spot for spot in spots if items[spot].split]
        best = min((ranks[spot] for spot in given), default=0)
        leave_out((spot for spot in given if ranks[spot] > best), "leak")
    links = [*_links(seen), *_hidden(seen, matches)]
    across = [(a, b) for a, b, _ in links if items[a].split and items[b].split and ranks[a] != ranks[b]]
    for a, b in sorted(across, key=lambda pair: min(ranks[pair[0]], ranks[pair[1]])):  # test before validation
        if a not in gone and b not in gone:
            leave_out([a if ranks[a] > ranks[b] else b], "leak")
    for spots in groups:
        left = sorted((spot for spot in spots if spot not in gone), key=lambda spot: (ranks[spot], items[spot].name))
        if len({_truth(items[spot]) for spot in left}) == 1:  # else a label conflict: which one is right is not ours to say
            leave_out(left[1:], "exact_duplicate")
    near: dict[int, set[int]] = defaultdict(set)
    for a, b, sure in links:
        if sure and a not in gone and b not in gone and _say_the_same(dataset, seen, a, b):
            near[a].add(b)
            near[b].add(a)
    for spot in sorted(near, key=lambda spot: (ranks[spot], *_worth(items[spot], seen, spot))):
        if spot not in gone:
            leave_out(near[spot], "near_duplicate")


def _say_the_same(dataset: Dataset, seen: Survey, a: int, b: int) -> bool:
    """Whether two versions of a picture have the same labels, and their boxes the same places."""
    one, other = dataset.items[a], dataset.items[b]
    if dataset.task != "detection":
        return set(one.labels) == set(other.labels)
    sizes = [(int(seen.widths[spot]), int(seen.heights[spot])) for spot in (a, b)]
    return min(*sizes[0], *sizes[1]) > 0 and boxes.agree(one, other, *sizes)


def _worth(item: Item, seen: Survey, spot: int) -> tuple[int, int, str]:
    """Sorts the best version first: most pixels, then most bytes (less was lost in saving or blurring)."""
    try:
        size = Path(item.uri).stat().st_size
    except OSError:
        size = 0
    return -int(seen.widths[spot]) * int(seen.heights[spot]), -size, item.name


def _truth(item: Item) -> frozenset[str]:
    return frozenset(map(said, item.truth))


def _equal_contents(seen: Survey, gone: Collection[int]) -> list[list[int]]:
    groups: dict[str, list[int]] = defaultdict(list)
    for spot, sha in enumerate(seen.sha256):
        if sha and spot not in gone:
            groups[sha].append(spot)
    return [spots for spots in groups.values() if len(spots) > 1]


def _links(seen: Survey) -> list[tuple[int, int, bool]]:
    """(first, second, certainly one picture) for every two files that differ but look the same."""
    pairs = alike(seen.hashes, seen.miniatures)
    if not len(pairs):
        return []
    first, second = pairs.T
    bits = np.bitwise_count(seen.hashes[first] ^ seen.hashes[second])
    colours = disagreement(seen.miniatures[first], seen.miniatures[second])
    shapes = np.log(np.maximum(seen.widths, 1) / np.maximum(seen.heights, 1))
    shape = np.abs(shapes[first] - shapes[second])
    sure = (bits <= CERTAIN_BITS) & (colours <= CERTAIN_COLOURS) & (shape <= CERTAIN_SHAPE)
    same = [seen.sha256[a] == seen.sha256[b] for a, b in pairs.tolist()]
    found = zip(first.tolist(), second.tolist(), sure.tolist(), same, strict=True)
    return [(a, b, certain) for a, b, certain, equal in found if not equal]


def _hidden(seen: Survey, matches: Matches | None) -> list[tuple[int, int, bool]]:
    """The same for copies that only a closer look finds; never certain enough to go where no test is at stake."""
    if matches is None:
        return []
    sure = matches.score >= CERTAIN_COPY
    pairs = zip(matches.first[sure].tolist(), matches.second[sure].tolist(), strict=True)
    return [(a, b, False) for a, b in pairs if seen.sha256[a] != seen.sha256[b]]
