"""Pascal VOC: one XML document a picture with its boxes, and lists of names for the splits.

As in the development kit (VOC2012, annotation guidelines): JPEGImages/, Annotations/, ImageSets/Main/train.txt. The kit counts
pixels from 1 and includes the last one; every other program writes the corners of the box, and so do we.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from sightline.data.formats.documents import for_xml, head_of, number, word, xml_children
from sightline.data.formats.finder import Pictures, listed_splits, listing, split_of
from sightline.data.formats.format import Export, Format, Picture
from sightline.data.formats.marks import Marks
from sightline.data.listing import Listing, Row, left_out
from sightline.data.place import Place
from sightline.errors import DatasetError
from sightline.types import Failure, Trait

MOST = 8 << 20  # bytes of one picture's document
ORIGIN = "import:voc"
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_TRAITS: tuple[Trait, ...] = ("truncated", "difficult", "occluded")  # tags of an object: 0 or 1


# --- reading


def recognised(place: Place) -> bool:
    """Whether one of the first XML documents begins an <annotation>."""
    return any(_is_voc(place.tree.root / file) for file in place.documents(".xml")[:3])


def _is_voc(path: Path) -> bool:
    head = head_of(path, 1024)
    return "<annotation>" in head or "<annotation " in head


def read(place: Place) -> Listing:
    """One row for each document whose picture is there. Raises DatasetError when there is no document."""
    files = place.documents(".xml")
    if not files:
        raise DatasetError("there is no VOC document", hint="Annotations/NAME.xml for each picture JPEGImages/NAME.jpg")
    pictures = Pictures(place.tree)
    splits = listed_splits(place, pictures)
    rows: dict[str, Row] = {}
    failures: list[Failure] = []
    for file in files:
        try:
            parts = list(xml_children(place.tree.root / file, MOST))
        except DatasetError as error:
            failures.append(left_out(file, "annotation_unreadable", f"{file}: {error.message}", error.hint))
            continue
        picture = _picture(file, parts, pictures)
        if picture is None:
            failures.append(left_out(file, "picture_missing", f"{file}: there is no picture of its name"))
        elif picture in rows:
            failures.append(left_out(file, "row_repeated", f"{file}: {picture} has annotations already"))
        else:
            marks = _marks(f"{place.tree.root}/{picture}", place.tree.prefix + picture, parts)
            rows[picture] = pictures.row(picture, splits.get(picture) or split_of(picture), tuple(marks.found))
            failures += marks.failures()
    told = {file.rpartition("/")[2].rpartition(".")[0] for file in files}
    silent = [
        file for file in pictures.tree.pictures() if file not in rows and file.rpartition("/")[2].rpartition(".")[0] not in told
    ]
    if silent and place.given is None:
        more = f" and {len(silent) - 1:,} more" if len(silent) > 1 else ""
        failures.append(left_out(f"{silent[0]}{more}", "label_missing", "there is no document about it", "annotate it"))
    return listing("voc", rows.values(), failures, placed=True)


def _picture(file: str, parts: list[Element], pictures: Pictures) -> str | None:
    """The picture with the document's own name, near it first; else the one that it names."""
    folder, _, name = file.rpartition("/")
    above = folder.rpartition("/")[0]
    near = [folder, *(f"{above}/{images}".lstrip("/") for images in ("JPEGImages", "images"))]
    named = next((word(part.text, 4096) for part in parts if part.tag == "filename"), "")
    return pictures.find(name.rpartition(".")[0], near) or (pictures.find(named, near) if named else None)


def _marks(path: str, name: str, parts: list[Element]) -> Marks:
    tags = {part.tag: part for part in parts if part.tag != "object"}
    width, height = (number(_text(tags.get("size"), side)) for side in ("width", "height"))
    marks = Marks(path, name, ORIGIN, (width, height) if width and height else None)
    first = 1.0 if _text(tags.get("source"), "database").startswith("The VOC") else 0.0  # the kit's own count from 1
    for part in parts:
        if part.tag != "object":
            continue
        corners = [number(_text(part.find("bndbox"), corner)) for corner in _CORNERS]
        sides = [value for value in corners if value is not None]
        if len(sides) < 4:
            marks.refuse("box_wrong", f"a box of {word(part.findtext('name'))!r} that is not four numbers")
            continue
        x0, y0, x1, y1 = sides
        traits = tuple(trait for trait in _TRAITS if _text(part, trait) in ("1", "true", "True"))
        marks.add(word(part.findtext("name")), box=(x0 - first, y0 - first, x1, y1), traits=traits)
    return marks


def _text(element: Element | None, tag: str) -> str:
    return (element.findtext(tag) or "").strip() if element is not None else ""


# --- writing


def write(export: Export) -> None:
    """JPEGImages/, Annotations/, and ImageSets/Main/SPLIT.txt for each split there is."""
    lists: dict[str, list[str]] = {}
    for picture in export.pictures():
        export.put(f"JPEGImages/{picture.name}", picture.data)
        export.put(f"Annotations/{picture.stem}.xml", "\n".join(_document(picture)) + "\n")
        if picture.item.split:
            lists.setdefault(picture.item.split, []).append(picture.stem)
    for split, stems in lists.items():
        export.put(f"ImageSets/Main/{split}.txt", "".join(f"{stem}\n" for stem in stems))


def _document(picture: Picture) -> Iterator[str]:
    yield "<annotation>"
    yield "  <folder>JPEGImages</folder>"
    yield f"  <filename>{escape(for_xml(picture.name))}</filename>"
    width, height = picture.size
    yield f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    yield "  <segmented>0</segmented>"
    for one in picture.item.truth:
        if one.box is None:
            continue
        yield "  <object>"
        yield f"    <name>{escape(for_xml(one.label))}</name>"
        told = _TRAITS if "occluded" in one.traits else _TRAITS[:2]  # the third came with VOC2010: only where it says something
        yield "    <pose>Unspecified</pose>" + "".join(f"<{tag}>{int(tag in one.traits)}</{tag}>" for tag in told)
        corners = zip(_CORNERS, one.box, strict=True)
        yield "    <bndbox>" + "".join(f"<{tag}>{short(value)}</{tag}>" for tag, value in corners) + "</bndbox>"
        yield "  </object>"
    yield "</annotation>"


def short(value: float, decimals: int = 3) -> str:
    """A number without needless zeros: 12, 12.5.

    >>> short(12.0), short(12.50001), short(0.1), short(100)
    ('12', '12.5', '0.1', '100')
    """
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


FORMAT = Format(
    title="Pascal VOC",
    recognised=recognised,
    read=read,
    write=write,
    holds=frozenset({"several", "boxes", "splits", "unlabelled"}),
    traits=frozenset(_TRAITS),
)
