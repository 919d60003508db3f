"""COCO JSON: boxes, polygons and keypoints of many pictures in one document, one document for each split.

As in the data format page of cocodataset.org: a box is x, y, width, height in pixels; ids may have holes. What one annotation
says is in cocothings.py. `group`, `author` and `consent` of a picture are keys of our own, which other programs pass over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sightline.data.formats.cocothings import add_thing, keypoint_names, points_of, skeleton_of, thing
from sightline.data.formats.documents import contains, head_of, json_of, number, numbers, records, word
from sightline.data.formats.finder import Pictures, listing, split_in, split_of
from sightline.data.formats.format import Export, Format, Picture
from sightline.data.formats.marks import Marks
from sightline.data.listing import Listing, Row, left_out
from sightline.data.place import Place
from sightline.errors import DatasetError
from sightline.types import Facts, Failure, Skeleton, Split

_KEYS = {"info", "images", "licenses", "annotations", "categories", "type"}
_PARTIAL = ("captions", "panoptic", "image_info", "stuff")  # documents about the same pictures that say less about places
_LOOKED_AT = 50  # documents of a folder: beyond that it is one a picture, which COCO is not
ORIGIN = "import:coco"


# --- reading


def recognised(place: Place) -> bool:
    return bool(_documents(place, first=True))


def _documents(place: Place, *, first: bool = False) -> list[str]:
    found = sorted(place.documents(".json", depth=2), key=lambda file: (file.count("/"), file))[:_LOOKED_AT]
    chosen: list[str] = []
    for file in found:
        if _is_coco(place.tree.root / file):
            chosen.append(file)
            if first:
                break
    return chosen


def _is_coco(path: Path) -> bool:
    start = re.match(r'\s*\{\s*"(\w+)"', head_of(path))
    if start is None or start[1] not in _KEYS:
        return False
    return contains(path, b'"images"') and (contains(path, b'"annotations"') or contains(path, b'"categories"'))


def _told_once(files: Sequence[str]) -> list[str]:
    """Of several documents about one split those about objects: a COCO folder has captions and the like beside them."""
    by_split: dict[Split | None, list[str]] = {}
    for file in files:
        by_split.setdefault(split_in(file), []).append(file)
    chosen: list[str] = []
    for found in by_split.values():
        names = {file: file.rpartition("/")[2].lower() for file in found}
        main = [file for file in found if "instances" in names[file]]
        others = [file for file in found if not any(part in names[file] for part in _PARTIAL)]
        chosen += main or others or found
    return chosen


@dataclass(slots=True)
class _Found:
    """What the documents say about one picture."""

    split: Split | None
    marks: Marks
    group: str | None
    facts: Facts | None
    described: list[dict[str, Any]] = field(default_factory=list)


def read(place: Place) -> Listing:
    """All COCO documents of the place. Raises DatasetError when one cannot be read or is none."""
    files = [place.given] if place.given is not None else _told_once(_documents(place))
    if not files:
        raise DatasetError("there is no COCO document", hint="a JSON file with images, annotations and categories")
    pictures = Pictures(place.tree)
    found: dict[str, _Found] = {}
    failures: list[Failure] = []
    classes: dict[str, Skeleton | None] = {}
    for file in files:
        data = json_of(place.tree.root / file)
        if not isinstance(data, dict) or not isinstance(data.get("images"), list):
            raise DatasetError(f"{file} is not COCO: it has no list of images", hint="export it as COCO instances again")
        for name, skeleton in _document(file, data, pictures, found, failures).items():
            classes[name] = classes.get(name) or skeleton
    rows: list[Row] = []
    for picture, said in found.items():
        rows.append(pictures.row(picture, said.split, tuple(said.marks.found), said.group, said.facts))
        failures += said.marks.failures()
    skeletons = {name: skeleton for name, skeleton in classes.items() if skeleton is not None}
    return listing("coco", rows, failures, placed=True, classes=classes, skeletons=skeletons)


def _document(
    file: str,
    data: dict[str, Any],
    pictures: Pictures,
    found: dict[str, _Found],
    failures: list[Failure],
) -> dict[str, Skeleton | None]:
    """Add one document to `found` and `failures`; the classes it declares, with their keypoints."""
    split = split_in(file)
    licences = {
        _id(entry.get("id")): word(entry.get("name")) or word(entry.get("url")) for entry in records(data.get("licenses"))
    }
    names = {_id(entry.get("id")): word(entry.get("name")) for entry in records(data.get("categories"))}
    names.pop(None, None)
    classes: dict[str, Skeleton | None] = {}
    for entry in records(data.get("categories")):
        if name := word(entry.get("name")):
            classes[name] = classes.get(name) or skeleton_of(entry)
    near = _near(file, split, pictures)
    here: dict[object, _Found] = {}
    for entry in records(data["images"]):
        name = word(entry.get("file_name"), 4096)
        picture = pictures.find(name, near) if name else None
        if picture is None:
            failures.append(left_out(name or f"{file}: a picture", "picture_missing", f"{file}: there is no file {name!r}"))
            continue
        if picture not in found:
            size = numbers([entry.get("width"), entry.get("height")])
            marks = Marks(
                f"{pictures.tree.root}/{picture}", pictures.tree.prefix + picture, ORIGIN, (size[0], size[1]) if size else None
            )
            found[picture] = _Found(
                split or split_of(picture), marks, word(entry.get("group")) or None, _facts(entry, licences)
            )
        key = _id(entry.get("id"))
        if key is not None:
            here[key] = found[picture]
    strays = 0
    for entry in records(data.get("annotations")):
        said = here.get(_id(entry.get("image_id")))
        if said is None:
            strays += 1
        else:
            label = names.get(_id(entry.get("category_id")), "")
            if label:
                add_thing(said.marks, entry, label, classes.get(label))
            else:
                said.marks.refuse("class_unknown", f"there is no category {str(entry.get('category_id'))[:20]}")
    if strays and not failures:
        failures.append(left_out(file, "annotation_stray", f"{strays:,} annotations are about pictures that it does not list"))
    return classes


def _id(value: object) -> int | str | None:
    """An id as a key: 7, 7.0 and "7" are one."""
    found = number(value)
    if found is not None and found == int(found):
        return int(found)
    return value if isinstance(value, str) else None


def _near(file: str, split: Split | None, pictures: Pictures) -> list[str]:
    """Folders that file names start from: the document's, then those of its split, then those called images."""
    own = file.rpartition("/")[0]
    folders = sorted({picture.rpartition("/")[0] for picture in pictures.tree.pictures()})
    fitting = [folder for folder in folders if folder and split is not None and split_of(f"{folder}/x") == split]
    return [own, *fitting[:100], "images", "JPEGImages"] if own else [*fitting[:100], "images", "JPEGImages"]


def _facts(entry: dict[str, Any], licences: dict[int | str | None, str]) -> Facts | None:
    taken = word(entry.get("date_captured"))
    try:
        taken = taken if "T" in taken else datetime.fromisoformat(taken).isoformat()
    except ValueError:
        taken = ""
    found = Facts(
        source=word(entry.get("coco_url")) or word(entry.get("flickr_url")),
        licence=licences.get(_id(entry.get("license")), "") if entry.get("license") is not None else "",
        author=word(entry.get("author")),
        consent=word(entry.get("consent")),
        taken_at=taken,
    )
    return found if found != Facts() else None


# --- writing


def write(export: Export) -> None:
    """annotations/instances_SPLIT.json with the pictures in images/SPLIT/; instances.json and images/ without a split."""
    parts: dict[Split | None, list[dict[str, Any]]] = {}
    marks: dict[Split | None, list[dict[str, Any]]] = {}
    classes = {name: number for number, name in enumerate(export.dataset.classes, 1)}
    licences: dict[str, int] = {}
    points, skeletons = points_of(export.dataset), export.dataset.skeletons
    for picture in export.pictures():
        split = picture.item.split
        images = parts.setdefault(split, [])
        annotations = marks.setdefault(split, [])
        export.put(f"images/{split}/{picture.name}" if split else f"images/{picture.name}", picture.data)
        images.append(_image(picture, len(images) + 1, licences))
        for one in picture.item.truth:
            category = classes.setdefault(one.label, len(classes) + 1)
            ids = {"id": len(annotations) + 1, "image_id": len(images), "category_id": category}
            annotations.append(ids | thing(one, points.get(one.label, 0)))
    for split, images in parts.items():
        document = {
            "info": {},
            "licenses": [{"id": id, "name": name, "url": ""} for name, id in licences.items()],
            "images": images,
            "annotations": marks[split],
            "categories": [
                {"id": id, "name": name, "supercategory": ""} | keypoint_names(skeletons.get(name), points.get(name, 0))
                for name, id in classes.items()
            ],
        }
        export.put(
            f"annotations/instances_{split}.json" if split else "annotations/instances.json",
            json.dumps(document, ensure_ascii=False, allow_nan=False),
        )


def _image(picture: Picture, id: int, licences: dict[str, int]) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": id, "file_name": picture.name, "width": picture.size[0], "height": picture.size[1]}
    facts = picture.item.facts or Facts()
    if facts.licence:
        entry["license"] = licences.setdefault(facts.licence, len(licences) + 1)
    more = {
        "coco_url": facts.source,
        "date_captured": facts.taken_at,
        "author": facts.author,
        "consent": facts.consent,
        "group": picture.item.group or "",
    }
    return entry | {name: value for name, value in more.items() if value}


FORMAT = Format(
    title="COCO JSON",
    recognised=recognised,
    read=read,
    write=write,
    holds=frozenset({"several", "boxes", "polygons", "masks", "parts", "keypoints", "skeletons", "hidden"})
    | {"splits", "groups", "facts", "unlabelled"},
    files=(".json",),
    traits=frozenset({"crowd"}),
)
