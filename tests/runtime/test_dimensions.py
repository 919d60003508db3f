"""Sizes from headers agree with what the decoder gives, for every format and orientation."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from pictures import drawn, encoded
from sightline.errors import NotFoundError, PictureError
from sightline.runtime.dimensions import dimensions
from sightline.runtime.pixels import decode


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_every_orientation(tmp_path: Path, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    data = encoded(drawn(1, (50, 30)), kind, exif=exif)
    path = tmp_path / "p"
    path.write_bytes(data)
    found = dimensions(path)
    assert found.upright == decode(data).shape[1::-1]
    assert found.upright == ((30, 50) if orientation >= 5 else (50, 30))


@pytest.mark.parametrize("kind", ["BMP", "GIF"])
def test_plain_formats(tmp_path: Path, kind: str) -> None:
    (tmp_path / "p").write_bytes(encoded(drawn(1, (50, 30)), kind))
    assert dimensions(tmp_path / "p") == (50, 30, 1)


def test_heic_turned_by_its_own_box(tmp_path: Path) -> None:
    import pillow_heif

    exif = Image.Exif()
    exif[274] = 6
    path = tmp_path / "p.heic"
    pillow_heif.from_pillow(drawn(1, (64, 48))).save(path, exif=exif.tobytes())
    assert dimensions(path).upright == decode(path.read_bytes()).shape[1::-1]


def test_frame_behind_a_large_segment(tmp_path: Path) -> None:
    data = encoded(drawn(1, (50, 30)))
    comment = b"\xff\xfe\xff\xff" + b"x" * 0xFFFD
    (tmp_path / "p").write_bytes(data[:2] + comment * 3 + data[2:])
    assert dimensions(tmp_path / "p") == (50, 30, 1)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"II*\0junk", b"hello" * 99])
def test_nonsense_is_a_picture_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "p").write_bytes(data)
    with pytest.raises(PictureError):
        dimensions(tmp_path / "p")


def test_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        dimensions(tmp_path / "none.jpg")
