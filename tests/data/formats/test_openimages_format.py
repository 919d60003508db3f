"""Open Images tables: codes and their names, denied and guessed labels, rows about pictures that are elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from pictures import drawn, encoded
from sightline.data.readers import read
from sightline.errors import DatasetError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part, stem in (("train", "0a"), ("train", "0b"), ("validation", "0c")):
        (tmp_path / part).mkdir(exist_ok=True)
        (tmp_path / part / f"{stem}.jpg").write_bytes(encoded(drawn(1, (60, 40))))
    (tmp_path / "class-descriptions-boxable.csv").write_text('/m/01,Cat\n/m/02,"Dog, big"\n')
    return tmp_path


def test_boxes_and_labels(folder: Path) -> None:
    head = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf\n"
    (folder / "train-annotations-bbox.csv").write_text(
        f"{head}0a,xclick,/m/01,1,0.25,0.75,0.5,1,1,1\n0a,xclick,/m/02,1,0.5,0.4,0,1,0\n0z,xclick,/m/01,1,0,1,0,1,0\n0b,x,/m/01,1,x,1,0,1,0\n"
    )
    labels = "ImageID,Source,LabelName,Confidence\n0c,verification,/m/02,1\n0c,verification,/m/01,0\n0c,machine,/m/77,0.6\n"
    (folder / "validation-annotations-human-imagelabels.csv").write_text(labels)
    dataset = read(folder)
    assert (dataset.kind, dataset.task, dataset.classes) == ("openimages", "detection", ("Cat", "Dog, big"))
    said = {Path(item.name).stem: (item.split, [(mark.label, mark.box) for mark in item.truth]) for item in dataset.items}
    assert said == {
        "0a": ("train", [("Cat", (15, 20, 45, 40)), ("Dog, big", (24, 0, 30, 40))]),
        "0b": ("train", []),
        "0c": ("val", [("Dog, big", None)]),
    }
    assert sorted(failure.error.code for failure in dataset.failures) == [
        "box_swapped",
        "box_wrong",
        "label_unsure",
        "picture_missing",
    ]


def test_labels_of_whole_pictures_alone(folder: Path) -> None:
    head = "ImageID,Source,LabelName,Confidence\n"
    (folder / "train-annotations-human-imagelabels.csv").write_text(f"{head}0a,v,/m/01,1\n0b,v,/m/02,1\n")
    dataset = read(folder)
    assert (dataset.task, [item.labels for item in dataset.items]) == ("binary", [("Cat",), ("Dog, big",)])
    (folder / "train-annotations-human-imagelabels.csv").write_text(
        f"{head}0a,v,/m/01,1\n0b,v,/m/02,1\n0b,v,/m/01,0\n0c,v,/m/01,0\n"
    )
    dataset = read(folder)
    assert (dataset.task, [item.labels for item in dataset.items]) == ("multilabel", [("Cat",), ("Dog, big",), ()])


def test_without_a_table(folder: Path) -> None:
    with pytest.raises(DatasetError, match="no Open Images table"):
        read(folder, format="openimages")
