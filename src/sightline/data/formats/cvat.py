"""CVAT XML 1.1 for images: tags, boxes, polygons and points of many pictures in one document, their part as `subset`.

As in CVAT's manual ("CVAT for image"). Attributes of shapes are passed over, and said so. A box or polygon and points of one
label and one group are one thing: that is how keypoints of an object are written.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape, quoteattr

from sightline.data.formats.documents import for_xml, head_of, number, word, xml_children
from sightline.data.formats.finder import Pictures, listing, split_of, split_word
from sightline.data.formats.format import Export, Format, Picture
from sightline.data.formats.geometry import Marks, Point, turned
from sightline.data.formats.voc import short
from sightline.data.listing import Listing, Row, left_out
from sightline.data.place import Place
from sightline.errors import DatasetError
from sightline.progress import note
from sightline.types import Annotation, Box, Failure

ORIGIN = "import:cvat"
_CORNERS = ("xtl", "ytl", "xbr", "ybr")
_PASSED_OVER = {"polyline", "cuboid", "ellipse", "mask", "skeleton"}


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
    attributes = 0
    for file in files:
        for element in xml_children(place.tree.root / file):
            if element.tag == "meta":
                classes |= dict.fromkeys(name for part in element.iter("label") if (name := word(part.findtext("name"))))
            elif element.tag == "image":
                attributes += sum(1 for _ in element.iter("attribute"))
                failures += _image(file, element, pictures, rows)
            elif element.tag == "track":
                failures.append(left_out(file, "track", "a track of a video is not read", "export the task as CVAT for images"))
    if attributes:
        note(f"CVAT: {attributes:,} attributes of shapes are passed over")
    return listing("cvat", rows.values(), failures, classes=classes)


def _image(file: str, element: Element, pictures: Pictures, rows: dict[str, Row]) -> list[Failure]:
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
        _add(marks, shapes)
    split = split_word(subset) or (split_of(picture) if not subset else None)
    rows[picture] = pictures.row(picture, split, tuple(marks.found))
    return marks.failures()


def _things(element: Element, marks: Marks) -> Iterator[list[Element]]:
    """The shapes that are one thing each: alone, or one box or polygon and one set of points with a common group."""
    groups: dict[tuple[str, str], list[Element]] = {}
    things: list[list[Element]] = []
    for shape in element:
        if shape.tag in _PASSED_OVER:
            marks.refuse("shape", f"a {shape.tag} is left out")
        if shape.tag not in ("tag", "box", "polygon", "points"):
            continue
        group = word(shape.get("group_id"))
        if group in ("", "0") or shape.tag == "tag":
            things.append([shape])
            continue
        mates = groups.get((group, word(shape.get("label"))))
        if mates is not None and len(mates) == 1 and (mates[0].tag == "points") != (shape.tag == "points"):
            mates.append(shape)
        else:
            mates = [shape]
            things.append(mates)
            groups[group, word(shape.get("label"))] = mates
    yield from things


def _add(marks: Marks, shapes: list[Element]) -> None:
    label = word(shapes[0].get("label"))
    box: Box | None = None
    polygon: list[Point] | None = None
    keypoints: list[Point] | None = None
    for shape in shapes:
        if shape.tag == "box":
            corners = [number(shape.get(corner)) for corner in _CORNERS]
            sides = [value for value in corners if value is not None]
            if len(sides) < 4:
                marks.refuse("box_wrong", f"a box of {label!r} that is not four numbers")
                return
            box = (sides[0], sides[1], sides[2], sides[3])
            if turn := (number(shape.get("rotation")) or 0.0) % 360:
                polygon = turned(box, turn, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
                box = None
        elif shape.tag != "tag":
            points = _points(shape.get("points"))
            if points is None:
                marks.refuse("polygon_wrong", f"{shape.tag} of {label!r} that are not pairs of numbers")
                return
            polygon, keypoints = (points, keypoints) if shape.tag == "polygon" else (polygon, points)
    marks.add(label, box=box, polygon=polygon, keypoints=keypoints)


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
    lines.append("  </labels></task></meta>")
    for number_, picture in enumerate(export.pictures()):
        folder = f"{picture.item.split}/" if picture.item.split else ""
        export.put(f"images/{folder}{picture.name}", picture.data)
        lines += _lines(number_, picture)
    export.put("annotations.xml", "\n".join([*lines, "</annotations>", ""]))


def _lines(id: int, picture: Picture) -> Iterator[str]:
    subset = f" subset={quoteattr(picture.item.split)}" if picture.item.split else ""
    width, height = picture.size
    yield f'  <image id="{id}" name={quoteattr(picture.name)}{subset} width="{width}" height="{height}">'
    for group, one in enumerate(picture.item.truth, 1):
        yield from _shapes(one, group)
    yield "  </image>"


def _shapes(one: Annotation, group: int) -> Iterator[str]:
    start = f'label={quoteattr(for_xml(one.label))} source="manual"'
    if one.box is None and one.polygon is None and one.keypoints is None:
        yield f"    <tag {start}/>"
        return
    shared = f' group_id="{group}"' if one.keypoints and (one.box or one.polygon) else ""
    if one.polygon is not None:
        yield f'    <polygon {start} occluded="0" points="{_written(one.polygon)}"{shared} z_order="0"/>'
    elif one.box is not None:
        corners = " ".join(f'{name}="{short(value)}"' for name, value in zip(_CORNERS, one.box, strict=True))
        yield f'    <box {start} occluded="0" {corners}{shared} z_order="0"/>'
    if one.keypoints is not None:
        yield f'    <points {start} occluded="0" points="{_written(one.keypoints)}"{shared} z_order="0"/>'


def _written(points: tuple[Point, ...]) -> str:
    return ";".join(f"{short(x)},{short(y)}" for x, y in points)


FORMAT = Format(
    title="CVAT XML",
    recognised=recognised,
    read=read,
    write=write,
    holds=frozenset({"labels", "several", "boxes", "polygons", "keypoints", "splits", "unlabelled"}),
    files=(".xml",),
)
