"""CVAT documents: subsets, attributes, grouped points, turned boxes, tracks."""

from __future__ import annotations

from pathlib import Path

import pytest
from rounds import notes_of

from pictures import drawn, encoded
from sightline.data.readers import read
from sightline.errors import DatasetError
from sightline.types import Dataset

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
