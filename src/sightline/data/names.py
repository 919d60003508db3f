"""Names that go wrong: of picture files (suffix, characters no system likes) and of labels (the same word spelt twice).

Judges text only: what is in a file is said by the caller. Nothing is renamed here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import NamedTuple

# format -> its suffixes, the usual one first
SUFFIXES_OF: dict[str, tuple[str, ...]] = {
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "png": (".png",),
    "tiff": (".tif", ".tiff"),
    "bmp": (".bmp",),
    "gif": (".gif",),
    "webp": (".webp",),
    "heic": (".heic", ".heif"),
    "avif": (".avif", ".heif"),
}
_PICTURES = frozenset(suffix for suffixes in SUFFIXES_OF.values() for suffix in suffixes)
# suffixes that run or unpack: before a picture's they are a disguise or a mishap
_RUNS = ".exe .bat .cmd .com .scr .js .vbs .ps1 .sh .php .html .htm .svg .pdf .zip .tar .gz .doc .docx"
_OTHERS = frozenset(_RUNS.split())
_RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})
_FORBIDDEN = re.compile(r'[<>:"\\|?*]')
# control characters, and those that cannot be seen or turn the direction of the text
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_MARK = re.compile(r" \[(?:train|val|test|again)\]\+*$")  # what a reader puts behind a name that it met twice


def wrong_name(name: str, kind: str = "") -> str:
    """What is wrong with a picture's name (path with `/`), in words; "" when nothing is. `kind`: the format of its bytes.

    >>> wrong_name("red/cat.png", "jpeg"), wrong_name("cat.JPG", "jpeg")
    ("it is a JPEG, but its name ends in '.png'", '')
    """
    found = list(_faults(_MARK.sub("", name), kind))
    return "; ".join(found)


def _faults(name: str, kind: str) -> Iterator[str]:
    parts = name.split("/")
    if any(_UNSEEN.search(part) for part in parts):
        yield "its name holds characters that cannot be seen"
    if any(part != part.strip() or part.endswith(".") for part in parts):
        yield "its name begins or ends with a blank or ends with a dot"
    if any(part.split(".")[0].strip().lower() in _RESERVED for part in parts):
        yield "its name is reserved on Windows"
    if any(_FORBIDDEN.search(part) for part in parts):
        yield "its name holds a character that Windows refuses"
    stem, suffix = _cut(parts[-1])
    if suffix and (stem != stem.strip() or stem.endswith(".")):
        yield f"a blank or dot stands before '{suffix}'"
    inner = _cut(stem)[1].lower()
    if inner in _PICTURES or inner in _OTHERS:
        yield f"its name ends twice: '{inner}{suffix}'"
    fitting = SUFFIXES_OF.get(kind, ())
    if fitting and suffix.lower() not in fitting:
        said = f"its name ends in '{suffix}'" if suffix else "its name has no suffix"
        yield f"it is a {kind.upper()}, but {said}"


def right_name(name: str, kind: str = "") -> str:
    """A name without those faults; a right one stays as it is.

    >>> right_name("red/cat .jpg.png", "jpeg"), right_name("con.jpg", "jpeg")
    ('red/cat.jpg', '_con.jpg')
    """
    plain, mark = _MARK.sub("", name), ""
    if plain != name:
        mark = name[len(plain) :]
    if not wrong_name(plain, kind):
        return name
    *folders, last = plain.split("/")
    stem, suffix = _cut(last)
    while (more := _cut(stem))[1].lower() in _PICTURES | _OTHERS:
        stem = more[0]
    fitting = SUFFIXES_OF.get(kind, ())
    if fitting and suffix.lower() not in fitting:
        suffix = fitting[0]
    return "/".join([*map(_part, folders), _part(stem) + suffix]) + mark


def _part(text: str) -> str:
    clean = _FORBIDDEN.sub("_", _UNSEEN.sub("", text)).strip(" ").rstrip(" .").strip()
    return f"_{clean}" if not clean or clean.split(".")[0].strip().lower() in _RESERVED else clean


def _cut(name: str) -> tuple[str, str]:
    """("cat.x", ".jpg") for "cat.x.jpg"; no suffix for ".hidden", "cat." and for what is too long to be one."""
    stem, dot, end = name.rpartition(".")
    return (stem, dot + end) if stem and 0 < len(end) <= 5 and end.isalnum() else (name, "")


# --- labels


class Spelling(NamedTuple):
    """Labels that are probably one; `right` is the most frequent. `sure`: safe to merge without asking."""

    right: str
    others: tuple[str, ...]
    score: float
    why: str
    sure: bool


_RARE = 10  # times rarer than the other label: only then a letter more or less is a slip and no word of its own
_LONG = 6  # letters of a word from which one edit is a slip: shirt and skirt are both right


def label_spellings(counts: Mapping[str, int]) -> list[Spelling]:
    """Groups of labels that differ only in spelling. counts: label -> pictures.

    The same but for case, blanks, `_`, `-` and accents: sure. Singular and plural (English): sure when one is at most a third
    as frequent. One letter more, less, other or swapped in a long word: only when one side is rare. Labels whose digits differ
    (`cat1`, `cat2`) are never one.
    """
    found = _equal(counts, _plain, 1.0, "differ only in case, blanks, dashes or accents")
    leading = {other: group.right for group in found for other in group.others}
    merged = {label: 0 for label in counts if label not in leading}
    for label, count in counts.items():
        merged[leading.get(label, label)] += count
    for group in _equal(merged, _singular, 0.9, "are singular and plural of one word"):
        most = merged[group.right]
        found.append(group._replace(sure=all(3 * merged[other] <= most for other in group.others)))
        for other in group.others:
            merged.pop(other)
    found += _slips(merged)
    return sorted(found, key=lambda group: (-group.score, group.right))


def _equal(counts: Mapping[str, int], key_of: object, score: float, why: str) -> list[Spelling]:
    groups: dict[object, list[str]] = {}
    for label in counts:
        groups.setdefault(key_of(label), []).append(label)  # type: ignore[operator]
    found = []
    for labels in groups.values():
        if len(labels) > 1:
            right, *others = sorted(labels, key=lambda label: (-counts[label], label))
            found.append(Spelling(right, tuple(others), score, why, True))
    return found


def _slips(counts: Mapping[str, int]) -> list[Spelling]:
    """Rare labels with the frequent one each is a slip of; near ones are found through the words with one letter left out."""
    words = {label: _words(label) for label in counts}
    by_gap: dict[tuple[str, ...], list[str]] = {}
    for label, own in words.items():
        for key in _gaps(own):
            by_gap.setdefault(key, []).append(label)
    best: dict[str, str] = {}
    for labels in by_gap.values():
        for rare in labels:
            for other in labels:
                often = counts[other] >= _RARE * max(counts[rare], 1) and counts[other] > counts.get(best.get(rare, ""), 0)
                if other != rare and often and _one_slip(words[rare], words[other]):
                    best[rare] = other
    groups: dict[str, list[str]] = {}
    for rare, right in sorted(best.items()):
        if right not in best:
            groups.setdefault(right, []).append(rare)
    return [Spelling(right, tuple(rare), 0.7, "differ in one letter", True) for right, rare in groups.items()]


def _gaps(words: tuple[str, ...]) -> set[tuple[str, ...]]:
    """The words themselves, and with any one letter of a long word left out."""
    keys = {words}
    for place, word in enumerate(words):
        if len(word) >= _LONG - 1:
            cuts = {word[:at] + word[at + 1 :] for at in range(1, len(word))}
            keys |= {(*words[:place], cut, *words[place + 1 :]) for cut in cuts}
    return keys


def _one_slip(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    differ = [(a, b) for a, b in zip(one, other, strict=True) if a != b] if len(one) == len(other) else []
    if len(differ) != 1:
        return False
    (a, b) = differ[0]
    if max(len(a), len(b)) < _LONG or not (a + b).isalpha() or a[0] != b[0]:
        return False
    if len(a) == len(b):
        spots = [at for at in range(len(a)) if a[at] != b[at]]
        swapped = len(spots) == 2 and spots[1] == spots[0] + 1 and a[spots[0]] == b[spots[1]] and a[spots[1]] == b[spots[0]]
        return swapped or (len(spots) == 1 and spots[0] < len(a) - 1)  # the last letter: hepatitis A and B written together
    short, long = sorted((a, b), key=len)
    return len(long) == len(short) + 1 and any(long[:at] + long[at + 1 :] == short for at in range(len(long)))


def _words(label: str) -> tuple[str, ...]:
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label)
    return tuple(re.split(r"[\s_\-]+", _folded(parted).strip(" _-")))


def _plain(label: str) -> tuple[str, tuple[str, ...]]:
    """The letters alone, and the numbers as they stand: `v1 0` is not `v10`."""
    folded = _folded(label)
    return re.sub(r"[\s_\-]+", "", folded), tuple(re.findall(r"\d+", folded))


def _singular(label: str) -> tuple[str, tuple[str, ...]]:
    words = [_one_of(word) for word in _words(label)]
    return "".join(words), tuple(re.findall(r"\d+", _folded(label)))


def _one_of(word: str) -> str:
    """English, regular: berries -> berry, boxes -> box, cats -> cat; glass, bus, iris stay."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "xes", "ches", "shes", "zzes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is", "as")):
        return word[:-1]
    return word


def _folded(label: str) -> str:
    """Without case, width and the accents of Latin letters; marks of other scripts change the word and stay."""
    kept: list[str] = []
    for letter in unicodedata.normalize("NFD", unicodedata.normalize("NFKC", label)):
        if not (unicodedata.combining(letter) and kept and kept[-1].isascii()):
            kept.append(letter)
    return unicodedata.normalize("NFC", "".join(kept)).casefold()
