"""One drawn street answered by both: what a recogniser of whole pictures says and where it looked, and what a detector finds.

    sightline demo --objects --minutes 0 --out demo
    sightline train demo/street-scenes --way probe --out recogniser
    sightline train demo/street-scenes --backbone yolo-small --input-size 320 --out finder
    python bench/recognition_detection.py recogniser finder docs/pictures/recognition-or-detection.png

Makes the picture of docs/recognition-or-detection.md. The street comes from a seed that no data set is drawn with.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sightline.data.roadsigns import draw_scene
from sightline.runtime.attention import attention_map
from sightline.runtime.drawing import drawn
from sightline.runtime.model import Model, load
from sightline.runtime.pixels import fit
from sightline.types import Annotation

SIZE = (480, 360)
BAND = 76  # pixels below a panel for its words
GAP = 14


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recogniser", type=Path)
    parser.add_argument("finder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=5)
    given = parser.parse_args()
    recogniser, finder = load(given.recogniser), load(given.finder)
    if not isinstance(recogniser, Model):
        parser.error(f"{given.recogniser} is no recogniser of whole pictures")
    rng = np.random.default_rng((2026, given.seed))
    street = draw_scene(rng, SIZE, signs=3, clutter=5, classes=finder.card.classes)
    pixels = np.asarray(street.picture)
    said = recogniser.predict(pixels, name="street")
    found = finder.predict(pixels, name="street")
    panels = [
        (pixels, "the picture", ", ".join(one.label for one in street.annotations)),
        (_looked(recogniser, pixels, said.labels[0].label), "recognition: what is it?", _labels(said.labels, said.decision)),
        (drawn(pixels, found.labels, finder.card.classes), "detection: what is where?", _boxes(found.labels)),
    ]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    _sheet(panels).quantize(96, dither=Image.Dither.NONE).save(given.out, "PNG", optimize=True)
    print(json.dumps({"truth": [one.label for one in street.annotations], "recognition": list(said.decision),
                      "detection": [(one.label, round(one.score or 0, 3), one.box) for one in found.labels]}))  # fmt: skip


def _looked(model: Model, pixels: NDArray[np.uint8], label: str) -> NDArray[np.uint8]:
    """What the model is given, the parts warm on which its best label rests."""
    seen = fit(pixels, model.card.input)
    cells = Image.fromarray((255 * attention_map(model, seen, label)).astype(np.uint8))
    warmth = np.asarray(cells.resize(seen.shape[1::-1], Image.Resampling.BICUBIC), np.float32)[..., None] / 255
    shown = seen * (1 - 0.55 * warmth) + np.array((255, 60, 20), np.float32) * 0.55 * warmth
    return np.asarray(shown.clip(0, 255), np.uint8)


def _labels(labels: tuple[Annotation, ...], decision: tuple[str, ...]) -> str:
    return ", ".join(f"{one.label} {one.score or 0:.0%}" for one in labels if one.label in decision) or "none of its labels"


def _boxes(objects: tuple[Annotation, ...]) -> str:
    return ", ".join(f"{one.label} {one.score or 0:.0%}" for one in objects) or "nothing"


def _sheet(panels: list[tuple[NDArray[np.uint8], str, str]]) -> Image.Image:
    width, height = SIZE
    sheet = Image.new("RGB", (len(panels) * (width + GAP) - GAP, height + BAND), "white")
    pen = ImageDraw.Draw(sheet)
    title, words = ImageFont.load_default(22), ImageFont.load_default(17)
    for place, (pixels, name, said) in enumerate(panels):
        left = place * (width + GAP)
        panel = Image.fromarray(pixels)
        scale = min(width / panel.width, height / panel.height)
        panel = panel.resize((round(panel.width * scale), round(panel.height * scale)), Image.Resampling.LANCZOS)
        sheet.paste(panel, (left + (width - panel.width) // 2, (height - panel.height) // 2))
        pen.text((left, height + 8), name, fill="black", font=title)
        pen.text((left, height + 40), said, fill=(70, 70, 70), font=words)
    return sheet


if __name__ == "__main__":
    main()
