"""Pascal VOC as others write it: lists of splits, the kit's own count of pixels, wrong names, hostile XML."""

from __future__ import annotations

from pathlib import Path

import pytest

from pictures import drawn, encoded
from sightline.data.formats import export
from sightline.data.formats.documents import xml_children
from sightline.data.readers import read
from sightline.errors import DatasetError


def annotated(
    root: Path,
    stem: str,
    boxes: str = "<object><name>cat</name><bndbox><xmin>5</xmin><ymin>6</ymin><xmax>25</xmax><ymax>30</ymax></bndbox></object>",
    size: tuple[int, int] = (60, 40),
    start: str = "",
    images: str = "JPEGImages",
    documents: str = "Annotations",
) -> Path:
    for folder in (images, documents):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / images / f"{stem}.jpg").write_bytes(encoded(drawn(3, (60, 40))))
    stated = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    path = root / documents / f"{stem}.xml"
    path.write_text(f"{start}<annotation>{stated}<filename>{stem}.jpg</filename>{boxes}</annotation>")
    return path


@pytest.mark.shared
def test_blood_cells(shared: Path) -> None:
    dataset = read(shared / "data" / "bccd", hashed=False)
    assert (dataset.kind, dataset.task, dataset.classes) == ("voc", "detection", ("Platelets", "RBC", "WBC"))
    assert (len(dataset.part("train")), len(dataset.part("val"))) == (205, 87)
    assert [failure.error.code for failure in dataset.failures] == ["box_empty"] * 2
    assert sum(len(item.truth) for item in dataset.items) == 3941


def test_lists_of_splits(tmp_path: Path) -> None:
    for stem in ("a", "b c", "d", "e"):
        annotated(tmp_path, stem)
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nb c\n")
    (lists / "val.txt").write_text("d  1\na\n")  # a is in both: the first list counts
    (lists / "trainval.txt").write_text("a\nb c\nd\ne\n")
    (lists / "cat_train.txt").write_text("e  1\n")
    found = {Path(item.name).stem: item.split for item in read(tmp_path).items}
    assert found == {"a": "train", "b c": "train", "d": "val", "e": None}


def test_documents_beside_pictures_in_split_folders(tmp_path: Path) -> None:
    for part in ("train", "test"):
        annotated(tmp_path, f"p-{part}", images=part, documents=part)
    dataset = read(tmp_path)
    assert (dataset.kind, [item.split for item in dataset.items]) == ("voc", ["test", "train"])


def test_only_the_kit_counts_pixels_from_one(tmp_path: Path) -> None:
    box = "<object><name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>60</xmax><ymax>40</ymax></bndbox></object>"
    annotated(tmp_path, "a", box)
    annotated(tmp_path, "b", "<source><database>The VOC2007 Database</database></source>" + box)
    assert [item.truth[0].box for item in read(tmp_path).items] == [(1, 1, 60, 40), (0, 0, 60, 40)]


def test_sizes_of_zero_and_swapped_sides(tmp_path: Path) -> None:
    annotated(tmp_path, "a", size=(0, 0))
    annotated(tmp_path, "b", size=(40, 60))  # height and width confused: the box stays, and it is told
    dataset = read(tmp_path)
    assert [item.truth[0].box for item in dataset.items] == [(5, 6, 25, 30)] * 2
    assert [failure.error.code for failure in dataset.failures] == ["size_differs"]


def test_one_bad_document_never_stops_the_others(tmp_path: Path) -> None:
    annotated(tmp_path, "a")
    annotated(tmp_path, "b").write_text("<annotation><object>")
    annotated(tmp_path, "c", "<object><name>cat</name></object><object/>")
    (tmp_path / "JPEGImages" / "d.jpg").write_bytes(encoded(drawn(1)))
    annotated(tmp_path, "e")
    (tmp_path / "JPEGImages" / "e.jpg").unlink()
    dataset = read(tmp_path)
    assert [(Path(item.name).stem, len(item.truth)) for item in dataset.items] == [("a", 1), ("c", 0)]
    codes = sorted(failure.error.code for failure in dataset.failures)
    assert codes == ["annotation_unreadable", "box_wrong", "label_missing", "picture_missing"]


HOSTILE = {
    "entity": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
    "bomb": '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;&x;">]>',
    "foreign": '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd">',
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_document_types_and_entities_are_refused(tmp_path: Path, kind: str) -> None:
    named = "<object><name>&x;</name><bndbox><xmin>5</xmin><ymin>6</ymin><xmax>25</xmax><ymax>30</ymax></bndbox></object>"
    path = annotated(tmp_path, "a", named, start=HOSTILE[kind])
    with pytest.raises(DatasetError, match="document type"):
        list(xml_children(path))
    path.write_bytes(path.read_text().encode("utf-16"))
    with pytest.raises(DatasetError, match="document type"):
        list(xml_children(path))
    with pytest.raises(DatasetError, match="document type"):
        read(tmp_path, format="voc")


def test_nested_without_end(tmp_path: Path) -> None:
    for text in (
        "<a>" * 1_000_000,
        "<a><b>" + "<c/>" * 400_000 + "</b></a>",
        "<a>&#0;</a>",
        '<?xml version="1.0" encoding="q"?><a/>',
    ):
        (tmp_path / "a.xml").write_text(text)
        with pytest.raises(DatasetError):
            list(xml_children(tmp_path / "a.xml"))


def test_difficult_truncated_and_hidden_objects_come_back(tmp_path: Path) -> None:
    box = "<bndbox><xmin>5</xmin><ymin>6</ymin><xmax>25</xmax><ymax>30</ymax></bndbox>"
    marks = "<difficult>1</difficult><truncated>0</truncated><occluded>1</occluded>"
    turned = "<bndbox><xmin>25</xmin><ymin>30</ymin><xmax>5</xmax><ymax>6</ymax></bndbox>"
    things = f"<object><name>cat</name>{marks}{box}</object><object><name>dog</name>{turned}</object>"
    annotated(tmp_path / "in", "a", things)
    given = read(tmp_path / "in")
    cat, dog = given.items[0].truth
    assert (cat.traits, cat.ignored, cat.box) == (("difficult", "occluded"), True, (5, 6, 25, 30))
    assert (dog.traits, dog.ignored, dog.box) == ((), False, (5, 6, 25, 30))
    assert [failure.error.code for failure in given.failures] == ["box_swapped"]
    export(given, "voc", tmp_path / "out")
    found = read(tmp_path / "out")
    assert found.items[0].truth == given.items[0].truth
    assert found.failures == ()
