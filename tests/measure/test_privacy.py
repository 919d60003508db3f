"""What leaves carries no metadata: thumbnails, pictures inside pages, contact sheets."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pictures import drawn, encoded
from sightline.data.contact import contact_sheet
from sightline.measure.thumbnails import data_uri, thumbnail
from sightline.runtime.metadata import private
from sightline.runtime.pixels import decode

XMP = b'<?xpacket?><x:xmpmeta dc:creator="SECRETNAME"/>'


def secretive(kind: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x013B], exif[0x0132] = 6, "SECRETNAME", "2021:02:03 04:05:06"
    exif.get_ifd(0x8825)[2] = (48.0, 8.0, 1.5)
    more = {"JPEG": {"comment": b"SECRETNAME", "xmp": XMP}, "PNG": {}, "WEBP": {"xmp": XMP}}[kind]
    return encoded(drawn(2, (300, 200)), kind, exif=exif, icc_profile=b"SECRETPROFILE" * 20, **more)


def clean(data: bytes) -> None:
    assert private(data) == ()
    assert b"SECRET" not in data
    with Image.open(io.BytesIO(data)) as opened:
        assert not dict(opened.getexif())
        assert not {"icc_profile", "exif", "xmp", "comment"} & set(opened.info)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_thumbnails(kind: str) -> None:
    data = secretive(kind)
    assert private(data)[0] == "GPS position"
    clean(thumbnail(decode(data)))
    inside = data_uri(data)
    if kind != "WEBP":  # only those stand in pages as they are
        clean(base64.b64decode(inside.partition(",")[2]))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_contact_sheets(tmp_path: Path, kind: str) -> None:
    file = tmp_path / f"a.{kind.lower()}"
    file.write_bytes(secretive(kind))
    with Image.open(file) as opened:
        for pictures in ([file, file], [opened, np.asarray(opened.convert("RGB"))]):
            sheet = contact_sheet(pictures, captions=["a", "b"])
            assert not sheet.info
            for form in ("PNG", "JPEG"):
                clean(encoded(sheet, form))
