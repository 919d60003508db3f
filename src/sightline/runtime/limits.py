"""How large a picture may be, and the refusals when it is larger; checked from the header, before pixels exist."""

from __future__ import annotations

from dataclasses import dataclass

from sightline.errors import PictureError, PictureTooLargeError
from sightline.settings import settings


@dataclass(frozen=True, slots=True)
class Limits:
    """What `decode` accepts. Megapixels are width x height / 1e6, sides are pixels, bytes are those of the file."""

    max_megapixels: float = 50.0
    max_bytes: int = 100_000_000
    max_side: int = 65_500  # the largest side a JPEG can have

    def check_bytes(self, count: int) -> None:
        """Raise PictureError for an empty file, PictureTooLargeError for one above `max_bytes`."""
        if count == 0:
            raise PictureError("the picture is empty (0 bytes)", hint="send or copy the file again")
        if count > self.max_bytes:
            raise PictureTooLargeError(
                f"the picture has {count:,} bytes; the limit is {self.max_bytes:,}",
                hint="save it smaller",
                detail={"bytes": count, "max_bytes": self.max_bytes},
            )

    def check_size(self, width: int, height: int) -> None:
        """Raise PictureTooLargeError for more pixels than allowed, PictureError for a picture without pixels."""
        if width < 1 or height < 1:
            raise PictureError(f"the picture has no pixels: its header says {width} x {height}")
        megapixels = width * height / 1e6
        if megapixels > self.max_megapixels:
            raise PictureTooLargeError(
                f"the picture is {width} x {height} ({megapixels:.1f} megapixels); the limit is {self.max_megapixels:g}",
                hint="make it smaller, or raise SIGHTLINE_MAX_MEGAPIXELS",
                detail={"width": width, "height": height, "max_megapixels": self.max_megapixels},
            )
        if max(width, height) > self.max_side:
            raise PictureTooLargeError(
                f"the picture is {width} x {height}; no side may be longer than {self.max_side} pixels",
                hint="make it smaller",
                detail={"width": width, "height": height, "max_side": self.max_side},
            )


def standard_limits() -> Limits:
    """The limits of this process: those above, with the megapixels of the settings."""
    return Limits(max_megapixels=settings().max_megapixels)
