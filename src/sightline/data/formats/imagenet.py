"""ImageNet's layout: train/n01440764/*.JPEG, val in folders or flat with a list, and a file that says what a synset is called.

Labels are the first words of a synset; where two synsets share them, the synset stands behind: crane (n02012849). Russakovsky
et al., ImageNet Large Scale Visual Recognition Challenge (2015).
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from sightline.data.formats.documents import json_of
from sightline.data.formats.folders import split_folders
from sightline.data.formats.format import Export, Format
from sightline.data.formats.lines import lines
from sightline.data.listing import SPLITS, Listing, Row, left_out
from sightline.data.place import Place
from sightline.errors import DatasetError
from sightline.progress import note
from sightline.types import Failure, Split

_SYNSET = re.compile(r"^n\d{8}$")
_LABELLED = re.compile(r"\((n\d{8})\)$|^(n\d{8})$")
# files that say what a synset is called, the most exact first
_WORDS = ("imagenet_class_index.json", "loc_synset_mapping.txt", "synset_words.txt", "map_clsloc.txt", "words.txt")
# files that give pictures outside synset folders their synset
_LISTS = re.compile(r"^(loc_val_solution\.csv|val_annotations\.txt|val\.txt|.*validation.*(ground_truth|synset_labels)\.txt)$")


def _recognised(place: Place) -> bool:
    """Synset folders, and a file that says more than their names do; without one they are plain class folders."""
    return place.given is None and bool(_named(place, _WORDS) or _lists(place)) and any(True for _ in _in_synsets(place))


def _named(place: Place, wanted: Iterable[str]) -> dict[str, str]:
    """The files of these names (lower case), the one highest up of each."""
    found: dict[str, str] = {}
    for file in sorted(place.documents(".txt", ".json", ".csv"), key=lambda file: (file.count("/"), file)):
        name = file.rpartition("/")[2].lower()
        if name in wanted:
            found.setdefault(name, file)
    return {name: found[name] for name in wanted if name in found}


def _lists(place: Place) -> list[str]:
    return [file for file in place.documents(".txt", ".csv") if _LISTS.match(file.rpartition("/")[2].lower())]


def _in_synsets(place: Place) -> Iterator[tuple[str, str]]:
    """(file, synset) of every picture below a synset folder."""
    for file in place.tree.pictures():
        synset = next((part for part in reversed(file.split("/")[:-1]) if _SYNSET.match(part)), None)
        if synset:
            yield file, synset


def _split(file: str) -> Split | None:
    return next((SPLITS[part.lower()] for part in file.split("/")[:-1] if part.lower() in SPLITS), None)


def _read(place: Place) -> Listing:
    failures: list[Failure] = []
    found = dict(_in_synsets(place))
    if not found:
        raise DatasetError(f"there are no synset folders in {place.tree.root.name}", hint="expected train/n01440764/*.JPEG")
    words, numbers = _words(place)
    numbers = numbers._replace(plain=numbers.plain or tuple(sorted(set(found.values()))))
    flat = [file for file in place.tree.pictures() if file not in found]
    found |= _listed(place, flat, numbers, failures)
    for split, lost in Counter(_split(file) for file in flat if file not in found).items():
        where = f"{place.tree.prefix}{split or ''} ({lost:,} pictures)"
        failures.append(left_out(where, "label_missing", f"{lost:,} pictures stand in no synset folder and in no list"))
    labels = _labels(set(found.values()), words)
    root, prefix = place.tree.root, place.tree.prefix
    rows = tuple(Row(f"{root}/{file}", prefix + file, (labels[synset],), _split(file)) for file, synset in found.items())
    return Listing(rows, tuple(failures), kind="imagenet")


class _Numbers(NamedTuple):
    """What a class number means: in most lists the place in the alphabet, from 0; in the devkit its own order."""

    plain: tuple[str, ...] = ()
    devkit: Mapping[int, str] = {}


def _words(place: Place) -> tuple[dict[str, str], _Numbers]:
    """What each synset is called, and what numbers of classes mean."""
    words: dict[str, str] = {}
    devkit: dict[int, str] = {}
    plain: tuple[str, ...] = ()
    for name, file in _named(place, _WORDS).items():
        path = place.tree.root / file
        if name.endswith(".json"):
            words = _class_index(path)
        elif name == "map_clsloc.txt":  # n02119789 1 kit_fox
            for _, text in lines(path):
                synset, number, label = [*text.split(None, 2), "", ""][:3]
                words.setdefault(synset, label)
                if number.isdecimal() and len(number) < 9:
                    devkit[int(number)] = synset
        elif not words:  # n01440764 tench, Tinca tinca
            for _, text in lines(path):
                synset, label = [*text.split(None, 1), ""][:2]
                words[synset] = label.partition(",")[0].strip()
        if name != "words.txt":  # which names all of WordNet
            plain = tuple(sorted(words))
    return words, _Numbers(plain, devkit)


def _class_index(path: Path) -> dict[str, str]:
    """{"0": ["n01440764", "tench"], ...}; entries of another kind are passed over."""
    values = json_of(path)
    pairs = values.values() if isinstance(values, dict) else ()
    return {
        pair[0]: pair[1]
        for pair in pairs
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(s, str) for s in pair)
    }


def _labels(synsets: set[str], words: dict[str, str]) -> dict[str, str]:
    """Synset -> label: its words, with the synset behind them where another one has the same; without words the synset."""
    counts = Counter(words.get(synset, "") for synset in synsets)
    return {
        synset: synset if not word else word if counts[word] == 1 else f"{word} ({synset})"
        for synset in synsets
        for word in (words.get(synset, "").strip(),)
    }


# --- lists: the synsets of flat validation pictures


def _listed(place: Place, flat: list[str], numbers: _Numbers, failures: list[Failure]) -> dict[str, str]:
    """The synset of each flat picture that a list names (or, in a list without names, stands at its number)."""
    by_name: dict[str, str] = {}
    for file in sorted(flat, key=lambda file: _split(file) != "val"):  # the lists are about these
        name = file.rpartition("/")[2]
        by_name.setdefault(name, file)
        by_name.setdefault(name.rpartition(".")[0], file)
    plain = dict(enumerate(numbers.plain))
    found: dict[str, str] = {}
    for file in _lists(place) if flat else ():
        path = place.tree.root / file
        unnamed: list[str] = []
        for number, cells in _cells(path):
            if len(cells) == 1:
                unnamed.append(cells[0])
                continue
            synset = _synset(cells[1], plain)
            picture = by_name.get(cells[0].rpartition("/")[2])
            if picture is not None and synset is not None:
                found[picture] = synset
            elif picture is not None:
                message = f"{path.name} line {number}: {cells[1][:40]!r} is no synset and no number of one"
                failures.append(left_out(place.tree.prefix + picture, "label_unknown", message))
        if unnamed:
            try:
                found |= _in_order(path, flat, [_synset(text, numbers.devkit) for text in unnamed])
            except DatasetError as error:
                failures.append(left_out(place.tree.prefix + file, "label_unknown", error.message, error.hint))
    return found


def _cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """A line's name and first label: `x.JPEG n01440764 ...`, `x.JPEG 65`, `ImageId,n01440764 1 2 3 4`, or only a label."""
    for number, text in lines(path):
        if path.suffix.lower() == ".csv":
            try:
                cells = next(csv.reader([text]), [])
            except csv.Error:
                continue
            words = [cells[0].strip(), *(cells[1].split()[:1] if len(cells) > 1 else [])]
            if len(words) > 1 and words[0].lower() != "imageid":
                yield number, words
        else:
            yield number, text.split()[:2]


def _in_order(path: Path, flat: list[str], synsets: list[str | None]) -> dict[str, str]:
    """A list of nothing but labels is in the order of the pictures' names. Raises DatasetError when it does not fit them."""
    pictures = sorted(file for file in flat if _split(file) == "val") or sorted(flat)
    if len(pictures) != len(synsets):
        raise DatasetError(f"{path.name} has {len(synsets):,} lines for {len(pictures):,} pictures", hint="check the list")
    if None in synsets:
        raise DatasetError(
            f"{path.name} holds numbers in the devkit's own order", hint="put the devkit's map_clsloc.txt beside it"
        )
    return {file: synset for file, synset in zip(pictures, synsets, strict=True) if synset}


def _synset(text: str, order: Mapping[int, str]) -> str | None:
    if _SYNSET.match(text):
        return text
    return order.get(int(text)) if text.isdecimal() and len(text) < 9 else None


# --- writing


def _write(work: Export) -> None:
    synsets = _synsets(work.dataset.classes)
    split_folder = split_folders(work.dataset)
    for picture in work.pictures():
        try:
            above = split_folder(picture.item)
        except DatasetError as error:
            work.fail(picture.item, error)
            work.written -= 1
            continue
        name = f"{picture.stem}.JPEG" if picture.name.endswith(".jpg") else picture.name
        work.put(f"{above}{synsets[picture.item.labels[0]]}/{name}", picture.data)
    named = sorted((synset, label) for label, synset in synsets.items())
    index = {str(number): [synset, label] for number, (synset, label) in enumerate(named)}
    work.put("imagenet_class_index.json", json.dumps(index, ensure_ascii=False, indent=0) + "\n")
    work.put("LOC_synset_mapping.txt", "".join(f"{synset} {' '.join(label.split())}\n" for synset, label in named))


def _synsets(labels: tuple[str, ...]) -> dict[str, str]:
    """The synset that a label names itself, else a number made from the label that WordNet (up to n15 ...) does not use."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for label in sorted(labels, key=lambda label: (_LABELLED.search(label) is None, label)):
        match = _LABELLED.search(label)
        synset = (match[1] or match[2]) if match else ""
        number = int(hashlib.sha256(label.encode(errors="replace")).hexdigest()[:12], 16)
        while not synset or synset in taken:
            synset = f"n9{number % 10_000_000:07d}"
            number += 1
        taken.add(synset)
        found[label] = synset
    made = sum(synset.startswith("n9") for synset in found.values())
    if made:
        note(f"{made:,} labels have no WordNet number: theirs are made up (n9...), LOC_synset_mapping.txt says which is which")
    return found


FORMAT = Format("ImageNet", _recognised, _read, _write, frozenset({"labels", "splits"}))
