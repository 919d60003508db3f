"""Hidden regions stay hidden: little is left of them, nothing else changes, and no metadata goes along."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from hostile import samples
from pictures import drawn, encoded
from sightline.errors import PictureError, UsageError
from sightline.runtime.metadata import private
from sightline.runtime.pixels import decode, sniff
from sightline.runtime.redact import CELLS, blurred, redact

PICTURE = np.asarray(drawn(1, (200, 150)))


def plate(text: str) -> np.ndarray:
    picture = Image.new("RGB", (240, 60), (240, 240, 240))
    ImageDraw.Draw(picture).text((10, 4), text, fill=(0, 0, 0), font=ImageFont.load_default(46))
    return np.asarray(picture)


def test_only_the_boxes_change() -> None:
    found = blurred(PICTURE, [(20, 30, 80, 90), (100.4, 10.6, 140.2, 50.1)])
    changed = (found != PICTURE).any(axis=2)
    allowed = np.zeros_like(changed)
    allowed[30:90, 20:80] = allowed[10:51, 100:141] = True
    assert not changed[~allowed].any()
    assert changed[30:90, 20:80].mean() > 0.95
    assert np.array_equal(PICTURE, np.asarray(drawn(1, (200, 150))))  # the original is not touched


def test_little_is_left() -> None:
    """Noise in the region disappears: its result is the same for regions with the same coarse averages."""
    rng = np.random.default_rng(0)
    ground = np.full((64, 64, 3), 104, np.uint8)
    first, second = (np.clip(ground + rng.normal(0, 30, ground.shape), 0, 255).astype(np.uint8) for _ in range(2))
    box = [(0.0, 0.0, 64.0, 64.0)]
    assert np.abs(blurred(first, box).astype(int) - blurred(second, box)).mean() < 2
    region = blurred(PICTURE, [(0, 0, 200, 150)])
    assert len(np.unique(np.asarray(Image.fromarray(region).resize((4, 3), Image.Resampling.BOX)).reshape(-1, 3), axis=0)) <= 12


def test_plates_cannot_be_told_apart_by_trying() -> None:
    """Of plates with the same pattern of characters, most give exactly the same picture."""
    texts = [f"M AB {number}" for number in (123, 132, 213, 231, 312, 321, 128, 183, 138)]
    box = [(0.0, 0.0, 240.0, 60.0)]
    results = {blurred(plate(text), box).tobytes() for text in texts}
    assert len(results) <= 4


def test_strength() -> None:
    weak, strong = (blurred(PICTURE, [(0, 0, 200, 150)], strength) for strength in (0.5, CELLS))
    assert weak.std() > strong.std()
    assert len(np.unique(strong.reshape(-1, 3), axis=0)) == 1
    for wrong in (0, 0.1, 9, float("nan")):
        with pytest.raises(UsageError):
            blurred(PICTURE, [(0, 0, 9, 9)], wrong)


@pytest.mark.parametrize("box", [(0, 0, 0, 9), (9, 9, 3, 20), (300, 0, 400, 9), (-9, -9, -1, -1), (0, 0, float("nan"), 9)])
def test_a_box_that_hides_nothing_is_an_error(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(UsageError, match="hides nothing"):
        blurred(PICTURE, [box])


def test_boxes_over_the_edge_and_one_pixel() -> None:
    assert blurred(PICTURE, [(-50, -50, 30, 30), (199, 149, 260, 900)]).shape == PICTURE.shape
    assert blurred(PICTURE[:1, :1], [(0, 0, 1, 1)]).shape == (1, 1, 3)


@pytest.mark.parametrize("orientation", [1, 6])
def test_files(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = orientation, "SECRETNAME"
    for kind in ("JPEG", "PNG", "WEBP"):
        data = encoded(drawn(1, (200, 150)), kind, exif=exif)
        before = decode(data)
        found = redact(data, [(20, 30, 80, 90)])
        assert sniff(found) == ("jpeg" if kind == "JPEG" else "png")
        assert private(found) == ()
        assert b"SECRETNAME" not in found
        after = decode(found)
        assert after.shape == before.shape
        assert np.abs(after[100:].astype(int) - before[100:]).mean() < 3
        assert np.abs(after.astype(int) - blurred(before, [(20, 30, 80, 90)])).mean() < 3


def test_every_format() -> None:
    for name, data in samples():
        assert decode(redact(data, [(0, 0, 20, 20)])).shape == decode(data).shape, name
    with pytest.raises(PictureError):
        redact(b"no picture", [(0, 0, 20, 20)])
