"""Frames of clips: evenly spread, from videos, folders and pictures; each failure with its reason."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from sightline.errors import NotFoundError, PictureError, PictureFormatError
from sightline.runtime import clips
from sightline.runtime.model import prepared
from sightline.types import InputSpec

pytest.importorskip("av")
from clipdrawings import save

SPEC = InputSpec(size=32, fit="squash", frames=8)


def grey(count: int) -> np.ndarray:
    """Frames that get brighter and brighter."""
    return np.repeat(np.linspace(0, 250, count).astype(np.uint8), 32 * 32 * 3).reshape(count, 32, 32, 3)


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".gif"])
def test_frames_are_spread_over_the_whole_video(tmp_path, suffix):
    frames, used = clips.prepare_clip(save(tmp_path / f"a{suffix}", grey(50)), SPEC)
    assert frames.shape == (8, 32, 32, 3)
    assert used == 8
    means = frames.mean(axis=(1, 2, 3))
    assert (np.diff(means) > 15).all()
    assert means[0] < 30
    assert means[-1] > 220


def test_a_long_video_is_sought_in(tmp_path, monkeypatch):
    monkeypatch.setattr(clips, "LONG", 40)
    decoded = []
    monkeypatch.setattr(clips, "_passed", lambda *_: decoded.append(1))
    frames, used = clips.prepare_clip(save(tmp_path / "long.mp4", grey(120)), SPEC)
    assert used == 8
    assert not decoded
    assert (np.diff(frames.mean(axis=(1, 2, 3))) > 15).all()


def test_short_clips_repeat_frames(tmp_path):
    frames, used = clips.prepare_clip(save(tmp_path / "short.mp4", grey(3)), SPEC)
    assert (len(frames), used) == (8, 3)
    assert clips.prepare_clip(save(tmp_path / "one.mp4", grey(1)), SPEC)[1] == 1


def test_numbered_frames_come_in_the_order_of_their_numbers(tmp_path):
    for number, value in ((2, 20), (10, 100), (1, 10)):
        Image.new("RGB", (32, 32), (value, value, value)).save(tmp_path / f"frame{number}.png")
    frames, used = clips.prepare_clip(tmp_path, InputSpec(size=32, frames=3))
    assert used == 3
    assert frames[:, 0, 0, 0].tolist() == [10, 20, 100]


def test_a_picture_is_a_clip_of_one_frame(tmp_path):
    Image.new("RGB", (32, 32), (9, 9, 9)).save(tmp_path / "a.png")
    frames, used = clips.prepare_clip(tmp_path / "a.png", SPEC)
    assert (frames.shape, used) == ((8, 32, 32, 3), 1)


def test_bad_clips_are_refused_with_the_reason(tmp_path):
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_bytes(b"no video at all" * 100)
    (tmp_path / "none").mkdir()
    for name, said in (("empty.mp4", "empty"), ("text.mp4", "cannot be opened"), ("none", "no frames")):
        with pytest.raises(PictureError, match=said):
            clips.prepare_clip(tmp_path / name, SPEC)
    with pytest.raises(NotFoundError):
        clips.prepare_clip(tmp_path / "away.mp4", SPEC)


def test_a_video_for_a_model_of_pictures_says_how(tmp_path):
    with pytest.raises(PictureFormatError, match="is a video") as caught:
        prepared(save(tmp_path / "a.mp4", grey(3)), InputSpec(size=32))
    assert "sightline collect" in caught.value.hint
