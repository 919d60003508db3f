"""Label Studio exports: addresses of uploads, several people, skipped tasks, predictions, turned boxes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rounds import notes_of

from pictures import drawn, encoded
from sightline.data.formats.brushes import from_brush, to_brush
from sightline.data.readers import read
from sightline.runtime.masks import to_mask
from sightline.types import Dataset


def picture(path: Path, orientation: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation != 1:
        exif[274] = orientation
    path.write_bytes(encoded(drawn(3, (60, 40)), exif=exif))


def choice(*labels: str) -> dict[str, Any]:
    return {"id": "c", "type": "choices", "from_name": "c", "to_name": "image", "value": {"choices": list(labels)}}


def rectangle(label: str, size: tuple[int, int] | None = None, **value: float) -> dict[str, Any]:
    place = {"x": 10, "y": 20, "width": 50, "height": 25, "rotation": 0, "rectanglelabels": [label]} | value
    said = {"original_width": size[0], "original_height": size[1]} if size else {}
    return {"id": "r", "type": "rectanglelabels", "value": place} | said


def task(image: str, *results: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"id": 1, "data": {"image": image}, "annotations": [{"result": result} for result in results]} | more


def tasks(root: Path, *found: dict[str, Any]) -> Dataset:
    (root / "export.json").write_text(json.dumps(found))
    return read(root)


def test_addresses(tmp_path: Path) -> None:
    names = {
        "/data/upload/3/1a2b3c4d-a%20b.jpg": "a b.jpg",
        "/data/local-files/?d=photos/c.jpg": "c.jpg",
        "s3://bucket/deep/d.jpg": "d.jpg",
        "https://example.org/e.jpg?size=9": "e.jpg",
        "/data/upload/1a2b3c4d-f.jpg": "1a2b3c4d-f.jpg",
    }
    for name in names.values():
        picture(tmp_path / "photos" / name)
    picture(tmp_path / "secret.jpg")
    dataset = tasks(
        tmp_path / "photos",
        *(task(address, [choice("x" if n % 2 else "y")]) for n, address in enumerate(names)),
        task("../secret.jpg", [choice("x")]),
        task("http://[::1", [choice("x")]),
        task("", [choice("x")]),
    )
    assert sorted(item.name for item in dataset.items) == sorted(names.values())
    assert (dataset.kind, dataset.task) == ("labelstudio", "binary")
    assert [failure.error.code for failure in dataset.failures] == ["picture_missing"] * 3


def test_whose_annotation_counts(tmp_path: Path) -> None:
    for stem in "abcdef":
        picture(tmp_path / f"{stem}.jpg")
    dated = [{"result": [choice("old")], "updated_at": "2024-01-02"}, {"result": [choice("new")], "updated_at": "2024-03-01"}]
    sure = [{"result": [choice("sure")], "ground_truth": True}, {"result": [choice("new")], "updated_at": "2024-03-01"}]
    skipped = [{"result": [choice("old")], "was_cancelled": True}]
    found: list[Dataset] = []
    notes = notes_of(
        lambda: found.append(
            tasks(
                tmp_path,
                task("a.jpg", annotations=dated),
                task("b.jpg", annotations=sure),
                task("c.jpg", annotations=skipped),
                task("d.jpg", predictions=[{"result": [choice("guess")]}]),
                task("e.jpg", [choice("old", "new")]),
                task("f.jpg", []),
            )
        )
    )
    labels = {item.name[0]: item.labels for item in found[0].items}
    assert labels == {"a": ("new",), "b": ("sure",), "e": ("old", "new"), "f": ()}
    assert [failure.picture for failure in found[0].failures] == ["c.jpg", "d.jpg"]
    assert any("2 tasks have several annotations" in note for note in notes)


def test_places(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    triangle = {"type": "polygonlabels", "value": {"points": [[0, 0], [50, 0], [0, 50]], "polygonlabels": ["tri"]}}
    text = {"id": "r", "type": "textarea", "value": {"text": ["No. 5"]}}
    brush = {"type": "brushlabels", "value": {"format": "rle", "rle": [1, 2], "brushlabels": ["mask"]}}
    point = {"type": "keypointlabels", "value": {"x": 50, "y": 50, "width": 1, "keypointlabels": ["nose"]}}
    results = [rectangle("box"), text, triangle, brush, point, rectangle("bad", x=float("nan")), choice("indoors")]
    dataset = tasks(tmp_path, task("a.jpg", results))
    found = {mark.label: mark for mark in dataset.items[0].truth}
    assert dataset.task == "detection"
    assert (found["box"].box, found["box"].text) == ((6, 8, 36, 18), "No. 5")
    assert (found["tri"].polygon, found["tri"].box) == (((0, 0), (30, 0), (0, 20)), (0, 0, 30, 20))
    assert found["nose"].keypoints == ((30, 20),)
    assert found["indoors"].box is None
    assert [failure.error.code for failure in dataset.failures] == ["mask_wrong", "box_wrong"]


def test_a_box_turned_about_its_corner_becomes_a_polygon(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    dataset = tasks(tmp_path, task("a.jpg", [rectangle("x", x=50, y=0, width=20, height=50, rotation=90)]))
    mark = dataset.items[0].truth[0]
    assert mark.box == (10, 0, 30, 12)
    assert mark.polygon is not None
    assert set(mark.polygon) == {(30, 0), (30, 12), (10, 12), (10, 0)}


def test_turned_pictures(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg", orientation=6)  # 40 x 60 upright
    upright = tasks(tmp_path, task("a.jpg", [rectangle("x", (40, 60))])).items[0].truth[0].box
    assert upright == (4, 12, 24, 27)
    stored = tasks(tmp_path, task("a.jpg", [rectangle("x", (60, 40))])).items[0].truth[0].box
    assert stored == (22, 6, 32, 36)


def test_brushes_ellipses_and_points_of_an_object(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    pixels = np.zeros((40, 60), bool)
    pixels[5:20, 10:40] = pixels[30, 30] = True
    # as the converter packs it: 9,600 values of 8 bits, lengths of 3, 4, 8 or 16 bits; different values one after another
    loose = f"{9600:032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}" + "".join(
        f"0{2:02b}{255:08b}" + "".join(f"{255 * int(value):08b}" for value in np.repeat(part, 4))
        for part in np.split(pixels[:, :].ravel()[: 2400 - 2400 % 64], 37)
    )
    rest = pixels.ravel()[2400 - 2400 % 64 :]
    loose += f"1{3:02b}{4 * len(rest) - 1:016b}{0:08b}"
    loose += "0" * (-len(loose) % 8)
    packed = [int(loose[at : at + 8], 2) for at in range(0, len(loose), 8)]
    brush = {"id": "b", "type": "brushlabels", "value": {"format": "rle", "rle": packed, "brushlabels": ["mask"]}}
    circle = {"x": 50, "y": 50, "radiusX": 10, "radiusY": 15, "rotation": 0, "ellipselabels": ["circle"]}
    points = [
        {"id": f"p{n}", "parentID": "r", "type": "keypointlabels", "value": {"x": 10 * n, "y": 50, "keypointlabels": ["nose"]}}
        for n in (2, 3)
    ]
    results = [brush, {"id": "e", "type": "ellipselabels", "value": circle}, rectangle("cat"), *points]
    dataset = tasks(tmp_path, task("a.jpg", results))
    assert dataset.failures == ()
    found = {mark.label: mark for mark in dataset.items[0].truth}
    assert found["mask"].mask == to_mask(pixels)
    assert from_brush(to_brush(to_mask(pixels)), (40, 60)) == to_mask(pixels)
    assert found["circle"].box == (24, 14, 36, 26)
    assert (found["cat"].box, found["cat"].keypoints) == ((6, 8, 36, 18), ((12, 20), (18, 20)))
