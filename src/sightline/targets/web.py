"""Target `web`: a folder that is a page, computing on the device of whoever opens it; installable, works without network.

Plain files for any host: our scripts (page/), the model as it is, onnxruntime-web (webruntime.py). Knows no browser.
"""

from __future__ import annotations

import hashlib
import html
import json
from pathlib import Path
from typing import Any

from sightline.errors import TargetError
from sightline.runtime.bundle import ONNX, Bundle
from sightline.runtime.engines import open_session
from sightline.targets import webruntime
from sightline.targets.icons import icon
from sightline.targets.target import Made, Wishes
from sightline.types import Card

PAGE = Path(__file__).parent / "page"
INDEX = "index.html"
# nothing foreign: no address but the page's own can be asked, no script but its own runs
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; style-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'none'"
)
STEPS = frozenset({"white-balance", "denoise", "brightness", "contrast", "grey"})  # what page/adjust.js can do
_ICONS = {"icon-192.png": (192, False), "icon-512.png": (512, False), "icon-mask.png": (512, True)}
_WHY = "a page is run by browsers only; it computes with the same model.onnx"


def write(bundle: Bundle, folder: Path, wishes: Wishes) -> Made:
    """Write the page. Raises TargetError (a task or step that the page does not know) and what `webruntime.files` raises."""
    _check(bundle)
    contents = {path.name: path.read_bytes() for path in sorted(PAGE.iterdir()) if path.is_file()}
    contents |= webruntime.files(wishes.runtime)
    contents["ort.LICENSE.txt"] = _LICENCE.encode()
    contents[ONNX] = bundle.onnx
    contents["facts.json"] = _json(facts(bundle.card, len(bundle.onnx)))
    contents["manifest.json"] = _json(_manifest(bundle.card))
    contents |= {name: icon(side, whole=whole) for name, (side, whole) in _ICONS.items()}
    contents[INDEX] = _filled(contents[INDEX], TITLE=html.escape(bundle.card.name), POLICY=html.escape(POLICY))
    kept = sorted(name for name in contents if name != "sw.js")
    digest = hashlib.sha256()
    for name in kept:
        digest.update(name.encode() + b"\0" + hashlib.sha256(contents[name]).digest())
    contents["sw.js"] = _filled(
        contents["sw.js"], VERSION=digest.hexdigest()[:16], FILES=json.dumps(kept), POLICY=POLICY.replace('"', "")
    )
    contents["README.md"] = _README.format(name=bundle.card.name, version=webruntime.VERSION).encode()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return Made(INDEX, why=_WHY)


def facts(card: Card, size: int) -> dict[str, Any]:
    """What the page needs of the card: how to prepare a picture, what the answer means, what the model is good for."""
    known = card.model_dump(
        mode="json",
        include={
            "id",
            "name",
            "task",
            "classes",
            "input",
            "layout",
            "thresholds",
            "unsure_below",
            "unknown",
            "limits",
            "licence",
        },
    )
    scores = {name: score.model_dump() for name, score in card.scores.items() if name in ("top1", "map50")}
    return known | {"scores": scores, "bytes": size}


def _check(bundle: Bundle) -> None:
    card = bundle.card
    entry = open_session(bundle.onnx, provider="cpu").get_inputs()[0]
    why = ""
    if card.input.frames:
        why = "it answers for clips, and the page takes single pictures"
    elif card.task == "segmentation":
        why = "it answers for every pixel, and the page shows labels and boxes"
    elif entry.name == "keypoints":
        why = "it takes keypoints, which no browser finds"
    elif entry.type == "tensor(float16)":
        why = "its graph takes 16-bit floats, which browsers do not have"
    unknown = sorted({step.partition(":")[0] for step in card.input.steps} - STEPS)
    if unknown:
        why = f"it prepares pictures with {', '.join(unknown)}, which the page does not know"
    if why:
        raise TargetError(f"no web page can be made of {card.name}: {why}", hint="choose another target, such as --to onnx")


def _manifest(card: Card) -> dict[str, Any]:
    return {
        "name": card.name,
        "short_name": card.name[:24],
        "description": "Recognises pictures on this device; no picture leaves it.",
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "background_color": "#f6f7f9",
        "theme_color": "#1d5bbf",
        "icons": [
            {"src": name, "sizes": f"{side}x{side}", "type": "image/png", "purpose": "maskable" if whole else "any"}
            for name, (side, whole) in _ICONS.items()
        ],
    }


def _json(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()


def _filled(template: bytes, **values: str) -> bytes:
    text = template.decode()
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text.encode()


_README = """# {name}: a web page that recognises pictures

Put this folder on any web host, or try it here:

    python -m http.server --bind 127.0.0.1 8000

and open http://127.0.0.1:8000. The model runs in the browser of whoever opens the page: no picture leaves the device, and
the page makes no request but to its own folder. Once opened it works without network, and browsers offer to install it.

The camera and the use without network need https (or this machine itself, as above): that is a rule of browsers.

`ort.js` and `ort.wasm` are onnxruntime-web {version} by Microsoft, under the licence in `ort.LICENSE.txt`.
Compress `.wasm`, `.js` and `.onnx` on the way if your host can: `ort.wasm` shrinks to a quarter.
"""

_LICENCE = """onnxruntime-web (ort.js, ort.wasm)

MIT License

Copyright (c) Microsoft Corporation

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""
