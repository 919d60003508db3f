"""The contact sheet of `augment --show`: a row for each picture, the original first, places drawn in; no verb itself."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.data.contact import contact_sheet
from sightline.errors import DatasetError, SightlineError
from sightline.files import write_bytes
from sightline.progress import track
from sightline.runtime.fitting import GREY
from sightline.runtime.masks import outlines, pixels_of
from sightline.types import Annotation, Dataset, Failure, Item

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

    from sightline.learn.recipes import Changes
    from sightline.learn.variants import Variant

VARIANTS = 6
CELL = 176  # pixels a side on the sheet
INKS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#46f0f0", "#f032e6", "#ffe119")  # one for each class, in turn


def write_sheet(dataset: Dataset, changes: Changes, file: Path, *, pictures: int, seed: int) -> tuple[Failure, ...]:
    """Write the sheet as PNG; returns the pictures that could not be read. DatasetError when none could."""
    from sightline.learn.recipes import MIXING
    from sightline.learn.variants import opened, variant
    from sightline.runtime.model import failure

    rows: list[list[Variant]] = []
    chosen: list[Item] = []
    failures: list[Failure] = []
    for item in track(picked(dataset.items, pictures, seed), "Drawing the sheet"):
        try:
            first = opened(item, 2 * CELL)
        except SightlineError as error:
            failures.append(failure(item.name, error))
            continue
        numbers = range(1, VARIANTS + 1)
        copies = [
            variant(*first, changes, seed, number=number, name=item.name, skeletons=dataset.skeletons) for number in numbers
        ]
        rows.append([first, *copies])
        chosen.append(item)
    if not rows:
        reason = failures[0].error.message if failures else "there are none with a label"
        raise DatasetError(f"no picture for the sheet: {reason}", hint="give a folder of labelled pictures")
    inks = {name: INKS[place % len(INKS)] for place, name in enumerate(dataset.classes)}
    cells = [[drawn(shown, inks) for shown in row] for row in rows]
    captions = [[", ".join(dict.fromkeys(item.labels)), *[""] * VARIANTS] for item in chosen]
    if changes.amounts.keys() & set(MIXING):
        _mix(cells, captions, rows, changes, seed)
    sheet = contact_sheet(
        [cell for row in cells for cell in row], 1 + VARIANTS, CELL, captions=[text for row in captions for text in row]
    )
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    write_bytes(file, stream.getvalue())
    return tuple(failures)


def picked(items: Sequence[Item], number: int, seed: int) -> list[Item]:
    """`number` pictures at random, from one class after the other; those to train on where there are such."""
    from sightline.learn.reproduce import seed_of

    labelled = [item for item in items if item.truth]
    candidates = [item for item in labelled if item.split in (None, "train")] or labelled
    order = np.random.default_rng(seed_of(seed, "sheet", 0)).permutation(len(candidates))
    by_class: dict[str, list[Item]] = {}
    for place in order:
        by_class.setdefault(candidates[place].labels[0], []).append(candidates[place])
    found: list[Item] = []
    while len(found) < number and by_class:
        for label in sorted(by_class):
            if len(found) < number:
                found.append(by_class[label].pop())
            if not by_class[label]:
                del by_class[label]
    return found


def drawn(shown: Variant, inks: dict[str, str]) -> Image.Image:
    """The picture with outlines of everything that has a place."""
    from PIL import Image, ImageDraw

    picture = Image.fromarray(shown.pixels)
    pen = ImageDraw.Draw(picture)
    width = max(1, round(max(picture.size) / 110))
    for one in shown.truth:
        _mark(pen, one, inks.get(one.label, INKS[0]), width)
    return picture


def _mark(pen: ImageDraw.ImageDraw, one: Annotation, ink: str, width: int) -> None:
    for ring in one.rings or ((one.polygon,) if one.polygon else outlines(pixels_of(one.mask)) if one.mask else ()):
        pen.line([*ring, ring[0]], fill=ink, width=width)
    if one.box:
        pen.rectangle(one.box, outline=ink, width=width)
    for (x, y), seen in zip(one.keypoints or (), one.visibility or repeat(2), strict=False):
        if not seen:
            continue
        pen.ellipse((x - 2 * width, y - 2 * width, x + 2 * width, y + 2 * width), fill=ink)


def _mix(
    cells: list[list[Image.Image]], captions: list[list[str]], rows: list[list[Variant]], changes: Changes, seed: int
) -> None:
    """Replace the variants by what they become when each is mixed with the row above, as in a training."""
    from PIL import Image

    from sightline.learn.variants import mixed

    if len(rows) < 2:
        return
    labels = [row[0] for row in captions]
    for column in range(1, VARIANTS + 1):
        found, shares = mixed([_square(row[column].pixels) for row in rows], changes, seed + column)
        for place, picture in enumerate(found):
            cells[place][column] = Image.fromarray(picture)
            parts = [(share, labels[other]) for other, share in enumerate(shares[place]) if share > 0.005]
            if len(parts) > 1:
                captions[place][column] = " ".join(f"{label} {share:.0%}" for share, label in sorted(parts, reverse=True))


def _square(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The whole picture on a grey square."""
    from PIL import Image

    side = 2 * CELL
    picture = Image.fromarray(pixels)
    scale = side / max(picture.size)
    small = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    ground = Image.new("RGB", (side, side), GREY)
    ground.paste(small, ((side - small.width) // 2, (side - small.height) // 2))
    return np.array(ground)
