"""Drawings: what they look like, and that nothing of this machine or its network ever gets into one."""

from __future__ import annotations

import base64
import gzip
import io
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drawings import SECRET, attacks, svg
from pictures import drawn, encoded
from sightline.errors import MissingExtraError, PictureError, PictureTimeoutError, PictureTooLargeError, SightlineError
from sightline.runtime.guard import Guard
from sightline.runtime.limits import Limits
from sightline.runtime.vector import MAX_DEPTH, draw_svg

pytest.importorskip("cairosvg")
RED = svg('<rect width="40" height="30" fill="#c82828"/>')


@pytest.fixture(scope="module")
def guard() -> Iterator[Guard]:
    with Guard(deadline_s=20) as guard:
        yield guard


@pytest.fixture(scope="module")
def listener() -> Iterator[tuple[str, list[str]]]:
    hits: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hits.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(encoded(Image.new("RGB", (8, 8), SECRET), "PNG"))

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", hits
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("secret")
    files = {name: folder / name for name in ("s.png", "s.svg", "s.css", "s.txt", "s.xsl")}
    files["s.png"].write_bytes(encoded(Image.new("RGB", (8, 8), SECRET), "PNG"))
    files["s.svg"].write_bytes(svg('<rect id="r" width="40" height="30" fill="#f0f"/>'))
    files["s.css"].write_text("rect { fill: #f0f }")
    files["s.txt"].write_text("#f0f")
    files["s.xsl"].write_text("<x/>")
    return files


def test_attacks(listener: tuple[str, list[str]], secrets: dict[str, Path]) -> None:
    """Each is a typed refusal or a harmless picture; nobody is asked, no foreign pixel is seen, the guard lives on."""
    web, hits = listener
    refused = set()
    with Guard(deadline_s=20) as guard, Guard(deadline_s=1) as impatient:
        for name, data in attacks(web, secrets).items():
            try:
                if name == "billion uses":
                    with pytest.raises(PictureTimeoutError):
                        impatient.convert(data, "svg", 80)
                    continue
                pixels = guard.convert(data, "svg", 80)
            except PictureError:
                refused.add(name)
            else:
                assert max(pixels.shape) == 80, name
                near = np.abs(pixels.astype(int) - SECRET).sum(axis=2) < 60
                assert not near.any(), name
        assert hits == []
        assert tuple(guard.convert(RED, "svg", 40)[15, 20]) == (200, 40, 40)
    assert refused >= {
        "xxe file", "xxe web", "billion laughs", "parameter entity", "deep", "wide", "narrow", "gzip bomb", "cut", "zeros"
    }  # fmt: skip
    assert not {"stylesheet", "outside dtd", "import", "script", "huge canvas", "svg in svg"} & refused


def test_what_it_looks_like(guard: Guard) -> None:
    pixels = guard.convert(
        svg('<circle cx="10" cy="15" r="8" fill="rgb(0,0,255)"/><rect x="30" width="10" height="30"/>'), "svg", 80
    )
    assert pixels.shape == (60, 80, 3)
    assert tuple(pixels[30, 20]) == (0, 0, 255)
    assert tuple(pixels[30, 70]) == (0, 0, 0)
    assert tuple(pixels[0, 0]) == (255, 255, 255)
    half = guard.convert(svg('<rect width="40" height="30" fill="red" opacity="0.5"/>'), "svg", 40)
    assert abs(int(half[15, 20, 1]) - 128) <= 2  # over white
    assert half[15, 20, 0] == 255


@pytest.mark.parametrize(
    ("head", "shape"),
    [
        ('width="200" height="100"', (40, 80)),
        ('width="2in" height="192px" viewBox="0 0 10 10"', (80, 80)),
        ('width="100%" height="100%" viewBox="0 0 10 40"', (80, 20)),
        ('height="50" viewBox="0 0 40 20"', (40, 80)),
        ('viewBox="-5,-5,10,5"', (40, 80)),
    ],
)
def test_sizes(head: str, shape: tuple[int, int]) -> None:
    data = svg('<rect x="-9" y="-9" width="999" height="999" fill="#0f0"/>', f'<svg xmlns="http://www.w3.org/2000/svg" {head}>')
    pixels = draw_svg(data, 80, Limits())
    assert pixels.shape == (*shape, 3)
    assert tuple(pixels[shape[0] // 2, shape[1] // 2]) == (0, 255, 0)


def test_pictures_inside_a_drawing(guard: Guard) -> None:
    inner = drawn(3, (40, 30))
    for kind, mime in (("PNG", "png"), ("JPEG", "jpeg"), ("WEBP", "webp")):
        uri = f"data:image/{mime};base64," + base64.b64encode(encoded(inner, kind)).decode()
        pixels = guard.convert(svg(f'<image width="40" height="30" xlink:href="{uri}"/>'), "svg", 40)
        assert np.abs(pixels.astype(int) - np.asarray(inner, int)).mean() < 12, kind
    broken = guard.convert(
        svg('<image width="40" height="30" href="data:image/png;base64,AAAA"/><rect width="9" height="9"/>'), "svg", 40
    )
    assert tuple(broken[4, 4]) == (0, 0, 0)


def test_gzip_and_doctype(guard: Guard) -> None:
    doctype = b'<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">'
    for data in (gzip.compress(RED), doctype + RED):
        assert tuple(guard.convert(data, "svg", 40)[15, 20]) == (200, 40, 40)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"<html/>", "first element is <html>"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "states no size"),
        (svg("<g>" * (MAX_DEPTH + 1) + "</g>" * (MAX_DEPTH + 1)), "nested"),
        (RED[:-3], "no whole XML"),
        (b"\x1f\x8b\x08rubbish", "SVGZ is damaged"),
    ],
)
def test_refusals(guard: Guard, data: bytes, says: str) -> None:
    with pytest.raises(PictureError, match=says):
        guard.convert(data, "svg", 64)


def test_sides(guard: Guard) -> None:
    with pytest.raises(PictureTooLargeError):
        guard.convert(RED, "svg", 20_000)
    with pytest.raises(PictureError):
        guard.convert(RED, "svg", 0)


def test_drawings_and_pictures_do_not_share_a_worker() -> None:
    picture = encoded(drawn())
    with Guard(deadline_s=20) as guard:
        before = {worker.process.pid for worker in guard._all}
        guard.decode(picture)
        guard.convert(RED, "svg", 32)
        assert {worker.process.pid for worker in guard._all} == before
        drawing = guard._drawing
        assert drawing is not None
        assert len(drawing._all) == 1
    assert not drawing._all
    with pytest.raises(SightlineError, match="closed"):
        guard.convert(RED, "svg", 32)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, guard: Guard) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match="media"):
        guard.convert(RED, "svg", 32)


def test_without_the_c_library(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    real = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name.startswith("cairosvg"):
            raise OSError('no library called "cairo-2" was found')
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(PictureError, match="Cairo library"):
        draw_svg(RED, 32, Limits())
    from sightline.runtime.guardworker import warm_media

    warm_media()


def test_warming_the_usual_worker_loads_no_drawing_libraries() -> None:
    import subprocess

    loaded = "'cairosvg' in sys.modules, 'pydicom' in sys.modules"
    code = f"import sys; from sightline.runtime import guardworker; guardworker.warm(); print({loaded})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["False", "False"]


def test_pixels_are_ours_to_change(guard: Guard) -> None:
    pixels = guard.convert(RED, "svg", 16)
    pixels[0] = 0
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    assert stream.getvalue()
