"""The mark of an installed page, drawn: an eye on blue. PNG bytes; knows nothing of pages."""

from __future__ import annotations

import io

_BLUE, _WHITE = (29, 91, 191, 255), (255, 255, 255, 255)
_LARGER = 4  # drawn so many times as large, then reduced: smooth edges


def icon(side: int, *, whole: bool = False) -> bytes:
    """A PNG of `side` pixels. `whole`: blue to the edges, the eye small in the middle, for systems that cut out a shape."""
    from PIL import Image, ImageDraw

    large = side * _LARGER
    picture = Image.new("RGBA", (large, large), _BLUE if whole else (0, 0, 0, 0))
    pen = ImageDraw.Draw(picture)
    if not whole:
        pen.rounded_rectangle((0, 0, large - 1, large - 1), radius=large // 4, fill=_BLUE)
    half = large * (0.27 if whole else 0.36)
    middle, line = large / 2, round(large * 0.06 * (0.75 if whole else 1))
    # two circles whose shared part is the lens of an eye, 0.65 times as high as it is wide
    lens = Image.new("L", (large, large), 0)
    radius = half * (1 + 0.65**2) / (2 * 0.65)
    drop = radius - 0.65 * half
    for grow, shade in ((line / 2, 255), (-line / 2, 0)):
        upper, lower = (Image.new("L", (large, large), 0) for _ in range(2))
        r = radius + grow
        ImageDraw.Draw(upper).ellipse((middle - r, middle + drop - r, middle + r, middle + drop + r), fill=255)
        ImageDraw.Draw(lower).ellipse((middle - r, middle - drop - r, middle + r, middle - drop + r), fill=255)
        lens.paste(shade, mask=Image.composite(upper, Image.new("L", (large, large), 0), lower))
    picture.paste(_WHITE, mask=lens)
    ring = half * 0.36
    pen.ellipse((middle - ring, middle - ring, middle + ring, middle + ring), fill=_WHITE)
    stream = io.BytesIO()
    picture.reduce(_LARGER).save(stream, "PNG", optimize=True)
    return stream.getvalue()
