"""Frames of videos: which ones, upright, of one group; broken, disguised and missing ones. The videos are made here."""

from __future__ import annotations

import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pictures import drawn
from sightline.errors import MissingExtraError, NotFoundError, UsageError
from sightline.runtime.metadata import private
from sightline.runtime.pixels import decode, sniff
from sightline.sources import Arrival, Options, arrive
from sightline.sources import camera as camera_of_number
from sightline.sources.video import frames
from sightline.types import Failure

av = pytest.importorskip("av")
RATE = 10


def scenes(count: int, each: int) -> list[Image.Image]:
    """`count` different pictures, each standing for `each` frames with a small moving dot."""
    made = []
    for number in range(count):
        for step in range(each):
            picture = drawn(number + 1, (96, 64), ((200, 40, 40), (40, 170, 60), (40, 60, 200))[number % 3])
            ImageDraw.Draw(picture).point((step, 2), (255, 255, 255))
            made.append(picture)
    return made


def film(
    path: Path,
    pictures: list[Image.Image],
    codec: str = "mpeg4",
    rotation: int = 0,
    aspect: Fraction | None = None,
    **options: str,
) -> Path:
    with av.open(str(path), "w", options=options) as container:
        container.metadata["location"] = "+48.1351+011.5820/"
        stream = container.add_stream(codec, rate=RATE)
        stream.width, stream.height = pictures[0].size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.bit_rate = 4_000_000
        stream.gop_size = 5
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation:
            stream.set_display_rotation(rotation)
        for picture in pictures:
            for packet in stream.encode(av.VideoFrame.from_image(picture)):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def taken(source: Path | str, **options: Any) -> list[Arrival]:
    found = list(frames(source, **options))
    assert not [one for one in found if isinstance(one, Failure)]
    return [one for one in found if isinstance(one, Arrival)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("film") / "walk.mp4", scenes(4, 10))


def numbers(arrivals: list[Arrival]) -> list[int]:
    return [int(one.name.rpartition("/")[2].split(".")[0]) for one in arrivals]


def test_every_nth_frame(clip: Path) -> None:
    found = taken(clip, every=7, near=-1)
    assert numbers(found) == [0, 7, 14, 21, 28, 35]
    pictures = scenes(4, 10)
    for number, one in zip(numbers(found), found, strict=True):
        assert one.data is not None
        assert sniff(one.data) == "jpeg"
        assert private(one.data) == ()
        difference = np.abs(decode(one.data).astype(int) - np.asarray(pictures[number], int)).mean()
        assert difference < 12
    assert {one.group for one in found} == {found[0].group}
    assert str(found[0].group).startswith("walk.mp4:")
    assert found[1].name == "walk/000007.jpg"
    assert found[1].facts is not None
    assert found[1].facts.source == "walk.mp4#t=0.700"
    assert found[1].address.endswith("walk.mp4#frame=7")
    assert "48.1351" not in repr(found)


def test_every_so_many_seconds(clip: Path) -> None:
    assert numbers(taken(clip, seconds=0.5, near=-1)) == [0, 5, 10, 15, 20, 25, 30, 35]
    assert numbers(taken(clip, near=-1)) == [0, 10, 20, 30]  # one a second when nothing is said
    assert numbers(taken(clip, seconds=0.25, near=-1))[:5] == [0, 3, 5, 8, 10]  # the first frame at or after each quarter


def test_what_a_person_says_reaches_the_frames(clip: Path, tmp_path: Path, options: Options) -> None:
    folder = tmp_path / "clips" / "walk"
    folder.mkdir(parents=True)
    (folder / clip.name).write_bytes(clip.read_bytes())
    for source in (clip, tmp_path / "clips"):
        assert numbers(list(arrive(str(source), options))) == [0, 10, 20, 30]
        assert numbers(list(arrive(str(source), replace(options, seconds=2)))) == [0, 20]
        assert numbers(list(arrive(str(source), replace(options, every=15)))) == [0, 15, 30]


def test_scenes_and_near_equal_frames(clip: Path, tmp_path: Path) -> None:
    assert numbers(taken(clip, scene=0.05, near=-1)) == [0, 10, 20, 30]
    assert numbers(taken(clip, every=1)) == [0, 10, 20, 30]
    there_and_back = film(tmp_path / "back.mp4", [*scenes(2, 5), *scenes(2, 5)])
    assert numbers(taken(there_and_back, every=1)) == [0, 5]  # also those seen long ago
    assert numbers(taken(there_and_back, scene=0.05, near=-1)) == [0, 5, 10, 15]


def test_flat_frames_are_one(tmp_path: Path) -> None:
    black, white = Image.new("RGB", (96, 64)), Image.new("RGB", (96, 64), (250, 250, 250))
    path = film(tmp_path / "title.mp4", [black] * 5 + scenes(1, 3) + [black] * 5 + [white] * 3)
    assert numbers(taken(path, every=1)) == [0, 5, 13]


def test_limit_and_png(clip: Path) -> None:
    found = taken(clip, every=1, near=-1, limit=3, form="png")
    assert numbers(found) == [0, 1, 2]
    assert found[0].data is not None
    assert sniff(found[0].data) == "png"
    assert found[0].name.endswith(".png")
    assert private(found[0].data) == ()


@pytest.mark.parametrize(
    ("rotation", "transpose"),
    [(90, Image.Transpose.ROTATE_90), (180, Image.Transpose.ROTATE_180), (-90, Image.Transpose.ROTATE_270)],
)
def test_turned_videos_stand_upright(tmp_path: Path, rotation: int, transpose: Image.Transpose) -> None:
    pictures = scenes(1, 3)
    path = film(tmp_path / "turned.mp4", pictures, rotation=rotation)
    data = taken(path, every=1, limit=1)[0].data
    assert data is not None
    upright = np.asarray(pictures[0].transpose(transpose), int)
    assert decode(data).shape == upright.shape
    assert np.abs(decode(data).astype(int) - upright).mean() < 12


def test_wide_pixels(tmp_path: Path) -> None:
    path = film(tmp_path / "wide.mp4", scenes(1, 3), aspect=Fraction(3, 2))
    data = taken(path, limit=1)[0].data
    assert data is not None
    assert decode(data).shape == (64, 144, 3)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mkv", "libx264"), ("a.avi", "mjpeg"), ("a.webm", "libvpx"), ("a.ts", "mpeg2video"), ("a.mov", "mpeg4")],
)
def test_containers(tmp_path: Path, name: str, codec: str) -> None:
    assert len(taken(film(tmp_path / name, scenes(3, 4), codec), every=1)) == 3


def test_a_cut_video_gives_what_there_is_and_one_failure(tmp_path: Path) -> None:
    whole = film(tmp_path / "whole.avi", scenes(6, 10), "mjpeg").read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) // 2])
    found = list(frames(tmp_path / "cut.avi", every=1))
    assert 2 <= len(found[:-1]) <= 4
    assert all(isinstance(one, Arrival) for one in found[:-1])
    assert isinstance(found[-1], Failure)
    assert found[-1].error.code == "picture_unreadable"
    assert "frames were taken" in found[-1].error.message


def test_a_damaged_video_gives_what_there_is_and_one_failure(tmp_path: Path) -> None:
    whole = bytearray(film(tmp_path / "whole.mp4", scenes(6, 10), "libx264").read_bytes())
    start = whole.index(b"mdat")
    rng = np.random.default_rng(0)
    for at in rng.integers(start + 3000, start + len(whole) // 2, 400):
        whole[at] = rng.integers(256)
    (tmp_path / "damaged.mp4").write_bytes(whole)
    found = list(frames(tmp_path / "damaged.mp4", every=1))
    assert isinstance(found[0], Arrival)
    assert len([one for one in found if isinstance(one, Failure)]) <= 1


@pytest.mark.parametrize(
    "data", [b"", b"not a video", bytes(5000), b"\0\0\0\x18ftypisom" + bytes(100), b"RIFF\0\0\0\0AVI LIST"]
)
def test_no_video(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(data)
    (failure,) = frames(tmp_path / "a.mp4")
    assert isinstance(failure, Failure)
    assert "cannot be opened" in failure.error.message or "holds no" in failure.error.message


def test_playlists_open_nothing(tmp_path: Path, clip: Path) -> None:
    """A playlist under a video's name must not make FFmpeg fetch or open what it names."""
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    hits: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hits.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    web = f"http://127.0.0.1:{server.server_port}"
    head = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n"
    made = {
        "web.mp4": f"{head}{web}/a.ts\n#EXT-X-ENDLIST\n",
        "file.mp4": f"{head}{clip}\n#EXT-X-ENDLIST\n",
        "web.m3u8.mp4": f"{head}{web}/a.ts\n#EXT-X-ENDLIST\n",
        "concat.mp4": f"ffconcat version 1.0\nfile '{clip}'\n",
        "dash.mp4": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{web}/</BaseURL></MPD>',
        "sdp.mp4": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    }
    try:
        for name, text in made.items():
            (tmp_path / name).write_text(text)
            (failure,) = frames(tmp_path / name)
            assert isinstance(failure, Failure), name
    finally:
        server.shutdown()
        server.server_close()
    assert hits == []


def test_only_sound(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44_100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44_100
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)
    (failure,) = frames(tmp_path / "sound.mp4")
    assert isinstance(failure, Failure)
    assert "no moving picture" in failure.error.message


def test_what_is_wrong_is_said_at_once(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFoundError, match="no such video"):
        frames(tmp_path / "none.mp4")
    for options in ({"every": 0}, {"seconds": -1}, {"scene": 2}, {"limit": 0}):
        with pytest.raises(UsageError):
            frames(clip, **options)
    with pytest.raises(UsageError, match="never ends"):
        frames("camera:0")
    with pytest.raises(NotFoundError, match="no camera 63"):
        frames("camera:63", limit=1)
    import builtins

    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "av":
            raise ModuleNotFoundError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match="media"):
        frames(clip)


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg's test picture in the place of a camera."""
    monkeypatch.setattr(camera_of_number, "camera_address", lambda number: ("testsrc=size=64x48:rate=30", "lavfi"))
    return


def test_a_camera(camera: None) -> None:
    found = taken("camera:0", every=15, near=-1, limit=4)
    assert numbers(found) == [0, 15, 30, 45]
    assert found[0].data is not None
    with Image.open(io.BytesIO(found[0].data)) as opened:
        assert opened.size == (64, 48)
    assert len({one.group for one in found}) == 1
