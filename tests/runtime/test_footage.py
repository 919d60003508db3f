from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sightline.errors import NotFoundError, PictureError
from sightline.runtime.footage import film, footage

pytest.importorskip("av")


def test_frames_come_back_in_order_at_their_times(tmp_path: Path):
    with film(tmp_path / "a.mp4", 10) as out:
        for number in range(12):
            out.add(np.full((64, 96, 3), 20 * number, np.uint8), number / 10)
    with footage(tmp_path / "a.mp4") as clip:
        assert clip.rate == pytest.approx(10, rel=0.02)
        assert clip.length == 12
        frames = list(clip.frames)
    assert [frame.number for frame in frames] == list(range(12))
    assert [frame.time for frame in frames] == pytest.approx([number / 10 for number in range(12)], abs=0.002)
    assert [float(frame.pixels.mean()) for frame in frames] == pytest.approx([20 * number for number in range(12)], abs=6)
    assert frames[0].pixels.shape == (64, 96, 3)


def test_odd_sides_uneven_times_and_changing_sizes(tmp_path: Path):
    times = [0.0, 0.1, 0.15, 0.15, 0.9]
    with film(tmp_path / "a.mp4", 25) as out:
        for number, time in enumerate(times):
            out.add(np.full((65 + 2 * number, 97, 3), 100, np.uint8), time)
    with footage(tmp_path / "a.mp4") as clip:
        frames = list(clip.frames)
    assert [frame.time for frame in frames] == pytest.approx(times, abs=0.002)
    assert {frame.pixels.shape for frame in frames} == {(64, 96, 3)}


def test_what_is_no_video(tmp_path: Path):
    (tmp_path / "a.mp4").write_bytes(b"no video at all")
    (tmp_path / "empty.mp4").write_bytes(b"")
    for name in ("a.mp4", "empty.mp4"):
        with pytest.raises(PictureError), footage(tmp_path / name):
            pass
    with pytest.raises(NotFoundError), footage(tmp_path / "missing.mp4"):
        pass


def test_a_film_without_frames_is_none(tmp_path: Path):
    with film(tmp_path / "a.mp4", 25):
        pass
    assert not (tmp_path / "a.mp4").exists()
