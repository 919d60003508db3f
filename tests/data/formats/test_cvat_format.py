"""CVAT documents: subsets, attributes, grouped points, turned boxes, tracks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rounds import notes_of

from pictures import drawn, encoded
from sightline.data.readers import read
from sightline.errors import DatasetError
from sightline.runtime.masks import pixels_of
from sightline.types import Dataset, Skeleton

LABELS = "".join(f"<label><name>{name}</name></label>" for name in ("cat", "dog"))
HEAD = f"<version>1.1</version><meta><task><labels>{LABELS}</labels></task></meta>"


def document(root: Path, *images: str, head: str = HEAD) -> None:
    for stem in "ab":
        (root / "images").mkdir(exist_ok=True)
        (root / "images" / f"{stem}.jpg").write_bytes(encoded(drawn(3, (60, 40))))
    (root / "annotations.xml").write_text(f'<?xml version="1.0"?><annotations>{head}{"".join(images)}</annotations>')


def image(name: str, shapes: str, more: str = "") -> str:
    return f'<image id="0" name="{name}" width="60" height="40" {more}>{shapes}</image>'


def test_shapes(tmp_path: Path) -> None:
    shapes = (
        '<box label="cat" xtl="1" ytl="2" xbr="30.5" ybr="20" group_id="1"><attribute name="age">5</attribute></box>'
        '<points label="cat" points="3,4;5,6" group_id="1"/>'
        '<polygon label="dog" points="0,0;20,0;20,20"/><tag label="dog"/>'
        '<box label="dog" xtl="10" ytl="10" xbr="30" ybr="20" rotation="90"/>'
        '<polyline label="dog" points="0,0;1,1"/>'
        '<box label="dog" xtl="a" ytl="2" xbr="3" ybr="4"/><points label="dog" points="3"/>'
    )
    document(
        tmp_path, image("a.jpg", shapes, 'subset="Train"'), image("images/b.jpg", "", 'subset="default"'), image("c.jpg", "")
    )
    found: list[Dataset] = []
    notes = notes_of(lambda: found.append(read(tmp_path)))
    dataset = found[0]
    assert (dataset.kind, dataset.task, dataset.classes) == ("cvat", "detection", ("cat", "dog"))
    assert [item.split for item in dataset.items] == ["train", None]
    cat, polygon, tag, turned = dataset.items[0].truth
    assert (cat.box, cat.keypoints) == ((1, 2, 30.5, 20), ((3, 4), (5, 6)))
    assert polygon.polygon == ((0, 0), (20, 0), (20, 20))
    assert (tag.label, tag.box) == ("dog", None)
    assert turned.box == (15, 5, 25, 25)
    codes = sorted(failure.error.code for failure in dataset.failures)
    assert codes == ["box_wrong", "picture_missing", "polygon_wrong", "shape"]
    assert any("1 attributes" in note for note in notes)


def test_tags_alone_are_labels(tmp_path: Path) -> None:
    document(tmp_path, image("a.jpg", '<tag label="cat"/>'), image("b.jpg", '<tag label="dog"/>'))
    dataset = read(tmp_path / "annotations.xml")
    assert (dataset.task, [item.labels for item in dataset.items]) == ("binary", [("cat",), ("dog",)])


def test_tracks_and_document_types(tmp_path: Path) -> None:
    document(tmp_path, image("a.jpg", '<box label="cat" xtl="1" ytl="2" xbr="3" ybr="4"/>'), '<track id="0" label="cat"/>')
    assert [failure.error.code for failure in read(tmp_path).failures] == ["track"]
    (tmp_path / "annotations.xml").write_text(
        "<!DOCTYPE annotations [<!ENTITY a 'b'>]><annotations><version>&a;</version></annotations>"
    )
    with pytest.raises(DatasetError, match="document type"):
        read(tmp_path, format="cvat")


def test_masks_and_skeletons(tmp_path: Path) -> None:
    """As CVAT writes them: rows of a window, background first; points of a skeleton outside or hidden."""
    head = HEAD.replace("</labels>", "<label><name>tail</name><parent>dog</parent></label></labels>").replace(
        "</labels>", "<label><name>nose</name><parent>dog</parent></label></labels>"
    )
    shapes = (
        '<mask label="cat" occluded="1" rle="1, 3, 2, 2" left="10" top="20" width="4" height="2" z_order="0"/>'
        '<mask label="cat" rle="1, 3" left="10" top="20" width="4" height="2" z_order="0"/>'
        '<skeleton label="dog" group_id="3"><points label="nose" outside="0" occluded="1" points="5,6"/>'
        '<points label="tail" outside="1" occluded="0" points="9,9"/></skeleton>'
        '<box label="dog" xtl="1" ytl="2" xbr="30" ybr="20" group_id="3"/>'
    )
    document(tmp_path, image("a.jpg", shapes), head=head)
    given = read(tmp_path)
    cat, dog = given.items[0].truth
    assert cat.mask is not None
    pixels = pixels_of(cat.mask)
    assert sorted(map(tuple, np.argwhere(pixels).tolist())) == [(20, 11), (20, 12), (20, 13), (21, 12), (21, 13)]
    assert (cat.box, cat.traits) == ((11, 20, 14, 22), ("occluded",))
    assert (dog.box, dog.keypoints, dog.visibility) == ((1, 2, 30, 20), ((0, 0), (5, 6)), (0, 1))
    assert given.skeletons == {"dog": Skeleton(points=("tail", "nose"))}
    assert [failure.error.code for failure in given.failures] == ["mask_wrong"]
