"""Datasets of clips: what counts as one, what is left out, what stays together."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from sightline.data.clips import holds_clips, look_at_clips, read_clips
from sightline.errors import DatasetError

pytest.importorskip("av")
from clipdrawings import ball, draw, save


def test_videos_and_folders_of_frames_are_clips_and_stray_pictures_are_told(tmp_path):
    draw(tmp_path, "way", 2)
    for number in range(3):
        (tmp_path / "left" / "shot").mkdir(exist_ok=True)
        Image.new("RGB", (16, 16), (number, 0, 0)).save(tmp_path / "left" / "shot" / f"{number}.png")
    assert not holds_clips(tmp_path)
    Image.new("RGB", (16, 16)).save(tmp_path / "right" / "alone.png")
    found = read_clips(tmp_path)
    assert [item.name for item in found.items] == [
        "left/0000.mp4",
        "left/0001.mp4",
        "left/shot",
        "right/0000.mp4",
        "right/0001.mp4",
    ]
    assert [failure.picture for failure in found.failures] == ["right/alone.png"]


def test_nothing_but_videos_needs_no_word(tmp_path):
    assert holds_clips(draw(tmp_path, "way", 1))


def test_a_clip_saved_again_stays_with_its_twin_and_takes_of_one_camera_do_not(tmp_path):
    draw(tmp_path, "way", 3)
    frames = ball("way", False, np.random.default_rng(5))
    save(tmp_path / "left" / "a.mp4", frames)
    save(tmp_path / "right" / "b.avi", frames)
    save(tmp_path / "right" / "backwards.mp4", frames[::-1])
    (tmp_path / "left" / "broken.mp4").write_bytes(b"x" * 500)
    dataset, _ = look_at_clips(read_clips(tmp_path))
    groups = {item.name: item.group for item in dataset.items}
    assert groups.pop("left/a.mp4") == groups.pop("right/b.avi") is not None
    assert set(groups.values()) == {None}
    assert [failure.picture for failure in dataset.failures] == ["left/broken.mp4"]
    assert dataset.hash


def test_a_folder_without_clips_is_refused(tmp_path):
    (tmp_path / "left").mkdir()
    with pytest.raises(DatasetError, match="no clips"):
        read_clips(tmp_path)
