"""Label Studio JSON: tasks with the results of one or several people; places in percent of the picture's sides.

As in Label Studio's manual ("Label Studio JSON format of annotated tasks"). Predictions are no truth. Of several annotations of
one task the one marked as ground truth counts, else the latest. Split, group, source and licence are keys of the task's data.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from sightline.data.formats.brushes import from_brush, to_brush
from sightline.data.formats.documents import contains, head_of, json_of, number, numbers, records, word
from sightline.data.formats.finder import Pictures, listing, split_of, split_word
from sightline.data.formats.format import Export, Format, Picture
from sightline.data.formats.geometry import DECIMALS, PlaceError, Point, turned
from sightline.data.formats.marks import Marks
from sightline.data.formats.voc import short
from sightline.data.listing import Listing, Row, left_out
from sightline.data.place import Place
from sightline.errors import DatasetError
from sightline.progress import note
from sightline.types import Annotation, Facts, Failure

ORIGIN = "import:labelstudio"
_LOOKED_AT = 50
_IMAGE_KEYS = ("image", "img", "picture", "photo", "url")
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # what Label Studio puts before the name of an uploaded file
_DIGITS = 10
_CORNERS = 48  # of an ellipse
_SHAPES = ("rectanglelabels", "polygonlabels", "ellipselabels", "brushlabels")


# --- reading


def recognised(place: Place) -> bool:
    return bool(_documents(place)[:1])


def _documents(place: Place) -> list[str]:
    found = sorted(place.documents(".json", depth=1), key=lambda file: (file.count("/"), file))[:_LOOKED_AT]
    return [file for file in found if _is_tasks(place, file)]


def _is_tasks(place: Place, file: str) -> bool:
    path = place.tree.root / file
    if re.match(r"\s*\[\s*\{", head_of(path)) is None:
        return False
    return contains(path, b'"data"') and (contains(path, b'"annotations"') or contains(path, b'"completions"'))


def read(place: Place) -> Listing:
    """All documents of tasks of the place. Raises DatasetError when one cannot be read or is none."""
    files = [place.given] if place.given is not None else _documents(place)
    if not files:
        raise DatasetError("there are no Label Studio tasks", hint="export the project as JSON, not as JSON-MIN")
    pictures = Pictures(place.tree)
    rows: dict[str, Row] = {}
    failures: list[Failure] = []
    several = 0
    for file in files:
        data = json_of(place.tree.root / file)
        tasks = [data] if isinstance(data, dict) else records(data)
        if not any(isinstance(task.get("data"), dict) for task in tasks):
            raise DatasetError(f"{file} holds no Label Studio tasks", hint="export the project as JSON, not as JSON-MIN")
        for task in tasks:
            several += len(_finished(task)) > 1
            failures += _task(file, task, pictures, rows)
    if several:
        note(f"Label Studio: {several:,} tasks have several annotations; the ground truth, else the latest, is taken")
    return listing("labelstudio", rows.values(), failures)


def _task(file: str, task: dict[str, Any], pictures: Pictures, rows: dict[str, Row]) -> list[Failure]:
    """Add one task to `rows`; what is wrong with it."""
    given = task.get("data")
    data: dict[str, Any] = given if isinstance(given, dict) else {}
    references = _references(task, data)
    picture = next((found for name in references if (found := pictures.find(name, (file.rpartition("/")[0], "images")))), None)
    called = references[0] if references else f"{file}: task {word(task.get('id')) or '?'}"
    if picture is None:
        return [left_out(called, "picture_missing", f"{file}: there is no file {called!r}")]
    name = pictures.tree.prefix + picture
    if picture in rows:
        return [left_out(name, "row_repeated", f"{file}: another task is about it")]
    finished = _finished(task)
    if not finished:
        return [left_out(name, "label_missing", "nobody has annotated it yet")]
    results = records(_chosen(finished).get("result"))
    size = next((size for one in results if (size := _stated(one))), None)
    marks = Marks(f"{pictures.tree.root}/{picture}", name, ORIGIN, size)
    texts = _texts(results)
    points = _points_by_parent(results)
    for one in results:
        if one.get("type") != "keypointlabels" or word(one.get("parentID")) not in points:
            _add(marks, one, texts.get(word(one.get("id"))), points.get(word(one.get("id")), []))
    facts = Facts(**{field: word(data.get(field)) for field in Facts.model_fields})
    rows[picture] = pictures.row(
        picture,
        split_word(word(data.get("split"))) or split_of(picture),
        tuple(marks.found),
        word(data.get("group")) or None,
        facts if facts != Facts() else None,
    )
    return marks.failures()


def _references(task: dict[str, Any], data: dict[str, Any]) -> list[str]:
    """Names under which the picture may lie here: from its address in the task, best first."""
    keys = sorted((str(key) for key in data), key=lambda key: (key not in _IMAGE_KEYS, key))
    found: dict[str, None] = {}
    for value in (*(data.get(key) for key in keys), task.get("file_upload")):
        text = word(value, 4096)
        if not text or ("/" not in text and "." not in text):
            continue
        try:
            address = urlsplit(text)
            local = parse_qs(address.query, max_num_fields=10).get("d", [])
        except ValueError:
            continue
        for path in (*local, unquote(address.path)):
            name = _UPLOADED.sub("", path.rpartition("/")[2])
            found |= dict.fromkeys(part for part in (path.lstrip("/"), name) if part)
    return list(found)


def _finished(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Annotations of people that were not skipped."""
    found = records(task.get("annotations")) or records(task.get("completions"))
    return [one for one in found if not one.get("was_cancelled") and isinstance(one.get("result"), list)]


def _chosen(finished: Sequence[dict[str, Any]]) -> dict[str, Any]:
    sure = [one for one in finished if one.get("ground_truth") is True]
    return max(sure or finished, key=lambda one: word(one.get("updated_at")) or word(one.get("created_at")))


def _stated(one: dict[str, Any]) -> tuple[float, float] | None:
    width, height = number(one.get("original_width")), number(one.get("original_height"))
    return (width, height) if width and height else None


def _texts(results: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Region -> the text written for it."""
    found: dict[str, str] = {}
    for one in results:
        value = one.get("value")
        if one.get("type") == "textarea" and isinstance(value, dict):
            lines = value.get("text")
            text = (
                "\n".join(line for line in lines if isinstance(line, str)) if isinstance(lines, list) else word(lines, 1 << 20)
            )
            if text:
                found[word(one.get("id"))] = text
    return found


def _points_by_parent(results: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Region -> the keypoints that hang on it, in the order in which they were set."""
    known = {word(one.get("id")) for one in results if one.get("type") in _SHAPES}
    found: dict[str, list[dict[str, Any]]] = {}
    for one in results:
        parent = word(one.get("parentID"))
        if one.get("type") == "keypointlabels" and parent and parent in known and isinstance(one.get("value"), dict):
            found.setdefault(parent, []).append(one["value"])
    return found


def _add(marks: Marks, one: dict[str, Any], text: str | None, points: Sequence[dict[str, Any]]) -> None:
    value = one.get("value")
    kind = word(one.get("type"))
    if not isinstance(value, dict) or kind == "textarea":
        return
    if kind in ("brush", "ellipse", "videorectangle"):
        marks.refuse("shape", f"{kind} are left out")
        return
    labels = _labels(value, kind)
    if not labels:
        if kind.endswith("labels"):
            marks.refuse("label_missing", "a region without a label")
        return
    if kind == "choices":
        for label in labels:
            marks.add(label, text=text)
        return
    with marks.judged():
        if (number(one.get("image_rotation")) or 0.0) % 360:
            raise PlaceError("picture_turned", "the picture was turned while it was annotated")
        width, height = marks.canvas.base
        if kind == "brushlabels":
            if value.get("format") != "rle" or (packed := numbers(value.get("rle"), 1 << 26)) is None:
                raise PlaceError("mask_wrong", "a brush region that is not packed as rle")
            box, polygon, keypoints = None, None, None
            mask = from_brush(packed, (round(height), round(width)))
        else:
            box, polygon, keypoints = _place(value, width / 100, height / 100)
            mask = None
        for point in points:
            keypoints = [*(keypoints or []), *(_place(point, width / 100, height / 100)[2] or [])]
        for label in labels:
            marks.add(label, box=box, polygon=polygon, mask=mask, keypoints=keypoints, text=text)


def _labels(value: dict[str, Any], kind: str) -> list[str]:
    given = value.get(kind)
    if given is None:
        given = value.get("labels") or next((value[key] for key in value if key.endswith("labels")), None)
    parts = given if isinstance(given, list) else [given]
    words = [word(part[-1] if isinstance(part, list) and part else part) for part in parts]
    return [label for label in dict.fromkeys(words) if label]


def _place(
    value: dict[str, Any], across: float, down: float
) -> tuple[tuple[float, float, float, float] | None, list[Point] | None, list[Point] | None]:
    """(box, polygon, keypoints) in pixels; `across`, `down`: pixels of one percent."""
    given = value.get("points")
    if isinstance(given, list):
        found = [(number(point[0]), number(point[1])) for point in given if isinstance(point, list) and len(point) == 2]
        ring = [(x * across, y * down) for x, y in found if x is not None and y is not None]
        if len(ring) < len(given):
            raise PlaceError("polygon_wrong", "a polygon that is not pairs of numbers")
        return None, ring, None
    x, y = number(value.get("x")), number(value.get("y"))
    if x is None or y is None:
        raise PlaceError("box_wrong", "a region without numbers for its place")
    if (radii := (number(value.get("radiusX")), number(value.get("radiusY")))) != (None, None):
        return None, _ellipse((x * across, y * down), ((radii[0] or 0) * across, (radii[1] or 0) * down), value), None
    if "keypointlabels" in value or "height" not in value:
        return None, None, [(x * across, y * down)]
    width, height = number(value.get("width")), number(value.get("height"))
    if width is None or height is None:
        raise PlaceError("box_wrong", "a box without numbers for its sides")
    box = (x * across, y * down, (x + width) * across, (y + height) * down)
    turn = (number(value.get("rotation")) or 0.0) % 360
    return (None, turned(box, turn, (box[0], box[1])), None) if turn else (box, None, None)


def _ellipse(centre: Point, radii: tuple[float, float], value: dict[str, Any]) -> list[Point]:
    """As a polygon of 48 corners."""
    angles = [2 * math.pi * corner / _CORNERS for corner in range(_CORNERS)]
    turn = math.radians(number(value.get("rotation")) or 0.0)
    flat = [(radii[0] * math.cos(angle), radii[1] * math.sin(angle)) for angle in angles]
    sine, cosine = math.sin(turn), math.cos(turn)
    return [(centre[0] + cosine * x - sine * y, centre[1] + sine * x + cosine * y) for x, y in flat]


# --- writing


def write(export: Export) -> None:
    """tasks.json, and the pictures in images/SPLIT/, named as Label Studio's local files name them."""
    tasks: list[dict[str, Any]] = []
    for picture in export.pictures():
        folder = f"images/{picture.item.split}" if picture.item.split else "images"
        export.put(f"{folder}/{picture.name}", picture.data)
        facts = (picture.item.facts or Facts()).model_dump()
        data = {"image": f"/data/local-files/?d={quote(f'{folder}/{picture.name}')}"}
        data |= {
            key: value for key, value in ({"split": picture.item.split, "group": picture.item.group} | facts).items() if value
        }
        result = [part for index, one in enumerate(picture.item.truth, 1) for part in _results(one, f"{index}", picture)]
        tasks.append({"id": len(tasks) + 1, "data": data, "annotations": [{"result": result}]})
    export.put("tasks.json", json.dumps(tasks, ensure_ascii=False, allow_nan=False, indent=1))


def _results(one: Annotation, id: str, picture: Picture) -> Iterator[dict[str, Any]]:
    common: dict[str, Any] = {"id": id, "to_name": "image"}
    place: dict[str, Any] = {}
    size = {"original_width": picture.size[0], "original_height": picture.size[1], "image_rotation": 0}
    if one.mask is not None:
        value = {"format": "rle", "rle": to_brush(one.mask), "brushlabels": [one.label]}
        yield common | size | {"from_name": "brush", "type": "brushlabels", "value": value}
    elif not one.placed:
        yield common | {"from_name": "choice", "type": "choices", "value": {"choices": [one.label]}}
    elif one.polygon is not None or one.box is not None:
        common |= size
        kind = "polygonlabels" if one.polygon is not None else "rectanglelabels"
        place = _percents(one, picture)
        yield common | {"from_name": "label", "type": kind, "value": place | {kind: [one.label]}}
    for number_, (x, y) in enumerate(one.keypoints or (), 1):
        at = {"x": _percent(x, picture.size[0]), "y": _percent(y, picture.size[1]), "width": 0.5}
        told = {"id": f"{id}-{number_}", "to_name": "image", "from_name": "keypoint", "type": "keypointlabels"}
        alone = one.mask is None and one.polygon is None and one.box is None
        named = {"keypointlabels": [one.label if alone else str(number_)]}
        yield told | ({} if alone else {"parentID": id}) | size | {"value": at | named}
    if one.text is not None:
        yield common | {"from_name": "transcription", "type": "textarea", "value": place | {"text": [one.text]}}


def _percent(value: float, side: int) -> float:
    return float(short(round(value, DECIMALS) * 100 / side, _DIGITS))


def _percents(one: Annotation, picture: Picture) -> dict[str, Any]:
    width, height = picture.size
    if one.polygon is not None:
        return {"points": [[_percent(x, width), _percent(y, height)] for x, y in one.polygon], "closed": True}
    x0, y0, x1, y1 = one.box or (0.0, 0.0, 0.0, 0.0)
    return {
        "x": _percent(x0, width),
        "y": _percent(y0, height),
        "width": _percent(round(x1, DECIMALS) - round(x0, DECIMALS), width),
        "height": _percent(round(y1, DECIMALS) - round(y0, DECIMALS), height),
        "rotation": 0,
    }


FORMAT = Format(
    title="Label Studio JSON",
    recognised=recognised,
    read=read,
    write=write,
    holds=frozenset({"labels", "several", "boxes", "polygons", "masks", "keypoints", "text"})
    | {"splits", "groups", "facts", "unlabelled"},
    files=(".json",),
)
