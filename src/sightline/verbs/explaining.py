"""`predict --explain OUT.png`: one picture that shows on what an answer rests. Needs no torch.

Of any model the parts of the picture whose covering lowers the answer; of a classic recogniser also what its features see.
"""

from __future__ import annotations

import io
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import StorageError, UsageError
from sightline.files import write_bytes
from sightline.types import Box

if TYPE_CHECKING:
    from sightline.runtime.model import Model

PAD, LINE, SCALE = 12, 20, 12
GROUND, TEXT, FAINT = (24, 26, 30), (235, 235, 235), (170, 174, 180)
Panel = tuple[str, NDArray[np.uint8]]


def explain(model: Model, picture: Path, out: Path) -> Path:
    """Write the drawing for one picture to `out`. Raises UsageError, StorageError (`out` is there), PictureError,
    MissingExtraError.
    """
    from sightline.runtime.pixels import prepare, read_picture

    if out.suffix.lower() != ".png":
        raise UsageError(f"--explain writes a PNG, got {out.name}", hint=f"use --explain {out.stem or 'explained'}.png")
    if out.exists():  # it may be somebody's picture
        raise StorageError(f"{out} exists already", hint="choose another file with --explain")
    if model.card.input.frames:
        raise UsageError("--explain draws one picture, and this model answers about clips", hint="leave out --explain")
    image = prepare(read_picture(picture), model.card.input)
    probabilities = model.answer(image[None]).probabilities[0]
    best = int(probabilities.argmax())
    label = model.card.classes[best]
    features = str(model.card.recipe.values.get("features", "")) if model.card.recipe.way == "classic" else ""
    panels, said = _panels(model, features, image, label)
    title = f"{picture.name}: {label} {probabilities[best]:.0%}" + (f"   ({model.card.recipe.backbone})" if features else "")
    stream = io.BytesIO()
    _sheet(title, panels, said, crosses=bool(features)).save(stream, "PNG")
    write_bytes(out, stream.getvalue())
    return out


def _panels(model: Model, features: str, image: NDArray[np.uint8], label: str) -> tuple[list[Panel], str]:
    from sightline.learn.classic import drawings
    from sightline.learn.classic.evidence import evidence
    from sightline.runtime.attention import attention_map, rough_box

    if not features:
        cells = attention_map(model, image, label)
        warm = drawings.warm(image, cells)
        box = rough_box(cells, (warm.shape[1], warm.shape[0]))
        said = (
            ""
            if box is None
            else "The frame is a rough place, made of the evidence: it may hold a part of the object, or what "
            "always stands beside it. For boxes that are measured train a detector on pictures with boxes."
        )
        return [
            ("what the model is given", drawings.plain(image)),
            ("what the answer rests on", warm if box is None else _framed(warm, box)),
        ], said
    shown = evidence(model, features, image, label)
    drawn, caption = drawings.draw(features, image, shown)
    panels = [
        ("what the answer rests on", drawings.warm(image, shown.cells)),
        (f"what {features} sees", drawn),
        ("corners and blobs", drawings.spots(image)),
    ]
    return panels, caption


def _framed(pixels: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    from PIL import Image, ImageDraw

    picture = Image.fromarray(pixels)
    x0, y0, x1, y1 = box
    ImageDraw.Draw(picture).rectangle((x0, y0, x1 - 1, y1 - 1), outline=TEXT, width=3)
    return np.asarray(picture)


def _sheet(title: str, panels: list[Panel], said: str, *, crosses: bool) -> Any:
    """Panels side by side, a title above, a legend below."""
    from PIL import Image, ImageDraw, ImageFont

    from sightline.learn.classic.drawings import BLOB, CORNER, SIDE, tint

    width = PAD + len(panels) * (SIDE + PAD)
    words = textwrap.wrap(said, width // 8) if said else []
    height = PAD + LINE + 4 + LINE + SIDE + PAD + LINE * (1 + len(words)) + PAD
    sheet = Image.new("RGB", (width, height), GROUND)
    pen = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(17), ImageFont.load_default(14)
    pen.text((PAD, PAD - 2), title, fill=TEXT, font=large)
    top = PAD + LINE + 4
    for place, (name, pixels) in enumerate(panels):
        left = PAD + place * (SIDE + PAD)
        pen.text((left, top), name, fill=FAINT, font=small)
        sheet.paste(Image.fromarray(pixels), (left, top + LINE))
    y, x = top + LINE + SIDE + PAD, PAD
    pen.text((x, y), "against", fill=FAINT, font=small)
    x += 58
    for step in range(SCALE):
        pen.rectangle((x, y + 3, x + 11, y + 15), fill=tint(2 * step / (SCALE - 1) - 1))
        x += 12
    pen.text((x + 8, y), "for the answer", fill=FAINT, font=small)
    if crosses:
        x += 130
        pen.line((x, y + 9, x + 12, y + 9), fill=CORNER, width=3)
        pen.line((x + 6, y + 3, x + 6, y + 15), fill=CORNER, width=3)
        pen.text((x + 20, y), "corner (Harris)", fill=FAINT, font=small)
        pen.ellipse((x + 140, y + 2, x + 154, y + 16), outline=BLOB, width=2)
        pen.text((x + 162, y), "blob (difference of Gaussians)", fill=FAINT, font=small)
    for row, line in enumerate(words):
        pen.text((PAD, y + LINE * (row + 1)), line, fill=FAINT, font=small)
    return sheet
