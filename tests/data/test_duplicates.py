"""Perceptual hashes, pairs and families: altered copies are found, different pictures are not, flat ones belong to nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from pictures import COLOURS, drawn, encoded
from sightline.data import bits
from sightline.data.duplicates import DISTANCE, alike, families, hashes, merged, near_pairs
from sightline.data.looks import look, perceptual
from sightline.errors import UsageError


def seen(pictures: list[Image.Image]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    looks = [look(np.asarray(picture.convert("RGB"))) for picture in pictures]
    return perceptual(np.stack([grey for grey, _ in looks])), np.stack([miniature for _, miniature in looks])


def altered(picture: Image.Image) -> dict[str, Image.Image]:
    import io

    width, height = picture.size
    return {
        "same": picture,
        "recompressed": Image.open(io.BytesIO(encoded(picture, quality=30))),
        "half": picture.resize((width // 2, height // 2)),
        "larger": picture.resize((width * 2, height * 2), Image.Resampling.BICUBIC),
        "cropped": picture.crop((2, 2, width - 2, height - 2)),
        "brighter": ImageEnhance.Brightness(picture).enhance(1.1),
    }


@pytest.mark.parametrize("seed", range(4))
def test_altered_copies_are_found(seed: int) -> None:
    copies = list(altered(drawn(seed, (320, 240))).values())
    found, miniatures = seen(copies)
    pairs = {tuple(pair) for pair in alike(found, miniatures).tolist()}
    assert {(0, number) for number in range(1, len(copies))} <= pairs


def test_different_pictures_and_recoloured_ones_are_not_alike() -> None:
    found, miniatures = seen([drawn(seed, colour=colour) for seed in range(60) for colour in COLOURS.values()])
    assert len(alike(found, miniatures)) == 0
    assert len(near_pairs(found)) > 0  # the recoloured ones: the hash alone sees no colour


def test_flat_pictures_have_no_hash() -> None:
    rng = np.random.default_rng(0)
    flat = [Image.new("RGB", (64, 48), (shade, shade, 200)) for shade in (0, 90, 255)]
    noisy = [Image.fromarray((rng.normal(128, 2, (48, 64, 3))).astype(np.uint8)) for _ in range(3)]
    found, miniatures = seen(flat + noisy)
    assert found.tolist() == [0] * 6
    assert len(set(families(found, miniatures).tolist())) == 6


def test_hash_is_the_standard_one() -> None:
    """Against the definition: DCT-II of 32 x 32 grey values written out, top-left 8 x 8 above its median."""
    grey, _ = look(np.asarray(drawn(3)))
    k, n = np.arange(8), np.arange(32)
    basis = np.array([[np.cos(np.pi / 32 * (j + 0.5) * u) for j in n] for u in k])
    terms = np.array([[(grey * np.outer(basis[u], basis[v])).sum() for v in k] for u in k])
    bits = "".join("1" if term > np.median(terms) else "0" for term in terms.ravel())
    assert int(perceptual(grey[None])[0]) == int(bits, 2)


def every_pair(values: NDArray[np.uint64], distance: int) -> list[list[int]]:
    differ = np.bitwise_count(values[:, None] ^ values[None])
    return [[a, b] for a, b in np.argwhere(differ <= distance).tolist() if a < b and values[a] != 0 and values[b] != 0]


@pytest.mark.parametrize("shared", [0, 1, 2, 3])
@pytest.mark.parametrize("distance", [0, 3, 8])
def test_near_pairs_are_complete(shared: int, distance: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal blocks and the plain comparison (shared=0) give the same pairs as comparing each with each."""
    monkeypatch.setattr(bits, "_plan", lambda count, distance: shared)
    monkeypatch.setattr(bits, "_BLOCK", 5_000)
    rng = np.random.default_rng(distance)
    base = rng.integers(1, 2**63, 60, dtype=np.uint64)
    values = np.repeat(base, 6)
    for row in range(len(values)):
        for bit in rng.integers(0, 64, row % 6 * 2):
            values[row] ^= np.uint64(1) << np.uint64(bit)
    values[::50] = 0
    values[7::20] = values[7]
    assert near_pairs(values, distance).tolist() == every_pair(values, distance)


@pytest.mark.parametrize("count", range(8))
def test_few_hashes(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bits, "_plan", lambda count, distance: 2)
    values = np.arange(1, count + 1, dtype=np.uint64)
    assert near_pairs(values, 1).tolist() == every_pair(values, 1)


def test_the_plan_follows_the_size() -> None:
    assert bits._plan(1_000, 8) == 0
    assert bits._plan(1_000_000, 8) == 3
    assert bits._plan(1_000_000, 63) == 0


def test_fifty_thousand_hashes() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(1, 2**63, 50_000, dtype=np.uint64)
    values[40_000:] = values[:10_000] ^ np.uint64(0b1011)
    pairs = near_pairs(values, DISTANCE)
    assert {(n, 40_000 + n) for n in range(10_000)} <= set(map(tuple, pairs.tolist()))


def test_merged() -> None:
    labels = merged(np.arange(6), np.array([[0, 1], [3, 4], [4, 1]])).tolist()
    assert labels[0] == labels[1] == labels[3] == labels[4]
    assert len(set(labels)) == 3
    again = merged(np.array([0, 0, 1, 1, 2]), np.array([[0, 3]])).tolist()
    assert again[0] == again[1] == again[2] == again[3] != again[4]


def test_many_copies_do_not_need_many_pairs() -> None:
    """3,000 frames of a camera that stands still are one family."""
    one, miniatures = seen([drawn(1)])
    labels = families(np.repeat(one, 3000), np.repeat(miniatures, 3000, axis=0))
    assert set(labels.tolist()) == {0}


def test_files(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(drawn(1, (800, 600)), quality=90))
    (tmp_path / "b.png").write_bytes(encoded(drawn(1, (800, 600)), "PNG"))
    (tmp_path / "c.jpg").write_bytes(b"no picture")
    found = hashes([tmp_path / name for name in ("a.jpg", "b.png", "c.jpg", "gone.jpg")])
    assert np.bitwise_count(found[0] ^ found[1]) <= 2
    assert found[2:].tolist() == [0, 0]


def test_impossible_distance() -> None:
    with pytest.raises(UsageError, match="64"):
        near_pairs(np.zeros(3, np.uint64), 64)
