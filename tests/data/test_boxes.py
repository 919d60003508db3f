"""Boxes that are doubled, of two classes, tiny or odd are found, and what is certain is mended; in no quadratic time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pictures import drawn, encoded
from sightline.data import boxes
from sightline.data.cleaning import KINDS, by_kind, look_over
from sightline.data.health import check
from sightline.data.manifest import with_hashes
from sightline.data.mend import chosen, mended, plan
from sightline.data.readers import read
from sightline.data.survey import survey
from sightline.types import Annotation, Box, Dataset, Finding, Item, Mask


def item(name: str, *said: tuple[str, Box], **more: object) -> Item:
    truth = tuple(Annotation(label=label, box=box) for label, box in said)
    return Item(uri="", name=name, truth=truth, **more)  # type: ignore[arg-type]


def found(*items: Item, size: tuple[int, int] = (100, 80)) -> dict[str, list[Finding]]:
    classes = tuple(dict.fromkeys(label for one in items for label in one.labels))
    dataset = Dataset(name="d", task="detection", classes=classes, items=items)
    sides = (np.full(len(items), side, np.int32) for side in size)
    return by_kind(boxes.remarks(dataset, *sides))


def test_two_boxes_of_one_place() -> None:
    one = item(
        "a.jpg", ("cat", (10, 10, 60, 60)), ("cat", (10, 10, 60, 61)), ("dog", (11, 10, 61, 60)), ("cat", (50, 50, 90, 79))
    )
    kinds = found(one)
    assert [finding.items for finding in kinds["doubled_box"]] == [("a.jpg",)]
    assert len(kinds["box_conflict"]) == 2
    assert "'cat' and 'dog' share" in kinds["box_conflict"][0].message
    assert boxes.mended(one, (), 100, 80) == (one.truth[0], *one.truth[2:])
    less = item("a.jpg", ("cat", (10, 10, 60, 60)), ("cat", (10, 10, 60, 65)))
    assert len(found(less)["doubled_box"]) == 1
    assert boxes.mended(less, (), 100, 80) == less.truth  # not certain enough to go


def test_the_box_that_says_more_stays_and_crowds_are_left_alone() -> None:
    place = (10.0, 10.0, 60.0, 60.0)
    plain, rich = Annotation(label="cat", box=place), Annotation(label="cat", box=place, mask=Mask(size=(2, 2), counts="04"))
    crowd = Annotation(label="cat", box=place, traits=("crowd",))
    one = Item(uri="", name="a.jpg", truth=(plain, rich, crowd))
    assert boxes.mended(one, (), 100, 80) == (rich, crowd)
    assert found(Item(uri="", name="b.jpg", truth=(plain, crowd))) == {}


def test_tiny_and_odd_boxes() -> None:
    usual = [item(f"{n}.jpg", ("cat", (10, 10, 30 + n % 5, 30))) for n in range(30)]
    kinds = found(*usual, item("tiny.jpg", ("cat", (1, 1, 3, 30))), item("vast.jpg", ("cat", (0, 0, 100, 80))))
    assert [one.items for one in kinds["tiny_box"]] == [("tiny.jpg",)]
    assert found(item("a.jpg", ("cat", (1, 1, 9, 9))), size=(4000, 3000))["tiny_box"]
    dots = [item(f"{n}.jpg", ("dot", (10, 10, 14 + n % 2, 14))) for n in range(30)]
    odd = found(*dots, item("vast.jpg", ("dot", (0, 0, 100, 80))))["odd_box"]
    assert [one.items for one in odd] == [("vast.jpg",)]
    assert "20 times larger" in odd[0].message
    assert boxes.mended(item("t", ("cat", (1, 1, 3, 30)), ("cat", (1, 1, 30, 30))), ("tiny_box",), 100, 80)[0].box == (
        1,
        1,
        30,
        30,
    )


def test_thousands_of_boxes_of_one_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0
    plain = boxes.iou

    def counted(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        nonlocal compared
        compared += len(a) * len(b)
        return plain(a, b)

    monkeypatch.setattr(boxes, "iou", counted)
    corners = np.random.default_rng(0).uniform(0, 4000, (5_000, 2)).round(1).tolist()
    one = item(
        "a.jpg",
        *(("cat", (x, y, x + 20, y + 20)) for x, y in corners),
        ("cat", (*corners[0], corners[0][0] + 20, corners[0][1] + 19.9)),
    )
    kinds = found(one, size=(4020, 4020))
    assert len(kinds["doubled_box"]) == 3  # one planted, two by chance
    assert compared < 5_000 * 100


def test_versions_of_a_picture_say_the_same() -> None:
    large = item("a.jpg", ("cat", (10, 10, 60, 60)), ("dog", (70, 10, 90, 70)))
    small = item("b.jpg", ("dog", (35, 5, 45, 35)), ("cat", (5, 5, 30, 30)))
    assert boxes.agree(large, small, (100, 80), (50, 40))
    assert not boxes.agree(large, small, (100, 80), (100, 80))
    assert not boxes.agree(large, item("c.jpg", ("cat", (5, 5, 30, 30))), (100, 80), (50, 40))
    assert not boxes.agree(large, item("c.jpg", ("dog", (5, 5, 30, 30)), ("cat", (35, 5, 45, 35))), (100, 80), (50, 40))
    assert boxes.agree(item("e"), item("f"), (1, 1), (1, 1))


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    """Six pictures, of which two are one; a doubled, an outlying and a nameless box; a picture of nothing."""
    root = tmp_path / "d"
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    (root / "data.yaml").write_text("names: [cat, dog]\n")
    rows = {
        "a": "0 0.5 0.5 0.5 0.5\n0 0.5 0.5 0.5 0.501\n",
        "b": "1 0.5 0.5 0.5 0.5\n1 1.5 0.5 0.5 0.5\n",
        "c": "1 0.5 0.5 0.5 0.5\n7 0.5 0.5 0.2 0.2\n",
        "d": "",
        "e": "0 0.5 0.5 0.5 0.5\n1 0.95 0.5 0.3 0.2\n",
        "f": "1 0.5 0.5 0.5 0.5\n",
    }
    for number, (stem, text) in enumerate(rows.items()):
        data = encoded(drawn(number, (120, 100)))
        (root / "images" / f"{stem}.jpg").write_bytes(data)
        (root / "labels" / f"{stem}.txt").write_text(text)
    (root / "images" / "f2.jpg").write_bytes((root / "images" / "f.jpg").read_bytes())
    (root / "labels" / "f2.txt").write_text("1 0.4 0.5 0.5 0.5\n")
    return root


def test_what_clean_finds_and_mends(yolo: Path) -> None:
    dataset = read(yolo)
    seen = survey(dataset, quality=True)
    dataset = with_hashes(dataset, seen.sha256)
    findings = look_over(dataset, seen)
    kinds = by_kind(findings)
    assert set(kinds) <= set(KINDS)
    bad = {one.items[0].rpartition("/")[2]: one.message for one in kinds["bad_box"]}
    assert set(bad) == {"b.jpg", "c.jpg", "e.jpg"}
    assert "outside the picture" in bad["b.jpg"]
    assert "there is no class 7" in bad["c.jpg"]
    assert "12 pixels beyond the picture" in bad["e.jpg"]
    assert [one.items for one in kinds["doubled_box"]] == [("images/a.jpg",)]
    assert [set(one.items) for one in kinds["label_conflict"]] == [{"images/f.jpg", "images/f2.jpg"}]
    steps = plan(dataset, seen, findings, chosen("tiny_box"))
    assert steps.dropped == {}  # a bad box never costs its picture, and which of two truths is right is not ours to say
    better = mended(dataset, steps)
    assert {name: len(truth) for name, truth in steps.truths.items()} == {"images/a.jpg": 1}
    assert [len(one.truth) for one in better.items] == [1, 1, 1, 0, 2, 1, 1]
    assert better.hash != dataset.hash
    assert better.task == "detection"


def test_a_rare_class_stops_no_training_of_a_detector(yolo: Path) -> None:
    (yolo / "data.yaml").write_text("names: [cat, dog, never]\n")
    findings = check(read(yolo))
    assert {one.kind for one in findings if one.severity == "error"} == set()
    assert any("'never' has 0 pictures" in one.message for one in findings)
