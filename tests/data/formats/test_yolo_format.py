"""YOLO folders as others write them: names of classes in many notations, splits, polygons, keypoints, scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rounds import notes_of

from pictures import class_folders, drawn, encoded
from sightline.data.formats import export, geometry
from sightline.data.formats.geometry import area
from sightline.data.formats.yolonames import class_names
from sightline.data.manifest import with_hashes
from sightline.data.readers import read
from sightline.runtime.dimensions import Dimensions
from sightline.runtime.masks import to_mask
from sightline.types import Annotation, Dataset, Item, Skeleton

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
    assert (person.label, person.box, person.keypoints) == ("dog", (15, 15, 45, 25), ((15, 20), (0, 0)))
    assert person.visibility == (2, 0)
    codes = [failure.error.code for failure in dataset.failures]
    assert codes == ["row_wrong", "class_unknown", "box_outside"]


def test_class_folders_with_notes_are_no_yolo(tmp_path: Path) -> None:
    class_folders(tmp_path, 2, ("labels", "images"))
    (tmp_path / "labels" / "labels-0.txt").write_text("a fine label")
    (tmp_path / "classes.txt").write_text("labels\nimages\n")
    dataset = read(tmp_path)
    assert (dataset.kind, dataset.classes) == ("folders", ("images", "labels"))


def test_keypoints_in_and_out(tmp_path: Path) -> None:
    """What a pose data set holds comes back: names, hidden and missing points, which ones change places in a mirror."""
    put(tmp_path / "in" / "images" / "a.jpg")
    names = "".join(f"    - {name}\n" for name in ("nose", "left_eye", "right_eye"))
    put(tmp_path / "in" / "data.yaml", f"kpt_shape: [3, 3]\nflip_idx: [0, 2, 1]\nkpt_names:\n  0:\n{names}" + NOTATIONS[0])
    put(
        tmp_path / "in" / "labels" / "a.txt",
        "0 0.5 0.5 0.5 0.25 0.25 0.5 2 0.5 0.5 1 0 0 0\n1 0.5 0.5 0.5 0.25 0 0 0 0 0 0 0 0 0\n",
    )
    given = read(tmp_path / "in")
    assert given.failures == ()
    first, second = given.items[0].truth
    assert (first.keypoints, first.visibility) == (((15, 20), (30, 20), (0, 0)), (2, 1, 0))
    assert (second.keypoints, second.box) == (None, (15, 15, 45, 25))
    assert given.skeletons == {first.label: Skeleton(points=("nose", "left_eye", "right_eye"))}
    assert export(given, "yolo", tmp_path / "out") == ()
    found = read(tmp_path / "out")
    assert found.items[0].truth == given.items[0].truth
    assert found.skeletons == given.skeletons
    assert "flip_idx: [0, 2, 1]" in (tmp_path / "out" / "data.yaml").read_text()


def test_several_parts_and_masks_become_what_a_row_can_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    put(path)
    parts = (((1.0, 1.0), (9.0, 1.0), (9.0, 9.0)), ((20.0, 5.0), (40.0, 5.0), (40.0, 30.0), (20.0, 30.0)))
    square = np.zeros((40, 60), bool)
    square[10:20, 30:50] = True
    truth = (
        Annotation(label="a", box=(1, 1, 40, 30), rings=parts, mask=to_mask(square)),
        Annotation(label="a", box=(30, 10, 50, 20), mask=to_mask(square), traits=("crowd",)),
    )
    item = Item(uri=str(path), name="a.jpg", truth=truth)
    given = with_hashes(Dataset(name="d", task="detection", classes=("a",), items=(item,)))
    notes = notes_of(lambda: export(given, "yolo", tmp_path / "out"))
    assert len(notes) == 3
    assert any("1 masks are left out" in note for note in notes)
    assert any("the largest part stays" in note for note in notes)
    assert any("left out of 1 objects" in note for note in notes)
    found = read(tmp_path / "out").items[0].truth
    assert found[0].polygon == parts[1]
    assert found[1].box == (30, 10, 50, 20)
    assert area(found[1].polygon or ()) == 200


@pytest.mark.parametrize("count", [5_000])
def test_thousands_of_boxes_in_one_picture(tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "images" / "a.jpg")
    put(tmp_path / "images" / "nothing.jpg")
    rows = [f"{n % 2} {0.2 + 0.6 * (n % 97) / 97:.6f} {0.2 + 0.6 * (n % 89) / 89:.6f} 0.1 0.1\n" for n in range(count)]
    put(tmp_path / "labels" / "a.txt", "".join(rows))
    put(tmp_path / "data.yaml", NOTATIONS[0])
    asked = 0
    plain = geometry.dimensions

    def counted(path: str) -> Dimensions:
        nonlocal asked
        asked += 1
        return plain(path)

    monkeypatch.setattr(geometry, "dimensions", counted)
    dataset = read(tmp_path)
    assert dataset.failures == ()
    assert sorted(len(item.truth) for item in dataset.items) == [0, count]  # a picture of nothing is background
    assert asked <= 2  # the picture's header is read once, not for each box
