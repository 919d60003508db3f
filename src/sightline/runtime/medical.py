"""DICOM pictures to pixels by pydicom. Only ever called in the guard's media worker. Patient tags stay behind.

Names that are burned into the pixels stay in them: see `redact`. Knows nothing of processes.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import PictureError
from sightline.runtime.limits import Limits

_GREY = ("MONOCHROME1", "MONOCHROME2")


def draw_dicom(data: bytes, side: int, frame: int, limits: Limits) -> tuple[NDArray[np.uint8], int]:
    """(uint8 (h, w, 3), number of frames) of frame `frame` of a DICOM file, made smaller where a side is above `side`.

    Grey values take the way of DICOM PS3.3 C.11: rescale slope and intercept (or table), then the first window (or table) of
    the file, or where it has none from the smallest to the largest value; MONOCHROME1 is inverted. Raises PictureError (no
    DICOM, no pixels, a compression without decoder, no such frame) and PictureTooLargeError.
    """
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        tags = dcmread(io.BytesIO(data), force=data[128:132] != b"DICM" and data[:4] in (b"\x08\0\x05\0", b"\x08\0\0\0"))
        rows, columns = int(tags.Rows), int(tags.Columns)
        frames = max(1, int(tags.get("NumberOfFrames") or 1))
    except InvalidDicomError as error:
        raise PictureError("not a DICOM file", hint="its bytes 128-131 should be DICM") from error
    except AttributeError as error:
        raise PictureError("the DICOM file holds no picture", hint="reports and plans have none: leave it out") from error
    except Exception as error:
        kind = type(error).__name__  # its message may hold a tag's value: the patient's
        raise PictureError(f"the DICOM file is damaged ({kind})", hint="copy it again") from error
    limits.check_size(columns, rows)
    if not 0 <= frame < frames:
        raise PictureError(f"the DICOM file has {frames} frames; there is no frame {frame}", detail={"frames": frames})
    return _smaller(_shown(tags, _pixels(tags, frame, frames), frame), side), frames


def _pixels(tags: Any, frame: int, frames: int) -> NDArray[Any]:
    """Stored values of one frame: (h, w), or (h, w, 3) with YBR turned into RGB."""
    syntax = getattr(getattr(tags, "file_meta", None), "TransferSyntaxUID", None)
    try:
        from pydicom.pixels import pixel_array

        found = np.asarray(pixel_array(tags, index=frame if frames > 1 else None))
    except (RuntimeError, NotImplementedError, ModuleNotFoundError) as error:
        raise PictureError(
            f"no decoder for this DICOM compression: {getattr(syntax, 'name', syntax)}",
            hint="save it uncompressed (Explicit VR Little Endian), or install pylibjpeg with its plugins",
            detail={"transfer_syntax": str(syntax)},
        ) from error
    except MemoryError:
        raise
    except Exception as error:
        raise PictureError(f"the pixels of the DICOM file are damaged: {error}", hint="copy it again") from error
    return found[0] if found.ndim == 4 else found


def _shown(tags: Any, stored: NDArray[Any], frame: int) -> NDArray[np.uint8]:
    """uint8 (h, w, 3) as a screen would show it."""
    from pydicom.pixels import apply_color_lut, apply_modality_lut

    kind = str(tags.get("PhotometricInterpretation", "MONOCHROME2"))
    if kind == "PALETTE COLOR":
        stored, kind = apply_color_lut(stored, tags), "RGB"
    if stored.ndim == 3:
        bits = 8 * stored.dtype.itemsize if stored.dtype.itemsize > 1 else 8
        return np.ascontiguousarray((stored >> (bits - 8)).astype(np.uint8)[..., :3])
    functional = _functional(tags, frame)
    values = np.asarray(apply_modality_lut(stored, tags), np.float32)
    if "RescaleSlope" not in tags and functional.get("RescaleSlope") is not None:
        values = values * float(functional["RescaleSlope"]) + float(functional.get("RescaleIntercept") or 0)
    shown = _windowed(values, tags, functional, _padding(stored, tags))
    if kind == "MONOCHROME1":
        shown = 1 - shown
    grey = np.rint(np.clip(shown, 0, 1) * 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _windowed(
    values: NDArray[np.float32], tags: Any, functional: dict[str, Any], padding: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Values (h, w) to 0..1: by the file's table, by its window (PS3.3 C.11.2.1.2), or from smallest to largest."""
    if tags.get("VOILUTSequence"):
        from pydicom.pixels import apply_voi

        bits = int(tags.VOILUTSequence[0].LUTDescriptor[2])
        return np.asarray(apply_voi(values.astype(np.int32), tags), np.float32) / float((1 << bits) - 1)
    centre, width = _first(tags, functional, "WindowCenter"), _first(tags, functional, "WindowWidth")
    function = str(tags.get("VOILUTFunction") or "LINEAR")
    if centre is not None and width is not None and width >= 1 and np.isfinite([centre, width]).all():
        if function == "SIGMOID":
            return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -60, 60))), np.float32)
        if function == "LINEAR_EXACT" or width == 1:
            return np.asarray((values - centre) / width + 0.5, np.float32)
        return np.asarray((values - (centre - 0.5)) / (width - 1) + 0.5, np.float32)
    known = values[~padding] if not padding.all() else values
    low, high = float(known.min()), float(known.max())
    return np.asarray((values - low) / ((high - low) or 1.0), np.float32)


def _padding(stored: NDArray[Any], tags: Any) -> NDArray[np.bool_]:
    """Where the scanner saw nothing (h, w): such values would squeeze all others together."""
    value, limit = tags.get("PixelPaddingValue"), tags.get("PixelPaddingRangeLimit")
    if value is None:
        return np.zeros(stored.shape, np.bool_)
    low, high = sorted((int(value), int(value if limit is None else limit)))
    return np.asarray((stored >= low) & (stored <= high))


def _functional(tags: Any, frame: int) -> dict[str, Any]:
    """Window and rescale of an enhanced (multi-frame) file, which stand in functional groups: of the frame, or of all."""
    found: dict[str, Any] = {}
    groups = [
        *(tags.get("SharedFunctionalGroupsSequence") or [])[:1],
        *(tags.get("PerFrameFunctionalGroupsSequence") or [])[frame : frame + 1],
    ]
    for group in groups:
        for name in ("FrameVOILUTSequence", "PixelValueTransformationSequence"):
            for item in (group.get(name) or [])[:1]:
                for tag in ("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept"):
                    if item.get(tag) is not None:
                        found[tag] = item.get(tag)
    return found


def _first(tags: Any, functional: dict[str, Any], name: str) -> float | None:
    """The first of the values that a tag may hold."""
    value: Any = tags.get(name) if tags.get(name) is not None else functional.get(name)
    try:
        return float(value if isinstance(value, (str, float, int)) else value[0])
    except (TypeError, ValueError, IndexError):
        return None


def _smaller(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    if max(height, width) <= side:
        return pixels
    from PIL import Image

    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BOX if scale < 0.5 else Image.Resampling.LANCZOS))
