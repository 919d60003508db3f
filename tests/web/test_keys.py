from __future__ import annotations

import stat
from pathlib import Path

import pytest

from sightline.errors import DataError, NotFoundError, UsageError
from sightline.settings import settings
from sightline.web.keys import KeyStore, keys, show


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "keys.json")


def test_a_new_key_works_and_only_its_hash_is_kept(store: KeyStore):
    secret = store.new("camera")
    key = store.check(secret)
    assert key is not None
    assert key.name == "camera"
    content = store.path.read_text()
    assert secret not in content
    assert secret.split("_")[2] not in content
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


def test_a_revoked_key_stops_working_in_another_process_too(store: KeyStore):
    secret = store.new("camera")
    other = KeyStore(store.path)
    assert other.check(secret)
    store.revoke(secret.split("_")[1])
    assert other.check(secret) is None
    assert not other.any()


@pytest.mark.parametrize(
    "change", [lambda k: k[:-1] + "!", lambda k: k + "x", lambda k: "", lambda k: k[3:], lambda k: k.upper()]
)
def test_a_changed_key_does_not_work(store: KeyStore, change):
    assert store.check(change(store.new("a"))) is None


def test_a_well_formed_key_of_another_home_does_not_work(store: KeyStore, tmp_path: Path):
    foreign = KeyStore(tmp_path / "other.json").new("a")
    store.new("b")
    assert store.check(foreign) is None


def test_the_day_of_the_last_use_is_written_once(store: KeyStore):
    secret = store.new("a")
    key = store.check(secret)
    assert key is not None
    assert store.used(key)
    store.touch(key)
    assert not store.used(key)
    assert KeyStore(store.path).all()[0].last_used


def test_touching_does_not_bring_a_revoked_key_back(store: KeyStore):
    secret = store.new("a")
    key = store.check(secret)
    assert key is not None
    KeyStore(store.path).revoke(key.id)
    store.touch(key)
    assert store.check(secret) is None


def test_a_broken_file_is_an_error_and_opens_nothing(store: KeyStore):
    store.path.write_text("{")
    with pytest.raises(DataError):
        store.any()


def test_the_verb_makes_lists_and_revokes():
    made = keys(new="camera")
    assert made.secret
    assert made.secret.startswith("sl_")
    listed = keys()
    assert listed.secret is None
    assert [key.name for key in listed.keys] == ["camera"]
    revoked = keys(revoke=listed.keys[0].id)
    assert revoked.keys[0].revoked
    assert (settings().home / "keys.json").is_file()
    for result in (made, listed, revoked):
        show(result)


def test_mistakes_are_named(store: KeyStore):
    with pytest.raises(NotFoundError):
        store.revoke("nope")
    with pytest.raises(UsageError):
        store.new(" ")
    with pytest.raises(UsageError):
        keys(new="a", revoke="b")
