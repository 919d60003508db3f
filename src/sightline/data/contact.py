"""Contact sheets: many pictures side by side on one. Knows pixels and captions only, no datasets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sightline.errors import UsageError

Picture = Path | str | Image.Image | NDArray[np.uint8]


def contact_sheet(
    pictures: Sequence[Picture],
    columns: int = 8,
    cell: int = 96,
    *,
    gap: int = 4,
    captions: Sequence[str] | None = None,
    ground: tuple[int, int, int] = (255, 255, 255),
) -> Image.Image:
    """Lay `pictures` out in rows of `columns`, each fitted whole into a square cell of `cell` pixels.

    Pictures are paths, Pillow pictures or uint8 arrays (h, w, 3) or (h, w). Captions (one a picture) stand below the cells, cut
    to the cell's width. Returns an RGB picture; raises UsageError for an empty list, impossible numbers or a wrong number of
    captions. Paths are opened with Pillow directly: for pictures of strangers decode first and hand over arrays.
    """
    if not pictures or columns < 1 or cell < 8:
        raise UsageError(f"a contact sheet needs pictures, columns >= 1 and cell >= 8, got {len(pictures)}, {columns}, {cell}")
    if captions is not None and len(captions) != len(pictures):
        raise UsageError(f"one caption a picture is needed: {len(pictures)} pictures, {len(captions)} captions")
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    strip = max(12, cell // 7) if captions is not None else 0
    step = (cell + gap, cell + strip + gap)
    sheet = Image.new("RGB", (gap + columns * step[0], gap + rows * step[1]), ground)
    pen = ImageDraw.Draw(sheet)
    ink = (30, 30, 30) if sum(ground) > 380 else (230, 230, 230)
    font = ImageFont.load_default(strip * 0.8) if strip else None
    for index, picture in enumerate(pictures):
        x, y = gap + index % columns * step[0], gap + index // columns * step[1]
        small = _fitted(picture, cell)
        sheet.paste(small, (x + (cell - small.width) // 2, y + (cell - small.height) // 2))
        if captions is not None and font is not None:
            text = _cut(captions[index], font, cell)
            pen.text((x + cell / 2, y + cell + strip / 2), text, fill=ink, font=font, anchor="mm")
    return sheet


def _fitted(picture: Picture, cell: int) -> Image.Image:
    if isinstance(picture, (str, Path)):
        with Image.open(picture) as opened:
            image = opened.convert("RGB")
    else:
        image = (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).convert("RGB")
    scale = cell / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if size == image.size:
        return image
    return image.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC)


def _cut(text: str, font: Any, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
