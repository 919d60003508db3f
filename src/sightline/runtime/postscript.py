"""EPS drawings to pixels by Ghostscript, where the owner has switched that on. Only ever called in the guard's media worker.

PostScript is a programming language with files: Ghostscript runs with -dSAFER under the worker's limits on memory, file size
and processor time, reads from a pipe and writes to a pipe. Still other people's sandbox: off unless the owner asks.
"""

from __future__ import annotations

import re
import subprocess

import numpy as np
from numpy.typing import NDArray

from sightline.errors import PictureError, PictureTimeoutError
from sightline.runtime.limits import Limits

_BOX = re.compile(rb"^%%(HiRes)?BoundingBox:\s*(-?[\d.]+)\s+(-?[\d.]+)\s+(-?[\d.]+)\s+(-?[\d.]+)", re.M)
_DOS = b"\xc5\xd0\xd3\xc6"
_HEAD = 65_536  # bytes in which the bounding box is looked for, at both ends: "(atend)" puts it last
MAX_ASPECT = 50.0
# -dSAFER lets a program read and write the folder for temporary files (/tmp when nothing is said): there is none
_NOWHERE = {"TMPDIR": "/dev/null/none", "TEMP": "/dev/null/none"}


def draw_eps(data: bytes, side: int, ghostscript: str, seconds: float, limits: Limits) -> NDArray[np.uint8]:
    """uint8 (h, w, 3) of an EPS on white ground; its longer side has `side` pixels.

    `ghostscript` is the program's path, `seconds` its deadline. Raises PictureError, PictureTimeoutError.
    """
    from sightline.runtime.pixels import decode

    program = _program(data)
    left, bottom, right, top = _bounds(program)
    scale = side / max(right - left, top - bottom)
    width, height = max(1, round((right - left) * scale)), max(1, round((top - bottom) * scale))
    limits.check_size(width, height)
    command = [
        ghostscript,
        *("-dSAFER", "-dBATCH", "-dNOPAUSE", "-dQUIET", "-dNOCACHE", "-dTextAlphaBits=4", "-dGraphicsAlphaBits=4"),
        *("-sDEVICE=png16m", "-dMaxBitmap=400000000", "-sOutputFile=%stdout", "-sstdout=%stderr"),
        *(f"-g{width}x{height}", f"-r{72 * scale:.6f}"),
        *("-c", f"{-left:.4f} {-bottom:.4f} translate", "-f", "-"),
    ]
    try:
        done = subprocess.run(command, input=program, capture_output=True, timeout=seconds, check=False, env=_NOWHERE, cwd="/")
    except subprocess.TimeoutExpired:
        raise PictureTimeoutError(f"the EPS took more than {seconds:.0f} s to draw", hint="export it as PNG") from None
    except OSError as error:
        raise PictureError(
            f"Ghostscript does not start: {error.strerror}", hint="install it again, or export the EPS as PNG"
        ) from error
    if done.returncode or not done.stdout:
        said = done.stderr.decode("latin-1").strip().splitlines()
        raise PictureError(
            f"the EPS cannot be drawn: {said[0][:200] if said else 'Ghostscript gave no picture'}", hint="export it as PNG"
        )
    return decode(done.stdout, limits=limits)


def _program(data: bytes) -> bytes:
    """The PostScript part: a DOS EPS binary file (Adobe 5002, section 5.2) wraps it together with a preview."""
    if data.startswith(_DOS):
        start, length = (int.from_bytes(data[at : at + 4], "little") for at in (4, 8))
        data = data[start : start + length]
    if not data.startswith(b"%!PS"):
        raise PictureError("not an EPS file: it does not begin with %!PS", hint="export it as PNG")
    return data


def _bounds(program: bytes) -> tuple[float, float, float, float]:
    """Left, bottom, right, top of the drawing in points."""
    for _, *numbers in sorted(_BOX.findall(program[:_HEAD] + b"\n" + program[-_HEAD:]), key=lambda found: not found[0]):
        try:
            left, bottom, right, top = (float(number) for number in numbers)
        except ValueError:
            continue
        width, height = right - left, top - bottom
        if 0 < width < 1e6 and 0 < height < 1e6 and max(width, height) <= MAX_ASPECT * min(width, height):
            return left, bottom, right, top
    raise PictureError("the EPS has no usable bounding box", hint="export it as PNG")
