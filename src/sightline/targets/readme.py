"""The few lines that lie beside an exported model: how another program feeds it, and what comes out. Plain text."""

from __future__ import annotations

from sightline.types import Card

_FITS = {
    "crop": "Cut out the middle square ({crop:.1%} of the shorter side), then resize it to {size} x {size}",
    "squash": "Resize the picture to {size} x {size}, whatever its shape",
    "pad": "Resize the whole picture so that its longer side is {size}, and lay it in the middle of a {size} x {size} square "
    "of the colour (124, 116, 104)",
}


def readme(card: Card, main: str, code: str, more: str = "") -> str:
    """README.md: what the file is, how to prepare a picture, what the outputs mean, and `code` that does it."""
    size, frames = card.input.size, card.input.frames
    shape = f"(n, {frames}, {size}, {size}, 3)" if frames else f"(n, {size}, {size}, 3)"
    takes = f"`image`: uint8 {shape}, RGB, 0..255; mean and standard deviation are inside the graph."
    if frames:
        takes = takes.replace("`image`", f"`clip` ({frames} frames, evenly spread)")
    if card.layout != "sightline":
        takes = f"One picture as float32 (1, 3, {size}, {size}), RGB, 0..1 (layout {card.layout})."
    lines = [
        f"# {card.name}",
        f"`{main}` recognises {len(card.classes)} classes; their names, in the order of the outputs, are in `classes.txt`.",
        "",
        f"- **In**: {takes}",
        f"- **Prepare**: {_FITS[card.input.fit].format(size=size, crop=card.input.crop)} "
        f"({card.input.interpolation}, antialiased).{_steps(card)}",
        f"- **Out**: {_outputs(card)}",
    ]
    if code:
        lines += ["", code.strip()]
    if more:
        lines += ["", more.strip()]
    lines += ["", f"Model {card.id}{f', {card.licence}' if card.licence else ''}. Made with Sightline {card.sightline}."]
    return "\n".join(lines) + "\n"


def _steps(card: Card) -> str:
    return f" Then, in this order: {', '.join(card.input.steps)}." if card.input.steps else ""


def _outputs(card: Card) -> str:
    if card.layout != "sightline":
        return f"as {card.layout} answers, before suppression."
    if card.task == "detection":
        return "`boxes` (k, 4) in pixels of the square, `scores` (k,) best first, `labels` (k,); thresholds are in `card.json`."
    if card.task == "segmentation":
        return "`classes` float32 (1, 1 + classes, size, size): probabilities, the background first."
    rule = f"below {card.unsure_below:g} the best score is unsure"
    if card.task == "multilabel":
        rule = "a label is given from its threshold in `card.json` on"
    unknown = f"; `novelty` above {card.unknown.threshold:.4g}: unlike the training pictures" if card.unknown else ""
    return f"`probabilities` float32 (n, classes); {rule}{unknown}. `embedding` describes the picture."


PYTHON = """
```python
import numpy as np, onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession("{main}")
picture = Image.open("picture.jpg").convert("RGB").resize(({size}, {size}))  # or better: prepared as said above
outputs = session.run(None, {{"{name}": np.asarray(picture)[None]}})
print(dict(zip([one.name for one in session.get_outputs()], outputs)))
```
"""


def python(card: Card, main: str) -> str:
    """The lines that run the file with ONNX Runtime in Python; empty for inputs that a few lines cannot make."""
    if card.input.frames or card.layout != "sightline":
        return ""
    return PYTHON.format(main=main, size=card.input.size, name="image")
