"""Pairs that show the same: re-compressed, shifted, cropped, mirrored and turned copies are found and named, others are not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from pictures import COLOURS, drawn, encoded
from sightline.data.duplicates import merged
from sightline.data.matches import KINDS, pairs
from sightline.data.survey import Survey, survey
from sightline.types import Dataset, Item

SIZE = (320, 240)
TURN = Image.Transpose


def seen(folder: Path, pictures: dict[str, Image.Image | bytes]) -> tuple[Survey, list[str]]:
    folder.mkdir(exist_ok=True)
    for name, picture in pictures.items():
        (folder / name).write_bytes(picture if isinstance(picture, bytes) else encoded(picture, quality=88))
    names = sorted(pictures)
    items = tuple(Item(uri=str(folder / name), name=name) for name in names)
    return survey(Dataset(name="d", task="multiclass", classes=(), items=items)), names


def found(folder: Path, pictures: dict[str, Image.Image | bytes], **options: bool) -> dict[tuple[str, str], str]:
    survey, names = seen(folder, pictures)
    matches = pairs(survey, **options)
    assert (matches.first < matches.second).all()
    return {(names[a], names[b]): kind for a, b, kind in zip(matches.first, matches.second, matches.kind.tolist(), strict=True)}


def cut(picture: Image.Image, part: float, x: float, y: float) -> Image.Image:
    """A piece of 1 - part of each side, at x, y in 0..1."""
    width, height = round(picture.width * (1 - part)), round(picture.height * (1 - part))
    left, top = round((picture.width - width) * x), round((picture.height - height) * y)
    return picture.crop((left, top, left + width, top + height))


def shifted(picture: Image.Image, across: float, down: float) -> Image.Image:
    pixels = np.asarray(picture)
    y, x = round(down * len(pixels)), round(across * pixels.shape[1])
    wide = np.pad(pixels, ((abs(y), abs(y)), (abs(x), abs(x)), (0, 0)), mode="edge")
    return Image.fromarray(wide[abs(y) + y :, abs(x) + x :][: pixels.shape[0], : pixels.shape[1]])


ALTERED = {
    "half": (lambda p: p.resize((p.width // 2, p.height // 2)), "recompressed"),
    "brighter": (lambda p: ImageEnhance.Brightness(p).enhance(1.15), "recompressed"),
    "poor": (lambda p: encoded(p, quality=20), "recompressed"),
    "shift": (lambda p: shifted(p, 0.05, -0.04), "cropped"),
    "far": (lambda p: shifted(p, -0.09, 0.09), "cropped"),
    "corner": (lambda p: cut(p, 0.06, 0, 1), "cropped"),
    "cut": (lambda p: cut(p, 0.12, 0.7, 0.3), "cropped"),
    "mirror": (lambda p: p.transpose(TURN.FLIP_LEFT_RIGHT), "mirrored"),
    "flip": (lambda p: p.transpose(TURN.FLIP_TOP_BOTTOM), "mirrored"),
    "upside": (lambda p: p.transpose(TURN.ROTATE_180), "rotated"),
    "left": (lambda p: p.transpose(TURN.ROTATE_90), "rotated"),
    "right": (lambda p: p.transpose(TURN.ROTATE_270), "rotated"),
    "transposed": (lambda p: p.transpose(TURN.TRANSPOSE), "rotated"),
    "mirrored and cut": (lambda p: cut(p.transpose(TURN.FLIP_LEFT_RIGHT), 0.06, 0.5, 0.5), "mirrored"),
}


@pytest.mark.parametrize("how", ALTERED)
def test_altered_copies(how: str, tmp_path: Path) -> None:
    alter, kind = ALTERED[how]
    others = {f"other-{seed}.jpg": drawn(seed, SIZE) for seed in range(100, 112)}
    originals = {f"{seed}-a.jpg": drawn(seed, SIZE) for seed in range(4)}
    copies = {f"{seed}-b.jpg": alter(drawn(seed, SIZE)) for seed in range(4)}
    assert found(tmp_path, others | originals | copies) == {(f"{seed}-a.jpg", f"{seed}-b.jpg"): kind for seed in range(4)}


def test_different_and_recoloured_pictures_are_no_pairs(tmp_path: Path) -> None:
    colours = list(COLOURS.values())
    pictures = {f"{seed}-{n}.jpg": drawn(seed, SIZE, colour) for seed in range(15) for n, colour in enumerate(colours[:2])}
    assert found(tmp_path, pictures) == {}


def test_exact_copies_are_paired_with_the_first_only(tmp_path: Path) -> None:
    one = encoded(drawn(1, SIZE))
    pictures = {"a.jpg": one, "b.jpg": one, "c.jpg": one, "d.jpg": encoded(drawn(1, SIZE), quality=40)}
    assert found(tmp_path, pictures) == {
        ("a.jpg", "b.jpg"): "copy",
        ("a.jpg", "c.jpg"): "copy",
        ("a.jpg", "d.jpg"): "recompressed",
    }


def test_what_is_not_asked_for_is_not_looked_for(tmp_path: Path) -> None:
    one = drawn(2, SIZE)
    pictures = {"a.jpg": one, "m.jpg": one.transpose(TURN.FLIP_LEFT_RIGHT), "s.jpg": shifted(one, 0.08, 0.08)}
    assert found(tmp_path, pictures, mirrored=False) == {("a.jpg", "s.jpg"): "cropped"}
    assert found(tmp_path, pictures, moved=False) == {("a.jpg", "m.jpg"): "mirrored"}


def test_flat_and_broken_pictures_match_nothing(tmp_path: Path) -> None:
    pictures: dict[str, Image.Image | bytes] = {f"{shade}.png": Image.new("RGB", (64, 64), (shade,) * 3) for shade in (0, 128)}
    pictures |= {"x.jpg": b"no picture", "y.jpg": encoded(drawn(1))[:200], "z.jpg": drawn(2)}
    assert found(tmp_path, pictures) == {}


def test_one_picture_or_none(tmp_path: Path) -> None:
    assert found(tmp_path, {"a.jpg": drawn(1)}) == {}
    assert found(tmp_path / "none", {}) == {}


def test_many_frames_are_one_family() -> None:
    """300 frames of a camera that stands still, with noise: not all pairs, but one family."""
    rng = np.random.default_rng(0)
    greys = np.asarray(drawn(1, (16, 16)).convert("L")).astype(int) + rng.integers(-1, 2, (300, 16, 16))
    colours = np.asarray(drawn(1, (8, 8))).astype(int) + rng.integers(-1, 2, (300, 8, 8, 3))
    frames = Survey(
        uris=tuple(map(str, range(300))),
        sha256=tuple(map(str, range(300))),
        hashes=np.ones(300, np.uint64),
        miniatures=colours.clip(0, 255).astype(np.uint8),
        failures=(),
        greys=greys.clip(0, 255).astype(np.uint8),
        widths=np.full(300, 16, np.int32),
        heights=np.full(300, 16, np.int32),
        formats=np.full(300, b"jpeg"),
    )
    matches = pairs(frames, moved=False)
    assert len(matches.first) < 300 * 299 // 4
    assert set(matches.kind.tolist()) <= set(KINDS)
    links = np.stack([matches.first, matches.second], axis=1)
    assert len(set(merged(np.arange(300), links).tolist())) == 1
    turned = dataclasses.replace(frames, greys=frames.greys[::-1], miniatures=frames.miniatures[::-1])
    assert len(pairs(turned, moved=False).first) > 0


def test_families_of_a_survey_hold_mirrored_copies(tmp_path: Path) -> None:
    pictures = {f"{seed}.jpg": drawn(seed, SIZE) for seed in range(6)} | {
        "m.jpg": drawn(3, SIZE).transpose(TURN.FLIP_LEFT_RIGHT),
        "r.jpg": drawn(4, SIZE).transpose(TURN.ROTATE_90),
    }
    survey, names = seen(tmp_path, pictures)
    family = dict(zip(names, survey.families().tolist(), strict=True))
    assert family["m.jpg"] == family["3.jpg"]
    assert family["r.jpg"] == family["4.jpg"]
    assert len(set(family.values())) == 6
