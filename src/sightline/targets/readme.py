"""The few lines that lie beside an exported model: how another program feeds it, and what comes out. Plain text."""

from __future__ import annotations

from sightline.runtime import keypoints
from sightline.runtime.bundle import Bundle
from sightline.runtime.engines import open_session
from sightline.types import Card

_FITS = {
    "crop": "Cut out the middle square ({crop:.1%} of the shorter side), then resize it to {size} x {size}",
    "squash": "Resize the picture to {size} x {size}, whatever its shape",
    "pad": "Resize the whole picture so that its longer side is {size}, and lay it in the middle of a {size} x {size} square "
    "of the colour (124, 116, 104)",
}


def readme(bundle: Bundle, main: str, code: str, more: str = "") -> str:
    """README.md: what the file is, how to prepare a picture, what the outputs mean, and `code` that does it."""
    card = bundle.card
    lines = [
        f"# {card.name}",
        f"`{main}` recognises {len(card.classes)} classes; their names, in the order of the outputs, are in `classes.txt`.",
        "",
        f"- **In**: {takes(bundle)}",
        f"- **Prepare**: {_FITS[card.input.fit].format(size=card.input.size, crop=card.input.crop)} "
        f"({card.input.interpolation}, antialiased).{_steps(card)}",
        f"- **Out**: {_outputs(card)}",
    ]
    if code:
        lines += ["", code.strip()]
    if more:
        lines += ["", more.strip()]
    lines += ["", f"Model {card.id}{f', {card.licence}' if card.licence else ''}. Made with Sightline {card.sightline}."]
    return "\n".join(lines) + "\n"


def takes(bundle: Bundle) -> str:
    """The graph's input in words, as the graph itself declares it: name, type, shape, range."""
    card = bundle.card
    session = open_session(bundle.onnx, provider="cpu")
    first = session.get_inputs()[0]
    kind = {"tensor(float)": "float32", "tensor(float16)": "float16"}.get(first.type, first.type[7:-1])
    declared = f"`{first.name}`: {kind} ({', '.join(map(str, first.shape))})"
    if first.name == "keypoints":
        what = session.get_modelmeta().custom_metadata_map.get(keypoints.METADATA, "").upper()
        return f"{declared}, {what} keypoints of the prepared picture, as Sightline computes them, and no pixels."
    if card.layout != "sightline":
        return f"{declared}, RGB, 0..1 (layout {card.layout})."
    frames = f" of {card.input.frames} frames, evenly spread" if card.input.frames else ""
    return f"{declared}{frames}, RGB, 0..255; mean and standard deviation are inside the graph."


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


_ONNX_RUNTIME = """
import numpy as np, onnxruntime
{picture}
session = onnxruntime.InferenceSession("{main}")
outputs = session.run(None, {{"image": np.asarray(picture)[None]}})
print(dict(zip([one.name for one in session.get_outputs()], outputs)))
"""

_PICTURE = """from PIL import Image, ImageOps

picture = ImageOps.exif_transpose(Image.open("picture.jpg")).convert("RGB")
{fitted}{steps}
"""
# the same pixels as runtime/fitting.py, but for what a JPEG's reduced decoding changes
_FITTED = {
    "crop": """width, height = picture.size
wide, high = ({short}, int({short} * height / width)) if width <= height else (int({short} * width / height), {short})
left, top = round((wide - {size}) / 2), round((high - {size}) / 2)
picture = picture.resize((wide, high), {way}).crop((left, top, left + {size}, top + {size}))""",
    "squash": "picture = picture.resize(({size}, {size}), {way})",
    "pad": """inner = ImageOps.contain(picture, ({size}, {size}), {way})
picture = Image.new("RGB", ({size}, {size}), (124, 116, 104))
picture.paste(inner, (({size} - inner.width) // 2, ({size} - inner.height) // 2))""",
}


def python(bundle: Bundle, code: str) -> str:
    """`code` as Markdown, its {picture} the lines that prepare one; "" for inputs that a few lines cannot make."""
    card = bundle.card
    if card.input.frames or card.layout != "sightline" or not takes(bundle).startswith("`image`"):
        return ""
    way = f"Image.Resampling.{card.input.interpolation.upper()}"
    size, short = card.input.size, max(card.input.size, round(card.input.size / card.input.crop))
    fitted = _FITTED[card.input.fit].format(size=size, short=short, way=way)
    steps = f"  # then {', '.join(card.input.steps)}" if card.input.steps else ""
    return f"```python\n{code.strip().format(picture=_PICTURE.format(fitted=fitted, steps=steps))}\n```"


def onnx_runtime(bundle: Bundle, main: str) -> str:
    """The lines that run the file with ONNX Runtime in Python."""
    return python(bundle, _ONNX_RUNTIME.replace("{main}", main))
