"""Looking live: every frame of a file, the newest of a camera; cameras that are not there, held or not allowed; addresses."""

from __future__ import annotations

import errno
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline.errors import ConflictError, FetchError, MissingExtraError, NotFoundError, PictureError, SightlineError
from sightline.runtime.footage import Frame
from sightline.sources import camera
from sightline.sources.live import Live, watching

av = pytest.importorskip("av")


def film(path: Path, count: int = 12) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(count):
            pixels = np.full((48, 64, 3), 20 * number, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def taken(live: Live, most: int = 1000, seconds: float = 20) -> list[Frame]:
    found: list[Frame] = []
    end = time.monotonic() + seconds
    while not live.ended and len(found) < most and time.monotonic() < end:
        frame = live.take(0.1)
        if frame is not None:
            found.append(frame)
    return found


def test_of_a_file_every_frame_is_given_however_slow_the_taker(tmp_path: Path) -> None:
    with watching(str(film(tmp_path / "v.mp4"))) as live:
        found = taken(live)
        assert not live.live
        assert live.dropped == 0
    assert [frame.number for frame in found] == list(range(12))
    assert found[0].pixels.shape == (48, 64, 3)
    assert found[5].time == pytest.approx(0.5)


@pytest.fixture
def drawn_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg's test picture in the place of a camera: endless, as fast as it is read."""
    monkeypatch.setattr(camera, "camera_address", lambda number: ("testsrc=size=64x48:rate=30", "lavfi"))


@pytest.mark.parametrize("name", ["0", "camera:0", "camera"])
def test_of_a_camera_the_newest_and_the_others_are_counted(drawn_camera: None, name: str) -> None:
    if name == "camera":
        with pytest.raises(NotFoundError), watching(name):
            pass
        return
    with watching(name) as live:
        first = taken(live, 1)[0]
        time.sleep(0.05)
        second = taken(live, 1)[0]
        assert live.live
        assert live.name == "camera 0"
        assert second.number > first.number
        assert live.dropped >= second.number - first.number - 1
    assert live.stopped


def test_the_reader_ends_with_the_block(drawn_camera: None) -> None:
    with watching("0") as live:
        taken(live, 1)
    end = time.monotonic() + 5
    while any(one.name == "sightline-camera" for one in threading.enumerate()) and time.monotonic() < end:
        time.sleep(0.01)
    assert not [one for one in threading.enumerate() if one.name == "sightline-camera"]


def test_no_such_camera_names_those_that_are_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "video2").touch()
    monkeypatch.setattr(camera, "DEVICES", tmp_path)
    monkeypatch.setattr(camera.sys, "platform", "linux")
    with pytest.raises(NotFoundError, match="no camera 7") as caught, watching("7"):
        pass
    assert "there are: 2" in caught.value.hint


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        (errno.EBUSY, ConflictError, "held by another program"),
        (errno.EACCES, NotFoundError, "may not be opened"),
        (errno.ENODEV, NotFoundError, "no camera 0"),
    ],
)
def test_why_a_camera_refuses(
    monkeypatch: pytest.MonkeyPatch, drawn_camera: None, code: int, kind: type[SightlineError], says: str
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise OSError(code, "refused")

    monkeypatch.setattr(av, "open", refused)
    with pytest.raises(kind, match=says) as caught, watching("0"):
        pass
    assert caught.value.hint


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, drawn_camera: None) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "av", None)
    for source in ("0", "http://127.0.0.1:9/"):
        with pytest.raises(MissingExtraError, match="media"), watching(source):
            pass


def test_no_such_file_and_no_video(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError), watching(str(tmp_path / "none.mp4")):
        pass
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(PictureError), watching(str(tmp_path / "text.mp4")):
        pass


def jpeg(number: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (64, 48), (min(255, 8 * number), 60, 60)).save(stream, "JPEG")
    return stream.getvalue()


class Motion(BaseHTTPRequestHandler):
    """A camera of the network: JPEG after JPEG, as multipart/x-mixed-replace."""

    def do_GET(self) -> None:
        if self.path.startswith("/none"):
            self.send_error(404)
            return
        if self.path.startswith("/list"):
            self._reply("application/vnd.apple.mpegurl", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hosts\n")
            return
        if self.path.startswith("/snap"):
            self._reply("image/jpeg", jpeg(3))
            return
        if self.path.startswith("/film"):
            with TemporaryDirectory() as folder:
                self._reply("video/mp4", film(Path(folder) / "v.mp4").read_bytes())
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for number in range(25):
            data = jpeg(number)
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + data + b"\r\n")
            except OSError:
                return
            time.sleep(0.01)

    def _reply(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def network_camera() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Motion)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_camera_of_the_network() -> None:
    with network_camera() as host:
        with watching(f"http://me:secret@{host}/live?key=1") as live:
            found = taken(live)
            assert live.name == f"http://{host}/live"
        assert len(found) + live.dropped >= 20
        assert [frame.number for frame in found] == sorted(frame.number for frame in found)
        assert found[-1].pixels.shape == (48, 64, 3)
        for path in ("none", "list"):
            with pytest.raises((NotFoundError, FetchError)), watching(f"http://{host}/{path}"):
                pass

        assert live.broke


@pytest.mark.parametrize(("path", "count"), [("film.mp4", 12), ("snap.jpg", 1)])
def test_of_a_file_at_an_address_every_frame_is_given(path: str, count: int) -> None:
    with network_camera() as host, watching(f"http://{host}/{path}") as live:
        assert [frame.number for frame in taken(live)] == list(range(count))
        assert (live.dropped, live.broke) == (0, "")


@pytest.mark.parametrize("password", ["secret", "p@ss", "a/b", "a@b/c"])
def test_an_address_where_nobody_answers_keeps_its_password(password: str) -> None:
    address = f"http://me:{password}@127.0.0.1:9/video?key=hidden"
    with pytest.raises(SightlineError) as refused, watching(address):
        pass
    assert "http://127.0.0.1:9/video" in str(refused.value)
    assert not any(secret in str(refused.value) for secret in ("me:", password, "hidden"))


def test_a_name_that_no_file_can_have() -> None:
    with pytest.raises(NotFoundError), watching("a" * 300):
        pass
