"""v2's changes with everything marked on a picture: places follow the pixels, the seed decides."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from pictures import drawn, pixels  # noqa: E402
from sightline.learn import recipes  # noqa: E402
from sightline.learn.recipes import CHANGES, MIXING, read_recipe  # noqa: E402
from sightline.learn.reproduce import seed_of  # noqa: E402
from sightline.learn.transforms import each, pipeline, varied  # noqa: E402
from sightline.runtime.fitting import GREY  # noqa: E402

pytestmark = pytest.mark.deep

SEEDS = [seed_of(0, "test", number) for number in range(8)]
PICTURE = pixels(drawn(2, (70, 50)))
MOVES = ("flip", "crop", "rotate:40", "scale:0.5", "aspect:0.8", "translate:0.3", "perspective:0.8", "elastic:0.05")


def marked():
    """A white rectangle on black, with the same rectangle as a box, a mask, and its corners as points."""
    picture = np.zeros((120, 160, 3), np.uint8)
    picture[40:70, 30:90] = 255
    mask = (picture[None, ..., 0] > 0).astype(np.uint8)
    return picture, (30, 40, 90, 70), mask, [(30, 40), (90, 40), (90, 70), (30, 70)]


def around(white):
    rows, columns = np.flatnonzero(white.any(1)), np.flatnonzero(white.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


@pytest.mark.parametrize("recipe", [*MOVES, "flip,crop:0.7,rotate:25,scale:0.3,aspect:0.3,translate:0.1"])
def test_boxes_masks_and_points_follow_the_pixels(recipe):
    picture, box, mask, corners = marked()
    how = pipeline(read_recipe(recipe).amounts, marked=True)
    moved = 0
    for seed in SEEDS:
        found = varied(picture, how, seed, boxes=[box], points=corners, masks=mask)
        height, width = found.pixels.shape[:2]
        white = (found.pixels[..., 0] > 200) & (found.pixels[..., 1] > 200)
        assert found.masks.shape == (1, height, width)
        if not white.any():
            continue
        differs = (found.masks[0] > 0) ^ white
        assert differs.sum() < 0.12 * white.sum() + 12  # edges: nearest there, bilinear here
        seen, limits = around(white), np.array([width, height, width, height])
        placed = np.clip(np.r_[found.points.min(0), found.points.max(0)], 0, limits)
        slack = 5 if "elastic" in recipe else 2  # sides bend between the corners
        if (found.points >= 0).all() and (found.points <= (width, height)).all():  # else the picture's edge cuts it aslant
            assert np.abs(placed - seen).max() <= slack
        assert (np.clip(found.boxes[0], 0, limits)[:2] <= seen[:2] + slack).all()
        assert (np.clip(found.boxes[0], 0, limits)[2:] >= seen[2:] - slack).all()
        moved += not np.array_equal(seen, box)
    assert moved >= 2


def test_the_seed_decides_and_the_global_state_is_not_touched():
    how = pipeline(read_recipe("strong,perspective,elastic,blur,randaugment").amounts)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    one, two, other = (varied(PICTURE, how, seed).pixels for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(one, two)
    assert one.shape != other.shape or not np.array_equal(one, other)


@pytest.mark.parametrize("name", [name for name in CHANGES if name not in MIXING])
def test_every_change_of_the_table_is_done(name):
    changed = 0
    for amount in (CHANGES[name].usual, CHANGES[name].high):
        how = pipeline({name: amount} if amount != recipes.off(name) else {name: 0.9})
        for seed in SEEDS[:6]:
            found = varied(PICTURE, how, seed).pixels
            assert found.dtype == np.uint8
            changed += found.shape != PICTURE.shape or not np.array_equal(found, PICTURE)
    assert changed >= 3
    assert np.array_equal(varied(PICTURE, pipeline({}), 0).pixels, PICTURE)


@pytest.mark.parametrize("name", ["randaugment", "trivialaugment"])
def test_random_policies_leave_marked_things_where_they_are(name):
    picture, box, *_ = marked()
    how = pipeline({name: CHANGES[name].usual}, marked=True)
    for seed in range(25):
        found = varied(picture, how, seed, boxes=[box])
        inside = found.pixels[45:65, 35:85].astype(int)
        assert np.array_equal(found.boxes[0], box)
        assert np.ptp(inside) <= 2


def test_noise_blur_grey_and_erase_do_what_they_say():
    flat = np.full((60, 60, 3), 120, np.uint8)
    noisy = [varied(flat, pipeline({"noise": 0.2}), seed).pixels.astype(float).std() for seed in SEEDS]
    assert 20 < max(noisy) < 55
    edge = np.zeros((60, 60, 3), np.uint8)
    edge[:, 30:] = 200
    soft = [varied(edge, pipeline({"blur": 0.05}), seed).pixels for seed in SEEDS]
    assert sum(len(np.unique(picture)) > 4 for picture in soft) >= 2
    assert all(abs(picture.astype(float).mean() - 100) < 3 for picture in soft)
    grey = varied(PICTURE, pipeline({"grey": 1.0}), 1).pixels
    assert np.ptp(grey.astype(int), axis=2).max() == 0
    erased = varied(flat, pipeline({"erase": 1.0}), 1).pixels
    assert 0.01 < (erased != 120).any(2).mean() < 0.25


def test_a_batch_keeps_its_shape_and_depends_on_seed_and_place_only():
    images = torch.from_numpy(np.stack([pixels(drawn(n, (32, 32))) for n in range(4)]))
    how = ("perspective:0.5", "elastic:0.05", "hue:0.2", "blur:0.03", "trivialaugment:1")
    one = each(images, how, 7, 100)
    assert one.shape == images.shape
    assert one.dtype == torch.uint8
    assert torch.equal(one, each(images, how, 7, 100))
    assert torch.equal(one[2:], each(images[2:], how, 7, 102))
    assert not torch.equal(one, each(images, how, 8, 100))
    assert not torch.equal(one, images)


@pytest.mark.parametrize(
    "recipe", ["rotate:40", "perspective:0.8", "elastic:0.05", "scale:1,translate:0.3", "rotate:30,perspective"]
)
def test_no_line_where_the_ground_begins(recipe):
    ground = np.zeros((50, 60, 3), np.uint8) + np.array(GREY, np.uint8)
    for seed in SEEDS:
        assert np.array_equal(varied(ground, pipeline(read_recipe(recipe).amounts), seed).pixels, ground)
