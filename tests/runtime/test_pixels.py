"""The decoder: formats, colour modes, orientation, reduced decoding, fitting, limits, typed failures, quiet libraries."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hostile import heic, samples, tiff
from pictures import drawn, encoded, pixels
from sightline.errors import (
    NotFoundError,
    PictureError,
    PictureFormatError,
    PictureTooLargeError,
    UsageError,
)
from sightline.runtime import raster
from sightline.runtime.headers import FORMATS, missing_bytes
from sightline.runtime.jpeg import largest_reduction
from sightline.runtime.pixels import Limits, decode, fit, prepare, read_picture, sniff
from sightline.types import InputSpec

RGB = drawn(1, (90, 70))
LOSSLESS = {"PNG": {}, "TIFF": {}, "BMP": {}, "WEBP": {"lossless": True}}


def mad(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - two.astype(int)).mean())


# --- formats


@pytest.mark.parametrize(("name", "data"), samples(), ids=[name for name, _ in samples()])
def test_every_sample_is_recognised_and_decoded(name: str, data: bytes) -> None:
    endings = {"jpg": "jpeg", "tif": "tiff"}
    ending = name.rsplit(".", 1)[1]
    assert sniff(data) == endings.get(ending, ending)
    assert sniff(data) in FORMATS
    decoded = decode(data)
    assert decoded.dtype == np.uint8
    assert decoded.shape == ((61, 47, 3) if name in ("turned.jpg", "alpha.png") else (47, 61, 3))
    assert decoded.flags.writeable
    assert decoded.std() > 5  # a picture, not a plain ground
    assert prepare(data, InputSpec(size=16)).shape == (16, 16, 3)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_formats_give_the_exact_pixels(kind: str) -> None:
    assert np.array_equal(decode(encoded(RGB, kind, **LOSSLESS[kind])), pixels(RGB))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
def test_lossy_formats_are_close(kind: str) -> None:
    assert mad(decode(encoded(RGB, kind, quality=95)), pixels(RGB)) < 3


def test_heic_is_close_and_pillow_stays_as_it_was() -> None:
    assert mad(decode(heic(RGB, quality=95)), pixels(RGB)) < 3


def test_jpeg_equals_pillow() -> None:
    data = encoded(RGB, quality=90)
    assert mad(decode(data), pixels(Image.open(io.BytesIO(data)))) < 0.1


def test_names_do_not_matter_but_bytes_do() -> None:
    with pytest.raises(PictureFormatError, match="SVG"):
        sniff(b"  <svg xmlns='http://www.w3.org/2000/svg'></svg>")
    with pytest.raises(PictureFormatError, match="PDF"):
        decode(b"%PDF-1.7")
    with pytest.raises(PictureFormatError, match="nothing known"):
        sniff(b"\x01\x02\x03\x04")
    with pytest.raises(PictureFormatError, match="web page"):
        sniff(b"<!DOCTYPE html><html>")
    with pytest.raises(PictureFormatError, match="Git LFS"):
        sniff(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(PictureError, match="empty"):
        sniff(b"")


def test_heif_brands_decide_between_heic_and_avif() -> None:
    def ftyp(*brands: bytes) -> bytes:
        body = b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:])
        return struct.pack(">I", len(body) + 4) + body

    assert sniff(ftyp(b"mif1", b"mif1", b"heic")) == "heic"
    assert sniff(ftyp(b"mif1", b"miaf", b"avif")) == "avif"
    with pytest.raises(PictureFormatError, match="video"):
        sniff(ftyp(b"isom", b"mp41"))


# --- reduced decoding


def test_reduction_is_a_power_of_two_and_leaves_enough() -> None:
    assert [largest_reduction(have, 100) for have in (99, 100, 199, 200, 399, 400, 799, 800, 9999)] == [
        1,
        1,
        1,
        2,
        2,
        4,
        4,
        8,
        8,
    ]


@pytest.mark.parametrize(
    ("shorter", "height"), [(None, 600), (400, 600), (300, 300), (299, 300), (150, 150), (75, 75), (1, 75)]
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_decode_keeps_the_shorter_side(mode: str, shorter: int | None, height: int) -> None:
    decoded = decode(encoded(drawn(2, (800, 600)).convert(mode), "JPEG"), shorter=shorter)
    assert decoded.shape == (height, height * 8 // 6, 3)


def test_only_jpegs_are_reduced() -> None:
    assert decode(encoded(RGB, "PNG"), shorter=1).shape == (70, 90, 3)


@pytest.mark.parametrize("fitting", ["crop", "squash", "pad"])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("size", [(1203, 901), (901, 1203)])
def test_a_reduced_decode_stays_close(size: tuple[int, int], mode: str, fitting: str) -> None:
    data = encoded(drawn(5, size).convert(mode), "JPEG", quality=92)
    spec = InputSpec(size=96, fit=fitting)
    assert mad(prepare(data, spec), fit(decode(data), spec)) < 2


# --- fitting


@pytest.mark.parametrize("fitting", ["crop", "squash", "pad"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "box"])
@pytest.mark.parametrize("size", [(90, 70), (70, 90), (31, 100), (40, 40), (1, 9)])
def test_prepare_equals_fit_of_decode(size: tuple[int, int], interpolation: str, fitting: str) -> None:
    spec = InputSpec(size=64, fit=fitting, interpolation=interpolation)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    for kind, options in (("JPEG", {"quality": 95}), ("PNG", {})):
        data = encoded(picture, kind, **options)
        prepared = prepare(data, spec)
        assert prepared.shape == (64, 64, 3)
        assert prepared.dtype == np.uint8
        assert prepared.flags.writeable
        assert prepared.flags.c_contiguous
        assert np.array_equal(prepared, fit(decode(data), spec))


def test_crop_keeps_the_middle_of_the_short_side() -> None:
    wide = np.zeros((100, 300, 3), np.uint8)
    wide[:, 100:200] = 255  # the square in the middle
    cropped = fit(wide, InputSpec(size=20, crop=1.0))
    assert (cropped[:, 1:-1] == 255).all()
    assert (cropped[:, 0] > 200).all()  # the filter reaches beyond the crop, as when resizing first and cropping then
    assert (fit(wide, InputSpec(size=20, crop=0.5)) == 255).all()
    assert (fit(wide, InputSpec(size=30, fit="squash"))[:, :9] == 0).all()


def test_a_picture_of_the_right_size_is_left_alone() -> None:
    picture = pixels(drawn(3, (64, 64)))
    for spec in (InputSpec(size=64, crop=1.0), InputSpec(size=64, fit="squash"), InputSpec(size=64, fit="pad")):
        assert np.array_equal(fit(picture, spec), picture)


def test_pad_shows_the_whole_picture_on_grey() -> None:
    white = np.full((50, 100, 3), 255, np.uint8)
    padded = fit(white, InputSpec(size=40, fit="pad"))
    assert (padded[:10] == (124, 116, 104)).all()
    assert (padded[10:30] == 255).all()
    assert (padded[30:] == (124, 116, 104)).all()
    tall = fit(white.transpose(1, 0, 2), InputSpec(size=40, fit="pad"))
    assert np.array_equal(tall, padded.transpose(1, 0, 2))


def test_fit_refuses_what_is_no_picture() -> None:
    for wrong in (np.zeros((4, 4)), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(UsageError, match="uint8"):
            fit(wrong, InputSpec(size=8))


# --- limits


@pytest.mark.parametrize(("name", "data"), samples(), ids=[name for name, _ in samples()])
def test_limits_hold_for_every_format(name: str, data: bytes) -> None:
    for limits in (Limits(max_megapixels=0.001), Limits(max_side=30), Limits(max_bytes=50)):
        with pytest.raises(PictureTooLargeError) as refusal:
            decode(data, limits=limits)
        assert refusal.value.status == 413
        assert refusal.value.hint


def test_the_megapixels_come_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_MAX_MEGAPIXELS", "0.002")
    with pytest.raises(PictureTooLargeError, match=r"0\.002"):
        decode(encoded(RGB))


def test_limits_above_pillows_own_are_honoured() -> None:
    bilevel = encoded(Image.new("1", (20_000, 9_500)), "PNG")  # 190 megapixels: Pillow alone would call it a bomb
    with pytest.raises(PictureTooLargeError):
        decode(bilevel)
    with pytest.raises(PictureTooLargeError, match="65"):
        decode(encoded(Image.new("1", (65_536, 1)), "PNG"))


def test_a_jpeg_of_very_many_scans_is_refused() -> None:
    data = encoded(RGB)
    scan = data[data.index(b"\xff\xda") : -2]
    with pytest.raises(PictureError, match="scans"):
        decode(data[:-2] + scan * 600 + b"\xff\xd9")


# --- failures


@pytest.mark.parametrize(("name", "data"), samples(), ids=[name for name, _ in samples()])
def test_half_a_file_is_refused(name: str, data: bytes) -> None:
    data = data if name != "animated.gif" else data[: len(data) // 3]  # else its first picture is all there
    with pytest.raises(PictureError) as refusal:
        decode(data[: len(data) // 2])
    assert refusal.value.hint
    assert "0x" not in refusal.value.message  # no addresses of Python objects
    with pytest.raises(PictureError):
        prepare(data[: len(data) // 2], InputSpec(size=16))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP", "AVIF"])
def test_missing_bytes_are_counted(kind: str) -> None:
    data = encoded(RGB, kind)
    assert missing_bytes(data, kind.lower()) == 0
    with pytest.raises(PictureError, match="bytes are missing") as refusal:
        decode(data[:-200])
    assert refusal.value.detail["missing_bytes"] >= 12


def test_a_jpeg_whose_pixels_end_early_is_refused_even_when_it_is_closed() -> None:
    data = encoded(drawn(0, (200, 200)))
    with pytest.raises(PictureError, match="cut off"):
        decode(data[: len(data) // 2] + b"\xff\xd9")
    with pytest.raises(PictureError, match="cut off"):
        decode(data[: len(data) // 2] + bytes(len(data) // 2))  # an interrupted download, allocated in advance


def test_harmless_damage_is_read_all_the_same() -> None:
    data = encoded(RGB, progressive=True)
    whole = decode(data)
    assert np.array_equal(decode(data + b"something behind it"), whole)
    assert np.array_equal(decode(data[:-2] + b"\0\0\0\0" + data[-2:]), whole)  # libjpeg warns, simplejpeg refuses


@pytest.mark.parametrize(
    "error", [MemoryError(), RecursionError("deep"), KeyError("x"), RuntimeError("r"), SyntaxError("s"), OSError(5)]
)
def test_whatever_a_decoder_raises_is_one_picture_error(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(raster, "_open", broken)
    with pytest.raises(PictureError) as refusal:
        decode(encoded(RGB, "PNG"))
    assert isinstance(refusal.value, PictureTooLargeError) == isinstance(error, MemoryError)


def test_ctrl_c_goes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(raster, "_open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        decode(encoded(RGB, "PNG"))


def test_libraries_stay_quiet_and_filters_stay_as_they_were(capfd: pytest.CaptureFixture[str]) -> None:
    odd = tiff({256: (4, 8), 257: (4, 8), 270: (2, 0)}, count={270: 2**31 - 1})  # Pillow warns of this tag
    samples_lie = tiff({277: (3, 65_535)})  # Pillow logs this as an error
    broken = encoded(drawn(0, (64, 64)), "TIFF", compression="tiff_adobe_deflate")
    broken = broken[:40] + bytes(60) + broken[100:]  # libtiff writes of this to stderr
    before = list(warnings.filters)

    def attempt(number: int) -> bool:
        try:
            decode((odd, samples_lie, broken)[number % 3])
        except PictureError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(attempt, range(60)))
    assert results == [True, False, False] * 20
    assert warnings.filters == before
    assert capfd.readouterr() == ("", "")
    with pytest.warns(UserWarning, match="tag"):  # outside of our decoder Pillow warns as ever
        Image.open(io.BytesIO(odd)).load()


# --- files


def test_read_picture(tmp_path: Path) -> None:
    file = tmp_path / "a picture.jpg"
    file.write_bytes(encoded(RGB))
    assert read_picture(file) == read_picture(str(file)) == file.read_bytes()


def test_read_picture_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"missing\.jpg"):
        read_picture(tmp_path / "missing.jpg")
    with pytest.raises(PictureError, match="folder"):
        read_picture(tmp_path)
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(PictureError, match="empty"):
        read_picture(tmp_path / "empty.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(PictureError, match="no ordinary file"):
        read_picture(tmp_path / "pipe.jpg")
    with pytest.raises(PictureError):
        read_picture("nul\0byte.jpg")
    with pytest.raises(PictureError, match="cannot read"):
        read_picture("x" * 5000)
    with (tmp_path / "large.jpg").open("wb") as stream:
        stream.truncate(100_000_001)  # sparse: it would take its time to be read
    with pytest.raises(PictureTooLargeError, match="100,000,001"):
        read_picture(tmp_path / "large.jpg")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_read_picture_without_permission(tmp_path: Path) -> None:
    file = tmp_path / "secret.jpg"
    file.write_bytes(b"x")
    file.chmod(0)
    with pytest.raises(PictureError, match="Permission denied"):
        read_picture(file)


def test_importing_the_decoder_brings_in_nothing_heavy() -> None:
    program = (
        "import sys; from sightline.runtime import pixels, guard; print(*sys.modules);"
        "import simplejpeg, numpy; from types import SimpleNamespace as S;"
        "spec = S(size=8, fit='pad', interpolation='box', steps=());"
        "pixels.prepare(simplejpeg.encode_jpeg(numpy.zeros((9, 9, 3), 'uint8')), spec);"
        "print(*sys.modules); import PIL.Image; print('HEIF' in PIL.Image.OPEN, 'TIFF' in PIL.Image.OPEN)"
    )
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.splitlines()
    for line in output[:2]:
        loaded = {name.split(".")[0] for name in line.split()}
        assert not loaded & {"pydantic", "scipy", "sklearn", "torch", "onnxruntime", "pillow_heif", "skimage", "pandas"}
    assert output[2] == "False False"


@pytest.mark.parametrize("size", [(400, 534), (533, 400), (301, 300), (97, 640)])
def test_crop_keeps_the_pixels_that_resize_and_centre_crop_keep(size: tuple[int, int]):
    picture = drawn(5, size)
    shorter, width, height = 64, *size
    resized = (shorter, int(shorter * height / width)) if width <= height else (int(shorter * width / height), shorter)
    left, top = (round((side - 56) / 2) for side in resized)
    expected = picture.resize(resized, Image.Resampling.BICUBIC).crop((left, top, left + 56, top + 56))
    got = prepare(encoded(picture, "PNG"), InputSpec(size=56, crop=0.875, interpolation="bicubic"))
    assert np.abs(got.astype(int) - np.asarray(expected)).max() <= 1
