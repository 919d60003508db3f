"""SVG drawings to pixels by CairoSVG. Only ever called in the guard's media worker: drawings are small programs of strangers.

Nothing is fetched: addresses are taken out before drawing, and what asks all the same gets an empty drawing. Pictures inside
the drawing (data: addresses) go through our own decoder. Knows nothing of processes.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

import numpy as np
from numpy.typing import NDArray

from sightline.errors import PictureError, PictureTooLargeError
from sightline.runtime.limits import Limits

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_BYTES = 20_000_000  # of XML, unpacked
MAX_ELEMENTS = 200_000
MAX_DEPTH = 100  # the renderer is recursive
MAX_ASPECT = 50.0
_EMPTY = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"></svg>'
_REMOVED = {
    "script",
    "foreignobject",
    "iframe",
    "audio",
    "video",
    "animate",
    "animatemotion",
    "animatetransform",
    "set",
    "handler",
}
_UNITS = {"": 1.0, "px": 1.0, "pt": 96 / 72, "pc": 16.0, "in": 96.0, "cm": 96 / 2.54, "mm": 9.6 / 2.54, "q": 2.4 / 2.54}
_LENGTH = re.compile(r"\s*\+?(\d{0,9}(?:\.\d{0,9})?(?:e[+-]?\d{1,2})?)\s*(px|pt|pc|in|cm|mm|q)?\s*", re.I)
_FOREIGN = re.compile(r"url\(\s*(?![\s'\"]*#)[^)]*\)?", re.I)  # a url() that is no place in this drawing
_IMPORT = re.compile(r"@\s*import[^;]*;?", re.I)


def draw_svg(data: bytes, side: int, limits: Limits) -> NDArray[np.uint8]:
    """uint8 (h, w, 3) of an SVG (also gzipped) on white ground; its longer side has `side` pixels.

    Texts are set in the machine's fonts. Raises PictureError (no SVG, entities, too deep, states no size, anything the
    renderer objects to) and PictureTooLargeError (too many bytes or elements).
    """
    root = _parsed(_unpacked(data))
    width, height = _cleaned(root)
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise PictureError(f"the drawing is {width:g} x {height:g}: too narrow to be a picture")
    scale = side / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    limits.check_size(*size)
    root.set("width", f"{size[0]}px")
    root.set("height", f"{size[1]}px")
    try:
        return _rendered(root, size, limits)
    except (PictureError, MemoryError):
        raise
    except RecursionError as error:
        raise PictureError("the drawing refers to itself, or is nested too deeply") from error
    except Exception as error:
        reason = str(error).strip() or type(error).__name__
        raise PictureError(
            f"the SVG cannot be drawn: {reason[:200]}", hint="open it in a drawing program and export it as PNG"
        ) from error


def _unpacked(data: bytes) -> bytes:
    if data.startswith(b"\x1f\x8b"):
        try:
            data = zlib.decompressobj(31).decompress(data, MAX_BYTES + 1)
        except zlib.error as error:
            raise PictureError(f"the SVGZ is damaged: {error}", hint="copy or download it again") from error
    if len(data) > MAX_BYTES:
        raise PictureTooLargeError(f"the drawing has more than {MAX_BYTES:,} bytes", hint="simplify it, or export it as PNG")
    if data.count(b"<") > 3 * MAX_ELEMENTS:  # cheaper than building them
        raise PictureTooLargeError(
            f"the drawing has more than {MAX_ELEMENTS:,} elements", hint="simplify it, or export it as PNG"
        )
    return data


def _parsed(data: bytes) -> Element:
    """The root element. A DOCTYPE line is tolerated (many programs write one), entities and external parts are not."""
    from defusedxml import DefusedXmlException, ElementTree

    try:
        root: Element = ElementTree.fromstring(data, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    except DefusedXmlException as error:
        raise PictureError(
            "the drawing defines entities, which are refused", hint="open it in a drawing program and save it as plain SVG"
        ) from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise PictureError(f"the drawing is no whole XML: {error}", hint="copy or download it again") from error
    if _local(root.tag) != "svg":
        raise PictureError(f"not an SVG drawing: its first element is <{_local(root.tag)[:40]}>")
    return root


def _cleaned(root: Element) -> tuple[float, float]:
    """Take out everything that is no drawing, in place, and return the drawing's own (width, height) in CSS pixels."""
    waiting, count = [(root, 1)], 0
    while waiting:
        element, depth = waiting.pop()
        count += 1
        if depth > MAX_DEPTH:
            raise PictureError(f"the drawing is nested more than {MAX_DEPTH} elements deep")
        if count > MAX_ELEMENTS:
            raise PictureTooLargeError(f"the drawing has more than {MAX_ELEMENTS:,} elements", hint="export it as PNG")
        for name, value in list(element.attrib.items()):
            kept = _kept(_local(name), _local(element.tag), value)
            if kept is None:
                del element.attrib[name]
            elif kept != value:
                element.attrib[name] = kept
        if _local(element.tag) == "style" and element.text:
            element.text = _FOREIGN.sub("none", _IMPORT.sub("", element.text))
        for child in list(element):
            if not isinstance(child.tag, str) or _local(child.tag) in _REMOVED:
                element.remove(child)
            else:
                waiting.append((child, depth + 1))
    return _size(root)


def _kept(name: str, tag: str, value: str) -> str | None:
    """An attribute's value as it may stand; None: it goes."""
    if name in ("base", "onload") or name.startswith("on"):
        return None
    if name == "href":
        inside = value.strip().startswith("#")
        picture = tag == "image" and value.strip().lower().startswith("data:image/")
        return value if inside or picture else None
    return _FOREIGN.sub("none", value) if "(" in value else value


def _size(root: Element) -> tuple[float, float]:
    """(width, height): as stated, with the view box for what is not. A root without view box gets one."""
    width, height = _pixels(root.get("width")), _pixels(root.get("height"))
    try:
        box = [float(number) for number in re.split(r"[\s,]+", root.get("viewBox", "").strip())]
    except ValueError:
        box = []
    usable = len(box) == 4 and all(np.isfinite(box)) and 0 < box[2] < 1e9 and 0 < box[3] < 1e9
    if usable:
        width, height = (
            width or (height * box[2] / box[3] if height else box[2]),
            height or (width * box[3] / box[2] if width else box[3]),
        )
    elif width and height:
        root.set("viewBox", f"0 0 {width:.9g} {height:.9g}")
    if not (width and height):
        raise PictureError("the drawing states no size", hint="give its svg element a viewBox, or a width and a height")
    return width, height


def _pixels(text: str | None) -> float:
    """A CSS length in pixels; 0 for none, nonsense or a share of an unknown whole."""
    found = _LENGTH.fullmatch(text or "")
    try:
        value = float(found[1]) * _UNITS[(found[2] or "").lower()] if found else 0.0
    except ValueError:
        return 0.0
    return value if 0 < value < 1e9 else 0.0


def _rendered(root: Element, size: tuple[int, int], limits: Limits) -> NDArray[np.uint8]:
    from xml.etree import ElementTree

    try:
        from cairosvg.parser import Tree
        from cairosvg.surface import PNGSurface
    except OSError as error:  # the Python part is there, the C library is not
        raise PictureError(
            "drawings need the Cairo library, which is not installed", hint="install libcairo2 (cairo)"
        ) from error

    tree = Tree(bytestring=ElementTree.tostring(root), url_fetcher=_Inside(limits), unsafe=False)
    surface = PNGSurface(tree, None, 96, output_width=size[0], output_height=size[1], background_color="white")
    surface.cairo.flush()
    width, height = surface.cairo.get_width(), surface.cairo.get_height()
    rows = np.frombuffer(surface.cairo.get_data(), np.uint8).reshape(height, surface.cairo.get_stride())
    bgra = rows[:, : 4 * width].reshape(height, width, 4).astype(np.uint16)  # premultiplied
    return np.asarray(np.minimum(bgra[..., 2::-1] + (255 - bgra[..., 3:]), 255), np.uint8)


class _Inside:
    """What the renderer gets for an address: pictures that lie inside the drawing, and nothing else."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.pixels = limits, 0.0

    def __call__(self, url: str, _kind: str) -> bytes:
        head, comma, content = url.partition(",")
        if not comma or not head.lower().startswith("data:image/") or "svg" in head.lower():
            return _EMPTY
        from PIL import Image

        from sightline.runtime.pixels import decode

        try:
            raw = unquote_to_bytes(content)
            pixels = decode(base64.b64decode(raw) if head.lower().endswith(";base64") else raw, limits=self.limits)
        except (PictureError, binascii.Error):
            return _EMPTY  # a drawing without one of its pictures is still a drawing
        self.pixels += pixels.size / 3e6
        if self.pixels > 4 * self.limits.max_megapixels:
            raise PictureTooLargeError("the pictures inside the drawing have too many pixels", hint="export it as PNG")
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG", compress_level=0)
        return stream.getvalue()


def _local(name: Any) -> str:
    """An element's or attribute's name without its namespace, in lower case; comments have none."""
    return name.rpartition("}")[2].lower() if isinstance(name, str) else ""
