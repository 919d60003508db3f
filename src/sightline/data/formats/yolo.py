"""YOLO text files: a file a picture with `class x y width height` a row, as parts of the picture's sides, and names of classes.

Boxes are given by their centre. Rows of more numbers are polygons, or keypoints where data.yaml says `kpt_shape`. Knows three
places for labels: labels/ beside images/, the same folder, and a `labels` folder within it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sightline.data.formats.cocothings import points_of
from sightline.data.formats.documents import head_of, number, text_of
from sightline.data.formats.finder import Pictures, listed_splits, listing, split_of
from sightline.data.formats.format import Export, Format, Picture
from sightline.data.formats.geometry import DECIMALS, Canvas, PlaceError, bounds, pairs
from sightline.data.formats.lines import one_a_line
from sightline.data.formats.marks import Marks
from sightline.data.formats.voc import short
from sightline.data.formats.yolonames import Names, class_names, keypoints_text, names_text
from sightline.data.listing import Listing, Row
from sightline.data.place import Place
from sightline.errors import DatasetError
from sightline.types import Annotation, Dataset, Failure, Split

ORIGIN = "import:yolo"
NAMES = ("classes.txt", "obj.names", "names.txt", "_darknet.labels", "predefined_classes.txt")
_MOST = 64 << 20  # bytes of one picture's rows
_DIGITS = 10  # of written numbers: exact to a thousandth of a pixel for every size of picture


# --- reading


def recognised(place: Place) -> bool:
    """Whether there are pictures with a text of numbers where YOLO keeps them, or names of classes and a labels folder."""
    known = frozenset(place.tree.files)
    names = _names_file(place)
    if not any(file.endswith(".txt") for file in known) and names is None:
        return False
    folders = any("labels" in folder.lower().split("/") for folder in place.tree.folders)
    if not folders and names is None:
        return False
    looked = 0
    for file in place.tree.pictures():
        text = _label_file(file, known)
        if text is None:
            continue
        first = next((line for line in head_of(place.tree.root / text, 512).splitlines() if line.strip()), "")
        if first:
            return len(first.split()) >= 5 and all(number(cell) is not None for cell in first.split()[:5])
        looked += 1
        if looked > 50:  # files without a row: pictures of nothing
            break
    return looked > 0 and names is not None


def _names_file(place: Place) -> str | None:
    """The file with the names of the classes, at the top first: data.yaml, classes.txt, obj.names."""
    if place.given is not None:
        return place.given
    lists = [file for file in place.documents(".txt", ".names", ".labels", depth=2) if file.rpartition("/")[2].lower() in NAMES]
    for file in sorted(place.documents(".yaml", ".yml", depth=2), key=_depth):
        if "names" in head_of(place.tree.root / file, 1 << 16):
            return file
    return min(lists, key=_depth, default=None)


def _depth(file: str) -> tuple[int, str]:
    return file.count("/"), file


def _label_file(picture: str, known: frozenset[str]) -> str | None:
    """The text with the rows of a picture: images/ replaced by labels/, in the same folder, or in labels/ below it."""
    stem = picture.rpartition(".")[0]
    parts = stem.split("/")
    for index in range(len(parts) - 2, -1, -1):
        if parts[index].lower() in ("images", "jpegimages"):
            for labels in ("labels", "Labels"):
                found = "/".join([*parts[:index], labels, *parts[index + 1 :]]) + ".txt"
                if found in known:
                    return found
    folder, _, name = stem.rpartition("/")
    for found in (f"{stem}.txt", f"{folder}/labels/{name}.txt".lstrip("/"), f"labels/{stem}.txt"):
        if found in known:
            return found
    return None


def read(place: Place) -> Listing:
    """A row for every picture; one without a text shows nothing. Raises DatasetError when there are no texts at all."""
    pictures = Pictures(place.tree)
    names_file = _names_file(place)
    names = class_names(place.tree.root / names_file) if names_file is not None else Names()
    splits = listed_splits(place, pictures) | _named_splits(names, names_file or "", pictures)
    known = frozenset(place.tree.files)
    texts = {picture: _label_file(picture, known) for picture in place.tree.pictures()}
    if not any(texts.values()):
        raise DatasetError("there are no YOLO labels", hint="labels/NAME.txt for each picture images/NAME.jpg")
    rows: list[Row] = []
    failures: list[Failure] = []
    for picture, text in texts.items():
        marks = Marks(f"{place.tree.root}/{picture}", place.tree.prefix + picture, ORIGIN)
        if text is not None:
            _read_rows(place, text, marks, names)
        rows.append(pictures.row(picture, split_of(picture) or splits.get(picture), tuple(marks.found)))
        failures += marks.failures()
    skeletons = {names.classes[number]: one for number, one in names.skeletons.items() if number in names.classes}
    return listing("yolo", rows, failures, placed=True, classes=names.classes.values(), skeletons=skeletons)


def _named_splits(names: Names, file: str, pictures: Pictures) -> dict[str, Split]:
    """Pictures by the folder that data.yaml gives a split; a folder that is given for two says nothing."""
    found: dict[str, set[Split]] = {}
    base = file.rpartition("/")[0]
    everything = pictures.tree.pictures()
    for split, folders in names.splits.items():
        for folder in folders[:100]:
            parts = [part for part in folder.replace("\\", "/").split("/") if part not in ("", ".", "..")][-8:]
            for start in range(len(parts)):  # ../train/images of another machine: the longest end that is a folder here
                cut = "/".join(parts[start:]) + "/"
                inside = [picture for picture in everything if picture.startswith((cut, f"{base}/{cut}".lstrip("/")))]
                for picture in inside:
                    found.setdefault(picture, set()).add(split)
                if inside:
                    break
    return {picture: splits.pop() for picture, splits in found.items() if len(splits) == 1}


def _read_rows(place: Place, file: str, marks: Marks, names: Names) -> None:
    try:
        text = text_of(place.tree.root / file, _MOST)
    except DatasetError as error:
        marks.refuse("annotation_unreadable", error.message)
        return
    for line, row in enumerate(text.splitlines(), 1):
        if not row.strip():
            continue
        values = [number(cell) for cell in row[:1_000_000].split()]
        known = [value for value in values if value is not None]
        if len(known) < max(5, len(values)) or known[0] < 0 or known[0] != int(known[0]):
            marks.refuse("row_wrong", f"{file} line {line}: not a class and at least four numbers: {row[:80]!r}")
            continue
        label = names.classes.get(int(known[0]), "" if names.classes else f"{int(known[0])}")
        if not label:
            marks.refuse("class_unknown", f"{file} line {line}: there is no class {int(known[0])}")
            continue
        try:
            _add(marks, label, known[1:], names)
        except PlaceError as error:
            marks.refuse(error.code, f"{file} line {line}: {error}")


def _add(marks: Marks, label: str, values: Sequence[float], names: Names) -> None:
    canvas = marks.canvas
    x, y, width, height = values[:4]
    box = _on(canvas, (x - width / 2, y - height / 2)) + _on(canvas, (x + width / 2, y + height / 2))
    points, size = names.keypoints
    if len(values) == 4:
        marks.add(label, box=box)
    elif points and len(values) == 4 + points * size:
        flat = [values[start : start + size] for start in range(4, len(values), size)]
        # two numbers a point: 0, 0 is one that is not labelled
        seen = [min(2, max(0, round(point[2]))) if size == 3 else 2 * any(point) for point in flat]
        marks.add(label, box=box, keypoints=[_on(canvas, (point[0], point[1])) for point in flat], visibility=seen)
    elif len(values) >= 6:
        marks.add(label, polygon=[_on(canvas, point) for point in pairs(values)])
    else:
        raise PlaceError("row_wrong", "five numbers behind the class: a score is no truth")


def _on(canvas: Canvas, point: tuple[float, float]) -> tuple[float, float]:
    """From parts of the sides to pixels, before anything is clipped."""
    return round(point[0] * canvas.width, 2 * DECIMALS), round(point[1] * canvas.height, 2 * DECIMALS)


# --- writing


def write(export: Export) -> None:
    """images/SPLIT/ and labels/SPLIT/ (without SPLIT for pictures that have none), data.yaml and classes.txt."""
    classes = {name: number for number, name in enumerate(export.dataset.classes)}
    splits: dict[Split, None] = {}
    points = max(points_of(export.dataset).values(), default=0)
    for picture in export.pictures():
        folder = f"{picture.item.split}/" if picture.item.split else ""
        if picture.item.split:
            splits[picture.item.split] = None
        export.put(f"images/{folder}{picture.name}", picture.data)
        rows = [_row(one, classes, picture, points) for one in picture.item.truth if one.placed]
        export.put(f"labels/{folder}{picture.stem}.txt", "".join(rows))
    told = names_text(list(classes), [split for split in ("train", "val", "test") if split in splits])
    export.put("data.yaml", told + (keypoints_text(points, export.dataset.skeletons, classes) if points else ""))
    export.put("classes.txt", one_a_line(classes))


def _row(one: Annotation, classes: dict[str, int], picture: Picture, points: int) -> str:
    if one.polygon is not None:
        numbers = [value for point in one.polygon for value in point]
    else:
        shown = [point for point in one.keypoints or () if any(point)]
        x0, y0, x1, y1 = (round(value, DECIMALS) for value in one.box or bounds(shown))
        numbers = [(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0]
    parts = [short(round(value, 2 * DECIMALS) / picture.size[index % 2], _DIGITS) for index, value in enumerate(numbers)]
    given = one.keypoints or ()
    for (x, y), seen in zip(given, one.visibility or (2,) * len(given), strict=True):
        parts += [short(round(x, DECIMALS) / picture.size[0], _DIGITS), short(round(y, DECIMALS) / picture.size[1], _DIGITS)]
        parts.append(str(seen))
    parts += ["0"] * (3 * (points - len(given)))
    return " ".join([str(classes.setdefault(one.label, len(classes))), *parts]) + "\n"


def _holding(dataset: Dataset) -> frozenset[str]:
    """A row has an outline or keypoints, never both: keypoints where there are no outlines."""
    shapes = any(one.polygon or one.rings or one.mask for item in dataset.items for one in item.truth)
    if shapes or not points_of(dataset):
        return _HOLDS
    return (_HOLDS - {"polygons"}) | {"keypoints", "hidden", "skeletons"}


_HOLDS = frozenset({"several", "boxes", "polygons", "splits", "unlabelled"})
FORMAT = Format(
    title="YOLO text",
    recognised=recognised,
    read=read,
    write=write,
    holds=_HOLDS,
    files=(".yaml", ".yml"),
    holding=_holding,
)
