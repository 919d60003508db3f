from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from pictures import drawn, encoded, pixels  # noqa: E402
from sightline.errors import NotFoundError  # noqa: E402
from sightline.learn.recipes import read_recipe  # noqa: E402
from sightline.learn.variants import mixed, opened, variant  # noqa: E402
from sightline.runtime.masks import pixels_of, to_mask  # noqa: E402
from sightline.types import Annotation, Item, Skeleton  # noqa: E402

pytestmark = pytest.mark.deep

PICTURE = pixels(drawn(2, (80, 60)))


def test_a_copy_is_the_same_for_seed_name_and_number():
    changes = read_recipe("medium")
    first = variant(PICTURE, (), changes, 0, number=1, name="a.jpg")
    assert np.array_equal(first.pixels, variant(PICTURE, (), changes, 0, number=1, name="a.jpg").pixels)
    for seed, number, name in ((1, 1, "a.jpg"), (0, 2, "a.jpg"), (0, 1, "b.jpg")):
        other = variant(PICTURE, (), changes, seed, number=number, name=name).pixels
        assert other.shape != first.pixels.shape or not np.array_equal(other, first.pixels)


def test_labels_of_whole_pictures_stay():
    truth = (Annotation(label="cat", origin="human:ana"), Annotation(label="dog"))
    assert variant(PICTURE, truth, read_recipe("strong"), 0).truth == truth


def test_boxes_are_cut_at_the_edge_and_dropped_when_little_is_left():
    things = [Annotation(label="thing", box=(x, 20, x + 10, 30)) for x in range(0, 70, 5)]
    dropped = cut = 0
    for number in range(20):
        found = variant(PICTURE, things, read_recipe("translate:0.5"), 0, number=number)
        boxes = [one.box for one in found.truth]
        dropped += len(things) - len(boxes)
        for x0, y0, x1, y1 in boxes:
            assert 0 <= x0 < x1 <= 80
            assert 0 <= y0 < y1 <= 60
            assert (x1 - x0) * (y1 - y0) >= 0.29 * 100
            cut += (x1 - x0) * (y1 - y0) < 99
    assert dropped > 10
    assert cut > 3


def test_a_mirrored_outline_and_its_points():
    outline = ((10.0, 10.0), (30.0, 10.0), (30.0, 40.0))
    one = Annotation(label="thing", box=(10, 10, 30, 40), polygon=outline, keypoints=((12.0, 11.0), (29.0, 39.0)))
    seen = set()
    for number in range(8):
        (found,) = variant(PICTURE, (one,), read_recipe("flip"), 0, number=number).truth
        seen.add(found.box)
        if found.box == (50.0, 10.0, 70.0, 40.0):
            assert set(found.polygon) == {(80 - x, y) for x, y in outline}
            assert found.keypoints == ((68.0, 11.0), (51.0, 39.0))
        else:
            assert found == one
    assert len(seen) == 2


def test_points_that_leave_keep_their_place_in_the_list():
    one = Annotation(label="hand", keypoints=tuple((x, 30.0) for x in range(0, 80, 8)))
    for number in range(10):
        for found in variant(PICTURE, (one,), read_recipe("translate:0.4"), 0, number=number).truth:
            assert len(found.keypoints) == 10
            assert all(0 <= x <= 80 and 0 <= y <= 60 for x, y in found.keypoints)


def test_masks_and_parts_follow_and_left_and_right_change_places():
    parts = (((10.0, 10.0), (30.0, 10.0), (30.0, 40.0)), ((40.0, 5.0), (60.0, 5.0), (60.0, 25.0)))
    there = np.zeros((60, 80), bool)
    there[10:40, 10:30] = True
    thing = Annotation(label="thing", box=(10, 5, 60, 40), rings=parts, mask=to_mask(there))
    points = ((12.0, 11.0), (29.0, 39.0), (0.0, 0.0))
    face = Annotation(label="face", box=(10, 10, 30, 40), keypoints=points, visibility=(2, 1, 0))
    skeletons = {"face": Skeleton(points=("left eye", "right eye", "nose"))}
    mirrored = 0
    for number in range(8):
        found = variant(PICTURE, (thing, face), read_recipe("flip"), 0, number=number, skeletons=skeletons).truth
        if found == (thing, face):
            continue
        mirrored += 1
        assert (pixels_of(found[0].mask) == there[:, ::-1]).all()
        assert {frozenset(ring) for ring in found[0].rings} == {frozenset((80 - x, y) for x, y in ring) for ring in parts}
        assert found[0].polygon is None
        assert found[1].keypoints == ((51.0, 39.0), (68.0, 11.0), (0.0, 0.0))
        assert found[1].visibility == (1, 2, 0)
    assert mirrored


def test_points_and_parts_outside_are_not_there_any_more():
    one = Annotation(label="hand", box=(0, 0, 80, 60), keypoints=((2.0, 30.0), (40.0, 30.0), (78.0, 30.0)))
    mask = np.zeros((60, 80), bool)
    mask[:, :4] = True
    strip = Annotation(label="strip", box=(0, 0, 4, 60), mask=to_mask(mask))
    lost = gone = 0
    for number in range(12):
        found = variant(PICTURE, (one, strip), read_recipe("translate:0.4"), 0, number=number).truth
        gone += len(found) < 2
        for x, y in zip(found[0].keypoints, found[0].visibility or (2, 2, 2), strict=True):
            lost += y == 0
            assert (x == (0.0, 0.0)) == (y == 0)
    assert lost > 2
    assert gone > 2


def test_a_large_picture_is_opened_smaller_with_its_marks(tmp_path):
    file = tmp_path / "large.jpg"
    file.write_bytes(encoded(drawn(1, (400, 300)), quality=90))
    truth = (Annotation(label="thing", box=(100, 30, 200, 90)), Annotation(label="plain"))
    item = Item(uri=str(file), name="large.jpg", truth=truth)
    found = opened(item, 100)
    assert found.pixels.shape == (75, 100, 3)
    assert found.truth[0].box == (25.0, 7.5, 50.0, 22.5)
    assert found.truth[1] == truth[1]
    assert opened(item, 1000).pixels.shape == (300, 400, 3)
    with pytest.raises(NotFoundError):
        opened(item.model_copy(update={"uri": str(tmp_path / "none.jpg")}), 100)


def test_mixing_says_its_shares():
    flat = [np.full((24, 24, 3), level, np.uint8) for level in (0, 100, 200)]
    found, shares = mixed(flat, read_recipe("mixup:1,cutmix:0.5"), 3)
    assert shares.shape == (3, 3)
    assert np.allclose(shares.sum(1), 1)
    assert np.allclose(found.mean((1, 2, 3)), shares @ [0, 100, 200], atol=1.0)
    assert (shares.max(1) < 0.999).any()
