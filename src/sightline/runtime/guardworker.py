"""The decoder process behind `Guard`: reads requests from stdin, answers on stdout, until stdin ends. Knows no models.

Started as `python -m sightline.runtime.guardworker MEMORY_MB [media]`; with `media` it draws SVG, EPS and DICOM as well. It
caps its own memory and processor time, writes no core file, and is deaf to Ctrl-C: its parent ends it by closing the pipe, or
by force.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sightline.errors import PictureError, PictureTooLargeError, SightlineError
from sightline.runtime import adjust, pipe  # noqa: F401 (adjust: loaded before memory is capped)
from sightline.runtime.limits import Limits
from sightline.runtime.pixels import decode, prepare


def main() -> None:
    answers = os.dup(1)
    os.dup2(2, 1)  # what a C library prints must not get into the conversation
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    warm()
    if "media" in sys.argv[2:]:
        warm_media()
    confine(int(sys.argv[1]))
    try:
        pipe.write(answers, [pipe.pack({"ready": os.getpid()})])
        while True:
            header, body = pipe.read(0)
            more_time(float(header["seconds"]))
            pipe.write(answers, list(answer(header, bytes(body))))
    except pipe.Gone:
        return


def warm() -> None:
    """Load the decoders before the first picture: one tiny JPEG takes every module of the usual way."""
    import simplejpeg

    spec = cast(Any, SimpleNamespace(size=8, fit="crop", crop=1.0, interpolation="bilinear", steps=()))
    prepare(simplejpeg.encode_jpeg(np.zeros((16, 16, 3), np.uint8)), spec, Limits())
    import PIL.AvifImagePlugin
    import PIL.ImageFilter  # what a model's own steps need
    import PIL.ImageOps
    import PIL.PngImagePlugin  # the second most frequent kind

    PIL.AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # every thread reserves address space, and the workers are the parallelism


def warm_media() -> None:
    """Load what draws, as far as it is installed: a tiny drawing with a text takes Cairo and the fonts with it."""
    with suppress(ImportError, PictureError):  # no such extra, or no libcairo: the request says so
        from sightline.runtime.vector import draw_svg

        draw_svg(b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><text y="9">a</text></svg>', 9, Limits())
    with suppress(ImportError):
        import pydicom.pixels  # noqa: F401


def confine(memory_mb: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # a decoder has nothing to write


def more_time(seconds: float) -> None:
    """Processor seconds for the next picture: ends a runaway decoder even when nobody is left to kill it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime + seconds) + 2, hard))


def answer(header: dict[str, Any], data: bytes) -> tuple[bytes, memoryview | bytes]:
    """The answer's two parts: the header with its length, and the pixels."""
    told: dict[str, Any] = {}
    try:
        pixels = draw(header, data, told) if "convert" in header else work(header, data)
    except SightlineError as error:
        return pipe.pack(pipe.pack_error(error)), b""
    except MemoryError:
        return pipe.pack(pipe.pack_error(PictureTooLargeError("not enough memory to decode this picture"))), b""
    except Exception as error:
        return pipe.pack(pipe.pack_error(PictureError(f"the picture cannot be decoded: {error}"))), b""
    body = np.ascontiguousarray(pixels).data.cast("B")
    return pipe.pack({"shape": pixels.shape, **told}, body), body


def work(header: dict[str, Any], data: bytes) -> NDArray[np.uint8]:
    limits = Limits(**header["limits"])
    if header["spec"] is None:
        return decode(data, shorter=header["shorter"], limits=limits)
    return prepare(data, cast(Any, SimpleNamespace(**header["spec"])), limits)  # has what prepare reads of an InputSpec


def draw(header: dict[str, Any], data: bytes, told: dict[str, Any]) -> NDArray[np.uint8]:
    """A drawing or medical picture; how many frames there are is `told`."""
    limits, side = Limits(**header["limits"]), int(header["side"])
    if header["convert"] == "dicom":
        from sightline.runtime.medical import draw_dicom

        pixels, told["frames"] = draw_dicom(data, side, int(header["frame"]), limits)
        return pixels
    if header["convert"] == "eps":
        from sightline.runtime.postscript import draw_eps

        return draw_eps(data, side, header["ghostscript"], max(0.5, header["seconds"] - 0.5), limits)
    from sightline.runtime.vector import draw_svg

    return draw_svg(data, side, limits)


if __name__ == "__main__":
    main()
