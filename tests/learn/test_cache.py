from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from pictures import class_folders, drawn, encoded
from sightline import progress
from sightline.errors import StorageError
from sightline.learn import cache
from sightline.learn.cache import prepare_all, room_for
from sightline.runtime.pixels import prepare
from sightline.settings import settings
from sightline.types import InputSpec, Item

SPEC = InputSpec(size=32)


def items_in(root):
    return [Item(uri=str(path), name=path.name) for path in sorted(root.rglob("*.jpg"))]


def test_rows_are_what_a_model_sees(tmp_path):
    items = items_in(class_folders(tmp_path, 4))
    found = prepare_all(items, SPEC)
    assert found.pictures.shape == (12, 32, 32, 3)
    assert found.pictures.dtype == np.uint8
    assert found.kept.tolist() == list(range(12))
    with open(items[7].uri, "rb") as file:  # noqa: PTH123
        assert (found.pictures[7] == prepare(file.read(), SPEC)).all()


def test_second_time_nothing_is_decoded(tmp_path, monkeypatch):
    items = items_in(class_folders(tmp_path, 2))
    first = prepare_all(items, SPEC)
    monkeypatch.setattr(cache, "prepare", lambda *_: pytest.fail("decoded again"))
    assert (prepare_all(items, SPEC).pictures == first.pictures).all()


def test_a_changed_file_or_another_spec_is_prepared_anew(tmp_path):
    items = items_in(class_folders(tmp_path, 2))
    first = prepare_all(items, SPEC).pictures.copy()
    (tmp_path / "red/red-0.jpg").write_bytes(encoded(drawn(77)))
    assert (prepare_all(items, SPEC).pictures != first).any()
    assert prepare_all(items, InputSpec(size=24)).pictures.shape[1:] == (24, 24, 3)


def test_unreadable_pictures_are_failures_and_the_rest_moves_up(tmp_path):
    items = items_in(class_folders(tmp_path, 3))
    good = prepare_all(items, SPEC).pictures.copy()
    (tmp_path / "blue/blue-1.jpg").write_bytes(b"no picture")
    (tmp_path / "green/green-2.jpg").unlink()
    for _ in range(2):  # filled, then from the cache
        found = prepare_all(items, SPEC)
        assert [failure.picture for failure in found.failures] == ["blue-1.jpg", "green-2.jpg"]
        assert found.failures[0].error.code == "picture_format"
        assert found.kept.tolist() == [0, 2, 3, 4, 6, 7, 8]
        assert (found.pictures == good[found.kept]).all()


def test_only_bad_pictures(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"x")
    found = prepare_all(items_in(tmp_path), SPEC)
    assert found.pictures.shape == (0, 32, 32, 3)
    assert len(found.failures) == 1


@pytest.mark.parametrize("bad", [None, "red-1.jpg"])
def test_who_is_stopped_goes_on(tmp_path, monkeypatch, bad):
    monkeypatch.setattr(cache, "BLOCK", 4)
    items = items_in(class_folders(tmp_path, 6))
    if bad:
        (tmp_path / "red" / bad).write_bytes(b"no picture")
    decoded = []

    def counted(data, spec):
        decoded.append(1)
        if len(decoded) == 11:
            raise KeyboardInterrupt
        return prepare(data, spec)

    monkeypatch.setattr(cache, "prepare", counted)
    with pytest.raises(KeyboardInterrupt):
        prepare_all(items, SPEC)
    monkeypatch.setattr(cache, "prepare", prepare)
    told = []
    with progress.listen(lambda event: told.append((event.what, event.done))):
        found = prepare_all(items, SPEC)
    begun = [done for what, done in told if what == "Preparing pictures"][1]
    assert begun >= 8  # two blocks were done
    assert len(found.pictures) == 18 - bool(bad)
    shutil.rmtree(settings().cache)
    assert (prepare_all(items, SPEC).pictures == found.pictures).all()


def test_a_full_disk_is_said_before_work_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(StorageError, match="are free") as caught:
        prepare_all(items_in(class_folders(tmp_path, 1)), SPEC)
    assert "SIGHTLINE_CACHE" in caught.value.hint


def test_room_for_a_crop_stores_what_lies_around_it():
    stored, view = room_for(InputSpec(size=224, crop=0.875))
    assert (stored.size, stored.crop, view) == (256, 1.0, 0.875)
    stored, view = room_for(InputSpec(size=224, fit="pad"))
    assert (stored.size, view) == (224, 1.0)
