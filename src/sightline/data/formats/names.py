"""File names that every system takes: no path, no reserved word, no two that differ only in case. Knows no pictures."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from sightline.data.pictures import is_picture

_RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')
MOST = 120  # bytes of a stem: with a suffix and a folder or two it stays below what any system allows


def safe(name: str) -> str:
    """One path component made of `name`; a safe one stays as it is, so a second export gives the same names.

    >>> safe("../a:b?.txt"), safe("CON"), safe(".hidden"), safe("")
    ('_a_b_.txt', '_CON', '_hidden', '_')
    """
    plain = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", name)).strip(" ")
    plain = plain.lstrip(".").rstrip(" .") if plain.startswith("..") else plain.rstrip(" .")
    if plain.startswith("."):  # hidden files are not read again
        plain = "_" + plain[1:]
    if not plain or plain.partition(".")[0].rstrip().lower() in _RESERVED:
        plain = "_" + plain
    raw = plain.encode()
    if len(raw) <= MOST:
        return plain
    mark = hashlib.sha256(raw).hexdigest()[:8]
    return raw[: MOST - 9].decode(errors="ignore").rstrip(" .") + "-" + mark


def stems(names: Sequence[str]) -> list[str]:
    """A safe stem for each name (a path with `/`): its last part without the picture's suffix, unique without regard to case.

    Names that share their last part get their folders before it: red/1.jpg, blue/1.jpg -> red-1, blue-1.

    >>> stems(["red/1.jpg", "blue/1.png", "a/x.jpg", "x.y.jpg"])
    ['red-1', 'blue-1', 'x', 'x.y']
    """
    plain = [name.rpartition(".")[0] if is_picture(name) else name for name in names]
    short = [safe(name.rpartition("/")[2]) for name in plain]
    counts = Counter(map(_key, short))
    chosen = [
        stem if counts[_key(stem)] == 1 else safe("-".join(part for part in name.split("/") if part))
        for stem, name in zip(short, plain, strict=True)
    ]
    taken = {_key(stem) for stem in chosen if counts[_key(stem)] == 1}
    found = list(chosen)
    for index in sorted(range(len(names)), key=lambda index: names[index]):
        stem = chosen[index]
        if counts[_key(stem)] == 1 and stem == short[index]:
            continue
        number = 1
        while _key(found[index]) in taken:
            number += 1
            found[index] = safe(f"{stem}-{number}")
        taken.add(_key(found[index]))
    return found


def _key(stem: str) -> str:
    return unicodedata.normalize("NFC", stem).casefold()
