"""Light, blur, size and shape: said about pictures that have them, not about ordinary ones."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pictures import drawn, pixels
from sightline.data.quality import COLUMNS, measure, remarks


def kinds(picture: Image.Image | NDArray[np.uint8]) -> set[str]:
    array = pixels(picture) if isinstance(picture, Image.Image) else picture
    height, width = array.shape[:2]
    row = measure(array)
    assert row.shape == (len(COLUMNS),)
    assert row.dtype == np.float32
    assert np.isfinite(row).all()
    found = list(remarks(row[None], np.array([width], np.int32), np.array([height], np.int32)))
    assert all(0 <= one.score <= 1 and one.spot == 0 and one.message for one in found)
    return {one.kind for one in found}


@pytest.mark.parametrize("size", [(96, 80), (400, 300), (300, 1000), (2400, 1800)])
def test_an_ordinary_picture_is_fine(size: tuple[int, int]) -> None:
    assert kinds(drawn(1, size)) == set()


def test_light() -> None:
    picture = drawn(3, (300, 240))
    assert kinds(picture.point(lambda value: value * 0.2)) == {"dark"}
    assert kinds(picture.point(lambda value: min(255, value * 3 + 60))) >= {"bright"}


def test_a_thing_cut_out_on_white_is_not_called_burnt_out() -> None:
    picture = Image.new("RGB", (300, 240), "white")
    picture.paste(drawn(3, (140, 120)), (80, 60))
    assert kinds(picture) == set()


def test_blur() -> None:
    picture = drawn(3, (640, 480))
    assert kinds(picture.filter(ImageFilter.GaussianBlur(12))) == {"blurred"}
    moved = np.mean([np.roll(pixels(picture), step, axis=1) for step in range(-30, 30)], axis=0)[:, 30:-30]
    assert kinds(moved.astype(np.uint8)) == {"blurred"}
    small = picture.filter(ImageFilter.GaussianBlur(12)).resize((40, 36))
    assert "blurred" not in kinds(small)  # too small to tell


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (90, 120, 80)])
def test_one_colour_is_blank_and_nothing_else(colour: tuple[int, int, int]) -> None:
    assert kinds(Image.new("RGB", (200, 160), colour)) == {"blank"}


def test_a_lens_cap_with_noise_is_blank() -> None:
    noise = np.random.default_rng(0).normal(4, 2, (900, 1200, 3)).clip(0, 255).astype(np.uint8)
    assert kinds(noise) == {"blank"}


def test_a_small_mark_on_paper_is_not_blank() -> None:
    picture = Image.new("RGB", (600, 600), "white")
    picture.paste((0, 0, 0), (300, 300, 312, 312))
    assert "blank" not in kinds(picture)


def test_two_colours_of_one_grey_are_not_blank() -> None:
    picture = Image.new("RGB", (200, 160), (130, 60, 60))
    picture.paste((60, 95, 60), (0, 0, 100, 160))
    assert "blank" not in kinds(picture)


def test_size_and_shape() -> None:
    assert kinds(drawn(1, (31, 60))) == {"tiny"}
    assert kinds(drawn(1, (32, 60))) == set()
    assert "odd_aspect" in kinds(drawn(1, (410, 100)))
    assert "odd_aspect" in kinds(drawn(1, (100, 410)))
    assert "odd_aspect" not in kinds(drawn(1, (400, 100)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (2, 3), (5000, 1), (9, 9), (3, 3)])
def test_any_size_is_measured(shape: tuple[int, int]) -> None:
    kinds(np.random.default_rng(1).integers(0, 255, (*shape, 3), dtype=np.uint8))


def test_nothing_is_said_about_a_picture_of_unknown_size() -> None:
    assert list(remarks(np.zeros((1, len(COLUMNS)), np.float32), np.zeros(1, np.int32), np.zeros(1, np.int32))) == []


def test_the_size_of_a_picture_hardly_changes_its_numbers() -> None:
    large = drawn(5, (1600, 1200))
    row, other = measure(pixels(large)), measure(pixels(large.resize((400, 300), Image.Resampling.BOX)))
    assert np.abs(row[:4] - other[:4]).max() < 3
    assert np.abs(row[5:] - other[5:]).max() < 0.15
