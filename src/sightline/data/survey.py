"""One pass over all pictures of a dataset: contents, looks, sizes, unreadable ones. `check`, `split` and `clean` share it.

JPEGs are decoded at a fraction of their size: 3,409 photographs of 400 x 534 pixels take about 2.4 s of one core. About 600
bytes a picture are kept in memory.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightline.data.bits import Pairs
from sightline.data.duplicates import families, merged
from sightline.data.kept import Kept, kept
from sightline.data.looks import COLOURS, GREYS, SIDE, Hashes, Miniatures, look, perceptual, small
from sightline.data.manifest import in_threads
from sightline.data.matches import pairs
from sightline.data.quality import COLUMNS, MEASURES
from sightline.errors import DatasetError, SightlineError
from sightline.settings import settings
from sightline.types import Dataset, ErrorInfo, Failure

if TYPE_CHECKING:
    from sightline.runtime.pixels import Limits

SMALL = 16_000  # bytes of a file
LOOKS = 1  # to be counted up when the same picture gives other rows than before: what is kept is then computed again
LOOK = np.dtype(
    [
        ("hash", "<u8"),
        ("colours", "u1", (COLOURS, COLOURS, 3)),
        ("greys", "u1", (GREYS, GREYS)),
        ("width", "<i4"),
        ("height", "<i4"),
        ("format", "S4"),
    ]
)
QUALITY = np.dtype(("<f4", (len(COLUMNS),)))


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """What was seen of each picture, in the order of `uris`; unreadable ones have a hash of 0 and a size of 0 x 0."""

    uris: tuple[str, ...]
    sha256: tuple[str, ...]
    hashes: Hashes  # (n,)
    miniatures: Miniatures  # (n, 8, 8, 3): colours
    failures: tuple[Failure, ...]  # unreadable pictures by their names
    greys: Miniatures  # (n, 16, 16): grey values
    widths: NDArray[np.int32]  # (n,) pixels of the upright picture
    heights: NDArray[np.int32]
    formats: NDArray[np.bytes_]  # (n,) b"jpeg", b"png", ... by the bytes, whatever the file's name says; b"": no known format
    quality: NDArray[np.float32] | None = None  # (n, 7): the numbers of `quality.COLUMNS`, when asked for

    def aligned(self, dataset: Dataset) -> Survey:
        """The survey in the order of `dataset`, which may hold fewer pictures. DatasetError when it holds others."""
        uris = tuple(item.uri for item in dataset.items)
        if uris == self.uris:
            return self
        spots = {uri: spot for spot, uri in enumerate(self.uris)}
        if not all(uri in spots for uri in uris):
            raise DatasetError("the survey is about other pictures than the dataset", hint="make the survey of this dataset")
        rows = [spots[uri] for uri in uris]
        names = {item.name for item in dataset.items}
        return Survey(
            uris=uris,
            sha256=tuple(self.sha256[row] for row in rows),
            hashes=self.hashes[rows],
            miniatures=self.miniatures[rows],
            failures=tuple(failure for failure in self.failures if failure.picture in names),
            greys=self.greys[rows],
            widths=self.widths[rows],
            heights=self.heights[rows],
            formats=self.formats[rows],
            quality=None if self.quality is None else self.quality[rows],
        )

    def copies(self) -> Pairs:
        """Links (k, 2) from the first picture of each content to every other one of the same content."""
        return chained(self.sha256)

    def families(self) -> NDArray[np.int64]:
        """A number (n,) for each picture, shared by copies and by pictures that look the same, mirrored and turned ones too.

        Cropped and shifted ones beyond a few percent of the side are left to `matches.pairs`, which takes longer.
        """
        found = pairs(self, moved=False)
        return families(self.hashes, self.miniatures, np.stack([found.first, found.second], axis=1))


def survey(dataset: Dataset, *, quality: bool = False) -> Survey:
    """Look once at every picture. Unreadable ones become failures; nothing is raised for them.

    What was seen is kept by content (settings().cache/surveys): every file is read and hashed again, but only contents that
    were never seen are decoded. `quality` measures light and blur too, which decodes more pixels and takes three times as long.
    """
    uris = [item.uri for item in dataset.items]
    count = len(uris)
    rows = {name: np.zeros((count, *LOOK[name].shape), LOOK[name].base) for name in LOOK.names or ()}
    numbers = np.zeros((count, len(COLUMNS)), np.float32) if quality else None
    contents = [""] * count
    errors: dict[int, ErrorInfo] = {}
    folder = settings().cache / "surveys"
    with (
        kept(folder / f"looks-{LOOKS}", LOOK) as looks,
        kept(folder / f"quality-{LOOKS}-{MEASURES}" if quality else None, QUALITY) as rated,
    ):

        def work(spots: Sequence[int]) -> list[None]:
            seen = _look_at([uris[spot] for spot in spots], looks, rated if quality else None)
            part = slice(spots[0], spots[-1] + 1)
            for name, column in rows.items():
                column[part] = seen.rows[name]
            if numbers is not None:
                numbers[part] = seen.numbers
            contents[part] = seen.contents
            errors.update({spots[spot]: error for spot, error in seen.errors.items()})
            return [None] * len(spots)

        in_threads("Checking pictures", range(count), work, 1 if _are_small(uris) else None)
    return Survey(
        uris=tuple(uris),
        sha256=tuple(contents),
        hashes=rows["hash"],
        miniatures=rows["colours"],
        failures=tuple(Failure(picture=dataset.items[spot].name, error=errors[spot]) for spot in sorted(errors)),
        greys=rows["greys"],
        widths=rows["width"],
        heights=rows["height"],
        formats=rows["format"],
        quality=numbers,
    )


def chained(keys: Sequence[str | None]) -> Pairs:
    """Links (k, 2) between positions of equal keys; empty keys link nothing."""
    first: dict[str, int] = {}
    links = [(first.setdefault(key, spot), spot) for spot, key in enumerate(keys) if key]
    return np.array([link for link in links if link[0] != link[1]], np.int64).reshape(-1, 2)


def units(survey: Survey, groups: Sequence[str | None]) -> NDArray[np.int64]:
    """A number (n,) for each picture, shared by all that must stay on one side of a split: families joined with groups."""
    return merged(survey.families(), chained(groups))


class _Seen(NamedTuple):
    """Of some pictures: their SHA-256, rows of LOOK, quality numbers, and by place what is wrong with them."""

    contents: list[str]
    rows: NDArray[np.void]
    numbers: NDArray[np.float32]
    errors: dict[int, ErrorInfo]


def _are_small(files: Sequence[str]) -> bool:
    """Whether most are so small that threads only wait for each other: 22,000 of 2 kB took 8 s with two, 5 s with one."""
    sizes = [os.path.getsize(file) for file in files[:: max(1, len(files) // 64)] if os.path.isfile(file)]  # noqa: PTH113, PTH202
    return bool(sizes) and sorted(sizes)[len(sizes) // 2] < SMALL


def _look_at(files: Sequence[str], looks: Kept, rated: Kept | None) -> _Seen:
    from sightline.runtime.pixels import read_picture, standard_limits

    limits = standard_limits()
    seen = _Seen([""] * len(files), np.zeros(len(files), LOOK), np.zeros((len(files), len(COLUMNS)), np.float32), {})
    glances: dict[int, NDArray[np.float32]] = {}
    for spot, file in enumerate(files):
        try:
            data = read_picture(file, limits)
            sha256 = seen.contents[spot] = hashlib.sha256(data).hexdigest()
            known = looks.get(sha256)
            number = None if rated is None else rated.get(sha256)
            pixels = None
            if known is None:
                pixels, glances[spot] = _glance(data, seen.rows[spot : spot + 1], limits)
            else:
                limits.check_size(int(known["width"]), int(known["height"]))  # they may be narrower than when it was kept
                seen.rows[spot] = known
            if rated is not None:
                if number is None:
                    number = _measured(data, pixels, limits)
                    rated.add(sha256, number)
                seen.numbers[spot] = number
        except SightlineError as error:
            seen.errors[spot] = ErrorInfo(code=error.code, message=error.message, hint=error.hint)
    if glances:
        spots, greys = list(glances), np.stack(list(glances.values()))
        seen.rows["hash"][spots], seen.rows["greys"][spots] = perceptual(greys), small(greys)
        for spot in spots:
            looks.add(seen.contents[spot], seen.rows[spot])
    return seen


def _glance(data: bytes, row: NDArray[np.void], limits: Limits) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The decoded pixels and the grey values of a picture; what else is seen of it goes into its row (1,)."""
    from sightline.runtime.pixels import decode_sized, sniff

    row["format"] = sniff(data)
    pixels, (row["width"], row["height"]) = decode_sized(data, shorter=SIDE, limits=limits)
    grey, row["colours"] = look(pixels)
    return pixels, grey


def _measured(data: bytes, pixels: NDArray[np.uint8] | None, limits: Limits) -> NDArray[np.float32]:
    """Quality numbers, from `pixels` when they are enough: looks and numbers do not depend on what else was asked for."""
    from sightline.data.quality import SIDE as ENOUGH
    from sightline.data.quality import measure
    from sightline.runtime.pixels import decode

    if pixels is None or min(pixels.shape[:2]) < ENOUGH:
        pixels = decode(data, shorter=ENOUGH, limits=limits)
    return measure(pixels)
