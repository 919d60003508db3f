"""Malformed picture files, made here from drawn ones: cut, flipped, lying, bombs, disguised. Nothing is copied from anywhere.

`hostile_files(count, seed)` gives the same files for the same arguments. Some of them are readable all the same (a flipped
bit in the pixels): what is asked of a reader is a picture or a typed refusal, soon, and nothing else. `bombs()` are those
that must be refused before their pixels are allocated.
"""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image

from pictures import drawn, encoded

File = tuple[str, bytes]


def hostile_files(count: int = 500, seed: int = 0) -> list[File]:
    """`count` (name, bytes) pairs: all the crafted ones first, then cut and damaged ones of every format in turn."""
    rng = random.Random(seed)
    files = [*bombs(), *lies(), *disguises(rng)]
    whole = samples(seed)
    makers: list[Callable[[bytes, random.Random], bytes]] = [
        cut,
        flipped,
        noisy,
        holed,
        shuffled,
        repeated,
        cut_and_padded,
        zeroed_head,
    ]
    number = 0
    while len(files) < count:
        name, data = whole[number % len(whole)]
        make = makers[number // len(whole) % len(makers)]
        stem, ending = name.rsplit(".", 1)
        files.append((f"{number:04d}-{stem}-{make.__name__}.{ending}", make(data, rng)))
        number += 1
    return files[:count]


@cache
def samples(seed: int = 0) -> tuple[File, ...]:
    """Whole pictures of every format and many modes, small."""
    rgb = drawn(seed, (61, 47))
    grey16 = Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257)
    see_through = rgb.copy()
    see_through.putalpha(rgb.convert("L"))
    turned = Image.Exif()
    turned[0x0112] = 6
    made = {
        "plain.jpg": encoded(rgb, "JPEG"),
        "progressive.jpg": encoded(rgb, "JPEG", progressive=True),
        "turned.jpg": encoded(rgb, "JPEG", exif=turned),
        "cmyk.jpg": encoded(rgb.convert("CMYK"), "JPEG"),
        "grey.jpg": encoded(rgb.convert("L"), "JPEG"),
        "plain.png": encoded(rgb, "PNG"),
        "palette.png": encoded(rgb.convert("P"), "PNG"),
        "grey16.png": encoded(grey16, "PNG"),
        "alpha.png": encoded(see_through, "PNG", exif=turned),
        "raw.tif": encoded(rgb, "TIFF"),
        "lzw.tif": encoded(rgb, "TIFF", compression="tiff_lzw"),
        "deflate.tif": encoded(rgb, "TIFF", compression="tiff_adobe_deflate"),
        "jpeg.tif": encoded(rgb, "TIFF", compression="jpeg"),
        "g4.tif": encoded(rgb.convert("1"), "TIFF", compression="group4"),
        "float.tif": encoded(rgb.convert("F"), "TIFF"),
        "plain.bmp": encoded(rgb, "BMP"),
        "palette.bmp": encoded(rgb.convert("P"), "BMP"),
        "plain.gif": encoded(rgb, "GIF"),
        "animated.gif": encoded(rgb, "GIF", save_all=True, append_images=[rgb.rotate(90), rgb.rotate(180)]),
        "lossy.webp": encoded(rgb, "WEBP"),
        "lossless.webp": encoded(see_through, "WEBP", lossless=True),
        "animated.webp": encoded(rgb, "WEBP", save_all=True, append_images=[rgb.rotate(90)]),
        "plain.avif": encoded(rgb, "AVIF", speed=10),
        "alpha.avif": encoded(see_through, "AVIF", speed=10),
        "plain.heic": heic(rgb),
    }
    return tuple(made.items())


def heic(picture: Image.Image, **options: object) -> bytes:
    """HEIC without registering anything in Pillow."""
    import pillow_heif

    stream = io.BytesIO()
    pillow_heif.from_pillow(picture).save(stream, **options)
    return stream.getvalue()


# --- damage


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(1, len(data))]


def flipped(data: bytes, rng: random.Random) -> bytes:
    """One to eight bits flipped, half of the time within the first 200 bytes."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        reach = min(200, len(data)) if rng.random() < 0.5 else len(data)
        changed[rng.randrange(reach)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def noisy(data: bytes, rng: random.Random) -> bytes:
    """A hundredth of the bytes replaced, the first eight kept."""
    changed = bytearray(data)
    for _ in range(max(3, len(data) // 100)):
        changed[rng.randrange(8, len(data))] = rng.choice((0, 0xFF, 0x7F, 0x80, rng.randrange(256)))
    return bytes(changed)


def holed(data: bytes, rng: random.Random) -> bytes:
    """A piece from the middle is gone."""
    start = rng.randrange(8, len(data) - 1)
    return data[:start] + data[start + rng.randint(1, 64) :]


def shuffled(data: bytes, rng: random.Random) -> bytes:
    """Blocks of 64 bytes after the first in random order."""
    blocks = [data[at : at + 64] for at in range(64, len(data), 64)]
    rng.shuffle(blocks)
    return data[:64] + b"".join(blocks)


def repeated(data: bytes, rng: random.Random) -> bytes:
    """A piece is there fifty times."""
    start = rng.randrange(len(data) - 1)
    piece = data[start : start + rng.randint(4, 64)]
    return data[:start] + piece * 50 + data[start:]


def cut_and_padded(data: bytes, rng: random.Random) -> bytes:
    """Cut, then filled with zeros to the old length: what an interrupted download leaves behind."""
    kept = cut(data, rng)
    return kept + bytes(len(data) - len(kept))


def zeroed_head(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(4, 24)
    return data[:start] + bytes(rng.randint(1, 16)) + data[start + 16 :]


# --- bombs: more pixels than anybody wants, in few bytes


@cache
def bombs() -> tuple[File, ...]:
    return (
        ("bomb-20000.png", png(20_000, 20_000, zlib.compress(bytes(20_001 * 400), 9))),
        ("bomb-gigapixel.png", png(100_000, 100_000, zlib.compress(bytes(1000)))),
        ("bomb-widest.png", png(2**31 - 1, 1, b"")),
        ("bomb-every-row.png", png(60_000, 60_000, _zeros(60_000 * 100))),
        ("bomb.gif", b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0xF0, 0, 0) + bytes(6) + _gif_frame(65535, 65535)),
        ("bomb.bmp", bmp(30_000, 30_000)),
        ("bomb-negative.bmp", bmp(30_000, -30_000)),
        ("bomb-maximal.bmp", bmp(2**31 - 1, 2**31 - 1)),
        ("bomb.jpg", _patched(encoded(drawn(0, (32, 32)), "JPEG"), b"\xff\xc0", 5, struct.pack(">HH", 65_500, 65_500))),
        ("bomb-vp8x.webp", webp(16_383, 16_383)),
        ("bomb-vp8x-widest.webp", webp(1 << 24, 1 << 24)),
        ("bomb.tif", tiff({256: (4, 60_000), 257: (4, 60_000)})),
        ("bomb-maximal.tif", tiff({256: (4, 2**32 - 1), 257: (4, 2**32 - 1)})),
        ("bomb.avif", _ispe(encoded(drawn(0, (64, 64)), "AVIF", speed=10), 30_000, 30_000)),
        ("bomb.heic", _ispe(heic(drawn(0, (64, 64))), 30_000, 30_000)),
    )


@cache
def lies() -> tuple[File, ...]:
    """Headers that promise what the content does not keep, within the limits."""
    rgb = drawn(0, (64, 64))
    jpeg = encoded(rgb, "JPEG")
    text = b"tEXt" + b"k" * 70 + b"\0" + b"x" * 100
    return (
        ("lie-7000.png", png(7_000, 7_000, zlib.compress(bytes(100)))),
        ("lie-more-pixels.png", png(4, 4, _zeros(20_000_000))),
        ("lie-zero.png", png(0, 0, b"")),
        ("lie-text-bomb.png", png(4, 4, zlib.compress(bytes(52)), before=[(b"zTXt", b"k\0\0" + _zeros(80_000_000))])),
        ("lie-profile-bomb.png", png(4, 4, zlib.compress(bytes(52)), before=[(b"iCCP", b"k\0\0" + _zeros(80_000_000))])),
        ("lie-many-texts.png", png(4, 4, zlib.compress(bytes(52)), before=[(b"tEXt", text[4:])] * 2000)),
        ("lie-exif.png", png(4, 4, zlib.compress(bytes(52)), before=[(b"eXIf", b"II*\0\xff\xff\xff\xff" + bytes(40))])),
        ("lie-7000.bmp", bmp(7_000, 7_000)),
        ("lie-zero.bmp", bmp(0, 0)),
        ("lie-rle.bmp", bmp(5_000, 5_000, compression=1)),
        ("lie-7000.gif", b"GIF89a" + struct.pack("<HHBBB", 7000, 7000, 0xF0, 0, 0) + bytes(6) + _gif_frame(7000, 7000)),
        ("lie-frame-outside.gif", b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0xF0, 0, 0) + bytes(6) + _gif_frame(6000, 6000)),
        ("lie-7000.jpg", _patched(jpeg, b"\xff\xc0", 5, struct.pack(">HH", 7_000, 7_000))),
        ("lie-zero-height.jpg", _patched(jpeg, b"\xff\xc0", 5, struct.pack(">HH", 0, 64))),
        ("lie-12-bit.jpg", _patched(jpeg, b"\xff\xc0", 4, b"\x0c")),
        ("lie-200-components.jpg", _patched(jpeg, b"\xff\xc0", 9, b"\xc8")),
        ("lie-scans.jpg", jpeg[:-2] + jpeg[jpeg.index(b"\xff\xda") : -2] * 800 + b"\xff\xd9"),
        ("lie-exif.jpg", jpeg[:2] + b"\xff\xe1\xff\xffExif\0\0II*\0\xf0\xff\xff\xff" + bytes(65_521) + jpeg[2:]),
        ("lie-vp8x.webp", webp(7_000, 7_000)),
        ("lie-size.webp", b"RIFF\xff\xff\xff\xffWEBP" + encoded(rgb, "WEBP")[12:]),
        ("lie-7000.tif", tiff({256: (4, 7_000), 257: (4, 7_000)})),
        ("lie-huge-tag.tif", tiff({256: (4, 8), 257: (4, 8), 270: (2, 0)}, count={270: 2**31 - 1})),
        ("lie-strips.tif", tiff({256: (4, 8), 257: (4, 8)}, count={273: 2**28})),
        ("lie-loop.tif", b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + struct.pack("<HHII", 330, 4, 1, 8) + struct.pack("<I", 8)),
        ("lie-samples.tif", tiff({256: (4, 64), 257: (4, 64), 277: (3, 65_535)})),
        ("lie-small.avif", _ispe(encoded(drawn(0, (640, 640)), "AVIF", speed=10), 16, 16)),
        ("lie-small.heic", _ispe(heic(drawn(0, (640, 640))), 16, 16)),
        ("lie-box.avif", b"\0\0\0\x1cftypavif" + bytes(4) + b"avifmif1miaf" + b"\xff\xff\xff\xffmeta" + bytes(64)),
        ("lie-box.heic", b"\0\0\0\x18ftypheic" + bytes(4) + b"mif1heic" + b"\0\0\0\x01mdat" + b"\xff" * 8),
    )


def disguises(rng: random.Random) -> list[File]:
    """What is no picture of ours at all, under a picture's name; and two files in one."""
    jpeg, page = encoded(drawn(0, (32, 32)), "JPEG"), b"<html><script>alert(1)</script></html>"
    return [
        ("empty.jpg", b""),
        ("one-byte.jpg", b"\xff"),
        ("start-only.jpg", b"\xff\xd8\xff"),
        ("start-only.png", b"\x89PNG\r\n\x1a\n"),
        ("start-only.gif", b"GIF89a"),
        ("start-only.webp", b"RIFF\x04\0\0\0WEBP"),
        ("start-only.tif", b"II*\0"),
        ("start-only.bmp", b"BM" + bytes(12) + struct.pack("<I", 40)),
        ("start-only.avif", b"\0\0\0\x0cftypavif"),
        ("start-only.heic", b"\0\0\0\x0cftypheic"),
        ("zeros.png", bytes(4096)),
        ("random.jpg", rng.randbytes(4096)),
        ("random-after-magic.jpg", b"\xff\xd8\xff\xe0" + rng.randbytes(4096)),
        ("random-after-magic.png", b"\x89PNG\r\n\x1a\n" + rng.randbytes(4096)),
        ("random-after-magic.tif", b"MM\0*" + rng.randbytes(4096)),
        ("random-after-magic.webp", b"RIFF\0\x10\0\0WEBPVP8 " + rng.randbytes(4096)),
        ("text.png", b"not a picture\n" * 20),
        ("page.jpg", page),
        ("svg.png", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'),
        ("xml.png", b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'),
        ("postscript.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(/etc/passwd) (r) file\n"),
        ("photoshop.png", b"8BPS\0\x01" + bytes(6) + struct.pack(">HIIHH", 3, 30_000, 30_000, 8, 3) + bytes(64)),
        ("blp.png", b"BLP2" + struct.pack("<IBBBBII", 1, 1, 0, 0, 0, 30_000, 30_000) + bytes(256)),
        ("flic.png", struct.pack("<IHHHHHH", 128, 0xAF12, 1, 320, 200, 8, 0) + bytes(112)),
        ("icon.png", b"\0\0\x01\0\x01\0" + bytes(64)),
        ("netpbm.png", b"P6\n60000 60000\n255\n" + bytes(64)),
        ("pdf.jpg", b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n"),
        ("zip.jpg", b"PK\x03\x04" + bytes(64)),
        ("program.jpg", b"\x7fELF\x02\x01\x01" + bytes(64)),
        ("pickle.jpg", b"\x80\x04\x95\x1a\0\0\0\0\0\0\0\x8c\x02os\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94."),
        ("video.jpg", b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2"),
        ("lfs-pointer.jpg", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"),
        ("page-after-picture.jpg", jpeg + page),  # a whole picture with something behind it: readable
        ("zip-after-picture.jpg", jpeg + b"PK\x03\x04" + bytes(64)),
        ("page-in-comment.jpg", jpeg[:2] + b"\xff\xfe" + struct.pack(">H", len(page) + 2) + page + jpeg[2:]),
        ("bmp-that-is-jpeg.bmp", b"BM" + jpeg),
        ("jpeg-named.png", jpeg),
    ]


# --- makers of single formats


def png(width: int, height: int, content: bytes, before: list[tuple[bytes, bytes]] = []) -> bytes:  # noqa: B006
    """8-bit grey, with a header that says what you want."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), *before, (b"IDAT", content), (b"IEND", b"")]
    written = [struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


@cache
def _zeros(count: int) -> bytes:
    """`count` zeros, deflated, without ever holding them."""
    squeeze, parts = zlib.compressobj(9), []
    block = bytes(1_000_000)
    for at in range(0, count, len(block)):
        parts.append(squeeze.compress(block[: count - at]))
    return b"".join([*parts, squeeze.flush()])


def bmp(width: int, height: int, compression: int = 0) -> bytes:
    bits = 8 if compression == 1 else 24
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 2835, 2835, 0, 0)
    palette = bytes(1024) if bits == 8 else b""
    start = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + 100, 0, 0, start) + info + palette + bytes(100)


def _gif_frame(width: int, height: int) -> bytes:
    return b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\x00;"


def webp(width: int, height: int) -> bytes:
    """An extended WEBP whose canvas is as large as said, around a small picture."""
    canvas = struct.pack("<I", 0x10)[:4] + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    inner = encoded(drawn(0, (32, 32)), "WEBP")[12:]
    body = b"WEBPVP8X" + struct.pack("<I", len(canvas)) + canvas + inner
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tiff(tags: dict[int, tuple[int, int]], count: dict[int, int] | None = None) -> bytes:
    """Little-endian, uncompressed grey; `tags` maps a tag to (type, value), `count` overrides how many values are said."""
    usual = {
        256: (4, 8),
        257: (4, 8),
        258: (3, 8),
        259: (3, 1),
        262: (3, 1),
        273: (4, 8),
        277: (3, 1),
        278: (4, 8),
        279: (4, 64),
    }
    usual.update(tags)
    entries = b"".join(
        struct.pack("<HHII", tag, kind, (count or {}).get(tag, 1), value) for tag, (kind, value) in sorted(usual.items())
    )
    return b"II*\0" + struct.pack("<I", 72) + bytes(64) + struct.pack("<H", len(usual)) + entries + bytes(4)


def _patched(data: bytes, marker: bytes, offset: int, value: bytes) -> bytes:
    at = data.index(marker) + offset
    return data[:at] + value + data[at + len(value) :]


def _ispe(data: bytes, width: int, height: int) -> bytes:
    """The image size property of an AVIF or HEIC (ISO/IEC 23008-12), overwritten."""
    return _patched(data, b"ispe", 8, struct.pack(">II", width, height))
