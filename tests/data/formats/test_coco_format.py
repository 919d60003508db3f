"""COCO documents as others write them: splits by names, holes in ids, masks, turned and shrunk pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pictures import drawn, encoded
from sightline.data.formats import export
from sightline.data.formats.marks import REFUSED
from sightline.data.readers import read
from sightline.errors import DatasetError
from sightline.runtime.masks import compressed, mask_box, pixels_of, to_mask
from sightline.runtime.pixels import decode
from sightline.types import Annotation, Dataset, Mask, Skeleton


def picture(path: Path, size: tuple[int, int] = (60, 40), orientation: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation != 1:
        exif[274] = orientation
    path.write_bytes(encoded(drawn(len(path.name), size), exif=exif))


def document(
    path: Path, names: list[str], annotations: list[dict[str, Any]], size: tuple[int, int] | None = None, **more: Any
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    images: list[dict[str, Any]] = [{"id": number * 10, "file_name": name} for number, name in enumerate(names)]
    for image in images if size else []:
        image |= {"width": size[0], "height": size[1]}
    data = {
        "images": images,
        "annotations": [{"id": n, "image_id": 0, "category_id": 7} | one for n, one in enumerate(annotations)],
        "categories": [{"id": 7, "name": "cat"}, {"id": 90, "name": "dog"}],
    }
    path.write_text(json.dumps(data | more))


def marks(dataset: Dataset, stem: str) -> tuple[Annotation, ...]:
    return next(item.truth for item in dataset.items if Path(item.name).stem == stem)


def codes(dataset: Dataset) -> list[str]:
    return sorted(failure.error.code for failure in dataset.failures)


def test_the_official_layout(tmp_path: Path) -> None:
    for part in ("train", "val"):
        for stem in ("1", "2"):
            picture(tmp_path / f"{part}2017" / f"00{stem}.jpg")
        boxes = [{"bbox": [1, 2, 30, 20]}, {"bbox": [5, 5, 10, 10], "category_id": 90}]
        document(tmp_path / "annotations" / f"instances_{part}2017.json", ["001.jpg", "002.jpg"], boxes)
        document(tmp_path / "annotations" / f"captions_{part}2017.json", ["001.jpg"], [{"caption": "a cat"}])
        document(tmp_path / "annotations" / f"person_keypoints_{part}2017.json", ["001.jpg"], [{"bbox": [1, 2, 30, 20]}])
    dataset = read(tmp_path)
    assert (dataset.kind, dataset.task, dataset.classes, len(dataset.items)) == ("coco", "detection", ("cat", "dog"), 4)
    assert {item.name: item.split for item in dataset.items} == {
        f"{part}2017/00{n}.jpg": part for part in ("train", "val") for n in (1, 2)
    }
    assert [(mark.label, mark.box) for mark in marks(dataset, "001")] == [("cat", (1, 2, 31, 22)), ("dog", (5, 5, 15, 15))]
    assert marks(dataset, "002") == ()
    alone = read(tmp_path / "annotations" / "instances_val2017.json")
    assert {item.split for item in alone.items} == {"val"}
    assert len(alone.items) == 2


def test_a_document_in_each_split_folder(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        picture(tmp_path / part / f"{part}.jpg")
        document(tmp_path / part / "_annotations.coco.json", [f"{part}.jpg"], [{"bbox": [0, 0, 9, 9]}])
    dataset = read(tmp_path)
    assert [(item.name, item.split) for item in dataset.items] == [("train/train.jpg", "train"), ("valid/valid.jpg", "val")]


def test_paths_in_folders_and_of_other_machines(tmp_path: Path) -> None:
    picture(tmp_path / "photos" / "a" / "1.jpg")
    picture(tmp_path / "photos" / "b" / "1.jpg")
    picture(tmp_path / "photos" / "3.jpg")
    document(tmp_path / "coco.json", ["b/1.jpg", "C:\\data\\photos\\3.jpg"], [{"bbox": [0, 0, 9, 9]}])
    assert [item.name for item in read(tmp_path).items] == ["photos/3.jpg", "photos/b/1.jpg"]


def test_a_path_never_leaves_the_folder(tmp_path: Path) -> None:
    picture(tmp_path / "secret.jpg")
    picture(tmp_path / "data" / "1.jpg")
    names = ["1.jpg", "../secret.jpg", str(tmp_path / "secret.jpg"), "a/../../secret.jpg"]
    document(tmp_path / "data" / "coco.json", names, [{"bbox": [0, 0, 9, 9]}])
    dataset = read(tmp_path / "data")
    assert [item.name for item in dataset.items] == ["1.jpg"]
    assert codes(dataset) == ["picture_missing"] * 3


def test_masks_crowds_and_parts(tmp_path: Path) -> None:
    picture(tmp_path / "1.jpg")
    triangle, larger = [0, 0, 4, 0, 4, 4], [10, 10, 30, 10, 30, 30, 10, 30]
    rle = {"counts": [82, 5, 2313], "size": [40, 60]}
    people = {"id": 7, "name": "cat", "keypoints": ["nose", "left_ear", "tail"], "skeleton": [[1, 2], [1, 9], "x"]}
    document(
        tmp_path / "coco.json",
        ["1.jpg"],
        [
            {"bbox": [0, 0, 30, 30], "segmentation": [triangle, larger]},
            {"bbox": [2, 2, 9, 9], "segmentation": rle},
            {"segmentation": rle | {"counts": compressed(rle["counts"])}, "iscrowd": 1},
            {"bbox": [4, 4, 9, 9], "keypoints": [5, 5, 2, 0, 0, 0, 7, 8, 1]},
            {"bbox": [5, 5, 0, 0], "keypoints": [5, 6, 2, 0, 0, 0, 0, 0, 0]},
            {"bbox": [5, 5, 3, 3], "keypoints": [0] * 9},
            {"bbox": [6, 6, 3, 3], "segmentation": rle | {"counts": [1, 2]}},
            {"bbox": [7, 6, 3, 3], "segmentation": rle | {"counts": [2400]}},
            {"bbox": [8, 6, 3, 3], "segmentation": {"size": [4, 6], "counts": [0, 24]}},
            {"bbox": [9, 6, 3, 3], "keypoints": [1, 2]},
        ],
        categories=[people],
    )
    dataset = read(tmp_path)
    found = marks(dataset, "1")
    assert found[0].rings == (((0, 0), (4, 0), (4, 4)), ((10, 10), (30, 10), (30, 30), (10, 30)))
    assert found[0].mask is not None
    assert (found[0].polygon, found[0].box) == (None, (0, 0, 30, 30))
    there = pixels_of(found[0].mask)
    assert there[10:30, 10:30].all()
    assert 400 + 4 <= there.sum() <= 400 + 10
    assert found[1].mask == found[2].mask == Mask(size=(40, 60), counts=compressed([82, 5, 2313]))
    assert (found[2].box, found[2].traits, found[2].ignored) == ((2, 2, 3, 7), ("crowd",), True)
    assert (found[3].box, found[3].keypoints, found[3].visibility) == ((4, 4, 13, 13), ((5, 5), (0, 0), (7, 8)), (2, 0, 1))
    assert (found[4].box, found[4].keypoints, found[4].visibility) == (None, ((5, 6), (0, 0), (0, 0)), (2, 0, 0))
    assert [mark.keypoints for mark in found[5:]] == [None] * 5
    assert [mark.mask for mark in found[5:]] == [None] * 5
    assert codes(dataset) == ["mask_empty", "mask_wrong", "place_wrong"]
    assert dataset.skeletons == {"cat": Skeleton(points=("nose", "left_ear", "tail"), links=((0, 1),))}


def test_in_and_out_without_loss(tmp_path: Path) -> None:
    """The annotations of a document with everything, read and written again, are the same but for their ids."""
    picture(tmp_path / "in" / "1.jpg")
    square = [10.0, 10.0, 30.5, 10.0, 30.5, 30.25, 10.0, 30.25]
    mask = {"size": [40, 60], "counts": compressed([82, 5, 2313])}
    given: list[dict[str, Any]] = [
        {"bbox": [0.5, 1.25, 30.0, 30.0], "segmentation": [[1.0, 2.0, 9.0, 2.0, 9.0, 8.0], square]},
        {"bbox": [10.0, 10.0, 20.5, 20.25], "segmentation": [square], "area": 415.125},
        {"bbox": [2.0, 2.0, 1.0, 5.0], "segmentation": mask, "iscrowd": 1, "area": 5},
        {"bbox": [4.0, 4.0, 9.0, 9.0], "keypoints": [5.0, 5.0, 2, 0, 0, 0, 7.0, 8.0, 1], "num_keypoints": 2, "category_id": 90},
        {"bbox": [4.0, 4.0, 9.0, 9.0], "category_id": 90, "keypoints": [0] * 9, "num_keypoints": 0},
    ]
    categories = [
        {"id": 7, "name": "cat", "supercategory": ""},
        {"id": 90, "name": "dog", "supercategory": "", "keypoints": ["nose", "ear", "tail"], "skeleton": [[1, 2], [2, 3]]},
    ]
    document(tmp_path / "in" / "coco.json", ["1.jpg"], given, categories=categories)
    export(read(tmp_path / "in"), "coco", tmp_path / "out")
    written = json.loads((tmp_path / "out" / "annotations" / "instances.json").read_text())
    for before, after in zip(given, written["annotations"], strict=True):
        assert {name: after[name] for name in before if name != "category_id"} == {
            name: value for name, value in before.items() if name != "category_id"
        }
        assert after["iscrowd"] == before.get("iscrowd", 0)
    assert [one | {"id": 0} for one in written["categories"]] == [one | {"id": 0} for one in categories]
    again = read(tmp_path / "out")
    export(again, "coco", tmp_path / "twice")
    assert (tmp_path / "twice/annotations/instances.json").read_bytes() == (
        tmp_path / "out/annotations/instances.json"
    ).read_bytes()


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
def test_a_mask_turns_with_its_picture(tmp_path: Path, orientation: int) -> None:
    stored = Image.new("RGB", (60, 40), (0, 0, 0))
    stored.paste((250, 0, 0), (8, 4, 20, 12))
    exif = Image.Exif()
    exif[274] = orientation
    (tmp_path / "1.png").write_bytes(encoded(stored, "PNG", exif=exif))
    upright = orientation in (2, 3, 4)  # what a size cannot tell: these documents speak of the upright picture
    red = decode((tmp_path / "1.png").read_bytes())[:, :, 0] == 250
    shown = red if upright else np.asarray(stored)[:, :, 0] == 250
    mask = to_mask(shown).model_dump(mode="json")
    document(tmp_path / "coco.json", ["1.png"], [{"segmentation": mask}], (60, 40))
    dataset = read(tmp_path)
    assert dataset.failures == ()
    found = marks(dataset, "1")[0]
    assert found.mask is not None
    assert (pixels_of(found.mask) == red).all()
    assert found.box == mask_box(red)


def test_boxes_are_clipped_and_those_of_nothing_left_out(tmp_path: Path) -> None:
    picture(tmp_path / "1.jpg", (60, 40))
    boxes = [[-5, -5, 20, 20], [50, 30, 99, 99], [70, 5, 9, 9], [5, 5, 0, 9], [5, 5, -3, 9], ["1", "2", "3", "4"], [1, 2, 3]]
    lost = [[float("nan"), 1, 2, 3], [1e9, 1, 2, 3], None, {}]
    annotations: list[dict[str, Any]] = [{"bbox": box} for box in boxes + lost]
    document(tmp_path / "coco.json", ["1.jpg"], [*annotations, {"bbox": [1, 1, 2, 2], "category_id": 8}, {}])
    dataset = read(tmp_path)
    assert [mark.box for mark in marks(dataset, "1")] == [(0, 0, 15, 15), (50, 30, 60, 40), (2, 5, 5, 14), (1, 2, 4, 6)]
    refused = ["box_empty", "box_missing", "box_outside", "box_wrong", "class_unknown", "place_wrong"]
    assert codes(dataset) == sorted([*refused, "box_clipped", "box_swapped"])
    assert set(refused) <= REFUSED
    told = {failure.error.code: failure.error.message for failure in dataset.failures}
    assert told["box_clipped"] == (
        "2 times; first: a box that reaches 5 pixels beyond the picture, cut at its edge: -5, -5 to 15, 15"
    )
    assert told["box_swapped"] == "a box with its corners swapped, put in order: 5, 5 to 2, 14"


# (orientation, stated size, box as stated) -> the box in the upright picture of a file of 60 x 40 stored pixels
TURNS = [
    (1, (60, 40), (1, 2, 11, 22)),
    (6, (40, 60), (1, 2, 11, 22)),  # the document speaks of the upright picture
    (6, None, (1, 2, 11, 22)),
    (6, (60, 40), (18, 1, 38, 11)),  # it speaks of the pixels as stored: turned a quarter to the right
    (8, (60, 40), (2, 49, 22, 59)),
    (5, (60, 40), (2, 1, 22, 11)),
    (7, (60, 40), (18, 49, 38, 59)),
    (3, (60, 40), (1, 2, 11, 22)),  # a size cannot tell; labelling tools show pictures upright
    (1, (120, 80), (0.5, 1, 5.5, 11)),  # the picture was shrunk
    (6, (120, 80), (29, 0.5, 39, 5.5)),  # shrunk, and spoken of as stored
]


@pytest.mark.parametrize(("orientation", "stated", "expected"), TURNS)
def test_turned_and_shrunk_pictures(
    tmp_path: Path, orientation: int, stated: tuple[int, int] | None, expected: tuple[float, ...]
) -> None:
    picture(tmp_path / "1.jpg", (60, 40), orientation)
    document(tmp_path / "coco.json", ["1.jpg"], [{"bbox": [1, 2, 10, 20]}], stated)
    dataset = read(tmp_path)
    assert dataset.failures == ()
    assert marks(dataset, "1")[0].box == expected


def test_a_size_of_another_picture_is_told(tmp_path: Path) -> None:
    picture(tmp_path / "1.jpg", (60, 40))
    document(tmp_path / "coco.json", ["1.jpg"], [{"bbox": [1, 2, 10, 20]}], (33, 44))
    dataset = read(tmp_path)
    assert codes(dataset) == ["size_differs"]
    assert marks(dataset, "1")[0].box == (1, 2, 11, 22)


def test_licences_and_addresses(tmp_path: Path) -> None:
    picture(tmp_path / "1.jpg")
    image = {
        "id": 0,
        "file_name": "1.jpg",
        "license": 4,
        "flickr_url": "https://example.org/1",
        "date_captured": "2013-11-14 17:02:52",
    }
    document(
        tmp_path / "coco.json",
        [],
        [{"bbox": [1, 2, 3, 4]}],
        images=[image],
        licenses=[{"id": 4, "name": "CC BY 2.0", "url": "u"}],
    )
    facts = read(tmp_path).items[0].facts
    assert facts is not None
    assert (facts.source, facts.licence, facts.taken_at) == ("https://example.org/1", "CC BY 2.0", "2013-11-14T17:02:52")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"images": 5}', '{"images": {"a": [}'])
def test_what_is_no_document(tmp_path: Path, text: str) -> None:
    picture(tmp_path / "1.jpg")
    (tmp_path / "coco.json").write_text(text)
    with pytest.raises(DatasetError):
        read(tmp_path / "coco.json", format="coco")


def test_other_json_beside_class_folders_changes_nothing(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        picture(tmp_path / label / "1.jpg")
    (tmp_path / "info.json").write_text(json.dumps({"info": "mine", "pictures": 2}))
    (tmp_path / "tasks.json").write_text("[]")
    assert read(tmp_path).kind == "folders"


@pytest.mark.parametrize("orientation", [1, 5, 6, 7, 8])
def test_a_turned_box_holds_the_same_pixels(tmp_path: Path, orientation: int) -> None:
    stored = Image.new("RGB", (60, 40), (0, 0, 0))
    stored.paste((250, 0, 0), (8, 4, 20, 12))
    exif = Image.Exif()
    exif[274] = orientation
    (tmp_path / "1.png").write_bytes(encoded(stored, "PNG", exif=exif))
    document(tmp_path / "coco.json", ["1.png"], [{"bbox": [8, 4, 12, 8]}], (60, 40))
    box = marks(read(tmp_path), "1")[0].box
    assert box is not None
    left, top, right, bottom = (int(value) for value in box)
    red = decode((tmp_path / "1.png").read_bytes())[:, :, 0]
    assert (red[top:bottom, left:right] == 250).all()
    assert (red == 250).sum() == (right - left) * (bottom - top)
