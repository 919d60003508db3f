"""CVAT XML 1.1 for images: tags, boxes, polygons and points of many pictures in one document, their part as `subset`.

As in CVAT's manual ("CVAT for image"). Attributes of shapes are passed over, and said so. Shapes of one label and one group are
one thing: a box, polygon or mask and points or a skeleton. Points outside of a skeleton are not labelled, occluded ones hidden.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape, quoteattr

from sightline.data.formats.brushes import from_window, to_window
from sightline.data.formats.documents import for_xml, head_of, number, word, xml_children
from sightline.data.formats.finder import Pictures, listing, split_of, split_word
from sightline.data.formats.format import Export, Format, Picture
from sightline.data.formats.geometry import Canvas, PlaceError, Point, turned
from sightline.data.formats.marks import Marks
from sightline.data.formats.voc import short
from sightline.data.listing import Listing, Row, left_out
from sightline.data.place import Place
from sightline.errors import DatasetError
from sightline.progress import note
from sightline.types import Annotation, Box, Dataset, Failure, Mask, Skeleton

ORIGIN = "import:cvat"
_CORNERS = ("xtl", "ytl", "xbr", "ybr")
_PASSED_OVER = {"polyline", "cuboid", "ellipse"}
_SHAPES = ("tag", "box", "polygon", "points", "mask", "skeleton")
# what the shapes of one thing may be
_TOGETHER = [
    *({shape, points} for shape in ("box", "polygon", "mask") for points in ("points", "skeleton")),
    *({"box", "mask"}, {"box", "mask", "points"}, {"box", "mask", "skeleton"}),
]
_WINDOW = ("left", "top", "width", "height")


# --- reading


def recognised(place: Place) -> bool:
    return any(_is_cvat(place.tree.root / file) for file in place.documents(".xml", depth=2)[:3])


def _is_cvat(path: Path) -> bool:
    head = head_of(path)
    return "<annotations>" in head and ("<version>" in head or "<image " in head or "<meta>" in head)


def read(place: Place) -> Listing:
    """All CVAT documents of the place. Raises DatasetError when there is none, or one cannot be read."""
    files = [file for file in place.documents(".xml", depth=2) if file == place.given or _is_cvat(place.tree.root / file)]
    if not files:
        raise DatasetError("there is no CVAT document", hint="annotations.xml as CVAT exports it for images")
    pictures = Pictures(place.tree)
    rows: dict[str, Row] = {}
    failures: list[Failure] = []
    classes: dict[str, None] = {}
    skeletons: dict[str, Skeleton] = {}
    attributes = 0
    for file in files:
        for element in xml_children(place.tree.root / file):
            if element.tag == "meta":
                declared, points = _labels(element)
                classes |= dict.fromkeys(declared)
                skeletons |= points
            elif element.tag == "image":
                attributes += sum(1 for _ in element.iter("attribute"))
                failures += _image(file, element, pictures, rows, skeletons)
            elif element.tag == "track":
                failures.append(left_out(file, "track", "a track of a video is not read", "export the task as CVAT for images"))
    if attributes:
        note(f"CVAT: {attributes:,} attributes of shapes are passed over")
    return listing("cvat", rows.values(), failures, classes=classes, skeletons=skeletons)


def _labels(meta: Element) -> tuple[list[str], dict[str, Skeleton]]:
    """The classes, and the points of those that are skeletons: labels with a parent."""
    names: list[str] = []
    points: dict[str, list[str]] = {}
    for part in meta.iter("label"):
        name, parent = word(part.findtext("name")), word(part.findtext("parent"))
        if name and parent:
            points.setdefault(parent, []).append(name)
        elif name:
            names.append(name)
    return names, {name: Skeleton(points=tuple(found)) for name, found in points.items()}


def _image(
    file: str, element: Element, pictures: Pictures, rows: dict[str, Row], skeletons: dict[str, Skeleton]
) -> list[Failure]:
    """Add one picture to `rows`; what is wrong with it."""
    name = word(element.get("name"), 4096)
    subset = word(element.get("subset"))
    picture = (
        pictures.find(name, (file.rpartition("/")[0], f"images/{subset}" if subset else "images", "images")) if name else None
    )
    if picture is None:
        return [left_out(name or f"{file}: a picture", "picture_missing", f"{file}: there is no file {name!r}")]
    if picture in rows:
        return [left_out(name, "row_repeated", f"{file}: {name!r} has annotations already")]
    width, height = number(element.get("width")), number(element.get("height"))
    tree = pictures.tree
    marks = Marks(f"{tree.root}/{picture}", tree.prefix + picture, ORIGIN, (width, height) if width and height else None)
    for shapes in _things(element, marks):
        with marks.judged():
            _add(marks, shapes, skeletons)
    split = split_word(subset) or (split_of(picture) if not subset else None)
    rows[picture] = pictures.row(picture, split, tuple(marks.found))
    return marks.failures()


def _things(element: Element, marks: Marks) -> Iterator[list[Element]]:
    """The shapes that are one thing each: alone, or of a common group one shape of each kind, but not polygon and mask."""
    groups: dict[tuple[str, str], list[Element]] = {}
    things: list[list[Element]] = []
    for shape in element:
        if shape.tag in _PASSED_OVER:
            marks.refuse("shape", f"a {shape.tag} is left out")
        if shape.tag not in _SHAPES:
            continue
        group = word(shape.get("group_id"))
        if group in ("", "0") or shape.tag == "tag":
            things.append([shape])
            continue
        mates = groups.get((group, word(shape.get("label"))))
        tags = {mate.tag for mate in mates or ()}
        if mates is not None and shape.tag not in tags and {shape.tag, *tags} in _TOGETHER:
            mates.append(shape)
        else:
            mates = [shape]
            things.append(mates)
            groups[group, word(shape.get("label"))] = mates
    yield from things


def _add(marks: Marks, shapes: list[Element], skeletons: dict[str, Skeleton]) -> None:
    label = word(shapes[0].get("label"))
    box: Box | None = None
    polygon: list[Point] | None = None
    mask: Mask | None = None
    keypoints: list[Point] | None = None
    visibility: list[int] | None = None
    for shape in shapes:
        if shape.tag == "box":
            corners = [number(shape.get(corner)) for corner in _CORNERS]
            sides = [value for value in corners if value is not None]
            if len(sides) < 4:
                raise PlaceError("box_wrong", f"a box of {label!r} that is not four numbers")
            box = (sides[0], sides[1], sides[2], sides[3])
            if turn := (number(shape.get("rotation")) or 0.0) % 360:
                polygon = turned(box, turn, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
                box = None
        elif shape.tag == "mask":
            mask = _mask(shape, marks.canvas)
        elif shape.tag == "skeleton":
            keypoints, visibility = _skeleton(shape, skeletons.get(label))
        elif shape.tag != "tag":
            points = _points(shape.get("points"))
            if points is None:
                raise PlaceError("polygon_wrong", f"{shape.tag} of {label!r} that are not pairs of numbers")
            polygon, keypoints = (points, keypoints) if shape.tag == "polygon" else (polygon, points)
    hidden = shapes[0].get("occluded") == "1"
    marks.add(
        label,
        box=box,
        polygon=polygon,
        mask=mask,
        keypoints=keypoints,
        visibility=visibility,
        traits=("occluded",) if hidden else (),
    )


def _mask(shape: Element, canvas: Canvas) -> Mask:
    sides = [number(shape.get(side)) for side in _WINDOW]
    window = [int(side) for side in sides if side is not None]
    runs = [number(run) for run in (shape.get("rle") or "").split(",")]
    lengths = [int(run) for run in runs if run is not None]
    if len(window) < 4 or len(lengths) < len(runs):
        raise PlaceError("mask_wrong", f"a mask of {word(shape.get('label'))!r} without whole numbers")
    size = (round(canvas.base[1]), round(canvas.base[0]))
    return from_window(lengths, (window[0], window[1], window[2], window[3]), size)


def _skeleton(shape: Element, skeleton: Skeleton | None) -> tuple[list[Point], list[int]]:
    """The points in the order that the labels have in the document's head, and how they are seen."""
    found: dict[str, tuple[Point, int]] = {}
    for part in shape.iter("points"):
        points = _points(part.get("points"))
        if points is None or len(points) != 1:
            raise PlaceError("keypoint_wrong", "a skeleton with a point that is not two numbers")
        seen = 0 if part.get("outside") == "1" else 1 if part.get("occluded") == "1" else 2
        found[word(part.get("label"))] = (points[0], seen)
    names = skeleton.points if skeleton is not None else tuple(found)
    placed = [found.get(name, ((0.0, 0.0), 0)) for name in names]
    return [point for point, _ in placed], [seen for _, seen in placed]


def _points(text: str | None) -> list[Point] | None:
    """`x,y;x,y` as points."""
    found: list[Point] = []
    for part in (text or "").split(";"):
        x, _, y = part.partition(",")
        px, py = number(x), number(y)
        if px is None or py is None:
            return None
        found.append((px, py))
    return found


# --- writing


def write(export: Export) -> None:
    """annotations.xml, and the pictures in images/SPLIT/ (images/ without a split)."""
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<annotations>", "  <version>1.1</version>", "  <meta><task><labels>"]
    lines += [f"    <label><name>{escape(for_xml(name))}</name></label>" for name in export.dataset.classes]
    for parent, skeleton in export.dataset.skeletons.items():
        for name in skeleton.points:
            lines.append(f"    <label><name>{escape(for_xml(name))}</name><parent>{escape(for_xml(parent))}</parent></label>")
    lines.append("  </labels></task></meta>")
    for number_, picture in enumerate(export.pictures()):
        folder = f"{picture.item.split}/" if picture.item.split else ""
        export.put(f"images/{folder}{picture.name}", picture.data)
        lines += _lines(number_, picture, export.dataset.skeletons)
    export.put("annotations.xml", "\n".join([*lines, "</annotations>", ""]))


def _lines(id: int, picture: Picture, skeletons: dict[str, Skeleton]) -> Iterator[str]:
    subset = f" subset={quoteattr(picture.item.split)}" if picture.item.split else ""
    width, height = picture.size
    yield f'  <image id="{id}" name={quoteattr(picture.name)}{subset} width="{width}" height="{height}">'
    for group, one in enumerate(picture.item.truth, 1):
        yield from _shapes(one, group, skeletons.get(one.label))
    yield "  </image>"


def _shapes(one: Annotation, group: int, skeleton: Skeleton | None) -> Iterator[str]:
    label = f'label={quoteattr(for_xml(one.label))} source="manual"'
    if not one.placed:
        yield f"    <tag {label}/>"
        return
    boxed = one.box is not None and one.polygon is None
    shapes = sum(part is not None for part in (one.polygon, one.mask, one.keypoints)) + boxed
    start = f'{label} occluded="{int("occluded" in one.traits)}"'
    end = (f' group_id="{group}"' if shapes > 1 else "") + ' z_order="0"'
    if one.box is not None and boxed:
        corners = " ".join(f'{name}="{short(value)}"' for name, value in zip(_CORNERS, one.box, strict=True))
        yield f"    <box {start} {corners}{end}/>"
    if one.polygon is not None:
        yield f'    <polygon {start} points="{_written(one.polygon)}"{end}/>'
    elif one.mask is not None:
        runs, window = to_window(one.mask)
        sides = " ".join(f'{name}="{value}"' for name, value in zip(_WINDOW, window, strict=True))
        yield f'    <mask {start} rle="{", ".join(map(str, runs))}" {sides}{end}/>'
    if one.keypoints is not None and skeleton is not None:
        yield f"    <skeleton {start}{end}>"
        for name, point, seen in zip(skeleton.points, one.keypoints, one.visibility or repeat(2), strict=False):
            told = f'outside="{int(seen == 0)}" occluded="{int(seen == 1)}" points="{_written((point,))}"'
            yield f'      <points label={quoteattr(for_xml(name))} source="manual" {told}/>'
        yield "    </skeleton>"
    elif one.keypoints is not None:
        yield f'    <points {start} points="{_written(one.keypoints)}"{end}/>'


def _written(points: tuple[Point, ...]) -> str:
    return ";".join(f"{short(x)},{short(y)}" for x, y in points)


_HOLDS = frozenset({"labels", "several", "boxes", "polygons", "masks", "keypoints", "skeletons", "splits", "unlabelled"})


def _holding(dataset: Dataset) -> frozenset[str]:
    return _HOLDS | {"hidden"} if dataset.skeletons else _HOLDS  # only skeletons say which points are hidden


FORMAT = Format(
    title="CVAT XML",
    recognised=recognised,
    read=read,
    write=write,
    holds=_HOLDS,
    files=(".xml",),
    traits=frozenset({"occluded"}),
    holding=_holding,
)
