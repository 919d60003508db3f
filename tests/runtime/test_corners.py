"""Corners and blobs are where a picture has them."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from sightline.runtime.corners import blobs, corners


def drawing() -> np.ndarray:
    picture = Image.new("RGB", (64, 64), (40, 40, 40))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((8, 8, 27, 27), fill=(220, 220, 220))
    pen.ellipse((42, 42, 50, 50), fill=(230, 230, 230))
    return np.asarray(picture)


def test_a_rectangle_has_its_four_corners():
    found = corners(drawing())[:4]
    for x, y in ((8, 8), (8, 27), (27, 8), (27, 27)):
        assert any(abs(spot.x - x) <= 2 and abs(spot.y - y) <= 2 for spot in found)
    strengths = [spot.strength for spot in corners(drawing())]
    assert strengths == sorted(strengths, reverse=True)
    assert strengths[0] == 1.0


def test_a_disc_is_a_blob_of_about_its_size():
    near = [spot for spot in blobs(drawing()) if abs(spot.x - 46) <= 1 and abs(spot.y - 46) <= 1]
    assert near
    assert 2.5 <= near[0].radius <= 7


def test_a_flat_picture_has_none():
    flat = np.full((64, 64, 3), 90, np.uint8)
    assert corners(flat) == ()
    assert blobs(flat) == ()
