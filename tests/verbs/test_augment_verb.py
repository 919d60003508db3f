"""augment: the sheet, copies that stay with their originals, classes topped up, boxes that follow; stopped and run again."""

from __future__ import annotations

import io
import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("torchvision")

from pictures import class_folders, drawn, encoded
from sightline import progress
from sightline.data.formats import export
from sightline.data.readers import read
from sightline.data.splits import split
from sightline.errors import StorageError, UsageError
from sightline.runtime.metadata import private
from sightline.runtime.pixels import decode
from sightline.types import Annotation, Dataset, Item
from sightline.verbs import show
from sightline.verbs.augment import augment

pytestmark = pytest.mark.deep


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """12 red, 6 green, 2 blue; one of them with a private note."""
    root = class_folders(tmp_path_factory.mktemp("data") / "photos", per_class=12)
    for name, kept in (("green", 6), ("blue", 2)):
        for index in range(kept, 12):
            (root / name / f"{name}-{index}.jpg").unlink()
    exif = Image.Exif()
    exif[0x013B] = "Ana Owner"
    (root / "red" / "red-0.jpg").write_bytes(encoded(drawn(0), exif=exif.tobytes()))
    assert private((root / "red" / "red-0.jpg").read_bytes())
    return root


@pytest.fixture(scope="module")
def boxed(tmp_path_factory):
    """COCO: eight pictures with a bright square and its box, divided into train and val."""
    root = tmp_path_factory.mktemp("boxes")
    items = []
    for number in range(8):
        picture = np.zeros((60, 80, 3), np.uint8)
        x, y = 10 + 5 * number, 8 + 3 * number
        picture[y : y + 20, x : x + 24] = 255
        file = root / f"{number}.png"
        Image.fromarray(picture).save(file)
        truth = (Annotation(label="square" if number < 6 else "block", box=(x, y, x + 24, y + 20)),)
        part = "val" if number % 4 == 3 else "train"
        items.append(Item(uri=str(file), name=file.name, truth=truth, split=part))
    dataset = Dataset(name="boxes", task="detection", classes=("block", "square"), items=tuple(items))
    export(dataset, "coco", root / "coco")
    return root / "coco"


def said(call):
    notes = []
    with progress.listen(lambda event: notes.append(event.note)):
        result = call()
    return result, "\n".join(notes)


def test_a_sheet_of_originals_and_variants(photos, tmp_path):
    result = augment(photos, show=tmp_path / "sheet.png", pictures=4)
    sheet = Image.open(tmp_path / "sheet.png")
    assert result.sheet == str(tmp_path / "sheet.png")
    assert (result.dataset, result.count) == (read(photos).hash, 20)
    assert result.recipe["rotate"] == 12
    assert sheet.info == {}
    cells = np.asarray(sheet.resize((7, 4)))
    assert cells.std() > 10
    assert sheet.width / 7 == pytest.approx(sheet.height / 4, rel=0.3)
    again = augment(photos, show=tmp_path / "again.png", pictures=4)
    assert Path(again.sheet).read_bytes() == (tmp_path / "sheet.png").read_bytes()
    augment(photos, show=tmp_path / "other.png", pictures=4, seed=1)
    assert (tmp_path / "other.png").read_bytes() != (tmp_path / "sheet.png").read_bytes()


def test_a_sheet_of_mixed_pictures_and_of_boxes(photos, boxed, tmp_path):
    augment(photos, show=tmp_path / "mixed.png", pictures=3, recipe="flip,mixup,cutmix")
    augment(boxed, show=tmp_path / "boxes.png", pictures=3, recipe="rotate,perspective,trivialaugment")
    mixed, boxes = (decode((tmp_path / name).read_bytes()).astype(int) for name in ("mixed.png", "boxes.png"))
    assert mixed.shape == boxes.shape
    ink = np.abs(boxes - (0x3C, 0xB4, 0x4B)).max(2) < 3  # the second class's
    assert all(cells.any() for cells in np.array_split(ink, 7, axis=1))


def test_copies_stay_with_their_originals(photos, tmp_path):
    result, notes = said(lambda: augment(photos, out=tmp_path / "more", copies=2))
    assert (result.count, result.copies) == (60, 40)
    assert result.classes == {"blue": 6, "green": 18, "red": 36}
    assert "no validation pictures are set apart" in notes
    found = read(tmp_path / "more")
    groups = defaultdict(list)
    for item in found.items:
        groups[item.group].append(item)
    assert sorted(map(len, groups.values())) == [3] * 20
    assert all(len({item.labels for item in own}) == 1 for own in groups.values())
    parts = split(found, val=0.3)
    sides = defaultdict(set)
    for item in parts.items:
        sides[item.group].add(item.split)
    assert {part for own in sides.values() for part in own} == {"train", "val"}
    assert all(len(own) == 1 for own in sides.values())
    originals = [file.read_bytes() for file in photos.rglob("*.jpg") if "red-0" not in file.name]
    written = {file.read_bytes() for file in (tmp_path / "more").rglob("*.jpg")}
    assert written.issuperset(originals)
    assert len(written) == 60, "no two copies are equal"
    assert not any(private(data) for data in written)
    text = _text(show("augment")(result))
    assert "60 pictures, 40 of them varied copies" in text


def test_balance_tops_small_classes_up(photos, tmp_path):
    result, notes = said(lambda: augment(photos, out=tmp_path / "even", balance=True, recipe="light"))
    assert result.classes == {"blue": 12, "green": 12, "red": 12}
    assert (result.count, result.copies) == (36, 16)
    assert Counter(item.labels[0] for item in read(tmp_path / "even").items) == {"red": 12, "green": 12, "blue": 12}
    some = augment(photos, out=tmp_path / "some", balance=True, most=8)
    assert some.classes == {"blue": 8, "green": 8, "red": 12}
    _, notes = said(lambda: augment(photos, out=tmp_path / "many", balance=True, most=45))
    assert "teach little new" in notes


def test_only_pictures_to_train_on_are_copied_and_boxes_follow(boxed, tmp_path):
    result = augment(boxed, out=tmp_path / "more", copies=3, recipe="flip,rotate:20,translate:0.2")
    found = read(tmp_path / "more")
    assert Counter(item.split for item in found.items) == {"train": result.count - 2, "val": 2}
    assert result.count == 8 + result.copies
    assert 12 <= result.copies <= 18
    for item in found.items:
        white = np.asarray(Image.open(item.uri).convert("L")) > 215
        for one in item.truth:
            x0, y0, x1, y1 = one.box
            assert 0 <= x0 < x1 <= white.shape[1]
            assert 0 <= y0 < y1 <= white.shape[0]
            inside = white[round(y0) : round(y1), round(x0) : round(x1)].sum()
            assert inside >= 0.9 * white.sum()
    groups = {item.group for item in found.items if item.split == "train"}
    assert len(groups) == 6


def test_formats_that_cannot_keep_copies_together(photos, boxed, tmp_path):
    with pytest.raises(UsageError, match="copies would leak") as caught:
        augment(photos, out=tmp_path / "leak", copies=1, format="folders")
    assert "csv" in caught.value.hint
    divided = tmp_path / "divided"
    for part in ("train", "val"):
        class_folders(divided / part, per_class=3, seed=0 if part == "train" else 500)
    result = augment(divided, out=tmp_path / "more", copies=1)
    assert result.classes == {"blue": 6, "green": 6, "red": 6}
    assert sorted(path.name for path in (tmp_path / "more").iterdir() if path.is_dir()) == ["train", "val"]
    assert len(list((tmp_path / "more" / "val").rglob("*.jpg"))) == 9
    assert augment(boxed, out=tmp_path / "yolo", copies=1, format="yolo").count > 8


def test_run_again_it_is_complete_and_a_stopped_one_goes_on(photos, tmp_path, monkeypatch):
    from sightline.learn import variants

    real, calls = variants.variant, []

    def dying(*arguments, **more):
        calls.append(more["name"])
        if len(calls) == 15:
            raise KeyboardInterrupt
        return real(*arguments, **more)

    monkeypatch.setattr(variants, "variant", dying)
    with pytest.raises(KeyboardInterrupt):
        augment(photos, out=tmp_path / "more", copies=1)
    assert not (tmp_path / "more").exists()
    result = augment(photos, out=tmp_path / "more", copies=1)
    assert len(calls) == 15 + 20 - 14
    straight = augment(photos, out=tmp_path / "straight", copies=1)
    before = sorted(file.read_bytes() for file in (tmp_path / "straight").rglob("*.jpg"))
    assert sorted(file.read_bytes() for file in (tmp_path / "more").rglob("*.jpg")) == before
    calls[:] = [""] * 100
    assert augment(photos, out=tmp_path / "more", copies=1) == result
    assert len(calls) == 100
    assert straight.count == result.count
    with pytest.raises(StorageError, match="other data or with other wishes"):
        augment(photos, out=tmp_path / "more", copies=2)


def test_a_broken_picture_stops_nothing(photos, tmp_path):
    import shutil

    root = tmp_path / "photos"
    shutil.copytree(photos, root)
    (root / "red" / "red-1.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    result = augment(root, out=tmp_path / "more", copies=1, recipe="flip,noise")
    assert {failure.picture for failure in result.failures} == {"red/red-1.jpg"}
    assert result.count == 38
    sheet = augment(root, show=tmp_path / "sheet.png", pictures=20)
    assert len(sheet.failures) == 1


def test_left_and_right_are_not_mirrored_unless_it_is_said(tmp_path):
    root = class_folders(tmp_path / "arrows", per_class=2, classes=("turn left", "turn right"))
    result, notes = said(lambda: augment(root, show=tmp_path / "sheet.png"))
    assert "flip" not in result.recipe
    assert "turn left" in notes
    assert "flip" in augment(root, show=tmp_path / "sheet.png", recipe="flip").recipe


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({}, "nothing to make"),
        ({"show": Path("sheet.jpg")}, "writes a PNG"),
        ({"show": Path("sheet.png"), "pictures": 0}, "--pictures"),
        ({"show": Path("sheet.png"), "copies": 2}, "are for a new dataset"),
        ({"out": Path("x")}, "either --copies N or --balance"),
        ({"out": Path("x"), "copies": 2, "balance": True}, "either --copies N or --balance"),
        ({"out": Path("x"), "copies": 2, "most": 5}, "--most"),
        ({"out": Path("x"), "copies": 2, "recipe": "none"}, "would be equal"),
        ({"out": Path("x"), "copies": 2, "recipe": "mixup"}, "would be equal"),
        ({"out": Path("x"), "copies": 2, "recipe": "rotat"}, "unknown change"),
        ({"out": Path("x"), "copies": 2, "format": "cvs"}, "unknown format"),
        ({"out": Path("x"), "copies": 2000}, "1 to 1000"),
    ],
)
def test_wishes_that_cannot_be_met(tmp_path, monkeypatch, wishes, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        augment(tmp_path / "none", **wishes)


def test_the_answer_is_json(photos, tmp_path):
    result = augment(photos, show=tmp_path / "sheet.png", out=tmp_path / "more", copies=1, recipe="flip,rotate:5")
    told = json.loads(result.model_dump_json(exclude_none=True))
    assert told["dataset"] == str(tmp_path / "more")
    assert told["count"] == 40
    assert told["sheet"] == str(tmp_path / "sheet.png")


def _text(renderable):
    from rich.console import Console

    stream = io.StringIO()
    Console(file=stream, width=200).print(renderable)
    return stream.getvalue()
