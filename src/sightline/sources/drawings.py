"""Pictures that are not pixels yet: SVG and EPS drawings, DICOM slices. They are turned into PNG in a guarded process.

Knows how they are recognised by their first bytes; rendering them is runtime.guard's work.
"""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING, Literal

from sightline.errors import PictureError

if TYPE_CHECKING:
    from sightline.runtime.guard import Guard

Drawing = Literal["svg", "eps", "dicom"]
SUFFIXES = frozenset({".svg", ".eps", ".dcm", ".dicom"})
_POSTSCRIPT = (b"%!PS", b"\xc5\xd0\xd3\xc6")


def kind_of_drawing(head: bytes) -> Drawing | None:
    """svg, eps or dicom by the first bytes (a few thousand are enough); None for anything else."""
    if head[128:132] == b"DICM":
        return "dicom"
    if head.startswith(_POSTSCRIPT):
        return "eps"
    start = head[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    page = b"<html" in start or b"<!doctype html" in start
    return "svg" if start.startswith((b"<svg", b"<?xml", b"<!doctype svg", b"<!--")) and b"<svg" in start and not page else None


class Drawings:
    """Turns drawings into PNG; the guarded process starts with the first one. Must be closed."""

    def __init__(self, side: int, *, eps: bool = False) -> None:
        self._side, self._eps = side, eps
        self._guard: Guard | None = None
        self._starting = threading.Lock()

    def png(self, data: bytes, kind: Drawing) -> bytes:
        """The drawing as PNG bytes without metadata, `side` pixels at its longer side. PictureError, MissingExtraError."""
        from PIL import Image

        if kind == "eps" and not self._eps:
            raise PictureError("EPS files are programs and are not run unless you ask for it", hint="say --eps to render them")
        pixels = self._opened().convert(data, kind, self._side)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        return stream.getvalue()

    def _opened(self) -> Guard:
        with self._starting:
            if self._guard is None:
                from sightline.runtime.guard import Guard

                self._guard = Guard(eps=self._eps)
            return self._guard

    def close(self) -> None:
        if self._guard is not None:
            self._guard.close()
