"""What the server gives back of a picture carries none of its metadata."""

from __future__ import annotations

import pytest
from PIL import Image

from pictures import drawn, encoded
from sightline.runtime.metadata import private


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_previews(client, kind: str):
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "SECRETNAME"
    exif.get_ifd(0x8825)[2] = (48.0, 8.0, 1.5)
    data = encoded(drawn(2, (300, 200)), kind, exif=exif, icc_profile=b"SECRETPROFILE" * 20)
    assert private(data)[:2] == ("GPS position", "owner's name")
    answer = client.post("/v1/preview", content=data)
    assert answer.status_code == 200
    assert private(answer.content) == ()
    assert b"SECRET" not in answer.content
