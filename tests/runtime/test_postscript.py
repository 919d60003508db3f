"""EPS files: off unless switched on. A script plays Ghostscript and checks how it is called; the real one is asked too."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from sightline.errors import MissingExtraError, PictureError, PictureTimeoutError, UsageError
from sightline.runtime.guard import Guard

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 10 20 110 70\n%%HiResBoundingBox: 10.0 20.0 110.0 70.0\nshowpage\n"
PLAYED = """#!{python}
import sys
sys.path[:0] = {path}
from PIL import Image
program = sys.stdin.buffer.read()
assert program.startswith(b"%!PS"), program
for needed in ("-dSAFER", "-dBATCH", "-dNOPAUSE", "-sDEVICE=png16m", "-sOutputFile=%stdout"):
    assert needed in sys.argv, needed
assert sys.argv[-3:] == ["-10.0000 -20.0000 translate", "-f", "-"]
size = next(word for word in sys.argv if word.startswith("-g"))[2:].split("x")
if b"sleep" in program:
    import time
    time.sleep(60)
if b"fail" in program:
    sys.exit("undefined in fail")
try:
    with open({there!r}, "wb", buffering=0) as stream:
        stream.write(b"x")
except OSError:
    pass
else:
    sys.exit("wrote a file")
Image.new("RGB", tuple(map(int, size)), (0, 0, 255)).save(sys.stdout.buffer, "PNG")
"""


@pytest.fixture(scope="module")
def guard() -> Iterator[Guard]:
    with Guard(deadline_s=20, eps=True) as guard:
        yield guard


@pytest.fixture
def ghostscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    program = tmp_path / "gs"
    program.write_text(
        PLAYED.format(python=sys.executable, path=[path for path in sys.path if path], there=str(tmp_path / "there"))
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return program.unlink


def test_eps_is_off_until_switched_on() -> None:
    with Guard() as guard, pytest.raises(UsageError, match="not run"):
        guard.convert(EPS, "eps", 100)


def test_eps(ghostscript: Callable[[], None], guard: Guard) -> None:
    pixels = guard.convert(EPS, "eps", 80)
    assert pixels.shape == (40, 80, 3)
    assert tuple(pixels[20, 40]) == (0, 0, 255)
    dos = b"\xc5\xd0\xd3\xc6" + (30).to_bytes(4, "little") + len(EPS).to_bytes(4, "little") + bytes(18) + EPS + b"preview"
    assert np.array_equal(guard.convert(dos, "eps", 80), pixels)
    with pytest.raises(PictureError, match="undefined in fail"):
        guard.convert(EPS + b"fail", "eps", 80)
    with pytest.raises(PictureError, match="bounding box"):
        guard.convert(b"%!PS-Adobe-3.0\n%%BoundingBox: 0 0 0 0\n", "eps", 80)
    with pytest.raises(PictureError, match="not an EPS"):
        guard.convert(b"GIF89a", "eps", 80)
    with Guard(deadline_s=1.2, eps=True) as short, pytest.raises(PictureTimeoutError):
        short.convert(EPS + b"sleep", "eps", 80)
    ghostscript()
    with pytest.raises(MissingExtraError, match="Ghostscript"):
        guard.convert(EPS, "eps", 80)


needs_ghostscript = pytest.mark.skipif(shutil.which("gs") is None, reason="Ghostscript is not installed")


@needs_ghostscript
def test_the_real_ghostscript_draws(guard: Guard) -> None:
    drawing = EPS.replace(b"showpage", b"1 0 0 setrgbcolor 10 20 50 50 rectfill showpage")
    picture = guard.convert(drawing, "eps", 200)
    assert picture.shape == (100, 200, 3)
    assert picture[50, 50].tolist() == [255, 0, 0]
    assert picture[50, 150].tolist() == [255, 255, 255]


@needs_ghostscript
@pytest.mark.parametrize(
    "attack",
    ["({there}) (w) file closefile", "(%pipe%touch {there}) (w) file closefile", "({secret}) (r) file 99 string readline"],
)
def test_the_real_ghostscript_reaches_no_file(attack: str, guard: Guard, tmp_path: Path) -> None:
    there, secret = tmp_path / "there", tmp_path / "secret"
    secret.write_text("secret")
    program = EPS.replace(b"showpage", attack.format(there=there, secret=secret).encode() + b" showpage")
    with pytest.raises(PictureError):
        guard.convert(program, "eps", 100)
    assert not there.exists()
