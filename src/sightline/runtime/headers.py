"""What the first bytes of a picture tell: its format, its orientation, how much of it is missing. Knows no pixels.

Formats are judged by bytes, never by a file's name; what is not on the list is named as well as we can and refused.
"""

from __future__ import annotations

import struct

from sightline.errors import PictureError, PictureFormatError

FORMATS = ("jpeg", "png", "tiff", "bmp", "gif", "webp", "heic", "avif")

_AVIF = {b"avif", b"avis"}
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_STILL = {b"mif1", b"msf1"}  # "some HEIF": the compatible brands tell which codec
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}  # the known sizes of the header that follows the file header
_PICTURES = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),  # BigTIFF
    (b"MM\0+", "tiff"),
)
_STANDALONE = {0x01, *range(0xD0, 0xD8)}  # JPEG markers without a length: TEM, RST0-7

# first bytes -> what people call such a file
_OTHERS = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript (EPS) file"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript (EPS) file"),
    (b"8BPS", "a Photoshop (PSD) file"),
    (b"BLP1", "a BLP texture"),
    (b"BLP2", "a BLP texture"),
    (b"DDS ", "a DDS texture"),
    (b"PK\x03\x04", "a ZIP archive (or an office document)"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a Windows program"),
    (b"\0\0\x01\0", "an icon (ICO)"),
    (b"\0\0\x02\0", "a cursor (CUR)"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"qoif", "a QOI picture"),
    (b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (b"SIMPLE  =", "a FITS picture"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (b"ID3", "an MP3 sound"),
    (b"OggS", "an Ogg file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
    (b"\x93NUMPY", "a NumPy array file"),
    (b"version https://git-lfs", "a Git LFS pointer: the picture itself was not downloaded"),
)


def sniff(data: bytes) -> str:
    """The format of `data`, one of FORMATS; PictureFormatError names what else it looks like, PictureError if empty."""
    head = data[:16]
    if not head:
        raise PictureError("the picture is empty (0 bytes)", hint="send or copy the file again")
    for magic, kind in _PICTURES:
        if head.startswith(magic):
            return kind
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(b"BM") and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return "bmp"
    if head[4:8] == b"ftyp" and (still := _still_brand(data)):
        return still
    raise PictureFormatError(
        f"not a picture that can be read: it looks like {looks_like(data)}",
        hint="use JPEG, PNG, TIFF, BMP, GIF, WEBP, HEIC or AVIF",
    )


def _still_brand(data: bytes) -> str | None:
    """ISO/IEC 14496-12 section 4.3: the major brand, then the compatible ones, decide between AVIF and HEIC."""
    size = min(int.from_bytes(data[:4], "big"), len(data), 4096)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, size - 3, 4))]
    if brands[0] not in _AVIF | _HEIC | _STILL:
        return None
    for brand in brands:
        if brand in _AVIF:
            return "avif"
        if brand in _HEIC:
            return "heic"
    return None


def looks_like(data: bytes) -> str:
    """A file that is no picture of ours, in words."""
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    page = start.startswith((b"<!doctype html", b"<html", b"<head", b"<body"))
    signs = (
        *((data.startswith(magic), name) for magic, name in _OTHERS),
        (data[4:8] == b"ftyp", "a video (MP4 or QuickTime)"),
        (data[:4] == b"RIFF", "a sound or video (RIFF)"),
        (data[4:6] in (b"\x11\xaf", b"\x12\xaf"), "a FLIC animation"),
        (data[257:262] == b"ustar", "a tar archive"),
        (data[:1] == b"P" and data[1:2].isdigit() and data[2:3].isspace(), "a Netpbm picture (PBM, PGM, PPM)"),
        (b"<svg" in start, "an SVG drawing"),
        (page, "a web page (HTML): the address led to a page, not to a picture"),
        (start.startswith(b"<?xml"), "an XML file"),
        (not any(data[:64]), "zeros only: the file was never written"),
        (all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in data[:64]), "text"),
    )
    return next((name for sign, name in signs if sign), f"nothing known (it starts with {data[:8].hex(' ')})")


def exif_orientation(exif: bytes) -> int:
    """The orientation 1-8 in an EXIF block (TIFF 6.0 section 2, tag 274), 1 when there is none or it makes no sense."""
    if exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None or len(exif) < 10:
        return 1
    (start,) = struct.unpack_from(order + "I", exif, 4)
    if start + 2 > len(exif):
        return 1
    (count,) = struct.unpack_from(order + "H", exif, start)
    for at in range(start + 2, min(start + 2 + 12 * count, len(exif) - 11), 12):
        tag, kind = struct.unpack_from(order + "HH", exif, at)
        if tag == 274:
            value = struct.unpack_from(order + ("I" if kind == 4 else "H"), exif, at + 8)[0]
            return value if 1 <= value <= 8 else 1
    return 1


def jpeg_orientation(data: bytes) -> int:
    """The orientation in the first EXIF segment (APP1) of a JPEG; walks the segments up to the start of the scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill bytes are allowed before a marker
            at += 1
        elif marker in _STANDALONE:
            at += 2
        elif marker in (0xD9, 0xDA):
            break
        else:
            length = int.from_bytes(data[at + 2 : at + 4], "big")
            if marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
                return exif_orientation(data[at + 10 : at + 2 + length])
            at += 2 + max(length, 2)
    return 1


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Canvas (width, height) of a WEBP, from the first chunk (RFC 9649 section 2.7); None when it is not there."""
    chunk = data[12:16]
    if chunk == b"VP8X" and len(data) >= 30:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if chunk == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 " and len(data) >= 30:
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return None


def missing_bytes(data: bytes, kind: str) -> int:
    """How many bytes the file itself says it lacks; 0 when nothing is missing or the format does not tell."""
    if kind == "bmp":
        said = int.from_bytes(data[2:6], "little")
    elif kind == "webp":
        said = int.from_bytes(data[4:8], "little") + 8
    elif kind == "png":
        said = _png_end(data)
    elif kind in ("heic", "avif"):
        said = _boxes_end(data)
    else:
        return 0
    return max(0, said - len(data))


def _png_end(data: bytes, most: int = 10_000) -> int:
    """Where the chunk chain of a PNG ends: after IEND, or beyond the data when a chunk is cut or IEND is not there."""
    at = 8
    for _ in range(most):
        if at >= len(data):
            break
        end = data[at + 4 : at + 8] == b"IEND"
        at += int.from_bytes(data[at : at + 4], "big") + 12  # length, name, content, checksum
        if end:
            return at
    return max(at, len(data) + 12)


def _boxes_end(data: bytes, most: int = 10_000) -> int:
    """Where the chain of ISO boxes ends; a length of 0 means up to the end of the file, other tiny ones are nonsense."""
    at = 0
    for _ in range(most):
        length = int.from_bytes(data[at : at + 4], "big")
        if at >= len(data) or length < 8:
            break
        at += length
    return at
