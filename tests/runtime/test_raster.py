"""Every colour mode to RGB, and every orientation to upright, in all formats that carry them."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from hostile import heic, tiff
from pictures import drawn, encoded, pixels
from sightline.runtime.headers import exif_orientation
from sightline.runtime.pixels import decode, fit, prepare
from sightline.types import InputSpec

RGB = drawn(1, (90, 70))
LOSSLESS = {"PNG": {}, "TIFF": {}, "BMP": {}, "WEBP": {"lossless": True}}


def mad(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - two.astype(int)).mean())


# --- colour modes


def test_transparency_lies_on_white() -> None:
    rgba = Image.new("RGBA", (4, 1))
    rgba.putdata([(255, 0, 0, 255), (255, 0, 0, 0), (0, 0, 0, 128), (0, 255, 0, 255)])
    expected = [[255, 0, 0], [255, 255, 255], [127, 127, 127], [0, 255, 0]]
    assert decode(encoded(rgba, "PNG"))[0].tolist() == expected
    assert decode(encoded(rgba, "TIFF"))[0].tolist() == expected
    grey = Image.new("LA", (2, 1))
    grey.putdata([(10, 255), (10, 0)])
    assert decode(encoded(grey, "PNG"))[0].tolist() == [[10] * 3, [255] * 3]


def test_transparent_palette_and_colour_key() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([200, 0, 0, 0, 0, 200])
    palette.putdata([0, 1])
    for kind in ("PNG", "GIF"):
        assert decode(encoded(palette, kind, transparency=1))[0].tolist() == [[200, 0, 0], [255, 255, 255]]
    key = Image.new("RGB", (2, 1), (1, 2, 3))
    key.putpixel((0, 0), (9, 9, 9))
    assert decode(encoded(key, "PNG", transparency=(1, 2, 3)))[0].tolist() == [[9, 9, 9], [255, 255, 255]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_divided_by_257(kind: str) -> None:
    values = np.array([[0, 257, 128 * 257, 65535, 128, 129]], np.uint16)
    assert decode(encoded(Image.fromarray(values), kind))[0, :, 0].tolist() == [0, 1, 128, 255, 0, 1]


def test_big_endian_sixteen_bits() -> None:
    data = tiff({256: (4, 2), 257: (4, 1), 258: (3, 16), 279: (4, 4)})[4:]
    data = b"II*\0" + data[:4] + struct.pack("<HH", 65535, 257) + data[8:]
    assert decode(data)[0, :, 0].tolist() == [255, 1]


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        (np.float32, [0.0, 0.5, 1.0], [0, 128, 255]),
        (np.float32, [0.0, 100.0, 255.0], [0, 100, 255]),
        (np.float32, [-1.0, 0.0, 1.0], [0, 128, 255]),
        (np.float32, [np.nan, 100.0, np.inf], [0, 100, 0]),
        (np.int32, [0, 7, 255], [0, 7, 255]),
        (np.int32, [0, 257, 65535], [0, 1, 255]),
        (np.int32, [-100, 0, 100], [0, 128, 255]),
        (np.int32, [1_000_000] * 3, [0, 0, 0]),
    ],
)
def test_wide_numbers_are_scaled_by_their_range(dtype: type, values: list[float], expected: list[int]) -> None:
    data = encoded(Image.fromarray(np.array([values], dtype)), "TIFF")
    assert decode(data)[0, :, 0].tolist() == expected


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "CMYK"), ("TIFF", "CMYK"), ("TIFF", "YCbCr"), ("TIFF", "LAB")])
def test_other_colour_spaces_look_the_same(kind: str, mode: str) -> None:
    if mode == "LAB":
        from PIL import ImageCms

        spaces = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
        picture = ImageCms.applyTransform(RGB, ImageCms.buildTransform(*spaces, "RGB", "LAB"))
    else:
        picture = RGB.convert(mode)
    data = encoded(picture, kind)
    assert mad(decode(data), pixels(RGB)) < 4
    assert mad(prepare(data, InputSpec(size=32)), fit(pixels(RGB), InputSpec(size=32))) < 4


def test_black_and_white_and_grey() -> None:
    bits = RGB.convert("1")
    assert np.array_equal(decode(encoded(bits, "PNG")), pixels(bits))
    grey = encoded(RGB.convert("L"), "JPEG")
    decoded = decode(grey)
    assert np.array_equal(decoded[..., 0], decoded[..., 2])
    assert np.array_equal(prepare(grey, InputSpec(size=40)), fit(decoded, InputSpec(size=40)))


# --- orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF", "HEIC", "CMYK"])
def test_pictures_are_turned_upright(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    if kind == "HEIC":
        data = heic(RGB, exif=exif.tobytes(), quality=95)
    elif kind == "CMYK":
        data = encoded(RGB.convert("CMYK"), "JPEG", exif=exif, quality=95)
    else:
        data = encoded(RGB, kind, exif=exif, **LOSSLESS.get(kind, {"quality": 95}))
    tagged = RGB.copy()
    tagged.getexif()[0x0112] = orientation
    upright = pixels(ImageOps.exif_transpose(tagged))
    decoded = decode(data)
    assert decoded.shape == upright.shape
    assert mad(decoded, upright) < 4
    for spec in (InputSpec(size=32), InputSpec(size=32, fit="pad")):
        assert mad(prepare(data, spec), fit(upright, spec)) < 4


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff\0\0",
        b"MM\0*\0\0\0\x08\xff\xff",
        b"Exif\0\0XX*\0\x08\0\0\0",
        b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 274, 3, 1, 9),
    ],
)
def test_senseless_orientation_is_none(exif: bytes) -> None:
    assert exif_orientation(exif) == 1


def test_orientation_of_either_byte_order() -> None:
    assert exif_orientation(b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 274, 3, 1, 6, 0)) == 6
    assert exif_orientation(b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 274, 4, 1, 8)) == 8
