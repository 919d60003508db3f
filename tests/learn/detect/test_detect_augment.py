from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from coloured import COLOURS, STILL, scenes  # noqa: E402

from sightline.learn.augment import Augment  # noqa: E402
from sightline.learn.detect.augment import Shift, alone, boxes_moved, mosaic, moved, scene_batch  # noqa: E402
from sightline.learn.detect.data import Truth  # noqa: E402
from sightline.runtime.fitting import GREY  # noqa: E402

pytestmark = pytest.mark.deep
MUCH = Augment(flip=True, degrees=15, scale=0.5, aspect=0.2, shift=0.2, colour=0, crop=1)


def changed(data, how, seed=0, rows=None, swaps=None):
    def taken(some):
        return torch.from_numpy(data.images[some.numpy()])

    rows = torch.arange(len(data.images)) if rows is None else rows
    return scene_batch(rows, taken, data.truth, how, torch.Generator().manual_seed(seed), fill=GREY, swaps=swaps)


def near(pixels, box, colour):
    """The share of a box's middle that has the colour."""
    x0, y0, x1, y1 = box
    w, h = (x1 - x0) * 0.25, (y1 - y0) * 0.25
    part = pixels[round(y0 + h) : max(round(y0 + h) + 1, round(y1 - h)), round(x0 + w) : max(round(x0 + w) + 1, round(x1 - w))]
    return float((np.abs(part - np.asarray(colour)).max(-1) < 40).mean())


def test_nothing_asked_for_changes_nothing():
    data = scenes()
    pixels, targets = changed(data, Shift(STILL, 64))
    assert np.abs(pixels.numpy() - data.images).max() < 1e-3
    for target, truth in zip(targets, data.truth, strict=True):
        assert np.allclose(target.boxes.numpy(), truth.boxes)
        assert (target.labels.numpy() == truth.labels).all()


@pytest.mark.parametrize("side", [32, 64, 96])
@pytest.mark.parametrize("fours", [0.0, 1.0])
def test_objects_stay_in_their_boxes_whatever_is_done(side, fours):
    data = scenes(16)
    shown = 0
    for seed in range(3):
        pixels, targets = changed(data, Shift(MUCH, side, mosaic=fours), seed)
        assert pixels.shape == (16, side, side, 3)
        for picture, target in zip(pixels.numpy(), targets, strict=True):
            for box, label in zip(target.boxes.numpy(), target.labels.numpy(), strict=True):
                assert (box >= 0).all()
                assert (box <= side).all()
                if min(box[2] - box[0], box[3] - box[1]) >= 8:
                    shown += 1
                    assert near(picture, box, COLOURS[label]) > 0.6
    assert shown > 12


def test_the_same_generator_gives_the_same_scenes_and_another_others():
    data, how = scenes(), Shift(replace(MUCH, colour=0.3, noise=0.05, each=("blur:0.01",)), 64, mosaic=0.5)
    first, again, other = (changed(data, how, seed) for seed in (1, 1, 2))
    assert torch.equal(first[0], again[0])
    assert all(torch.equal(a.boxes, b.boxes) for a, b in zip(first[1], again[1], strict=True))
    assert not torch.equal(first[0], other[0])


def test_what_little_is_left_of_an_object_is_neither_asked_for_nor_wrong():
    truth = Truth(np.asarray([[0, 20, 20, 40]], np.float32), np.zeros(1, np.int64), np.asarray([[40, 40, 60, 60]], np.float32))
    image = np.zeros((1, 64, 64, 3), np.uint8)

    class Data:
        images, truth_ = image, truth

    data = Data()
    data.truth = (truth,)
    kept, dropped = 0, 0
    for seed in range(60):
        target = changed(data, Shift(replace(STILL, shift=0.45), 64), seed)[1][0]
        kept += len(target.boxes)
        if not len(target.boxes):
            dropped += 1
        assert len(target.boxes) + len(target.ignored) <= 2
    assert kept > 20
    assert dropped > 5


def test_mirrored_masks_and_keypoints_follow_and_left_becomes_right():
    box = np.asarray([[8, 16, 24, 48]], np.float32)
    mask = np.zeros((1, 64, 64), np.uint8)
    mask[0, 16:48, 8:24] = 1
    points = np.asarray([[[8, 16, 2], [24, 16, 1], [16, 60, 0]]], np.float32)
    truth = Truth(box, np.zeros(1, np.int64), np.zeros((0, 4), np.float32), np.packbits(mask, axis=-1), points)

    class Data:
        images = np.zeros((1, 64, 64, 3), np.uint8)

    data = Data()
    data.truth = (truth,)
    seen = set()
    for seed in range(8):
        target = changed(data, Shift(replace(STILL, flip=True), 64), seed, swaps=(1, 0, 2))[1][0]
        x0, y0, x1, y1 = (int(v) for v in target.boxes[0])
        assert target.masks.shape == (1, 64, 64)
        assert target.masks[0, y0:y1, x0:x1].all()
        assert int(target.masks.sum()) == 32 * 16
        mirrored = x0 == 40
        seen.add(mirrored)
        expected = [[40.0, 16, 1], [56, 16, 2], [0, 0, 0]] if mirrored else [[8.0, 16, 2], [24, 16, 1], [0, 0, 0]]
        assert target.keypoints[0].tolist() == expected
    assert seen == {True, False}


def test_a_mosaic_covers_its_square_and_points_go_where_boxes_go():
    tiles = mosaic(64, Shift(MUCH, 80, mosaic=1), np.random.default_rng(0).random((4, 8)))
    assert sum((x1 - x0) * (y1 - y0) for _, _, (x0, y0, x1, y1), _ in tiles) == 80 * 80
    tile = alone(64, Shift(MUCH, 64), np.random.default_rng(1).random(8))
    corner = moved(np.asarray([[10, 12], [30, 12], [10, 40], [30, 40]], np.float32), tile, 64)
    box = boxes_moved(np.asarray([[10, 12, 30, 40]], np.float32), tile, 64)[0]
    assert np.allclose(box, [*corner.min(0), *corner.max(0)])
