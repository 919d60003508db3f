"""The one pass over the pictures: what it sees, what it survives, and how it follows a dataset that shrinks."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pictures import class_folders, drawn, encoded
from sightline.data.manifest import manifest_hash, with_hashes, without
from sightline.data.quality import COLUMNS, measure
from sightline.data.readers import read
from sightline.data.survey import Survey, chained, survey, units
from sightline.errors import DatasetError
from sightline.progress import Event, listen
from sightline.runtime import pixels
from sightline.settings import settings
from sightline.types import Dataset, Item


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = class_folders(tmp_path / "d", 4)
    (root / "red" / "broken.jpg").write_bytes((root / "red" / "red-0.jpg").read_bytes()[:300])
    (root / "red" / "copy.jpg").write_bytes((root / "red" / "red-1.jpg").read_bytes())
    return root


def test_survey(root: Path) -> None:
    dataset = read(root, hashed=False)
    events: list[Event] = []
    with listen(events.append):
        seen = survey(dataset)
    assert [failure.picture for failure in seen.failures] == ["red/broken.jpg"]
    assert seen.failures[0].error.message
    assert seen.hashes.shape == (14,)
    assert seen.miniatures.shape == (14, 8, 8, 3)
    assert (seen.hashes == 0).tolist() == [item.name == "red/broken.jpg" for item in dataset.items]
    assert with_hashes(dataset, seen.sha256).hash == read(root).hash
    names = [item.name for item in dataset.items]
    assert seen.copies().tolist() == [[names.index("red/copy.jpg"), names.index("red/red-1.jpg")]]
    assert events[0].what == "Checking pictures"
    assert events[-1].done == events[-1].total == 14


def test_a_file_that_vanished(root: Path) -> None:
    dataset = read(root)
    (root / "blue" / "blue-0.jpg").unlink()
    seen = survey(dataset)
    assert {failure.picture for failure in seen.failures} == {"blue/blue-0.jpg", "red/broken.jpg"}
    assert manifest_hash(with_hashes(dataset, seen.sha256).items) != dataset.hash


def test_aligned_follows_a_smaller_dataset(root: Path) -> None:
    dataset = read(root)
    seen = survey(dataset)
    smaller = without(dataset, {"red/broken.jpg", "blue/blue-1.jpg"})
    fits = seen.aligned(smaller)
    assert fits.uris == tuple(item.uri for item in smaller.items)
    assert fits.failures == ()
    assert np.array_equal(fits.hashes, survey(smaller).hashes)
    with pytest.raises(DatasetError, match="other pictures"):
        fits.aligned(dataset)


def test_units_join_families_and_groups(root: Path) -> None:
    dataset = read(root)
    names = [item.name for item in dataset.items]
    groups = ["g" if name in ("blue/blue-0.jpg", "red/copy.jpg") else None for name in names]
    numbers = units(survey(dataset), groups)
    together = {name for name, number in zip(names, numbers, strict=True) if number == numbers[names.index("red/copy.jpg")]}
    assert together == {"blue/blue-0.jpg", "red/copy.jpg", "red/red-1.jpg"}


def test_chained() -> None:
    assert chained(["a", "b", "", "a", None, "a"]).tolist() == [[0, 3], [0, 5]]
    assert chained([]).shape == (0, 2)


def equal(first: Survey, second: Survey) -> bool:
    columns = ("hashes", "miniatures", "greys", "widths", "heights", "formats")
    return first.sha256 == second.sha256 and all(np.array_equal(getattr(first, c), getattr(second, c)) for c in columns)


def test_a_second_look_decodes_nothing_and_sees_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = without(read(root), {"red/broken.jpg"})
    first = survey(dataset)
    monkeypatch.setattr(pixels, "decode_sized", None)  # would fail
    again = survey(dataset)
    assert equal(first, again)
    assert again.failures == ()


def test_a_grown_folder_decodes_only_what_is_new(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    survey(without(read(root), {"red/broken.jpg"}))
    (root / "red" / "new.jpg").write_bytes((root / "green" / "green-0.jpg").read_bytes() + b"\0")
    (root / "red" / "moved.jpg").write_bytes((root / "blue" / "blue-0.jpg").read_bytes())
    decoded: list[int] = []
    real = pixels.decode_sized
    monkeypatch.setattr(pixels, "decode_sized", lambda data, **options: (decoded.append(len(data)), real(data, **options))[1])
    seen = survey(without(read(root), {"red/broken.jpg"}))
    assert len(decoded) == 1
    assert len(seen.uris) == 15


def test_a_picture_changed_in_place_is_seen_anew(root: Path) -> None:
    """Same path, same size, same time: the content decides."""
    path = root / "red" / "red-0.jpg"
    dataset, before = read(root), path.stat()
    first = survey(dataset)
    other = encoded(drawn(77, colour=(10, 200, 10)), quality=92)
    data = path.read_bytes()
    path.write_bytes((other + bytes(len(data)))[: len(data)] if len(other) <= len(data) else encoded(drawn(77), quality=30))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    again = survey(dataset)
    spot = [item.name for item in dataset.items].index("red/red-0.jpg")
    assert first.sha256[spot] != again.sha256[spot]
    assert not np.array_equal(first.greys[spot], again.greys[spot])


def test_a_limit_lowered_later_is_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = read(root)
    assert len(survey(dataset).failures) == 1
    monkeypatch.setenv("SIGHTLINE_MAX_MEGAPIXELS", "0.001")
    settings.cache_clear()
    codes = [failure.error.code for failure in survey(dataset).failures]
    assert len(codes) == 14
    assert codes.count("picture_too_large") >= 13  # the broken one is broken or too large


def test_quality_is_kept_and_does_not_change_what_is_seen(root: Path) -> None:
    (root / "red" / "large.jpg").write_bytes(encoded(drawn(5, (900, 700)), quality=90))
    dataset = read(root)
    plain = survey(dataset)
    assert plain.quality is None
    rated = survey(dataset, quality=True)
    assert equal(plain, rated)
    assert rated.quality is not None
    assert rated.quality.shape == (15, len(COLUMNS))
    shutil.rmtree(settings().cache)
    fresh = survey(dataset, quality=True)
    assert equal(plain, fresh)
    assert np.array_equal(rated.quality, fresh.quality)
    spot = [item.name for item in dataset.items].index("red/large.jpg")
    expected = measure(pixels.decode((root / "red" / "large.jpg").read_bytes(), shorter=128))
    assert np.allclose(fresh.quality[spot], expected)


def test_sizes_and_formats(tmp_path: Path) -> None:
    folder = tmp_path
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side
    (folder / "1.jpg").write_bytes(encoded(drawn(1, (1203, 401)), quality=80))
    (folder / "2.jpg").write_bytes(encoded(drawn(1, (1203, 401)), quality=80, exif=exif.tobytes()))
    (folder / "3.jpg").write_bytes(encoded(drawn(1, (70, 50)), "PNG"))
    (folder / "4.webp").write_bytes(encoded(drawn(1, (50, 70)), "WEBP"))
    (folder / "5.jpg").write_bytes(b"nothing")
    (folder / "6.jpg").write_bytes(encoded(drawn(1), quality=80)[:300])
    items = tuple(Item(uri=str(path), name=path.name) for path in sorted(folder.iterdir()))
    seen = survey(Dataset(name="d", task="multiclass", classes=(), items=items))
    assert seen.widths.tolist() == [1203, 401, 70, 50, 0, 0]
    assert seen.heights.tolist() == [401, 1203, 50, 70, 0, 0]
    assert seen.formats.tolist() == [b"jpeg", b"jpeg", b"png", b"webp", b"", b"jpeg"]
    assert len(seen.failures) == 2
