"""What --fix does: certain things, the better copy kept, tests kept honest, nothing decided that a person must decide."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
from PIL import Image

from pictures import class_folders, drawn, encoded
from sightline.data.cleaning import KINDS, look_over
from sightline.data.found import read_as_found
from sightline.data.manifest import with_hashes
from sightline.data.mend import DONE, DROPPABLE, Plan, chosen, mended, plan
from sightline.data.survey import survey
from sightline.errors import UsageError
from sightline.types import Annotation, Dataset, Item


def planned(folder: Path, drop: str = "") -> tuple[Dataset, Plan]:
    dataset = read_as_found(folder)
    seen = survey(dataset, quality=True)
    dataset = with_hashes(dataset, seen.sha256)
    return dataset, plan(dataset, seen, look_over(dataset, seen), chosen(drop))


def saved_again(path: Path, scale: float = 0.75, quality: int = 80) -> bytes:
    picture = Image.open(io.BytesIO(path.read_bytes()))
    size = (round(picture.width * scale), round(picture.height * scale))
    return encoded(picture.resize(size, Image.Resampling.LANCZOS), quality=quality)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    class_folders(root / "train", 6)
    class_folders(root / "val", 3, seed=60)
    return class_folders(root / "test", 4, seed=100).parent


def test_nothing_is_done_to_an_ordinary_dataset(photos: Path) -> None:
    dataset, steps = planned(photos)
    assert steps == Plan()
    assert mended(dataset, steps) == dataset


def test_what_cannot_be_used_goes(photos: Path) -> None:
    (photos / "train" / "red" / "broken.jpg").write_bytes(b"no picture")
    (photos / "train" / "red" / "blank.png").write_bytes(encoded(Image.new("RGB", (90, 90)), "PNG"))
    dataset, steps = planned(photos)
    assert steps.dropped == {"train/red/broken.jpg": "unreadable", "train/red/blank.png": "blank"}
    assert steps.counts() == {"unreadable": 1, "blank": 1}
    assert len(mended(dataset, steps).items) == len(dataset.items) - 2


def test_the_copy_that_is_tested_on_stays(photos: Path) -> None:
    test, val = photos / "test" / "red" / "red-0.jpg", photos / "val" / "blue" / "blue-0.jpg"
    shutil.copy(test, photos / "train" / "red" / "a.jpg")
    shutil.copy(test, photos / "train" / "green" / "b.jpg")  # another label: the leak goes all the same
    shutil.copy(test, photos / "val" / "red" / "c.jpg")
    (photos / "train" / "blue" / "d.jpg").write_bytes(saved_again(val))
    _, steps = planned(photos)
    assert steps.dropped == dict.fromkeys(["train/red/a.jpg", "train/green/b.jpg", "val/red/c.jpg", "train/blue/d.jpg"], "leak")


def test_of_equal_files_one_stays(photos: Path) -> None:
    red = photos / "train" / "red"
    for name in ("x.jpg", "y.jpg"):
        shutil.copy(red / "red-0.jpg", red / name)
    _, steps = planned(photos)
    assert steps.dropped == {"train/red/x.jpg": "exact_duplicate", "train/red/y.jpg": "exact_duplicate"}


def test_of_equal_files_with_two_labels_both_stay(photos: Path) -> None:
    shutil.copy(photos / "train" / "red" / "red-0.jpg", photos / "train" / "blue" / "x.jpg")
    _, steps = planned(photos)
    assert steps.dropped == {}
    _, steps = planned(photos, "label_conflict")
    assert set(steps.dropped) == {"train/red/red-0.jpg", "train/blue/x.jpg"}


def test_the_largest_version_stays(tmp_path: Path) -> None:
    photos = class_folders(tmp_path, 4)
    large = drawn(500, (400, 320))
    (photos / "red" / "a-small.jpg").write_bytes(encoded(large.resize((200, 160), Image.Resampling.LANCZOS)))
    (photos / "red" / "b-large.jpg").write_bytes(encoded(large, quality=95))
    (photos / "red" / "c-poor.jpg").write_bytes(encoded(large, quality=40))
    _, steps = planned(photos)
    assert steps.dropped == dict.fromkeys(["red/a-small.jpg", "red/c-poor.jpg"], "near_duplicate")


def test_look_alikes_of_another_shape_stay_unless_asked(tmp_path: Path) -> None:
    photos = class_folders(tmp_path, 4)
    picture = drawn(501, (400, 320))
    (photos / "red" / "a.jpg").write_bytes(encoded(picture))
    (photos / "red" / "b.jpg").write_bytes(encoded(picture.resize((400, 400))))
    dataset, steps = planned(photos)
    assert steps.dropped == {}
    _, steps = planned(photos, "near_duplicate")
    assert len(steps.dropped) == 1
    assert len(mended(dataset, steps).items) == len(dataset.items) - 1


def test_spelling_and_names(photos: Path) -> None:
    shutil.copytree(photos / "train" / "red", photos / "train" / "Red ")
    for number, path in enumerate(sorted((photos / "train" / "Red ").iterdir())[:-1]):
        path.write_bytes(encoded(drawn(300 + number)))
    path.with_name("red-5.jpg").unlink()
    (photos / "train" / "red" / "a.jpg").write_bytes(encoded(drawn(70), "PNG"))
    (photos / "train" / "red" / "a.png").write_bytes(encoded(drawn(71), "PNG"))
    dataset, steps = planned(photos)
    better = mended(dataset, steps)
    assert steps.labels == {"Red": "red"}
    assert better.classes == ("blue", "green", "red")
    assert steps.names["train/red/a.jpg"] == "train/red/a-2.png"
    assert len({item.name for item in better.items}) == len(better.items)
    assert better.hash != dataset.hash


def test_a_class_that_loses_its_last_picture_goes(tmp_path: Path) -> None:
    photos = class_folders(tmp_path, 4)
    (photos / "none").mkdir()
    (photos / "none" / "broken.jpg").write_bytes(b"no picture")
    dataset, steps = planned(photos)
    assert dataset.classes == ("blue", "green", "none", "red")
    assert mended(dataset, steps).classes == ("blue", "green", "red")


def test_two_classes_that_are_left_are_a_binary_task(tmp_path: Path) -> None:
    photos = class_folders(tmp_path, 4, ("ok", "defect", "Ok"))
    dataset, steps = planned(photos)
    better = mended(dataset, steps)
    assert (dataset.task, better.task, better.positive) == ("multiclass", "binary", "defect")


def test_boxes_keep_their_picture(tmp_path: Path) -> None:
    """Another version of a picture has other boxes: only equal files with equal boxes are one."""
    (tmp_path / "a.jpg").write_bytes(encoded(drawn(1, (200, 160))))
    shutil.copy(tmp_path / "a.jpg", tmp_path / "b.jpg")
    shutil.copy(tmp_path / "a.jpg", tmp_path / "c.jpg")
    (tmp_path / "d.jpg").write_bytes(saved_again(tmp_path / "a.jpg"))

    def item(name: str, *box: float) -> Item:
        return Item(uri=str(tmp_path / name), name=name, truth=(Annotation(label="thing", box=box),))  # type: ignore[arg-type]

    items = (item("a.jpg", 1, 2, 3, 4), item("b.jpg", 1, 2, 3, 4), item("d.jpg", 1, 2, 3, 4))
    dataset = Dataset(name="boxes", task="detection", classes=("thing",), items=items)
    seen = survey(dataset, quality=True)
    assert plan(dataset, seen, []).dropped == {"b.jpg": "exact_duplicate"}
    dataset = dataset.model_copy(update={"items": (items[0], item("c.jpg", 5, 6, 7, 8))})
    assert plan(dataset, survey(dataset, quality=True), []).dropped == {}


def test_kinds_to_leave_out() -> None:
    assert chosen("blurred, outlier") == {"blurred", "outlier"}
    assert chosen("") == frozenset()
    with pytest.raises(UsageError, match="blured") as caught:
        chosen("blured")
    assert "blurred" in caught.value.hint
    with pytest.raises(UsageError, match="is mended by --fix"):
        chosen("unreadable")
    assert set(DONE) | set(DROPPABLE) | {"imbalance", "odd_box", "box_conflict"} == set(KINDS)


def test_what_is_asked_to_go_goes(photos: Path) -> None:
    (photos / "train" / "red" / "tiny.png").write_bytes(encoded(drawn(72, (20, 24)), "PNG"))
    _, steps = planned(photos)
    assert steps.dropped == {}
    _, steps = planned(photos, "tiny")
    assert steps.dropped == {"train/red/tiny.png": "tiny"}
