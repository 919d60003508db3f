"""YOLO folders as others write them: names of classes in many notations, splits, polygons, keypoints, scores."""

from __future__ import annotations

from pathlib import Path

import pytest

from pictures import class_folders, drawn, encoded
from sightline.data.formats.yolonames import class_names
from sightline.data.readers import read

ROW = "1 0.5 0.5 0.5 0.25\n"  # of a picture of 60 x 40: 15, 15 to 45, 25


def put(path: Path, text: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(drawn(3, (60, 40))) if text is None else text.encode())


NOTATIONS = [
    "names: ['cat', \"dog\"]",
    "names: [cat, dog]",
    "names:\n  - cat\n  - dog  # barks",
    "names:\n- cat\n- 'dog'\n",
    "names:\n  0: cat\n  1: dog\nnc: 2",
    "names: {0: cat, 1: dog}",
    "nc: 2\nnames: [\n  'cat',\n  'dog',\n]\nother: 5",
    "# a comment\npath: ../data\nnames:\n  1: dog\n  0: cat",
]


@pytest.mark.parametrize("text", NOTATIONS)
def test_names_in_every_notation(tmp_path: Path, text: str) -> None:
    put(tmp_path / "data.yaml", text)
    assert class_names(tmp_path / "data.yaml").classes == {0: "cat", 1: "dog"}


def test_names_with_signs(tmp_path: Path) -> None:
    put(
        tmp_path / "a.yaml",
        "names: ['it''s, big', \"a \\\"b\\\" # c\", D'or: x, Käfer#2]\nval: [a/b, 'c d']\nkpt_shape: [17, 3]",
    )
    names = class_names(tmp_path / "a.yaml")
    assert list(names.classes.values()) == ["it's, big", 'a "b" # c', "D'or: x", "Käfer#2"]
    assert names.splits == {"val": ("a/b", "c d")}
    assert names.keypoints == (17, 3)


def test_parallel_folders_with_splits(tmp_path: Path) -> None:
    for part in ("train", "val"):
        put(tmp_path / "images" / part / f"{part}1.jpg")
        put(tmp_path / "images" / part / f"{part}2.jpg")
        put(tmp_path / "labels" / part / f"{part}1.txt", ROW)
    put(tmp_path / "data.yaml", NOTATIONS[0])
    dataset = read(tmp_path)
    assert (dataset.kind, dataset.task, dataset.classes) == ("yolo", "detection", ("cat", "dog"))
    assert [(item.name, item.split, len(item.truth)) for item in dataset.items] == [
        ("images/train/train1.jpg", "train", 1),
        ("images/train/train2.jpg", "train", 0),
        ("images/val/val1.jpg", "val", 1),
        ("images/val/val2.jpg", "val", 0),
    ]
    assert (dataset.items[0].truth[0].label, dataset.items[0].truth[0].box) == ("dog", (15, 15, 45, 25))


def test_split_folders_outside_and_given_yaml(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        put(tmp_path / "deep" / part / "images" / f"{part}.jpg")
        put(tmp_path / "deep" / part / "labels" / f"{part}.txt", ROW)
    put(tmp_path / "deep" / "data.yaml", "train: ../train/images\nval: ../valid/images\n" + NOTATIONS[0])
    found = {item.split for item in read(tmp_path).items}
    assert found == {"train", "val"}
    assert {item.split for item in read(tmp_path / "deep" / "data.yaml").items} == found


def test_splits_that_only_the_yaml_knows(tmp_path: Path) -> None:
    for part in ("one", "two"):
        put(tmp_path / "images" / part / f"{part}.jpg")
        put(tmp_path / "labels" / part / f"{part}.txt", ROW)
    put(tmp_path / "data.yaml", "train: images/one\nval: images/two\n" + NOTATIONS[0])
    assert [item.split for item in read(tmp_path).items] == ["train", "val"]
    put(tmp_path / "data.yaml", "train: images\nval: images\n" + NOTATIONS[0])
    assert {item.split for item in read(tmp_path).items} == {None}


def test_darknet_with_lists(tmp_path: Path) -> None:
    for stem in ("a", "b"):
        put(tmp_path / "obj" / f"{stem}.jpg")
        put(tmp_path / "obj" / f"{stem}.txt", ROW)
    put(tmp_path / "obj.names", "cat\ndog\n")
    put(tmp_path / "train.txt", "data/obj/a.jpg\n")
    put(tmp_path / "test.txt", "data/obj/b.jpg\n")
    dataset = read(tmp_path)
    assert [(item.split, item.truth[0].label) for item in dataset.items] == [("train", "dog"), ("test", "dog")]


def test_without_names_the_numbers_are_the_classes(tmp_path: Path) -> None:
    put(tmp_path / "images" / "a.jpg")
    put(tmp_path / "labels" / "a.txt", ROW)
    dataset = read(tmp_path)
    assert (dataset.kind, dataset.classes) == ("yolo", ("1",))


def test_polygons_keypoints_scores_and_nonsense(tmp_path: Path) -> None:
    put(tmp_path / "data.yaml", "kpt_shape: [2, 3]\n" + NOTATIONS[0])
    put(tmp_path / "images" / "a.jpg")
    rows = (
        "0 0.1 0.1 0.5 0.1 0.5 0.5\n",  # a triangle
        "1 0.5 0.5 0.5 0.25 0.25 0.5 2 0 0 0\n",  # a box and two points, one of them not seen
        "0 0.5 0.5 0.5 0.25 0.97\n",  # with a score: a prediction
        "5 0.5 0.5 0.5 0.25\n",
        "0.5 0.5 0.5 0.5 0.25\n",
        "1 nan 0.5 0.5 0.25\n",
        "1 9.5 0.5 0.5 0.25\n",
        "cat 1 2\n",
    )
    put(tmp_path / "labels" / "a.txt", "".join(rows))
    dataset = read(tmp_path)
    triangle, person = dataset.items[0].truth
    assert triangle.polygon == ((6, 4), (30, 4), (30, 20))
    assert triangle.box == (6, 4, 30, 20)
    assert (person.label, person.box, person.keypoints) == ("dog", (15, 15, 45, 25), ((15, 20),))
    codes = [failure.error.code for failure in dataset.failures]
    assert codes == ["row_wrong", "label_missing", "box_outside"]


def test_class_folders_with_notes_are_no_yolo(tmp_path: Path) -> None:
    class_folders(tmp_path, 2, ("labels", "images"))
    (tmp_path / "labels" / "labels-0.txt").write_text("a fine label")
    (tmp_path / "classes.txt").write_text("labels\nimages\n")
    dataset = read(tmp_path)
    assert (dataset.kind, dataset.classes) == ("folders", ("images", "labels"))
