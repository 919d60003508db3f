"""The names of YOLO's classes: data.yaml, of which only the few keys that matter are understood, and plain lists of names.

Not a YAML reader: keys at the start of a line, lists and mappings of plain or quoted words, in one line or one a line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sightline.data.formats.documents import text_of
from sightline.data.listing import SPLITS
from sightline.types import Skeleton, Split

MOST = 1 << 22  # bytes; COCO's has 2 KB
_MOST_CLASSES = 100_000
_KEY = re.compile(r"([A-Za-z_][\w-]*)\s*:(?:\s+(.*)|)$")
_ENTRY = re.compile(r"""\s*(?:-\s+|["']?(\d{1,6})["']?\s*:\s*)(.*)$""")
_PAIR = re.compile(r"""\s*(?:["']?(\d{1,6})["']?\s*:\s*)?(.*)$""")


@dataclass(frozen=True, slots=True)
class Names:
    """Class number -> name; split -> the folders or lists given for it; points of an object and numbers of a point."""

    classes: dict[int, str] = field(default_factory=dict)
    splits: dict[Split, tuple[str, ...]] = field(default_factory=dict)
    keypoints: tuple[int, int] = (0, 0)
    skeletons: dict[int, Skeleton] = field(default_factory=dict)


def class_names(path: Path) -> Names:
    """Of a .yaml, or of a list with a name a line; DatasetError when it cannot be read."""
    text = text_of(path, MOST)
    if path.suffix.lower() not in (".yaml", ".yml"):
        names = [line.strip() for line in text.splitlines()]
        return Names({number: name for number, name in enumerate(names[:_MOST_CLASSES]) if name})
    values = _values(text)
    shape = [int(word) for _, word in values.get("kpt_shape", []) if word.isdecimal() and len(word) < 6]
    splits: dict[Split, tuple[str, ...]] = {}
    for key, entries in values.items():
        if key in SPLITS and (found := tuple(word for _, word in entries if word)):
            splits[SPLITS[key]] = found
    return Names(
        {number: name for number, name in values.get("names", [])[:_MOST_CLASSES] if name},
        splits,
        (shape[0], shape[1]) if len(shape) == 2 and shape[1] in (2, 3) else (0, 0),
        _skeletons(values.get("kpt_names", [])),
    )


def _skeletons(entries: list[tuple[int, str]]) -> dict[int, Skeleton]:
    """Of `kpt_names`: a class number and no word begins a class, the words below it are its points."""
    found: dict[int, list[str]] = {}
    points: list[str] = []
    for number, word in entries:
        if word:
            points.append(word)
        else:
            points = found.setdefault(number, [])
    return {number: Skeleton(points=tuple(names)) for number, names in found.items() if names}


def _values(text: str) -> dict[str, list[tuple[int, str]]]:
    """Top-level key -> its numbered words; a single word is number 0."""
    blocks: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        bare = _uncommented(line)
        key = _KEY.match(bare)
        if key is not None:
            current = blocks.setdefault(key[1], [])
            current.append((key[2] or "").strip())
        elif bare.strip():
            current.append(bare)
    return {key: _words(lines) for key, lines in blocks.items()}


def _words(lines: list[str]) -> list[tuple[int, str]]:
    first, *rest = lines
    if first.startswith(("[", "{")):  # perhaps over several lines
        flow = " ".join([first, *rest]).strip()
        return _numbered(_PAIR.match(part) for part in _parts(flow[1:].rstrip("]} ")))
    if first:
        return [(0, _unquoted(first))]
    return _numbered(_ENTRY.match(line) for line in rest)


def _parts(flow: str) -> Iterator[str]:
    """What stands between the commas that are not between quotes."""
    start, quote = 0, ""
    for at, sign in enumerate(flow):
        if quote:
            quote = "" if sign == quote and flow[at - 1] != "\\" else quote
        elif sign in "\"'" and not flow[start:at].strip()[:1].isalpha():
            quote = sign
        elif sign == ",":
            yield flow[start:at]
            start = at + 1
    if flow[start:].strip():
        yield flow[start:]


def _numbered(entries: Iterable[re.Match[str] | None]) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for entry in entries:
        if entry is not None:
            found.append((int(entry[1]) if entry[1] is not None else len(found), _unquoted(entry[2])))
    return found


def _unquoted(word: str) -> str:
    word = word.strip()
    if len(word) >= 2 and word[0] == word[-1] == "'":
        return word[1:-1].replace("''", "'").strip()
    if len(word) >= 2 and word[0] == word[-1] == '"':
        try:
            found = json.loads(word)
        except ValueError:
            return word[1:-1].strip()
        return found.strip() if isinstance(found, str) else ""
    return word


def _uncommented(line: str) -> str:
    """Without ` # ...`, unless it stands between quotes."""
    quote = ""
    for at, sign in enumerate(line):
        if quote:
            quote = "" if sign == quote and line[at - 1] != "\\" else quote
        elif sign in "\"'" and (at == 0 or line[at - 1] in " [{,:-"):
            quote = sign
        elif sign == "#" and (at == 0 or line[at - 1] in " \t"):
            return line[:at].rstrip()
    return line.rstrip()


def names_text(classes: Sequence[str], splits: Sequence[str]) -> str:
    """A data.yaml that every YOLO program reads."""
    folders = "".join(f"{split}: images/{split}\n" for split in splits)
    names = "".join(f"  {number}: {json.dumps(name, ensure_ascii=False)}\n" for number, name in enumerate(classes))
    return f"path: .\n{folders}nc: {len(classes)}\nnames:\n{names}"


def keypoints_text(points: int, skeletons: Mapping[str, Skeleton], classes: Mapping[str, int]) -> str:
    """The lines about keypoints: how many a thing has, which change places in a mirror, and their names."""
    named = next(iter(skeletons.values()), None)
    swapped = named.mirrored if named else ()
    flip = [*swapped, *range(len(swapped), points)]
    text = f"kpt_shape: [{points}, 3]\nflip_idx: [{', '.join(map(str, flip))}]\n"
    if skeletons:
        text += "kpt_names:\n"
        for name, skeleton in skeletons.items():
            text += f"  {classes[name]}:\n" + "".join(
                f"    - {json.dumps(one, ensure_ascii=False)}\n" for one in skeleton.points
            )
    return text
