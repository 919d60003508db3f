"""`predict --camera`: lines, JSON lines and the panel, the summary, Ctrl-C, and what has no meaning beside it."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from bundles import tiny_bundle
from finders import finder_bundle, scene
from sightline.cli import main
from sightline.cli.live import panel
from sightline.errors import FetchError, PictureError, UsageError
from sightline.sources import camera
from sightline.verbs.watching import Seen, watch

av = pytest.importorskip("av")
FRAMES = 10


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red thing on its way past a blue one."""
    path = tmp_path_factory.mktemp("film") / "street.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(FRAMES):
            picture = scene({"red": (10 + 3 * number, 10, 50 + 3 * number, 50), "blue": (90, 70, 130, 110)})
            for packet in stream.encode(av.VideoFrame.from_image(picture)):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main([str(word) for word in words])
    shown = capsys.readouterr()
    return int(stopped.value.code or 0), shown.out, shown.err


def test_json_lines_and_a_summary(capsys: pytest.CaptureFixture[str], tmp_path: Path, street: Path) -> None:
    code, out, _ = run(capsys, "predict", "--camera", street, "--model", tiny_bundle(tmp_path / "m"), "--json", "--top", 2)
    *lines, last = map(json.loads, out.splitlines())
    assert code == 0
    assert [line["frame"] for line in lines] == list(range(FRAMES))
    assert list(lines[0]) == ["frame", "time", "labels", "flags", "took_ms", "per_second", "dropped"]
    assert len(lines[0]["labels"]) == 2
    summary = last["summary"]
    assert set(summary) == {"camera", "model", "frames", "seconds", "per_second", "dropped", "counts"}
    assert summary["frames"] == FRAMES
    assert sum(summary["counts"].values()) == FRAMES


def test_objects_are_followed_and_counted_once(tmp_path: Path, street: Path) -> None:
    seen = list(watch(str(street), str(finder_bundle(tmp_path / "f"))))
    assert seen[-1].counts == {"red": 1, "blue": 1}
    tracks = {(one.label, one.track) for frame in seen[2:] for one in frame.answer.labels}
    assert len(tracks) == 2
    untracked = list(watch(str(street), str(tmp_path / "f"), track=False))
    assert {one.track for frame in untracked for one in frame.answer.labels} == {None}


def test_lines_where_nobody_looks(capsys: pytest.CaptureFixture[str], tmp_path: Path, street: Path) -> None:
    code, out, err = run(capsys, "predict", "--camera", street, "--model", finder_bundle(tmp_path / "f"))
    assert code == 0
    assert "1 red" in out.splitlines()[0]
    assert f"{FRAMES} frames in" in out
    assert "ONNX Runtime, CPU" in err


@pytest.mark.parametrize("kind", ["whole", "objects"])
def test_the_panel(tmp_path: Path, street: Path, kind: str) -> None:
    model = tiny_bundle(tmp_path / "m") if kind == "whole" else finder_bundle(tmp_path / "m")
    seen = list(watch(str(street), str(model)))[-1]
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(panel(seen))
    text = console.export_text()
    assert "frames a second" in text
    assert "red" in text
    assert ("1 now, 1 so far" in text) == (kind == "objects")
    assert ("%" in text) == (kind == "whole")


def test_nothing_found_is_said(tmp_path: Path, street: Path) -> None:
    seen = list(watch(str(street), str(finder_bundle(tmp_path / "f"))))[-1]
    assert isinstance(seen, Seen)
    seen = seen.model_copy(update={"answer": seen.answer.model_copy(update={"labels": ()}), "counts": {}})
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(panel(seen))
    assert "nothing found" in console.export_text()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--camera", "0", "x.jpg"], 2, "takes no pictures"),
        (["--camera", "0", "--keep"], 2, "--keep has no meaning"),
        (["--camera", "0", "--save-pictures", "out"], 2, "--save-pictures has no meaning"),
        (["--camera", "none.mp4"], 3, "no such video"),
        (["--camera", "0", "--threshold", "0.5"], 2, "--threshold"),
        ([], 2, "--camera 0"),
    ],
)
def test_mistakes(capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], code: int, says: str) -> None:
    got, out, err = run(capsys, "predict", *words, "--model", tiny_bundle(tmp_path / "m"))
    assert (got, out) == (code, "")
    assert says in err


def test_a_camera_that_gives_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(camera, "camera_address", lambda number: ("testsrc=size=64x48:rate=30:duration=0.1,select=0", "lavfi"))
    with pytest.raises(PictureError, match="gave no frame"):
        list(watch("0", str(tiny_bundle(tmp_path / "m"))))


def test_a_camera_that_ends_by_itself_is_an_error_after_the_summary(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(camera, "camera_address", lambda number: ("testsrc=size=64x48:rate=30:duration=0.2", "lavfi"))
    code, out, _ = run(capsys, "predict", "--camera", "0", "--model", tiny_bundle(tmp_path / "m"), "--json")
    assert code == FetchError("").exit_code
    *_, summary, error = map(json.loads, out.splitlines())
    assert summary["summary"]["frames"] >= 1
    assert "camera 0 was lost" in error["error"]["message"]


def test_clips_are_no_frames(tmp_path: Path, street: Path) -> None:
    from sightline.types import InputSpec

    model = tiny_bundle(tmp_path / "m", input=InputSpec(size=32, fit="crop", crop=1.0, frames=4))
    with pytest.raises(UsageError, match="clips"):
        watch(str(street), str(model))


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a signal")
def test_ctrl_c_ends_it_with_the_summary(tmp_path: Path) -> None:
    """An endless camera, drawn by FFmpeg, in a process of its own."""
    code = f"""
from sightline.sources import camera
camera.camera_address = lambda number: ("testsrc=size=64x48:rate=30", "lavfi")
from sightline.cli import main
main(["predict", "--camera", "0", "--json", "--model", {str(tiny_bundle(tmp_path / "m"))!r}])
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    first = json.loads(child.stdout.readline())
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert "labels" in first
    assert "Traceback" not in err
    assert json.loads(out.splitlines()[-1])["summary"]["frames"] >= 1
    assert child.returncode == 0
