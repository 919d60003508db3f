"""Pictures given one by one: nothing acknowledged is lost or doubled, what is taken back is gone, consent stands with each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pictures import class_folders, drawn, encoded
from sightline.errors import ConflictError, NotFoundError, UsageError
from sightline.runtime.limits import standard_limits
from sightline.runtime.pixels import decode
from sightline.store import arrivals, datasets, names
from sightline.store.blobs import blobs
from sightline.store.database import database
from sightline.verbs.collect import collect
from sightline.verbs.contributions import Contributions, Gift, checked_gift
from sightline.verbs.glances import Received, received
from sightline.verbs.invitation import read_wanted, terms

TERMS = terms("I took it.", "CC0-1.0")


def came(seed: int = 0, **options: object) -> Received:
    return received(encoded(drawn(seed, **options)), lambda data, shorter: decode(data, shorter=shorter), standard_limits())


def opened(wanted: str = "cat:3,dog:2", agreed=TERMS) -> Contributions:
    collection = Contributions(database(), blobs(), "pets", read_wanted(wanted), agreed)
    collection.open()
    return collection


def give(collection: Contributions, seed: int, label: str = "cat", **said: str) -> str:
    gift = Gift(label=label, **{"ticket": f"t{seed}", **said})
    receipt, fresh = collection.take(came(seed), gift, collection.terms.version)
    assert fresh
    return receipt.picture


def test_what_is_kept_with_a_picture():
    collection = opened()
    sha256 = give(collection, 1, author="Ana", taken_at="2026-11-23T08:00:00+00:00")
    assert collection.version().added == 1
    (item,) = datasets.get(database(), "pets").items
    assert (item.sha256, item.labels, item.name) == (sha256, ("cat",), f"cat/{sha256[:16]}.jpg")
    assert item.truth[0].origin == "human:Ana"
    assert item.facts is not None
    assert (item.facts.licence, item.facts.author, item.facts.taken_at) == ("CC0-1.0", "Ana", "2026-11-23T08:00:00+00:00")
    assert item.facts.consent.endswith(f", text {TERMS.version}: I took it.")
    assert item.facts.source.startswith("phone:")
    assert "t1" not in item.facts.source
    assert blobs().open(sha256).read() == came(1).data


def test_what_is_not_agreed_to_is_not_kept():
    collection = opened()
    give(collection, 1)
    collection.version()
    (item,) = datasets.get(database(), "pets").items
    assert item.facts is not None
    assert (item.facts.author, item.facts.taken_at, item.truth[0].origin) == ("", "", "human:phone")


def test_sent_again_it_is_the_same_picture():
    collection = opened()
    sha256 = give(collection, 1)
    again, fresh = collection.take(came(1), Gift(label="cat", ticket="t1"), TERMS.version)
    assert (again.picture, again.doubled, fresh, again.have) == (sha256, False, False, 1)
    other, fresh = collection.take(came(1), Gift(label="dog", ticket="t1"), TERMS.version)
    assert (other.label, other.doubled, fresh) == ("cat", True, False)
    stranger, fresh = collection.take(came(1), Gift(label="cat", ticket="t2"), TERMS.version)
    assert (stranger.doubled, fresh) == (True, False)
    collection.version()
    again, fresh = collection.take(came(1), Gift(label="cat", ticket="t1"), TERMS.version)
    assert (again.doubled, fresh) == (False, False)
    assert collection.standing().count == 1


def test_many_at_once_are_there_once_each():
    collection = opened("cat:100")
    pictures = [came(seed) for seed in range(6)]

    def send() -> None:
        for seed, one in enumerate(pictures):
            collection.take(one, Gift(label="cat", ticket=f"t{seed}"), TERMS.version)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    made = collection.version()
    for thread in threads:
        thread.join()
    assert made.count <= 6
    assert collection.version().count == 6
    assert arrivals.known(database(), arrivals.run_of("page", "pets")) == {}


def test_a_version_on_asking_and_at_the_next_start():
    collection = opened()
    give(collection, 1)
    assert names.target(database(), "dataset", "pets") is None
    first = collection.version()
    assert collection.version().dataset == first.dataset
    give(collection, 2, "dog")
    again = opened()  # as after a kill: nobody made a version
    version = datasets.summary(database(), "pets")
    assert (version.pictures, version.parents, version.made.verb) == (2, (first.dataset,), "collect")
    assert [(one.label, one.have) for one in again.standing().classes] == [("cat", 1), ("dog", 1)]
    assert again.standing().waiting == 0


def test_taking_back_deletes_what_no_version_holds():
    collection = opened()
    sha256 = give(collection, 1)
    with pytest.raises(NotFoundError):
        collection.withdraw(sha256, "t2")
    with pytest.raises(NotFoundError):
        collection.withdraw(sha256, "")
    collection.withdraw(sha256, "t1")
    assert not blobs().has(sha256)
    assert opened().standing().count == 0
    assert give(collection, 1) == sha256  # and it may come again


def test_taking_back_from_a_version_makes_another_one():
    collection = opened()
    sha256, other = give(collection, 1), give(collection, 2)
    first = collection.version()
    collection.withdraw(sha256, "t1")
    assert [item.sha256 for item in datasets.get(database(), "pets").items] == [other]
    assert blobs().has(sha256)  # the older version holds it
    assert datasets.summary(database(), "pets").parents == (first.dataset,)
    assert collection.remove([other, sha256]) == 1
    assert collection.standing().count == 0
    assert names.undo(database(), "dataset", "pets") != names.undo(database(), "dataset", "pets")


def test_a_picture_that_another_collection_holds_is_not_deleted(tmp_path: Path):
    folder = tmp_path / "cat"
    folder.mkdir()
    (folder / "1.jpg").write_bytes(came(1).data)
    collect(str(tmp_path), into="others", copy=True)
    collection = opened()
    sha256 = give(collection, 1)
    collection.withdraw(sha256, "t1")
    assert blobs().has(sha256)


def test_it_adds_to_a_dataset_that_is_there(tmp_path: Path):
    collect(str(class_folders(tmp_path / "photos", per_class=2, classes=("cat", "dog"))), into="pets")
    collection = opened()
    assert collection.standing().count == 4
    give(collection, 5)
    assert collection.standing().classes[0].have == 3
    collect(str(class_folders(tmp_path / "more", per_class=1, classes=("cat",), seed=77)), into="pets")  # beside the page
    assert collection.standing().classes[0].have == 4
    assert collection.version().count == 6
    total, shown = collection.pictures("cat", 0, 10)
    assert (total, len(shown), {one.waiting for one in shown}) == (4, 4, {False})


def test_more_than_enough_is_refused_but_a_repetition_is_not():
    collection = opened("cat:1")
    for seed in range(12):
        give(collection, seed)
    with pytest.raises(ConflictError, match="more than enough"):
        give(collection, 12)
    receipt, fresh = collection.take(came(3), Gift(label="cat", ticket="t3"), TERMS.version)
    assert (receipt.doubled, fresh) == (False, False)


def test_other_terms_and_labels_nobody_wants_are_refused():
    collection = opened()
    with pytest.raises(ConflictError) as raised:
        collection.take(came(1), Gift(label="cat"), terms("Something else.").version)
    assert raised.value.detail == {"terms": TERMS.version}
    with pytest.raises(NotFoundError, match="horse"):
        collection.take(came(1), Gift(label="horse"), TERMS.version)


def test_hints():
    from PIL import ImageFilter

    collection = opened("cat:50")

    def kinds(picture, ticket: str) -> set[str]:
        one = received(encoded(picture), lambda data, shorter: decode(data, shorter=shorter), standard_limits())
        receipt, _ = collection.take(one, Gift(label="cat", ticket=ticket), TERMS.version)
        return {hint.kind for hint in receipt.hints}

    sharp = drawn(1, (400, 300))
    assert kinds(sharp, "a") == set()
    assert kinds(sharp.resize((320, 240)), "b") == {"near_duplicate"}
    assert "blurred" in kinds(drawn(2, (400, 300)).filter(ImageFilter.GaussianBlur(9)), "c")
    assert kinds(drawn(3, (400, 300)).point(lambda value: value * 0.2), "d") == {"dark"}


def test_other_formats_become_jpeg_and_lose_their_metadata():
    asked: list[int | None] = []

    def decoder(data: bytes, shorter: int | None):
        asked.append(shorter)
        return decode(data, shorter=shorter)

    one = received(encoded(drawn(1), "TIFF"), decoder, standard_limits())
    assert (one.suffix, one.data[:3], asked) == (".jpg", b"\xff\xd8\xff", [None])  # decoded whole, by the caller's decoder only
    exif = drawn(1).getexif()
    exif[0x010F] = "Secret Camera"
    private = encoded(drawn(1), exif=exif)
    assert b"Secret" in private
    kept = received(private, decoder, standard_limits())
    assert b"Secret" not in kept.data


@pytest.mark.parametrize(
    "make",
    [
        lambda: checked_gift("cat", "x" * 65, "", ""),
        lambda: checked_gift("cat", "../x", "", ""),
        lambda: checked_gift("cat", "", "A" * 101, ""),
        lambda: checked_gift("cat", "", "A\x00", ""),
        lambda: checked_gift("cat", "", "", "yesterday"),
        lambda: terms("x" * 4001),
        *[
            (lambda text=text: read_wanted(text))
            for text in ("", "cat", "cat:0", "cat:-1", "cat:x", "cat:1,cat:2", "a/b:1", "..:1", ":5", "cat:100001", "c\x00t:3")
        ],
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], object]):
    with pytest.raises(UsageError):
        make()


def test_words_and_times_are_tidied():
    gift = checked_gift("cat", "", "  Ana   Maria ", "2026-11-23T09:30:00.123+01:00")
    assert (gift.author, gift.taken_at) == ("Ana Maria", "2026-11-23T08:30:00+00:00")
    assert [(one.label, one.number) for one in read_wanted(" big cat : 5 , ratio 1:2:7,")] == [("big cat", 5), ("ratio 1:2", 7)]


def test_text_and_licence_name_the_terms():
    assert terms("a").version == terms(" a ").version
    assert len({terms("a").version, terms("b").version, terms("a", "CC0-1.0").version, terms().version}) == 4
    assert "CC-BY-4.0" in terms("", "CC-BY-4.0").text
    assert "licence" not in terms().text
