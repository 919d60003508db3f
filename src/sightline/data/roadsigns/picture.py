"""Whole pictures: a sign is worn, put into its place in perspective, partly covered, then light and weather are added.

Gives pictures with annotations; knows nothing of files.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

from sightline.data.roadsigns import weather
from sightline.data.roadsigns.clutter import thing
from sightline.data.roadsigns.faces import CLASSES, FACES, face, style
from sightline.data.roadsigns.ground import LOUD, ground
from sightline.types import Annotation

OVERSAMPLING = 3
MOST_COVERED = 0.22  # of the sign's face
LEAVES, POLE, STICKERS, SNOW = range(4)
STICKER_TONES = tuple(tone for tone in LOUD if min(tone) < 200)  # a white one over blue would change what the sign says
ORIGIN = "drawn:road-signs"
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture, what is on it, and how hard it was made ("night", "motion", "covered", ...)."""

    picture: Image.Image
    annotations: tuple[Annotation, ...]
    conditions: tuple[str, ...]


def draw_sign(rng: np.random.Generator, label: str, size: int) -> Drawn:
    """A square picture of `size` pixels with one sign `label` over 38-80 % of its side."""
    unit = size / 96
    canvas = ground(rng, size, size)
    side = size * float(rng.uniform(0.38, 0.8))
    free = (size - side * 0.86) / 2
    centre = tuple(size / 2 + float(v) * free for v in rng.uniform(-1, 1, 2))
    plane = _plane(rng, (centre[0], centre[1]), side)
    _pole(rng, canvas, plane, unit)
    annotation, covered = _put(rng, canvas, label, plane, side)
    conditions = ["covered"] if covered else []
    return _shot(rng, canvas, (annotation,), conditions, unit)


def draw_scene(
    rng: np.random.Generator,
    size: tuple[int, int] = (320, 240),
    signs: int = 4,
    *,
    clutter: int = 0,
    classes: Sequence[str] = CLASSES,
) -> Drawn:
    """A street of `size` (width, height) pixels with up to `signs` smaller signs that do not overlap, for detection work.

    `clutter`: other things of the same sizes, shapes and colours, behind the signs and never over them. What finds no free
    place in twenty tries is left out, so a crowded small picture holds less.
    """
    width, height = size
    unit = min(size) / 96
    canvas = ground(rng, width, height)
    taken: list[tuple[float, float, float]] = []
    for _ in range(signs):
        if place := _free(rng, size, taken, 0.75):
            taken.append(place)
    reserved = tuple(taken)
    for _ in range(clutter):
        if place := _free(rng, size, taken, 0.6):
            x, y, side = place
            taken.append(place)
            _paste(canvas, _worn(rng, thing(rng, max(24, round(side * OVERSAMPLING)))), _plane(rng, (x, y), side))
    annotations, conditions = [], []
    for x, y, side in reserved:
        plane = _plane(rng, (x, y), side)
        _pole(rng, canvas, plane, unit * side / min(size))
        annotation, covered = _put(rng, canvas, str(rng.choice(np.array(classes))), plane, side)
        annotations.append(annotation)
        conditions += ["covered"] if covered and "covered" not in conditions else []
    return _shot(rng, canvas, tuple(annotations), conditions, unit * 0.6)


def _free(
    rng: np.random.Generator, size: tuple[int, int], taken: Sequence[tuple[float, float, float]], apart: float
) -> tuple[float, float, float] | None:
    """(x, y, side) of a place for something of a random size, `apart` sides away from the others; None when there is none."""
    width, height = size
    side = min(size) * float(rng.uniform(0.1, 0.34))
    for _try in range(20):
        x, y = (float(v) for v in rng.uniform((side * 0.6, side * 0.6), (width - side * 0.6, height - side * 0.6)))
        if all(np.hypot(x - tx, y - ty) > apart * (side + other) for tx, ty, other in taken):
            return x, y, side
    return None


def _plane(rng: np.random.Generator, centre: tuple[float, float], side: float) -> Matrix:
    """3x3 homography from sign units (-1..1) to picture pixels: a sign turned in space, seen through a pinhole."""
    roll, yaw, pitch = np.radians((rng.normal(0, 6), rng.uniform(-48, 48), rng.uniform(-22, 22)))
    cr, sr, cy, sy, cp, sp = np.cos(roll), np.sin(roll), np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    turn = (
        np.asarray([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        @ np.asarray([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        @ np.asarray([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    )
    far = float(rng.uniform(3.0, 8.0))  # distance in half sides: smaller bends the perspective more
    half = side / 2
    camera = np.asarray([[half * far, 0, centre[0]], [0, half * far, centre[1]], [0, 0, 1]])
    return np.asarray(camera @ np.column_stack((turn[:, 0], turn[:, 1], (0.0, 0.0, far))) / far, np.float64)


def _project(plane: Matrix, points: list[tuple[float, float]]) -> NDArray[np.float64]:
    """Sign units (n, 2) to pixels (n, 2)."""
    at = np.column_stack((np.asarray(points, np.float64), np.ones(len(points)))) @ plane.T
    return np.asarray(at[:, :2] / at[:, 2:])


def _pole(rng: np.random.Generator, canvas: Image.Image, plane: Matrix, unit: float) -> None:
    """The post below the sign and sometimes a small plate under it."""
    pen = ImageDraw.Draw(canvas)
    (x, y), (_, low) = _project(plane, [(0, 0.0), (0, 1.0)]).tolist()
    if rng.random() < 0.75:
        tone, thick = int(rng.integers(70, 190)), max(1.0, unit * float(rng.uniform(2, 4)))
        pen.rectangle((x - thick / 2, y, x + thick / 2, canvas.height), fill=(tone, tone, tone))
    if rng.random() < 0.2:
        half = (low - y) * float(rng.uniform(0.5, 0.8))
        box = (x - half, low + 2 * unit, x + half, low + 2 * unit + half * 0.6)
        pen.rectangle(box, fill=(235, 235, 230), outline=(40, 40, 40), width=max(1, round(unit)))
        pen.line(
            (x - half * 0.6, box[1] + half * 0.3, x + half * 0.5, box[1] + half * 0.3),
            fill=(50, 50, 50),
            width=max(1, round(2 * unit)),
        )


def _put(rng: np.random.Generator, canvas: Image.Image, label: str, plane: Matrix, side: float) -> tuple[Annotation, bool]:
    """Draw the sign into `canvas`; gives its annotation and whether something covers part of it."""
    plate = _worn(rng, face(label, style(rng), max(24, round(side * OVERSAMPLING))))
    covered = rng.random() < 0.3
    if covered:
        plate = _cover(rng, plate)
    _paste(canvas, plate, plane)
    return _annotation(label, plane, _corners(plane), canvas.size), covered


def _corners(plane: Matrix) -> NDArray[np.float64]:
    return _project(plane, [(-1, -1), (1, -1), (1, 1), (-1, 1)])


def _paste(canvas: Image.Image, plate: Image.Image, plane: Matrix) -> None:
    """Put a plate that shows the square -1..1 into the picture in perspective."""
    corners = _corners(plane)
    left, top = np.floor(corners.min(axis=0)).astype(int) - 1
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 2
    # plate pixels <- window pixels, both enlarged by the oversampling: what PIL's PERSPECTIVE wants
    zoom = np.asarray([[1 / OVERSAMPLING, 0, left], [0, 1 / OVERSAMPLING, top], [0, 0, 1]])
    half = plate.width / 2
    back = np.asarray([[half, 0, half], [0, half, half], [0, 0, 1]]) @ np.linalg.inv(plane) @ zoom
    back = (back / back[2, 2]).reshape(-1)[:8]
    big = ((right - left) * OVERSAMPLING, (bottom - top) * OVERSAMPLING)
    premultiplied = plate.convert("RGBa")  # so that the transparent surroundings do not darken the rim
    seen = premultiplied.transform(big, Image.Transform.PERSPECTIVE, back.tolist(), Image.Resampling.BILINEAR)
    small = seen.reduce(OVERSAMPLING).convert("RGBA")
    canvas.paste(small, (int(left), int(top)), small)


def _annotation(label: str, plane: Matrix, corners: NDArray[np.float64], size: tuple[int, int]) -> Annotation:
    outline = _project(plane, FACES[label].outline)
    inside = np.clip(outline, 0, size)
    x0, y0, x1, y1 = (round(float(v), 2) for v in (*inside.min(axis=0), *inside.max(axis=0)))
    return Annotation(
        label=label,
        box=(x0, y0, x1, y1),
        polygon=tuple((round(x, 2), round(y, 2)) for x, y in outline.tolist()),
        keypoints=tuple((round(x, 2), round(y, 2)) for x, y in corners.tolist()),
        text=FACES[label].text,
        origin=ORIGIN,
    )


def _worn(rng: np.random.Generator, plate: Image.Image) -> Image.Image:
    """Faded colours, dirt and rust: only the colours change, not the shape."""
    pixels = np.asarray(plate, np.float32)
    colour, alpha = pixels[..., :3], pixels[..., 3:]
    fade = rng.uniform(0, 0.55) if rng.random() < 0.5 else 0.0
    grey = colour.mean(axis=2, keepdims=True) * 0.7 + 50
    colour = colour * (1 - fade) + grey * fade
    if rng.random() < 0.5:
        cells = int(rng.integers(3, 12))
        coarse = rng.uniform(0, 1, (cells, cells)).astype(np.float32) ** 2
        spots = np.asarray(Image.fromarray(coarse).resize(plate.size, Image.Resampling.BILINEAR))[..., None]
        spots = spots * np.float32(rng.uniform(0.2, 0.6))
        colour = colour * (1 - spots) + np.asarray((92, 76, 58), np.float32) * spots
    return Image.fromarray(np.concatenate((np.clip(colour, 0, 255), alpha), axis=2).astype(np.uint8), "RGBA")


def _cover(rng: np.random.Generator, plate: Image.Image) -> Image.Image:
    """Leaves, a pole, a sticker or a lump of snow over at most MOST_COVERED of the sign; smaller each time it was too much."""
    kind, reach = int(rng.integers(SNOW + 1)), float(rng.uniform(0.55, 1.0))
    solid = np.asarray(plate.getchannel("A")) > 127
    for _ in range(5):
        layer = Image.new("RGBA", plate.size, (0, 0, 0, 0))
        _thing(rng, layer, kind, reach)
        if kind == SNOW:  # lies on the sign only
            layer.putalpha(ImageChops.darker(layer.getchannel("A"), plate.getchannel("A")))
        hidden = np.asarray(layer.getchannel("A")) > 127
        if (hidden & solid).sum() <= MOST_COVERED * solid.sum():
            return Image.alpha_composite(plate, layer)
        reach *= 0.7
    return plate


def _thing(rng: np.random.Generator, layer: Image.Image, kind: int, reach: float) -> None:
    pen = ImageDraw.Draw(layer)
    side = layer.width
    if kind == LEAVES:  # leaves from one side
        angle = rng.uniform(0, 2 * np.pi)
        spots = np.asarray((0.5 + 0.5 * np.cos(angle), 0.5 + 0.5 * np.sin(angle))) + rng.normal(0, 0.16 * reach, (14, 2))
        for (x, y), r in zip((spots * side).tolist(), rng.uniform(0.03, 0.1, 14) * side * reach, strict=True):
            g = int(rng.integers(70, 140))
            pen.ellipse((x - r, y - r * 0.6, x + r, y + r * 0.6), fill=(g // 2, g, g // 3, 255))
    elif kind == POLE:  # a pole or a branch in front
        x, slant, thick = rng.uniform(0.05, 0.95), rng.uniform(-0.35, 0.35), rng.uniform(0.04, 0.15) * reach
        tone = int(rng.integers(40, 130))
        pen.line(
            ((x - slant) * side, 0, (x + slant) * side, side),
            fill=(tone, tone - 6, tone - 14, 255),
            width=max(2, int(thick * side)),
        )
    elif kind == STICKERS:  # stickers
        for _ in range(int(rng.integers(1, 4))):
            x, y = rng.uniform(0.1, 0.8, 2) * side
            w, h = rng.uniform(0.1, 0.24, 2) * side * reach
            pen.rectangle((x, y, x + w, y + h), fill=(*STICKER_TONES[int(rng.integers(len(STICKER_TONES)))], 255))
    else:  # snow lying on the top rim
        depth = rng.uniform(0.12, 0.3) * reach * side
        edge = [(float(x), float(depth * v)) for x, v in zip(np.linspace(0, side, 9), rng.uniform(0.5, 1.2, 9), strict=True)]
        pen.polygon([(0, 0), *edge, (side, 0)], fill=(238, 242, 247, 255))


def _shot(
    rng: np.random.Generator, canvas: Image.Image, annotations: tuple[Annotation, ...], conditions: list[str], unit: float
) -> Drawn:
    """Light, weather, lens, sensor: the photograph of the finished street."""
    pixels = weather.light(rng, np.asarray(canvas, np.float32))
    name = None
    if rng.random() < 0.5:
        name = str(rng.choice(tuple(weather.WEATHERS)))
        pixels = weather.WEATHERS[name](rng, pixels, unit)
        conditions.append(name)
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    picture, moved = weather.lens(rng, picture, unit)
    if moved:
        conditions.append(moved)
    return Drawn(weather.sensor(rng, picture, dark=name == "night"), annotations, tuple(conditions))


def as_jpeg(rng: np.random.Generator, picture: Image.Image) -> bytes:
    """JPEG bytes of a quality between 60 and 95, with or without halved colour resolution."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=int(rng.integers(60, 96)), subsampling=int(rng.choice((0, 2))))
    return stream.getvalue()
