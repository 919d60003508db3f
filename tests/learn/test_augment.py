from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from sightline.learn.augment import NONE, Augment, asked_for, augment  # noqa: E402
from sightline.learn.recipes import read_recipe  # noqa: E402

pytestmark = pytest.mark.deep


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(n=4, size=24, seed=1):
    images = torch.randint(0, 256, (n, size, size, 3), dtype=torch.uint8, generator=draws(seed))
    return images, torch.eye(n)


def test_nothing_asked_changes_nothing():
    images, targets = batch()
    changed, same = augment(images, targets, NONE, 24, draws())
    assert torch.equal(changed, images.float())
    assert torch.equal(same, targets)


def test_same_generator_same_batch_and_the_global_state_is_not_touched():
    images, targets = batch()
    how = Augment(erase=0.5, mixup=0.2, cutmix=0.5)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one, soft = augment(images, targets, how, 16, draws(3))
    torch.manual_seed(99)
    two, again = augment(images, targets, how, 16, draws(3))
    other, _ = augment(images, targets, how, 16, draws(4))
    assert one.shape == (4, 16, 16, 3)
    assert torch.equal(one, two)
    assert torch.equal(soft, again)
    assert not torch.equal(one, other)
    torch.manual_seed(5)
    assert torch.equal(torch.get_rng_state(), state)


def test_flip_mirrors_about_half_and_off_never():
    images = torch.zeros(64, 8, 8, 3, dtype=torch.uint8)
    images[:, :, :4] = 255
    targets = torch.zeros(64, 2)
    flipped, _ = augment(images, targets, replace(NONE, flip=True), 8, draws())
    mirrored = (flipped[:, 4, 0, 0] < 128).sum()
    assert 16 < mirrored < 48
    mirrors = flipped[:, 4, 0, 0] < 128
    assert torch.allclose(flipped[mirrors], images[:1].flip(2).float(), atol=0.01)
    shaken, _ = augment(images, targets, Augment(flip=False), 8, draws())
    assert (shaken[:, 4, 1, 0] > shaken[:, 4, 6, 0]).all()


def test_shift_brings_in_the_ground():
    images = torch.full((32, 20, 20, 3), 200, dtype=torch.uint8)
    fill = torch.tensor([10.0, 20.0, 30.0])
    moved, _ = augment(images, torch.zeros(32, 2), replace(NONE, shift=0.3), 20, draws(), fill=fill)
    edge = torch.cat([moved[:, 0, 10], moved[:, -1, 10], moved[:, 10, 0], moved[:, 10, -1]])
    assert (edge - fill).abs().sum(1).min() < 0.5
    assert moved[:, 10, 10].min() > 199


def test_view_shows_the_middle_of_a_larger_stored_picture():
    images = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    images[:, 8:24, 8:24] = 250
    seen, _ = augment(images, torch.zeros(1, 2), replace(NONE, view=0.5), 16, draws())
    assert seen.min() > 249


@pytest.mark.parametrize("strength", [0.2, 0.5])
def test_colours_change_by_as_much_as_asked(strength):
    grey = torch.full((200, 4, 4, 3), 100, dtype=torch.uint8)
    changed, _ = augment(grey, torch.zeros(200, 2), replace(NONE, colour=strength), 4, draws())
    # a grey picture has neither contrast nor saturation: only brightness changes it
    assert changed.min() >= 100 * (1 - strength) - 0.01
    assert changed.max() <= 100 * (1 + strength) + 0.01
    assert changed.max() - changed.min() > 100 * strength
    assert (changed.amax((1, 2, 3)) - changed.amin((1, 2, 3))).max() < 0.01


def test_saturation_keeps_the_brightness_of_a_pixel():
    red = torch.zeros(50, 2, 2, 3, dtype=torch.uint8)
    red[..., 0] = 200
    changed, _ = augment(red, torch.zeros(50, 2), replace(NONE, colour=0.3), 2, draws())
    luma = changed @ torch.tensor([0.299, 0.587, 0.114])
    assert (luma / (0.299 * 200)).min() > 0.69  # brightness only
    assert (changed[..., 1] != 0).any()


def test_erase_blanks_a_part_with_the_ground():
    images = torch.full((64, 32, 32, 3), 250, dtype=torch.uint8)
    fill = torch.tensor([1.0, 2.0, 3.0])
    changed, _ = augment(images, torch.zeros(64, 2), replace(NONE, erase=0.5), 32, draws(), fill=fill)
    blank = (changed - fill).abs().sum(3) < 0.01
    share = blank.float().mean((1, 2))
    assert 16 < (share > 0).sum() < 48
    assert share[share > 0].min() > 0.005
    assert share.max() < 0.25


@pytest.mark.parametrize("how", [replace(NONE, mixup=0.4), replace(NONE, cutmix=1.0), replace(NONE, mixup=0.4, cutmix=0.5)])
def test_mixing_keeps_targets_in_proportion(how):
    levels = torch.tensor([0, 80, 160, 240], dtype=torch.uint8)
    images = levels.view(4, 1, 1, 1).expand(4, 32, 32, 3).contiguous()
    for seed in range(4):
        mixed, soft = augment(images, torch.eye(4), how, 32, draws(seed))
        assert torch.allclose(soft.sum(1), torch.ones(4))
        assert torch.allclose(mixed.mean((1, 2, 3)), soft @ levels.float(), atol=0.5)


def test_a_crop_shows_a_part_from_inside_only():
    images = torch.full((64, 32, 32, 3), 200, dtype=torch.uint8)
    images[:, ::2, ::2] = 0
    fill = torch.tensor([255.0, 0.0, 0.0])
    cut, _ = augment(images, torch.zeros(64, 2), replace(NONE, crop=0.2), 32, draws(), fill=fill)
    assert (cut[..., 0] - cut[..., 1]).abs().max() < 70  # no red ground but at the very edge, which is half a pixel out
    assert cut[:, 2:-2, 2:-2].sub(cut[:, 2:-2, 2:-2, :1]).abs().max() < 0.01
    gradient = torch.linspace(0, 255, 32).to(torch.uint8).view(1, 1, 32, 1).expand(64, 32, 32, 3).contiguous()
    cut, _ = augment(gradient, torch.zeros(64, 2), replace(NONE, crop=0.2), 32, draws())
    width = (cut[:, 16, -2, 0] - cut[:, 16, 1, 0]) / 255
    assert width.min() > 0.35
    assert width.max() < 1
    assert cut[:, 16, 16, 0].std() > 15


def test_noise_is_as_strong_as_asked():
    flat = torch.full((64, 20, 20, 3), 128, dtype=torch.uint8)
    noisy, _ = augment(flat, torch.zeros(64, 2), replace(NONE, noise=0.1), 20, draws())
    spread = noisy.std((1, 2, 3))
    assert 20 < spread.max() < 30
    assert spread.min() < 5
    assert abs(noisy.mean() - 128) < 0.5


def test_a_recipes_text_becomes_what_batches_and_single_pictures_can_have():
    how = asked_for(read_recipe("flip,rotate:15,translate:0.1,erase:0.2,blur,mixup:0.3,elastic:0.05"))
    assert how == replace(NONE, flip=True, degrees=15, shift=0.1, erase=0.2, mixup=0.3, each=("elastic:0.05", "blur:0.005"))
    assert asked_for(read_recipe("none")) == NONE
    assert asked_for(read_recipe("medium")).each == ()
    assert asked_for(read_recipe("medium,flip:0")).flip is False


def test_medium_is_what_fine_tuning_does_by_itself():
    from sightline.learn.plan import FINE_TUNE

    assert asked_for(read_recipe("medium")) == FINE_TUNE.augment


def test_whole_pixels_are_moved_and_mirrored_at_the_edge():
    row = torch.arange(6, dtype=torch.uint8).view(1, 1, 6, 1).expand(200, 6, 6, 3).contiguous()
    changed, _ = augment(row, torch.ones(200, 1), replace(NONE, pixels=2), 6, draws())
    seen = {tuple(one[0, :, 0].int().tolist()) for one in changed}
    assert seen == {(2, 1, 0, 1, 2, 3), (1, 0, 1, 2, 3, 4), (0, 1, 2, 3, 4, 5), (1, 2, 3, 4, 5, 4), (2, 3, 4, 5, 4, 3)}
    down, _ = augment(row.transpose(1, 2).contiguous(), torch.ones(200, 1), replace(NONE, pixels=1), 6, draws())
    assert {tuple(one[:, 3, 0].int().tolist()) for one in down} == {(1, 0, 1, 2, 3, 4), (0, 1, 2, 3, 4, 5), (1, 2, 3, 4, 5, 4)}
