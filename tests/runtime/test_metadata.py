"""Private metadata: all of it is named, all of it goes, and not a pixel changes."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin, TiffImagePlugin

from hostile import heic, hostile_files, samples
from pictures import drawn, encoded
from sightline.errors import PictureError, PictureFormatError
from sightline.runtime import containers
from sightline.runtime.metadata import private, stripped
from sightline.runtime.pixels import decode, sniff

SECRETS = (
    b"SECRETNAME",
    b"SECRETSERIAL",
    b"SECRETNOTE",
    b"SECRETPLACE",
    b"Photoshop",
    b"xpacket",
    b"GPSLatitude",
    b"2021:02:03",
)
XMP = (
    b'<?xpacket?><x:xmpmeta><rdf exif:GPSLatitude="48,8N" dc:creator="SECRETNAME" aux:SerialNumber="SECRETSERIAL"/></x:xmpmeta>'
)
ALL = ("GPS position", "owner's name", "camera serial number", "time taken")


def secretive_exif(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E], exif[0x0110], exif[0x013B], exif[0x0132] = "SECRETNOTE", "Phone 9", "SECRETNAME", "2021:02:03 04:05:06"
    inner = exif.get_ifd(0x8769)
    inner[0xA431], inner[0x927C], inner[0x9003] = "SECRETSERIAL", b"SECRETNOTE" * 20, "2021:02:03 04:05:06"
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2], gps[3], gps[4], gps[27] = "N", (48.0, 8.0, 1.5), "E", (11.0, 34.0, 2.5), b"ASCII\0\0\0SECRETPLACE"
    return exif


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def secretive_jpeg(orientation: int = 1, mode: str = "RGB", **options: object) -> bytes:
    plain = encoded(
        drawn(1, (61, 47)).convert(mode),
        exif=secretive_exif(orientation),
        xmp=XMP,
        comment=b"SECRETNOTE",
        icc_profile=b"P" * 300,
        **options,
    )
    extra = segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\x0eSECRETNAME")
    extra += segment(0xE2, b"MPF\0SECRETNOTE") + segment(0xE5, b"SECRETNOTE") + segment(0xEB, b"JP\0\x01SECRETNOTE")
    start = 20 if plain[2:4] == b"\xff\xe0" else 2  # JFIF stands first
    return plain[:start] + extra + plain[start:] + encoded(drawn(2), comment=b"SECRETNOTE") + b"SECRETPLACE"


def secretive_png(orientation: int = 1) -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", "SECRETNAME")
    text.add_text("Comment", "SECRETNOTE", zip=True)
    text.add_itxt("XML:com.adobe.xmp", XMP.decode())
    plain = encoded(
        drawn(1, (61, 47)), "PNG", exif=secretive_exif(orientation), pnginfo=text, icc_profile=b"P" * 300, dpi=(300, 300)
    )
    return plain[:-12] + chunk(b"tIME", bytes(7)) + chunk(b"prVt", b"SECRETNOTE") + plain[-12:] + b"SECRETPLACE"


def secretive_webp(orientation: int = 1, **options: object) -> bytes:
    plain = encoded(drawn(1, (61, 47)), "WEBP", exif=secretive_exif(orientation), xmp=XMP, icc_profile=b"P" * 300, **options)
    content = plain[12:] + b"JUNK" + struct.pack("<I", 11) + b"SECRETPLACE\0"
    return b"RIFF" + struct.pack("<I", len(content) + 4) + b"WEBP" + content + b"SECRETPLACE"


def secretive_tiff(orientation: int = 1, size: tuple[int, int] = (61, 47)) -> bytes:
    exif, tags = secretive_exif(orientation), TiffImagePlugin.ImageFileDirectory_v2()
    for tag in (0x0112, 0x010E, 0x0110, 0x013B, 0x0132):
        tags[tag] = exif[tag]
    tags[0x8769], tags[0x8825] = ({**exif.get_ifd(tag)} for tag in (0x8769, 0x8825))
    return encoded(drawn(1, size), "TIFF", tiffinfo=tags)


def secretive_gif() -> bytes:
    frames = [drawn(number, (61, 47)) for number in range(3)]
    plain = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], comment=b"SECRETNOTE", loop=0, duration=40)
    at = plain.index(b"!")
    magic = bytes([1, *range(255, -1, -1), 0])
    return plain[:at] + b"!\xff\x0bXMP DataXMP" + XMP + magic + plain[at:] + b"SECRETPLACE"


MAKERS = {"jpeg": secretive_jpeg, "png": secretive_png, "webp": secretive_webp}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_secrets_go_and_pixels_stay(kind: str, orientation: int) -> None:
    data = MAKERS[kind](orientation)
    clean, suffix = stripped(data)
    assert suffix == {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}[kind]
    assert np.array_equal(decode(clean), decode(data))
    assert not [secret for secret in SECRETS if secret in clean]
    assert [secret for secret in SECRETS if secret in data]
    assert set(ALL) <= set(private(data))
    assert private(data)[0] == "GPS position"
    assert private(clean) == ()
    assert stripped(clean)[0] == clean
    with Image.open(io.BytesIO(clean)) as opened:  # another reader: nothing but the orientation
        assert dict(opened.getexif()) == ({} if orientation == 1 else {0x0112: orientation})
        assert opened.info["icc_profile"] == b"P" * 300
        assert not {"xmp", "comment", "photoshop", "Author", "Comment", "mp"} & set(opened.info)


@pytest.mark.parametrize(
    ("mode", "options"),
    [("CMYK", {}), ("L", {}), ("RGB", {"progressive": True}), ("RGB", {"subsampling": 0, "restart_marker_rows": 1})],
)
def test_every_kind_of_jpeg(mode: str, options: dict[str, object]) -> None:
    data = secretive_jpeg(6, mode, **options)
    clean, _ = stripped(data)
    assert np.array_equal(decode(clean), decode(data))
    assert private(clean) == ()


def test_words_of_a_jpeg() -> None:
    others = "description", "camera model", "maker note", "XMP", "comment", "IPTC", "further pictures", "content credentials"
    assert set(private(secretive_jpeg())) == {*ALL, *others, "other data"}


def test_thumbnails_in_the_file() -> None:
    plain = encoded(drawn(1, (61, 47)))
    assert plain[2:4] == b"\xff\xe0"
    jfif = segment(0xE0, b"JFIF\0\x01\x02\0\0\x01\0\x01\x02\x02" + b"SECRETNAME12")
    exif = struct.pack("<4sIHI", b"II*\0", 8, 0, 14) + struct.pack("<HHHIII", 1, 0x0201, 4, 1, 100, 0)
    data = plain[:2] + jfif + segment(0xE1, b"Exif\0\0" + exif) + segment(0xE0, b"JFXX\0\x10SECRETNAME") + plain[20:]
    assert private(data) == ("thumbnail",)
    clean, _ = stripped(data)
    assert b"SECRET" not in clean
    assert np.array_equal(decode(clean), decode(data))
    assert clean[:20] == plain[:2] + segment(0xE0, b"JFIF\0\x01\x02\0\0\x01\0\x01\0\0")


def test_animations_keep_moving() -> None:
    frames = [drawn(number, (61, 47)) for number in range(1, 4)]
    webp = secretive_webp(3, save_all=True, append_images=frames, duration=40)
    for data in (secretive_gif(), webp):
        clean, _ = stripped(data)
        assert private(clean) == ()
        assert "XMP" in private(data)
        assert not [secret for secret in SECRETS if secret in clean]
        with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(clean)) as after:
            assert before.n_frames == after.n_frames >= 3
            for number in range(before.n_frames):
                before.seek(number)
                after.seek(number)
                assert np.array_equal(np.asarray(before.convert("RGB")), np.asarray(after.convert("RGB")))
                assert before.info.get("duration") == after.info.get("duration")
            assert before.info.get("loop") == after.info.get("loop")


@pytest.mark.parametrize("orientation", [1, 6])
def test_what_is_encoded_anew(orientation: int) -> None:
    picture, exif = drawn(1, (61, 47)), secretive_exif(orientation)
    tiff = secretive_tiff(orientation)
    made = {
        "tiff": tiff,
        "heic": heic(picture, exif=exif.tobytes(), xmp=XMP),
        "avif": encoded(picture, "AVIF", speed=10, exif=exif, xmp=XMP),
    }
    for kind, data in made.items():
        assert sniff(data) == kind
        said = private(data)
        assert set(ALL) <= set(said), kind
        assert ("XMP" in said) == (kind != "tiff")
        clean, suffix = stripped(data)
        assert suffix == ".png"
        assert np.array_equal(decode(clean), decode(data))
        assert private(clean) == ()
        assert not [secret for secret in SECRETS if secret in clean]


def test_nothing_private_nothing_changed() -> None:
    for name, data in samples():
        assert private(data) == (), name
        clean, _ = stripped(data)
        assert np.array_equal(decode(clean), decode(data)), name
        assert private(clean) == ()
        if sniff(data) == sniff(clean) and not name.startswith(
            ("turned", "alpha")
        ):  # those hold an EXIF block of another program
            assert clean == data, name


def test_blank_values_are_no_secrets() -> None:
    exif = Image.Exif()
    exif[0x013B], exif[0x010E], exif.get_ifd(0x8769)[0x9286] = "   ", "\0\0\0\0\0\0", b"ASCII\0\0\0      "
    assert private(encoded(drawn(), exif=exif)) == ()


def test_no_pictures() -> None:
    assert private(b"") == private(b"<html>") == private(b"%PDF-1.7") == ()
    with pytest.raises(PictureFormatError):
        stripped(b"<html>")
    with pytest.raises(PictureError):
        stripped(b"")


def test_damaged_files_stay_damaged_and_never_escape() -> None:
    for name, data in hostile_files(420, seed=3):
        private(data)
        try:
            before = decode(data)
        except PictureError:
            before = None
        try:
            clean, _ = stripped(data)
        except PictureError:
            assert before is None, name
            continue
        assert private(clean) == (), name
        if before is not None:
            assert np.array_equal(decode(clean), before), name


def test_a_cut_file_does_not_pass_for_a_whole_one() -> None:
    for kind, make in MAKERS.items():
        data = stripped(make(6))[0]
        for end in (len(data) - 40, len(data) // 2):
            with pytest.raises(PictureError, match=r"cut off|damaged"):
                decode(stripped(data[:end])[0])
            assert private(data[:end]) == (), kind


TIFF = secretive_tiff(size=(30, 20))
HEIC = heic(drawn(1, (30, 20)), exif=secretive_exif().tobytes(), xmp=XMP)
WHOLE = [secretive_jpeg(6), secretive_png(6), secretive_webp(6), secretive_gif(), TIFF, HEIC]


@settings(max_examples=60, deadline=None, database=None)
@given(st.data())
def test_any_bytes(drawing: st.DataObject) -> None:
    data = bytearray(drawing.draw(st.sampled_from(WHOLE)))
    for _ in range(drawing.draw(st.integers(1, 6))):
        at = drawing.draw(st.integers(0, len(data) - 1))
        data[at : at + drawing.draw(st.integers(1, 8))] = drawing.draw(st.binary(max_size=8))
    private(bytes(data))
    try:
        kind = sniff(bytes(data))
    except PictureError:
        return
    if kind in MAKERS or kind == "gif":
        assert private(stripped(bytes(data))[0]) == ()


def test_files_made_to_keep_us_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is bounded by the size of the file: none of these may take long, and parts are counted."""
    busy = [
        b"\xff\xd8" + b"\xff" * 3_000_000 + b"\0" * 10,
        b"\xff\xd8\xff\xda\0\x02" + b"\xff" * 3_000_000 + b"\0",
        b"\xff\xd8" + segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + struct.pack("<HHII", 0x8769, 4, 1, 8) * 5000),
        b"II*\0\x08\0\0\0\xff\xff" + struct.pack("<HHII", 0x8825, 4, 1, 8) * 65_535,
        b"II*\0\x08\0\0\0\x02\0"
        + struct.pack("<HHII", 0x010E, 7, 2**32 - 1, 8)
        + struct.pack("<HHII", 0x8769, 4, 1, 8)
        + b"\x08\0\0\0",
        b"GIF89a" + bytes(7) + b"\0" * 3_000_000,
        HEIC[:40] + b"\xff" * 100 + HEIC[40:],
    ]
    for data in busy:
        private(data)
    monkeypatch.setattr(containers, "MOST_PARTS", 1000)
    for data in (
        b"\xff\xd8" + segment(0xE5, b"") * 1001,
        b"\x89PNG\r\n\x1a\n" + chunk(b"tEXt", b"") * 1001,
        b"RIFF\xff\xff\0\0WEBP" + b"JUNK\0\0\0\0" * 1001,
        b"GIF89a" + bytes(7) + b"!\xfe" + b"\x01a" * 1001,
    ):
        private(data)
        with pytest.raises(PictureError, match="parts"):
            stripped(data)


def test_real_photographs(shared: Path) -> None:
    files = [
        file
        for folder in ("bccd", "clothing", "unlabelled")
        for file in sorted((shared / "data" / folder).rglob("*.jp*g"))[:15]
    ]
    for file in files:
        data = file.read_bytes()
        clean, _ = stripped(data)
        assert private(clean) == (), file
        assert np.array_equal(decode(clean), decode(data)), file
