"""Medical pictures: the way of grey values from the file to the screen, frames, and that no patient tag leaves."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pictures import drawn, pixels
from sightline.errors import PictureError, PictureTooLargeError
from sightline.runtime.guard import Guard
from sightline.runtime.limits import Limits
from sightline.runtime.medical import draw_dicom

pydicom = pytest.importorskip("pydicom")
RAMP = np.arange(0, 4096, 8, dtype=np.uint16).reshape(16, 32)  # 0..4088


@pytest.fixture(scope="module")
def guard() -> Iterator[Guard]:
    with Guard(deadline_s=20) as guard:
        yield guard


def dicom(values: NDArray[Any], kind: str = "MONOCHROME2", syntax: str = "1.2.840.10008.1.2.1", **tags: Any) -> bytes:
    """A DICOM file of `values` ((frames,) h, w(, 3)) with a patient's name in it."""
    from pydicom.dataset import FileDataset, FileMetaDataset

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    made = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    made.PatientName, made.PatientID, made.PatientBirthDate = "SECRET^NAME", "SECRETID", "19700101"
    colour = kind not in ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
    made.Rows, made.Columns = values.shape[-3:-1] if colour else values.shape[-2:]
    frames = values.ndim - (3 if colour else 2)
    if frames:
        made.NumberOfFrames = len(values)
    bits = 8 * values.dtype.itemsize
    made.SamplesPerPixel, made.PhotometricInterpretation = (3 if colour else 1), kind
    if colour:
        made.PlanarConfiguration = 0
    made.BitsAllocated, made.BitsStored, made.HighBit = bits, bits, bits - 1
    made.PixelRepresentation = int(values.dtype.kind == "i")
    made.PixelData = values.tobytes()
    for name, value in tags.items():
        setattr(made, name, value)
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def shown(data: bytes, side: int = 512, frame: int = 0) -> NDArray[np.uint8]:
    return draw_dicom(data, side, frame, Limits())[0]


def test_without_a_window_from_smallest_to_largest(guard: Guard) -> None:
    grey = guard.convert(dicom(RAMP), "dicom", 512)
    assert grey.shape == (16, 32, 3)
    assert grey[0, 0, 0] == 0
    assert grey[-1, -1, 0] == 255
    assert np.array_equal(grey[..., 0], np.rint(RAMP / RAMP.max() * 255))
    assert np.array_equal(grey[..., 0], grey[..., 2])


def test_window_after_rescale() -> None:
    """PS3.3 C.11.2.1.2.1 by hand: Hounsfield = stored - 1024; window 40/400 shows -160..240."""
    data = dicom(RAMP, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=[40, 500], WindowWidth=[400, 2000])
    units = RAMP.astype(float) - 1024
    expected = np.clip((units - 39.5) / 399 + 0.5, 0, 1) * 255
    assert np.abs(shown(data)[..., 0] - expected).max() <= 1


@pytest.mark.parametrize("function", ["LINEAR_EXACT", "SIGMOID"])
def test_other_window_functions(function: str) -> None:
    data = dicom(RAMP, WindowCenter=2000, WindowWidth=1000, VOILUTFunction=function)
    units = (RAMP.astype(float) - 2000) / 1000
    expected = np.clip(units + 0.5, 0, 1) if function == "LINEAR_EXACT" else 1 / (1 + np.exp(-4 * units))
    assert np.abs(shown(data)[..., 0] - expected * 255).max() <= 1


def test_signed_values_inverted_and_padding() -> None:
    signed = RAMP.astype(np.int16) - 2000
    assert np.array_equal(shown(dicom(signed)), shown(dicom(RAMP)))
    assert np.array_equal(shown(dicom(RAMP, "MONOCHROME1")), 255 - shown(dicom(RAMP)))
    padded = RAMP.astype(np.int16).copy()
    padded[0, :4] = -30_000
    with_padding = shown(dicom(padded, PixelPaddingValue=-30_000))
    assert int(with_padding[-1, 0, 0]) - int(with_padding[1, 0, 0]) > 200  # not squeezed by the padding
    assert with_padding[0, 0, 0] == 0


def test_colours() -> None:
    rgb = pixels(drawn(3, (40, 30)))
    assert np.array_equal(shown(dicom(rgb, "RGB")), rgb)
    from PIL import Image

    ybr = np.asarray(Image.fromarray(rgb).convert("YCbCr"))
    assert np.abs(shown(dicom(ybr, "YBR_FULL")).astype(int) - rgb).max() <= 3


def test_every_frame_and_smaller(guard: Guard) -> None:
    frames = np.stack([np.roll(RAMP, 5 * number) for number in range(4)])
    data = dicom(frames, WindowCenter=2048, WindowWidth=4096)
    found = list(guard.convert_every(data, "dicom", 512))
    assert len(found) == 4
    for number, frame in enumerate(found):
        assert np.array_equal(frame, shown(dicom(frames[number], WindowCenter=2048, WindowWidth=4096)))
    assert np.array_equal(guard.convert(data, "dicom", 512), found[0])
    assert guard.convert(data, "dicom", 8).shape == (4, 8, 3)
    with pytest.raises(PictureError, match="4 frames"):
        shown(data, frame=4)


def test_run_length_encoded() -> None:
    made = pydicom.dcmread(io.BytesIO(dicom(RAMP)))
    made.compress("1.2.840.10008.1.2.5")
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    assert np.array_equal(shown(stream.getvalue()), shown(dicom(RAMP)))


def test_refusals(guard: Guard) -> None:
    from pydicom.encaps import encapsulate

    compressed = dicom(RAMP, PixelData=b"", syntax="1.2.840.10008.1.2.1")
    made = pydicom.dcmread(io.BytesIO(compressed))
    made.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.80"  # JPEG-LS
    made.PixelData = encapsulate([b"\xff\xd8\xff\xf7" + bytes(100)])
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    with pytest.raises(PictureError, match="JPEG-LS"):
        guard.convert(stream.getvalue(), "dicom", 100)
    with pytest.raises(PictureError, match="not a DICOM"):
        guard.convert(b"\xff\xd8\xff" + bytes(300), "dicom", 100)
    with pytest.raises(PictureError, match="damaged"):
        guard.convert(dicom(RAMP)[:-300], "dicom", 100)
    report = pydicom.dcmread(io.BytesIO(dicom(RAMP)))
    del report.Rows
    stream = io.BytesIO()
    report.save_as(stream, enforce_file_format=True)
    with pytest.raises(PictureError, match="no picture"):
        guard.convert(stream.getvalue(), "dicom", 100)
    with pytest.raises(PictureTooLargeError):
        guard.convert(dicom(RAMP, Rows=60_000, Columns=60_000), "dicom", 100)


def test_any_damage_is_a_typed_error() -> None:
    whole = dicom(np.stack([RAMP, RAMP]), WindowCenter=40, WindowWidth=400)
    rng = np.random.default_rng(0)
    with Guard(deadline_s=20) as guard:
        for _ in range(60):
            data = bytearray(whole)
            for at in rng.integers(0, len(whole) - len(RAMP.tobytes()) * 2, 4):
                data[at] = rng.integers(256)
            with suppress(PictureError):
                assert guard.convert(bytes(data), "dicom", 64).shape[2] == 3


def test_no_patient_in_an_error() -> None:
    for start in range(128, 700, 3):
        data = bytearray(dicom(RAMP))
        data[start : start + 2] = b"\xff\xff"
        said = ""
        try:
            shown(bytes(data))
        except PictureError as error:
            said = f"{error.message} {error.hint} {error.detail}"
        assert "SECRET" not in said
